"""An audit: every cell of a grid of parameters, on the same price paths and under each response of borrowers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chain.errors import InputError
from chain.snapshot import Snapshot
from chain.tables import Folder, Table, read_folder
from protocols import compiled
from simulator.audit.choice import Headline, frontier, laxest
from simulator.audit.evaluate import Cells, Evaluate, Rows
from simulator.audit.feeds import ALL, feed_settings
from simulator.audit.grid import BASELINE, Books, Cell, cells
from simulator.audit.paths import draw
from simulator.audit.responses import RESPONSES
from simulator.audit.settings import Setting, Values, chosen, settings
from simulator.audit.store import Store
from simulator.audit.tables import SCHEMAS
from simulator.book import opened
from simulator.estimate.losses import At
from simulator.estimate.models.model import FloatArray, PriceModel
from simulator.estimate.run import behaving
from simulator.estimate.sampling import Experiment, Sampling
from simulator.options import must_be_new
from simulator.scenario import Scenario
from simulator.scheduling import Pool, here, pool

if TYPE_CHECKING:
    import pandas as pd

KIND = "audit"
HEADLINE = "es99"


@dataclass(frozen=True)
class Audit:
    """The answer of :func:`audit`.

    Attributes
    ----------
    facts
        How it was made: JSON values.
    tables
        By name, as `simulator.audit.tables` has them.
    """

    facts: Mapping[str, Any]
    tables: Mapping[str, Table]

    def frame(self, table: str) -> pd.DataFrame:
        """A table as a DataFrame; raises InputError if there is none of that name."""
        if table not in self.tables:
            raise InputError(f"an audit has no table {table}; it has {', '.join(self.tables)}")
        return self.tables[table].frame()

    @property
    def digest(self) -> str:
        """SHA-256 that names this content."""
        return Folder(KIND, self.facts, self.tables).digest

    def write(self, path: Path) -> None:
        """Write to a new folder, whole or not at all; raises InputError where that cannot be."""
        Folder(KIND, self.facts, self.tables).write(path)


def read_audit(path: Path) -> Audit:
    """Read an audit back, checked; raises InputError as `chain.tables.read_folder` does."""
    folder = read_folder(path, KIND, {schema.name: schema for schema in SCHEMAS})
    return Audit(folder.facts, folder.tables)


def audit(
    snapshot: Snapshot | Path | str,
    values: Mapping[str, Values],
    model: PriceModel,
    paths: int = 1_000,
    *,
    seed: int = 0,
    sampling: Sampling = "independent",
    follow: Mapping[str, str] | None = None,
    at: At = "worst",
    liquidations: bool = True,
    like: Scenario | None = None,
    responses: Sequence[str] | None = None,
    budget: str | None = None,
    out: Path | str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """What other parameters would mean for a snapshot's bad debt, and for what borrowers can do.

    Parameters
    ----------
    snapshot
        A snapshot, or its folder.
    values
        Values of each parameter, by key: ``{"aave-v3/WETH.liquidation_threshold": "0.78:0.86:0.01"}``, or numbers. The
        cells are all combinations, and the snapshot's own values.
    model, paths, seed, sampling, follow, at, liquidations, like
        As `simulator.estimate.run.estimate` takes them. Every cell sees the same paths.
    responses
        Rules of `simulator.audit.responses`; all if absent.
    budget
        ``es99=1e6``: the statistic by which cells are compared, and the most of it that is allowed, US dollars.
    out
        Folder to write to. Finished cells lie beside it until all are, so that the same call goes on where an
        interrupted one stopped.
    workers
        Threads; as many as there are processors if absent. The result is the same with any.
    scheduler
        Address of a Dask scheduler whose workers do the cells instead, all but the first; as `estimate` takes it.
    progress
        Called with cells done and to do.

    Raises
    ------
    InputError
        If a parameter is unknown or cannot have a value, a token has no price path, or `out` is there already or
        belongs to another audit.
    ClusterError
        If the scheduler cannot be reached, or its workers cannot do the work.
    """
    if out is not None:
        must_be_new(Path(out))
    taken, rules = opened(snapshot), _rules(responses)
    scenario = behaving(model, like) if liquidations else None
    known = settings(taken)
    books = Books(taken, known)
    if scenario is not None:
        known |= feed_settings(scenario, books.base.tokens)
    else:
        _refuse_feeds(values)
    wanted = chosen(known, values)
    headline = Headline.of(budget or HEADLINE)
    evaluate = Evaluate(known, taken, model, scenario, follow, at)
    grid = cells(known, wanted)
    baseline = evaluate(grid[BASELINE], books.base)
    experiment = Experiment(model, paths, seed, sampling)
    seen = {
        "snapshot": taken.digest,
        "follow": dict(sorted((follow or {}).items())),
        "at": at,
        "responses": list(rules),
    }
    store = None
    with pool(workers, scheduler) as doers:
        drawn = draw(experiment, baseline)
        if out is not None:
            behaviour = None if scenario is None else scenario.digest
            made_of = {"paths": drawn.digest, "behaviour of liquidators": behaviour, "version": compiled.source_hash()}
            store = Store(Path(out), seen | made_of)
        work = Cells(books, drawn, evaluate, rules)
        found = _evaluated(work, grid, store, here(workers).threads, doers, progress)
    output = str(baseline.outputs[0])
    facts = seen | {
        "origin": taken.origin,
        **experiment.facts,
        "liquidations": liquidations,
        "processors": sorted({row["processor"] for each in found for row in each["processors"]}),
        "like": None if like is None else like.name,
        "headline": headline.text,
        "budget_usd": headline.budget_usd,
        "output": output,
        "symbols": {token.address: token.symbol for token in books.base.tokens},
        "notes": list(taken.notes),
    }
    done = Audit(facts, _tables(grid, known, found, headline, output))
    if store is not None and out is not None:
        done.write(Path(out))
        store.remove()
    return done


def _rules(responses: Sequence[str] | None) -> tuple[str, ...]:
    rules = tuple(RESPONSES) if responses is None else tuple(dict.fromkeys(responses))
    if not rules or not set(rules) <= set(RESPONSES):
        raise InputError(f"borrowers respond by {', '.join(RESPONSES)}; not by {', '.join(rules) or 'nothing'}")
    return rules


def _refuse_feeds(values: Iterable[str]) -> None:
    for key in values:
        if key.lower().startswith(ALL):
            raise InputError(f"{key}: nobody asks an oracle where nobody liquidates; leave out --without-liquidations")


def _evaluated(
    work: Cells,
    grid: Sequence[Cell],
    store: Store | None,
    threads: int,
    doers: Pool,
    progress: Callable[[int, int], None] | None,
) -> list[Rows]:
    """The rows of every cell, in order: of the first by threads of this process, of the others by the pool."""
    found: dict[int, Rows] = {}
    if store is not None:
        found = {cell.number: rows for cell in grid if (rows := store.read(cell)) is not None}

    def keep(cell: Cell, rows: Rows) -> None:
        if store is not None:
            store.write(cell, rows)
        found[cell.number] = rows
        if progress is not None:
            progress(len(found), len(grid))

    if len(found) < len(grid):
        # every cell is compared with the first, whose losses are on no disk; and it compiles
        rows, losses = work.baseline(grid[BASELINE], threads)
        if BASELINE not in found:
            keep(grid[BASELINE], rows)
        left = [cell for cell in grid if cell.number not in found]
        for place, rows in doers.map(_rows, left, (work, losses)):
            keep(left[place], rows)
    return [found[cell.number] for cell in grid]


def _rows(work: tuple[Cells, Mapping[str, FloatArray]], cell: Cell) -> Rows:
    cells_of, baseline = work
    return cells_of.rows(cell, baseline)


def _tables(
    grid: Sequence[Cell], known: Mapping[str, Setting], found: Sequence[Rows], headline: Headline, output: str
) -> dict[str, Table]:
    rows: Rows = {name: [row for each in found for row in each[name]] for name in found[0]}
    rows["cells"] = list(_values(grid, known))
    losses = {
        (row["cell"], row["response"]): row
        for row in rows["statistics"]
        if row["output"] == output and row["name"] == headline.name and headline.level in (None, row["level"])
    }
    for row in rows["outcomes"]:
        loss = losses[row["cell"], row["response"]]
        row |= {"loss_usd": loss["value"], "loss_low_usd": loss["low"], "loss_high_usd": loss["high"]}
    budget = headline.budget_usd
    chosen_rows = [False] * len(rows["outcomes"])
    if budget is not None:
        chosen_rows = laxest(grid, known, rows["outcomes"], budget)
    for row, on, lax in zip(rows["outcomes"], frontier(rows["outcomes"]), chosen_rows, strict=True):
        row |= {"frontier": on, "laxest": lax}
        row["keeps_budget"] = budget is not None and row["loss_usd"] <= budget
        row["keeps_budget_surely"] = budget is not None and row["loss_high_usd"] <= budget
    return {schema.name: Table.from_rows(schema, rows[schema.name]) for schema in SCHEMAS}


def _values(grid: Sequence[Cell], known: Mapping[str, Setting]) -> Iterator[dict[str, Any]]:
    for cell in grid:
        for key, raw in cell.raws.items():
            setting = known[key]
            yield {
                "cell": cell.number,
                "parameter": key,
                "value": float(setting.parameter.value(raw, setting.scale)),
                "own": float(setting.value),
            }
