"""Commands that show what there is: crashes, and what a snapshot holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.options import AsJson, SnapshotFolder
from simulator.commands.printing import print_feed, print_json, print_table, records
from simulator.commands.runs import show_run


def scenarios(as_json: AsJson = False) -> None:
    """The crashes that can be replayed by name."""
    from simulator.scenario import load_scenario, shipped_scenarios

    rows = []
    for name in shipped_scenarios():
        scenario = load_scenario(name)
        hours = scenario.steps * scenario.step_s / 3600
        rows.append({"name": name, "title": scenario.title, "hours": hours, "snapshot": scenario.snapshot or ""})
    if as_json:
        print_json(rows)
    else:
        print_table("scenarios", rows)


def info(
    folder: Annotated[Path, typer.Argument(help="A snapshot or a run.")],
    accounts: Annotated[int, typer.Option(min=0, help="How many of the riskiest accounts to show.")] = 10,
    as_json: AsJson = False,
) -> None:
    """What is in a snapshot or a run."""
    from chain.snapshot import is_snapshot

    if is_snapshot(folder):
        _show_snapshot(folder, accounts, as_json)
        return
    from simulator.run import read_run

    run = read_run(folder)
    show_run(run, as_json)
    if not as_json:
        print_table("terms", run.tables["terms"].rows())


def oracles(snapshot: SnapshotFolder, as_json: AsJson = False) -> None:
    """Each price feed: how it is made, how old it is, and how it can fail."""
    from simulator.book import open_book, read
    from simulator.oracles.listing import feeds
    from simulator.run import published

    taken = read(snapshot)
    book = open_book(taken)
    rows = feeds(book, published(taken, book))
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print_feed(row)


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
        print_json(command.facts(drawn) | {name: records(table) for name, table in tables.items()})
        return
    print(command.headline(drawn))
    for name, table in tables.items():
        print_table(command.title(name, table), records(table.head(command.SHOWN)))
    if out is not None:
        print(f"graph: {out}")


def _show_snapshot(folder: Path, accounts: int, as_json: bool) -> None:
    from simulator.book import open_book, read
    from simulator.info import riskiest, totals

    snapshot = read(folder)
    book = open_book(snapshot)
    all_totals, risky = totals(book), riskiest(book, accounts)
    if as_json:
        print_json(
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
                "totals": records(all_totals),
                "riskiest": records(risky),
            }
        )
        return
    print(f"chain {snapshot.chain_id}, block {snapshot.block_number} ({snapshot.origin}); {len(book.venues)} pools")
    for market in book.markets:
        print(f"{market.name}: {market.protocol} {market.version}, {len(market.accounts)} accounts with debt")
        if market.caveat:
            print(f"  unverified: {market.caveat}")
    for note in snapshot.notes:
        print(f"note: {note}")
    print_table("totals of accounts with debt, at oracle prices", records(all_totals))
    print_table(f"the {accounts} riskiest accounts of each market, and the prices that liquidate them", records(risky))
