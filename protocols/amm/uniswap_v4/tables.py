"""How Uniswap v4 pools lie in a snapshot."""

from __future__ import annotations

from collections import defaultdict

from chain.errors import InputError
from chain.snapshot import Snapshot
from chain.tables import Column, Schema
from protocols.amm.uniswap_v4.pool import UniswapV4Pool

ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

_POOL = Column("pool", "text", "PoolManager/currency0/currency1/fee/tickSpacing of its key; it has no hooks")
_STATE = ("lp_fee_pips", "tick_spacing", "sqrt_price_x96", "tick", "liquidity", "protocol_fee")

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
        Column("sqrt_price_x96", "uint256", "sqrt(token1 / token0) of smallest units, times 2**96"),
        Column("tick", "int64", "slot0.tick"),
        Column("liquidity", "uint256", "active liquidity"),
        Column("protocol_fee", "int64", "slot0.protocolFee: low 12 bits where token0 is paid in, else the high 12"),
    ),
)
TICKS = Schema(
    "uniswap_v4.ticks",
    ("pool", "tick"),
    (
        _POOL,
        Column("tick", "int64", "an initialised tick"),
        Column("liquidity_net", "int256", "liquidity added when the price rises through it"),
    ),
)
SCHEMAS = (POOLS, TICKS)


def load(snapshot: Snapshot) -> list[UniswapV4Pool]:
    """The pools of a snapshot.

    Raises
    ------
    InputError
        If there are pools but no table of ticks, or ticks of a pool that is not there.
    """
    if POOLS.name not in snapshot.tables:
        return []
    if TICKS.name not in snapshot.tables:
        raise InputError(f"the snapshot has a table {POOLS.name} but none {TICKS.name}")
    pools, ticks = snapshot.tables[POOLS.name].rows(), snapshot.tables[TICKS.name]
    by_pool: dict[str, list[tuple[int, int]]] = defaultdict(list)
    columns = zip(ticks.texts("pool"), ticks.ints("tick"), ticks.ints("liquidity_net"), strict=True)
    known = {row["pool"] for row in pools}
    for number, (pool, tick, net) in enumerate(columns, start=1):
        if pool not in known:
            raise InputError(f"table {TICKS.name}, row {number}: pool {pool} is not there")
        by_pool[pool].append((tick, net))
    venues = []
    for row in pools:
        own = sorted(by_pool[row["pool"]])
        venues.append(
            UniswapV4Pool(
                row["pool"],
                (row["token0"], row["token1"]),
                ticks=[tick for tick, _ in own],
                liquidity_net=[net for _, net in own],
                **{name: row[name] for name in _STATE},
            )
        )
    return venues
