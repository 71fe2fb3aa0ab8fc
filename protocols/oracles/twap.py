"""The average of a Uniswap v3 pool's price over a window (OracleLibrary.consult and getQuoteAtTick of v3-periphery).

Recognised in the form of euler-price-oracle's ``UniswapV3Oracle``; its answer here is one whole token A in token B.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import floor, log
from typing import Any

from chain.calls import Call
from protocols.amm.uniswap_v3.ticks import sqrt_price_at_tick
from protocols.oracles.kind import Answer, Child, Kind, Part, addresses, numbers
from protocols.walking import Ask

_LOG_TICK = log(1.0001)
_EDGE = 1e-6
"""A price so near below the edge of a tick, in ticks, is taken to be on it: logarithms are rounded."""


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


@dataclass
class _Running:
    """Averages the ticks of the spot price. Between two calls the pool stood where the later one finds it; before the
    start, at the mean of then."""

    part: Part
    started: int
    until: int
    stood: deque[tuple[int, int, int]] = field(default_factory=deque)

    def __call__(self, children: Mapping[str, int], now: int) -> int:
        window, upward = self.part.number("window_s"), bool(self.part.number("base_is_token0"))
        if now > self.until:
            moved = log(children["spot"] / self.part.children["spot"].answer_raw) / _LOG_TICK
            tick = self.part.number("spot_tick") + floor((moved if upward else -moved) + _EDGE)
            self.stood.append((self.until, now, tick))
            self.until = now
        opened = now - window
        while self.stood and self.stood[0][1] <= opened:
            self.stood.popleft()
        total = self.part.number("mean_tick") * max(0, self.started - opened)
        total += sum(tick * (end - max(at, opened)) for at, end, tick in self.stood)
        return quote_at_tick(mean_tick(total, window), self.part.number("one_raw"), upward)


def _start(part: Part, started: int) -> Answer:
    return _Running(part, started, started)


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
