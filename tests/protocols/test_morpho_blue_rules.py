"""Morpho's interest, health and liquidation."""

from __future__ import annotations

from fractions import Fraction
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.lending.morpho_blue.irm import (
    ADAPTIVE_CURVE,
    FIXED_RATE,
    INITIAL_RATE_AT_TARGET,
    MAX_RATE_AT_TARGET,
    MIN_RATE_AT_TARGET,
    NO_INTEREST,
    SECONDS_PER_YEAR,
    adaptive_rate,
)
from protocols.lending.morpho_blue.rules import (
    ARITHMETIC_PANIC,
    DIVISION_PANIC,
    HEALTHY_POSITION,
    INCONSISTENT_INPUT,
    MAX_UINT128_EXCEEDED,
    OK,
    OWN,
    Constants,
    Liquidation,
    accrue,
    charge,
    incentive_factor,
    is_healthy,
    liquidate,
    owed,
    taylor_compounded,
)
from protocols.lending.morpho_blue.shares import WAD, to_assets_down, to_assets_up, to_shares_down, to_shares_up
from protocols.lending.morpho_blue.state import Parameters, Position, Totals
from tests.vectors.morpho_blue import fast_form
from tests.vectors.outcome import RELATIVE_TOLERANCE

PAR = 10**36
NOW = 1_700_000_000
DAY = 86_400

amounts = st.integers(1, 10**30)
lltvs = st.sampled_from([385, 625, 770, 860, 915, 945, 965, 980]).map(lambda share: share * WAD // 1000)


def totals_of(lent: int, owed_in_all: int, growth: Fraction = Fraction(1), last_update: int = NOW) -> Totals:
    """A market in which a share of the debt has grown by a factor since it was a millionth of a unit."""
    shares = owed_in_all * 10**6 * growth.denominator // growth.numerator
    return Totals(lent, lent * 10**6, owed_in_all, shares, last_update)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Totals, Position, int, int]:
    """A market, a position in it, a price and an LLTV; debts from well within the limit to far above it."""
    lltv = draw(lltvs)
    debt = draw(st.integers(10**6, 10**28))
    others = draw(st.integers(0, 10**28))
    growth = Fraction(draw(st.integers(1_000, 3_000)), 1_000)
    totals = totals_of((debt + others) * 2, debt + others, growth)
    shares = min(to_shares_down(debt, totals.borrow_assets, totals.borrow_shares), totals.borrow_shares)
    ltv = Fraction(draw(st.integers(300, 3_000)), 1_000)
    price = draw(st.integers(10**30, 10**42))
    collateral = int(debt / ltv * PAR / price) + draw(st.integers(0, 3))
    return totals, Position(shares, collateral), price, lltv


def done(situation: tuple[Totals, Position, int, int], seized: int = 0, shares: int = 0) -> Liquidation:
    return liquidate(*situation, incentive_factor(situation[3], OWN), seized, shares)


# --- parameters and shares --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lltv", "factor"),
    [
        ("0.385", 1_150_000_000_000_000_000),
        ("0.625", 1_126_760_563_380_281_690),
        ("0.77", 1_074_113_856_068_743_286),
        ("0.86", 1_043_841_336_116_910_229),
        ("0.915", 1_026_167_265_264_238_070),
        ("0.945", 1_016_776_817_488_561_260),
        ("0.965", 1_010_611_419_909_044_972),
        ("0.98", 1_006_036_217_303_822_937),
    ],
)
def test_the_incentive_is_what_is_published_for_every_lltv(lltv: str, factor: int) -> None:
    assert incentive_factor(int(Fraction(lltv) * WAD), OWN) == factor


