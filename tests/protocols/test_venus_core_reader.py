"""Venus on a real core pool: what the reader brings is what the contracts say, and the rules do what they do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chain.calls import Call, read
from chain.errors import UnsupportedError
from chain.fork import Fork, Reverted
from chain.node import Block, Node
from chain.snapshot import CLAIMS, Snapshot
from fixtures.localchain import LocalChain, local_chain, undone
from fixtures.localchain.sender import Sender
from fixtures.localchain.venus import BPS, MAJORS, MARKETS, POOLS, STABLECOINS, TREASURY_SHARE, Venus, deploy_venus
from protocols.lending.compound_v2.balances import debt_of, exchange_rate
from protocols.lending.compound_v2.interest import borrow_rate
from protocols.lending.interface import Offer
from protocols.lending.venus_core.market import VenusCoreMarket
from protocols.lending.venus_core.onfork import OnFork
from protocols.lending.venus_core.tables import load
from protocols.snapshot import take_snapshot
from protocols.tokens.reader import walk_claims
from protocols.walking import walked
from simulator.book import read as read_snapshot
from simulator.verify import verify
from tests.crashes import crash

pytestmark = pytest.mark.localchain
LIQUIDITY = "getAccountLiquidity(address)(uint256,uint256,uint256)"
CRASH = ["WETH=-30%", "WBTC=-22%", "SOL=-50%", "USDC=-4%"]


class Deployed(NamedTuple):
    """The core pool, the chain it is on, its address book, and the block to read."""

    chain: LocalChain
    venus: Venus
    time: int
    deployments: Path
    block: int


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The core pool beside a small book of Aave, whose tokens and exchanges it shares."""
    with local_chain(accounts=24) as chain:
        sender = Sender(chain.node, chain.node.call("eth_accounts")[3], chain.timestamp)
        venus = deploy_venus(sender, chain.reserves)
        path = tmp_path_factory.mktemp("venus") / "deployments.toml"
        entries = [
            ("venus", "lending", "venus_core", "comptroller", venus.comptroller),
            ("uniswap-v2", "amm", "uniswap_v2", "factory", chain.factories["v2"]),
            ("uniswap-v3", "amm", "uniswap_v3", "factory", chain.factories["v3"]),
        ]
        path.write_text(
            "\n".join(
                f'[[deployment]]\nchain_id = {chain.chain_id}\nname = "{name}"\nfamily = "{family}"\n'
                f'protocol = "{protocol}"\naddresses = {{ {role} = "{address}" }}\n'
                for name, family, protocol, role, address in entries
            )
        )
        yield Deployed(chain, venus, sender.time, path, int(chain.node.call("eth_blockNumber"), 16))


@pytest.fixture(scope="module")
def node(deployed: Deployed) -> Node:
    return Node(deployed.chain.url, cache_dir=None)


@pytest.fixture(scope="module")
def block(deployed: Deployed, node: Node) -> Block:
    return node.pin(deployed.block)


@pytest.fixture(scope="module")
def snapshot(deployed: Deployed, node: Node) -> Snapshot:
    return take_snapshot(node, deployed.block, deployments=deployed.deployments)


@pytest.fixture(scope="module")
def market(snapshot: Snapshot) -> VenusCoreMarket:
    return load(snapshot)[0]


def test_a_claim_on_a_market_is_worth_its_stored_rate_and_the_market_owes_it(
    deployed: Deployed, node: Node, block: Block, snapshot: Snapshot
) -> None:
    symbols = {row["token"]: row["symbol"] for row in snapshot.tables["tokens"].rows()}
    tokens = symbols | {claim.lower(): f"v{symbol}" for symbol, claim in deployed.venus.markets.items()}
    walk = walk_claims(block.chain_id, tokens, snapshot.markets, "")
    claims = {row["token"]: row for row in walked(node, block, walk)[CLAIMS]}
    assert claims.keys() == tokens.keys() - symbols.keys()
    for token, row in claims.items():
        names = ("exchangeRateStored", "totalSupply", "getCash", "totalBorrows", "totalReserves")
        rate, supply, cash, borrows, reserves = read(node, block, [Call(token, f"{n}()(uint256)") for n in names])
        assert f"v{symbols[row['underlying']]}" == tokens[token]
        assert (row["kind"], row["issuer"], row["losses"]) == ("compound_v2", "venus", "at withdrawal")
        assert row["amount_raw"] == rate * 10**8 // 10**18 > 0
        assert (row["supply_raw"], row["backing_raw"]) == (supply, cash + borrows - reserves)


def test_the_version_is_found_out_from_the_contracts(market: VenusCoreMarket) -> None:
    assert (market.version, market.caveat) == ("10.3", "")


