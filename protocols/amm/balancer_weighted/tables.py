"""How Balancer v2 weighted pools lie in a snapshot."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from chain.errors import InputError
from chain.snapshot import Snapshot
from chain.tables import Column, Schema
from protocols.amm.balancer_weighted.pool import BalancerWeightedPool

ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

VERIFIED = 4
"""The version of WeightedPool whose vectors the rules reproduce."""

POOLS = Schema(
    "balancer_weighted.pools",
    ("pool",),
    (
        Column("pool", "text", "address"),
        Column("version", "int64", "of WeightedPool, as the pool's version() says; 1 for pools without one"),
        Column("swap_fee_wad", "uint256", "share of the amount paid in, 18 decimals"),
    ),
)
TOKENS = Schema(
    "balancer_weighted.tokens",
    ("pool", "position"),
    (
        Column("pool", "text", "address"),
        Column("position", "int64", "in the Vault's order, from 0"),
        Column("token", "text", "address"),
        Column("decimals", "int64", ""),
        Column("balance_raw", "uint256", "what the Vault holds for the pool, smallest units"),
        Column("weight_wad", "uint256", "normalised weight, 18 decimals"),
    ),
)
SCHEMAS = (POOLS, TOKENS)


def load(snapshot: Snapshot) -> list[BalancerWeightedPool]:
    """The pools of a snapshot.

    Raises
    ------
    InputError
        If there are pools but no table of tokens, or tokens of a pool that is not there.
    """
    if POOLS.name not in snapshot.tables:
        return []
    if TOKENS.name not in snapshot.tables:
        raise InputError(f"the snapshot has a table {POOLS.name} but none {TOKENS.name}")
    pools = snapshot.tables[POOLS.name].rows()
    known = {row["pool"] for row in pools}
    tokens: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for number, row in enumerate(snapshot.tables[TOKENS.name].rows(), start=1):
        if row["pool"] not in known:
            raise InputError(f"table {TOKENS.name}, row {number}: pool {row['pool']} is not there")
        tokens[row["pool"]].append(row)
    return [_pool(row, sorted(tokens[row["pool"]], key=lambda token: token["position"])) for row in pools]


def _pool(row: dict[str, Any], tokens: list[dict[str, Any]]) -> BalancerWeightedPool:
    version = row["version"]
    return BalancerWeightedPool(
        row["pool"],
        [token["token"] for token in tokens],
        decimals=[token["decimals"] for token in tokens],
        balances_raw=[token["balance_raw"] for token in tokens],
        weights_wad=[token["weight_wad"] for token in tokens],
        swap_fee_wad=row["swap_fee_wad"],
        exact_powers=version > 1,
        caveat=""
        if version == VERIFIED
        else f"WeightedPool version {version}; the vectors that its rules reproduce are of version {VERIFIED}",
    )
