"""Suppliers who run: what they ask for, what a reserve's cash pays, what waits, and how long it takes to be out.

Who comes first is paid first. What a supplier's size does to its way out is told for the one at the head of the line:
a tenth of all supplied is out once a tenth was paid. Whoever comes later waits for those before as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, inf
from typing import Any

from chain.errors import UnsupportedError
from protocols.lending.interface import Emptiable
from simulator.book import Book
from simulator.losses.freezes import Freezes
from simulator.losses.shocks import Contagion, SuppliersRun
from simulator.losses.spread import Spread, reserve_of

Row = dict[str, Any]
TENTHS = 10


@dataclass
class _Line:
    """The line before one reserve."""

    rule: SuppliersRun
    market: int
    reserve: int
    waiting_raw: int = 0
    served_raw: int = 0
    began_s: float | None = None
    supplied_raw: int = 0
    """By those who may leave, when the run began."""
    out_after_s: list[float] = field(default_factory=list)
    """By tenths of it, seconds from then."""


class Runs:
    """The runs of a scenario.

    Parameters
    ----------
    book
        What is run; its markets' cash is paid out here.
    rules
        What the scenario says.
    spread, freezes
        What suppliers have lost, and what stands still.
    step_s
        Length of a step, seconds.
    where
        Name of the scenario, for errors.

    Raises
    ------
    InputError
        If a run is on a market or a reserve that the snapshot does not have.
    UnsupportedError
        If it is on a market whose withdrawals are not modelled.
    """

    def __init__(
        self, book: Book, rules: Contagion, spread: Spread, freezes: Freezes, step_s: float, where: str
    ) -> None:
        self._book, self._spread, self._freezes, self._step_s = book, spread, freezes, step_s
        self._lines = [
            _Line(run, *reserve_of(book, run.market, run.token, f"{where}: contagion.runs")) for run in rules.runs
        ]
        for line in self._lines:
            market = book.markets[line.market]
            if not isinstance(market, Emptiable):
                raise UnsupportedError(
                    f"{where}: contagion.runs: market {market.name} is of {market.protocol}, from which withdrawals of "
                    "suppliers are not modelled"
                )
        self.exits: list[Row] = []

    def leave(self, step: int, elapsed_s: float) -> None:
        """Let suppliers leave in a step."""
        for line in self._lines:
            if line.began_s is None and self._frightened(line, elapsed_s):
                line.began_s, line.supplied_raw = elapsed_s, self._theirs(line)
            if line.began_s is not None:
                self._serve(step, elapsed_s, line)

    def exit_times(self) -> list[Row]:
        """Rows of the run's table of that name, for the runs that began."""
        return [
            {
                "market": self._book.markets[line.market].name,
                "token": self._book.markets[line.market].tokens[line.reserve],
                "tenths": tenths,
                "amount_raw": line.supplied_raw * tenths // TENTHS,
                "seconds": line.out_after_s[tenths - 1] if tenths <= len(line.out_after_s) else inf,
            }
            for line in self._lines
            if line.began_s is not None
            for tenths in range(1, TENTHS + 1)
        ]

    def _frightened(self, line: _Line, elapsed_s: float) -> bool:
        rule = line.rule
        if rule.from_s is not None and elapsed_s >= rule.from_s:
            return True
        if rule.loss is not None and self._spread.lost_share((line.market, line.reserve)) > rule.loss:
            return True
        return rule.utilisation is not None and self._utilisation(line) >= rule.utilisation

    def _serve(self, step: int, elapsed_s: float, line: _Line) -> None:
        market = self._book.markets[line.market]
        share = 1.0 - exp(-line.rule.per_hour * self._step_s / 3600.0)
        theirs = self._theirs(line)
        waited = min(line.waiting_raw, theirs)
        asked = round(share * (theirs - waited))
        frozen = self._freezes.holds(line.market, line.reserve, elapsed_s)
        assert isinstance(market, Emptiable)
        served = 0 if frozen else market.pay_out(line.reserve, waited + asked)
        line.waiting_raw = waited + asked - served
        line.served_raw += served
        while len(line.out_after_s) < TENTHS and self._is_out(line, len(line.out_after_s) + 1):
            line.out_after_s.append(elapsed_s - (line.began_s or 0.0))
        self.exits.append(
            {
                "step": step,
                "market": market.name,
                "token": market.tokens[line.reserve],
                "demanded_raw": asked,
                "served_raw": served,
                "waiting_raw": line.waiting_raw,
                "utilisation": self._utilisation(line),
            }
        )

    @staticmethod
    def _is_out(line: _Line, tenths: int) -> bool:
        return line.served_raw * TENTHS >= line.supplied_raw * tenths

    def _theirs(self, line: _Line) -> int:
        """What suppliers without debt have in a reserve, smallest units: all of it but what accounts with debt have."""
        market = self._book.markets[line.market]
        cash, lent = market.cash_and_loans_raw()[line.reserve]
        pledged = 0.0
        if market.lends_collateral:
            exposures = market.exposures()
            pledged = float(exposures.supplied[exposures.reserve == line.reserve].sum())
        token = int(self._book.market_tokens[line.market][line.reserve])
        return max(0, cash + lent - round(pledged * float(self._book.unit[token])))

    def _utilisation(self, line: _Line) -> float:
        cash, lent = self._book.markets[line.market].cash_and_loans_raw()[line.reserve]
        return lent / (cash + lent) if lent else 0.0
