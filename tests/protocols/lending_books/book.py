"""A lending market as the laws of liquidation see it: a random book, and what belongs to whom in it.

Amounts are in smallest units of each token, worked out by the protocol's own rules; inside
:func:`tests.protocols.rationals.rationals` they are Fractions.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from fractions import Fraction
from math import exp
from typing import Any, ClassVar, NamedTuple

from protocols.lending.interface import Offer, Terms

RAY, WAD, YEAR = 10**27, 10**18, 31_536_000
PLENTY = 10**40
Amounts = dict[int, Any]
"""By reserve."""


class Accrual(NamedTuple):
    """A number that grows with interest, stored once and stored twice; how much more it may be if stored twice."""

    what: str
    once: Any
    twice: Any
    least: Any
    most: Any


class Book:
    """One market with random accounts, some time after its state.

    Parameters
    ----------
    seed
        Of everything that is random.
    seconds
        How much later.
    flush
        Whether there is cash for every liquidation, and none fails for what its protocol forgets.
    """

    market: Any
    now: int
    fixed_spread: ClassVar[bool] = True
    """Whether what is taken is worth a fixed multiple of what is repaid."""
    fee_leaves: ClassVar[bool] = False
    """Whether the protocol's fee is paid out in tokens."""
    compounds_alone: ClassVar[bool] = False
    """Whether interest is stored, and so compounds, without anybody's transaction: by the model, as time passes."""
    writes_off: ClassVar[bool] = False
    """Whether the contracts realise bad debt."""
    absorbs: ClassVar[bool] = False
    """Whether accounts are taken over whole, unpaid."""
    held_slack: ClassVar[int] = 0
    """Units by which what the contracts hold is not known."""

    def __init__(self, seed: int, seconds: int = 0, flush: bool = False) -> None:
        raise NotImplementedError

    # --- what belongs to whom -----------------------------------------------------------------------------------

    def held(self) -> list[Any]:
        """What the contracts hold of each token."""
        raise NotImplementedError

    def debt(self) -> list[Any]:
        """What all accounts owe, and whoever else the totals know."""
        return self._totals(self.debts)

    def owed_adds_up(self, reserve: int) -> bool:
        """Whether the contract's total of a debt changes as accounts' debts do."""
        return True

    def kept(self) -> list[Any]:
        """What of each token is the protocol's own, as far as liquidations change it."""
        return self._nothing()

    def lent(self) -> list[Any]:
        """What of each token is known to be the lenders' who are no accounts of the book."""
        return self._nothing()

    def written_off(self) -> list[Any]:
        """Debt written off that still counts as an asset of the lenders."""
        return self._nothing()

    def supplies(self, account: int) -> Amounts:
        """What is the account's own."""
        raise NotImplementedError

    def debts(self, account: int) -> Amounts:
        """What the account owes."""
        raise NotImplementedError

    def records(self) -> list[Any]:
        """Totals that the contracts keep, less what they are the totals of; no liquidation changes these."""
        return []

    def claims(self) -> list[Any]:
        """What one unit of a lender's claim on each reserve is worth."""
        raise NotImplementedError

    # --- terms --------------------------------------------------------------------------------------------------

    def is_healthy(self, account: int) -> bool:
        """By the number that the contract goes by: not negative, unless the protocol has another measure."""
        return bool(self.market.health_raw(account) >= 0)

    def unit(self, reserve: int) -> int:
        """Smallest units of one whole token."""
        raise NotImplementedError

    def seizable(self, account: int) -> Amounts:
        """Of what is the account's own, that which liquidators can get."""
        raise NotImplementedError

    def bonus(self, account: int, reserve: int) -> Fraction:
        """What is taken of a collateral for one repaid, in value."""
        raise NotImplementedError

    def close_factor(self) -> Fraction:
        """The share of a debt that may be repaid at once, at least."""
        return Fraction(1)

    def coarseness(self) -> list[int]:
        """Smallest units in which balances of each reserve are rounded."""
        return [1] * len(self.market.tokens)

    def income(self, offer: Offer, terms: Terms) -> list[Any]:
        """What a paid liquidation adds to the protocol's own: its fee."""
        return [terms.fee_raw if r == offer.collateral else 0 for r in range(len(self.market.tokens))]

    def grain(self, offer: Offer, terms: Terms) -> Fraction:
        """By how many smallest units of collateral rounding may move a liquidation."""
        return Fraction(3)

    # --- the same for all ---------------------------------------------------------------------------------------

    def price(self, reserve: int) -> Fraction:
        """Value of one smallest unit in the market's unit of account."""
        return Fraction(self.market.price_raw(reserve), self.market.price_unit(reserve) * self.unit(reserve))

    def value(self, amounts: Amounts) -> Fraction:
        """Value of amounts in the market's unit of account."""
        return sum((Fraction(amount) * self.price(r) for r, amount in amounts.items()), Fraction(0))

    def recoverable(self, account: int) -> Fraction:
        """What full liquidations would repay: the sum of collateral over bonus."""
        return sum(
            (Fraction(amount) * self.price(r) / self.bonus(account, r) for r, amount in self.seizable(account).items()),
            Fraction(0),
        )

    def most(self, account: int, collateral: int, debt: int) -> Fraction:
        """A repayment that the close factor allows and the collateral pays for, smallest units."""
        pays_for = (
            Fraction(self.seizable(account)[collateral]) * self.price(collateral) / self.bonus(account, collateral)
        )
        return min(self.close_factor() * Fraction(self.debts(account)[debt]), pays_for / self.price(debt))

    def move_prices(self, seed: int, low: float, high: float) -> None:
        """Move every price but that of the unit of account by a factor of its own."""
        draw = random.Random(seed)
        for reserve in range(len(self.market.tokens)):
            factor = round(draw.uniform(low, high) * 1_000)
            if reserve != self.market.numeraire:
                self.market.set_price(reserve, max(self.market.price_raw(reserve) * factor // 1_000, 1))

    def supplied(self) -> list[Any]:
        """What is the accounts' own, of each token."""
        return self._totals(self.supplies)

    def balance(self) -> list[Any]:
        """Of each token: what there is and what is owed, less what is somebody's that the book knows."""
        there = zip(self.held(), self.debt(), self.written_off(), strict=True)
        owned = zip(self.supplied(), self.kept(), self.lent(), strict=True)
        return [sum(assets) - sum(claims) for assets, claims in zip(there, owned, strict=True)]

    def accounts(self) -> range:
        """Rows of the accounts."""
        return range(len(self.market.accounts))

    def _nothing(self) -> list[Any]:
        return [0] * len(self.market.tokens)

    def _totals(self, of: Any) -> list[Any]:
        totals = self._nothing()
        for account in self.accounts():
            for reserve, amount in of(account).items():
                totals[reserve] += amount
        return totals

    @classmethod
    def accruals(cls, seed: int, first: int, second: int) -> Iterable[Accrual]:
        """Interest over `first` and `second` seconds, stored at the end, and stored in between as well."""
        raise NotImplementedError


def entries_of(positions: Any, account: int) -> range:
    return range(positions.offsets[account], positions.offsets[account + 1])


def parts(column: list[Any], rows: list[int], size: int) -> list[Any]:
    """Sums of entries by the row that they are of."""
    totals = [0] * size
    for row, amount in zip(rows, column, strict=True):
        totals[row] += amount
    return totals


def less(*columns: list[Any]) -> list[Any]:
    """The first column less all others."""
    return [first - sum(rest) for first, *rest in zip(*columns, strict=True)]


def linear(what: str, once: int, twice: int, rate_ray: int, first: int, second: int) -> Accrual:
    """Simple interest: storing after `first` adds the interest on its interest, rate ** 2 first second."""
    on_interest = Fraction(rate_ray, RAY * YEAR) ** 2 * first * second
    return Accrual(what, once, twice, -3, once * on_interest + 3)


def third_order(what: str, once: int, twice: int, exponent: float, rounding: Fraction) -> Accrual:
    """The exponential cut after its third term: two of them hold terms of the fourth order and above that one has
    not, which come to less than what the series leaves out, x**4 / 24 e**x."""
    left_out = Fraction(exponent**4 / 24 * exp(exponent) * (1 + 1e-9))
    return Accrual(what, once, twice, -rounding, once * left_out + rounding)
