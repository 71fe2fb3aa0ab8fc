"""The estimate: how bad debt, liquidated volume and liquidators' profit are distributed over the paths of a model, and
how well that is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chain.errors import InputError
from chain.snapshot import Snapshot
from simulator.estimate.drawn import Drawn
from simulator.estimate.importance import Losses
from simulator.estimate.losses import At, EconomicBadDebt
from simulator.estimate.models.draws import Draws
from simulator.estimate.models.model import FloatArray, PriceModel
from simulator.estimate.outputs import Output
from simulator.estimate.sampling import REPLICATES, Experiment, Sampling
from simulator.estimate.statistics import LEVELS, Sample, Until, convergence, measures, row
from simulator.scheduling import Pool, pool, processor

if TYPE_CHECKING:
    import pandas as pd

    from simulator.book import Book
    from simulator.paths.losses import PathLosses
    from simulator.scenario import Scenario

_ALONE = 16
"""Paths that are done before the rest is shared out among workers."""
_FIRST_LOOK = 1_000
"""Paths below which the stop rule is not asked."""


@dataclass(frozen=True)
class BadDebt:
    """Bad debt, and what else is measured, on every path, and what it says of the distribution.

    Attributes
    ----------
    outputs
        What the columns are; the first is the bad debt of all markets together.
    losses_usd
        Shape (paths, outputs).
    weights
        Shape (paths,): all 1 but for importance sampling.
    cluster, replicate
        How paths depend on one another; see `models.draws.Draws`.
    met
        Whether the stop rule was met; nothing where there was none.
    facts
        How it was made: JSON values.
    drawn
        How its paths can be run again.
    """

    outputs: tuple[str, ...]
    losses_usd: FloatArray
    weights: FloatArray
    cluster: int
    replicate: int
    met: bool | None
    facts: Mapping[str, Any]
    drawn: Drawn = field(repr=False, compare=False)

    def sample(self, output: str) -> Sample:
        """The losses of one output; raises InputError if there is none of that name."""
        if output not in self.outputs:
            raise InputError(f"the estimate has no {output}; it has {', '.join(self.outputs)}")
        column = self.losses_usd[:, self.outputs.index(output)]
        return Sample(np.ascontiguousarray(column), self.weights, self.cluster, self.replicate)

    def statistics(self, confidence: float = 0.95) -> pd.DataFrame:
        """Every statistic of every output, US dollars; columns output, then measure, by and of, as `outputs.Output` has
        them, and those of `statistics.Estimate`."""
        import pandas as pd

        # of many isolated markets, most lose nothing on any path
        nothing = measures(replace(self.sample(self.outputs[0]), losses=np.zeros(len(self.weights))), confidence)
        rows = []
        for column, name in enumerate(self.outputs):
            output = name if isinstance(name, Output) else Output(name)
            what = {"output": str(output), "measure": output.measure, "by": output.by, "of": output.of}
            found = measures(self.sample(name), confidence) if self.losses_usd[:, column].any() else nothing
            rows += [what | row(one) for one in found]
        return pd.DataFrame(rows)

    def contributions(self, level: float = 0.99, top: int = 20) -> pd.DataFrame:
        """What drives the expected shortfall of all markets together, by market, collateral, asset and account, from
        its paths run again; `contributions.contributions` has the columns, and raises."""
        import pandas as pd

        from simulator.estimate.contributions import contributions

        return pd.DataFrame(contributions(self.sample(self.outputs[0]), self.drawn, level, top))

    def convergence(self, output: str | None = None, level: float = 0.99) -> pd.DataFrame:
        """Estimates from more and more of the paths; see `statistics.convergence`."""
        import pandas as pd

        return pd.DataFrame(convergence(self.sample(output or self.outputs[0]), level))


def estimate(
    snapshot: Snapshot | Path | str,
    model: PriceModel,
    paths: int,
    *,
    seed: int = 0,
    sampling: Sampling = "independent",
    follow: Mapping[str, str] | None = None,
    at: At = "worst",
    liquidations: bool = True,
    like: Scenario | None = None,
    until: Until | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BadDebt:
    """Bad debt, liquidated volume and liquidators' profit of a snapshot's book over random price paths.

    Parameters
    ----------
    snapshot
        A snapshot, or its folder.
    model
        Price paths; it says how many steps they have, and how long.
    paths
        How many; at most, where there is a stop rule. For Sobol points 16 times a power of two.
    seed
        The same seed gives the same result to the bit, with any number of workers.
    sampling
        How paths are drawn. Importance sampling serves the tail of all markets together at the highest level asked for
        by `until`, else at 99.9 %.
    follow, at
        As `losses.EconomicBadDebt.of` takes them.
    liquidations
        Whether liquidators act on the way, and what they sell moves prices (`simulator.paths`). If not, there is only
        the bad debt of the book as it stands (`losses.EconomicBadDebt`).
    like
        The scenario whose oracles, liquidators and venues are taken; defaults otherwise.
    until
        Stop once it is met, asked at a half, a quarter and so on of the paths.
    workers
        Threads; as many as there are processors if absent.
    scheduler
        Address of a Dask scheduler whose workers draw the paths instead. On the same type of processor the result is
        the same to the bit; else `facts` name all types that had a part in it, and it is the same within 1e-9, but
        for the few paths on which a rounding decides what a liquidator does.
    progress
        Called with paths done and to do.

    Raises
    ------
    InputError
        If a token has no price path, the number of paths or workers is none, or liquidators could sell nowhere.
    UnsupportedError
        If the scenario has what random paths cannot.
    ClusterError
        If the scheduler cannot be reached, or its workers cannot do the work.
    """
    from simulator.book import open_book, opened

    taken, scenario = opened(snapshot), behaving(model, like) if liquidations else None
    losses = losses_of(taken, open_book(taken), model, scenario, follow=follow, at=at)
    found = distribution(
        Experiment(model, paths, seed, sampling),
        losses,
        losses.outputs,
        until=until,
        workers=workers,
        scheduler=scheduler,
        progress=progress,
    )
    facts: dict[str, Any] = {"at": at, "follow": dict(follow or {}), "liquidations": liquidations}
    if like is not None:
        facts |= {"like": like.name, "like_digest": like.digest}
    return replace(found, facts={**found.facts, **facts})


def behaving(model: PriceModel, like: Scenario | None) -> Scenario:
    """The scenario of a model's paths: another's oracles, liquidators and venues, or else the defaults."""
    from simulator.scenario import Scenario

    scenario = Scenario(name="paths", steps=model.steps, step_s=model.step_s)
    parts = () if like is None else ("name", "oracles", "liquidators", "venues")
    return scenario.model_copy(update={part: getattr(like, part) for part in parts})


def losses_of(
    snapshot: Snapshot,
    book: Book,
    model: PriceModel,
    scenario: Scenario | None,
    *,
    follow: Mapping[str, str] | None = None,
    at: At = "worst",
) -> EconomicBadDebt | PathLosses:
    """What a book loses on the paths of a model.

    Parameters
    ----------
    snapshot
        Says when feeds last answered.
    book
        Its own, or the same with other balances or parameters.
    scenario
        How oracles, liquidators and venues behave, as :func:`behaving` has it; None if nobody liquidates on the way.
    model, follow, at
        As :func:`estimate` takes them.

    Raises
    ------
    InputError, UnsupportedError
        As :func:`estimate` does.
    """
    from simulator.paths.losses import PathLosses
    from simulator.run import published

    if scenario is None:
        return EconomicBadDebt.of(book, model.assets, follow=follow, at=at)
    return PathLosses.of(book, model.assets, scenario, follow=follow, at=at, published=published(snapshot, book))


def distribution(
    experiment: Experiment,
    losses: Losses,
    outputs: Sequence[str],
    *,
    until: Until | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BadDebt:
    """What any losses are over random price paths; `estimate` with the losses given.

    Parameters
    ----------
    experiment
        The paths; at most as many, where there is a stop rule.
    losses
        Called by several threads at once; to be sent to a cluster it must pickle.
    outputs
        What the columns of the losses are. The stop rule and importance sampling go by the first.
    until, workers, scheduler, progress
        As `estimate` takes them.
    """
    done, met, paths = 0, None, experiment.paths
    with pool(workers, scheduler) as doers:
        source = experiment.source(losses, until.level if until else max(LEVELS))
        found, weights = np.empty((paths, len(outputs))), np.empty(paths)
        drawn, draws = Drawn(source, losses), source.draws
        processors: set[str] = set()
        for size in _looks(paths, draws, until):
            processors |= _fill(drawn, (done, size), (found, weights), doers, progress)
            done = size
            if until is not None:
                met = until.met(Sample(found[:done, 0].copy(), weights[:done], draws.cluster, draws.replicate))
                if met:
                    break
    facts = experiment.facts | {
        "paths": done,
        "effective_size": Sample(found[:done, 0].copy(), weights[:done]).effective_size,
        "processors": sorted(processors),
    }
    return BadDebt(tuple(outputs), found[:done], weights[:done], draws.cluster, draws.replicate, met, facts, drawn)


def _looks(paths: int, draws: Draws, until: Until | None) -> list[int]:
    """Numbers of paths at which the stop rule is asked, the last all of them."""
    whole = draws.replicate * REPLICATES // 2 or draws.cluster
    looks = [paths]
    while until is not None and (half := looks[0] // 2) >= _FIRST_LOOK and half % whole == 0:
        looks.insert(0, half)
    return looks


def _chunk(drawn: Drawn, span: tuple[int, int]) -> tuple[FloatArray, FloatArray, str]:
    """Losses and weights of the paths of a span, shapes (paths, outputs) and (paths,), and the type of processor."""
    first, end = span
    prices, weights = drawn.source.paths(first, end - first)
    return drawn.losses(prices), weights, processor()


def _fill(
    drawn: Drawn,
    span: tuple[int, int],
    out: tuple[FloatArray, FloatArray],
    doers: Pool,
    progress: Callable[[int, int], None] | None,
) -> set[str]:
    """Losses and weights of the paths of a span, chunk by chunk; returns the types of processor that did them."""
    start, end = span
    found, weights = out
    size = min(drawn.source.at_once, -(-(end - start) // (16 * doers.threads)))
    few = min(start + _ALONE, end)
    spans = [(start, few), *((first, min(first + size, end)) for first in range(few, end, size))]
    done, processors = start, set[str]()

    def keep(place: int, result: tuple[FloatArray, FloatArray, str]) -> None:
        nonlocal done
        first, stop = spans[place]
        found[first:stop], weights[first:stop], kind = result
        processors.add(kind)
        done += stop - first
        if progress is not None:
            progress(done, len(weights))

    # a few here and alone: that compiles, and works out what a model keeps and takes along to a cluster
    keep(0, _chunk(drawn, spans[0]))
    for place, result in doers.map(_chunk, spans[1:], drawn):
        keep(place + 1, result)
    return processors
