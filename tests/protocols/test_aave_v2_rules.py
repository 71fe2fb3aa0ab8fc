"""What holds of liquidation in Aave v2, beyond what recorded answers show."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.arithmetic import max_uint256
from protocols.lending.aave_v2.rates import compounded_interest, stable_supply, update_state
from protocols.lending.aave_v2.rules import OWN, AccountData, Call, Constants, Quote, account_data, liquidate, quote
from protocols.lending.aave_v2.versions import REVERTS
from tests.protocols.aave_v2_pools import ETH, NOW, RAY, USDC, random_pool, simple_pool
from tests.vectors.aave_v2 import Pool, fast_form
from tests.vectors.outcome import RELATIVE_TOLERANCE

EVERYTHING = max_uint256()
DAY, YEAR = 86_400, 31_536_000
seeds = st.integers(0, 2**40)


def call_for(collateral: int = ETH, debt: int = USDC, amount: int = EVERYTHING, account: int = 0, **more: bool) -> Call:
    flags = {"receive_atoken": False, "self_liquidation": False, "paused": False} | more
    return Call(account, collateral, debt, amount, **flags)


def account(pool: Pool, number: int = 0, now: int = NOW) -> AccountData:
    return account_data(pool.reserves, pool.indices(now), pool.positions, number, now)


def asked(pool: Pool, call: Call, now: int = NOW, constants: Constants = OWN) -> Quote:
    state = pool.reserves, pool.indices(now), pool.positions
    return quote(constants, *state, account(pool, call.account, now), call, now)


def done(pool: Pool, call: Call, now: int = NOW) -> Quote:
    return liquidate(OWN, pool.reserves, pool.indices(now), pool.positions, call, now)


def refusal(pool: Pool, call: Call) -> str:
    return REVERTS[asked(pool, call).error]


def liquidations(pool: Pool) -> list[Call]:
    """Every pair of every account, for the token and for the aToken."""
    size = range(len(pool.symbols))
    return [
        call_for(collateral, debt, EVERYTHING, number, receive_atoken=receive)
        for number, collateral, debt, receive in product(
            range(len(pool.positions.offsets) - 1), size, size, (False, True)
        )
    ]


# --- amounts ------------------------------------------------------------------------------------------------------


def test_half_of_a_debt_may_be_repaid_however_far_under_water() -> None:
    for debt in (1_701, 1_905, 9_999_999):
        pool = simple_pool(10**18, debt * 10**6)
        quoted = asked(pool, call_for())
        assert quoted.offered == debt * 10**6 // 2


def test_another_close_factor_is_of_the_one_debt_and_1_takes_it_whole() -> None:
    pool = simple_pool(10**18, 1_905 * 10**6)
    assert asked(pool, call_for(), constants=Constants(3_000)).offered == 1_905 * 10**6 * 3 // 10
    assert asked(pool, call_for(), constants=Constants(10_000)).offered == 1_905 * 10**6


def test_half_is_of_variable_and_stable_debt_together() -> None:
    quoted = asked(simple_pool(10**18, 300 * 10**6, stable_debt=1_401 * 10**6), call_for())
    assert quoted.repaid == (300 + 1_401) * 10**6 // 2
    assert quoted.stable_repaid == quoted.repaid - 300 * 10**6


def test_a_debt_of_one_unit_is_repaid_whole_and_remains_flagged() -> None:
    pool = simple_pool(10**12, 1, debt_price=10**18)
    assert account(pool).health_factor < 10**18
    assert done(pool, call_for()).repaid == 1
    assert pool.positions.debt_scaled[1] == 0
    assert pool.positions.borrowing[1]


def test_the_bonus_comes_before_the_division() -> None:
    pool = simple_pool(10**18, 1_701 * 10**6, debt_price=499_987_654_321_000)
    # 850.5 USDC at 499987654321000 wei each, with 5 %.
    exact = Fraction(499_987_654_321_000 * 850_500_000 * 105, 10**6 * 100)
    quoted = asked(pool, call_for())
    assert quoted.received == exact // 1


def test_a_repayment_that_the_collateral_does_not_pay_for_is_cut() -> None:
    pool = simple_pool(10**17, 1_700 * 10**6)
    quoted = asked(pool, call_for())
    assert quoted.capped
    assert quoted.emptied
    assert quoted.received == 10**17
    worth = 10**17 * 10**6 // 499_987_654_321_000
    assert quoted.repaid == (worth * 10_000 + 5_250) // 10_500


# --- refusals -----------------------------------------------------------------------------------------------------


def test_each_refusal_has_its_number() -> None:
    pool = simple_pool(10**18, 1_700 * 10**6)
    assert refusal(pool, call_for()) == ""
    assert refusal(pool, call_for(paused=True)) == "64"
    assert refusal(pool, call_for(amount=0)) == "23"
    assert refusal(pool, call_for(collateral=USDC)) == "43"
    assert refusal(pool, call_for(debt=ETH)) == "44"
    assert refusal(simple_pool(10**18, 1_500 * 10**6), call_for()) == "42"
    inactive = simple_pool(10**18, 1_700 * 10**6)
    inactive.reserves.active[USDC] = False
    assert refusal(inactive, call_for()) == "2"


def test_cash_is_needed_for_the_token_and_not_for_the_atoken() -> None:
    pool = simple_pool(10**18, 1_700 * 10**6)
    pool.reserves.liquidity_raw[ETH] = asked(pool, call_for()).received - 1
    assert refusal(pool, call_for()) == "45"
    assert refusal(pool, call_for(receive_atoken=True)) == ""


def test_a_collateral_without_a_threshold_counts_for_nothing() -> None:
    pool = simple_pool(10**18, 1_700 * 10**6, threshold_bps=500)
    pool.reserves.threshold_bps[ETH] = 0
    assert account(pool).collateral == 0
    assert refusal(pool, call_for()) == "43"


# --- interest -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 3 * RAY), st.integers(0, YEAR))
def test_compounding_is_a_little_less_than_continuous(rate: int, seconds: int) -> None:
    growth = compounded_interest(rate, seconds) / RAY
    x = rate / RAY * seconds / YEAR
    assert growth <= exp(x) * (1 + 1e-12)
    assert growth >= (1 + x + x**2 / 2 + x**3 / 6) * (1 - 1e-6)


def test_where_suppliers_earn_nothing_borrowers_interest_is_forgotten() -> None:
    pool = simple_pool(10**18, 1_700 * 10**6)
    pool.reserves.liquidity_rate_ray[USDC] = 0
    later = NOW + 100 * DAY
    owed = pool.indices(later).debt[USDC]
    update_state(pool.reserves, USDC, later)
    assert pool.indices(later).debt[USDC] == RAY < owed


def test_the_treasury_is_minted_its_share_of_both_kinds_of_interest() -> None:
    pool = simple_pool(10**18, 1_700 * 10**6)
    later = NOW + 100 * DAY
    was = pool.copy()
    update_state(pool.reserves, USDC, later)
    variable = was.reserves.debt_scaled[USDC] * (pool.reserves.borrow_index_ray[USDC] - RAY) // RAY
    stable = stable_supply(was.reserves, USDC, later) - was.reserves.stable_principal_raw[USDC]
    minted = pool.reserves.treasury_scaled[USDC] * pool.reserves.liquidity_index_ray[USDC] // RAY
    assert stable > 0
    assert minted == pytest.approx((variable + stable) // 10, abs=2)
    assert pool.reserves.supply_scaled[USDC] - was.reserves.supply_scaled[USDC] == pool.reserves.treasury_scaled[USDC]


def test_repaying_stable_debt_leaves_the_average_rate_of_what_remains() -> None:
    pool = simple_pool(10**18, 0, stable_debt=1_700 * 10**6)
    others = 10**11 + 1_700 * 10**6
    before = others * pool.reserves.stable_rate_ray[USDC]
    quoted = done(pool, call_for())
    left = pool.reserves.stable_principal_raw[USDC]
    assert left == others - quoted.repaid
    expected = (before - quoted.repaid * (RAY // 12)) / left
    assert pool.reserves.stable_rate_ray[USDC] == pytest.approx(expected, rel=1e-12)


# --- over random books --------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_whoever_takes_atokens_gets_what_the_account_loses_and_no_token_is_paid_out(seed: int) -> None:
    pool = random_pool(seed)
    for call in (call._replace(receive_atoken=True) for call in liquidations(pool)):
        was = pool.copy()
        quoted = done(pool, call)
        before, after = was.reserves, pool.reserves
        if quoted.error:
            assert (after, pool.positions) == (before, was.positions)
            continue
        for r in range(len(pool.symbols)):
            paid_in = quoted.repaid if r == call.debt else 0
            assert after.liquidity_raw[r] - before.liquidity_raw[r] == paid_in
            minted = after.treasury_scaled[r] - before.treasury_scaled[r]
            assert after.supply_scaled[r] - before.supply_scaled[r] == minted
        entries = range(pool.positions.offsets[call.account], pool.positions.offsets[call.account + 1])
        for entry in entries:
            r = pool.positions.reserve[entry]
            gone = was.positions.debt_scaled[entry] - pool.positions.debt_scaled[entry]
            assert gone == before.debt_scaled[r] - after.debt_scaled[r] >= 0
            lost = was.positions.supplied_scaled[entry] - pool.positions.supplied_scaled[entry]
            assert lost == (quoted.received_scaled if r == call.collateral else 0)
            assert pool.positions.supplied_scaled[entry] >= 0


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_the_fast_form_is_the_exact_form_within_a_billionth(seed: int) -> None:
    pool = random_pool(seed)
    for call in liquidations(pool):
        was = pool.copy()
        quoted = done(pool, call)
        error, margin = fast_form(was, call, NOW, quoted, pool)
        assert error <= RELATIVE_TOLERANCE
        assert margin is None or margin <= RELATIVE_TOLERANCE
