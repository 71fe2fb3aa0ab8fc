"""Estimates as the command line asks for them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from simulator.estimate.outputs import BAD_DEBT
from simulator.estimate.statistics import Until
from simulator.options import mapping

if TYPE_CHECKING:
    from simulator.audit.run import Audit
    from simulator.estimate.reverse import Reverse
    from simulator.estimate.run import BadDebt
    from simulator.scenario import Scenario

MODELS: Mapping[str, Callable[[Series, int], PriceModel]] = {
    "gbm": GBM.fit,
    "t": GroupedT.fit,
    "garch": GARCH.fit,
    "merton": Merton.fit,
    "bootstrap": Bootstrap.fit,
}
_BAD_DEBT = "economic bad debt: what debts exceed what full liquidations would recover then, at outside prices"
LIQUIDATED = (
    f"{_BAD_DEBT}; of accounts as liquidators left them, who sold what they took and moved prices by it",
    "liquidated volume and liquidators' profit are of the whole path",
)
FROZEN = (f"{_BAD_DEBT}; nobody liquidates before, no interest, no price impact",)
REVERSE_NOTES = (
    "bad debt: economic, if nobody liquidates before, at the end of the shock; no interest, no price impact",
    "distance: standard deviations from no move, by the covariance of the model's moves over the horizon (Mahalanobis)",
    "chances: that a move goes at least as far in the shock's direction, if moves were normal, and of those drawn from "
    "the model; the chance of such damage in any way is what --paths estimates",
)
REVERSE_LIQUIDATED = (
    "with liquidators: bad debt as --paths has it at the end, if prices take the horizon to get to the shock, each by "
    "the same share in every step",
    "takes: the smallest multiple of the shock, in logarithms, that does the damage then; another shock may be nearer",
)
_TOKENS = "TOKEN=ASSET, such as wstETH=WETH, or TOKEN=USD"
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_REVERSE = re.compile(r"bad_debt\s*=\s*(\d[\d_]*(?:\.\d+)?(?:e\d+)?)")
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


def damage_usd(text: str) -> float:
    """The dollars of ``bad_debt=1e6``; raises InputError if there are none."""
    match = _REVERSE.fullmatch(text.strip())
    if match is None or not 0.0 < (dollars := float(match[1])) < math.inf:
        raise InputError(f"--reverse {text}: write bad_debt=1e6 for 1,000,000 dollars of bad debt in all markets")
    return dollars


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


@dataclass(frozen=True)
class Asked:
    """What the options of a command ask for of price paths, as people write them.

    Attributes
    ----------
    model, series, horizon
        As :func:`fitted` takes them; there may be no series.
    follow
        ``TOKEN=ASSET``: what a token that the model has no price of moves with.
    peg
        ``ASSET=PEG``: what is modelled by its gap from another asset or the dollar.
    seed
        Of the paths.
    """

    model: str
    series: Path | None
    horizon: str
    follow: Sequence[str]
    peg: Sequence[str]
    seed: int

    def fitted(self, why: str = "--paths takes its parameters") -> PriceModel:
        """The model; raises InputError as :func:`fitted` does, or if there is no series, with `why` there must be."""
        if self.series is None:
            raise InputError(f"{why} from your own prices; give --series FILE")
        return fitted(self.model, self.series, self.horizon, mapping("--peg", self.peg, _TOKENS))

    @property
    def followed(self) -> dict[str, str]:
        """What each token moves with; raises InputError as `simulator.options.mapping` does."""
        return mapping("--follow", self.follow, _TOKENS)


def behaving(like: str | None, haircut: float | None, liquidations: bool) -> Scenario | None:
    """The scenario that options ask for; None for defaults. Raises InputError if there is nobody to behave."""
    from simulator.stress import behaviour

    if not liquidations and (like is not None or haircut is not None):
        raise InputError("--without-liquidations goes with neither --like nor --haircut; leave them out")
    return behaviour(like, haircut)


def run(
    snapshot: Path,
    asked: Asked,
    paths: int,
    *,
    stop: str | None,
    like: str | None,
    haircut: float | None,
    liquidations: bool,
    **options: Any,
) -> BadDebt:
    """The estimate that the options of `unwind stress --paths` ask for; `options` as `run.estimate` takes them.

    Raises
    ------
    InputError
        If an option is malformed, or the series or the snapshot is not as it should be.
    """
    from simulator.estimate.run import estimate

    rule = None if stop is None else until(stop)
    return estimate(
        snapshot,
        asked.fitted(),
        paths,
        seed=asked.seed,
        follow=asked.followed,
        until=rule,
        liquidations=liquidations,
        like=behaving(like, haircut, liquidations),
        **options,
    )


def run_reverse(
    snapshot: Path,
    damage: str,
    asked: Asked,
    *,
    like: str | None,
    haircut: float | None,
    liquidations: bool,
    **options: Any,
) -> Reverse:
    """What `unwind stress --reverse` asks for; `options` as `reverse.reverse_stress` takes them.

    Raises
    ------
    InputError
        If an option is malformed, or the series or the snapshot is not as it should be, or no shock does the damage.
    """
    from simulator.estimate.reverse import reverse_stress

    target = damage_usd(damage)
    return reverse_stress(
        snapshot,
        asked.fitted("--reverse takes what is plausible"),
        target,
        seed=asked.seed,
        follow=asked.followed,
        liquidations=liquidations,
        like=behaving(like, haircut, liquidations),
        **options,
    )


def shocks(found: Reverse) -> list[dict[str, Any]]:
    """Shocks as a person reads them, the markets that lose largest first."""
    from simulator.estimate.reverse import described

    rows = []
    for shock in found.shocks:
        markets = sorted(zip(shock.losses_usd[1:], found.outputs[1:], strict=True), reverse=True)
        row = {
            "distance": float(shock.distance),
            "chance_if_normal": f"{shock.normal_chance:.2g}",
            "chance_in_the_model": f"{shock.model_chance:.2g}" if shock.model_chance else f"< {1 / found.drawn:.1g}",
            "shock": described(found.assets, shock.moves),
            "bad_debt_usd": float(shock.losses_usd[0]),
            "who_loses": ", ".join(f"{name} {loss:,.0f}" for loss, name in markets if loss > 0.0),
        }
        if (acting := shock.liquidated) is not None:
            moves = acting.moves(shock.moves)
            row["with_liquidators_usd"] = float(acting.losses_usd[0])
            row["with_liquidators_takes"] = (
                f"none up to {acting.furthest:.3g} times"
                if moves is None
                else f"{acting.multiple:.3g} times: {described(found.assets, moves)}"
            )
        rows.append(row)
    return rows


def reverse_notes(found: Reverse) -> tuple[str, ...]:
    """What a reader of shocks must know."""
    return REVERSE_NOTES + (REVERSE_LIQUIDATED if found.facts["liquidations"] else ())


def notes(found: BadDebt | Audit) -> tuple[str, ...]:
    """What a reader of any figure must know."""
    own = LIQUIDATED if found.facts["liquidations"] else FROZEN
    processors = found.facts["processors"]
    if len(processors) == 1:
        return own
    mixed = f"done by several types of processor ({', '.join(processors)}); one alone gives the same within 1e-9"
    rounded = ", but for the few paths on which a rounding decides what a liquidator does"
    return (*own, mixed + (rounded if found.facts["liquidations"] else ""))


def tables(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Statistics as a person reads them: every one by protocol and market, and some of bad debt by reserve.

    Returns
    -------
    Title and rows of each table.
    """
    made = []
    for measure in dict.fromkeys(row["measure"] for row in rows):
        own = [row for row in rows if row["measure"] == measure and row["by"] in ("all", "protocol", "market")]
        # of a single market no sum as well
        alone = len({row["of"] for row in own}) == 2
        kept = [row for row in own if not (alone and row["by"] == "all")]
        made.append((f"{measure}, US dollars, with 95 % intervals", [_in_words(row, "market") for row in kept]))
    for by, what in (("debt", "what is owed"), ("collateral", "what was pledged")):
        own = [row for row in rows if row["measure"] == BAD_DEBT and row["by"] == by]
        kept = [row for row in own if row["name"] == "mean" or (row["name"], row["level"]) == _OF_RESERVES]
        made.append((f"{BAD_DEBT} by {what}, US dollars", [_in_words(row, "reserve") for row in kept]))
    return [(title, rows_of) for title, rows_of in made if rows_of]


_OF_RESERVES = ("expected shortfall", 0.99)
_WHAT = ("output", "measure", "by", "of")


def _in_words(row: Mapping[str, Any], what: str) -> dict[str, Any]:
    return {what: row["of"]} | shown([{name: value for name, value in row.items() if name not in _WHAT}])[0]


def shown(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with whether a sample is enough in words."""
    return [{**row, "enough": "" if row["enough"] else "too few"} for row in rows]


def headline(found: BadDebt) -> str:
    """What was estimated from what."""
    facts = found.facts
    hours = facts["steps"] * facts["step_s"] / 3600.0
    text = f"{facts['paths']:,} {facts['sampling']} paths of {facts['model']}, {hours:g} h in {facts['steps']} steps"
    if found.met is not None:
        text += "; stop rule met" if found.met else "; stop rule NOT met: take more paths"
    return text
