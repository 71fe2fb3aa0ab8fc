"""The Aave v2 market that the engine steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import InputError, UnsupportedError
from protocols.arithmetic import max_uint256
from protocols.lending.aave_v2.market import AaveV2Market
from protocols.lending.aave_v2.rates import stable_balance
from protocols.lending.aave_v2.rules import supplied_balance, variable_debt
from protocols.lending.aave_v2.versions import VERSIONS
from protocols.lending.interface import LendingMarket, Offer
from tests.protocols.aave_v2_pools import ETH, ETHER, NOW, USDC, market_of, random_pool, simple_pool

DATA = Path(__file__).parent.parent / "vectors" / "data"
seeds = st.integers(0, 2**40)


def test_prices_are_in_ether_which_is_a_token_of_the_market() -> None:
    market: LendingMarket = market_of(simple_pool(10**18, 10**9))
    assert (market.protocol, market.version, market.caveat) == ("aave_v2", "2.0", "")
    assert market.numeraire == ETH
    assert market.price_unit(USDC) == market.price_raw(ETH) == ETHER
    with pytest.raises(InputError, match="unit of account"):
        market.set_price(ETH, 2 * ETHER)


def test_a_unit_of_account_whose_price_is_not_one_is_refused() -> None:
    with pytest.raises(InputError, match="unit of account"):
        market_of(simple_pool(10**18, 10**9, collateral_price=ETHER - 1))


def test_a_version_without_rules_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"2\.5"):
        market_of(simple_pool(10**18, 10**9), "2.5")


def test_every_version_is_verified_by_recorded_answers_that_are_there() -> None:
    assert all((DATA / f"{version.verified_by}.json.gz").exists() for version in VERSIONS.values())


def test_time_does_not_go_back() -> None:
    with pytest.raises(InputError, match="cannot go back"):
        market_of(simple_pool(10**18, 10**9)).advance(NOW - 1)


def test_state_that_does_not_fit_the_accounts_or_tokens_is_refused() -> None:
    pool = simple_pool(10**18, 10**9)
    state = pool.reserves, pool.positions, ETHER, ETH, NOW
    with pytest.raises(InputError, match="0 accounts"):
        AaveV2Market("pool", "2.0", [], pool.symbols, *state)
    with pytest.raises(InputError, match="2 rows"):
        AaveV2Market("pool", "2.0", ["account"], pool.symbols[:2], *state)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_the_most_that_is_offered_is_accepted_and_more_gives_no_more(seed: int) -> None:
    market = market_of(random_pool(seed))
    for account in range(len(market.accounts)):
        for offer in market.offers(account):
            most = market.terms(offer, offer.most_raw)
            assert not most.refusal
            assert 0 < most.repaid_raw <= offer.most_raw < max_uint256()
            for more in (offer.most_raw + 1, offer.most_raw * 2, max_uint256()):
                assert market.terms(offer, more).received_raw <= most.received_raw


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_settling_keeps_to_the_terms_and_writes_nothing_off(seed: int) -> None:
    market = market_of(random_pool(seed))
    for account in range(len(market.accounts)):
        for offer in market.offers(account):
            terms = market.terms(offer, offer.most_raw)
            settlement = market.settle(offer, offer.most_raw)
            assert settlement.terms == terms
            assert settlement.deficits_raw == ()
    assert not any(market.deficits_raw())
    assert market.standing_offers() == []


def test_terms_and_refused_settlements_change_nothing() -> None:
    market = market_of(simple_pool(10**18, 1_700 * 10**6))
    offer, before = Offer(0, ETH, USDC, 0), market.state()
    assert not market.terms(offer, 10**6).refusal
    assert market.settle(offer, 0).terms.refusal == "23"
    assert market.state() == before


def test_cash_bounds_what_is_offered() -> None:
    pool = simple_pool(20 * 10**18, 33_000 * 10**6)
    pool.reserves.liquidity_raw[ETH] = 3 * 10**18
    market = market_of(pool)
    (offer,) = market.offers(0)
    received = market.terms(offer, offer.most_raw).received_raw
    assert 3 * 10**18 * (1 - 1e-9) < received <= 3 * 10**18
    assert market.terms(offer, offer.most_raw + 1).refusal == "45"


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_exposures_are_the_exact_positions_within_a_billionth(seed: int) -> None:
    pool = random_pool(seed)
    market = market_of(pool)
    for account in range(len(market.accounts)):
        for offer in market.offers(account)[:1]:
            market.settle(offer, offer.most_raw)
    later = NOW + 10_000
    market.advance(later)
    pool.reserves, pool.positions = market.state()
    indices, seen, positions = pool.indices(later), market.exposures(), pool.positions
    for entry, r in enumerate(positions.reserve):
        unit = pool.reserves.unit[r]
        supplied = supplied_balance(positions.supplied_scaled[entry], indices.income[r])
        owed = variable_debt(positions.debt_scaled[entry], indices.debt[r]) + stable_balance(positions, entry, later)
        assert seen.supplied[entry] * unit == pytest.approx(supplied, rel=1e-9, abs=1)
        assert seen.debt[entry] * unit == pytest.approx(owed, rel=1e-9, abs=1)
        assert bool(seen.threshold[entry]) == positions.collateral[entry]
    values = np.array(pool.reserves.price_raw, dtype=float)[seen.reserve] / ETHER
    for account in range(len(market.accounts)):
        span = slice(seen.offsets[account], seen.offsets[account + 1])
        data = market.account_data(account)
        amounts = (
            *positions.supplied_scaled[span],
            *positions.debt_scaled[span],
            *positions.stable_principal_raw[span],
        )
        if min((amount for amount in amounts if amount), default=0) > 10**8 and data.debt > 10**10:
            health = (seen.supplied * values * seen.threshold)[span].sum() / (seen.debt * values)[span].sum()
            assert health == pytest.approx(data.health_factor / 1e18, rel=1e-3)
