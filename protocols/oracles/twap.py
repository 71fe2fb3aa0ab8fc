"""The average of a Uniswap v3 pool's price over a window (OracleLibrary.consult and getQuoteAtTick of v3-periphery).

Recognised in the form of euler-price-oracle's ``UniswapV3Oracle``; its answer here is one whole token A in token B.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import floor, log
from typing import Any

from chain.calls import Call
from protocols.amm.uniswap_v3.ticks import sqrt_price_at_tick
from protocols.oracles.kind import Answer, Ask, Child, Kind, Part, addresses, numbers

_LOG_TICK = log(1.0001)


def mean_tick(cumulative_change: int, window_s: int) -> int:
    """OracleLibrary.consult: the average tick, rounded down."""
    return cumulative_change // window_s


def quote_at_tick(tick: int, amount_raw: int, base_is_token0: bool) -> int:
    """OracleLibrary.getQuoteAtTick: what an amount of the base token is worth at a tick."""
    root = int(sqrt_price_at_tick(tick))
    if root < 1 << 128:
        square, unit = root * root, 1 << 192
    else:
        square, unit = root * root >> 64, 1 << 128
    return amount_raw * square // unit if base_is_token0 else amount_raw * unit // square


def _start(part: Part, started: int) -> Answer:
    """Averages the ticks of the spot price. Between two calls the pool stood where the later one finds it; before the
    start, at the mean of then."""
    window, one_raw = part.number("window_s"), part.number("one_raw")
    first, spot_tick = part.number("mean_tick"), part.number("spot_tick")
    upward, spot_raw = bool(part.number("base_is_token0")), part.children["spot"].answer_raw
    stood: deque[tuple[int, int, int]] = deque()
    until = started

    def answer(children: Mapping[str, int], now: int) -> int:
        nonlocal until
        if now > until:
            moved = log(children["spot"] / spot_raw) / _LOG_TICK
            stood.append((until, now, spot_tick + floor(moved if upward else -moved)))
            until = now
        opened = now - window
        while stood and stood[0][1] <= opened:
            stood.popleft()
        total = first * max(0, started - opened) + sum(tick * (end - max(at, opened)) for at, end, tick in stood)
        return quote_at_tick(mean_tick(total, window), one_raw, upward)

    return answer


def _pool(_: str, found: Mapping[str, Any]) -> dict[str, Ask]:
    pool = found["pool"]
    return {
        "cumulatives": Call(pool, "observe(uint32[])(int56[],uint160[])", ([int(found["window_s"]), 0],)),
        "slot0": Call(pool, "slot0()(uint160,int24,uint16,uint16,uint16,uint8,bool)"),
        "base_decimals": Call(found["base"], "decimals()(uint8)"),
        "quote_decimals": Call(found["quote"], "decimals()(uint8)"),
    }


def _finish(found: Mapping[str, Any]) -> dict[str, Any]:
    """The mean tick and the one now, and the answer, which the contract gives for any amount."""
    (then, now), _ = found["cumulatives"]
    mean = mean_tick(int(now) - int(then), int(found["window_s"]))
    upward = int(found["base"], 16) < int(found["quote"], 16)
    one = 10 ** int(found["base_decimals"])
    return {
        "window_s": found["window_s"],
        "mean_tick": mean,
        "spot_tick": int(found["slot0"][1]),
        "base_is_token0": int(upward),
        "one_raw": one,
        "answer": quote_at_tick(mean, one, upward),
        "decimals": found["quote_decimals"],
    }


def _children(_: str, found: Mapping[str, Any]) -> dict[str, Child]:
    upward = int(found["base"], 16) < int(found["quote"], 16)
    spot = quote_at_tick(int(found["slot0"][1]), 10 ** int(found["base_decimals"]), upward)
    return {"spot": Child(found["pool"], SPOT.name, {"answer": spot, "decimals": found["quote_decimals"]})}


SPOT = Kind(
    "pool price",
    "what a pool's marginal price is now",
    "whoever trades against the pool moves it, for as long as they can pay for that",
    watching="pool",
)
TWAP = Kind(
    "Uniswap TWAP",
    "the average of a pool's price over a window",
    "late by the window; a thin pool held away from the market for long enough moves it",
    getters=numbers({"window_s": "twapWindow"}, "uint32"),
    sources=addresses({"pool": "pool", "base": "tokenA", "quote": "tokenB"}),
    further=_pool,
    children=_children,
    finish=_finish,
    start=_start,
)
KINDS = (TWAP, SPOT)
