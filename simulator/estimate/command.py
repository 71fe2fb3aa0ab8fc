"""Estimates as the command line asks for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chain.errors import InputError
from simulator.estimate.models.garch import GARCH
from simulator.estimate.models.gbm import GBM
from simulator.estimate.models.history import Bootstrap
from simulator.estimate.models.merton import Merton
from simulator.estimate.models.model import PriceModel
from simulator.estimate.models.pegged import Pegged
from simulator.estimate.models.series import Series, read_series
from simulator.estimate.models.student import GroupedT
from simulator.estimate.outputs import SYSTEM
from simulator.estimate.statistics import Until

if TYPE_CHECKING:
    from simulator.estimate.run import BadDebt

MODELS: Mapping[str, Callable[[Series, int], PriceModel]] = {
    "gbm": GBM.fit,
    "t": GroupedT.fit,
    "garch": GARCH.fit,
    "merton": Merton.fit,
    "bootstrap": Bootstrap.fit,
}
NOTES = (
    "economic bad debt if nobody liquidates before: what debts exceed what full liquidations would recover then; "
    "no interest, no price impact",
)
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_UNTIL = re.compile(r"es(\d+(?:\.\d+)?)\s*=\s*(\d+(?:\.\d+)?)\s*%")


def horizon_s(text: str) -> float:
    """Seconds of a duration such as ``24h``, ``30m``, ``7d``; raises InputError if it is none."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) == 0.0:
        raise InputError(f"--horizon {text}: write a number and s, m, h or d, such as 24h")
    return float(match[1]) * _UNITS_S[match[2]]


def until(text: str) -> Until:
    """The stop rule of ``es99=5%``: the 99 % expected shortfall within 5 %; raises InputError if it is none."""
    match = _UNTIL.fullmatch(text.strip())
    if match is None or not 0.0 < float(match[1]) < 100.0 or float(match[2]) == 0.0:
        raise InputError(f"--until {text}: write es99=5% for the 99 % expected shortfall within 5 %")
    return Until(round(float(match[1]) / 100.0, 12), float(match[2]) / 100.0)


def pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """The mapping that ``TOKEN=ASSET`` options make; raises InputError if one is none, or a token has two."""
    found: dict[str, str] = {}
    for text in texts:
        token, equals, asset = (part.strip() for part in text.partition("="))
        if not (token and equals and asset):
            raise InputError(f"{option} {text}: write TOKEN=ASSET, such as wstETH=WETH, or TOKEN=USD")
        if token in found:
            raise InputError(f"{option} {text}: {token} has been given already")
        found[token] = asset
    return found


def fitted(name: str, path: Path, horizon: str, pegs: Mapping[str, str]) -> PriceModel:
    """The model of that name with parameters from a series, and steps of its interval up to the horizon.

    Parameters
    ----------
    name
        One of `MODELS`.
    path
        Of the series.
    horizon
        Such as ``24h``.
    pegs
        Assets that are modelled by their gap from another asset or the dollar, and not by `name`.

    Raises
    ------
    InputError
        If the model or an asset is not known, or the horizon is no whole number of the series' intervals.
    """
    if name not in MODELS:
        raise InputError(f"--model {name}: take one of {', '.join(MODELS)}")
    series = read_series(path)
    steps = horizon_s(horizon) / series.step_s
    if steps < 1 or abs(steps - round(steps)) > 1e-6:
        raise InputError(
            f"--horizon {horizon} is {steps:.4g} intervals of {path}, which has a row every {series.step_s:g} s; "
            "take a whole number of them, or another series"
        )
    for asset in pegs:
        series.column(asset)
    free = tuple(asset for asset in series.assets if asset not in pegs)
    if not free:
        raise InputError(f"every column of {path} is pegged; leave one to the model {name}")
    model = MODELS[name](series.only(free), round(steps))
    return Pegged.fit(model, series, pegs) if pegs else model


def run(
    snapshot: Path,
    *,
    model: str,
    series: Path | None,
    paths: int,
    horizon: str,
    follow: Sequence[str],
    peg: Sequence[str],
    stop: str | None,
    workers: int | None,
    progress: Callable[[int, int], None],
    **options: Any,
) -> BadDebt:
    """The estimate that the options of `unwind stress --paths` ask for; `options` as `run.estimate` takes them.

    Raises
    ------
    InputError
        If an option is malformed, or the series or the snapshot is not as it should be.
    """
    from simulator.estimate.run import estimate

    if series is None:
        raise InputError("--paths takes its parameters from your own prices; give --series FILE")
    rule = None if stop is None else until(stop)
    made = fitted(model, series, horizon, pairs("--peg", peg))
    return estimate(
        snapshot,
        made,
        paths,
        follow=pairs("--follow", follow),
        until=rule,
        workers=workers,
        progress=progress,
        **options,
    )


def shown(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows as a person reads them: whether a sample is enough in words, and of a single market no sum as well."""
    outputs = {row.get("output") for row in rows}
    rows = [row for row in rows if len(outputs) != 2 or row["output"] != SYSTEM]
    return [{**row, "enough": "" if row["enough"] else "too few"} for row in rows]


def notes(found: BadDebt) -> list[str]:
    """What a reader of the estimate has to know."""
    processors = found.facts["processors"]
    mixed = f"done by processors of several types ({', '.join(processors)}): on one type figures differ, within 1e-9"
    return [*NOTES, *([mixed] if len(processors) > 1 else [])]


def headline(found: BadDebt) -> str:
    """What was estimated from what."""
    facts = found.facts
    hours = facts["steps"] * facts["step_s"] / 3600.0
    text = f"{facts['paths']:,} {facts['sampling']} paths of {facts['model']}, {hours:g} h in {facts['steps']} steps"
    if found.met is not None:
        text += "; stop rule met" if found.met else "; stop rule NOT met: take more paths"
    return text
