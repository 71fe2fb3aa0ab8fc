"""What one cell of an audit comes to: losses over the paths, under each response of borrowers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from simulator.audit.grid import BASELINE, Books, Cell
from simulator.audit.paths import Paths
from simulator.audit.responses import respond
from simulator.audit.room import Room, rooms
from simulator.audit.theory import warnings
from simulator.book import Book, value
from simulator.estimate.losses import EconomicBadDebt
from simulator.estimate.models.model import FloatArray
from simulator.estimate.statistics import Estimate, difference, measures


class Evaluation(Protocol):
    """What a book loses on paths: as `simulator.estimate.importance.Losses`, with the names of its outputs."""

    @property
    def outputs(self) -> tuple[str, ...]: ...

    def __call__(self, prices: FloatArray) -> FloatArray: ...


Evaluate = Callable[[Book], Evaluation]
EVALUATION = EconomicBadDebt.of
"""What a cell's losses are: of a book, the assets that have paths, and by keyword what others follow."""

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Cells:
    """Evaluates cells, each by itself, so that they can be done in any order and by several threads.

    Attributes
    ----------
    books
        The book of each cell.
    paths
        What every cell sees.
    evaluate
        What a book loses.
    responses
        Of borrowers, by name.
    """

    books: Books
    paths: Paths
    evaluate: Evaluate
    responses: Sequence[str]

    def baseline(self, cell: Cell) -> tuple[Rows, dict[str, FloatArray]]:
        """The rows of the cell with the snapshot's own values, and its losses under each response."""
        losses: dict[str, FloatArray] = {}
        return self._rows(cell, losses), losses

    def rows(self, cell: Cell, baseline: Mapping[str, FloatArray]) -> Rows:
        """The rows of a cell; differences are from the losses of the baseline under the same response."""
        return self._rows(cell, dict(baseline))

    def _rows(self, cell: Cell, baseline: dict[str, FloatArray]) -> Rows:
        tables, after = self.books.of(cell)
        room = rooms(tables, after)
        found: Rows = {"outcomes": [], "statistics": [], "headroom": []}
        for name in self.responses:
            book = respond(name, self.books.base, after, room)
            own = {"cell": cell.number, "response": name}
            evaluation = self.evaluate(book)
            losses = evaluation(self.paths.prices)
            if cell.number == BASELINE:
                baseline[name] = losses
            found["outcomes"].append(own | outcome(self.books.base, book))
            found["statistics"] += [own | row for row in self._statistics(evaluation.outputs, losses, baseline[name])]
            found["headroom"] += [own | row for row in headroom(after, book, room)]
        found["warnings"] = [{"cell": cell.number} | row for row in warnings(self.books.base, after, room)]
        return found

    def _statistics(self, outputs: Sequence[str], losses: FloatArray, baseline: FloatArray) -> list[dict[str, Any]]:
        rows = []
        for column, output in enumerate(outputs):
            sample, base = self.paths.sample(losses[:, column]), self.paths.sample(baseline[:, column])
            for one in measures(sample):
                paired = one.name in ("mean", "expected shortfall")
                apart = difference(sample, base, one.level) if paired else None
                rows.append({"output": output} | statistic(one, apart))
        return rows


def statistic(one: Estimate, apart: Estimate | None) -> dict[str, Any]:
    """A row of an estimate and of its difference from the baseline, which not every statistic has."""
    nothing = float("nan")
    return {
        "name": one.name,
        "level": nothing if one.level is None else one.level,
        "value": one.value,
        "low": one.low,
        "high": one.high,
        "standard_error": one.standard_error,
        "enough": one.enough,
        "difference": nothing if apart is None else apart.value,
        "difference_low": nothing if apart is None else apart.low,
        "difference_high": nothing if apart is None else apart.high,
        "difference_error": nothing if apart is None else apart.standard_error,
        "difference_enough": apart is not None and apart.enough,
    }


def outcome(before: Book, book: Book) -> dict[str, Any]:
    """What all markets together come to at the snapshot's oracle prices, without any path.

    Parameters
    ----------
    before
        The book of the snapshot's own values.
    book
        A cell's, after a response.
    """
    totals = dict.fromkeys(
        ("collateral_usd", "capacity_usd", "debt_usd", "at_once_collateral_usd", "at_once_debt_usd"), 0.0
    )
    accounts = 0
    for row, (was, market) in enumerate(zip(before.markets, book.markets, strict=True)):
        prices = book.oracle_usd(row)
        old, now = value(was.exposures(), prices), value(market.exposures(), prices)
        fell = (old.health_factor >= 1.0) & (now.health_factor < 1.0)
        accounts += int(fell.sum())
        totals["collateral_usd"] += float(now.collateral_usd.sum())
        totals["capacity_usd"] += float(now.capacity_usd.sum())
        totals["debt_usd"] += float(now.debt_usd.sum())
        totals["at_once_collateral_usd"] += float(now.collateral_usd[fell].sum())
        totals["at_once_debt_usd"] += float(now.debt_usd[fell].sum())
    used = totals["debt_usd"] / totals["collateral_usd"] if totals["collateral_usd"] else float("nan")
    return totals | {"utilisation": used, "at_once_accounts": accounts}


def headroom(after: Book, book: Book, room: Sequence[Room]) -> list[dict[str, Any]]:
    """What is left under each cap once borrowers have responded.

    Parameters
    ----------
    after, book
        A cell's before and after the response.
    room
        Of each market of the first.
    """
    rows = []
    for row, (was, market) in enumerate(zip(after.markets, book.markets, strict=True)):
        there, old, new = room[row], was.exposures(), market.exposures()
        size = len(there.cash)
        more_supplied, more_debt = (
            np.bincount(old.reserve, weights=change, minlength=size)
            for change in (new.supplied - old.supplied, new.debt - old.debt)
        )
        supplied, borrowed = there.supplied + more_supplied, there.borrowed + more_debt
        prices = book.outside_usd[book.market_tokens[row]]
        rows += [
            {
                "market": market.name,
                "token": market.tokens[reserve],
                "supply_cap": float(there.supply_cap[reserve]),
                "supplied": float(supplied[reserve]),
                "supply_room_usd": float((there.supply_cap[reserve] - supplied[reserve]) * prices[reserve]),
                "borrow_cap": float(there.borrow_cap[reserve]),
                "borrowed": float(borrowed[reserve]),
                "borrow_room_usd": float((there.borrow_cap[reserve] - borrowed[reserve]) * prices[reserve]),
            }
            for reserve in np.flatnonzero(np.isfinite(there.supply_cap) | np.isfinite(there.borrow_cap)).tolist()
        ]
    return rows
