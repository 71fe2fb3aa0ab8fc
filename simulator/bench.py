"""How fast the parts are that must be fast, as ratios within one run on this machine: ``unwind bench``.

Each line sets one way of working beside another that gives the same answer, and is timed only once the two answers have
been compared. Times are the best of several repetitions in turn, so that what else the machine does falls on both.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import numpy.typing as npt

from chain.errors import UnwindError
from protocols import compiled
from protocols.lending.interface import Exposures
from simulator.paths import benchmark as paths
from simulator.paths import kernel
from simulator.scans.critical import OneDriver
from simulator.scans.screen import workers
from simulator.scans.sweep import AtRisk, Weights, at_risk

FloatArray = npt.NDArray[np.float64]

ASSETS = 40
SWEEP_TARGET, DRIVER_TARGET, PATH_TARGET, WORKERS_TARGET, HELP_TARGET_S = 15.0, 100.0, 200.0, 1.8, 0.4
SHARE_OF_COPIES = 0.9
"""Of what two independent copies side by side reach, which memory and the machine's other work bound."""


@dataclass(frozen=True)
class Sizes:
    """How much work, and how often it is repeated."""

    accounts: int
    vectors: int
    driven_accounts: int
    shocks: int
    path_accounts: int
    steps: int
    repeats: int


FULL = Sizes(
    200_000, vectors=1_000, driven_accounts=1_000_000, shocks=1_000, path_accounts=100_000, steps=1_440, repeats=5
)
QUICK = Sizes(10_000, vectors=150, driven_accounts=20_000, shocks=100, path_accounts=2_000, steps=60, repeats=2)
"""Enough to see that answers agree; too little for the ratios to mean anything."""


@dataclass(frozen=True)
class Line:
    """One result.

    Attributes
    ----------
    work, sizes
        What was done, and how much of it.
    baseline_s, seconds
        Best time of the way it is set beside, and of the way that is measured; None where there is none.
    value
        Their ratio, or the seconds themselves where `baseline_s` is None.
    target, met
        What it should be: a ratio at least, seconds at most; and whether it is. None where nothing is asked.
    """

    work: str
    sizes: str
    baseline_s: float | None
    seconds: float | None
    value: float | None
    target: float | None
    met: bool | None


def measure(*, quick: bool = False, progress: Callable[[int, int], None] = lambda _done, _total: None) -> list[Line]:
    """Run every benchmark.

    Parameters
    ----------
    quick
        Small sizes, for which targets are not judged.
    progress
        Called with how many benchmarks are done, and of how many.

    Raises
    ------
    UnwindError
        If two answers differ that should be the same.
    """
    sizes = QUICK if quick else FULL
    parts = (_sweep, _one_driver, _path, _workers, _help)
    lines: list[Line] = []
    for done, part in enumerate(parts):
        progress(done, len(parts))
        lines += part(sizes)
    progress(len(parts), len(parts))
    return lines


# --- the benchmarks -----------------------------------------------------------------------------------------------


def _sweep(sizes: Sizes) -> list[Line]:
    exposures, prices = book(sizes.accounts)
    vectors = price_vectors(prices, sizes.vectors)
    work = "sweep of price vectors, against products of scipy.sparse"
    _compare(work, at_risk(exposures, vectors), by_products(exposures, vectors))
    baseline, seconds = _best(
        sizes.repeats, lambda: by_products(exposures, vectors), lambda: at_risk(exposures, vectors)
    )
    return [_ratio(sizes, work, _sized(exposures, len(vectors), "price vectors"), baseline, seconds, SWEEP_TARGET)]


def _one_driver(sizes: Sizes) -> list[Line]:
    exposures, prices = book(sizes.driven_accounts)
    drives = np.arange(ASSETS) == 0
    factors = np.geomspace(0.3, 3.0, sizes.shocks)
    vectors = prices * np.where(drives, factors[:, None], 1.0)
    sorted_once = OneDriver.of(exposures, prices, drives)
    work = "sweep of one driver by critical prices, against the full sweep"
    _compare(work, sorted_once.at(factors), at_risk(exposures, vectors))
    baseline, answering, sorting = _best(
        sizes.repeats,
        lambda: at_risk(exposures, vectors),
        lambda: sorted_once.at(factors),
        lambda: OneDriver.of(exposures, prices, drives),
    )
    size = _sized(exposures, len(factors), "shocks")
    return [
        _ratio(sizes, f"{work}: accounts sorted before", size, baseline, answering, DRIVER_TARGET),
        _ratio(sizes, f"{work}: sorting included", size, baseline, sorting + answering, None),
    ]


