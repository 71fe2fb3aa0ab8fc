"""Commands that scan the book as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.options import AsJson, SnapshotFolder
from simulator.commands.printing import print_json, print_table, records


def sweep(
    snapshot: SnapshotFolder,
    prices: Annotated[
        Path, typer.Option(help="CSV or Parquet of US dollars: a column a token, a row a price vector; others stay.")
    ],
    as_json: AsJson = False,
) -> None:
    """What is liquidatable under each of many price vectors, on the book as it stands."""
    from simulator.scans.vectors import sweep as run

    frame = run(snapshot, prices).frame()
    if as_json:
        print_json(records(frame))
        return
    system = frame.drop(columns="market").groupby("scenario").sum()
    print_table("all vectors, all markets", records(system.describe().drop("count").reset_index(names="")))
    worst = system.sort_values(["bad_debt_usd", "debt_usd"], ascending=False, kind="stable").head(20).reset_index()
    print_table("the worst of them, dollars at their own prices (vectors count from 0)", records(worst))


def wall(
    snapshot: SnapshotFolder,
    token: Annotated[str, typer.Option(help="Symbol or address; several that move together with commas.")],
    as_json: AsJson = False,
) -> None:
    """The liquidation wall: what becomes liquidatable as a price falls, and as it rises."""
    from simulator.scans.wall import wall as build

    found = build(snapshot, [name.strip() for name in token.split(",") if name.strip()])
    if as_json:
        tables = {"now": records(found.now), "levels": records(found.levels)}
        asked = {"tokens": found.tokens, "moving": found.moving, "unread": found.unread}
        print_json(asked | tables)
        return
    for market, symbols in found.moving.items():
        unread = "; what its other prices follow was not read" if market in found.unread else ""
        print(f"{market}: what moves is {', '.join(symbols) or 'nothing'}{unread}")
    print_table("liquidatable at today's prices, and no part of the wall", records(found.now))
    system = found.system()
    for direction, levels in system.groupby("direction", sort=False):
        title = f"as {', '.join(found.tokens)} {direction}: all markets, dollars at today's oracle prices"
        print_table(title, records(levels.drop(columns="direction")))
    print("net: an account that holds and owes what moves counts with the difference; gross: only its "
          "collateral falls, or only its debt rises")  # fmt: skip
