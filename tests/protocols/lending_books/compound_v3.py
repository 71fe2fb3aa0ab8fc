"""Compound v3."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from protocols.lending.compound_v3 import rates
from protocols.lending.compound_v3.state import BASE
from protocols.lending.interface import Offer, Terms
from tests.protocols import compound_v3_markets
from tests.protocols.lending_books.book import WAD, Accrual, Amounts, Book, entries_of, less, parts


class CompoundV3Book(Book):
    """Absorbed collateral becomes the protocol's, and its reserves pay the debt; whoever buys it pays into them."""

    writes_off = True
    fixed_spread = False
    absorbs = True

    def __init__(self, seed: int, seconds: int = 0, flush: bool = False) -> None:
        self.market = compound_v3_markets.random_comet(seed).market()
        self.comet = compound_v3_markets.random_comet(seed)
        self.now = compound_v3_markets.NOW + seconds
        self.market.advance(self.now)

    def _totals_now(self) -> Any:
        return rates.accrued(self.comet.configuration, self.market.state()[0], self.now)

    def held(self) -> list[Any]:
        return list(self.market.state()[1].balance_raw)

    def kept(self) -> list[Any]:
        collateral = range(BASE + 1, len(self.market.tokens))
        return [self.market.protocol_reserves_raw(), *(self.market.collateral_reserves_raw(r) for r in collateral)]

    def supplies(self, account: int) -> Amounts:
        _, _, positions = self.market.state()
        principal = max(positions.principal[account], 0)
        base = rates.present_value(principal, self._totals_now().supply_index)
        return {BASE: base} | {positions.reserve[e]: positions.balance_raw[e] for e in entries_of(positions, account)}

    def debts(self, account: int) -> Amounts:
        _, _, positions = self.market.state()
        principal = max(-positions.principal[account], 0)
        return {BASE: rates.present_value(principal, self._totals_now().borrow_index)}

    def records(self) -> list[Any]:
        totals, reserves, positions = self.market.state()
        held = parts(positions.balance_raw, positions.reserve, len(self.market.tokens))
        # of principals the market knows the borrowers' sum, and the suppliers' with those who are no accounts here
        borrowed = totals.borrow_principal + sum(p for p in positions.principal if p < 0)
        supplied = totals.supply_principal - sum(p for p in positions.principal if p > 0)
        return [borrowed, supplied, *less(reserves.supplied_raw, held)]

    def income(self, offer: Offer, terms: Terms) -> list[Any]:
        """The shop window is the protocol's: it gets the price, and gives the collateral."""
        amounts = {BASE: terms.repaid_raw, offer.collateral: -terms.received_raw}
        return [amounts.get(r, 0) for r in range(len(self.market.tokens))]

    def unit(self, reserve: int) -> int:
        return int(self.comet.reserves.scale[reserve])

    def claims(self) -> list[Any]:
        return [self._totals_now().supply_index] + [1] * (len(self.market.tokens) - 1)

    @classmethod
    def accruals(cls, seed: int, first: int, second: int) -> Iterable[Accrual]:
        """Storing starts again from the indices and the utilization of then, which change the rate by less than they
        grew."""
        comet = compound_v3_markets.random_comet(seed)
        c, totals, start = comet.configuration, comet.totals, comet.totals.last_accrual
        once = rates.accrued(c, totals, start + first + second)
        twice = rates.accrued(c, rates.accrued(c, totals, start + first), start + first + second)
        assert (twice.supply_principal, twice.borrow_principal) == (totals.supply_principal, totals.borrow_principal)
        steepest = max(c.borrow_slope_high, c.supply_slope_high, c.borrow_slope_low)
        seconds, usage = first + second, Fraction(rates.utilization(totals), WAD)
        names = ("supply_index", "borrow_index")
        grown = max(Fraction(getattr(once, name), getattr(totals, name)) - 1 for name in names)
        swing = grown + Fraction(steepest * seconds, WAD) * usage
        relative = grown * swing + Fraction(3, compound_v3_markets.INDEX) + Fraction(3 * seconds, WAD)
        for name in names:
            index = getattr(once, name)
            yield Accrual(name, index, getattr(twice, name), -index * relative, index * relative)
