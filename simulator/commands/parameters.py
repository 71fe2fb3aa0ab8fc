"""Commands about parameters of lending markets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.options import (
    AsJson,
    At,
    Follow,
    Frozen,
    Haircut,
    Horizon,
    Like,
    Model,
    Peg,
    Sampled,
    Scheduler,
    Seed,
    SeriesFile,
    SnapshotFolder,
)
from simulator.commands.printing import print_json, print_table, progress_bars


def audit(
    snapshot: SnapshotFolder,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="KEY=LO:HI:STEP, KEY=A,B or KEY=A, such as aave-v3/WETH.ltv=0.78:0.82:0.01; of several all pairs.",
        ),
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option("--baseline", help="The snapshot's own values: always a cell, and without --set the only one."),
    ] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="Show every parameter and its value, and run nothing.")
    ] = False,
    response: Annotated[
        list[str] | None,
        typer.Option(help="static, constant-health-factor, re-lever-to-maximum or fill-to-cap; all if absent."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="es99=1e6: which values keep the 99 % expected shortfall below so many dollars.")
    ] = None,
    like: Like = None,
    haircut: Haircut = None,
    paths: Annotated[int, typer.Option(min=1, help="Random price paths, the same for every cell.")] = 1_000,
    without_liquidations: Frozen = False,
    model: Model = "t",
    series: SeriesFile = None,
    horizon: Horizon = "24h",
    follow: Follow = None,
    peg: Peg = None,
    seed: Seed = 0,
    sampling: Sampled = "independent",
    at: At = "worst",
    workers: Annotated[int | None, typer.Option(help="Threads; the result is the same with any number.")] = None,
    scheduler: Scheduler = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; the same command goes on where it was interrupted.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What other parameters would have meant, with borrowers who respond to them."""
    from simulator.audit import command
    from simulator.estimate.command import Asked

    if listed:
        rows = command.listing(snapshot, like)
        if as_json:
            print_json(rows)
        else:
            print_table("parameters", rows)
        return
    with progress_bars() as part:
        asked = Asked(model, series, horizon, follow or (), peg or (), seed)
        found = command.run(
            snapshot, values or [], baseline, asked, paths=paths, like=like, haircut=haircut,
            liquidations=not without_liquidations, responses=response, workers=workers, scheduler=scheduler,
            progress=part("cells"), sampling=sampling, at=at, budget=budget, out=out,
        )  # fmt: skip
    if as_json:
        print_json(command.as_json(found))
        return
    for note in command.notes(found):
        print(f"note: {note}")
    for title, shown in command.shown(found):
        print_table(title, shown)
    if out is not None:
        print(f"audit: {out}")


def onboard(
    snapshot: Annotated[Path, typer.Argument(help="Snapshot folder, with the pools that collateral is sold in.")],
    token: Annotated[str, typer.Option(help="What is to be pledged: symbol or address.")],
    debt: Annotated[str, typer.Option(help="What is owed against it, and what it is sold for.")],
    position: Annotated[
        float | None,
        typer.Option(min=1, help="Largest position to plan for, US dollars; the largest in the snapshot if absent."),
    ] = None,
    fee: Annotated[float, typer.Option(min=0, max=1, help="The protocol's share of the bonus.")] = 0.1,
    like: Annotated[
        str | None,
        typer.Option(help="Scenario whose oracle delay, latency, gas and fees are used instead of defaults."),
    ] = None,
    paths: Annotated[int, typer.Option(min=1, help="Random price paths.")] = 40_000,
    model: Model = "t",
    series: SeriesFile = None,
    horizon: Horizon = "24h",
    follow: Follow = None,
    peg: Peg = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Propose LTV, threshold, bonus, caps and oracle settings for an asset, each with what supports it."""
    from simulator.estimate.command import Asked
    from simulator.onboarding import command

    asked = Asked(model, series, horizon, follow or (), peg or (), seed)
    found = command.run(snapshot, token, debt, asked, like=like, paths=paths, position_usd=position, protocol_fee=fee)
    if as_json:
        tables = {"proposals": found.proposals, "depth": found.depth}
        print_json({**found.facts, "notes": [command.NOTE], **tables})
        return
    print(f"note: {command.NOTE}")
    print_table(f"{found.facts['token']} against {found.facts['debt']}", command.shown(found))
    print_table("what the pools take at a loss of so much, whole tokens", found.depth)
