"""Claims on claims of real contracts: what is read, drawn and valued is what the contracts themselves say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from chain.calls import Call, read
from chain.fork import Fork
from chain.node import Node
from chain.snapshot import CLAIMS, Snapshot
from fixtures.localchain import LocalChain, local_chain, undone
from fixtures.localchain.claims import LLTV, Chained, Claims, deploy_claims
from fixtures.localchain.market import RESERVES
from fixtures.localchain.morpho import deploy_morpho
from fixtures.localchain.sender import Sender, calldata
from protocols.lending.morpho_blue.tables import load as load_morpho
from protocols.snapshot import take_snapshot
from protocols.tokens.aave import static_assets
from protocols.tokens.losses import load, rate_after_loss
from protocols.tokens.reader import walk_claims
from protocols.walking import walked
from simulator.book import open_book
from simulator.book import read as read_back
from simulator.graph.exposure import ExposureGraph
from simulator.run import simulate
from simulator.scenario import scenario_from

pytestmark = pytest.mark.localchain
CONVERT = "convertToAssets(uint256)(uint256)"
# keccak256("Transfer(address,address,uint256)")
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


class Deployed(NamedTuple):
    """The chain, what was built on it, and the block to read."""

    chain: LocalChain
    claims: Claims
    morpho: str
    block: int

    @property
    def both(self) -> tuple[Chained, Chained]:
        return self.claims.vault, self.claims.static


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    """Aave v3.6 with a small book, Morpho, and the two chains of claims."""
    with local_chain(accounts=24) as chain:
        time = chain.timestamp
        sender = Sender(chain.node, chain.node.call("eth_accounts")[3], time)
        morpho = deploy_morpho(sender, chain.reserves, accounts=11)
        last = Sender(chain.node, chain.node.call("eth_accounts")[4], sender.time)
        claims = deploy_claims(last, chain.market, chain.reserves, morpho)
        yield Deployed(chain, claims, morpho.address, int(chain.node.call("eth_blockNumber"), 16))


@pytest.fixture(scope="module")
def node(deployed: Deployed) -> Node:
    return Node(deployed.chain.url, cache_dir=None)


@pytest.fixture(scope="module")
def snapshot(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Taken through a node of its own, so that its requests can be counted, and through disk."""
    folder = tmp_path_factory.mktemp("claims")
    chain = deployed.chain
    entries = (
        ("aave-v3", "aave_v3", "provider", chain.market.addresses_provider),
        ("morpho-blue", "morpho_blue", "morpho", deployed.morpho),
    )
    path = folder / "deployments.toml"
    path.write_text(
        "".join(
            f'[[deployment]]\nchain_id = {chain.chain_id}\nname = "{name}"\nfamily = "lending"\n'
            f'protocol = "{protocol}"\naddresses = {{ {role} = "{address}" }}\n'
            for name, protocol, role, address in entries
        )
    )
    counted = Node(chain.url, cache_dir=None)
    take_snapshot(counted, deployed.block, deployments=path).write(folder / "snapshot")
    # of two lending protocols; each claim of a chain is two rounds: what it is, and what it is worth
    assert counted.http_requests <= 34
    assert counted.rpc_calls <= 100
    return read_back(folder / "snapshot")


@pytest.fixture(scope="module")
def claims(snapshot: Snapshot) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["token"], row["underlying"]): row for row in snapshot.tables[CLAIMS.name].rows()}


def a_token(deployed: Deployed, chained: Chained) -> str:
    return deployed.chain.reserves[chained.asset].a_token.lower()


def asset(deployed: Deployed, chained: Chained) -> str:
    return deployed.chain.reserves[chained.asset].address.lower()


def answers(deployed: Deployed, node: Node, *calls: Call) -> list[Any]:
    return read(node, node.pin(deployed.block), list(calls))


def now(deployed: Deployed, *calls: Call) -> list[Any]:
    """What contracts answer in a last block that will be undone, to a node of its own."""
    with Node(deployed.chain.url, cache_dir=None) as fresh:
        return read(fresh, fresh.pin("latest"), list(calls))


# --- what is read -------------------------------------------------------------------------------------------------


def test_a_share_is_followed_to_the_bottom_and_nothing_else_is_a_claim(
    deployed: Deployed, claims: dict[tuple[str, str], dict[str, Any]]
) -> None:
    found = {pair: (row["kind"], row["issuer"], row["losses"]) for pair, row in claims.items()}
    vault, static = deployed.both
    assert found == {
        (vault.share.lower(), a_token(deployed, vault)): ("erc4626", vault.share.lower(), "at once"),
        (a_token(deployed, vault), asset(deployed, vault)): ("aave", "aave-v3", "at withdrawal"),
        (static.share.lower(), a_token(deployed, static)): ("static_aave", static.share.lower(), "at withdrawal"),
        (a_token(deployed, static), asset(deployed, static)): ("aave", "aave-v3", "at withdrawal"),
    }


