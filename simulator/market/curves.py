"""What a pool pays for more and more of a token.

Call d = 1 / sqrt(what the next unit brings) the *dearness* of a sale that has come so far. Where x y = k it is a
straight line in the amount paid in, and so it is inside each range of Uniswap v3. Here every direction of a pool is a
polyline of d: exact for those, and for others as near as `NEAR`, since they are asked about more amounts where the line
bends more. Between two points u apart, at dearness d and d', u brings u / (d d'), the integral of 1 / d ** 2.

What the next unit brings must never grow, or dividing a sale would have no single best answer. Where it does (a fee
that falls as balances draw level), the polyline is that of the least function above the pool's for which it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import cast

import numpy as np

from protocols.amm.interface import FloatArray, Ranged, Venue

NEAR = 1e-4
"""Share by which the dearness of a pool that was asked may be off between two points; what a division loses by it goes
with its square."""
UNMOVED = 1e-3
"""Share by which the dearness may differ from the first unit's at the least amount that is asked about."""
VISIBLE = 200_000
"""Smallest units that a price is measured over at least, where a pool pays so much: roundings are to whole units."""
SPARE = 1e-6
"""Share of the most that a pool takes that is not sold to it."""

_NEGLIGIBLE = 1e-5  # share of all that a pool pays, which is not worth asking about
_HALVINGS = 14
_STEEPER = 1e-9
_ROUNDED = 1e-9  # of what a pool pays, by float64 and to whole units
_BEYOND = 1e6  # times what could be sold at most


@dataclass(frozen=True, slots=True)
class Curve:
    """One direction of a pool.

    Attributes
    ----------
    paid
        Shape (points,): amounts paid in, from 0 to nearly the most that the pool takes, smallest units. One that stands
        twice is where the price jumps.
    dearness
        Shape (points,): 1 / sqrt(what the next unit brings), growing.
    received
        Shape (points,): what the amounts bring.
    slack
        Share by which the pool may pay more.
    """

    paid: FloatArray
    dearness: FloatArray
    received: FloatArray
    slack: float

    @property
    def rate(self) -> float:
        """What the first unit brings, and no unit more; 0 where nothing can be sold."""
        return float(self.dearness[0] ** -2.0) if self.paid[-1] > 0.0 else 0.0


def curve(venue: Venue, sold: int, bought: int, most: int) -> Curve:
    """The curve of a pool at its present state.

    Parameters
    ----------
    venue, sold, bought
        The pool, and which of its tokens go in and come out.
    most
        What could be sold, smallest units. A pool that has to be asked is asked no further; from there on its line is
        straight.
    """
    if is_ranged(type(venue)):
        paid, dearness = cast(Ranged, venue).ranges(sold, bought)
        slack = _ROUNDED
    else:
        paid, dearness = _asked(venue, sold, bought, most)
        slack = 2.0 * NEAR
    # roundings to whole units are not to push a sale over the end
    end = paid[-1] * (1.0 - SPARE)
    inside = slice(int(np.searchsorted(paid, 0.0, side="right")) - 1, int(np.searchsorted(paid, end)))
    dearness = np.append(dearness[inside], np.interp(end, paid, dearness))
    paid = np.append(paid[inside], end)
    return Curve(paid, dearness, _brought(paid, dearness), slack)


@cache
def is_ranged(kind: type[Venue]) -> bool:
    """Whether pools of a kind say what they pay, and need not be asked."""
    return issubclass(kind, Ranged)


def _brought(paid: FloatArray, dearness: FloatArray) -> FloatArray:
    return np.concatenate(([0.0], np.cumsum(np.diff(paid) / (dearness[1:] * dearness[:-1]))))


def _asked(venue: Venue, sold: int, bought: int, most: int) -> tuple[FloatArray, FloatArray]:
    """Amounts and dearness of a pool as its quotes show them."""
    taken = _largest_taken(venue, sold, bought, most)
    first = venue.price(sold, bought) * (1.0 - venue.fee(sold, bought))
    if taken == 0 or first <= 0.0:
        return np.zeros(1), np.ones(1)
    points: dict[float, float] = {0.0: first**-0.5}
    least = max(10.0 * VISIBLE, _NEGLIGIBLE * venue.quote(sold, bought, taken).received_raw)

    def ask(paid: float, nearby: float) -> float:
        step = int(min(max(paid / 256.0, VISIBLE * nearby**2), paid / 2.0)) + 1
        low, high = int(paid) - step // 2, min(int(paid) + step // 2 + 1, taken)
        before, after = (venue.quote(sold, bought, amount).received_raw for amount in (low, high))
        points[paid] = ((high - low) / (after - before)) ** 0.5 if after > before else np.inf
        return points[paid]

    def refine(low: float, high: float, halvings: int) -> None:
        dear = points[high] if points[high] < np.inf else points[low]
        if halvings == 0 or (high - low) / (points[low] * dear) < least:
            return
        middle, line = (low + high) / 2.0, (points[low] + points[high]) / 2.0
        off = abs(ask(middle, points[low]) - line)
        if line == np.inf or off > NEAR * line:
            refine(low, middle, halvings - 1)
            refine(middle, high, halvings - 1)

    paid = 0.99 * taken
    while abs(ask(paid, points[0.0]) / points[0.0] - 1.0) > UNMOVED and paid * first > VISIBLE:
        paid /= 4.0
    for low, high in pairwise(sorted(points)):
        refine(low, high, _HALVINGS)
    return _extended(*_growing(points), float(taken if taken < most else _BEYOND * most))


def _largest_taken(venue: Venue, sold: int, bought: int, most: int) -> int:
    """The largest amount up to `most` that a pool takes whole, but for a millionth."""
    low, high = 0, most
    paid = venue.quote(sold, bought, most).paid_raw
    while not paid and high - low > 1 + high // 1_000_000:
        middle = (low + high) // 2
        low, high = (middle, high) if venue.quote(sold, bought, middle).paid_raw else (low, middle)
    return paid or low


def _growing(points: dict[float, float]) -> tuple[FloatArray, FloatArray]:
    """Amounts and dearness of the least concave function above what some dearness brings."""
    paid = np.array(sorted(x for x, d in points.items() if d < np.inf))
    dearness = np.array([points[x] for x in paid])
    if (np.diff(dearness) < 0.0).any():
        brought, hull = _brought(paid, dearness), [0]
        for k in range(1, len(paid)):
            while len(hull) > 1 and _bends_up(paid, brought, hull[-2], hull[-1], k):
                hull.pop()
            hull.append(k)
        paid, dearness = paid[hull], dearness[hull]
        chords = (np.diff(paid) / np.diff(brought[hull])) ** 0.5
        dearness = np.clip(dearness, np.append(0.0, chords), np.append(chords, np.inf))
    # along a line that is quite level, no price would say how much is sold
    return paid, np.maximum.accumulate(dearness) * (1.0 + _STEEPER * np.arange(len(paid)))


def _bends_up(x: FloatArray, y: FloatArray, i: int, j: int, k: int) -> bool:
    return bool((y[j] - y[i]) * (x[k] - x[i]) <= (y[k] - y[i]) * (x[j] - x[i]))


def _extended(paid: FloatArray, dearness: FloatArray, end: float) -> tuple[FloatArray, FloatArray]:
    """A polyline with its last piece going on to an amount."""
    rise = (dearness[-1] - dearness[-2]) / (paid[-1] - paid[-2]) if len(paid) > 1 else _STEEPER * dearness[0] / end
    return np.append(paid, end), np.append(dearness, dearness[-1] + rise * (end - paid[-1]))
