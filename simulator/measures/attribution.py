"""Which cause is to blame for how much: a run's bad debt and liquidated value, divided among what brought them about.

Every cause is a switch: a change of the scenario that takes it out of the run. The engine knows nothing of this. With k
causes there are 2^k coalitions of causes that are on; each is run, and what a cause adds, on average over all orders in
which causes can be switched on, is its Shapley value. It is exact, it may be negative (liquidators who act above the
loan-to-value 1 / (1 + bonus) make bad debt), and the parts add up to the run less the run with every cause off.

A market's own selling and that of the others are kept apart market by market: for each one the runs are made in which
its sales, or those of all others, fetch the outside price and move nothing (``liquidators.no_slippage``). A coalition's
figure for the system is the sum of its figures for markets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from chain.snapshot import CLAIMS, Snapshot
from simulator.run import Run, read_run, simulate, versions
from simulator.scenario import Liquidators, Oracles, Scenario

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]
Row = dict[str, Any]
SYSTEM = ""
"""In the place of a market: all of them together."""
ADDS_UP = 1e-9
"""Relative difference that sums of floats may leave."""


# --- causes -----------------------------------------------------------------------------------------------------


def _no_shock(scenario: Scenario, market: str, markets: Sequence[str]) -> Scenario:
    kept = scenario.contagion.model_copy(update={"write_downs": [], "mints": [], "freezes": []})
    return scenario.model_copy(update={"prices": [], "contagion": kept})


def _no_own_selling(scenario: Scenario, market: str, markets: Sequence[str]) -> Scenario:
    return _without_slippage(scenario, [market])


def _no_selling_of_others(scenario: Scenario, market: str, markets: Sequence[str]) -> Scenario:
    return _without_slippage(scenario, [other for other in markets if other != market])


def _without_slippage(scenario: Scenario, markets: Sequence[str]) -> Scenario:
    # sorted, so that the same runs have the same digest
    names = sorted({*scenario.liquidators.no_slippage, *markets})
    return scenario.model_copy(update={"liquidators": scenario.liquidators.model_copy(update={"no_slippage": names})})


def _prompt_oracles(scenario: Scenario, market: str, markets: Sequence[str]) -> Scenario:
    return scenario.model_copy(update={"oracles": Oracles(deviation=0.0, delay_s=0.0)})


def _willing_liquidators(scenario: Scenario, market: str, markets: Sequence[str]) -> Scenario:
    now = scenario.liquidators
    willing = Liquidators(
        sell=now.sell,
        outside_haircut=now.outside_haircut,
        no_slippage=now.no_slippage,
        gas_usd=0.0,
        congestion=0.0,
        flash_fee=0.0,
        minimum_profit_usd=0.0,
    )
    return scenario.model_copy(update={"liquidators": willing})


def _no_contagion(scenario: Scenario, market: str, markets: Sequence[str]) -> Scenario:
    contained = scenario.contagion.model_copy(update={"spreads": False, "runs": []})
    return scenario.model_copy(update={"contagion": contained})


@dataclass(frozen=True)
class Cause:
    """Something that a run has and could be without.

    Attributes
    ----------
    name
        In results.
    off
        The scenario without it, given the market whose figures are looked at, and all markets.
    meaning
        What is different without it.
    """

    name: str
    off: Callable[[Scenario, str, Sequence[str]], Scenario]
    meaning: str


CAUSES = (
    Cause(
        "outside shock",
        _no_shock,
        "outside prices stay, but for what sales move, and nothing is written down, minted or frozen",
    ),
    Cause("own selling", _no_own_selling, "the market's own sales fetch the outside price and move nothing"),
    Cause(
        "others' selling", _no_selling_of_others, "all other markets' sales fetch the outside price and move nothing"
    ),
    Cause("oracle delay", _prompt_oracles, "every feed says the outside price in every step, and none is at fault"),
    Cause(
        "missing liquidators",
        _willing_liquidators,
        "liquidators need no gas, flash loan fee, least profit, capital or block space",
    ),
    Cause("contagion", _no_contagion, "claims keep their worth whatever their issuers lose, and no supplier runs"),
)

MEASURES = {
    "bad_debt_realised_usd": "written off by the protocols' own rules, at outside prices of the end",
    "bad_debt_economic_usd": "what full liquidations could not recover at the end, the bonus taken off",
    "shortfall_usd": "written off, and owed at the end beyond what the collateral is worth, no bonus taken off",
    "liquidated_usd": "collateral that liquidators received, at outside prices of the steps",
}


def outcome(run: Run) -> dict[str, FloatArray]:
    """What a run came to: for each market an array of shape (measures,), in the order of `MEASURES`, US dollars."""
    found = {market: np.zeros(len(MEASURES)) for market in run.tables["reserves"].texts("market")}
    for row in run.tables["reserves"].rows():
        found[row["market"]][:2] += row["bad_debt_realised_usd"], row["bad_debt_economic_usd"]
    for values in found.values():
        values[2] = values[0]
    for row in run.tables["accounts"].rows():
        found[row["market"]][2] += max(0.0, row["debt_after_usd"] - row["collateral_after_usd"])
    for row in run.tables["liquidations"].rows():
        found[row["market"]][3] += row["collateral_usd"]
    return found


# --- the arithmetic ---------------------------------------------------------------------------------------------


def shapley(worths: FloatArray) -> FloatArray:
    """Shapley values.

    Parameters
    ----------
    worths
        Shape (2^k,): what each coalition of k players comes to; bit i of the index says whether player i is in it.

    Returns
    -------
    Shape (k,): sum over coalitions S without i of |S|! (k - |S| - 1)! / k! (v(S + i) - v(S)) (Shapley 1953).
    """
    players = _players(worths)
    values = np.zeros(players)
    for player in range(players):
        for others in _coalitions(players, (player,)):
            size = others.bit_count()
            weight = factorial(size) * factorial(players - size - 1) / factorial(players)
            values[player] += weight * (worths[others | 1 << player] - worths[others])
    return values


def interaction(worths: FloatArray) -> FloatArray:
    """Shapley interaction indices of pairs: what two players together bring beyond what each brings.

    Parameters
    ----------
    worths
        As :func:`shapley` takes them.

    Returns
    -------
    Shape (k, k), symmetric, zeros on the diagonal: sum over coalitions S without i and j of
    |S|! (k - |S| - 2)! / (k - 1)! (v(S + i + j) - v(S + i) - v(S + j) + v(S)) (Grabisch and Roubens 1999, eq. 3).
    """
    players = _players(worths)
    values = np.zeros((players, players))
    for i, j in combinations(range(players), 2):
        for others in _coalitions(players, (i, j)):
            size = others.bit_count()
            weight = factorial(size) * factorial(players - size - 2) / factorial(players - 1)
            both, first, second = others | 1 << i | 1 << j, others | 1 << i, others | 1 << j
            values[i, j] += weight * (worths[both] - worths[first] - worths[second] + worths[others])
        values[j, i] = values[i, j]
    return values


def _players(worths: FloatArray) -> int:
    players = len(worths).bit_length() - 1
    if len(worths) != 1 << players:
        raise InputError(f"{len(worths)} coalitions are not all those of any number of players")
    return players


def _coalitions(players: int, without: Sequence[int]) -> Iterator[int]:
    """Every coalition, as bits, that has none of some players."""
    left_out = sum(1 << player for player in without)
    return (coalition for coalition in range(1 << players) if not coalition & left_out)


# --- a run, attributed ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attribution:
    """A run's figures, divided among causes; tables as rows, US dollars.

    Attributes
    ----------
    facts
        What was attributed: digests of snapshot and scenario, what causes and measures mean, how many runs it took.
    totals
        measure, market, run_usd, without_causes_usd.
    parts
        measure, market, cause, value_usd: they add up to run_usd - without_causes_usd.
    interactions
        measure, market, cause, with_cause, value_usd: above 0 where two causes are worse together than apart.
    coalitions
        measure, market, causes (those that are on), value_usd: what everything else is computed from.
    slippage
        market, paid_from, slippage_usd, see :func:`slippage_paid`.

    An empty market is all markets together.
    """

    facts: dict[str, Any]
    totals: list[Row]
    parts: list[Row]
    interactions: list[Row]
    coalitions: list[Row]
    slippage: list[Row]

    def frame(self, table: str) -> pd.DataFrame:
        """One table as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(getattr(self, table))

    def part(self, measure: str, cause: str, market: str = SYSTEM) -> float:
        """What a cause did to a measure, US dollars."""
        return next(
            float(row["value_usd"])
            for row in self.parts
            if (row["measure"], row["cause"], row["market"]) == (measure, cause, market)
        )


