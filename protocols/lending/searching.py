"""Sizes that contracts accept up to a point, or from a point on, found by asking."""

from __future__ import annotations

from collections.abc import Callable


def smallest(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The smallest number from `low` to `high` for which a condition holds that, once it holds, goes on to hold.

    It asks about ever larger numbers first, so that an answer near `low` costs few questions. `high` is not asked
    about: it is the answer where the condition holds for no smaller number.
    """
    stride = 1
    while low + stride <= high:
        probe = low + stride - 1
        if holds(probe):
            high = probe
            break
        low = probe + 1
        stride *= 2
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
