"""The Aave v3 market that the engine steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import InputError, UnsupportedError
from protocols.arithmetic import max_uint256
from protocols.lending.aave_v3.market import AaveV3Market
from protocols.lending.aave_v3.versions import UNVERIFIED, VERSIONS
from protocols.lending.interface import LendingMarket, Offer
from tests.protocols.aave_v3_pools import ALL_VERSIONS, NOW, random_pool, simple_pool
from tests.vectors.aave_v3_pool import Pool, show_position

ETH, USDC, DAI = 0, 1, 2
DATA = Path(__file__).parent.parent / "vectors" / "data"


def market_of(pool: Pool, version: str | None = None) -> AaveV3Market:
    accounts = [f"account {number}" for number in range(len(pool.positions.emode))]
    name = version or pool.version.name
    return AaveV3Market("pool", name, accounts, pool.symbols, pool.reserves, pool.emodes, pool.positions, NOW)


seeds = st.integers(0, 2**40)
versions = st.sampled_from(ALL_VERSIONS)


def test_it_is_a_lending_market() -> None:
    market: LendingMarket = market_of(simple_pool("3.6", 10**18, 10**9))
    assert (market.protocol, market.version, market.price_unit(0)) == ("aave_v3", "3.6", 10**8)


def test_a_version_without_rules_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"3\.8"):
        market_of(simple_pool("3.6", 10**18, 10**9), "3.8")


def test_a_version_is_unverified_exactly_where_no_recorded_answers_lie() -> None:
    for name, version in VERSIONS.items():
        caveat = market_of(simple_pool(name, 10**18, 10**9)).caveat
        if version.verified_by == UNVERIFIED:
            assert "unverified" in caveat
            assert not (DATA / f"aave_v3_{name[2:]}.json.gz").exists()
        else:
            assert not caveat
            assert all((DATA / f"{file}.json.gz").exists() for file in version.verified_by.split(", "))


def test_a_category_with_its_own_price_is_refused() -> None:
    pool = random_pool(1, "3.0")
    pool.emodes.price_raw[1] = 10**8
    with pytest.raises(UnsupportedError, match="category 1"):
        market_of(pool)


def test_time_does_not_go_back() -> None:
    with pytest.raises(InputError, match="cannot go back"):
        market_of(simple_pool("3.6", 10**18, 10**9)).advance(NOW - 1)


def test_state_that_does_not_fit_the_accounts_is_refused() -> None:
    pool = simple_pool("3.6", 10**18, 10**9)
    with pytest.raises(InputError, match="0 accounts"):
        AaveV3Market("pool", "3.6", [], pool.symbols, pool.reserves, pool.emodes, pool.positions, NOW)


@settings(max_examples=40, deadline=None)
@given(seeds, versions)
def test_the_most_that_is_offered_is_accepted_and_more_gives_no_more(seed: int, version: str) -> None:
    market = market_of(random_pool(seed, version))
    for account in range(len(market.accounts)):
        for offer in market.offers(account):
            most = market.terms(offer, offer.most_raw)
            assert not most.refusal
            assert 0 < most.repaid_raw <= offer.most_raw < max_uint256()
            for more in (offer.most_raw + 1, offer.most_raw * 2, max_uint256()):
                terms = market.terms(offer, more)
                assert terms.received_raw <= most.received_raw


@settings(max_examples=40, deadline=None)
@given(seeds, versions)
def test_settling_keeps_to_the_terms(seed: int, version: str) -> None:
    market = market_of(random_pool(seed, version))
    for account in range(len(market.accounts)):
        for offer in market.offers(account):
            terms = market.terms(offer, offer.most_raw)
            before = market.deficits_raw()
            settlement = market.settle(offer, offer.most_raw)
            assert settlement.terms == terms
            grown = {r: now - was for r, (was, now) in enumerate(zip(before, market.deficits_raw(), strict=True))}
            assert dict(settlement.deficits_raw) == {r: amount for r, amount in grown.items() if amount}


def test_terms_and_refused_settlements_change_nothing() -> None:
    market = market_of(simple_pool("3.6", 2 * 10**18, 5_000 * 10**6))
    offer, before = Offer(0, ETH, USDC, 0), market.state()
    market.terms(offer, 10**9)
    assert market.settle(offer, 3_809 * 10**6).terms.refusal == "MustNotLeaveDust()"
    assert market.state() == before


def test_where_the_close_factor_would_leave_dust_less_is_offered() -> None:
    pool = simple_pool("3.6", 10**18, 2_050 * 10**6, others={"dai_debt": 100 * 10**18})
    pool.reserves.price_raw[ETH] = 2_650 * 10**8
    market = market_of(pool)
    assert 95 * 10**16 < market.health_raw(0) < 10**18
    assert market.terms(Offer(0, ETH, USDC, 0), max_uint256()).refusal
    (offer,) = [offer for offer in market.offers(0) if offer.debt == USDC]
    left = pool.positions.debt_scaled[USDC] - offer.most_raw
    assert left * 0.99998765 / 10**6 == pytest.approx(1_000, abs=1e-5)


def test_cash_bounds_what_is_offered() -> None:
    pool = simple_pool("3.6", 20 * 10**18, 60_000 * 10**6)
    pool.reserves.liquidity_raw[ETH] = 3 * 10**18
    market = market_of(pool)
    (offer,) = market.offers(0)
    received = market.terms(offer, offer.most_raw).received_raw
    assert received == pytest.approx(3 * 10**18, rel=1e-9)
    assert received <= 3 * 10**18


@settings(max_examples=40, deadline=None)
@given(seeds, versions)
def test_exposures_are_the_exact_positions_within_a_billionth(seed: int, version: str) -> None:
    pool = random_pool(seed, version)
    market = market_of(pool)
    for account in range(len(market.accounts)):
        for offer in market.offers(account)[:1]:
            market.settle(offer, offer.most_raw)
    market.advance(NOW + 10_000)
    pool.reserves, pool.positions = market.state()
    indices, seen = pool.indices(NOW + 10_000), market.exposures()
    for entry, r in enumerate(pool.positions.reserve):
        shown = show_position(pool, entry, indices)
        unit = pool.reserves.unit[r]
        assert seen.supplied[entry] * unit == pytest.approx(shown["aToken_balance"], rel=1e-9, abs=1)
        assert seen.debt[entry] * unit == pytest.approx(shown["vToken_balance"], rel=1e-9, abs=1)
        assert bool(seen.threshold[entry]) == shown["usingAsCollateral"]
    values = np.array(pool.reserves.price_raw, dtype=float)[seen.reserve] / 1e8
    for account in range(len(market.accounts)):
        span = slice(seen.offsets[account], seen.offsets[account + 1])
        data = market.account_data(account)
        columns = (pool.positions.supplied_scaled[span], pool.positions.debt_scaled[span])
        fine = min((amount for column in columns for amount in column if amount), default=0) > 10**8
        if fine and data.debt > 10**10:
            health = (seen.supplied * values * seen.threshold)[span].sum() / (seen.debt * values)[span].sum()
            assert health == pytest.approx(data.health_factor / 1e18, rel=1e-3 if version < "3.5" else 1e-7)
