"""How Uniswap v3 pools lie in a snapshot."""

from __future__ import annotations

from chain.snapshot import Snapshot
from chain.tables import Column, Schema
from protocols.amm.initialised_ticks import STATE, load_pools, ticks_schema
from protocols.amm.uniswap_v3.pool import UniswapV3Pool

ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

_POOL = Column("pool", "text", "address")

POOLS = Schema(
    "uniswap_v3.pools",
    ("pool",),
    (
        _POOL,
        Column("token0", "text", "address"),
        Column("token1", "text", "address"),
        Column("fee_pips", "int64", "hundredths of a basis point, 3000 = 0.3 %"),
        Column("tick_spacing", "int64", ""),
        *STATE,
        Column("fee_protocol", "int64", "slot0.feeProtocol"),
    ),
)
TICKS = ticks_schema("uniswap_v3.ticks", _POOL)
SCHEMAS = (POOLS, TICKS)


def load(snapshot: Snapshot) -> list[UniswapV3Pool]:
    """The pools of a snapshot; raises InputError as :func:`protocols.amm.initialised_ticks.load_pools` does."""
    columns = ("fee_pips", "tick_spacing", *(column.name for column in STATE), "fee_protocol")
    return load_pools(snapshot, POOLS, TICKS, UniswapV3Pool, columns)