@given(st.integers(0, WAD), st.integers(0, WAD * 99 // 100), st.integers(WAD, 2 * WAD))
def test_the_incentive_is_the_contract_s_formula_of_a_cursor_and_a_maximum(lltv: int, cursor: int, most: int) -> None:
    found = incentive_factor(lltv, Constants(cursor, most))
    room = 1 - Fraction(lltv, WAD)
    formula = 1 / (1 - Fraction(cursor, WAD) * room)
    # a unit too much in the divisor, which is 0.01 or more, makes 1e4 too little of the quotient
    assert found == most or 0 <= formula * WAD - found <= 10**4 + 1
    assert WAD <= found <= most
    assert found <= incentive_factor(lltv, Constants(cursor + WAD // 200, most))
    assert incentive_factor(lltv, Constants(0, most)) == WAD, "what is repaid is all that is seized"
    if found < most and lltv < WAD:
        assert found * lltv < WAD**2, "below a cursor of 1 no LLTV is toxic"


@given(amounts, amounts, amounts)
def test_shares_never_give_more_than_was_paid_for_them(assets: int, total_assets: int, total_shares: int) -> None:
    bought = to_shares_down(assets, total_assets, total_shares)
    assert to_assets_down(bought, total_assets, total_shares) <= assets
    assert to_assets_up(to_shares_up(assets, total_assets, total_shares), total_assets, total_shares) >= assets


# --- interest ---------------------------------------------------------------------------------------------------


@given(st.integers(0, WAD // SECONDS_PER_YEAR), st.integers(0, SECONDS_PER_YEAR))
def test_compounding_is_the_exponential_to_the_third_order(rate: int, seconds: int) -> None:
    x = rate * seconds / WAD
    found = taylor_compounded(rate, seconds) / WAD
    assert exp(x) - 1 - x**4 / 24 * exp(x) - 1e-15 <= found <= exp(x) - 1 + 1e-15


@given(st.integers(0, WAD // SECONDS_PER_YEAR), st.integers(1, 400 * DAY), st.integers(0, WAD // 4))
def test_what_borrowers_owe_more_lenders_own_more(rate: int, seconds: int, fee: int) -> None:
    totals = totals_of(2 * 10**24, 10**24)
    found = charge(totals, fee, rate, NOW + seconds)
    assert found.totals.borrow_assets - totals.borrow_assets == found.interest
    assert found.totals.supply_assets - totals.supply_assets == found.interest
    of_the_fee = to_assets_down(found.fee_shares, found.totals.supply_assets, found.totals.supply_shares)
    assert of_the_fee == pytest.approx(found.interest * fee / WAD, rel=1e-9, abs=2)


def test_without_a_model_only_the_time_of_the_last_update_moves() -> None:
    totals = totals_of(2 * 10**24, 10**24)
    found = accrue(Parameters(WAD // 2, WAD // 10, NO_INTEREST), 0, totals, NOW + DAY)
    assert found.totals == totals._replace(last_update=NOW + DAY)
    assert found.interest == found.fee_shares == 0


def test_a_fixed_rate_is_charged_as_it_is_and_stays() -> None:
    totals = totals_of(2 * 10**24, 10**24)
    found = accrue(Parameters(WAD // 2, 0, FIXED_RATE), 10**9, totals, NOW + DAY)
    assert (found.rate_wad, found.stored_wad) == (10**9, 10**9)
    assert found.interest == 10**24 * taylor_compounded(10**9, DAY) // WAD


def test_within_one_block_nothing_accrues_and_the_curve_forgets_nothing() -> None:
    totals = totals_of(2 * 10**24, 10**24)
    found = accrue(Parameters(WAD // 2, 0, ADAPTIVE_CURVE), INITIAL_RATE_AT_TARGET, totals, NOW)
    assert (found.totals, found.stored_wad, found.interest) == (totals, INITIAL_RATE_AT_TARGET, 0)


@given(st.integers(0, 10**6), st.integers(MIN_RATE_AT_TARGET, MAX_RATE_AT_TARGET), st.integers(1, 3_000 * DAY))
def test_the_curve_rises_when_more_than_ninety_percent_are_lent_and_falls_below(
    parts: int, start: int, seconds: int
) -> None:
    found = adaptive_rate(start, totals_of(10**24, parts * 10**18), NOW + seconds)
    assert MIN_RATE_AT_TARGET <= found.stored_wad <= MAX_RATE_AT_TARGET
    if parts > 900_000:
        assert found.stored_wad >= start
        assert start <= found.average_wad <= 4 * MAX_RATE_AT_TARGET
    if parts < 900_000:
        assert found.stored_wad <= start
        assert MIN_RATE_AT_TARGET // 4 <= found.average_wad <= start
    if parts == 900_000:
        assert found.stored_wad == found.average_wad == start


def test_the_curve_moves_by_a_factor_of_e_in_a_fiftieth_of_a_year_with_everything_lent() -> None:
    found = adaptive_rate(INITIAL_RATE_AT_TARGET, totals_of(10**24, 10**24), NOW + SECONDS_PER_YEAR // 50)
    assert found.stored_wad / INITIAL_RATE_AT_TARGET == pytest.approx(exp(1), rel=6e-3)


# --- liquidation ------------------------------------------------------------------------------------------------


def test_one_share_buys_nothing_and_costs_one_unit() -> None:
    """Morpho's LiquidateIntegrationTest: LLTV 0.75, 400 collateral against 300, a price just below par."""
    totals = Totals(300, 300 * 10**6, 300, 300 * 10**6, NOW)
    found = done((totals, Position(300 * 10**6, 400), PAR - 10**16, 75 * WAD // 100), shares=1)
    assert (found.error, found.seized, found.repaid_assets) == (OK, 0, 1)


def test_exactly_one_of_collateral_and_shares_must_be_named() -> None:
    situation = totals_of(2 * 10**9, 10**9), Position(10**14, 10**8), PAR, 86 * WAD // 100
    assert done(situation).error == INCONSISTENT_INPUT
    assert done(situation, 1, 1).error == INCONSISTENT_INPUT


def test_a_debt_at_the_limit_is_healthy_and_one_unit_more_is_not() -> None:
    totals = Totals(2 * 10**6, 2 * 10**12, 10**6, 10**12, NOW)
    for debt, healthy in ((860, True), (861, False)):
        position = Position(debt * 10**6, 1000)
        assert is_healthy(totals, position, PAR, 86 * WAD // 100) == healthy
        assert (done((totals, position, PAR, 86 * WAD // 100), shares=1).error == HEALTHY_POSITION) == healthy


@settings(max_examples=300, deadline=None)
@given(situations(), st.integers(1, 10**30), st.booleans())
def test_what_is_refused_moves_nothing(
    situation: tuple[Totals, Position, int, int], amount: int, by_shares: bool
) -> None:
    found = done(situation, 0 if by_shares else amount, amount if by_shares else 0)
    assert (found.error == HEALTHY_POSITION) == is_healthy(*situation)
    if found.error != OK:
        assert (found.totals, found.position) == situation[:2]
        assert found.seized == found.repaid_assets == found.bad_debt_assets == 0


def test_nothing_is_clamped() -> None:
    totals = totals_of(4 * 10**24, 2 * 10**24)
    situation = totals, Position(10**30, 10**24), PAR, 86 * WAD // 100
    assert done(situation, shares=10**30 + 1).error == ARITHMETIC_PANIC
    assert done(situation, seized=10**24 + 1).error == ARITHMETIC_PANIC
    assert done(situation, seized=2**200).error == ARITHMETIC_PANIC
    assert done(situation, shares=2**130).error == MAX_UINT128_EXCEEDED


def test_at_a_price_of_zero_shares_divide_by_it_and_collateral_goes_for_nothing() -> None:
    situation = totals_of(4 * 10**24, 2 * 10**24), Position(10**30, 10**24), 0, 86 * WAD // 100
    assert done(situation, shares=10**20).error == DIVISION_PANIC
    found = done(situation, seized=10**24)
    assert (found.error, found.repaid_assets, found.seized) == (OK, 0, 10**24)
    assert found.bad_debt_assets == 10**24


@settings(max_examples=300, deadline=None)
@given(situations(), st.integers(0, 1000))
def test_debt_is_written_off_exactly_when_no_collateral_is_left(
    situation: tuple[Totals, Position, int, int], kept: int
) -> None:
    position = situation[1]
    if kept >= position.collateral:
        return
    found = done(situation, seized=position.collateral - kept)
    if found.error != OK:
        return
    assert found.emptied == (kept == 0)
    if kept:
        assert found.bad_debt_assets == found.bad_debt_shares == 0
    else:
        assert found.position == Position(0, 0)


def test_a_unit_of_collateral_left_behind_keeps_the_loss_from_being_realised() -> None:
    situation = totals_of(4 * 10**24, 2 * 10**24), Position(10**30, 5 * 10**23), PAR, 86 * WAD // 100
    all_of_it, all_but_one = done(situation, seized=5 * 10**23), done(situation, seized=5 * 10**23 - 1)
    assert all_of_it.bad_debt_assets == pytest.approx(10**24 - 5 * 10**23 / 1.0438413, rel=1e-6)
    assert all_of_it.totals.supply_assets == 4 * 10**24 - all_of_it.bad_debt_assets
    assert all_but_one.totals.supply_assets == 4 * 10**24
    assert owed(all_but_one.totals, all_but_one.position.borrow_shares) >= all_of_it.bad_debt_assets


@settings(max_examples=300, deadline=None)
@given(situations(), st.integers(1, 1001), st.booleans())
def test_the_fast_form_agrees_with_the_exact_one(
    situation: tuple[Totals, Position, int, int], part: int, by_shares: bool
) -> None:
    totals, position, price, lltv = situation
    amount = max((position.borrow_shares if by_shares else position.collateral) * part // 1000, 1)
    error, margin = fast_form(totals, position, price, lltv, 0 if by_shares else amount, amount if by_shares else 0)
    assert error <= RELATIVE_TOLERANCE
    assert margin is None or margin <= RELATIVE_TOLERANCE
