"""Whether the estimates keep what they promise: ``python -m simulator.estimate.validate coverage|importance [--json]``.

`coverage`: on a book whose distribution is known, how often 95 % intervals hold the truth, over many fresh seeds, and
how wide they are against theory. `importance`: on a small cascading book, how much better importance sampling is than
plain sampling, and whether it is unbiased.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from simulator.commands.printing import progress_bars
from simulator.estimate.cascading import CascadingBook
from simulator.estimate.closed_form import OneAccount
from simulator.estimate.drawn import Source
from simulator.estimate.importance import Losses, choose_tilt
from simulator.estimate.models.draws import Antithetic, Draws, Independent, Sobol
from simulator.estimate.sampling import REPLICATES
from simulator.estimate.statistics import LEVELS, Sample, expected_shortfall, mean, value_at_risk

BOOK = OneAccount(debt_usd=1_000_000.0, collateral_usd=1_400_000.0, bonus=1.05, volatility=0.2)
"""Deep enough in danger that every statistic is more than nothing: it is under water at a price 25 % lower."""

CHUNK = 25_000
SAMPLINGS = ("independent", "antithetic", "sobol", "importance")


@dataclass(frozen=True)
class Coverage:
    """How the intervals of one statistic fared.

    Attributes
    ----------
    sampling, name, level
        Of the statistic; the level is nothing for the mean.
    truth
        Of the closed form.
    covered
        Share of intervals that hold it.
    width
        Mean width of the intervals over that of theory for independent paths. For other ways of drawing, how much
        narrower intervals are.
    bias_errors
        Mean error over its own standard error.
    enough
        Share of seeds whose sample was not flagged as too small.
    """

    sampling: str
    name: str
    level: float | None
    truth: float
    covered: float
    width: float
    bias_errors: float
    enough: float


def coverage(
    seeds: int,
    paths: int,
    sampling: str = "independent",
    levels: Sequence[float] = LEVELS,
    progress: Callable[[int, int], None] | None = None,
) -> list[Coverage]:
    """Mean, value at risk and expected shortfall of the book with a closed form, over many seeds.

    Parameters
    ----------
    seeds, paths
        Seeds, and paths for each.
    sampling
        One of `SAMPLINGS`. Importance sampling is tilted for the expected shortfall at the highest level.
    levels
        Of value at risk and expected shortfall.
    progress
        Called with seeds done and to do.
    """
    model = BOOK.model()
    tilt = choose_tilt(model, BOOK.losses, 0, level=max(levels)) if sampling == "importance" else None
    truths: list[tuple[str, float | None, float]] = [("mean", None, BOOK.mean)]
    truths += [("value at risk", level, BOOK.value_at_risk(level)) for level in levels]
    truths += [("expected shortfall", level, BOOK.expected_shortfall(level)) for level in levels]
    found = np.empty((seeds, len(truths), 4))
    for seed in range(seeds):
        # the pilot runs have seed 0
        draws = _draws(sampling, seed + 1, paths)
        sample = _sampled(Source(model, draws, tilt), BOOK.losses, paths)
        estimates = [
            mean(sample),
            *(value_at_risk(sample, level) for level in levels),
            *(expected_shortfall(sample, level) for level in levels),
        ]
        found[seed] = [(one.value, one.low, one.high, one.enough) for one in estimates]
        if progress is not None:
            progress(seed + 1, seeds)
    z = 1.959963984540054
    rows = []
    for (name, level, truth), (value, low, high, enough) in zip(truths, found.transpose(1, 2, 0), strict=True):
        theory = 2.0 * z * BOOK.standard_error(name, level or 0.0, paths)
        rows.append(
            Coverage(
                sampling=sampling,
                name=name,
                level=level,
                truth=truth,
                covered=float(((low <= truth) & (truth <= high)).mean()),
                width=float((high - low).mean() / theory),
                bias_errors=float((value.mean() - truth) / (value.std(ddof=1) / math.sqrt(seeds))),
                enough=float(enough.mean()),
            )
        )
    return rows


@dataclass(frozen=True)
class Gain:
    """Importance sampling against plain sampling on the cascading book.

    Attributes
    ----------
    reference_usd, reference_error_usd
        Expected shortfall from plain paths, and its standard error.
    paths, repeats
        Paths of one estimate, pilot runs included, and how many estimates.
    mean_usd
        Mean of the estimates.
    bias_errors
        Their mean less the reference, over the standard error of the difference.
    efficiency
        Squared error times paths of plain sampling over that of importance sampling.
    effective_size
        Mean effective sample size.
    """

    reference_usd: float
    reference_error_usd: float
    paths: int
    repeats: int
    mean_usd: float
    bias_errors: float
    efficiency: float
    effective_size: float


def importance(
    reference: int,
    repeats: int,
    paths: int,
    level: float = 0.999,
    steps: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Gain:
    """Expected shortfall of the cascading book, by importance sampling and by plain sampling.

    Every repeat chooses its tilt anew, by pilot runs of its own, and their paths count. The squared error of plain
    sampling is that of as many plain estimates, each with as many paths, which the reference is cut into.

    Parameters
    ----------
    reference
        Plain paths.
    repeats, paths
        Estimates by importance sampling, and paths for each.
    level
        Of the expected shortfall.
    steps
        In which the day passes.
    progress
        Called with paths done and to do.
    """
    book = CascadingBook.by_hand()
    model, pilot = book.model(steps), max(paths // 10, 1_000)
    rounds = 3
    all_paths = reference + repeats * (paths + rounds * pilot)
    done = 0

    def tick(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, all_paths)

    plain = _sampled(Source(model, Independent(0)), book.losses, reference, tick)
    truth = expected_shortfall(plain, level)
    spent = paths + rounds * pilot
    parts = [
        expected_shortfall(Sample(plain.losses[at : at + spent]), level).value
        for at in range(0, reference - spent + 1, spent)
    ]
    found, sizes = [], []
    for repeat in range(repeats):
        tilt = choose_tilt(model, book.losses, 2 * repeat + 1, level=level, paths=pilot, rounds=rounds)
        sample = _sampled(Source(model, Independent(2 * repeat + 2), tilt), book.losses, paths)
        found.append(expected_shortfall(sample, level).value)
        sizes.append(sample.effective_size)
        tick(spent)
    values = np.array(found)
    error = math.hypot(float(values.std(ddof=1)) / math.sqrt(repeats), truth.standard_error)
    return Gain(
        reference_usd=truth.value,
        reference_error_usd=truth.standard_error,
        paths=spent,
        repeats=repeats,
        mean_usd=float(values.mean()),
        bias_errors=float((values.mean() - truth.value) / error),
        efficiency=float(np.mean((np.array(parts) - truth.value) ** 2) / np.mean((values - truth.value) ** 2)),
        effective_size=float(np.mean(sizes)),
    )


def _draws(sampling: str, seed: int, paths: int) -> Draws:
    if sampling == "antithetic":
        return Antithetic(seed)
    if sampling == "sobol":
        return Sobol(seed, paths // REPLICATES)
    return Independent(seed)


def _sampled(source: Source, losses: Losses, paths: int, tick: Callable[[int], None] | None = None) -> Sample:
    found, weights = np.empty(paths), np.empty(paths)
    for first in range(0, paths, CHUNK):
        count = min(CHUNK, paths - first)
        prices, weights[first : first + count] = source.paths(first, count)
        found[first : first + count] = losses(prices)[:, 0]
        if tick is not None:
            tick(count)
    return Sample(found, weights, source.draws.cluster, source.draws.replicate)


# --- the command ----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Run one of the two, print what came out, and whether it is as promised: exit status 0 or 1."""
    parser = argparse.ArgumentParser(prog="python -m simulator.estimate.validate", description=__doc__)
    parser.add_argument("what", choices=["coverage", "importance"])
    parser.add_argument("--seeds", type=int, default=1_000, help="coverage: fresh seeds")
    parser.add_argument("--sampling", choices=SAMPLINGS, default="independent", help="coverage: how paths are drawn")
    parser.add_argument("--reference", type=int, default=10_000_000, help="importance: plain paths of the reference")
    parser.add_argument("--steps", type=int, default=1, help="importance: steps of a path")
    parser.add_argument("--repeats", type=int, default=200, help="importance: estimates")
    parser.add_argument("--paths", type=int, help="paths for each estimate; 65,536 for coverage, 10,000 for importance")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    given = parser.parse_args(arguments)
    with progress_bars() as part:
        progress = part("paths")
        if given.what == "coverage":
            rows = coverage(given.seeds, given.paths or 2**16, given.sampling, progress=progress)
            results = [asdict(row) for row in rows]
            # what is flagged as too small a sample promises nothing
            held = [row for row in rows if row.enough == 1.0]
            good = len(held) > 0 and all(0.93 <= row.covered <= 0.97 for row in held)
            if given.sampling == "independent":
                good = good and all(0.8 <= row.width <= 1.2 for row in held)
        else:
            gain = importance(
                given.reference, given.repeats, given.paths or 10_000, steps=given.steps, progress=progress
            )
            results = [asdict(gain)]
            good = gain.efficiency >= 20.0 and abs(gain.bias_errors) < 2.0
    if given.json:
        print(json.dumps({"results": results, "good": good}, indent=2))
    else:
        for result in results:
            print(", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in result.items()))
        print("as promised" if good else "NOT as promised")
    return 0 if good else 1


def _shown(value: object) -> str:
    if isinstance(value, int | float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
