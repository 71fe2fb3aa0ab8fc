"""How Uniswap v4 pools lie in a snapshot."""

from __future__ import annotations

from chain.snapshot import Snapshot
from chain.tables import Column, Schema
from protocols.amm.initialised_ticks import STATE, load_pools, ticks_schema
from protocols.amm.uniswap_v4.pool import UniswapV4Pool

ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

_POOL = Column("pool", "text", "PoolManager/currency0/currency1/fee/tickSpacing of its key; it has no hooks")

POOLS = Schema(
    "uniswap_v4.pools",
    ("pool",),
    (
        _POOL,
        Column("pool_id", "text", "hash of the key, by which events and block explorers know the pool"),
        Column("token0", "text", "address; what wraps it where currency0 is the chain's own currency"),
        Column("token1", "text", "address"),
        Column("lp_fee_pips", "int64", "slot0.lpFee, hundredths of a basis point, 3000 = 0.3 %"),
        Column("tick_spacing", "int64", ""),
        *STATE,
        Column("protocol_fee", "int64", "slot0.protocolFee: low 12 bits where token0 is paid in, else the high 12"),
    ),
)
TICKS = ticks_schema("uniswap_v4.ticks", _POOL)
SCHEMAS = (POOLS, TICKS)


def load(snapshot: Snapshot) -> list[UniswapV4Pool]:
    """The pools of a snapshot; raises InputError as :func:`protocols.amm.initialised_ticks.load_pools` does."""
    columns = ("lp_fee_pips", "tick_spacing", *(column.name for column in STATE), "protocol_fee")
    return load_pools(snapshot, POOLS, TICKS, UniswapV4Pool, columns)