def test_rates_supplies_and_backings_are_the_contracts_own(
    deployed: Deployed, node: Node, claims: dict[tuple[str, str], dict[str, Any]]
) -> None:
    for chained, decimals in zip(deployed.both, (20, 8), strict=True):
        below = a_token(deployed, chained)
        worth, supply, behind, own = answers(
            deployed,
            node,
            Call(chained.share, CONVERT, (10**decimals,)),
            Call(chained.share, "totalSupply()(uint256)"),
            Call(below, "balanceOf(address)(uint256)", (chained.share,)),
            Call(below, "totalSupply()(uint256)"),
        )
        row = claims[chained.share.lower(), below]
        assert (row["amount_raw"], row["supply_raw"], row["backing_raw"]) == (worth, supply, behind)
        assert worth > 10 ** RESERVES[chained.asset].decimals
        row = claims[below, asset(deployed, chained)]
        assert row["amount_raw"] == 10 ** RESERVES[chained.asset].decimals
        assert (row["supply_raw"], row["backing_raw"]) == (own, own)


def test_new_tokens_have_their_symbols_and_decimals(deployed: Deployed, snapshot: Snapshot) -> None:
    tokens = {row["token"]: (row["symbol"], row["decimals"]) for row in snapshot.tables["tokens"].rows()}
    vault, static = deployed.both
    assert tokens[vault.share.lower()] == ("vaWETH", 20)
    assert tokens[a_token(deployed, vault)] == ("aWETH", 18)
    assert tokens[static.share.lower()] == ("stataWBTC", 8)
    assert tokens[a_token(deployed, static)] == ("aWBTC", 8)


def test_a_static_tokens_rule_is_what_it_answers_for_any_amount(deployed: Deployed, node: Node) -> None:
    static = deployed.claims.static
    index = Call(deployed.chain.market.pool, "getReserveNormalizedIncome(address)(uint256)", (asset(deployed, static),))
    amounts = (0, 1, 3, 10**8 - 1, 123_456_789_012_345)
    income, *worth = answers(deployed, node, index, *(Call(static.share, CONVERT, (n,)) for n in amounts))
    assert [static_assets(n, income) for n in amounts] == worth


def test_a_share_of_a_pair_is_worth_what_burning_it_pays(deployed: Deployed, node: Node) -> None:
    chain, block = deployed.chain, node.pin(deployed.block)
    exchange, pair = next((e, a) for e, a in chain.pools.items() if (e.fee, e.quote) == (0, "DAI"))
    coins = {chain.reserves[symbol].address.lower(): symbol for symbol in (exchange.base, exchange.quote)}
    walk = walk_claims(chain.chain_id, {pair.lower(): "pair", **coins}, (), "")
    rows = walked(node, block, walk)[CLAIMS]
    assert {(row["token"], row["kind"], row["issuer"]) for row in rows} == {(pair.lower(), "uniswap_v2", pair.lower())}
    moved = {"address": pair, "fromBlock": "0x0", "topics": [TRANSFER]}
    owner = "0x" + chain.node.call("eth_getLogs", moved)[-1]["topics"][2][-40:]
    with undone(chain.node):
        data = "0x" + calldata("transfer(address,uint256)", pair, 10**18).hex()
        asked = {"from": owner, "to": pair, "data": data, "gasPrice": "0x0", "gas": hex(5_000_000)}
        chain.node.call("anvil_impersonateAccount", owner)
        chain.node.call("eth_sendTransaction", asked)
        chain.node.call("evm_mine")
        (paid,) = now(deployed, Call(pair, "burn(address)(uint256,uint256)", (chain.admin,)))
    assert [row["amount_raw"] for row in sorted(rows, key=lambda row: int(row["underlying"], 16))] == list(paid)


