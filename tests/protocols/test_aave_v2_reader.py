"""Aave v2 on a real pool: what the reader brings is what the contracts say, and what the rules do is what they do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from chain.calls import Call, read
from chain.errors import UnsupportedError
from chain.fork import Fork, Reverted
from chain.node import Node
from chain.snapshot import CLAIMS, Snapshot
from fixtures.localchain import LocalChain, local_chain, undone
from fixtures.localchain.aave_v2 import RESERVES_V2, AaveV2, deploy_aave_v2, price_in_ether
from fixtures.localchain.market import RESERVES
from fixtures.localchain.sender import Sender
from protocols.lending.aave_v2.market import AaveV2Market
from protocols.lending.aave_v2.onfork import OnFork
from protocols.lending.aave_v2.tables import load
from protocols.lending.interface import Offer
from protocols.snapshot import take_snapshot
from protocols.tokens.reader import walk_claims
from protocols.walking import walked

pytestmark = pytest.mark.localchain
ACCOUNT_DATA = "getUserAccountData(address)(uint256,uint256,uint256,uint256,uint256,uint256)"
RESERVE_DATA = (
    "getReserveData(address)"
    "(uint256,uint128,uint128,uint128,uint128,uint128,uint40,address,address,address,address,uint8)"
)
HOUR = 3600


class Deployed(NamedTuple):
    """The market, the chain it is on, and the block to read."""

    chain: LocalChain
    market: AaveV2
    block: int


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    """The market beside a small book of v3.6."""
    with local_chain(accounts=24) as chain:
        sender = Sender(chain.node, chain.node.call("eth_accounts")[1], chain.timestamp)
        market = deploy_aave_v2(sender, chain.reserves)
        yield Deployed(chain, market, int(chain.node.call("eth_blockNumber"), 16))


@pytest.fixture(scope="module")
def deployments(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "deployments.toml"
    path.write_text(
        f'[[deployment]]\nchain_id = {deployed.chain.chain_id}\nname = "aave-v2"\nfamily = "lending"\n'
        f'protocol = "aave_v2"\naddresses = {{ provider = "{deployed.market.addresses_provider}" }}\n'
    )
    return path


@pytest.fixture(scope="module")
def node(deployed: Deployed) -> Node:
    return Node(deployed.chain.url, cache_dir=None)


@pytest.fixture(scope="module")
def snapshot(deployed: Deployed, deployments: Path) -> Snapshot:
    """Taken through a node of its own, so that its requests can be counted."""
    counted = Node(deployed.chain.url, cache_dir=None)
    taken = take_snapshot(counted, deployed.block, deployments=deployments)
    assert counted.http_requests <= 25
    assert counted.rpc_calls <= 200
    return taken


@pytest.fixture
def market(snapshot: Snapshot) -> AaveV2Market:
    return load(snapshot)[0]


def test_a_claim_on_a_reserve_is_owed_one_for_one_by_the_market(
    deployed: Deployed, node: Node, snapshot: Snapshot
) -> None:
    symbols = {row["token"]: row["symbol"] for row in snapshot.tables["tokens"].rows()}
    below = {row["a_token"]: row["token"] for row in snapshot.tables["aave_v2.reserves"].rows()}
    tokens = symbols | {claim: f"a{symbols[token]}" for claim, token in below.items()}
    block = node.pin(deployed.block)
    rows = walked(node, block, walk_claims(block.chain_id, tokens, snapshot.markets, ""))[CLAIMS]
    assert {row["token"]: row["underlying"] for row in rows} == below
    for row in rows:
        (supply,) = read(node, block, [Call(row["token"], "totalSupply()(uint256)")])
        assert (row["kind"], row["issuer"], row["losses"]) == ("aave", "aave-v2", "at withdrawal")
        assert row["amount_raw"] == 10 ** RESERVES[symbols[row["underlying"]]].decimals
        assert row["supply_raw"] == row["backing_raw"] == supply


def test_every_account_with_debt_is_found_and_no_other(deployed: Deployed, node: Node, market: AaveV2Market) -> None:
    accounts = deployed.market.accounts
    answers = read(node, node.pin(deployed.block), [Call(deployed.market.pool, ACCOUNT_DATA, (a,)) for a in accounts])
    in_debt = {a.lower() for a, answer in zip(accounts, answers, strict=True) if answer[1]}
    assert set(market.accounts) == in_debt
    assert len(in_debt) < len(accounts), "some accounts of the fixture repaid everything, others never borrowed"


def test_account_data_equals_the_contract_for_every_account(
    deployed: Deployed, node: Node, market: AaveV2Market
) -> None:
    block = node.pin(deployed.block)
    answers = read(node, block, [Call(deployed.market.pool, ACCOUNT_DATA, (a,)) for a in market.accounts])
    for row, answer in enumerate(answers):
        assert tuple(market.account_data(row)) == answer
        assert market.health_raw(row) == answer[5]
        assert not market.is_liquidatable(row)


def test_balances_equal_the_contracts_for_every_account_and_reserve(
    deployed: Deployed, node: Node, snapshot: Snapshot
) -> None:
    rows = {(row["account"], row["token"]): row for row in snapshot.tables["aave_v2.positions"].rows()}
    accounts = snapshot.tables["aave_v2.accounts"].texts("account")
    found = 0
    for reserve in snapshot.tables["aave_v2.reserves"].rows():
        columns = {
            "supplied_scaled": Call(reserve["a_token"], "scaledBalanceOf(address)(uint256)"),
            "debt_scaled": Call(reserve["debt_token"], "scaledBalanceOf(address)(uint256)"),
            "stable_principal_raw": Call(reserve["stable_debt_token"], "principalBalanceOf(address)(uint256)"),
            "stable_rate_ray": Call(reserve["stable_debt_token"], "getUserStableRate(address)(uint256)"),
            "stable_since": Call(reserve["stable_debt_token"], "getUserLastUpdated(address)(uint40)"),
        }
        for column, view in columns.items():
            calls = [Call(view.target, view.signature, (account,)) for account in accounts]
            for account, answer in zip(accounts, read(node, node.pin(deployed.block), calls), strict=True):
                assert rows.get((account, reserve["token"]), {column: 0})[column] == answer
                found += bool(answer)
    assert found == sum(bool(row[column]) for row in rows.values() for column in columns)


def test_prices_are_in_ether_and_weth_is_the_unit_of_account(
    deployed: Deployed, snapshot: Snapshot, market: AaveV2Market
) -> None:
    tokens = {row["token"]: row for row in snapshot.tables["tokens"].rows()}
    oracles = {row["token"]: row for row in snapshot.tables["oracles"].rows()}
    for symbol, feed in deployed.market.feeds.items():
        address = deployed.chain.reserves[symbol].address.lower()
        assert tokens[address]["symbol"] == symbol
        assert tokens[address]["decimals"] == RESERVES[symbol].decimals
        assert oracles[address]["price_raw"] == price_in_ether(symbol)
        assert oracles[address]["feed"] == feed.lower()
        assert oracles[address]["unit_raw"] == 10**18
    weth = market.tokens.index(deployed.chain.reserves["WETH"].address.lower())
    assert market.numeraire == weth
    assert {row["numeraire"] for row in oracles.values()} == {market.tokens[weth]}
    assert market.price_raw(weth) == market.price_unit(weth) == 10**18


def test_reserves_carry_their_parameters(deployed: Deployed, snapshot: Snapshot) -> None:
    rows = {row["token"]: row for row in snapshot.tables["aave_v2.reserves"].rows()}
    for symbol, expected in RESERVES_V2.items():
        row = rows[deployed.chain.reserves[symbol].address.lower()]
        found = (row["ltv_bps"], row["threshold_bps"], row["bonus_bps"], row["reserve_factor_bps"])
        assert found == (expected.ltv, expected.threshold, expected.bonus, expected.factor)
        rates = (row["optimal_usage_ray"], row["base_rate_ray"], row["slope1_ray"], row["slope2_ray"])
        assert rates == tuple(
            bps * 10**23 for bps in (expected.optimal, expected.base, expected.slope1, expected.slope2)
        )


def test_a_paused_pool_is_refused(deployed: Deployed, deployments: Path) -> None:
    chain = deployed.chain
    with undone(chain.node):
        sender = Sender(chain.node, chain.node.call("eth_accounts")[2], chain.timestamp + 10**7)
        chain.node.call("anvil_autoImpersonateAccount", True)
        configurator = sender.read(deployed.market.addresses_provider, "getLendingPoolConfigurator()", "(address)")[0]
        admin = sender.read(deployed.market.addresses_provider, "getEmergencyAdmin()", "(address)")[0]
        pause = "0x" + "7641f3d9" + "1".rjust(64, "0")
        chain.node.call("eth_sendTransaction", {"from": admin, "to": configurator, "data": pause, "gas": hex(10**6)})
        chain.node.call("evm_mine")
        with pytest.raises(UnsupportedError, match="paused"):
            take_snapshot(Node(chain.url, cache_dir=None), "latest", deployments=deployments)


def test_a_version_without_rules_is_refused_by_name(deployed: Deployed, deployments: Path, tmp_path: Path) -> None:
    other = tmp_path / "deployments.toml"
    other.write_text(deployments.read_text() + 'version = "1.0"\n')
    with pytest.raises(UnsupportedError, match=r"1\.0"):
        take_snapshot(Node(deployed.chain.url, cache_dir=None), deployed.block, deployments=other)


def test_accounts_that_owe_a_token_with_rules_of_its_own_are_left_out_and_counted(
    deployed: Deployed, deployments: Path, snapshot: Snapshot
) -> None:
    chain, link = deployed.chain, deployed.chain.reserves["LINK"].address.lower()
    (debt_token,) = [r["debt_token"] for r in snapshot.tables["aave_v2.reserves"].rows() if r["token"] == link]
    owing = {r["account"] for r in snapshot.tables["aave_v2.positions"].rows() if r["token"] == link and r["borrowing"]}
    using = {
        r["account"] for r in snapshot.tables["aave_v2.positions"].rows() if r["token"] == link and r["collateral"]
    }
    with undone(chain.node):
        # Whatever it is asked, it answers 10**18: a supply that interest does not touch.
        code = "0x7f" + f"{10**18:064x}" + "60005260206000f3"
        chain.node.call("anvil_setCode", debt_token, code)
        chain.node.call("evm_mine")
        taken = take_snapshot(Node(chain.url, cache_dir=None), "latest", deployments=deployments)
    everyone = set(snapshot.tables["aave_v2.accounts"].texts("account"))
    left_out = owing | using
    assert owing
    assert set(taken.tables["aave_v2.accounts"].texts("account")) == everyone - left_out
    (note,) = taken.notes
    assert f"{len(left_out)} of {len(everyone)} accounts" in note
    assert link in note


# --- what the rules do ------------------------------------------------------------------------------------------


@pytest.fixture
def contracts(deployed: Deployed, node: Node, snapshot: Snapshot) -> OnFork:
    block = node.pin(deployed.block)
    fork = Fork(
        node.url, block_hash=block.hash, number=block.number, timestamp=block.timestamp, chain_id=block.chain_id
    )
    return OnFork(snapshot.markets[0], fork)


def agrees(market: AaveV2Market, contracts: OnFork, snapshot: Snapshot) -> None:
    """Assert that every account's data and every reserve's state are the contracts'."""
    fork, pool = contracts.fork, contracts.pool
    answers = fork.read_all([Call(pool, ACCOUNT_DATA, (account,)) for account in market.accounts])
    assert [tuple(market.account_data(row)) for row in range(len(market.accounts))] == answers
    reserves, _ = market.state()
    for r, row in enumerate(snapshot.tables["aave_v2.reserves"].rows()):
        data = fork.read(Call(pool, RESERVE_DATA, (row["token"],)))
        supply = fork.read(Call(row["stable_debt_token"], "getSupplyData()(uint256,uint256,uint256,uint40)"))
        treasury = fork.read(Call(row["a_token"], "RESERVE_TREASURY_ADDRESS()(address)"))
        assert (
            reserves.liquidity_index_ray[r],
            reserves.borrow_index_ray[r],
            reserves.liquidity_rate_ray[r],
            reserves.borrow_rate_ray[r],
            reserves.last_update[r],
            reserves.supply_scaled[r],
            reserves.debt_scaled[r],
            reserves.stable_principal_raw[r],
            reserves.stable_rate_ray[r],
            reserves.stable_since[r],
            reserves.liquidity_raw[r],
            reserves.treasury_scaled[r],
        ) == (
            *(data[i] for i in (1, 2, 3, 4, 6)),
            fork.read(Call(row["a_token"], "scaledTotalSupply()(uint256)")),
            fork.read(Call(row["debt_token"], "scaledTotalSupply()(uint256)")),
            supply[0],
            supply[2],
            supply[3],
            fork.balance(row["token"], row["a_token"]),
            fork.read(Call(row["a_token"], "scaledBalanceOf(address)(uint256)", (treasury,))),
        )


