"""Reads tricrypto-ng pools at a pinned block, from the list that their factory keeps.

The moving average of the price cannot be read as it is stored. It is taken as of the block (``price_oracle``), where it
stands for the same average, but for a unit of its eighteenth decimal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chain.calls import Call, CallFailed, read
from chain.deployments import Deployment
from chain.node import Block, Node, Progress
from protocols.amm.curve_tricrypto.tables import COINS, MAX_DECIMALS, NATIVE, POOLS, PRICES, VERIFIED
from protocols.reading import Reading

_WORDS = {
    "d_wad": "D",
    "virtual_price_wad": "virtual_price",
    "xcp_profit_wad": "xcp_profit",
    "total_supply_raw": "totalSupply",
    "initial_time": "initial_A_gamma_time",
    "future_time": "future_A_gamma_time",
}
_PACKED_A_GAMMA = {"initial": "initial_A_gamma", "future": "future_A_gamma"}
_PACKED_TERMS = {
    "packed_fee_params": ("mid_fee", "out_fee", "fee_gamma_wad"),
    "packed_rebalancing_params": ("allowed_extra_profit_wad", "adjustment_step_wad", "ma_time"),
}
_NUMBERED = {
    "balance{}_raw": ("balances", COINS),
    "price_scale{}_wad": ("price_scale", PRICES),
    "price_oracle{}_wad": ("price_oracle", PRICES),
    "last_price{}_wad": ("last_prices", PRICES),
}


def read_deployment(
    node: Node, block: Block, deployment: Deployment, tokens: Sequence[str], progress: Callable[[str], Progress]
) -> Reading:
    """The pools that hold at least two of some tokens and have liquidity; needs the address ``factory``."""
    factory = deployment.addresses["factory"]
    (count,) = read(node, block, [Call(factory, "pool_count()(uint256)")])
    pools = read(node, block, [Call(factory, "pool_list(uint256)(address)", (n,)) for n in range(count)])
    coins = read(
        node,
        block,
        [Call(factory, "get_coins(address)(address[3])", (pool,)) for pool in pools],
        progress=progress("looking for tricrypto pools"),
    )
    wanted = set(tokens)
    held = {pool: listed for pool, listed in zip(pools, coins, strict=True) if len(wanted.intersection(listed)) > 1}
    rows = _rows(node, block, held)
    return Reading((), {POOLS: [row for row in rows if row["d_wad"] and row["total_supply_raw"]]})


def _rows(node: Node, block: Block, held: dict[str, Sequence[str]]) -> list[dict[str, Any]]:
    def each(name: str, *arguments: int, returns: str = "uint256", require: bool = True) -> list[Any]:
        signature = f"{name}({','.join('uint256' for _ in arguments)})({returns})"
        return read(node, block, [Call(pool, signature, arguments) for pool in held], require=require)

    columns = {column: each(name) for column, name in _WORDS.items()}
    for column, (name, places) in _NUMBERED.items():
        columns |= {column.format(k): each(name, k) for k in places}
    for time, name in _PACKED_A_GAMMA.items():
        packed = each(name)
        columns[f"{time}_a"] = [word >> 128 for word in packed]
        columns[f"{time}_gamma_wad"] = [word % 2**128 for word in packed]
    for name, parts in _PACKED_TERMS.items():
        packed = each(name)
        columns |= {part: [word >> 64 * (2 - n) & 2**64 - 1 for word in packed] for n, part in enumerate(parts)}
    precisions = each("precisions", returns="uint256[3]")
    columns |= {f"decimals{k}": [MAX_DECIMALS + 1 - len(str(row[k])) for row in precisions] for k in COINS}
    later = each("last_timestamp", require=False)  # the earlier contract calls it last_prices_timestamp
    columns["contract"] = [NATIVE if isinstance(answer, CallFailed) else VERIFIED for answer in later]
    names = list(columns)
    return [
        {"pool": pool, "timestamp": block.timestamp, "last_timestamp": block.timestamp}
        | {f"token{k}": listed[k] for k in COINS}
        | dict(zip(names, values, strict=True))
        for (pool, listed), *values in zip(held.items(), *columns.values(), strict=True)
    ]
