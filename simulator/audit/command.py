"""Audits as the command line asks for them, and as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chain.errors import InputError
from simulator.audit.feeds import feed_settings
from simulator.audit.run import Audit, audit
from simulator.audit.settings import settings, split
from simulator.book import open_book, opened
from simulator.estimate.command import Asked, behaving
from simulator.estimate.command import notes as notes_on_paths
from simulator.scenario import Scenario, load_scenario

SHOWN = 24
"""Cells that a table shows; of more, the baseline and those that are worth choosing."""


def listing(snapshot: Path, like: str | None) -> list[dict[str, Any]]:
    """Every parameter of a snapshot, and how feeds speak by default or in a scenario, as JSON values; null for no
    limit."""
    book = open_book(taken := opened(snapshot))
    scenario = Scenario(name="defaults", step_s=60.0, steps=1) if like is None else load_scenario(like)
    known = settings(taken) | feed_settings(scenario, book.tokens)
    return [
        {
            "parameter": setting.key,
            "value": _finite(float(setting.value)),
            "least": setting.parameter.least,
            "most": setting.parameter.most,
            "meaning": setting.parameter.meaning,
            "table": setting.parameter.table.name,
            "column": setting.parameter.column,
        }
        for setting in known.values()
    ]


def run(
    snapshot: Path,
    values: Sequence[str],
    baseline: bool,
    asked: Asked,
    *,
    like: str | None,
    haircut: float | None,
    liquidations: bool,
    **options: Any,
) -> Audit:
    """The audit that the options of `unwind audit` ask for; `options` as `simulator.audit.run.audit` takes them.

    Raises
    ------
    InputError
        If an option is malformed, or the series or the snapshot is not as it should be.
    """
    if not (values or baseline):
        raise InputError("give --set KEY=VALUES, or --baseline for the snapshot's own values alone; --list shows keys")
    return audit(
        snapshot,
        split(values),
        asked.fitted(),
        seed=asked.seed,
        follow=asked.followed,
        liquidations=liquidations,
        like=behaving(like, haircut, liquidations),
        **options,
    )


def notes(found: Audit) -> list[str]:
    """What a reader of any figure must know."""
    return [*found.facts["notes"], *notes_on_paths(found)]


def as_json(found: Audit) -> dict[str, Any]:
    """Everything, as JSON values; what is no finite number is null."""
    tables = {
        name: [{column: _finite(value) for column, value in row.items()} for row in table.rows()]
        for name, table in found.tables.items()
    }
    return {**found.facts, "notes": notes(found), **tables}


def shown(found: Audit) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Tables with their titles: what is warned of, the cells' values, and what they come to under each response."""
    if warned := _warnings(found):
        yield "warnings", warned
    outcomes, means = found.tables["outcomes"].rows(), _means(found)
    kept = {
        name: _worth_showing([row for row in outcomes if row["response"] == name]) for name in found.facts["responses"]
    }
    cells = sorted({row["cell"] for rows in kept.values() for row in rows})
    values = _values(found)
    if values[0]:
        yield "values of the cells", [{"cell": cell, **values[cell]} for cell in cells]
    for response, rows in kept.items():
        every = [row["keeps_budget"] for row in outcomes if row["response"] == response]
        some = f"; {len(rows):,} of {len(every):,} cells" if len(rows) < len(every) else ""
        budget = found.facts["budget_usd"]
        budgeted = "" if budget is None else f"; {sum(every):,} keep {found.facts['headline']} within {budget:,.6g}"
        yield (
            f"{response}: {found.facts['output']}, US dollars{budgeted}{some}",
            [_figures(found, row) | means[row["cell"], response] | _choice(found, row) for row in rows],
        )


def _warnings(found: Audit) -> list[dict[str, Any]]:
    """Each warning once, with the cells that it is about."""
    cells: dict[tuple[str, str, str], list[int]] = {}
    for row in found.tables["warnings"].rows():
        cells.setdefault((row["market"], row["token"], row["warning"]), []).append(row["cell"])
    symbols = found.facts["symbols"]
    return [
        {"market": market, "token": symbols[token], "warning": text, "cells": _numbers(numbers)}
        for (market, token, text), numbers in cells.items()
    ]


def _worth_showing(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """All cells if they are few; else the baseline, the laxest that keep the budget, and the frontier."""
    if len(rows) <= SHOWN:
        return list(rows)
    first = sorted(rows, key=lambda row: (row["cell"] != 0, not row["laxest"], not row["frontier"], row["cell"]))
    return sorted(
        (row for row in first[:SHOWN] if row["cell"] == 0 or row["laxest"] or row["frontier"]),
        key=lambda row: int(row["cell"]),
    )


def _figures(found: Audit, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cell": row["cell"],
        "capacity": _dollars(row["capacity_usd"]),
        "debt": _dollars(row["debt_usd"]),
        "used": row["utilisation"],
        "at_once": row["at_once_accounts"],
        "at_once_debt": _dollars(row["at_once_debt_usd"]),
        found.facts["headline"]: _dollars(row["loss_usd"]),
        "low": _dollars(row["loss_low_usd"]),
        "high": _dollars(row["loss_high_usd"]),
    }


def _means(found: Audit) -> dict[tuple[int, str], dict[str, Any]]:
    """How much mean bad debt differs from the snapshot's own, and means of what else is measured."""
    means: dict[tuple[int, str], dict[str, Any]] = {}
    for row in found.tables["statistics"].rows():
        if row["by"] == "all" and row["name"] == "mean":
            own = means.setdefault((row["cell"], row["response"]), {})
            if row["output"] == found.facts["output"]:
                own["mean_less_own"] = _dollars(row["difference"])
            else:
                own[f"mean {row['measure'].split()[-1]}"] = _dollars(row["value"])
    return means


def _choice(found: Audit, row: Mapping[str, Any]) -> dict[str, str]:
    frontier = {"frontier": "yes" if row["frontier"] else ""}
    if found.facts["budget_usd"] is None:
        return frontier
    kept = ("yes" if row["keeps_budget_surely"] else "perhaps") if row["keeps_budget"] else "no"
    return frontier | {"budget": kept, "laxest": "yes" if row["laxest"] else ""}


def _values(found: Audit) -> dict[int, dict[str, Any]]:
    values: dict[int, dict[str, Any]] = {cell: {} for cell in found.tables["outcomes"].ints("cell")}
    for row in found.tables["cells"].rows():
        values[row["cell"]][row["parameter"]] = row["value"] if math.isfinite(row["value"]) else "none"
    return values


def _numbers(numbers: Sequence[int]) -> str:
    few = ", ".join(str(number) for number in numbers[:8])
    return few if len(numbers) <= 8 else f"{few} and {len(numbers) - 8:,} more"


def _dollars(amount: float) -> float | str:
    """Without cents where there are many; the end of an interval that a small sample does not have in words."""
    if not math.isfinite(amount):
        return "not known"
    return round(amount) if abs(amount) >= 100.0 else amount


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
