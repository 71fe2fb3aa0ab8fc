"""Ticks and square-root prices of Uniswap v3: TickMath, TickBitmap and Tick.

A square-root price is an integer in Q64.96 in the exact form. In the fast form it is a pair of float64, `high` and
the rest `low`, because amounts are proportional to differences of square-root prices, and two prices inside one tick
can agree in all 53 bits of a float64. Pairs compare as the numbers they stand for. Rules touch them only through
:func:`level`, :func:`gap` and :func:`shifted`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from functools import lru_cache
from itertools import accumulate
from math import floor, inf, log, nextafter
from typing import Any, NamedTuple

import numpy as np

from protocols.arithmetic import Number, primitive, rule

Price = Any
"""A square-root price: an int in Q64.96 in the exact form, a pair of float64 in the fast form."""

MIN_TICK = -887272
MAX_TICK = 887272
MIN_SQRT_PRICE_X96 = 4295128739
MAX_SQRT_PRICE_X96 = 1461446703485210103287273052203988822378723970342

_LOG_SQRT_BASE = log(1.0001) / 2
_LOG_Q96 = 96 * log(2)

Pair = tuple[float, float]


def split(price: int) -> Pair:
    """The fast form of a square-root price: the nearest float64, and the float64 nearest to what is left.

    MAX_SQRT_PRICE_X96 comes out a little higher, for 106 bits do not tell it from the highest price below it.
    """
    high = float(price)
    low = float(price - int(high))
    return high, low if price < MAX_SQRT_PRICE_X96 else nextafter(low, inf)


_MIN_PAIR = split(MIN_SQRT_PRICE_X96)
_MAX_PAIR = split(MAX_SQRT_PRICE_X96)


# --- square-root prices -----------------------------------------------------------------------------------------


@primitive(lambda: _MIN_PAIR)
def min_sqrt_price() -> Price:
    """TickMath.MIN_SQRT_RATIO."""
    return MIN_SQRT_PRICE_X96


@primitive(lambda: _MAX_PAIR)
def max_sqrt_price() -> Price:
    """TickMath.MAX_SQRT_RATIO."""
    return MAX_SQRT_PRICE_X96


@primitive(lambda price: price[0])
def level(price: Price) -> Number:
    """A square-root price as a number."""
    return price


@primitive(lambda lower, upper: (upper[0] - lower[0]) + (upper[1] - lower[1]))
def gap(lower: Price, upper: Price) -> Number:
    """How far `upper` lies above `lower`."""
    return upper - lower


@rule
def _sum(high: float, low: float) -> Pair:
    """Knuth's two-sum: the float64 sum, and what it rounded off."""
    total = high + low
    part = total - high
    return total, (high - (total - part)) + (low - part)


def _shifted(price: Pair, change: float) -> Pair:
    high, rest = _sum(price[0], change)
    return _sum(high, rest + price[1])


@primitive(_shifted)
def shifted(price: Price, change: Number) -> Price:
    """A square-root price moved by `change`, up or down."""
    return price + change


# --- ticks and prices -------------------------------------------------------------------------------------------


def _powers() -> tuple[tuple[int, ...], tuple[tuple[Pair, ...], tuple[Pair, ...]]]:
    """1.0001 ** -(2**i / 2), i = 0 … 19, to the nearest integer in Q128.128, which are the constants of
    getSqrtRatioAtTick; and the same, and their inverses, as pairs."""
    with localcontext() as context:
        context.prec = 80
        roots = [Decimal("1.0001").sqrt() ** (2**i) for i in range(20)]
        pairs = tuple(
            tuple((float(x), float(x - Decimal(float(x)))) for x in side) for side in ([1 / x for x in roots], roots)
        )
        return tuple(int((2**128 / x).to_integral_value()) for x in roots), (pairs[0], pairs[1])


_RATIOS, _PAIRS = _powers()
_FALLING, _RISING = _PAIRS


@lru_cache(maxsize=1 << 16)
def _sqrt_ratio_at_tick(tick: int) -> int:
    ratio = 1 << 128
    for i, power in enumerate(_RATIOS):
        if abs(tick) >> i & 1:
            ratio = ratio * power >> 128
    if tick > 0:
        ratio = ((1 << 256) - 1) // ratio
    return -(-ratio >> 32)


@rule
def _halves(x: float) -> Pair:
    """Dekker's split of 53 bits into 26 and 26."""
    scaled = x * 134217729.0
    high = scaled - (scaled - x)
    return high, x - high


@rule
def _product(a: Pair, b: Pair) -> Pair:
    high = a[0] * b[0]
    (a0, a1), (b0, b1) = _halves(a[0]), _halves(b[0])
    rest = ((a0 * b0 - high) + a0 * b1 + a1 * b0) + a1 * b1
    return _sum(high, rest + (a[0] * b[1] + a[1] * b[0]))