def test_every_account_with_debt_is_found_and_no_other(
    deployed: Deployed, node: Node, block: Block, market: VenusCoreMarket
) -> None:
    debt = "borrowBalanceStored(address)(uint256)"
    pairs = [(a.lower(), v_token) for a in deployed.venus.accounts for v_token in deployed.venus.markets.values()]
    answers = read(node, block, [Call(v_token, debt, (account,)) for account, v_token in pairs])
    assert set(market.accounts) == {account for (account, _), owed in zip(pairs, answers, strict=True) if owed}
    assert len(market.accounts) < len(deployed.venus.accounts), "some accounts of the fixture repaid everything"


def test_liquidity_is_the_comptrollers_for_every_account_in_every_pool(
    deployed: Deployed, node: Node, block: Block, market: VenusCoreMarket
) -> None:
    answers = read(node, block, [Call(deployed.venus.comptroller, LIQUIDITY, (a,)) for a in market.accounts])
    assert [(0, max(h, 0), max(-h, 0)) for h in map(market.health_raw, range(len(market.accounts)))] == answers
    _, positions = market.state()
    assert set(positions.pool) == {0, STABLECOINS, MAJORS}


def test_balances_equal_the_contracts_for_every_account_and_market(
    deployed: Deployed, node: Node, block: Block, market: VenusCoreMarket
) -> None:
    markets, positions = market.state()
    v_tokens = list(deployed.venus.markets.values())
    for account, address in enumerate(market.accounts):
        calls = [Call(v, "getAccountSnapshot(address)(uint256,uint256,uint256,uint256)", (address,)) for v in v_tokens]
        calls += [
            Call(deployed.venus.comptroller, "checkMembership(address,address)(bool)", (address, v)) for v in v_tokens
        ]
        answers = read(node, block, calls)
        entries = {positions.market[e]: e for e in range(*positions.offsets[account : account + 2])}
        for m, ((_, claims, debt, rate), entered) in enumerate(zip(answers[:5], answers[5:], strict=True)):
            assert exchange_rate(markets, m) == rate
            if m in entries:
                found = (
                    positions.claims[entries[m]],
                    debt_of(markets, positions, entries[m]),
                    positions.entered[entries[m]],
                )
                assert found == (claims, debt, entered)
            else:
                assert (claims, debt, entered) == (0, 0, False)


def test_markets_carry_their_parameters_and_rates(
    deployed: Deployed, node: Node, block: Block, snapshot: Snapshot, market: VenusCoreMarket
) -> None:
    rows = {row["claim_token"]: row for row in snapshot.tables["venus_core.markets"].rows()}
    markets, _ = market.state()
    v_tokens = [v_token.lower() for v_token in deployed.venus.markets.values()]
    rates = read(node, block, [Call(v_token, "borrowRatePerBlock()(uint256)") for v_token in v_tokens])
    assert [borrow_rate(markets, m) for m in range(5)] == rates
    assert len(set(rates)) == 5
    for symbol, v_token in zip(MARKETS, v_tokens, strict=True):
        assert rows[v_token]["reserve_factor_wad"] == MARKETS[symbol].reserve_factor * BPS
        assert rows[v_token]["reduce_blocks"] == MARKETS[symbol].reduced_after
        assert rows[v_token]["token"] == deployed.chain.reserves[symbol].address.lower()
    terms = {(row["pool"], row["token"]): row for row in snapshot.tables["venus_core.pool_markets"].rows()}
    own = {(0, s): (m.factor, m.threshold, m.incentive) for s, m in MARKETS.items()}
    own |= {(number, s): numbers for number, (_, _, pool) in POOLS.items() for s, numbers in pool.items()}
    assert len(terms) == len(own)
    for (number, symbol), numbers in own.items():
        row = terms[number, deployed.chain.reserves[symbol].address.lower()]
        assert (row["ltv_wad"], row["threshold_wad"], row["incentive_wad"]) == tuple(n * BPS for n in numbers)
    labels = [(row["label"], row["active"]) for row in snapshot.tables["venus_core.pools"].rows()]
    assert labels == [("Core", True), ("Stablecoins", True), ("Majors", True)]
    (settings,) = snapshot.tables["venus_core.settings"].rows()
    assert (settings["treasury_share_wad"], settings["liquidator_only"]) == (TREASURY_SHARE * BPS, True)


def test_a_snapshot_on_disk_is_the_same_market(snapshot: Snapshot, market: VenusCoreMarket, tmp_path: Path) -> None:
    snapshot.write(tmp_path / "snapshot")
    (again,) = load(read_snapshot(tmp_path / "snapshot"))
    assert again.state() == market.state()
    assert [again.health_raw(a) for a in range(len(again.accounts))] == [
        market.health_raw(a) for a in range(len(market.accounts))
    ]


