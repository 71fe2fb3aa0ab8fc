"""How tricrypto-ng pools lie in a snapshot."""

from __future__ import annotations

from typing import Any

from chain.errors import InputError
from chain.snapshot import Snapshot
from chain.tables import Column, Schema
from protocols.amm.curve_tricrypto.pool import TricryptoPool
from protocols.amm.curve_tricrypto.rules import Ramp, State, Terms

ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

VERIFIED = "CurveTricryptoOptimized"
"""The contract whose vectors the rules reproduce."""
NATIVE = "CurveTricryptoOptimizedWETH"
"""The earlier one, which also takes the chain's native token."""

COINS, PRICES = range(3), range(2)
MAX_DECIMALS = 18

POOLS = Schema(
    "curve_tricrypto.pools",
    ("pool",),
    (
        Column("pool", "text", "address"),
        Column("contract", "text", f"{VERIFIED} or {NATIVE}"),
        Column("timestamp", "int64", "of the block, unix seconds"),
        *(Column(f"token{k}", "text", "address") for k in COINS),
        *(Column(f"decimals{k}", "int64", "") for k in COINS),
        *(Column(f"balance{k}_raw", "uint256", "smallest units") for k in COINS),
        Column("d_wad", "uint256", "invariant, 18 decimals"),
        *(Column(f"price_scale{k}_wad", "uint256", f"of token{k + 1} in token0, 18 decimals") for k in PRICES),
        *(Column(f"price_oracle{k}_wad", "uint256", "its moving average as of last_timestamp") for k in PRICES),
        *(Column(f"last_price{k}_wad", "uint256", "after the last exchange") for k in PRICES),
        Column("last_timestamp", "int64", "of the moving average, unix seconds"),
        Column("virtual_price_wad", "uint256", "of a pool token, as stored"),
        Column("xcp_profit_wad", "uint256", ""),
        Column("total_supply_raw", "uint256", "pool tokens, 18 decimals"),
        Column("mid_fee", "int64", "in balance, 1e10 = 100 %"),
        Column("out_fee", "int64", "far from balance, 1e10 = 100 %"),
        Column("fee_gamma_wad", "uint256", ""),
        Column("allowed_extra_profit_wad", "uint256", ""),
        Column("adjustment_step_wad", "uint256", ""),
        Column("ma_time", "int64", "time constant of the moving average, seconds (not the half-life of ma_time())"),
        Column("initial_a", "int64", "A * 27 * 10,000 at initial_time"),
        Column("initial_gamma_wad", "uint256", ""),
        Column("initial_time", "int64", "unix seconds"),
        Column("future_a", "int64", "A * 27 * 10,000 from future_time on"),
        Column("future_gamma_wad", "uint256", ""),
        Column("future_time", "int64", "unix seconds"),
    ),
)
SCHEMAS = (POOLS,)


def load(snapshot: Snapshot) -> list[TricryptoPool]:
    """The pools of a snapshot; raises InputError for decimals of more than 18."""
    if POOLS.name not in snapshot.tables:
        return []
    return [_pool(row) for row in snapshot.tables[POOLS.name].rows()]


def _pool(row: dict[str, Any]) -> TricryptoPool:
    decimals = [row[f"decimals{k}"] for k in COINS]
    if not all(0 <= d <= MAX_DECIMALS for d in decimals):
        raise InputError(f"pool {row['pool']}: decimals {decimals} are not all 18 or fewer, which tricrypto requires")
    terms = Terms(
        (10 ** (18 - decimals[0]), 10 ** (18 - decimals[1]), 10 ** (18 - decimals[2])),
        row["mid_fee"],
        row["out_fee"],
        row["fee_gamma_wad"],
        row["allowed_extra_profit_wad"],
        row["adjustment_step_wad"],
        row["ma_time"],
    )
    state = State(
        (row["balance0_raw"], row["balance1_raw"], row["balance2_raw"]),
        row["d_wad"],
        (row["price_scale0_wad"], row["price_scale1_wad"]),
        (row["price_oracle0_wad"], row["price_oracle1_wad"]),
        (row["last_price0_wad"], row["last_price1_wad"]),
        row["last_timestamp"],
        row["virtual_price_wad"],
        row["xcp_profit_wad"],
        row["total_supply_raw"],
    )
    ramp = Ramp(
        row["initial_a"],
        row["initial_gamma_wad"],
        row["initial_time"],
        row["future_a"],
        row["future_gamma_wad"],
        row["future_time"],
    )
    contract = row["contract"]
    return TricryptoPool(
        row["pool"],
        [row[f"token{k}"] for k in COINS],
        terms=terms,
        ramp=ramp,
        state=state,
        timestamp=row["timestamp"],
        caveat="" if contract == VERIFIED else f"{contract}; the vectors that its rules reproduce are of {VERIFIED}",
    )
