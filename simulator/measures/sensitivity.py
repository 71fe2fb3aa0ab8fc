"""What the headline of a run would be at either end of what the data leave of each parameter of price impact."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from chain.snapshot import Snapshot
from chain.tables import Table
from simulator.market.impact import RANGES
from simulator.run import SENSITIVITY, Run, simulate
from simulator.scenario import Scenario

WORTH_PROCESSES_S = 5.0
"""Seconds of work from which on other processes, which take a second or two to start, are worth it."""


@dataclass(frozen=True)
class Variant:
    """A scenario with one parameter at one end of its range."""

    parameter: str
    end: str
    value: float
    scenario: Scenario


def with_sensitivity(
    run: Run,
    snapshot: Snapshot,
    *,
    workers: int | None = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """The run with its `sensitivity` table filled: the scenario run again for each end of each of `RANGES`.

    A scenario with an `impact` of 0 says that its paths have the liquidators' selling in them, as those of history do;
    to add any would count that twice, so `impact` and `permanent` are not varied then.

    Parameters
    ----------
    run
        A run.
    snapshot
        What it was run on.
    workers
        Processes to run in; None for one a core. The result is the same with any. A script that asks for several needs
        the guard ``if __name__ == "__main__"``, as `multiprocessing` has it.
    progress
        Told how many runs are done, and how many there are.
    """
    variants, own = _variants(run.scenario), run.headline
    others = _headlines(
        snapshot,
        [variant.scenario for variant in variants if _differs(variant, run.scenario)],
        workers or os.cpu_count() or 1,
    )
    rows = []
    for variant in variants:
        outcome = next(others) if _differs(variant, run.scenario) else own
        rows.append({"parameter": variant.parameter, "end": variant.end, "value": variant.value} | outcome)
        if progress:
            progress(len(rows), len(variants))
    return replace(run, tables=run.tables | {SENSITIVITY.name: Table.from_rows(SENSITIVITY, rows)})


def varied(scenario: Scenario) -> list[str]:
    """The parameters that a run of the scenario depends on."""
    return [name for name in RANGES if scenario.venues.impact > 0.0 or name not in ("impact", "permanent")]


def _variants(scenario: Scenario) -> list[Variant]:
    found = []
    for name in varied(scenario):
        ends = RANGES[name]
        for end, value in zip(("low", "high"), ends, strict=True):
            venues = scenario.venues.model_copy(update={name: value})
            found.append(Variant(name, end, value, scenario.model_copy(update={"venues": venues})))
    return found


def _differs(variant: Variant, scenario: Scenario) -> bool:
    """Whether it can differ from the run: it has another value, and something is sold in venues."""
    return scenario.liquidators.sell == "pools" and variant.scenario != scenario


def _headlines(snapshot: Snapshot, scenarios: Sequence[Scenario], workers: int) -> Iterator[dict[str, float]]:
    """The headline of each scenario, in order: the first is run here, and the others too if that was quick."""
    if not scenarios:
        return
    started = perf_counter()
    first, rest = _headline(snapshot, scenarios[0]), scenarios[1:]
    work_s = (perf_counter() - started) * len(rest)
    yield first
    if min(workers, len(rest)) < 2 or work_s < WORTH_PROCESSES_S:
        yield from (_headline(snapshot, scenario) for scenario in rest)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # a fork would copy the threads of the scan in whatever state they are
    with ProcessPoolExecutor(min(workers, len(rest)), get_context("spawn"), _hold, (snapshot,)) as pool:
        yield from pool.map(_headline_of_held, rest)


def _headline(snapshot: Snapshot, scenario: Scenario) -> dict[str, float]:
    return simulate(snapshot, scenario, workers=1).headline


# --- in another process ---------------------------------------------------------------------------------------------

_held: list[Snapshot] = []


def _hold(snapshot: Snapshot) -> None:
    """Keep the snapshot, which is shipped once to each process."""
    _held[:] = [snapshot]


def _headline_of_held(scenario: Scenario) -> dict[str, float]:
    return _headline(_held[0], scenario)