def test_a_crash_agrees_with_the_contracts_in_every_integer(deployed: Deployed, snapshot: Snapshot) -> None:
    run = crash(snapshot, CRASH, over_s=12_000, steps=20, step_s=600)
    rows = run.tables["liquidations"].rows()
    assert len({row["account"] for row in rows}) >= 8
    assert len({row["collateral"] for row in rows}) >= 2
    assert all(row["claim_raw"] and row["fee_raw"] for row in rows)
    sol = deployed.chain.reserves["SOL"].address.lower()
    assert any(row["collateral"] == sol for row in rows)
    found = verify(run, deployed.chain.url)
    assert {check.what: check.examples for check in found.checks.values() if check.disagreements} == {}
    assert found.liquidations == len(rows)


@pytest.fixture
def fork(deployed: Deployed, node: Node, block: Block) -> Fork:
    return Fork(
        node.url, block_hash=block.hash, number=block.number, timestamp=block.timestamp, chain_id=block.chain_id
    )


def test_everything_that_may_be_offered_is_what_the_contracts_do(
    snapshot: Snapshot, market: VenusCoreMarket, fork: Fork
) -> None:
    """Every account under a crash, each of its offers at its most, and one unit more."""
    contracts = OnFork(next(iter(snapshot.markets)), fork)
    feeds = {row["token"]: row["feed"] for row in snapshot.tables["oracles"].rows()}
    (own,) = load(snapshot)
    for reserve, (token, share) in enumerate(zip(own.tokens, (70, 78, 97, 99, 61), strict=True)):
        price = own.price_raw(reserve) * share // 100
        own.set_price(reserve, price)
        contracts.set_price(feeds[token], price)
    own.advance(snapshot.timestamp + 5_000)
    fork.set_time(snapshot.timestamp + 5_000)
    said = {own.accounts[a]: own.health_raw(a) for a in range(len(own.accounts)) if own.is_liquidatable(a)}
    assert contracts.liquidatable(own.accounts) == said
    assert 5 < len(said) < len(own.accounts)
    done = 0
    for account in range(len(own.accounts)):
        for offer in own.offers(account):
            where = own.tokens[offer.collateral], own.tokens[offer.debt], own.accounts[account]
            refusal = own.terms(offer, offer.most_raw + 1).refusal
            assert refusal
            if refusal != "math error":  # of the redemption, which comes after a liquidation that succeeds
                with pytest.raises(Reverted):
                    contracts.liquidate(*where, offer.most_raw + 1)
            terms = own.terms(offer, offer.most_raw)
            if terms.refusal:
                continue
            own.settle(offer, offer.most_raw)
            assert contracts.liquidate(*where, offer.most_raw) == (terms.repaid_raw, terms.received_raw, terms.fee_raw)
            done += 1
    assert done > 10


def test_a_debt_whose_liquidation_is_forced_is_open_to_all(
    deployed: Deployed, node: Node, market: VenusCoreMarket
) -> None:
    """Set on the chain, and taken back."""
    chain, comptroller = deployed.chain, deployed.venus.comptroller
    account = next(a for a in range(len(market.accounts)) if market.state()[1].pool[a] == MAJORS)
    address = market.accounts[account]
    with undone(chain.node):
        sender = Sender(chain.node, chain.node.call("eth_accounts")[5], deployed.time)
        target = address, deployed.venus.markets["WBTC"], True
        sender.send(comptroller, "_setForcedLiquidationForUser(address,address,bool)", *target)
        sender.send(comptroller, "_setForcedLiquidation(address,bool)", deployed.venus.markets["SOL"], True)
        sender.mine()
        number = int(chain.node.call("eth_blockNumber"), 16)
        fresh = Node(chain.url, cache_dir=None)
        taken = take_snapshot(fresh, number, deployments=deployed.deployments)
        (own,) = load(taken)
        found = fresh.pin(number)
        fork = Fork(fresh.url, block_hash=found.hash, number=number, timestamp=found.timestamp, chain_id=found.chain_id)
        contracts = OnFork(next(iter(taken.markets)), fork)
        own.advance(taken.timestamp + 600)
        fork.set_time(taken.timestamp + 600)
        said = {own.accounts[a]: own.health_raw(a) for a in own.open_accounts()}
        assert contracts.liquidatable(own.accounts) == said
        assert said[address] > 0
        assert len(said) == 2, "and the founder, who owes SOL"
        offer: Offer = max(own.offers(account), key=lambda one: one.most_raw)
        terms = own.settle(offer, offer.most_raw).terms
        where = own.tokens[offer.collateral], own.tokens[offer.debt], address
        assert contracts.liquidate(*where, offer.most_raw) == (terms.repaid_raw, terms.received_raw, terms.fee_raw)


def test_a_rate_model_of_no_known_kind_is_refused_by_name(
    deployed: Deployed, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(answers: Any) -> None:
        return None

    monkeypatch.setattr("protocols.lending.compound_v2.reader.answered", nothing)
    with pytest.raises(UnsupportedError, match="interest rate model 0x"):
        take_snapshot(node, deployed.block, deployments=deployed.deployments, names=["venus"])
