"""How much more of each reserve may be supplied and be owed: caps, and what there is under them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chain.snapshot import Snapshot
from chain.tables import Table
from protocols import registry
from protocols.lending.interface import LendingMarket
from protocols.lending.parameters import BORROW_CAP, SUPPLY_CAP, Parameter
from simulator.book import Book

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Room:
    """One market's reserves; arrays of shape (reserves,), whole tokens.

    Attributes
    ----------
    supply_cap, borrow_cap
        Infinite where there is none.
    supplied, borrowed
        By everybody, with interest to now. Of collateral that is never lent, what the market says it holds, or else
        what accounts with debt have.
    cash
        What could be borrowed now.
    """

    supply_cap: FloatArray
    supplied: FloatArray
    borrow_cap: FloatArray
    borrowed: FloatArray
    cash: FloatArray

    @property
    def to_supply(self) -> FloatArray:
        """What may still be supplied; nothing where more is there than the cap allows."""
        return np.maximum(self.supply_cap - self.supplied, 0.0)

    @property
    def to_borrow(self) -> FloatArray:
        """What may still be borrowed of what there is."""
        return np.minimum(np.maximum(self.borrow_cap - self.borrowed, 0.0), self.cash)


def rooms(tables: Snapshot, book: Book) -> list[Room]:
    """The room in each of a book's markets, with the caps that tables have."""
    return [_room(tables, book, row) for row in range(len(book.markets))]


def _room(tables: Snapshot, book: Book, row: int) -> Room:
    market, unit = book.markets[row], book.unit[book.market_tokens[row]]
    raw = [(float(cash), float(lent)) for cash, lent in market.cash_and_loans_raw()]
    cash, lent = (np.array(raw) / unit[:, None]).T
    exposures = market.exposures()
    pledged = np.bincount(exposures.reserve, weights=exposures.supplied, minlength=len(unit))
    supply_cap, supplied = _cap(tables, market, SUPPLY_CAP)
    borrow_cap, _ = _cap(tables, market, BORROW_CAP)
    supplied = np.where(cash + lent > 0, cash + lent, np.where(np.isnan(supplied), pledged, supplied))
    return Room(supply_cap, supplied, borrow_cap, lent, cash)


def _cap(tables: Snapshot, market: LendingMarket, name: str) -> tuple[FloatArray, FloatArray]:
    """A cap of each reserve, and how much of it is used where the protocol's table says so."""
    cap, used = np.full(len(market.tokens), np.inf), np.full(len(market.tokens), np.nan)
    for parameter in registry.parameters(market.protocol):
        if parameter.name == name:
            # reserves stand in a market's table in the market's own order
            table = tables.tables[parameter.table.name].where("market", market.name)
            cap = _values(parameter, table, parameter.column)
            used = _values(parameter, table, parameter.used) if parameter.used else used
            cap[[not subject for subject in parameter.subject(tables, table)]] = np.inf
    return cap, used


def _values(parameter: Parameter, table: Table, column: str) -> FloatArray:
    rows = zip(table.ints(column), parameter.scales(table), strict=True)
    return np.array([float(parameter.value(raw, scale)) for raw, scale in rows])
