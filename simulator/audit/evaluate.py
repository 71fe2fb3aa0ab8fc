"""What one cell of an audit comes to: losses over the paths, under each response of borrowers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chain.snapshot import Snapshot
from simulator.audit.feeds import with_rules
from simulator.audit.grid import BASELINE, Books, Cell, apart
from simulator.audit.paths import Paths
from simulator.audit.responses import respond
from simulator.audit.room import Room, rooms
from simulator.audit.settings import Setting
from simulator.audit.theory import warnings
from simulator.book import Book, value
from simulator.estimate.losses import At, EconomicBadDebt
from simulator.estimate.models.model import FloatArray, PriceModel
from simulator.estimate.outputs import Output
from simulator.estimate.run import losses_of
from simulator.estimate.statistics import Estimate, difference, measures
from simulator.paths.losses import PathLosses
from simulator.scenario import Scenario
from simulator.scheduling import processor

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Evaluate:
    """What a book loses on the paths of a model, with the feeds of a cell.

    Attributes
    ----------
    known
        The parameters that cells have values of.
    snapshot, model, scenario, follow, at
        As `simulator.estimate.run.losses_of` takes them.
    """

    known: Mapping[str, Setting]
    snapshot: Snapshot
    model: PriceModel
    scenario: Scenario | None
    follow: Mapping[str, str] | None
    at: At

    def __call__(self, cell: Cell, book: Book) -> EconomicBadDebt | PathLosses:
        """Of a cell, and of its book after a response."""
        own = self.scenario
        if own is not None:
            own = with_rules(own, book.tokens, self.known, apart(cell, self.known))
        return losses_of(self.snapshot, book, self.model, own, follow=self.follow, at=self.at)


@dataclass(frozen=True)
class Cells:
    """Evaluates cells, each by itself, so that they can be done in any order, by several threads or machines.

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

    def baseline(self, cell: Cell, threads: int) -> tuple[Rows, dict[str, FloatArray]]:
        """The rows of the cell with the snapshot's own values, and its losses under each response.

        On so many threads, because nothing else can be done before.
        """
        losses: dict[str, FloatArray] = {}
        return self._rows(cell, losses, threads), losses

    def rows(self, cell: Cell, baseline: Mapping[str, FloatArray]) -> Rows:
        """The rows of a cell; differences are from the losses of the baseline under the same response."""
        return self._rows(cell, dict(baseline))

    def _rows(self, cell: Cell, baseline: dict[str, FloatArray], threads: int = 1) -> Rows:
        tables, after = self.books.of(cell)
        room = rooms(tables, after)
        found: Rows = {"outcomes": [], "statistics": [], "headroom": []}
        for name in self.responses:
            book = respond(name, self.books.base, after, room)
            own = {"cell": cell.number, "response": name}
            evaluation = self.evaluate(cell, book)
            losses = self.paths.losses(evaluation, threads)
            if cell.number == BASELINE:
                baseline[name] = losses
            found["outcomes"].append(own | outcome(self.books.base, book))
            found["statistics"] += [own | row for row in self._statistics(evaluation.outputs, losses, baseline[name])]
            found["headroom"] += [own | row for row in headroom(after, book, room)]
        found["warnings"] = [{"cell": cell.number} | row for row in warnings(self.books.base, after, room)]
        found["processors"] = [{"cell": cell.number, "processor": processor()}]
        return found

    def _statistics(self, outputs: Sequence[str], losses: FloatArray, baseline: FloatArray) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        # of many reserves, most lose nothing on any path
        nothing: list[dict[str, Any]] | None = None
        for column, name in enumerate(outputs):
            output = name if isinstance(name, Output) else Output(name)
            what = {"output": str(output), "measure": output.measure, "by": output.by, "of": output.of}
            if losses[:, column].any() or baseline[:, column].any():
                found = self._compared(losses[:, column], baseline[:, column])
            else:
                found = nothing = nothing or self._compared(losses[:, column], baseline[:, column])
            rows += [what | row for row in found]
        return rows

    def _compared(self, losses: FloatArray, baseline: FloatArray) -> list[dict[str, Any]]:
        """Every statistic of one output, and the differences of those that have a paired error."""
        sample, base, rows = self.paths.sample(losses), self.paths.sample(baseline), []
        for one in measures(sample):
            paired = one.name in ("mean", "expected shortfall")
            rows.append(statistic(one, difference(sample, base, one.level) if paired else None))
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
