"""When suppliers leave a market, they are paid out of its cash, and nobody else has more or less for it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.lending.interface import Emptiable
from tests.protocols.lending_books import BOOKS
from tests.protocols.test_lending_laws import Ledger, stirred

EMPTIABLE = ("aave_v3", "compound_v2", "morpho_blue", "venus_core")


def test_those_that_can_be_left_are_known() -> None:
    assert tuple(name for name in BOOKS if isinstance(stirred(name, 1, 0).market, Emptiable)) == EMPTIABLE


@pytest.mark.parametrize("protocol", EMPTIABLE)
def test_what_is_paid_leaves_the_cash_and_no_one_elses_balance(protocol: str) -> None:
    followed: list[int] = []

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 2**40), st.sampled_from([0, 3_600]), st.fractions(Fraction(1, 50), 1, max_denominator=50))
    def law(seed: int, seconds: int, share: Fraction) -> None:
        book = stirred(protocol, seed, seconds)
        for r, unit in enumerate(book.coarseness()):
            before, cash, were = Ledger(book), book.market.cash_and_loans_raw(), book.records()
            wanted = int(cash[r][0] * share)
            paid = book.market.pay_out(r, wanted)
            assert 0 <= paid <= wanted
            after, left = Ledger(book), book.market.cash_and_loans_raw()
            assert left[r][0] == cash[r][0] - paid
            assert abs(left[r][1] - cash[r][1]) <= 2 * unit
            assert [x for row, x in enumerate(left) if row != r] == [x for row, x in enumerate(cash) if row != r]
            assert (after.debts, after.kept) == (before.debts, before.kept)
            for account in book.accounts():
                was, now = before.supplies[account], after.supplies[account]
                assert [x for row, x in now.items() if row != r] == [x for row, x in was.items() if row != r]
                # whoever leaves is rounded against, for those who stay
                assert 0 <= now.get(r, 0) - was.get(r, 0) <= 2 * unit
            assert after.claims[r] >= before.claims[r]
            # accounts with debt keep their claims, whatever is asked for
            assert all(rest >= 0 or rest == was for rest, was in zip(book.records(), were, strict=True))
            followed.append(paid)

    law()
    assert sum(paid > 0 for paid in followed) >= 20


def test_more_than_there_is_is_paid_as_far_as_it_goes() -> None:
    for protocol in EMPTIABLE:
        market = stirred(protocol, 5, 60).market
        for r, (cash, _) in enumerate(market.cash_and_loans_raw()):
            paid = market.pay_out(r, cash + 10**30)
            assert paid <= cash
            assert market.pay_out(r, 0) == 0


def test_rates_rise_with_what_is_left_lent() -> None:
    market = stirred("aave_v3", 3, 60).market
    rates = market.state()[0].borrow_rate_ray
    # others have more in it than there is cash
    market._reserves.supply_scaled[:] = [scaled + 10**40 for scaled in market._reserves.supply_scaled]
    for r, (cash, lent) in enumerate(market.cash_and_loans_raw()):
        assert market.pay_out(r, cash) == cash
        now = market.state()[0].borrow_rate_ray[r]
        reserves = market.state()[0]
        assert lent
        assert now == reserves.base_rate_ray[r] + reserves.slope1_ray[r] + reserves.slope2_ray[r]
    assert rates != market.state()[0].borrow_rate_ray


def test_a_paused_reserve_pays_nothing() -> None:
    market = stirred("aave_v3", 3, 60).market
    market._reserves.paused[0] = True
    assert market.pay_out(0, 10**6) == 0