def attribute(
    run: Run | Path | str,
    snapshot: Snapshot | Path | str | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Attribution:
    """Divide a run's bad debt and liquidated value among their causes.

    Parameters
    ----------
    run
        A run, or its folder.
    snapshot
        What it started from, or its folder; the shipped one that the run's scenario names if absent.
    workers
        Processes that share the runs; the result is the same with any number.
    progress
        Told how many runs are done, and how many there are.

    Raises
    ------
    InputError
        If the snapshot is not the one of the run, or the run comes out differently when it is run again.
    """
    from simulator.replay import snapshot_of

    done = run if isinstance(run, Run) else read_run(Path(run))
    book = snapshot_of(done.scenario, snapshot)
    expected = done.facts["snapshot"]["digest"]
    if book.digest != expected:
        raise InputError(f"the run started from snapshot {expected}, but this one is {book.digest}")
    markets = list(outcome(done))
    idle = _idle(book, done.scenario)
    every = [
        [_with(coalition, done.scenario, market, markets, idle) for market in markets]
        for coalition in range(1 << len(CAUSES))
    ]
    scenarios = {scenario.digest: scenario for row in every for scenario in row}
    outcomes = _run_all(book, scenarios, workers, progress)
    _check_same(outcome(done), outcomes[done.scenario.digest], done)
    # shape (coalitions, markets, measures)
    worths = np.array(
        [[outcomes[scenario.digest][market] for market, scenario in zip(markets, row, strict=True)] for row in every]
    ).reshape(1 << len(CAUSES), len(markets), len(MEASURES))
    return _tables(done, markets, worths, len(scenarios))


def _idle(snapshot: Snapshot, scenario: Scenario) -> frozenset[str]:
    """Causes without which the runs are the same: contagion, where nobody holds a claim and nobody runs."""
    held = CLAIMS.name in snapshot.tables and len(snapshot.tables[CLAIMS.name]) > 0
    return frozenset() if held or scenario.contagion.runs else frozenset({"contagion"})


def _with(
    coalition: int, scenario: Scenario, market: str, markets: Sequence[str], idle: frozenset[str] = frozenset()
) -> Scenario:
    """The scenario with only these causes on (as bits), as far as one market is concerned; idle ones need no change."""
    for number, cause in enumerate(CAUSES):
        if not coalition >> number & 1 and cause.name not in idle:
            scenario = cause.off(scenario, market, markets)
    return scenario


def _check_same(before: dict[str, FloatArray], again: dict[str, FloatArray], run: Run) -> None:
    for market, values in before.items():
        if not np.allclose(again[market], values, rtol=ADDS_UP, atol=1e-6):
            made, now = run.facts["versions"], versions()
            raise InputError(
                f"the run comes out differently for {market} than it did: it was made with {made}, this is {now}; "
                "run its scenario again and attribute that"
            )


def _tables(run: Run, markets: Sequence[str], worths: FloatArray, runs: int) -> Attribution:
    made = Attribution(
        {
            "scenario": run.scenario.name,
            "scenario_digest": run.facts["scenario_digest"],
            "snapshot": run.facts["snapshot"],
            "notes": run.notes,
            "causes": {cause.name: f"without it, {cause.meaning}" for cause in CAUSES},
            "measures": MEASURES,
            "runs": runs,
        },
        *([] for _ in range(5)),
    )
    names = [cause.name for cause in CAUSES]
    for number, measure in enumerate(MEASURES):
        columns = {SYSTEM: worths[:, :, number].sum(axis=1)}
        columns |= {market: worths[:, column, number] for column, market in enumerate(markets)}
        for market, values in columns.items():
            where = {"measure": measure, "market": market}
            parts, pairs = shapley(values), interaction(values)
            if abs(parts.sum() - (values[-1] - values[0])) > ADDS_UP * max(1.0, float(np.abs(values).max())):
                raise AssertionError(f"{measure} of {market or 'all'}: {parts} do not add up to the run's difference")
            made.totals.append(where | {"run_usd": float(values[-1]), "without_causes_usd": float(values[0])})
            made.parts.extend(
                where | {"cause": name, "value_usd": float(part)} for name, part in zip(names, parts, strict=True)
            )
            made.interactions.extend(
                where | {"cause": names[i], "with_cause": names[j], "value_usd": float(pairs[i, j])}
                for i, j in combinations(range(len(names)), 2)
            )
            made.coalitions.extend(
                where
                | {"causes": [n for bit, n in enumerate(names) if coalition >> bit & 1], "value_usd": float(worth)}
                for coalition, worth in enumerate(values)
            )
    made.slippage.extend(slippage_paid(run))
    return made


def by_cause(found: Attribution, market: str = SYSTEM) -> list[Row]:
    """The parts of one market as a table: a row for each cause and one for what is left without any, a column for each
    measure; the last row is their sum, and the run's."""

    def row(what: str, values: dict[str, float]) -> Row:
        return {"cause": what} | values

    totals = {t["measure"]: t for t in found.totals if t["market"] == market}
    return [
        *(row(c.name, {measure: found.part(measure, c.name, market) for measure in MEASURES}) for c in CAUSES),
        row("without any of them", {measure: t["without_causes_usd"] for measure, t in totals.items()}),
        row("the run", {measure: t["run_usd"] for measure, t in totals.items()}),
    ]


def by_pair(found: Attribution, market: str = SYSTEM) -> list[Row]:
    """The interactions of one market as a table, a row for each pair and a column for each measure, without pairs of
    causes that do not interact."""
    table: dict[tuple[str, str], Row] = {}
    for row in found.interactions:
        if row["market"] == market:
            pair = (row["cause"], row["with_cause"])
            table.setdefault(pair, dict(zip(("cause", "with"), pair, strict=True)))[row["measure"]] = row["value_usd"]
    return [row for row in table.values() if any(abs(row[measure]) >= 0.005 for measure in MEASURES)]


# --- runs, in one process or several ----------------------------------------------------------------------------

_SNAPSHOT: list[Snapshot] = []
"""What this process's runs start from."""


def _begin(snapshot: Snapshot) -> None:
    _SNAPSHOT[:] = [snapshot]


def _outcome_of(scenario: Scenario) -> dict[str, FloatArray]:
    return outcome(simulate(_SNAPSHOT[0], scenario, workers=1))


def _run_all(
    snapshot: Snapshot,
    scenarios: dict[str, Scenario],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, dict[str, FloatArray]]:
    """The outcome of each scenario, by digest."""
    outcomes = {}
    with _mapping(snapshot, min(workers, len(scenarios))) as mapped:
        for digest, found in zip(scenarios, mapped(scenarios.values()), strict=True):
            outcomes[digest] = found
            if progress:
                progress(len(outcomes), len(scenarios))
    return outcomes


@contextmanager
def _mapping(snapshot: Snapshot, workers: int) -> Iterator[Callable[[Any], Any]]:
    """A way to run scenarios, in their order, on a snapshot that each process is given once."""
    if workers < 1:
        raise InputError(f"--workers must be at least 1, not {workers}")
    if workers == 1:
        _begin(snapshot)
        yield lambda scenarios: map(_outcome_of, scenarios)
        _SNAPSHOT.clear()
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # not forked: threads of compiled code do not survive that
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (snapshot,)) as pool:
        yield lambda scenarios: pool.map(_outcome_of, scenarios)


