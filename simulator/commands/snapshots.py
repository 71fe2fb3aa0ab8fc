"""Commands that make a snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.commands.options import Cache, Deployments, NewSnapshot, Protocols, Rate, Rpc
from simulator.commands.printing import progress_bars
from simulator.options import must_be_new

if TYPE_CHECKING:
    from datetime import datetime

    from chain.snapshot import Snapshot


def import_(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet, one row a balance; the README has the columns.")],
    out: NewSnapshot,
    timestamp: Annotated[int, typer.Option(min=0, help="When the positions were so, unix seconds.")] = 0,
) -> None:
    """Make a snapshot from a file of positions, without a node."""
    from protocols.lending.aave_v3.importer import import_positions

    snapshot = import_positions(file, timestamp=timestamp)
    snapshot.write(out)
    accounts = len(snapshot.tables["aave_v3.accounts"])
    print(f"snapshot: {out} ({accounts} accounts with debt)")


def snapshot(
    rpc: Annotated[str, Rpc],
    out: NewSnapshot,
    block: Annotated[str, typer.Option(help="Number, or latest, safe, finalized.")] = "finalized",
    protocol: Protocols = None,
    deployments: Deployments = None,
    chain_id: Annotated[int | None, typer.Option(help="Refuse a node of another chain.")] = None,
    cache: Cache = None,
    rate: Rate = None,
) -> None:
    """Read one block's state from a node. Started again after an interruption, it goes on where it stopped."""
    must_be_new(out)
    source = {"names": protocol or (), "deployments": deployments, "chain_id": chain_id}
    at = int(block) if block.isdecimal() else block
    taken = take(at, rpc, {**source, "cache_dir": cache, "requests_per_second": rate})
    taken.write(out)
    counts = ", ".join(f"{len(table)} {name}" for name, table in sorted(taken.tables.items()))
    print(f"snapshot: {out} (chain {taken.chain_id}, block {taken.block_number}; {counts})")


def take(block: int | str | datetime, rpc: str, source: dict[str, Any]) -> Snapshot:
    """The state of one block, with progress on the terminal; `protocols.snapshot.snapshot` has the parameters."""
    from protocols.snapshot import snapshot as read

    with progress_bars() as part:
        return read(rpc, block, progress=part, **source)
