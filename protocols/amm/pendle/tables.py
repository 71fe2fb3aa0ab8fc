"""How Pendle markets lie in a snapshot."""

from __future__ import annotations

from typing import Any

from chain.snapshot import Snapshot
from chain.tables import Column, Schema
from protocols.amm.pendle.pool import PendleMarket
from protocols.amm.pendle.rules import State, Terms

ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

EARLY = 1
"""What stands for the versions of markets before 6, which do not say it, and whose swaps are the same."""
VERSIONS = (EARLY, 6, 7)
"""Those whose swaps the rules reproduce."""
_ASKS_FOR_FEE = 6
"""The first version of which every swap must leave a fee to liquidity providers."""

MARKETS = Schema(
    "pendle.markets",
    ("market",),
    (
        Column("market", "text", "address"),
        Column("version", "int64", f"as VERSION() says; {EARLY} for those before 6, which do not say it"),
        Column("pt", "text", "address of the principal token"),
        Column("token", "text", "address of the token that its SY is given and taken back for, one for one"),
        Column("scalar_root_wad", "uint256", "rate scalar with a year to go, 18 decimals"),
        Column("expiry", "int64", "unix seconds"),
        Column("ln_fee_rate_root_wad", "uint256", "what the fee adds to the implied rate for a year, 18 decimals"),
        Column("reserve_fee_percent", "int64", "of the fee, to the treasury"),
        Column("py_index_wad", "uint256", "assets for one SY, 18 decimals"),
        Column("total_pt_raw", "uint256", "smallest units"),
        Column("total_sy_raw", "uint256", "smallest units"),
        Column("last_ln_implied_rate_wad", "uint256", "logarithm of a year's interest, 18 decimals"),
    ),
)
SCHEMAS = (MARKETS,)


def load(snapshot: Snapshot) -> list[PendleMarket]:
    """The markets of a snapshot."""
    if MARKETS.name not in snapshot.tables:
        return []
    return [_market(row, snapshot.timestamp) for row in snapshot.tables[MARKETS.name].rows()]


def _market(row: dict[str, Any], timestamp: int) -> PendleMarket:
    return PendleMarket(
        row["market"],
        (row["pt"], row["token"]),
        terms=Terms(
            row["scalar_root_wad"],
            row["expiry"],
            row["ln_fee_rate_root_wad"],
            row["reserve_fee_percent"],
            row["py_index_wad"],
            row["version"] >= _ASKS_FOR_FEE,
        ),
        state=State(row["total_pt_raw"], row["total_sy_raw"], row["last_ln_implied_rate_wad"]),
        timestamp=timestamp,
    )
