"""Commands that make a run of a crash, and that look into a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chain.errors import InputError
from simulator.commands.options import (
    AsJson,
    Cache,
    Deployments,
    Out,
    Protocols,
    Rate,
    Rpc,
    RunFolder,
    Sensitivity,
    Workers,
)
from simulator.commands.printing import print_json, print_lines, print_table, progress_bars
from simulator.commands.snapshots import take
from simulator.options import must_be_new

if TYPE_CHECKING:
    from chain.snapshot import Snapshot
    from simulator.run import Run


def replay(
    scenario: Annotated[
        str, typer.Argument(help="Name of a shipped scenario (see `unwind scenarios`) or a .toml file.")
    ],
    snapshot: Annotated[
        Path | None, typer.Option(help="Snapshot folder; the scenario's own if absent. With --rpc: where to keep it.")
    ] = None,
    rpc: Annotated[str | None, Rpc] = None,
    protocol: Protocols = None,
    deployments: Deployments = None,
    cache: Cache = None,
    rate: Rate = None,
    out: Out = None,
    workers: Workers = None,
    sensitivity: Sensitivity = True,
    as_json: AsJson = False,
) -> None:
    """Replay a crash on a snapshot, or with --rpc on the true book of the scenario's start."""
    from simulator.measures.sensitivity import with_sensitivity
    from simulator.replay import replay as run_scenario
    from simulator.replay import snapshot_of
    from simulator.scenario import load_scenario

    loaded = load_scenario(scenario)
    must_be_new(out)
    book: Snapshot | Path | None = snapshot
    if rpc is not None:
        if loaded.start is None:
            raise InputError(f"scenario {loaded.name} has no start, so no block to read; take a snapshot and give it")
        must_be_new(snapshot)
        source = {"names": protocol or (), "deployments": deployments}
        book = take(loaded.start, rpc, {**source, "cache_dir": cache, "requests_per_second": rate})
        if snapshot is not None:
            book.write(snapshot)
    book = snapshot_of(loaded, book)
    with progress_bars() as part:
        run = run_scenario(loaded, book, workers=workers, progress=part("steps"))
        if sensitivity:
            run = with_sensitivity(run, book, workers=workers, progress=part("sensitivity"))
    finish(run, out, as_json)


def report(
    run: RunFolder,
    out: Annotated[Path | None, typer.Option(help="The page; RUN.html if absent.")] = None,
    snapshot: Annotated[
        Path | None, typer.Option(help="The run's snapshot, to draw its largest exposures on the page.")
    ] = None,
) -> None:
    """One self-contained page about a run."""
    from simulator.report import write_report
    from simulator.run import read_run

    folder = run.resolve()
    page = out or folder.with_name(folder.name + ".html")
    write_report(read_run(run), page, snapshot)
    print(f"report: {page}")


def attribute(
    run: RunFolder,
    snapshot: Annotated[
        Path | None, typer.Option(help="Snapshot folder that the run started from; its scenario's own if absent.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write the result to, as JSON.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the result is the same with any number.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Which cause a run's bad debt and liquidated value are due to, by Shapley values; and who paid slippage."""
    from dataclasses import asdict

    from simulator.measures import attribution

    with progress_bars() as part:
        found = attribution.attribute(run, snapshot, workers=workers, progress=part("runs"))
    content = json.dumps(asdict(found), indent=2)
    if out is not None:
        _write(out, content + "\n")
    if as_json:
        print(content)
        return
    for note in found.facts["notes"]:
        print(f"note: {note}")
    for measure, meaning in attribution.MEASURES.items():
        print(f"{measure}: {meaning}")
    print_table("by cause, all markets, US dollars", attribution.by_cause(found))
    print_table("two causes together beyond each alone, all markets, US dollars", attribution.by_pair(found))
    print_table("slippage, by who paid it", found.slippage)
    if out is not None:
        print(f"attribution: {out}")


def verify(
    run: Annotated[Path, typer.Argument(help="Run folder, of a snapshot that was read from a node.")],
    rpc: Annotated[str, Rpc],
    as_json: AsJson = False,
) -> None:
    """Execute a run with the real contracts on a fork, and compare every integer. Exit status 1 if any differs."""
    from dataclasses import asdict

    from simulator.run import read_run
    from simulator.verify import verify as execute

    loaded = read_run(run)
    with progress_bars() as part:
        found = execute(loaded, rpc, part("steps"))
    checks = [asdict(check) for check in found.checks.values()]
    if as_json:
        counts = {"liquidations": found.liquidations, "swaps": found.swaps, "not_compared": found.not_compared}
        print_json({"agrees": found.agrees, **counts, "checks": checks})
    else:
        print_table("run against contracts", [{k: v for k, v in c.items() if k != "examples"} for c in checks])
        for check in checks:
            for example in check["examples"]:
                print(f"differs: {check['what']}: {example}")
        for reason, count in found.not_compared.items():
            print(f"not compared: {count} swaps on {reason}")
        print(f"executed {found.liquidations} liquidations and {found.swaps} swaps; ", end="")
        print("every integer agrees" if found.agrees else "NOT every integer agrees")
    if not found.agrees:
        raise typer.Exit(1)


def finish(run: Run, out: Path | None, as_json: bool) -> None:
    """Write a run, where there is a folder for it, and print what came out."""
    if out is not None:
        run.write(out)
    show_run(run, as_json)
    if out is not None and not as_json:
        print(f"run: {out}")


def show_run(run: Run, as_json: bool) -> None:
    """Print what came out of a run."""
    from simulator import summary

    if as_json:
        print_json(summary.as_json(run))
        return
    for note in run.notes:
        print(f"note: {note}")
    print_lines(run.scenario.title or run.scenario.name, [*summary.shocks(run), *summary.headline(run)])
    print_table("by reserve", summary.reserves(run))
    if rows := summary.vaults(run):
        print_table("by vault and market, whole tokens: lost, and at risk if economic bad debt is written off", rows)
    if rows := summary.sensitivity(run):
        print_table("sensitivity: the same with one parameter of price impact at an end of its range", rows)
        if note := summary.sensitivity_note(run):
            print(f"note: {note}")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
