"""How much more of each reserve may be supplied and be owed: caps, and what there is under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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
        By everybody whom the caps are for, with interest to now. Of collateral that is never lent, what the market says
        it holds, or else what accounts with debt have.
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
    supply, borrow = _cap(tables, market, SUPPLY_CAP), _cap(tables, market, BORROW_CAP)
    there = np.where(np.isnan(supply.used), pledged, supply.used)
    supplied = np.where(cash + lent > 0, supply.part * (cash + lent), there)
    return Room(supply.cap, supplied, borrow.cap, borrow.part * lent, cash)


class _Cap(NamedTuple):
    """A cap of each reserve; how much of it is used, where the protocol's table says so, and the share that counts."""

    cap: FloatArray
    used: FloatArray
    part: FloatArray


def _cap(tables: Snapshot, market: LendingMarket, name: str) -> _Cap:
    size = len(market.tokens)
    found = _Cap(np.full(size, np.inf), np.full(size, np.nan), np.ones(size))
    for parameter in registry.parameters(market.protocol):
        if parameter.name == name:
            # reserves stand in a market's table in the market's own order
            table = tables.tables[parameter.table.name].where("market", market.name)
            cap = _values(parameter, table, parameter.column)
            cap[[not subject for subject in parameter.subject(tables, table)]] = np.inf
            found = found._replace(cap=cap)
            if parameter.used:
                found = found._replace(used=_values(parameter, table, parameter.used))
            if parameter.part is not None:
                found = found._replace(part=np.array(parameter.part(tables, table)))
    return found


def _values(parameter: Parameter, table: Table, column: str) -> FloatArray:
    rows = zip(table.ints(column), parameter.scales(table), strict=True)
    return np.array([float(parameter.value(raw, scale)) for raw, scale in rows])
