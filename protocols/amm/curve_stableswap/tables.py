"""How StableSwap pools lie in a snapshot."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from chain.errors import InputError
from chain.snapshot import Snapshot
from chain.tables import Column, Schema
from protocols.amm.curve_stableswap.invariant import Ramp, classic_terms, ng_terms
from protocols.amm.curve_stableswap.pool import StableSwapPool
from protocols.reading import Rows

ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

NG, CLASSIC = "ng", "3pool"
RECORDED = {(NG, "v7.0.0"), (CLASSIC, "")}
"""Kinds and versions of contracts whose recorded answers the rules are held to."""

POOLS = Schema(
    "curve_stableswap.pools",
    ("pool",),
    (
        Column("pool", "text", "address"),
        Column("kind", "text", "ng: a plain pool of the NG factory; 3pool: of the kind of 3pool, 2020"),
        Column("version", "text", "what the contract says its version is; empty for 3pool's kind"),
        Column("fee", "int64", "share of the amount bought, times 1e10"),
        Column("offpeg_fee_multiplier", "uint256", "fee far from the peg over the fee at it, times 1e10; 0 for 3pool"),
        Column("admin_fee", "int64", "share of the fee, times 1e10"),
        Column("initial_a", "int64", "A where its ramp starts; times 100 in pools of NG"),
        Column("future_a", "int64", "A where its ramp ends"),
        Column("initial_a_time", "int64", "unix seconds"),
        Column("future_a_time", "int64", "unix seconds"),
    ),
)
COINS = Schema(
    "curve_stableswap.coins",
    ("pool", "coin"),
    (
        Column("pool", "text", "address"),
        Column("coin", "int64", "number of the coin in the pool"),
        Column("token", "text", "address"),
        Column("rate", "uint256", "18 decimals for smallest units, times 1e18: 10**(36 - decimals) times its worth"),
        Column("balance_raw", "uint256", "smallest units, without what is the admin's"),
        Column("admin_balance_raw", "uint256", "fees for the admin, smallest units"),
    ),
)
SCHEMAS = (POOLS, COINS)


def load(snapshot: Snapshot) -> list[StableSwapPool]:
    """The pools of a snapshot.

    Raises
    ------
    InputError
        If there are pools but no table of coins, or coins of a pool that is not there, or not all coins of a pool.
    """
    if POOLS.name not in snapshot.tables:
        return []
    if COINS.name not in snapshot.tables:
        raise InputError(f"the snapshot has a table {POOLS.name} but none {COINS.name}")
    pools = snapshot.tables[POOLS.name].rows()
    coins: dict[str, Rows] = defaultdict(list)
    known = {row["pool"] for row in pools}
    for number, row in enumerate(snapshot.tables[COINS.name].rows(), start=1):
        if row["pool"] not in known:
            raise InputError(f"table {COINS.name}, row {number}: pool {row['pool']} is not there")
        coins[row["pool"]].append(row)
    return [make_pool(row, coins[row["pool"]], snapshot.timestamp) for row in pools]


def make_pool(row: dict[str, Any], coins: Rows, timestamp: int) -> StableSwapPool:
    """The pool of a row and its coins, at the time that they were read."""
    pool, kind, version = row["pool"], row["kind"], row["version"]
    coins = sorted(coins, key=lambda coin: int(coin["coin"]))
    if [coin["coin"] for coin in coins] != list(range(len(coins))):
        raise InputError(f"table {COINS.name}: the coins of pool {pool} are not numbered 0, 1, 2, …; read it again")
    if kind not in (NG, CLASSIC):
        raise InputError(f"table {POOLS.name}: pool {pool} is of kind {kind!r}; {NG} and {CLASSIC} are known")
    return StableSwapPool(
        pool,
        [coin["token"] for coin in coins],
        terms=ng_terms(row["fee"], row["offpeg_fee_multiplier"])
        if kind == NG
        else classic_terms(row["fee"], row["admin_fee"]),
        ramp=Ramp(row["initial_a"], row["future_a"], row["initial_a_time"], row["future_a_time"]),
        rates=[coin["rate"] for coin in coins],
        balances_raw=[coin["balance_raw"] for coin in coins],
        admin_balances_raw=[coin["admin_balance_raw"] for coin in coins],
        timestamp=timestamp,
        caveat=""
        if (kind, version) in RECORDED
        else f"contract {version}: its get_dy agrees at the block, its exchange is not held to recorded answers",
    )
