"""Aave v3.0 on a real pool: what the reader brings is what the contracts say, and what the rules do is what they do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from chain.calls import Call, read
from chain.fork import Fork, Reverted
from chain.node import Node
from chain.snapshot import Snapshot
from fixtures.localchain import LocalChain, local_chain
from fixtures.localchain.aave_v3_0 import CATEGORY, EMODE, RESERVES_V30, AaveV30, deploy_aave_v3_0
from fixtures.localchain.market import RESERVES
from fixtures.localchain.sender import Sender
from protocols.lending.aave_v3.market import AaveV3Market
from protocols.lending.aave_v3.onfork import OnFork
from protocols.lending.aave_v3.tables import load
from protocols.snapshot import take_snapshot

pytestmark = [pytest.mark.localchain, pytest.mark.xdist_group("localchain")]
ACCOUNT_DATA = "getUserAccountData(address)(uint256,uint256,uint256,uint256,uint256,uint256)"
RESERVE_DATA = (
    "getReserveData(address)"
    "(uint256,uint128,uint128,uint128,uint128,uint128,uint40,uint16,address,address,address,address,uint128,uint128,uint128)"
)
HOUR = 3600


class Deployed(NamedTuple):
    """The market, the chain it is on, and the block to read."""

    chain: LocalChain
    market: AaveV30
    block: int


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    """The market beside a small book of v3.6."""
    with local_chain(accounts=24) as chain:
        sender = Sender(chain.node, chain.node.call("eth_accounts")[1], chain.timestamp)
        market = deploy_aave_v3_0(sender, chain.reserves)
        yield Deployed(chain, market, int(chain.node.call("eth_blockNumber"), 16))


@pytest.fixture(scope="module")
def node(deployed: Deployed) -> Node:
    return Node(deployed.chain.url, cache_dir=None)


@pytest.fixture(scope="module")
def snapshot(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Taken through a node of its own, so that its requests can be counted."""
    path: Path = tmp_path_factory.mktemp("book") / "deployments.toml"
    path.write_text(
        f'[[deployment]]\nchain_id = {deployed.chain.chain_id}\nname = "aave-v3-0"\nfamily = "lending"\n'
        f'protocol = "aave_v3"\naddresses = {{ provider = "{deployed.market.addresses_provider}" }}\n'
    )
    counted = Node(deployed.chain.url, cache_dir=None)
    taken = take_snapshot(counted, deployed.block, deployments=path)
    assert counted.http_requests <= 25
    assert counted.rpc_calls <= 200
    return taken


@pytest.fixture
def market(snapshot: Snapshot) -> AaveV3Market:
    return load(snapshot)[0]


def test_the_version_is_found_out_from_the_pool(market: AaveV3Market) -> None:
    assert (market.version, market.caveat) == ("3.0", "")


def test_every_account_with_debt_is_found_and_no_other(deployed: Deployed, node: Node, market: AaveV3Market) -> None:
    accounts = deployed.market.accounts
    answers = read(node, node.pin(deployed.block), [Call(deployed.market.pool, ACCOUNT_DATA, (a,)) for a in accounts])
    in_debt = {a.lower() for a, answer in zip(accounts, answers, strict=True) if answer[1]}
    assert set(market.accounts) == in_debt
    assert len(in_debt) < len(accounts), "some accounts of the fixture repaid everything, others never borrowed"


def test_account_data_equals_the_contract_for_every_account(
    deployed: Deployed, node: Node, market: AaveV3Market
) -> None:
    block = node.pin(deployed.block)
    answers = read(node, block, [Call(deployed.market.pool, ACCOUNT_DATA, (a,)) for a in market.accounts])
    assert [tuple(market.account_data(row)) for row in range(len(market.accounts))] == answers


def test_reserves_carry_their_parameters(deployed: Deployed, snapshot: Snapshot) -> None:
    rows = {row["token"]: row for row in snapshot.tables["aave_v3.reserves"].rows()}
    for symbol, expected in RESERVES_V30.items():
        row = rows[deployed.chain.reserves[symbol].address.lower()]
        found = (row["ltv_bps"], row["threshold_bps"], row["bonus_bps"], row["reserve_factor_bps"], row["fee_bps"])
        assert found == (expected.ltv, expected.threshold, expected.bonus, expected.factor, expected.fee)
        rates = (row["optimal_usage_ray"], row["base_rate_ray"], row["slope1_ray"], row["slope2_ray"])
        assert rates == tuple(
            bps * 10**23 for bps in (expected.optimal, expected.base, expected.slope1, expected.slope2)
        )
        assert row["debt_ceiling"] == expected.ceiling
        assert bool(row["isolated_debt"]) == bool(expected.ceiling)


