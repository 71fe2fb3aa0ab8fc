"""Replay of recorded UniswapV3Pool.swap calls.

The exact form must give the amounts, the state after with every tick crossed, and the revert reason. The fast form has
both amounts, the protocol's fee, the square-root price, the tick, the liquidity, the number of ticks crossed and the
reason; fee growth is a counter modulo 2**256 and has no fast form. The balance that an amount is taken from, or paid
into, is the worth in that token of all liquidity, before the swap or after it, whichever is larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from protocols.amm.concentrated import ConcentratedPool
from protocols.amm.revert import Revert
from protocols.amm.uniswap_v3 import rules
from protocols.amm.uniswap_v3.pool import UniswapV3Pool
from protocols.amm.uniswap_v3.ticks import MAX_SQRT_PRICE_X96, MIN_SQRT_PRICE_X96, fast_ticks, split
from protocols.compiled import fast
from tests.vectors.outcome import RELATIVE_TOLERANCE, UNIT_TOLERANCE, Document, Outcome, relative_error
from tests.vectors.watched import Watched, smallest_margin


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    return (_check_case(case) for case in document["cases"])


def pool_of(before: dict[str, Any]) -> UniswapV3Pool:
    """The pool as recorded."""
    ticks = {name: [int(t[name]) for t in before["ticks"]] for name in before["ticks"][0]}
    return UniswapV3Pool(
        "recorded",
        ("token0", "token1"),
        fee_pips=int(before["fee"]),
        tick_spacing=int(before["tickSpacing"]),
        sqrt_price_x96=int(before["sqrtPriceX96"]),
        tick=int(before["tick"]),
        liquidity=int(before["liquidity"]),
        ticks=ticks["tick"],
        liquidity_net=ticks["liquidityNet"],
        fee_protocol=int(before["feeProtocol"]),
        fee_growth_global_x128=(int(before["feeGrowthGlobal0X128"]), int(before["feeGrowthGlobal1X128"])),
        protocol_fees_raw=(int(before["protocolFees0"]), int(before["protocolFees1"])),
        fee_growth_outside_x128=(ticks["feeGrowthOutside0X128"], ticks["feeGrowthOutside1X128"]),
    )


def _check_case(case: dict[str, Any]) -> Outcome:
    before, call = case["before"], case["call"]
    pool = pool_of(before)
    unchanged = pool_of(before)
    zero_for_one = bool(call["zeroForOne"])
    amount, limit = int(call["amountSpecified"]), int(call["sqrtPriceLimitX96"])
    try:
        swapped, reason = pool.swap_specified(zero_for_one, amount, limit), ""
    except Revert as revert:
        swapped, reason = None, str(revert)
    found = _result(before, pool, zero_for_one, swapped, reason)
    if found != case["result"]:
        return Outcome(case["id"], difference(found, case["result"]))
    return Outcome(
        case["id"], "", *check_fast(rules.swap, unchanged, pool, (zero_for_one, amount, limit), swapped, reason)
    )


def _result(
    before: dict[str, Any], pool: UniswapV3Pool, zero_for_one: bool, swapped: rules.Swap | None, reason: str
) -> dict[str, Any]:
    """The result in the form of the file; the selector is that of Error(string)."""
    if swapped is None:
        return {"reverted": True, "selector": "0x08c379a0", "error": reason}
    growth, fees = pool.fee_growth_global_x128, pool.protocol_fees_raw
    outside0, outside1 = pool.outside
    changed = [
        tick | {"feeGrowthOutside0X128": str(g0), "feeGrowthOutside1X128": str(g1)}
        for tick, g0, g1 in zip(before["ticks"], outside0, outside1, strict=True)
        if (str(g0), str(g1)) != (tick["feeGrowthOutside0X128"], tick["feeGrowthOutside1X128"])
    ]
    amounts = (swapped.paid, -swapped.received)
    amount0, amount1 = amounts if zero_for_one else amounts[::-1]
    after = pool.state() | {
        "feeGrowthGlobal0X128": growth[0],
        "feeGrowthGlobal1X128": growth[1],
        "protocolFees0": fees[0],
        "protocolFees1": fees[1],
    }
    return {
        "reverted": False,
        "amount0": str(amount0),
        "amount1": str(amount1),
        "ticks_crossed": str(len(changed)),
        "after": {name: str(value) for name, value in after.items()} | {"ticks_changed": changed},
    }


def difference(found: dict[str, Any], recorded: dict[str, Any]) -> str:
    """The first field that is not as recorded, in words."""
    for name in sorted(found.keys() | recorded.keys()):
        one, other = found.get(name), recorded.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            one, other = ({k: d[k] for k in d if found[name].get(k) != recorded[name].get(k)} for d in (one, other))
        if one != other:
            return f"{name} is {one}, recorded {other}"
    return ""


def check_fast(
    rule: Callable[..., rules.Swap],
    pool: Any,
    after: Any,
    call: tuple[bool, int, int],
    swapped: rules.Swap | None,
    reason: str,
) -> tuple[float, float | None]:
    """Error of the fast form, and how near the exact one is to a branch point if the fast one went another way.

    Parameters
    ----------
    rule
        The swap, of v3 or of v4.
    pool, after
        A ConcentratedPool before the swap and after it.
    call
        Direction, amountSpecified and sqrtPriceLimitX96.
    swapped, reason
        What the exact form gave.
    """
    zero_for_one, amount, limit = call
    slot = pool.slot
    state = rules.State(split(slot.sqrt_price_x96), slot.tick, slot.ticks_below, 0.0, 0.0)
    arguments = (pool.terms, state, fast_ticks(pool.ticks), None, zero_for_one, float(amount), split(limit))
    try:
        fast_swapped, fast_reason = fast(rule)(*arguments), ""
    except Revert as revert:
        fast_swapped, fast_reason = None, str(revert)

    branch = (fast_reason, fast_swapped and (fast_swapped.state.tick, fast_swapped.state.ticks_below))
    if branch != (reason, swapped and (swapped.state.tick, swapped.state.ticks_below)):
        return 0.0, _margin(rule, pool, call)
    if swapped is None or fast_swapped is None:
        return 0.0, None
    held = [max(pair) for pair in zip(pool.reserves_raw(), after.reserves_raw(), strict=True)]
    held_in, held_out = held if zero_for_one else held[::-1]
    high, low = fast_swapped.state.sqrt_price_x96
    error = max(
        relative_error(fast_swapped.paid, swapped.paid, held_in),
        relative_error(fast_swapped.received, swapped.received, held_out),
        relative_error(fast_swapped.protocol_fee, swapped.protocol_fee, held_in),
        relative_error(high + low, swapped.state.sqrt_price_x96),
    )
    if error > RELATIVE_TOLERANCE and _is_a_rounding(fast_swapped, swapped, pool, after, 0 if zero_for_one else 1):
        return error, _margin(rule, pool, call)
    return error, None


def _is_a_rounding(
    found: rules.Swap, exact: rules.Swap, pool: ConcentratedPool, after: ConcentratedPool, token_in: int
) -> bool:
    """Whether the amounts differ by no more than two units of one token and what they are worth in the other.

    After a swap that ended within a range, what is left of that range is a whole number of units but for 1e-16 or
    less, and the fast form cannot see on which side of it.
    """
    other = 1 - token_in
    worth = [max(p.price(a, b) for p in (pool, after)) for a, b in ((token_in, other), (other, token_in))]
    received, paid = abs(found.received - exact.received), abs(found.paid - exact.paid)
    return bool(received <= UNIT_TOLERANCE * max(1, worth[0]) and paid <= UNIT_TOLERANCE * max(1, worth[1]))


def _margin(rule: Callable[..., rules.Swap], pool: Any, call: tuple[bool, int, int]) -> float:
    zero_for_one, amount, limit = call
    # A limit one unit within the bounds stands for no limit: how near it is to them says nothing.
    unlimited = limit in (MIN_SQRT_PRICE_X96 + 1, MAX_SQRT_PRICE_X96 - 1)
    watched = (Watched(amount), limit if unlimited else Watched(limit))
    ticks = pool.ticks._replace(liquidity=[Watched(x) for x in pool.ticks.liquidity])
    return smallest_margin(lambda: rule(pool.terms, pool.slot, ticks, None, zero_for_one, *watched), roundings=True)
