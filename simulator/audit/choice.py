"""Which cells of an audit are worth choosing: the frontier of loss against capital efficiency, and a budget."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    on = [False] * len(outcomes)
    for rows in _by_response(outcomes):
        # from the most capacity down; among equals the least loss first
        order = sorted(rows, key=lambda row: (-outcomes[row]["capacity_usd"], outcomes[row]["loss_usd"]))
        least, last = math.inf, None
        for row in order:
            at = outcomes[row]["capacity_usd"], outcomes[row]["loss_usd"]
            on[row] = at[1] < least or at == last
            if on[row]:
                least, last = at[1], at
    return on


def laxest(
    cells: Sequence[Cell], known: Mapping[str, Setting], outcomes: Sequence[Mapping[str, Any]], budget_usd: float
) -> list[bool]:
    """Which outcomes keep a budget while no laxer cell does under the same response.

    A cell is laxer if none of its parameters is tighter and one is laxer; parameters that are laxer in neither
    direction, such as a bonus, must be alike.
    """
    settings = [known[key] for key in cells[0].raws]
    directions = np.array([setting.parameter.laxer for setting in settings], dtype=np.float64)
    values = np.array(
        [
            [
                float(each.parameter.value(raw, each.scale))
                for each, raw in zip(settings, cell.raws.values(), strict=True)
            ]
            for cell in cells
        ]
    ).reshape(len(cells), len(settings))
    directed = directions != 0.0
    either, lax = values[:, ~directed], values[:, directed] * directions[directed]
    found = [False] * len(outcomes)
    for rows in _by_response(outcomes):
        kept = [row for row in rows if outcomes[row]["loss_usd"] <= budget_usd]
        places = np.array([outcomes[row]["cell"] for row in kept], dtype=np.int64)
        for row, place in zip(kept, places, strict=True):
            alike = (either[places] == either[place]).all(axis=1)
            laxer = (lax[places] >= lax[place]).all(axis=1) & (lax[places] > lax[place]).any(axis=1)
            found[row] = not (alike & laxer).any()
    return found


def _by_response(outcomes: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Rows of the outcomes of each response."""
    rows: dict[str, list[int]] = {}
    for row, outcome in enumerate(outcomes):
        rows.setdefault(outcome["response"], []).append(row)
    return list(rows.values())
