"""How liquidity in ranges lies in a snapshot: a row for each initialised tick of each pool."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from chain.errors import InputError
from chain.snapshot import Snapshot
from chain.tables import Column, Schema

_Pool = TypeVar("_Pool")

STATE = (
    Column("sqrt_price_x96", "uint256", "sqrt(token1 / token0) of smallest units, times 2**96"),
    Column("tick", "int64", "slot0.tick"),
    Column("liquidity", "uint256", "active liquidity"),
)
"""Columns of a pool: where its price is, and what liquidity is there."""


def ticks_schema(name: str, pool: Column) -> Schema:
    """The table of the ticks of pools that are known by a column."""
    return Schema(
        name,
        ("pool", "tick"),
        (
            pool,
            Column("tick", "int64", "an initialised tick"),
            Column("liquidity_net", "int256", "liquidity added when the price rises through it"),
        ),
    )


def load_pools(
    snapshot: Snapshot, pools: Schema, ticks: Schema, make: Callable[..., _Pool], columns: tuple[str, ...]
) -> list[_Pool]:
    """The pools of a snapshot.

    Parameters
    ----------
    snapshot
        Where they lie.
    pools, ticks
        In which tables.
    make
        Makes a pool of its name, its tokens, its ticks and the columns named.
    columns
        Of `pools`.

    Raises
    ------
    InputError
        If there are pools but no table of ticks, or ticks of a pool that is not there.
    """
    if pools.name not in snapshot.tables:
        return []
    if ticks.name not in snapshot.tables:
        raise InputError(f"the snapshot has a table {pools.name} but none {ticks.name}")
    rows, found = snapshot.tables[pools.name].rows(), snapshot.tables[ticks.name]
    by_pool: dict[Any, list[tuple[int, int]]] = defaultdict(list)
    known = {row["pool"] for row in rows}
    entries = zip(found.texts("pool"), found.ints("tick"), found.ints("liquidity_net"), strict=True)
    for number, (pool, tick, net) in enumerate(entries, start=1):
        if pool not in known:
            raise InputError(f"table {ticks.name}, row {number}: pool {pool} is not there")
        by_pool[pool].append((tick, net))
    made = []
    for row in rows:
        own = sorted(by_pool[row["pool"]])
        made.append(
            make(
                row["pool"],
                (row["token0"], row["token1"]),
                ticks=[tick for tick, _ in own],
                liquidity_net=[net for _, net in own],
                **{name: row[name] for name in columns},
            )
        )
    return made
