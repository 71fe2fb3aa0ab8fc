"""Audits as the command line asks for them, and as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from chain.errors import InputError
from simulator.audit.feeds import feed_settings
from simulator.audit.run import Audit, audit
from simulator.audit.settings import settings, split
from simulator.book import open_book, opened
from simulator.estimate import command as estimates
from simulator.scenario import Scenario, load_scenario

SHOWN = 24
"""Cells of a response that a table shows; of more, the baseline and those that are worth choosing."""


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
    *,
    model: str,
    series: Path | None,
    horizon: str,
    follow: Sequence[str],
    peg: Sequence[str],
    like: str | None,
    haircut: float | None,
    liquidations: bool,
    responses: Sequence[str] | None,
    progress: Callable[[int, int], None],
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
        estimates.asked(model, series, horizon, peg),
        follow=estimates.pairs("--follow", follow),
        liquidations=liquidations,
        like=estimates.behaving(like, haircut, liquidations),
        responses=None if responses is None else tuple(dict.fromkeys(responses)),
        progress=progress,
        **options,
    )


def notes(found: Audit) -> list[str]:
    """What a reader of any figure must know."""
    return [*found.facts["notes"], *(estimates.LIQUIDATED if found.facts["liquidations"] else estimates.FROZEN)]


def as_json(found: Audit) -> dict[str, Any]:
    """Everything, as JSON values; what is no finite number is null."""
    tables = {
        name: [{column: _finite(value) for column, value in row.items()} for row in table.rows()]
        for name, table in found.tables.items()
    }
    return {**found.facts, "notes": notes(found), **tables}


def shown(found: Audit) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Tables with their titles: what is warned of, and the cells under each response."""
    facts, own = found.facts, _values(found)
    warned: dict[tuple[str, str, str], list[int]] = {}
    for row in found.tables["warnings"].rows():
        warned.setdefault((row["market"], row["token"], row["warning"]), []).append(row["cell"])
    if warned:
        yield (
            "warnings",
            [
                {"market": market, "token": facts["symbols"][token], "warning": text, "cells": _numbers(numbers)}
                for (market, token, text), numbers in warned.items()
            ],
        )
    differences = {
        (row["cell"], row["response"]): row["difference"]
        for row in found.tables["statistics"].rows()
        if row["output"] == facts["output"] and row["name"] == "mean"
    }
    budget = facts["budget_usd"]
    for response in facts["responses"]:
        rows = [row for row in found.tables["outcomes"].rows() if row["response"] == response]
        every = len(rows) <= SHOWN
        table = [
            {
                "cell": row["cell"],
                **own[row["cell"]],
                "capacity_usd": _dollars(row["capacity_usd"]),
                "debt_usd": _dollars(row["debt_usd"]),
                "utilisation": row["utilisation"],
                "at_once": row["at_once_accounts"],
                "at_once_debt_usd": _dollars(row["at_once_debt_usd"]),
                facts["headline"]: _dollars(row["loss_usd"]),
                "low": _dollars(row["loss_low_usd"]),
                "high": _dollars(row["loss_high_usd"]),
                "mean_less_own": _dollars(differences[row["cell"], response]),
                "frontier": "yes" if row["frontier"] else "",
                **({} if budget is None else {"budget": _budget(row)}),
            }
            for row in rows
            if every or row["cell"] == 0 or row["frontier"] or row["laxest"]
        ]
        kept = "" if budget is None else f"; {sum(row['keeps_budget'] for row in rows):,} of {len(rows):,} keep it"
        some = "" if every else f"; {len(table):,} of {len(rows):,} cells"
        yield f"{response}: bad debt of {facts['output']}, US dollars{kept}{some}", table


def _values(found: Audit) -> dict[int, dict[str, Any]]:
    values: dict[int, dict[str, Any]] = {cell: {} for cell in found.tables["outcomes"].ints("cell")}
    for row in found.tables["cells"].rows():
        values[row["cell"]][row["parameter"]] = row["value"] if math.isfinite(row["value"]) else "none"
    return values


def _budget(row: dict[str, Any]) -> str:
    if not row["keeps_budget"]:
        return "no"
    return ("yes" if row["keeps_budget_surely"] else "perhaps") + (", laxest" if row["laxest"] else "")


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
