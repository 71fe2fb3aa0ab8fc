"""Compound v2's formulas, each where it is known beforehand what they should give; Venus shares them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.arithmetic import max_uint256
from protocols.compiled import fast
from protocols.lending.compound_v2.balances import debt_of, exchange_rate, liquidity, redeem
from protocols.lending.compound_v2.interest import BORROW_RATE_MAX, accrue, along, borrow_rate
from protocols.lending.compound_v2.rules import Call, Liquidation, liquidate
from protocols.lending.compound_v2.state import WAD, copied, to_fast
from protocols.lending.compound_v2.versions import (
    ARITHMETIC_PANIC,
    DIVISION_PANIC,
    INSUFFICIENT_SHORTFALL,
    MARKET_NOT_LISTED,
    MORE_THAN_BORROWED,
    NO_SEIZE_PRICE,
    NOTHING_REPAID,
    OK,
    PRICE_ERROR,
    RATE_TOO_HIGH,
    SEIZE_PAUSED,
    SEIZE_TOO_MUCH,
    SELF_LIQUIDATION,
    TOO_MUCH_REPAY,
)
from tests.protocols.compound_books import BLOCK, ETH, USDC, WBTC, Book, random_book, simple_book
from tests.vectors.outcome import relative_error

CLAIMS, DEBT = 500 * 10**8, 1_500 * 10**6
"""About 10 ETH in claims; at 2,000 dollars and a factor of 75 % they bear 15,150 dollars of debt."""
seeds = st.integers(0, 2**40)


def short_book(**markets: list[Any]) -> Book:
    """The account owes a little more than it may."""
    return simple_book(CLAIMS, 15_400 * 10**6, **markets)


def call(repay: int, collateral: int = ETH, debt: int = USDC, own: bool = False) -> Call:
    return Call(0, collateral, debt, repay, own)


def run(book: Book, asked: Call, block: int = BLOCK) -> Liquidation:
    return liquidate(book.markets, book.pools, book.positions, book.compound, asked, block)


# --- interest -----------------------------------------------------------------------------------------------------


def test_a_rate_has_no_step_at_a_kink() -> None:
    book = simple_book(CLAIMS, DEBT)
    markets = book.markets
    rates = []
    for borrowed in (799_999_999, 800_000_000, 800_000_001):
        markets.cash_raw[ETH], markets.borrows_raw[ETH], markets.reserves_raw[ETH] = 10**9 - borrowed, borrowed, 0
        rates.append(borrow_rate(markets, ETH))
    assert rates[1] == 2 * 10**10 * 8 // 10 + 10**9
    assert rates[0] < rates[1] < rates[2]
    assert rates[2] - rates[1] == 500


def test_a_kink_out_of_reach_leaves_the_white_papers_straight_line() -> None:
    markets = simple_book(CLAIMS, DEBT, kink1_wad=[max_uint256()] * 3).markets
    markets.cash_raw[ETH], markets.borrows_raw[ETH], markets.reserves_raw[ETH] = 1, 99, 0
    assert borrow_rate(markets, ETH) == 99 * 10**16 * 2 * 10**10 // WAD + 10**9


def test_nothing_lent_out_costs_the_base_rate() -> None:
    assert borrow_rate(simple_book(CLAIMS, DEBT, borrows_raw=[0] * 3).markets, WBTC) == 3 * 10**9


def test_a_falling_slope_rounds_toward_zero_and_a_rate_stops_at_zero() -> None:
    assert (along(10**17, -15), along(10**17, 15)) == (-1, 1)
    markets = simple_book(CLAIMS, DEBT, base_wad=[0] * 3, base2_wad=[0] * 3, slope1_wad=[-1] * 3).markets
    assert borrow_rate(markets, USDC) == 0


def test_only_a_model_with_two_kinks_holds_utilisation_at_the_whole() -> None:
    markets = simple_book(CLAIMS, DEBT).markets
    for m in (ETH, USDC):
        markets.cash_raw[m], markets.borrows_raw[m], markets.reserves_raw[m] = 10, 100, 30
    held = (
        9 * 10**17 * 3 * 10**10 // WAD + 2 * 10**9 + 10**8 - 5 * 10**16 * 10**9 // WAD + 5 * 10**16 * 7 * 10**11 // WAD
    )
    assert borrow_rate(markets, USDC) == held
    assert borrow_rate(markets, ETH) > 10**9 + 16 * 10**9 + 2 * 10**17 * 5 * 10**11 // WAD


def test_a_market_whose_rate_is_absurd_does_not_accrue() -> None:
    markets = simple_book(CLAIMS, DEBT, base_wad=[BORROW_RATE_MAX + 1] * 3).markets
    before = copied(markets)
    assert not accrue(markets, ETH, BLOCK + 10)
    assert markets == before
    assert run(short_book(base_wad=[BORROW_RATE_MAX + 1] * 3), call(1), BLOCK + 1).error == RATE_TOO_HIGH


def test_reserves_get_their_share_of_the_interest_and_claims_the_rest() -> None:
    markets = simple_book(CLAIMS, DEBT).markets
    before = copied(markets)
    accrue(markets, USDC, BLOCK + 1_000)
    interest = markets.borrows_raw[USDC] - before.borrows_raw[USDC]
    assert interest == borrow_rate(before, USDC) * 1_000 * before.borrows_raw[USDC] // WAD > 0
    assert markets.reserves_raw[USDC] - before.reserves_raw[USDC] == interest * 75 // 1_000
    assert exchange_rate(markets, USDC) > exchange_rate(before, USDC)


# --- claims and debts ---------------------------------------------------------------------------------------------


def test_without_claims_the_exchange_rate_is_the_initial_one() -> None:
    assert exchange_rate(simple_book(CLAIMS, DEBT, claims=[0] * 3).markets, USDC) == 2 * 10**14


def test_claims_that_the_market_has_no_cash_for_are_not_redeemed() -> None:
    markets = simple_book(CLAIMS, DEBT, cash_raw=[10**18, 1, 1]).markets
    before = copied(markets)
    assert not redeem(markets, ETH, 10**12).paid
    assert markets == before


def test_a_market_that_was_not_entered_is_no_collateral() -> None:
    book = simple_book(CLAIMS, DEBT)
    found = liquidity(book.markets, book.pools, book.positions, 0, False)
    book.positions.entered[0] = False
    outside = liquidity(book.markets, book.pools, book.positions, 0, False)
    assert (outside.limit, outside.debt) == (0, found.debt)


def test_an_empty_market_without_a_price_hides_the_account_in_compound_and_not_in_venus() -> None:
    book = simple_book(0, DEBT)
    book.markets.price_raw[ETH] = 0
    assert not liquidity(book.markets, book.pools, book.positions, 0, skip_empty=False).priced
    assert liquidity(book.markets, book.pools, book.positions, 0, skip_empty=True).debt == DEBT * 10**12


# --- liquidation --------------------------------------------------------------------------------------------------


def test_a_liquidation_moves_what_it_says() -> None:
    book = short_book()
    was = book.copy()
    done = run(book, call(1_000 * 10**6))
    ratio = 108 * 10**16 * 10**30 // WAD * WAD // (2_000 * exchange_rate(was.markets, ETH))
    assert (done.error, done.repaid) == (OK, 1_000 * 10**6)
    assert done.seized == ratio * 1_000 * 10**6 // WAD
    assert done.kept == done.seized * 28 // 1_000
    assert done.kept_raw == exchange_rate(was.markets, ETH) * done.kept // WAD
    assert book.positions.claims[0] == CLAIMS - done.seized
    assert book.positions.principal_raw[1] == 14_400 * 10**6
    assert book.markets.cash_raw[USDC] - was.markets.cash_raw[USDC] == done.repaid
    assert was.markets.claims[ETH] - book.markets.claims[ETH] == done.kept
    assert book.markets.reserves_raw[ETH] - was.markets.reserves_raw[ETH] == done.kept_raw


def test_only_the_markets_of_the_call_accrue() -> None:
    book = short_book()
    for column in (book.positions.market, book.positions.claims):
        column.append(WBTC if column is book.positions.market else 10**8)
    for column, value in zip(book.positions[3:7], (0, 0, True, False), strict=True):
        column.append(value)
    book.positions.offsets[1] = 3
    book.markets.price_raw[WBTC] = 10**28
    assert run(book, call(10**6), BLOCK + 5).error == OK
    assert book.markets.accrued_block == [BLOCK + 5, BLOCK + 5, BLOCK]


def test_a_debt_one_unit_within_its_limit_is_safe() -> None:
    book = simple_book(CLAIMS, 10**10, price_raw=[2_000 * WAD, 10**30, 60_000 * 10**28])
    limit = liquidity(book.markets, book.pools, book.positions, 0, False).limit
    for debt, error in ((limit // 10**12, INSUFFICIENT_SHORTFALL), (limit // 10**12 + 1, OK)):
        book.positions.principal_raw[1] = debt
        assert run(book.copy(), call(10**6)).error == error


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (call(0), NOTHING_REPAID),
        (call(1, own=True), SELF_LIQUIDATION),
        (call(7_700 * 10**6), OK),
        (call(7_700 * 10**6 + 1), TOO_MUCH_REPAY),
        (call(2**256 - 1), TOO_MUCH_REPAY),
        (call(1, collateral=WBTC), OK),
        (call(10**6, collateral=WBTC), SEIZE_TOO_MUCH),
        (call(1, debt=WBTC), TOO_MUCH_REPAY),
    ],
)
def test_a_call_is_answered_by_its_amount_and_its_markets(asked: Call, error: int) -> None:
    assert run(short_book(), asked).error == error


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        ({"listed": [True, False, True]}, MARKET_NOT_LISTED),
        ({"price_raw": [0, 10**30, 1]}, PRICE_ERROR),
        ({"price_raw": [1, 10**30, 1], "claims": [10**30] * 3}, DIVISION_PANIC),
    ],
)
def test_a_call_is_answered_by_the_state_of_the_markets(columns: dict[str, list[Any]], error: int) -> None:
    assert run(short_book(**columns), call(10**6)).error == error


def test_a_price_that_only_the_seizure_needs_is_missed_there() -> None:
    book = short_book(borrow_paused=[False, True, False], reserve_factor_wad=[0, WAD, 0], price_raw=[0, 10**30, 1])
    book.pools.threshold_wad[0][USDC] = 0
    assert run(book, call(10**6)).error == NO_SEIZE_PRICE


def test_a_deprecated_market_lends_to_nobody_and_lets_a_healthy_debt_be_taken_whole() -> None:
    book = simple_book(CLAIMS, DEBT, borrow_paused=[False, True, False], reserve_factor_wad=[0, WAD, 0])
    book.pools.threshold_wad[0][USDC] = 0
    assert run(book.copy(), call(DEBT + 1)).error == MORE_THAN_BORROWED
    assert run(book, call(DEBT)).error == OK
    assert debt_of(book.markets, book.positions, 1) == 0


def test_the_last_debt_may_be_a_unit_more_than_the_total_and_cannot_be_repaid_whole() -> None:
    book = simple_book(CLAIMS, DEBT, borrow_paused=[False, True, False], reserve_factor_wad=[0, WAD, 0])
    book.pools.threshold_wad[0][USDC] = 0
    book.markets.borrows_raw[USDC] = DEBT - 1
    assert run(book.copy(), call(DEBT)).error == ARITHMETIC_PANIC
    assert run(book, call(DEBT - 1)).error == OK


def test_paused_seizing_stops_every_liquidation() -> None:
    book = short_book()
    book.compound = book.compound._replace(seize_paused=True)
    before = book.copy()
    assert run(book, call(10**6), BLOCK + 9).error == SEIZE_PAUSED
    assert book == before, "what a call that reverts had accrued is undone"


@settings(max_examples=60, deadline=None)
@given(seeds, st.floats(0, 1.2))
def test_the_fast_form_is_the_exact_one(seed: int, share: float) -> None:
    book = random_book(seed)
    found = book.copy()
    states = to_fast(found.markets), to_fast(found.pools), to_fast(found.positions)
    for account in range(len(book.positions.pool)):
        entries = range(book.positions.offsets[account], book.positions.offsets[account + 1])
        for debt in entries:
            for held in entries:
                owed = debt_of(book.markets, book.positions, debt)
                asked = Call(
                    account, book.positions.market[held], book.positions.market[debt], int(owed * share), False
                )
                exact = run(book, asked, BLOCK + 11)
                in_floats = asked._replace(repay_raw=float(asked.repay_raw))
                fast_one = fast(liquidate)(*states, to_fast(book.compound), in_floats, float(BLOCK + 11))
                assert fast_one.error == exact.error
                assert relative_error(fast_one.seized, exact.seized) <= 1e-9
    for column in ("cash_raw", "borrows_raw", "reserves_raw", "claims", "index_wad"):
        for mine, exact_value in zip(getattr(states[0], column), getattr(book.markets, column), strict=True):
            assert relative_error(float(mine), exact_value) <= 1e-9
