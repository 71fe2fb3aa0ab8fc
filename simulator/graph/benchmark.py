"""How long drawing and measuring take, and how much memory: ``python -m simulator.graph.benchmark [POSITIONS …]``.

Books are the shipped sample's accounts over and over under new addresses, with wstETH and weETH as claims on WETH, so
that its leveraged accounts are loops. Each size runs in a process of its own, which reads the book from disk, draws
it with accounts by pattern, and takes every measure.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from chain.snapshot import CLAIMS, Snapshot
from chain.tables import Schema, Table
from fixtures import sample_book
from protocols.lending.aave_v3 import tables as aave

SIZES = (10_000, 100_000, 1_000_000)
RATES = {"wstETH": 1_175_000_000_000_000_000, "weETH": 1_045_000_000_000_000_000}
"""Smallest units of WETH that one is worth."""


def make(positions: int) -> Snapshot:
    """A book of so many positions, or a few less so that no account is cut short; the same on every call."""
    sample = sample_book.make()
    times = -(-positions // len(sample.tables[aave.POSITIONS.name]))
    tables = dict(sample.tables)
    entries = _repeated(tables[aave.POSITIONS.name], aave.POSITIONS, times)
    accounts = entries["account"]
    whole = positions
    while whole < len(accounts) and accounts[whole] == accounts[whole - 1]:
        whole -= 1
    kept = set(accounts[:whole])
    tables[aave.POSITIONS.name] = _first(entries, aave.POSITIONS, accounts, kept)
    owners = _repeated(tables[aave.ACCOUNTS.name], aave.ACCOUNTS, times)
    tables[aave.ACCOUNTS.name] = _first(owners, aave.ACCOUNTS, owners["account"], kept)
    tables[aave.RESERVES.name] = _scaled(tables[aave.RESERVES.name], times)
    tables[CLAIMS.name] = Table.from_rows(CLAIMS, [_claim(sample, symbol, rate) for symbol, rate in RATES.items()])
    return replace(sample, tables=tables)


def _repeated(table: Table, schema: Schema, times: int) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {column.name: table.values(column.name) * times for column in schema.columns}
    size = len(table)
    accounts = table.texts("account")
    columns["account"] = [f"{accounts[row % size]}{row // size:04x}" for row in range(size * times)]
    return columns


def _first(columns: dict[str, list[Any]], schema: Schema, accounts: list[str], kept: set[str]) -> Table:
    """The rows of the accounts that are kept."""
    rows = [row for row, account in enumerate(accounts) if account in kept]
    return Table.of(schema, {name: [values[row] for row in rows] for name, values in columns.items()})


def _scaled(table: Table, times: int) -> Table:
    totals = ("supply_scaled", "debt_scaled", "liquidity_raw")
    rows = [row | {name: row[name] * times for name in totals} for row in table.rows()]
    return Table.from_rows(aave.RESERVES, rows)


def _claim(sample: Snapshot, symbol: str, rate: int) -> dict[str, Any]:
    address = {row["symbol"]: row["token"] for row in sample.tables["tokens"].rows()}
    supply = 10_000_000 * 10**18
    return {
        "token": address[symbol],
        "underlying": address["WETH"],
        "kind": "benchmark",
        "issuer": f"issuer of {symbol}",
        "amount_raw": rate,
        "supply_raw": supply,
        "backing_raw": supply * rate // 10**18,
        "losses": "at once",
        "due_at": 0,
    }


def measured(folder: Path) -> dict[str, float]:
    """Seconds of reading, drawing and measuring a snapshot in this process, and the most memory it took so far.

    A small book is measured first, so that loading libraries is not counted.
    """
    from simulator.book import read
    from simulator.graph import command
    from simulator.graph.exposure import ExposureGraph

    command.tables(ExposureGraph.of(make(1_000), "pattern"), None, None)
    started = time.perf_counter()
    snapshot = read(folder)
    read_s = time.perf_counter() - started
    graph = ExposureGraph.of(snapshot, "pattern")
    drawn_s = time.perf_counter() - started - read_s
    tables = command.tables(graph, None, None)
    measured_s = time.perf_counter() - started - read_s - drawn_s
    return {
        "positions": len(graph.holdings.account),
        "loops": len(tables["loops"]),
        "read_s": read_s,
        "draw_s": drawn_s,
        "measure_s": measured_s,
        # kilobytes on Linux
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def main(sizes: Sequence[int]) -> None:
    """Print a line a size, and how the time of drawing and measuring grows."""
    results = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as above:
            folder = Path(above) / "book"
            make(size).write(folder)
            code = "import json,sys; from pathlib import Path; from simulator.graph.benchmark import measured; " + (
                "print(json.dumps(measured(Path(sys.argv[1]))))"
            )
            done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        results.append(found)
        print(
            f"{found['positions']:>9,} positions, {found['loops']:>7,} loops: read {found['read_s']:.1f} s, "
            f"draw {found['draw_s']:.1f} s, measure {found['measure_s']:.1f} s, peak {found['peak_gb']:.2f} GB"
        )
    for small, large in pairwise(results):
        n, m = small["positions"], large["positions"]
        seconds = [each["draw_s"] + each["measure_s"] for each in (small, large)]
        grown = math.log(seconds[1] / seconds[0]) / math.log(m / n)
        bound = math.log(m * math.log(m) / (n * math.log(n))) / math.log(m / n)
        print(f"from {n:,} to {m:,} positions time grows as n^{grown:.2f} (n log n: n^{bound:.2f})")


if __name__ == "__main__":
    main([int(size.replace("_", "")) for size in sys.argv[1:]] or SIZES)
