"""Which cells of an audit are worth choosing: the frontier of loss against capital efficiency, and a budget."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.errors import InputError
from simulator.audit.grid import Cell
from simulator.audit.settings import Setting

_STATISTIC = re.compile(r"(mean|es|var)(\d+(?:\.\d+)?)?")
_NAMES = {"mean": "mean", "es": "expected shortfall", "var": "value at risk"}


@dataclass(frozen=True)
class Headline:
    """The statistic by which cells are compared, such as ``es99``, and how much of it is allowed.

    Attributes
    ----------
    text
        As it was asked for.
    name, level
        As `simulator.estimate.statistics.Estimate` has them; the level is None for the mean.
    budget_usd
        None where there is none.
    """

    text: str
    name: str
    level: float | None
    budget_usd: float | None = None

    @classmethod
    def of(cls, text: str) -> Headline:
        """Of ``es99=1e6``, ``var99.9=1e6``, ``mean=1e5``, or without a budget ``es99``.

        Raises
        ------
        InputError
            If the text is none of these.
        """
        from simulator.estimate.statistics import LEVELS

        statistic, equals, amount = (part.strip() for part in text.partition("="))
        match = _STATISTIC.fullmatch(statistic)
        level = None if match is None or match[2] is None else round(float(match[2]) / 100.0, 12)
        if match is None or (match[1] == "mean") != (level is None) or level not in (None, *LEVELS):
            known = ", ".join(f"es{100 * each:g}" for each in LEVELS)
            raise InputError(f"--budget {text}: write {known}, var… or mean, and dollars, such as es99=1e6")
        try:
            budget = float(amount) if equals else None
        except ValueError:
            budget = -1.0
        if budget is not None and not 0.0 <= budget < float("inf"):
            raise InputError(f"--budget {text}: {amount or 'nothing'} is no number of dollars from 0 on")
        return cls(statistic, _NAMES[match[1]], level, budget)


def frontier(outcomes: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which outcomes no other of the same response beats: as much capacity for less loss, or more for as much.

    Of several that are alike in both, all are on it.
    """
    on = []
    for one in outcomes:
        rivals = (other for other in outcomes if other["response"] == one["response"])
        on.append(
            not any(
                (other["capacity_usd"] >= one["capacity_usd"] and other["loss_usd"] < one["loss_usd"])
                or (other["capacity_usd"] > one["capacity_usd"] and other["loss_usd"] <= one["loss_usd"])
                for other in rivals
            )
        )
    return on


def laxest(
    cells: Sequence[Cell], known: Mapping[str, Setting], outcomes: Sequence[Mapping[str, Any]], budget_usd: float
) -> list[bool]:
    """Which outcomes keep a budget while no laxer cell does under the same response.

    A cell is laxer if none of its parameters is tighter and one is laxer; parameters that are laxer in neither
    direction, such as a bonus, must be alike.
    """
    kept = [outcome["loss_usd"] <= budget_usd for outcome in outcomes]
    values = {cell.number: _lax(cell, known) for cell in cells}
    chosen = []
    for one, own in zip(outcomes, kept, strict=True):
        rivals = (
            values[other["cell"]]
            for other, keeps in zip(outcomes, kept, strict=True)
            if keeps and other["response"] == one["response"]
        )
        chosen.append(own and not any(_laxer(rival, values[one["cell"]]) for rival in rivals))
    return chosen


def _lax(cell: Cell, known: Mapping[str, Setting]) -> tuple[tuple[int, float], ...]:
    """Direction and value of each parameter."""
    settings = ((known[key], raw) for key, raw in cell.raws.items())
    return tuple((each.parameter.laxer, float(each.parameter.value(raw, each.scale))) for each, raw in settings)


def _laxer(one: Sequence[tuple[int, float]], other: Sequence[tuple[int, float]]) -> bool:
    apart = [(direction, a - b if a != b else 0.0) for (direction, a), (_, b) in zip(one, other, strict=True)]
    if any(by != 0.0 and direction * by <= 0.0 for direction, by in apart):
        return False
    return any(by != 0.0 for _, by in apart)
