"""Replay of recorded PoolManager.swap calls of Uniswap v4, pools without hooks.

The exact form must give both amounts, the state after with every tick whose fee growth changed, and the error's name,
selector and arguments. The fast form is held to what Uniswap v3's is (:mod:`.uniswap_v3`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from protocols.amm.revert import Revert
from protocols.amm.uniswap_v3.rules import Swap
from protocols.amm.uniswap_v4 import rules
from protocols.amm.uniswap_v4.pool import UniswapV4Pool
from tests.vectors.outcome import Document, Outcome
from tests.vectors.uniswap_v3 import check_fast, difference

ARGUMENTS = {
    "PriceLimitAlreadyExceeded": ("sqrtPriceX96", "sqrtPriceLimitX96"),
    "PriceLimitOutOfBounds": ("sqrtPriceLimitX96",),
}
"""What errors carry, all of it uint160."""


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    return (_check_case(case) for case in document["cases"])


def pool_of(before: dict[str, Any]) -> UniswapV4Pool:
    """The pool as recorded."""
    ticks = {name: [int(t[name]) for t in before["ticks"]] for name in before["ticks"][0]}
    return UniswapV4Pool(
        "recorded",
        ("token0", "token1"),
        lp_fee_pips=int(before["lpFee"]),
        tick_spacing=int(before["tickSpacing"]),
        sqrt_price_x96=int(before["sqrtPriceX96"]),
        tick=int(before["tick"]),
        liquidity=int(before["liquidity"]),
        ticks=ticks["tick"],
        liquidity_net=ticks["liquidityNet"],
        protocol_fee=int(before["protocolFee"]),
        fee_growth_global_x128=(int(before["feeGrowthGlobal0X128"]), int(before["feeGrowthGlobal1X128"])),
        protocol_fees_raw=(int(before["protocolFeesAccrued0"]), int(before["protocolFeesAccrued1"])),
        fee_growth_outside_x128=(ticks["feeGrowthOutside0X128"], ticks["feeGrowthOutside1X128"]),
    )


def _check_case(case: dict[str, Any]) -> Outcome:
    before, call = case["before"], case["call"]
    pool, unchanged = pool_of(before), pool_of(before)
    specified = bool(call["zeroForOne"]), int(call["amountSpecified"]), int(call["sqrtPriceLimitX96"])
    try:
        swapped, reason = pool.swap_specified(*specified), ""
    except Revert as revert:
        swapped, reason = None, str(revert)
    found = _error(reason, before | call) if swapped is None else _result(before, pool, specified[0], swapped)
    if found != case["result"]:
        return Outcome(case["id"], difference(found, case["result"]))
    return Outcome(case["id"], "", *check_fast(rules.swap, unchanged, pool, specified, swapped, reason))


def _error(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    values = [int(facts[argument]) for argument in ARGUMENTS.get(name, ())]
    types = ["uint160"] * len(values)
    data = keccak(text=f"{name}({','.join(types)})")[:4] + encode(types, values)
    return {"reverted": True, "selector": f"0x{data[:4].hex()}", "error": name, "data": f"0x{data.hex()}"}


def _result(before: dict[str, Any], pool: UniswapV4Pool, zero_for_one: bool, swapped: Swap) -> dict[str, Any]:
    """The result in the form of the file."""
    growth, fees = pool.fee_growth_global_x128, pool.protocol_fees_raw
    changed = [
        tick | {"feeGrowthOutside0X128": str(growth0), "feeGrowthOutside1X128": str(growth1)}
        for tick, growth0, growth1 in zip(before["ticks"], *pool.outside, strict=True)
        if (str(growth0), str(growth1)) != (tick["feeGrowthOutside0X128"], tick["feeGrowthOutside1X128"])
    ]
    amounts = (-swapped.paid, swapped.received)
    amount0, amount1 = amounts if zero_for_one else amounts[::-1]
    after = pool.state() | {
        "feeGrowthGlobal0X128": growth[0],
        "feeGrowthGlobal1X128": growth[1],
        "protocolFeesAccrued0": fees[0],
        "protocolFeesAccrued1": fees[1],
    }
    return {
        "reverted": False,
        "amount0": str(amount0),
        "amount1": str(amount1),
        "after": {name: str(value) for name, value in after.items()} | {"ticks_changed": changed},
    }