# --- slippage ---------------------------------------------------------------------------------------------------

FROM_BONUS = "bonus that borrowers pay"
FROM_DISCOUNT = "discount at which the protocol sells"
FROM_LIQUIDATORS = "liquidators themselves"


def slippage_paid(run: Run) -> list[Row]:
    """Out of whose money slippage was paid, market by market.

    Whoever sells pays slippage, and that is the liquidator. It pays out of what it gets for the liquidation, which is
    collateral_usd - repaid_usd: from the borrower, as the bonus, or from the protocol where that sells at a discount
    what it holds (Comet). What is beyond that it pays itself. A sale above the outside price counts against the first.

    Returns
    -------
    Rows market, paid_from, slippage_usd. They add up to the run's slippage.
    """
    sums: dict[tuple[str, str], float] = {}
    for row in run.tables["liquidations"].rows():
        given = max(0.0, row["collateral_usd"] - row["repaid_usd"])
        own = max(0.0, row["slippage_usd"] - given)
        source = FROM_BONUS if row["account"] else FROM_DISCOUNT
        for paid_from, amount in ((source, row["slippage_usd"] - own), (FROM_LIQUIDATORS, own)):
            key = (row["market"], paid_from)
            sums[key] = sums.get(key, 0.0) + amount
    return [
        {"market": market, "paid_from": paid_from, "slippage_usd": amount}
        for (market, paid_from), amount in sorted(sums.items())
        if amount
    ]