def price_of(chained: Chained, rate: int, decimals: int) -> int:
    """The oracle's own arithmetic on a claim's rate."""
    top, bottom = RESERVES[chained.loan], RESERVES[chained.asset]
    scale = 10 ** (36 + top.decimals - bottom.decimals) // 10**decimals
    return int(scale * rate * bottom.price_raw // top.price_raw)


# --- what it is worth ---------------------------------------------------------------------------------------------


def test_a_pledge_of_shares_is_worth_what_the_market_and_the_vault_say(
    deployed: Deployed, node: Node, snapshot: Snapshot, claims: dict[tuple[str, str], dict[str, Any]]
) -> None:
    markets = {market.name: market for market in load_morpho(snapshot)}
    for chained, decimals in zip(deployed.both, (20, 8), strict=True):
        (price,) = answers(deployed, node, Call(chained.oracle, "price()(uint256)"))
        market = markets[f"morpho-blue/{chained.id[2:12]}"]
        assert market.price_raw(0) == price
        assert market.accounts == (deployed.claims.account.lower(),)
        ((_, collateral),) = (tuple(position) for position in market.state()[1])
        assert collateral == chained.pledged_raw
        rate = claims[chained.share.lower(), a_token(deployed, chained)]["amount_raw"]
        assert price_of(chained, rate, decimals) == price


def test_claims_without_an_oracle_are_worth_what_they_are_claims_on(deployed: Deployed, snapshot: Snapshot) -> None:
    book = open_book(snapshot)
    for chained in deployed.both:
        below, bottom = (book.token_row[of(deployed, chained)] for of in (a_token, asset))
        assert book.outside_usd[below] == book.outside_usd[bottom]
        assert book.outside_usd[bottom] == pytest.approx(RESERVES[chained.asset].price)


# --- how it is drawn ----------------------------------------------------------------------------------------------


def test_the_graph_leads_from_the_loan_to_the_asset_through_every_claim(deployed: Deployed, snapshot: Snapshot) -> None:
    frame = ExposureGraph.of(snapshot).edge_frame()
    for chained in deployed.both:
        share, below, bottom = chained.share.lower(), a_token(deployed, chained), asset(deployed, chained)
        found = set(zip(frame["kind"], frame["source"], frame["target"], strict=True))
        assert ("wraps", f"token:{share}", f"token:{below}") in found
        assert ("wraps", f"token:{below}", f"token:{bottom}") in found
        assert ("backs", f"token:{below}", f"reserve:aave-v3/{bottom}") in found


# --- what a loss does ---------------------------------------------------------------------------------------------


def test_a_loss_of_the_vault_is_in_the_next_answer_and_price_to_the_unit(
    deployed: Deployed, node: Node, snapshot: Snapshot
) -> None:
    vault = deployed.claims.vault
    below = a_token(deployed, vault)
    terms = load(snapshot)[vault.share.lower(), below]
    chain = deployed.chain.node
    with undone(chain):
        (before,) = answers(deployed, node, Call(vault.share, "totalAssets()(uint256)"))
        data = "0x" + calldata("lose(uint256)", before // 7).hex()
        asked = {"from": deployed.claims.account, "to": vault.share, "data": data, "gas": hex(5_000_000)}
        chain.call("evm_setNextBlockTimestamp", hex(snapshot.timestamp + 1))
        sent = chain.call("eth_sendTransaction", asked)
        chain.call("evm_mine")
        assert chain.call("eth_getTransactionReceipt", sent)["status"] == "0x1"
        convert = Call(vault.share, CONVERT, (terms.unit_raw,))
        price = Call(vault.oracle, "price()(uint256)")
        after, worth, pledged_at = now(deployed, Call(vault.share, "totalAssets()(uint256)"), convert, price)
    rate = rate_after_loss(terms, terms.backing_raw - after)
    assert rate == worth < terms.amount_raw
    assert price_of(vault, rate, decimals=20) == pledged_at


def test_a_write_down_at_the_bottom_reaches_the_loan_by_what_the_contracts_give_after_the_same_loss(
    deployed: Deployed, node: Node, snapshot: Snapshot
) -> None:
    vault = deployed.claims.vault
    terms = load(snapshot)[vault.share.lower(), a_token(deployed, vault)]
    block = node.pin(deployed.block)
    # at the block's own time, so that nothing but the loss is new
    fork = Fork(
        node.url, block_hash=block.hash, number=block.number, timestamp=block.timestamp, chain_id=block.chain_id
    )
    convert, price = Call(vault.share, CONVERT, (terms.unit_raw,)), Call(vault.oracle, "price()(uint256)")
    before = fork.read(price)
    share = 0.375
    fork.transact(deployed.claims.account, Call(vault.share, "lose(uint256)()", (-(-terms.backing_raw * 3 // 8),)))
    assert 0.62 * before < fork.read(price) < 0.63 * before
    assert rate_after_loss(terms, -(-terms.backing_raw * 3 // 8)) == fork.read(convert)

    nobody = {"sell": "outside", "minimum_profit_usd": 1e15}
    failure = {"write_downs": [{"issuer": vault.share.lower(), "share": share}]}
    content = {"name": "failure", "step_s": 1, "steps": 1, "liquidators": nobody, "contagion": failure}
    run = simulate(snapshot, scenario_from(content, "test"))
    (believed,) = (
        row["oracle_raw"]
        for row in run.tables["prices"].rows()
        if row["market"].startswith("morpho-blue") and row["token"] == vault.share.lower()
    )
    assert believed == fork.read(price)
    (holder,) = {row["market"] for row in run.tables["prices"].rows() if row["token"] == vault.share.lower()}
    fallen = {row["market"] for row in run.tables["liquidatable"].rows()}
    pledge = vault.pledged_raw * fork.read(price) // 10**36
    assert (holder in fallen) == (pledge * LLTV // 10**18 < vault.borrowed_raw)


def test_a_static_token_keeps_its_rate_whatever_the_market_loses(deployed: Deployed, snapshot: Snapshot) -> None:
    static = deployed.claims.static
    terms = load(snapshot)[static.share.lower(), a_token(deployed, static)]
    assert rate_after_loss(terms, terms.backing_raw // 2) == terms.amount_raw
