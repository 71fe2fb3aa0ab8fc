"""Morpho Blue."""

from __future__ import annotations

import random
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from protocols.lending.interface import Offer, Terms
from protocols.lending.morpho_blue.market import COLLATERAL, LOAN
from protocols.lending.morpho_blue.rules import accrue, charge, incentive_factor, owed
from tests.protocols import morpho_blue_markets
from tests.protocols.lending_books.book import WAD, YEAR, Accrual, Amounts, Book, third_order


class MorphoBlueBook(Book):
    """Collateral goes to the liquidator and nowhere else; what nothing is left for is the lenders' loss at once."""

    writes_off = True
    held_slack = 1

    def __init__(self, seed: int, seconds: int = 0, flush: bool = False) -> None:
        self.constants = morpho_blue_markets.random_constants(seed)
        self.market = morpho_blue_markets.random_market(seed, self.constants)
        self.now = morpho_blue_markets.NOW + seconds
        self.market.advance(self.now)

    def _totals_now(self) -> Any:
        totals, _ = self.market.state()
        return accrue(self.market._parameters, self.market._rate, totals, self.now).totals

    def held(self) -> list[Any]:
        """The contract holds all markets' tokens in one: here, what this one's totals say is there."""
        totals = self._totals_now()
        _, positions = self.market.state()
        return [sum(position.collateral for position in positions), totals.supply_assets - totals.borrow_assets]

    def debt(self) -> list[Any]:
        return [0, self._totals_now().borrow_assets]

    def lent(self) -> list[Any]:
        return [0, self._totals_now().supply_assets]

    def supplies(self, account: int) -> Amounts:
        return {COLLATERAL: self.market.state()[1][account].collateral}

    def debts(self, account: int) -> Amounts:
        return {LOAN: owed(self._totals_now(), self.market.state()[1][account].borrow_shares)}

    def records(self) -> list[Any]:
        totals, positions = self.market.state()
        return [totals.borrow_shares - sum(position.borrow_shares for position in positions)]

    def claims(self) -> list[Any]:
        totals = self._totals_now()
        return [1, Fraction(totals.supply_assets + self.market.deficits_raw()[LOAN], totals.supply_shares)]

    def price(self, reserve: int) -> Fraction:
        return Fraction(self.market.price_raw(COLLATERAL), 10**36) if reserve == COLLATERAL else Fraction(1)

    def seizable(self, account: int) -> Amounts:
        return self.supplies(account)

    def bonus(self, account: int, reserve: int) -> Fraction:
        return Fraction(incentive_factor(self.market._parameters.lltv_wad, self.constants), WAD)

    def grain(self, offer: Offer, terms: Terms) -> Fraction:
        """A unit of collateral, and what a unit of the loan token buys."""
        return 3 + 3 / self.price(COLLATERAL)

    @classmethod
    def accruals(cls, seed: int, first: int, second: int) -> Iterable[Accrual]:
        """At a rate that stays; the adaptive curve moves its rate by a rule of its own."""
        totals, _ = morpho_blue_markets.random_market(seed).state()
        rate, fee = random.Random(seed).randrange(WAD // YEAR), random.Random(seed).randrange(WAD // 4)
        middle, end = totals.last_update + first, totals.last_update + first + second
        once = charge(totals, fee, rate, end).totals
        twice = charge(charge(totals, fee, rate, middle).totals, fee, rate, end).totals
        assert twice.borrow_shares == once.borrow_shares == totals.borrow_shares
        # Each term of the growth is a whole wad, and the interest a whole unit.
        rounding = 3 + Fraction(6 * once.borrow_assets, WAD)
        exponent = rate * (first + second) / WAD
        yield third_order("debt", once.borrow_assets, twice.borrow_assets, exponent, rounding)