def test_liquidations_in_a_crash_do_what_the_contracts_do(
    deployed: Deployed, market: AaveV2Market, contracts: OnFork, snapshot: Snapshot
) -> None:
    random = Random(7)
    feeds = {row["token"]: row["feed"] for row in snapshot.tables["oracles"].rows()}
    symbol_of = {deployed.chain.reserves[symbol].address.lower(): symbol for symbol in RESERVES_V2}
    done = whole_collateral = stable = refused = 0
    for step, fall in enumerate((0.97, 0.82, 0.6, 0.35), start=1):
        now = snapshot.timestamp + step * 5 * HOUR
        market.advance(now)
        contracts.fork.set_time(now)
        for reserve, token in enumerate(market.tokens):
            if reserve != market.numeraire:
                volatile = symbol_of[token] in ("WBTC", "LINK")
                price = int(price_in_ether(symbol_of[token]) * (fall if volatile else 1 / fall))
                market.set_price(reserve, price)
                contracts.set_price(feeds[token], price)
        for account, address in enumerate(market.accounts):
            for offer in market.offers(account):
                amount = random.choice((1, offer.most_raw, 2**128, random.randint(1, offer.most_raw)))
                _, before = market.state()
                terms = market.terms(offer, amount)
                assert market.settle(offer, amount).terms == terms
                tokens = market.tokens[offer.collateral], market.tokens[offer.debt]
                if terms.refusal:
                    with pytest.raises(Reverted) as reverted:
                        contracts.liquidate(*tokens, address, amount)
                    assert terms.refusal.encode().hex() in reverted.value.output
                    refused += 1
                    continue
                real = contracts.liquidate(*tokens, address, amount)
                assert (terms.repaid_raw, terms.received_raw, terms.fee_raw) == real
                _, after = market.state()
                done += 1
                whole_collateral += before.collateral != after.collateral
                stable += before.stable_principal_raw != after.stable_principal_raw
        agrees(market, contracts, snapshot)
    assert min(done // 60, whole_collateral, stable // 5, refused) >= 1, "each must occur for the test to say much"


def test_a_healthy_account_is_refused_by_the_rules_and_by_the_contract(market: AaveV2Market, contracts: OnFork) -> None:
    _, positions = market.state()
    debt = next(r for r, scaled in zip(positions.reserve, positions.debt_scaled, strict=True) if scaled)
    collateral = next(r for r, used in zip(positions.reserve, positions.collateral, strict=True) if used)
    assert market.terms(Offer(0, collateral, debt, 1), 10**9).refusal == "42"
    with pytest.raises(Reverted) as reverted:
        contracts.liquidate(market.tokens[collateral], market.tokens[debt], market.accounts[0], 10**9)
    assert b"42".hex() in reverted.value.output
