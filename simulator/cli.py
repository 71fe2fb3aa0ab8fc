"""The command `unwind`. Every command is one verb of `unwind`; heavy libraries load only where they are used."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from chain.errors import UnwindError

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd
    from rich.console import Console

    from chain.snapshot import Snapshot
    from simulator.estimate.reverse import Reverse
    from simulator.estimate.run import BadDebt
    from simulator.run import Run
    from simulator.summary import Line

app = typer.Typer(
    help="Liquidation cascades and bad debt across on-chain lending protocols.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_WIDE = 200

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Workers = Annotated[
    int | None,
    typer.Option(help="Threads for scanning the book, processes for the sensitivity; the result is the same with any."),
]
Sensitivity = Annotated[
    bool, typer.Option(help="Also run both ends of what is known of each parameter of price impact.")
]
Model = Annotated[str, typer.Option(help="Of paths: gbm, t, garch, merton or bootstrap.")]
SeriesFile = Annotated[
    Path | None,
    typer.Option("--series", help="Prices that the model is fitted to: CSV or Parquet, time and a column a token."),
]
Horizon = Annotated[str, typer.Option(help="Length of paths, such as 24h.")]
Follow = Annotated[
    list[str] | None, typer.Option(help="wstETH=WETH: a token that moves with a column; TOKEN=USD: not at all.")
]
Peg = Annotated[
    list[str] | None, typer.Option(help="USDC=USD or stETH=WETH: a column modelled by its gap from its peg.")
]
Like = Annotated[
    str | None, typer.Option(help="Scenario whose oracles, liquidators and venues are used instead of defaults.")
]
Haircut = Annotated[
    float | None, typer.Option(min=0, max=1, help="Sell collateral to an outside market at this loss, not in pools.")
]
Frozen = Annotated[bool, typer.Option("--without-liquidations", help="Of paths: bad debt if nobody acts on the way.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the paths.")]
Sampled = Annotated[str, typer.Option("--sampling", help="independent, antithetic, sobol or importance.")]
At = Annotated[str, typer.Option(help="worst: at each path's worst step; end: at its last.")]
Out = Annotated[Path | None, typer.Option(help="Folder to write the run to; must not be there yet.")]
Rpc = typer.Option(
    "--rpc", help="URL of an archive node; shown and kept nowhere.", envvar="UNWIND_RPC_URL", show_envvar=True
)
Cache = Annotated[Path | None, typer.Option(help="Folder for answers of nodes; the user's cache folder if absent.")]
Rate = Annotated[float | None, typer.Option("--requests-per-second", min=0.01, help="Ask the node no faster.")]
Protocols = Annotated[
    list[str] | None,
    typer.Option("--protocol", help="Deployment to read, such as aave-v3; all of the chain if absent."),
]
Deployments = Annotated[Path | None, typer.Option(help="A file like chain/deployments.toml, for other deployments.")]


def main() -> None:
    """Run the command line; exit status 2 for bad input, with one message and no traceback."""
    try:
        app()
    except UnwindError as error:
        print(f"unwind: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("unwind: interrupted", file=sys.stderr)
        sys.exit(130)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"unwind {version('unwind-defi')}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


@app.command()
def scenarios(as_json: AsJson = False) -> None:
    """The crashes that can be replayed by name."""
    from simulator.scenario import load_scenario, shipped_scenarios

    rows = []
    for name in shipped_scenarios():
        scenario = load_scenario(name)
        hours = scenario.steps * scenario.step_s / 3600
        rows.append({"name": name, "title": scenario.title, "hours": hours, "snapshot": scenario.snapshot or ""})
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        _print_table("scenarios", rows)


@app.command()
def info(
    folder: Annotated[Path, typer.Argument(help="A snapshot or a run.")],
    accounts: Annotated[int, typer.Option(min=0, help="How many of the riskiest accounts to show.")] = 10,
    as_json: AsJson = False,
) -> None:
    """What is in a snapshot or a run."""
    from chain.snapshot import is_snapshot

    if not is_snapshot(folder):
        from simulator.run import read_run

        run = read_run(folder)
        _show_run(run, as_json)
        if not as_json:
            _print_table("terms", run.tables["terms"].rows())
        return
    from simulator.book import open_book, read
    from simulator.info import riskiest, totals

    snapshot = read(folder)
    book = open_book(snapshot)
    all_totals, risky = totals(book), riskiest(book, accounts)
    if as_json:
        print(
            json.dumps(
                {
                    "chain_id": snapshot.chain_id,
                    "block": snapshot.block_number,
                    "hash": snapshot.block_hash,
                    "timestamp": snapshot.timestamp,
                    "origin": snapshot.origin,
                    "digest": snapshot.digest,
                    "notes": list(snapshot.notes),
                    "unverified": {market.name: market.caveat for market in book.markets if market.caveat},
                    "accounts": {market.name: len(market.accounts) for market in book.markets},
                    "pools": len(book.venues),
                    "totals": _records(all_totals),
                    "riskiest": _records(risky),
                },
                indent=2,
            )
        )
        return
    print(f"chain {snapshot.chain_id}, block {snapshot.block_number} ({snapshot.origin}); {len(book.venues)} pools")
    for market in book.markets:
        print(f"{market.name}: {market.protocol} {market.version}, {len(market.accounts)} accounts with debt")
        if market.caveat:
            print(f"  unverified: {market.caveat}")
    for note in snapshot.notes:
        print(f"note: {note}")
    _print_table("totals of accounts with debt, at oracle prices", _records(all_totals))
    _print_table(
        f"the {accounts} riskiest accounts of each market, and the prices that liquidate them", _records(risky)
    )


@app.command()
def oracles(
    snapshot: Annotated[Path, typer.Argument(help="Snapshot folder.")],
    as_json: AsJson = False,
) -> None:
    """Each price feed: how it is made, how old it is, and how it can fail."""
    from simulator.book import open_book, read
    from simulator.oracles.listing import feeds
    from simulator.run import published

    taken = read(snapshot)
    book = open_book(taken)
    rows = feeds(book, published(taken, book))
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        _print_feed(row)


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet, one row a balance; the README has the columns.")],
    out: Annotated[Path, typer.Option(help="Folder to write the snapshot to; must not be there yet.")],
    timestamp: Annotated[int, typer.Option(min=0, help="When the positions were so, unix seconds.")] = 0,
) -> None:
    """Make a snapshot from a file of positions, without a node."""
    from protocols.lending.aave_v3.importer import import_positions

    snapshot = import_positions(file, timestamp=timestamp)
    snapshot.write(out)
    accounts = len(snapshot.tables["aave_v3.accounts"])
    print(f"snapshot: {out} ({accounts} accounts with debt)")


@app.command()
def snapshot(
    rpc: Annotated[str, Rpc],
    out: Annotated[Path, typer.Option(help="Folder to write the snapshot to; must not be there yet.")],
    block: Annotated[str, typer.Option(help="Number, or latest, safe, finalized.")] = "finalized",
    protocol: Protocols = None,
    deployments: Deployments = None,
    chain_id: Annotated[int | None, typer.Option(help="Refuse a node of another chain.")] = None,
    cache: Cache = None,
    rate: Rate = None,
) -> None:
    """Read one block's state from a node. Started again after an interruption, it goes on where it stopped."""
    _must_be_new(out)
    source = {"names": protocol or (), "deployments": deployments, "chain_id": chain_id}
    at = int(block) if block.isdecimal() else block
    taken = _take(at, rpc, {**source, "cache_dir": cache, "requests_per_second": rate})
    taken.write(out)
    counts = ", ".join(f"{len(table)} {name}" for name, table in sorted(taken.tables.items()))
    print(f"snapshot: {out} (chain {taken.chain_id}, block {taken.block_number}; {counts})")