def _fast_sqrt_price_at_tick(tick: int) -> Pair:
    if tick >= MAX_TICK:
        return _MAX_PAIR
    ratio = (2.0**96, 0.0)
    for i in range(20):
        if abs(tick) >> i & 1:
            ratio = _product(ratio, _FALLING[i] if tick < 0 else _RISING[i])
    above = np.ceil(ratio[0])
    return _sum(above, np.ceil(ratio[1])) if above == ratio[0] else (above, 0.0)


@primitive(_fast_sqrt_price_at_tick)
def sqrt_price_at_tick(tick: int) -> Price:
    """1.0001 ** (tick / 2) in Q64.96: TickMath.getSqrtRatioAtTick.

    The fast form multiplies the same powers, as pairs.
    """
    return _sqrt_ratio_at_tick(tick)


@primitive(lambda price: floor((log(price[0]) - _LOG_Q96) / _LOG_SQRT_BASE))
def _tick_by_logarithm(price: Price) -> int:
    return floor((log(price) - _LOG_Q96) / _LOG_SQRT_BASE)


@rule
def tick_at_sqrt_price(price: Price) -> int:
    """The greatest tick whose square-root price is at most `price`: TickMath.getTickAtSqrtRatio."""
    # The logarithm is right to 1e-10 of a tick, so at most one off.
    tick = min(max(_tick_by_logarithm(price), MIN_TICK), MAX_TICK - 1)
    if sqrt_price_at_tick(tick) > price:
        return tick - 1
    if sqrt_price_at_tick(tick + 1) <= price:
        return tick + 1
    return tick


# --- initialised ticks ------------------------------------------------------------------------------------------


class Ticks(NamedTuple):
    """The initialised ticks of a pool in ascending order, n of them.

    Attributes
    ----------
    tick
        Shape (n,).
    sqrt_price_x96
        Square-root price at each tick; shape (n,) of ints in the exact form, (n, 2) in the fast form.
    liquidity
        Shape (n + 1,): liquidity in range when the lowest k ticks are at or below the price, k = 0 … n. The contract
        adds liquidityNet at each crossing; sums made beforehand are the same integers, and in float64 leave
        nothing behind where liquidity ends.
    """

    tick: Sequence[int]
    sqrt_price_x96: Sequence[Price]
    liquidity: Sequence[Number]


def make_ticks(tick: Sequence[int], liquidity_net: Sequence[int]) -> Ticks:
    """Ticks of the exact form, from what a pool's ``ticks`` hold."""
    return Ticks(list(tick), [_sqrt_ratio_at_tick(t) for t in tick], list(accumulate(liquidity_net, initial=0)))


def fast_ticks(ticks: Ticks) -> Ticks:
    """The same ticks for the fast form."""
    prices: Any = np.array([split(p) for p in ticks.sqrt_price_x96], np.float64).reshape(-1, 2)
    tick: Any = np.array(ticks.tick, np.int64)
    liquidity: Any = np.array([float(x) for x in ticks.liquidity], np.float64)
    return Ticks(tick, prices, liquidity)


@primitive(lambda ticks, i: (ticks.sqrt_price_x96[i, 0], ticks.sqrt_price_x96[i, 1]))
def sqrt_price_of(ticks: Ticks, i: int) -> Price:
    """Square-root price of the i-th initialised tick."""
    return ticks.sqrt_price_x96[i]


@rule
def next_tick_below(ticks: Ticks, i: int, tick: int, tick_spacing: int) -> tuple[int, bool]:
    """The tick to which a falling price goes next, and whether it is initialised.

    That is the i-th tick, the nearest at or below `tick`, or the lowest tick of the word of the bitmap if that
    comes first: TickBitmap.nextInitializedTickWithinOneWord, lte. A swap stops at the edge of a word even
    though liquidity does not change there, and that rounds its amounts once more.
    """
    edge = ((tick // tick_spacing) >> 8 << 8) * tick_spacing
    if i >= 0 and ticks.tick[i] >= edge:
        return ticks.tick[i], True
    return max(edge, MIN_TICK), False


@rule
def next_tick_above(ticks: Ticks, i: int, tick: int, tick_spacing: int) -> tuple[int, bool]:
    """The tick to which a rising price goes next, and whether it is initialised.

    That is the i-th tick, the nearest above `tick`, or the highest tick of the word of the bitmap if that comes
    first: TickBitmap.nextInitializedTickWithinOneWord, not lte.
    """
    edge = ((tick // tick_spacing + 1) | 255) * tick_spacing
    if i < len(ticks.tick) and ticks.tick[i] <= edge:
        return ticks.tick[i], True
    return min(edge, MAX_TICK), False


@rule
def skip_empty_words(ticks: Ticks, i: int, tick: int, limit: Price, zero_for_one: bool) -> int:
    """Where the contract gets to, word by word, before the i-th tick or the limit is in sight.

    Without liquidity there is nothing to round at the edge of a word, so the words between, thousands at a spacing
    of 1, need not be visited.
    """
    end = tick_at_sqrt_price(limit)
    if zero_for_one:
        return min(tick, max(end, ticks.tick[i]) if i >= 0 else end)
    return max(tick, min(end, ticks.tick[i] - 1) if i < len(ticks.tick) else end)
