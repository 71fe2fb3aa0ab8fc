"""How Uniswap v2 pairs lie in a snapshot."""

from __future__ import annotations

from chain.snapshot import Snapshot
from chain.tables import Column, Schema
from protocols.amm.uniswap_v2.pool import UniswapV2Pair

ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

POOLS = Schema(
    "uniswap_v2.pools",
    ("pool",),
    (
        Column("pool", "text", "address of the pair"),
        Column("token0", "text", "address"),
        Column("token1", "text", "address"),
        Column("reserve0_raw", "uint256", "smallest units"),
        Column("reserve1_raw", "uint256", "smallest units"),
    ),
)
SCHEMAS = (POOLS,)


def load(snapshot: Snapshot) -> list[UniswapV2Pair]:
    """The pairs of a snapshot."""
    if POOLS.name not in snapshot.tables:
        return []
    return [
        UniswapV2Pair(row["pool"], (row["token0"], row["token1"]), row["reserve0_raw"], row["reserve1_raw"])
        for row in snapshot.tables[POOLS.name].rows()
    ]