@app.command()
def graph(
    folder: Annotated[Path, typer.Argument(help="A snapshot.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write the graph to: .graphml, .gexf, .json; or .svg, .png: a picture.")
    ] = None,
    upstream: Annotated[str | None, typer.Option(help="What does this depend on? A symbol, address or name.")] = None,
    downstream: Annotated[str | None, typer.Option(help="Who is hit if this fails?")] = None,
    accounts: Annotated[
        str, typer.Option(help="each: a node an account; pattern: one for all that hold alike; auto.")
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Who is exposed to whom: pledges through claims, loops, links between markets."""
    from simulator.graph import command

    drawn = command.drawn(folder, accounts)
    if out is not None:
        command.write_graph(drawn, out)
    tables = command.tables(drawn, upstream, downstream) if as_json or out is None or upstream or downstream else {}
    if as_json:
        print(json.dumps(command.facts(drawn) | {name: _records(table) for name, table in tables.items()}, indent=2))
        return
    print(command.headline(drawn))
    for name, table in tables.items():
        _print_table(command.title(name, table), _records(table.head(command.SHOWN)))
    if out is not None:
        print(f"graph: {out}")


@app.command()
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
    from chain.errors import InputError
    from simulator.replay import replay as run_scenario
    from simulator.replay import snapshot_of
    from simulator.scenario import load_scenario

    loaded = load_scenario(scenario)
    _must_be_new(out)
    book: Snapshot | Path | None = snapshot
    if rpc is not None:
        if loaded.start is None:
            raise InputError(f"scenario {loaded.name} has no start, so no block to read; take a snapshot and give it")
        _must_be_new(snapshot)
        source = {"names": protocol or (), "deployments": deployments}
        book = _take(loaded.start, rpc, {**source, "cache_dir": cache, "requests_per_second": rate})
        if snapshot is not None:
            book.write(snapshot)
    book = snapshot_of(loaded, book)
    with progress_bars() as part:
        run = run_scenario(loaded, book, workers=workers, progress=part("steps"))
        if sensitivity:
            run = _with_sensitivity(run, book, workers, part("sensitivity"))
    _finish(run, out, as_json)


@app.command()
def stress(
    snapshot: Annotated[Path, typer.Argument(help="Snapshot folder.")],
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
    scheduler: Annotated[
        str | None, typer.Option(help="tcp://HOST:PORT of a Dask scheduler whose workers do the paths.")
    ] = None,
    reverse: Annotated[
        str | None, typer.Option(help="bad_debt=1e6: instead of a shock, look for the most plausible ones that do it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What if these prices moved by so much; or, with --paths, as a model says they may?

    With --reverse: which moves do so much damage?
    """
    from chain.errors import InputError
    from simulator.book import read
    from simulator.stress import stress as run_shock

    if reverse is not None:
        if shock or out is not None or paths is not None or scheduler is not None:
            raise InputError("--reverse goes with none of --shock, --paths, --out and --scheduler; leave them out")
        from simulator.estimate import command

        with progress_bars() as part:
            asked = command.Asked(model, series, horizon, follow or (), peg or (), seed)
            shocks = command.run_reverse(snapshot, reverse, asked, workers=workers, progress=part("rounds"))
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
    _must_be_new(out)
    book = read(snapshot)
    options = {"over_s": over * 60, "steps": steps, "step_s": step, "like": like, "haircut": haircut}
    with progress_bars() as part:
        run = run_shock(book, shock, workers=workers, progress=part("steps"), **options)
        if sensitivity:
            run = _with_sensitivity(run, book, workers, part("sensitivity"))
    _finish(run, out, as_json)


@app.command()
def audit(
    snapshot: Annotated[Path, typer.Argument(help="Snapshot folder.")],
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
            print(json.dumps(rows, indent=2))
        else:
            _print_table("parameters", rows)
        return
    with progress_bars() as part:
        asked = Asked(model, series, horizon, follow or (), peg or (), seed)
        found = command.run(
            snapshot, values or [], baseline, asked, paths=paths, like=like, haircut=haircut,
            liquidations=not without_liquidations, responses=response, workers=workers, progress=part("cells"),
            sampling=sampling, at=at, budget=budget, out=out,
        )  # fmt: skip
    if as_json:
        print(json.dumps(command.as_json(found), indent=2))
        return
    for note in command.notes(found):
        print(f"note: {note}")
    for title, shown in command.shown(found):
        _print_table(title, shown)
    if out is not None:
        print(f"audit: {out}")


@app.command()
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
        print(json.dumps({**found.facts, "notes": [command.NOTE], **tables}, indent=2))
        return
    print(f"note: {command.NOTE}")
    _print_table(f"{found.facts['token']} against {found.facts['debt']}", command.shown(found))
    _print_table("what the pools take at a loss of so much, whole tokens", found.depth)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
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


@app.command()
def attribute(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
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
    _print_table("by cause, all markets, US dollars", attribution.by_cause(found))
    _print_table("two causes together beyond each alone, all markets, US dollars", attribution.by_pair(found))
    _print_table("slippage, by who paid it", found.slippage)
    if out is not None:
        print(f"attribution: {out}")


@app.command()
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
        print(json.dumps({"agrees": found.agrees, **counts, "checks": checks}, indent=2))
    else:
        _print_table("run against contracts", [{k: v for k, v in c.items() if k != "examples"} for c in checks])
        for check in checks:
            for example in check["examples"]:
                print(f"differs: {check['what']}: {example}")
        for reason, count in found.not_compared.items():
            print(f"not compared: {count} swaps on {reason}")
        print(f"executed {found.liquidations} liquidations and {found.swaps} swaps; ", end="")
        print("every integer agrees" if found.agrees else "NOT every integer agrees")
    if not found.agrees:
        raise typer.Exit(1)


@app.command()
def sweep(
    snapshot: Annotated[Path, typer.Argument(help="Snapshot folder.")],
    prices: Annotated[
        Path, typer.Option(help="CSV or Parquet of US dollars: a column a token, a row a price vector; others stay.")
    ],
    as_json: AsJson = False,
) -> None:
    """What is liquidatable under each of many price vectors, on the book as it stands."""
    from simulator.scans.vectors import sweep as run

    frame = run(snapshot, prices).frame()
    if as_json:
        print(json.dumps(_records(frame), indent=2))
        return
    system = frame.drop(columns="market").groupby("scenario").sum()
    _print_table("all vectors, all markets", _records(system.describe().drop("count").reset_index(names="")))
    worst = system.sort_values(["bad_debt_usd", "debt_usd"], ascending=False, kind="stable").head(20).reset_index()
    _print_table("the worst of them, dollars at their own prices (vectors count from 0)", _records(worst))


@app.command()
def wall(
    snapshot: Annotated[Path, typer.Argument(help="Snapshot folder.")],
    token: Annotated[str, typer.Option(help="Symbol or address; several that move together with commas.")],
    as_json: AsJson = False,
) -> None:
    """The liquidation wall: what becomes liquidatable as a price falls, and as it rises."""
    from simulator.scans.wall import wall as build

    found = build(snapshot, [name.strip() for name in token.split(",") if name.strip()])
    if as_json:
        tables = {"now": _records(found.now), "levels": _records(found.levels)}
        asked = {"tokens": found.tokens, "moving": found.moving, "unread": found.unread}
        print(json.dumps(asked | tables, indent=2))
        return
    for market, symbols in found.moving.items():
        unread = "; what its other prices follow was not read" if market in found.unread else ""
        print(f"{market}: what moves is {', '.join(symbols) or 'nothing'}{unread}")
    _print_table("liquidatable at today's prices, and no part of the wall", _records(found.now))
    system = found.system()
    for direction, levels in system.groupby("direction", sort=False):
        title = f"as {', '.join(found.tokens)} {direction}: all markets, dollars at today's oracle prices"
        _print_table(title, _records(levels.drop(columns="direction")))
    print("net: an account that holds and owes what moves counts with the difference; gross: only its "
          "collateral falls, or only its debt rises")  # fmt: skip


@app.command()
def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: answers are compared, targets not judged.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """How fast this machine does what must be fast, as ratios, each once the answers agree."""
    from dataclasses import asdict

    from simulator.bench import measure

    with progress_bars() as part:
        lines = [asdict(line) for line in measure(quick=quick, progress=part("benchmarks"))]
    if as_json:
        print(json.dumps(lines, indent=2))
        return
    said = {True: "yes", False: "no", None: ""}
    _print_table("speed on this machine", [line | {"met": said[line["met"]]} for line in lines])


def _write(path: Path, text: str) -> None:
    from chain.errors import InputError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None


def _must_be_new(folder: Path | None) -> None:
    from chain.errors import InputError

    if folder is not None and folder.exists():
        raise InputError(f"{folder} is already there; choose another folder or remove it first")


def _take(block: int | str | datetime, rpc: str, source: dict[str, Any]) -> Snapshot:
    from protocols.snapshot import snapshot as take

    with progress_bars() as part:
        return take(rpc, block, progress=part, **source)


def _with_sensitivity(run: Run, book: Snapshot, workers: int | None, progress: Callable[[int, int], None]) -> Run:
    from simulator.measures.sensitivity import with_sensitivity

    return with_sensitivity(run, book, workers=workers, progress=progress)


def _finish(run: Run, out: Path | None, as_json: bool) -> None:
    if out is not None:
        run.write(out)
    _show_run(run, as_json)
    if out is not None and not as_json:
        print(f"run: {out}")


def _show_estimate(found: BadDebt, as_json: bool) -> None:
    from simulator.estimate import command

    statistics, convergence = _records(found.statistics()), _records(found.convergence())
    drivers = _records(found.contributions()) if found.facts["liquidations"] else []
    if as_json:
        facts = {**found.facts, "met": found.met, "notes": command.notes(found)}
        tables = {"statistics": statistics, "convergence": convergence, "contributions": drivers}
        print(json.dumps({**facts, **tables}, indent=2))
        return
    for note in command.notes(found):
        print(f"note: {note}")
    print(command.headline(found))
    for title, rows in command.tables(statistics):
        _print_table(title, rows)
    if drivers:
        _print_table("what drives the 99 % expected shortfall of all bad debt, US dollars", drivers)
    _print_table(
        f"convergence, {found.outputs[0]}: 99 % value at risk and expected shortfall", command.shown(convergence)
    )
    if not all(each["enough"] for each in statistics):
        print("too few: the sample is too small for the interval; take more paths, or --sampling importance")


def _show_reverse(found: Reverse, as_json: bool) -> None:
    from simulator.estimate import command

    if as_json:
        facts = {**found.facts, "target_usd": found.target_usd, "notes": command.REVERSE_NOTES}
        print(json.dumps({**facts, "shocks": found.records()}, indent=2))
        return
    for note in command.REVERSE_NOTES:
        print(f"note: {note}")
    hours = found.facts["steps"] * found.facts["step_s"] / 3600.0
    title = f"most plausible shocks over {hours:g} h with {found.target_usd:,.0f} USD of bad debt, each of another kind"
    _print_table(f"{title}, by {found.facts['model']}", command.shocks(found))


def _show_run(run: Run, as_json: bool) -> None:
    from simulator import summary

    if as_json:
        print(json.dumps(summary.as_json(run), indent=2))
        return
    for note in run.notes:
        print(f"note: {note}")
    _print_lines(run.scenario.title or run.scenario.name, [*summary.shocks(run), *summary.headline(run)])
    _print_table("by reserve", summary.reserves(run))
    if rows := summary.vaults(run):
        _print_table("by vault and market, whole tokens: lost, and at risk if economic bad debt is written off", rows)
    if rows := summary.sensitivity(run):
        _print_table("sensitivity: the same with one parameter of price impact at an end of its range", rows)
        if note := summary.sensitivity_note(run):
            print(f"note: {note}")


# --- printing -------------------------------------------------------------------------------------------------------


def _print_lines(title: str, lines: Sequence[Line]) -> None:
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for line in lines:
        table.add_row(line.what, f"{_number(line.value)} {line.unit}", line.note)
    _console().print(table)


def _print_feed(row: dict[str, Any]) -> None:
    from rich.tree import Tree

    from simulator.oracles.listing import lines

    facts = [f"{row['market']}  {row['token']}  {row['price']:.10g} {row['quote']}"]
    facts += [] if row["age_s"] is None else [f"answered {row['age_s']:,} s before the block"]
    facts += [] if row["gap"] is None else [f"{row['gap']:+.2%} from the market's {row['market_usd']:.6g} USD"]
    tree = Tree("; ".join(facts))

    def add(branch: Tree, part: dict[str, Any]) -> None:
        first, *more = lines(part)
        below = branch.add("\n".join([first, *(f"  {line}" for line in more)]))
        for child in part["children"]:
            add(below, child)

    if row["tree"] is None:
        tree.add("what it is made of was not looked into; it is taken for a feed that follows the market")
    else:
        add(tree, row["tree"])
    _console().print(tree)


def _print_table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table

    if not rows:
        print(f"{title}: none")
        return
    table = Table(title=title, title_justify="left")
    for name, example in rows[0].items():
        justify: Literal["left", "right"] = "right" if isinstance(example, int | float) else "left"
        table.add_column(name.replace("_", " "), justify=justify, no_wrap=str(example).startswith("0x"))
    for row in rows:
        table.add_row(*(_number(v) if isinstance(v, int | float) else str(v or "") for v in row.values()))
    _console().print(table)


def _console() -> Console:
    """The terminal, or where there is none a width at which no figure is broken."""
    from rich.console import Console

    # symbols come from chains and may look like markup
    return Console(width=None if sys.stdout.isatty() else _WIDE, markup=False, highlight=False)


def _number(value: float) -> str:
    if isinstance(value, int) or (abs(value) >= 1000 and value == round(value)):
        return f"{value:,.0f}"
    return f"{value:,.4f}" if abs(value) < 10 else f"{value:,.2f}"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON values; a number that is none (no price, no limit) is null."""
    return [
        {str(k): None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in frame.to_dict("records")
    ]


@contextmanager
def progress_bars() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Progress bars on the terminal, one for each part of the work; silent where there is nobody to see them."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:

        def part(what: str) -> Callable[[int, int], None]:
            task = bars.add_task(what, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield part
