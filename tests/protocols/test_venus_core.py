"""What Venus' core pool has that Compound v2 has not, in its rules and in the market that the engine steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import UnsupportedError
from protocols.compiled import fast
from protocols.lending.compound_v2.balances import debt_of, exchange_rate
from protocols.lending.compound_v2.rules import Call
from protocols.lending.compound_v2.state import WAD, to_fast
from protocols.lending.compound_v2.versions import UNVERIFIED
from protocols.lending.venus_core.market import VenusCoreMarket
from protocols.lending.venus_core.pools import Listing, Pool, effective
from protocols.lending.venus_core.rules import Liquidation, accrue, is_returned, liquidate
from protocols.lending.venus_core.versions import (
    FAILURES,
    INCENTIVE_PANIC,
    INSUFFICIENT_SHORTFALL,
    LIQUIDATE_PAUSED,
    MARKET_NOT_LISTED,
    NO_CASH,
    NOT_COLLATERAL,
    OK,
    SEIZE_PAUSED,
    SELF_LIQUIDATION,
    TOO_MUCH_REPAY,
    UNAUTHORIZED,
    revert_of,
)
from tests.protocols.compound_books import BLOCK, CLOCK, ETH, NOW, TOKENS, USDC, Book, random_book, simple_book
from tests.vectors.outcome import relative_error

CLAIMS = 500 * 10**8
seeds = st.integers(0, 2**40)


def short_book() -> Book:
    """The account owes 15,400 dollars, a little more than it may."""
    return simple_book(CLAIMS, 15_400 * 10**6)


def run(book: Book, repay: int, *, through: bool = True, own: bool = False, block: int = BLOCK) -> Liquidation:
    state = book.markets, book.guards, book.pools, book.positions
    return liquidate(*state, book.venus, Call(0, ETH, USDC, repay, own), through, block)


# --- pools ----------------------------------------------------------------------------------------------------------


def test_a_pool_gives_its_own_terms_the_cores_or_none() -> None:
    core = [Listing(True, 1, 2, 3), Listing(True, 4, 5, 6)]
    own = [Listing(True, 7, 8, 9), Listing(False, 0, 0, 0)]
    table = effective(
        [
            Pool(True, True, core),
            Pool(active=True, fallback=True, listings=own),
            Pool(active=True, fallback=False, listings=own),
            Pool(active=False, fallback=False, listings=own),
        ]
    )
    assert table.ltv_wad == [[1, 4], [7, 4], [7, 0], [1, 4]]
    assert table.threshold_wad == [[2, 5], [8, 5], [8, 0], [2, 5]]
    assert table.incentive_wad == [[3, 6], [9, 6], [9, 0], [3, 6]]


def test_collateral_that_counts_for_nothing_in_a_pool_is_given_for_nothing_and_the_liquidator_refuses() -> None:
    book = short_book()
    book.pools.incentive_wad[0][ETH] = book.pools.threshold_wad[0][ETH] = 0
    assert run(book.copy(), 10**6).error == INCENTIVE_PANIC
    direct = run(replace(book, venus=book.venus._replace(liquidator_only=False)), 10**6, through=False)
    assert (direct.error, direct.repaid, direct.seized) == (OK, 10**6, 0)
    assert book.market("venus_core").offers(0) == []


# --- who may liquidate what -----------------------------------------------------------------------------------------


def test_a_vtoken_called_past_the_liquidator_answers_with_an_error_and_the_interest_stays() -> None:
    book = short_book()
    assert run(book, 10**6, through=False, block=BLOCK + 3).error == UNAUTHORIZED
    assert book.markets.accrued_block == [BLOCK + 3, BLOCK + 3, BLOCK]


def test_a_call_through_the_liquidator_that_fails_leaves_nothing_behind() -> None:
    book = simple_book(CLAIMS, 10**9)
    before = book.copy()
    assert run(book, 10**6, block=BLOCK + 400).error == INSUFFICIENT_SHORTFALL
    assert book == before


def test_errors_that_are_returned_are_those_that_have_a_failure() -> None:
    assert [code for code in range(NO_CASH + 1) if is_returned(code)] == sorted(FAILURES)
    assert str(revert_of(TOO_MUCH_REPAY, True)) == "LiquidationFailed(uint256): COMPTROLLER_REJECTION"
    assert str(FAILURES[TOO_MUCH_REPAY]) == "COMPTROLLER_REJECTION: TOO_MUCH_REPAY"
    assert str(revert_of(MARKET_NOT_LISTED, True)) == "MarketNotListed(address)"
    assert str(revert_of(MARKET_NOT_LISTED, False)) == "market not listed"


@pytest.mark.parametrize(
    ("column", "row", "error"),
    [("liquidate_paused", USDC, LIQUIDATE_PAUSED), ("seize_paused", ETH, SEIZE_PAUSED), ("liquidate_paused", ETH, OK)],
)
def test_pauses_are_of_the_debts_market_and_of_the_collaterals(column: str, row: int, error: int) -> None:
    book = short_book()
    getattr(book.guards, column)[row] = True
    assert run(book, 10**6).error == error


def test_claims_on_a_market_that_was_not_entered_are_not_seized() -> None:
    book = short_book()
    book.positions.entered[0] = False
    assert run(book, 10**6).error == NOT_COLLATERAL
    assert book.market("venus_core").offers(0) == []


def test_an_account_may_liquidate_itself_through_the_liquidator_only() -> None:
    book = short_book()
    past = replace(book, venus=book.venus._replace(liquidator_only=False))
    assert run(past.copy(), 10**6, through=False, own=True).error == SELF_LIQUIDATION
    done = run(book, 10**6, own=True)
    assert done.error == OK
    assert book.positions.claims[0] == CLAIMS - done.kept


@pytest.mark.parametrize("whose", ["market", "account"])
def test_a_forced_liquidation_needs_no_shortfall_and_takes_the_whole(whose: str) -> None:
    book = simple_book(CLAIMS, 10**9)
    if whose == "market":
        book.guards.forced[USDC] = True
    else:
        book.positions.forced[1] = True
    market = book.market("venus_core")
    assert market.health_raw(0) > 0
    assert market.is_liquidatable(0)
    assert market.open_accounts() == [0]
    assert [offer.most_raw for offer in market.offers(0)] == [10**9]
    assert run(book.copy(), 10**9 + 1).error == TOO_MUCH_REPAY
    assert run(book, 10**9).error == OK
    assert debt_of(book.markets, book.positions, 1) == 0


# --- what the protocol keeps ----------------------------------------------------------------------------------------


def test_the_liquidator_contract_keeps_a_share_of_the_bonus_and_redeems_it() -> None:
    book = short_book()
    was = book.copy()
    done = run(book, 10**9)
    assert done.kept == done.seized * 8 * 10**16 // (108 * 10**16) * 3 // 10
    assert done.treasury_raw == exchange_rate(was.markets, ETH) * done.kept // WAD
    assert was.markets.cash_raw[ETH] - book.markets.cash_raw[ETH] == done.treasury_raw
    assert was.markets.claims[ETH] - book.markets.claims[ETH] == done.kept
    assert book.guards.liquidator_claims[ETH] == 0


def test_what_cannot_be_redeemed_is_kept_and_tried_again_at_the_next_liquidation() -> None:
    book = short_book()
    book.markets.borrows_raw[ETH] += book.markets.cash_raw[ETH] - 5
    book.markets.cash_raw[ETH] = 5
    done = run(book, 10**9)
    assert (done.error, done.treasury_raw, book.guards.pending[ETH]) == (OK, 0, True)
    assert book.guards.liquidator_claims[ETH] == done.kept > 0
    book.markets.cash_raw[ETH] = 10**18
    book.markets.borrows_raw[ETH] -= 10**18
    again = run(book, 10**8, block=BLOCK + 1)
    rate = exchange_rate(book.markets, ETH)
    assert again.treasury_raw == pytest.approx(rate * again.kept / WAD, rel=1e-9)
    assert 10**18 - book.markets.cash_raw[ETH] == pytest.approx(rate * (done.kept + again.kept) / WAD, rel=1e-9)
    assert (book.guards.liquidator_claims[ETH], book.guards.pending[ETH]) == (0, False)


def test_reserves_are_paid_out_when_their_time_has_come_as_far_as_there_is_cash() -> None:
    book = short_book()
    assert accrue(book.markets, book.guards, USDC, BLOCK + 399)
    assert book.guards.reduced_block[USDC] == BLOCK
    cash, reserves = book.markets.cash_raw[USDC], book.markets.reserves_raw[USDC]
    rate = exchange_rate(book.markets, USDC)
    book.markets.cash_raw[USDC] = 3 * 10**9
    book.markets.borrows_raw[USDC] += cash - 3 * 10**9
    assert accrue(book.markets, book.guards, USDC, BLOCK + 400)
    assert book.guards.reduced_block[USDC] == BLOCK + 400
    assert book.markets.cash_raw[USDC] == 0
    assert book.markets.reserves_raw[USDC] == pytest.approx(reserves - 3 * 10**9, rel=1e-3)
    assert exchange_rate(book.markets, USDC) == pytest.approx(rate, rel=1e-6)


def test_terms_leave_everything_as_it_was() -> None:
    book = short_book()
    market = book.market("venus_core")
    (offer,) = market.offers(0)
    before = market.state()
    first = market.terms(offer, offer.most_raw)
    assert market.terms(offer, offer.most_raw) == first
    assert market.state() == before
    assert market.settle(offer, offer.most_raw + 1).terms.refusal == "LiquidationFailed(uint256): COMPTROLLER_REJECTION"
    assert market.state() == before


# --- versions -------------------------------------------------------------------------------------------------------


def test_the_first_version_with_pools_is_unverified_and_says_so() -> None:
    book = short_book()
    parts = book.markets, book.guards, book.pools, book.positions, book.venus, CLOCK
    assert UNVERIFIED in VenusCoreMarket("m", "10.0", ["0x0"], TOKENS, *parts).caveat
    assert VenusCoreMarket("m", "10.3.0", ["0x0"], TOKENS, *parts).caveat == ""
    with pytest.raises(UnsupportedError, match=r"9\.4"):
        VenusCoreMarket("m", "9.4", ["0x0"], TOKENS, *parts)


@settings(max_examples=40, deadline=None)
@given(seeds, st.floats(0, 1.2), st.booleans())
def test_the_fast_form_is_the_exact_one(seed: int, share: float, through: bool) -> None:
    book = random_book(seed)
    settings_now = book.venus._replace(liquidator_only=through)
    found = book.copy()
    states = to_fast(found.markets), to_fast(found.guards), to_fast(found.pools), to_fast(found.positions)
    for account in range(len(book.positions.pool)):
        entries = range(book.positions.offsets[account], book.positions.offsets[account + 1])
        for debt in entries:
            owed = debt_of(book.markets, book.positions, debt)
            for held in entries:
                asked = Call(
                    account, book.positions.market[held], book.positions.market[debt], int(owed * share), False
                )
                exact_state = book.markets, book.guards, book.pools, book.positions
                exact = liquidate(*exact_state, settings_now, asked, through, BLOCK + 11)
                in_floats = asked._replace(repay_raw=float(asked.repay_raw))
                done = fast(liquidate)(*states, to_fast(settings_now), in_floats, through, float(BLOCK + 11))
                assert done.error == exact.error
                assert relative_error(done.treasury_raw, exact.treasury_raw, exact.seized) <= 1e-9
    for column in ("cash_raw", "borrows_raw", "reserves_raw", "claims"):
        for mine, exact_value in zip(getattr(states[0], column), getattr(book.markets, column), strict=True):
            assert relative_error(float(mine), exact_value) <= 1e-9


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_a_market_in_two_pools_offers_each_account_its_own_incentive(seed: int) -> None:
    book = random_book(seed)
    market = book.market("venus_core")
    market.advance(NOW + 60)
    for account in range(len(market.accounts)):
        for offer in market.offers(account):
            terms = market.terms(offer, offer.most_raw)
            paid, got = (
                amount * market.price_raw(m) / 10**36
                for amount, m in (
                    (terms.repaid_raw, offer.debt),
                    (terms.received_raw + terms.fee_raw, offer.collateral),
                )
            )
            incentive = book.pools.incentive_wad[book.positions.pool[account]][offer.collateral] / WAD
            if terms.received_raw > 10**6 and terms.claim_raw > 10**6 and terms.repaid_raw > 10**6:
                assert got / paid == pytest.approx(incentive, rel=1e-4)
