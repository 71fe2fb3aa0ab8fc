"""Venus' core pool."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from protocols.lending.venus_core.rules import accrue
from tests.protocols import compound_books
from tests.protocols.lending_books.book import WAD, Amounts, entries_of, less
from tests.protocols.lending_books.compound_v2 import CompoundV2Book


class VenusBook(CompoundV2Book):
    """The Liquidator contract keeps a part of the claims and redeems them for the treasury, now or when there is cash;
    the liquidator redeems the rest."""

    protocol = "venus_core"
    fee_leaves = True

    def _guards(self) -> Any:
        return self.market._guards

    def kept(self) -> list[Any]:
        kept = zip(super().kept(), self._guards().liquidator_claims, self.claims(), strict=True)
        return [reserves + Fraction(claims * rate, WAD) for reserves, claims, rate in kept]

    def records(self) -> list[Any]:
        return less(super().records(), self._guards().liquidator_claims)

    def _pool(self, account: int) -> int:
        return int(self.market.state()[1].pool[account])

    def seizable(self, account: int) -> Amounts:
        """What is in a market that the account has entered; in a pool that lacks it nobody can liquidate it."""
        _, positions = self.market.state()
        entered = {positions.market[entry] for entry in entries_of(positions, account) if positions.entered[entry]}
        return {
            m: amount for m, amount in self.supplies(account).items() if m in entered and self.bonus(account, m) >= 1
        }

    @classmethod
    def _accrue(cls, book: compound_books.Book, m: int, block: int) -> None:
        assert accrue(book.markets, book.guards, m, block)
