"""The cells of an audit: the snapshot's own values, and every combination of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from chain.snapshot import Snapshot
from protocols import registry
from simulator.audit.settings import Setting, changed
from simulator.book import Book, open_book

BASELINE = 0
"""Number of the cell with the snapshot's own values."""


@dataclass(frozen=True)
class Cell:
    """One combination.

    Attributes
    ----------
    number
        0 for the snapshot's own values, then in the order of the grid, the last parameter running fastest.
    raws
        The raw value of every parameter that is swept, by key.
    """

    number: int
    raws: Mapping[str, int]


def cells(known: Mapping[str, Setting], wanted: Mapping[str, Sequence[int]]) -> list[Cell]:
    """The baseline, and the full grid without it."""
    own = {key: known[key].raw for key in wanted}
    grid = (dict(zip(wanted, raws, strict=True)) for raws in product(*wanted.values()))
    others = [raws for raws in grid if raws != own]
    return [Cell(number, raws) for number, raws in enumerate([own, *others])]


def apart(cell: Cell, known: Mapping[str, Setting]) -> dict[str, int]:
    """What a cell has other than the baseline."""
    return {key: raw for key, raw in cell.raws.items() if raw != known[key].raw}


class Books:
    """The book of each cell, in which only what a cell changes is opened anew.

    Parameters
    ----------
    snapshot
        Whose tables the cells change.
    known
        Its parameters.

    Attributes
    ----------
    base
        The book of the snapshot's own values. Whoever gets a book must leave it as it is: cells share their parts.
    """

    def __init__(self, snapshot: Snapshot, known: Mapping[str, Setting]) -> None:
        self._snapshot, self._known = snapshot, known
        self.base = open_book(snapshot)

    def __reduce__(self) -> tuple[type[Books], tuple[Snapshot, Mapping[str, Setting]]]:
        # a book is opened anew where it is sent: it has functions, which cannot be, and is larger than its tables
        return Books, (self._snapshot, self._known)

    def of(self, cell: Cell) -> tuple[Snapshot, Book]:
        """A cell's tables, and its book."""
        raws = {key: raw for key, raw in apart(cell, self._known).items() if self._known[key].protocol}
        if not raws:
            return self._snapshot, self.base
        tables = changed(self._snapshot, self._known, raws)
        # markets of one protocol may share state (the hubs of Aave v4), those of several do not
        protocols = dict.fromkeys(self._known[key].protocol for key in raws)
        opened = {market.name: market for name in protocols for market in registry.markets_of(name, tables)}
        markets = [opened.get(market.name, market) for market in self.base.markets]
        return tables, replace(self.base, markets=markets)