def _path(sizes: Sizes) -> list[Line]:
    work = "a path compiled, against the same source interpreted"
    run = compiled.fast(kernel.run, **kernel.OPTIONS)
    prices = paths.bad_day(ASSETS, sizes.steps)
    tenth, whole = (paths.deck(*book(count), sizes.steps) for count in (sizes.path_accounts // 10, sizes.path_accounts))
    # the tenth is run once: it takes long enough
    slow: list[FloatArray] = []
    (interpreted,) = _best(1, lambda: slow.append(paths.outcome(kernel.run, prices, tenth)))
    if not np.allclose(paths.outcome(run, prices, tenth), slow[0], rtol=1e-7, atol=1e-6):
        raise UnwindError(f"{work}: the answers differ, so no time is given")
    seconds, of_tenth = _best(
        sizes.repeats, lambda: paths.outcome(run, prices, whole), lambda: paths.outcome(run, prices, tenth)
    )
    size = (
        f"{sizes.path_accounts:,} accounts x {sizes.steps:,} steps, {paths.POOLS} pools; ten times the time of a tenth "
        f"of the accounts interpreted, which compiled takes {of_tenth:.2g} s"
    )
    return [_ratio(sizes, work, size, 10.0 * interpreted, seconds, PATH_TARGET)]


def _workers(sizes: Sizes) -> list[Line]:
    work = "sweep with 2 workers, against 1"
    exposures, prices = book(sizes.accounts)
    vectors = price_vectors(prices, sizes.vectors)
    size = _sized(exposures, len(vectors), "price vectors")
    if compiled.numba().config.NUMBA_NUM_THREADS < 2:
        return [Line(work, f"{size}; not measured: one core", None, None, None, WORKERS_TARGET, None)]

    def with_workers(count: int) -> AtRisk:
        with workers(count):
            return at_risk(exposures, vectors)

    if any(a.tobytes() != b.tobytes() for a, b in zip(with_workers(1), with_workers(2), strict=True)):
        raise UnwindError(f"{work}: the answers differ, so no time is given")
    with _Copies(sizes) as copies:
        beside = [float("inf")]
        one, two, _ = _best(
            sizes.repeats, lambda: with_workers(1), lambda: with_workers(2), lambda: beside.append(copies.seconds())
        )
    reached = 2.0 * one / min(beside)
    size += f"; 2 independent copies side by side reach {reached:.2f}"
    return [_ratio(sizes, work, size, one, two, min(WORKERS_TARGET, SHARE_OF_COPIES * reached))]


def _help(sizes: Sizes) -> list[Line]:
    command = [sys.executable, "-c", "from simulator.cli import main; main()", "--help"]
    (seconds,) = _best(sizes.repeats, lambda: subprocess.run(command, check=True, capture_output=True))
    met = None if sizes is QUICK else seconds <= HELP_TARGET_S
    return [Line("unwind --help, seconds", "the command line", None, seconds, seconds, HELP_TARGET_S, met)]


# --- what they work on ----------------------------------------------------------------------------------------------


def book(accounts: int, seed: int = 1) -> tuple[Exposures, FloatArray]:
    """Random accounts that owe one asset and hold one to four others, 3.5 balances on average, and the prices.

    Health factors lie above 1 by an exponential of mean 0.5, as on lending markets few accounts are near the edge.
    """
    draw = np.random.default_rng(seed)
    prices = np.exp(draw.normal(3.0, 2.0, ASSETS))
    balances = draw.integers(2, 6, accounts)
    offsets = np.concatenate([[0], np.cumsum(balances)])
    first = np.zeros(offsets[-1], dtype=bool)
    first[offsets[:-1]] = True
    # balances of an account lie one asset apart or more, so that no two are in the same
    step = draw.integers(1, ASSETS // 5, accounts)
    position = np.arange(offsets[-1]) - np.repeat(offsets[:-1], balances)
    reserve = (np.repeat(draw.integers(0, ASSETS, accounts), balances) + position * np.repeat(step, balances)) % ASSETS
    threshold = np.where(first, 0.0, draw.uniform(0.6, 0.85, len(reserve)))
    supplied = np.where(first, 0.0, np.exp(draw.normal(8.0, 1.5, len(reserve)))) / prices[reserve]
    limit = np.add.reduceat(supplied * threshold * prices[reserve], offsets[:-1])
    debt = np.zeros(len(reserve))
    debt[first] = limit / (1.02 + draw.exponential(0.5, accounts)) / prices[reserve[first]]
    return Exposures(offsets, reserve, supplied, debt, threshold, threshold * 0.95, np.full(len(reserve), 1.05)), prices


def price_vectors(prices: FloatArray, number: int, seed: int = 2) -> FloatArray:
    """Lognormal moves, 12 % that all assets share and 5 % of each one's own; shape (number, assets)."""
    draw = np.random.default_rng(seed)
    return np.asarray(prices * np.exp(draw.normal(0.0, 0.12, (number, 1)) + draw.normal(0.0, 0.05, (number, ASSETS))))


def by_products(exposures: Exposures, prices_usd: FloatArray) -> AtRisk:
    """What :func:`simulator.scans.sweep.at_risk` answers, by products of sparse matrices; so many accounts at a time as
    fit a processor's cache."""
    from scipy import sparse

    shape = (len(exposures.offsets) - 1, prices_usd.shape[1])
    matrices = [sparse.csr_array((each, exposures.reserve, exposures.offsets), shape) for each in Weights.of(exposures)]
    vectors = np.ascontiguousarray(prices_usd.T)
    counted = np.zeros(len(prices_usd), dtype=np.int64)
    sums = np.zeros((3, len(prices_usd)))
    for start in range(0, shape[0], 1_024):
        margin, collateral, debt, shortfall = (matrix[start : start + 1_024] @ vectors for matrix in matrices)
        below = margin < 0.0
        counted += below.sum(axis=0)
        sums[0] += (collateral * below).sum(axis=0)
        sums[1] += (debt * below).sum(axis=0)
        sums[2] += np.maximum(shortfall, 0.0).sum(axis=0)
    return AtRisk(counted, *sums)


class _Copies:
    """Two processes that do the sweep with one worker each, on their own copy of the book, at the same time."""

    def __init__(self, sizes: Sizes) -> None:
        context = multiprocessing.get_context("spawn")
        pairs = [context.Pipe() for _ in range(2)]
        self._here, self._there = zip(*pairs, strict=True)
        self._processes = [context.Process(target=_copy, args=(there, sizes), daemon=True) for there in self._there]

    def __enter__(self) -> _Copies:
        for process, there in zip(self._processes, self._there, strict=True):
            process.start()
            # so that waiting for one that has died ends
            there.close()
        for end in self._here:
            end.recv()
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._here:
            end.send(False)
        for process in self._processes:
            process.join()

    def seconds(self) -> float:
        """Both at once: the time of the slower."""
        for end in self._here:
            end.send(True)
        return max(float(end.recv()) for end in self._here)


def _copy(pipe: Connection, sizes: Sizes) -> None:
    exposures, prices = book(sizes.accounts)
    vectors = price_vectors(prices, sizes.vectors)
    with workers(1):
        at_risk(exposures, vectors)
        pipe.send("ready")
        while pipe.recv():
            started = time.perf_counter()
            at_risk(exposures, vectors)
            pipe.send(time.perf_counter() - started)


# --- comparing and timing -------------------------------------------------------------------------------------------


def _compare(work: str, found: AtRisk, expected: AtRisk) -> None:
    """Counts must be equal, and dollars to 1e-9."""
    same = np.array_equal(found.liquidatable, expected.liquidatable) and all(
        np.allclose(mine, other, rtol=1e-9, atol=1e-9 * float(np.abs(other).max()))
        for mine, other in zip(found[1:], expected[1:], strict=True)
    )
    if not same:
        raise UnwindError(f"{work}: the answers differ, so no time is given")


def _best(repeats: int, *ways: Callable[[], Any]) -> list[float]:
    """The shortest time of each way, seconds; they take turns."""
    best = [float("inf")] * len(ways)
    for _ in range(repeats):
        for number, way in enumerate(ways):
            started = time.perf_counter()
            way()
            best[number] = min(best[number], time.perf_counter() - started)
    return best


def _ratio(sizes: Sizes, work: str, size: str, baseline: float, seconds: float, target: float | None) -> Line:
    value = baseline / seconds
    met = None if target is None or sizes is QUICK else value >= target
    return Line(work, size, baseline, seconds, value, target, met)


def _sized(exposures: Exposures, number: int, what: str) -> str:
    accounts = len(exposures.offsets) - 1
    balances = len(exposures.reserve) / accounts
    return f"{accounts:,} accounts x {number:,} {what}, {ASSETS} assets, {balances:.1f} balances an account"
