"""What the reader brings from a real pool is what the pool's own contracts say."""

from __future__ import annotations

import pytest

from chain.calls import Call, read
from chain.node import Node
from chain.snapshot import Snapshot
from fixtures.localchain import LocalChain
from fixtures.localchain.market import RESERVES
from protocols.lending.aave_v3.market import AaveV3Market
from protocols.lending.aave_v3.tables import load
from protocols.snapshot import take_snapshot
from tests.deployments import write_deployments

pytestmark = pytest.mark.localchain
ACCOUNT_DATA = "getUserAccountData(address)(uint256,uint256,uint256,uint256,uint256,uint256)"


@pytest.fixture(scope="module")
def node(chain: LocalChain) -> Node:
    return Node(chain.url, cache_dir=None)


@pytest.fixture(scope="module")
def snapshot(chain: LocalChain, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Taken through a node of its own, so that its requests can be counted."""
    deployments = write_deployments(chain, tmp_path_factory.mktemp("book") / "deployments.toml")
    counted = Node(chain.url, cache_dir=None)
    taken = take_snapshot(counted, chain.block, deployments=deployments)
    assert counted.http_requests <= 25
    assert counted.rpc_calls <= 200
    return taken


@pytest.fixture(scope="module")
def market(snapshot: Snapshot) -> AaveV3Market:
    return load(snapshot)[0]


def test_the_version_is_found_out_from_the_pool(market: AaveV3Market) -> None:
    assert market.version == "3.6"
    assert market.caveat == ""


def test_every_account_with_debt_is_found_and_no_other(chain: LocalChain, node: Node, market: AaveV3Market) -> None:
    block = node.pin(chain.block)
    answers = read(node, block, [Call(chain.market.pool, ACCOUNT_DATA, (a,)) for a in chain.accounts])
    in_debt = {a.lower() for a, answer in zip(chain.accounts, answers, strict=True) if answer[1]}
    assert set(market.accounts) == in_debt
    assert len(in_debt) < len(chain.accounts), "some accounts of the fixture repaid everything"


def test_account_data_equals_the_contract_for_every_account(
    chain: LocalChain, node: Node, market: AaveV3Market
) -> None:
    answers = read(node, node.pin(chain.block), [Call(chain.market.pool, ACCOUNT_DATA, (a,)) for a in market.accounts])
    for row, answer in enumerate(answers):
        assert tuple(market.account_data(row)) == answer
        assert market.health_raw(row) == answer[5]


def test_balances_equal_the_contracts_for_every_account_and_reserve(
    chain: LocalChain, node: Node, snapshot: Snapshot
) -> None:
    table = snapshot.tables["aave_v3.positions"]
    known = {(row["account"], row["token"]): row for row in table.rows()}
    accounts = snapshot.tables["aave_v3.accounts"].texts("account")
    keys = [(account, listing) for account in accounts for listing in chain.reserves.values()]
    signature = "scaledBalanceOf(address)(uint256)"
    calls = [Call(listing.a_token, signature, (account,)) for account, listing in keys]
    calls += [Call(listing.debt_token, signature, (account,)) for account, listing in keys]
    answers = read(node, node.pin(chain.block), calls, bundle=1000)
    pairs = zip(keys, answers[: len(keys)], answers[len(keys) :], strict=True)
    for (account, listing), supplied, owed in pairs:
        row = known.get((account, listing.address.lower()), {"supplied_scaled": 0, "debt_scaled": 0})
        assert (row["supplied_scaled"], row["debt_scaled"]) == (supplied, owed)


def test_prices_symbols_and_decimals_are_those_of_the_chain(chain: LocalChain, snapshot: Snapshot) -> None:
    tokens = {row["token"]: row for row in snapshot.tables["tokens"].rows()}
    oracles = {row["token"]: row for row in snapshot.tables["oracles"].rows()}
    for symbol, listing in chain.reserves.items():
        address = listing.address.lower()
        assert tokens[address]["symbol"] == symbol
        assert tokens[address]["decimals"] == RESERVES[symbol].decimals
        assert oracles[address]["price_raw"] == RESERVES[symbol].price_raw
        assert oracles[address]["feed"] == listing.feed.lower()
        assert 0 < oracles[address]["published_at"] <= snapshot.timestamp


def test_reserves_carry_their_parameters(chain: LocalChain, snapshot: Snapshot) -> None:
    rows = {row["token"]: row for row in snapshot.tables["aave_v3.reserves"].rows()}
    for symbol, listing in chain.reserves.items():
        row, expected = rows[listing.address.lower()], RESERVES[symbol]
        assert (row["ltv_bps"], row["threshold_bps"], row["bonus_bps"]) == (
            expected.ltv,
            expected.threshold,
            expected.bonus,
        )
        assert (row["reserve_factor_bps"], row["fee_bps"]) == (expected.factor, expected.fee)
        assert row["optimal_usage_ray"] == expected.optimal * 10**23
        assert bool(row["debt_ceiling"]) == expected.isolated
        assert row["supply_cap"] > 0
        assert row["borrow_cap"] > 0


def test_pools_have_their_state(chain: LocalChain, node: Node, snapshot: Snapshot) -> None:
    block = node.pin(chain.block)
    v3 = {row["pool"]: row for row in snapshot.tables["uniswap_v3.pools"].rows()}
    v2 = {row["pool"]: row for row in snapshot.tables["uniswap_v2.pools"].rows()}
    assert {a.lower() for e, a in chain.pools.items() if e.fee} == set(v3)
    assert {a.lower() for e, a in chain.pools.items() if not e.fee} == set(v2)
    ticks = snapshot.tables["uniswap_v3.ticks"]
    for pool, row in v3.items():
        (liquidity,) = read(node, block, [Call(pool, "liquidity()(uint128)")])
        assert row["liquidity"] == liquidity
        own = ticks.where("pool", pool).rows()
        assert sum(tick["liquidity_net"] for tick in own) == 0
        assert sum(tick["liquidity_net"] for tick in own if tick["tick"] <= row["tick"]) == liquidity
