"""The command `unwind stress`: a shock, random paths, or the most plausible shocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chain.errors import InputError
from simulator.commands.options import (
    AsJson,
    At,
    Follow,
    Frozen,
    Haircut,
    Horizon,
    Like,
    Model,
    Out,
    Peg,
    Sampled,
    Scheduler,
    Seed,
    Sensitivity,
    SeriesFile,
    SnapshotFolder,
    Workers,
)
from simulator.commands.printing import print_json, print_table, progress_bars, records
from simulator.commands.runs import finish
from simulator.options import must_be_new

if TYPE_CHECKING:
    from simulator.estimate.reverse import Reverse
    from simulator.estimate.run import BadDebt


def stress(
    snapshot: SnapshotFolder,
    shock: Annotated[
        list[str] | None, typer.Option(help="TOKEN=-40% (several tokens with commas; a rise with +).")
    ] = None,
    over: Annotated[float, typer.Option(min=0, help="Minutes that prices take to get there; 0 for one step.")] = 0.0,
    steps: Annotated[int, typer.Option(min=1, help="Number of steps.")] = 60,
    step: Annotated[float, typer.Option(min=0.1, help="Length of a step, seconds.")] = 60.0,
    like: Like = None,
    haircut: Haircut = None,
    out: Out = None,
    workers: Workers = None,
    sensitivity: Sensitivity = True,
    paths: Annotated[
        int | None,
        typer.Option(min=1, help="Instead of a shock: bad debt, volume and profit over so many random price paths."),
    ] = None,
    without_liquidations: Frozen = False,
    model: Model = "t",
    series: SeriesFile = None,
    horizon: Horizon = "24h",
    follow: Follow = None,
    peg: Peg = None,
    seed: Seed = 0,
    sampling: Sampled = "independent",
    at: At = "worst",
    until: Annotated[
        str | None, typer.Option(help="es99=5%: stop once the 99 % expected shortfall is known within 5 %.")
    ] = None,
    scheduler: Scheduler = None,
    reverse: Annotated[
        str | None, typer.Option(help="bad_debt=1e6: instead of a shock, look for the most plausible ones that do it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What if these prices moved by so much; or, with --paths, as a model says they may?

    With --reverse: which moves do so much damage?
    """
    if reverse is not None:
        if shock or out is not None or paths is not None or scheduler is not None:
            raise InputError("--reverse goes with none of --shock, --paths, --out and --scheduler; leave them out")
        from simulator.estimate import command

        with progress_bars() as part:
            asked = command.Asked(model, series, horizon, follow or (), peg or (), seed)
            shocks = command.run_reverse(
                snapshot, reverse, asked, like=like, haircut=haircut, liquidations=not without_liquidations,
                workers=workers, progress=part("rounds"),
            )  # fmt: skip
        _show_reverse(shocks, as_json)
        return
    if paths is not None:
        if shock or out is not None:
            raise InputError("--paths goes with neither --shock nor --out; leave them out")
        from simulator.estimate import command

        with progress_bars() as part:
            asked = command.Asked(model, series, horizon, follow or (), peg or (), seed)
            found = command.run(
                snapshot, asked, paths, stop=until, like=like, haircut=haircut, liquidations=not without_liquidations,
                workers=workers, scheduler=scheduler, progress=part("paths"), sampling=sampling, at=at,
            )  # fmt: skip
        _show_estimate(found, as_json)
        return
    if not shock:
        raise typer.BadParameter("give at least one, such as WETH=-40%; or --paths and --series", param_hint="--shock")
    from simulator.book import read
    from simulator.measures.sensitivity import with_sensitivity
    from simulator.stress import stress as run_shock

    must_be_new(out)
    book = read(snapshot)
    options = {"over_s": over * 60, "steps": steps, "step_s": step, "like": like, "haircut": haircut}
    with progress_bars() as part:
        run = run_shock(book, shock, workers=workers, progress=part("steps"), **options)
        if sensitivity:
            run = with_sensitivity(run, book, workers=workers, progress=part("sensitivity"))
    finish(run, out, as_json)


def _show_estimate(found: BadDebt, as_json: bool) -> None:
    from simulator.estimate import command

    statistics, convergence = records(found.statistics()), records(found.convergence())
    drivers = records(found.contributions()) if found.facts["liquidations"] else []
    if as_json:
        facts = {**found.facts, "met": found.met, "notes": command.notes(found)}
        tables = {"statistics": statistics, "convergence": convergence, "contributions": drivers}
        print_json({**facts, **tables})
        return
    for note in command.notes(found):
        print(f"note: {note}")
    print(command.headline(found))
    for title, rows in command.tables(statistics):
        print_table(title, rows)
    if drivers:
        print_table("what drives the 99 % expected shortfall of all bad debt, US dollars", drivers)
    print_table(
        f"convergence, {found.outputs[0]}: 99 % value at risk and expected shortfall", command.shown(convergence)
    )
    if not all(each["enough"] for each in statistics):
        print("too few: the sample is too small for the interval; take more paths, or --sampling importance")


def _show_reverse(found: Reverse, as_json: bool) -> None:
    from simulator.estimate import command

    if as_json:
        facts = {**found.facts, "target_usd": found.target_usd, "notes": command.reverse_notes(found)}
        print_json({**facts, "shocks": found.records()})
        return
    for note in command.reverse_notes(found):
        print(f"note: {note}")
    hours = found.facts["steps"] * found.facts["step_s"] / 3600.0
    title = f"most plausible shocks over {hours:g} h with {found.target_usd:,.0f} USD of bad debt, each of another kind"
    print_table(f"{title}, by {found.facts['model']}", command.shocks(found))