def test_the_category_has_its_parameters_and_members(deployed: Deployed, snapshot: Snapshot) -> None:
    (category,) = snapshot.tables["aave_v3.emodes"].rows()
    assert (category["category"], category["label"]) == (CATEGORY, EMODE.label)
    assert (category["ltv_bps"], category["threshold_bps"], category["bonus_bps"]) == (
        EMODE.ltv,
        EMODE.threshold,
        EMODE.bonus,
    )
    members = {row["token"] for row in snapshot.tables["aave_v3.emode_reserves"].rows() if row["collateral"]}
    assert members == {deployed.chain.reserves[symbol].address.lower() for symbol in EMODE.collateral}
    assert set(snapshot.tables["aave_v3.accounts"].ints("emode")) == {0, CATEGORY}


# --- what the rules do ------------------------------------------------------------------------------------------


@pytest.fixture
def contracts(deployed: Deployed, node: Node, snapshot: Snapshot) -> OnFork:
    block = node.pin(deployed.block)
    fork = Fork(
        node.url, block_hash=block.hash, number=block.number, timestamp=block.timestamp, chain_id=block.chain_id
    )
    return OnFork(snapshot.markets[0], fork)


def agrees(market: AaveV3Market, contracts: OnFork, snapshot: Snapshot) -> None:
    """Assert that every account's data and every reserve's state are the contracts'."""
    fork, pool = contracts.fork, contracts.pool
    answers = fork.read_all([Call(pool, ACCOUNT_DATA, (account,)) for account in market.accounts])
    assert [tuple(market.account_data(row)) for row in range(len(market.accounts))] == answers
    reserves, _ = market.state()
    for r, row in enumerate(snapshot.tables["aave_v3.reserves"].rows()):
        data = fork.read(Call(pool, RESERVE_DATA, (row["token"],)))
        treasury = fork.read(Call(row["a_token"], "RESERVE_TREASURY_ADDRESS()(address)"))
        assert (
            reserves.liquidity_index_ray[r],
            reserves.liquidity_rate_ray[r],
            reserves.borrow_index_ray[r],
            reserves.borrow_rate_ray[r],
            reserves.last_update[r],
            reserves.treasury_accrued_scaled[r],
            reserves.isolated_debt[r],
            reserves.supply_scaled[r],
            reserves.debt_scaled[r],
            reserves.liquidity_raw[r],
            reserves.treasury_scaled[r],
        ) == (
            *(data[i] for i in (1, 2, 3, 4, 6, 12, 14)),
            fork.read(Call(row["a_token"], "scaledTotalSupply()(uint256)")),
            fork.read(Call(row["debt_token"], "scaledTotalSupply()(uint256)")),
            fork.balance(row["token"], row["a_token"]),
            fork.read(Call(row["a_token"], "scaledBalanceOf(address)(uint256)", (treasury,))),
        )


def test_liquidations_in_a_crash_do_what_the_contracts_do(
    deployed: Deployed, market: AaveV3Market, contracts: OnFork, snapshot: Snapshot
) -> None:
    random = Random(11)
    feeds = {row["token"]: row["feed"] for row in snapshot.tables["oracles"].rows()}
    symbol_of = {deployed.chain.reserves[symbol].address.lower(): symbol for symbol in RESERVES_V30}
    emodes = snapshot.tables["aave_v3.accounts"].ints("emode")
    done = whole_collateral = in_emode = isolated = refused = 0
    for step, fall in enumerate((0.96, 0.8, 0.6, 0.3), start=1):
        now = snapshot.timestamp + step * 5 * HOUR
        market.advance(now)
        contracts.fork.set_time(now)
        for reserve, token in enumerate(market.tokens):
            # Staked ether falls more than ether does, and the dollar of one coin is not that of the other.
            share = {"WETH": fall, "WBTC": fall, "DOT": fall, "wstETH": fall**1.2, "DAI": 1.01}.get(symbol_of[token], 1)
            price = int(RESERVES[symbol_of[token]].price_raw * share)
            market.set_price(reserve, price)
            contracts.set_price(feeds[token], price)
        for account, address in enumerate(market.accounts):
            for offer in market.offers(account):
                amount = random.choice((1, offer.most_raw, 2**128, random.randint(1, offer.most_raw)))
                before = market.state()
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
                after = market.state()
                done += 1
                whole_collateral += before[1].collateral != after[1].collateral
                isolated += before[0].isolated_debt != after[0].isolated_debt
                in_emode += emodes[account] == CATEGORY
        agrees(market, contracts, snapshot)
    assert contracts.deficit(market.tokens[0]) == 0
    assert not any(market.deficits_raw()), "before 3.3 nothing is written off"
    assert min(done // 40, whole_collateral, in_emode, isolated, refused) >= 1, (
        "each must occur for the test to say much"
    )
