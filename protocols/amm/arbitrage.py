"""How much to sell into a pool until nobody would sell more: for pools whose answer has no closed form."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

TOLERANCE = 1e-9
"""How near to the edge of the no-arbitrage band a sale ends, as a share of the price."""

_SHARE_BITS = 20
"""How near to the largest sale that a pool takes, 2 ** -20 of it, the search for it ends."""


def sale_to(excess: Callable[[int], float], guess: int, most: int, step: int) -> int:
    """The sale that brings a falling function of the amount sold to 0.

    Regula falsi with Illinois' halving, and every third step a bisection, since pools bend sharply where they run out
    of a token.

    Parameters
    ----------
    excess
        Logarithm of what a seller gets for one more unit, after so many, over the outside price; minus infinity for
        an amount that the pool refuses.
    guess
        First amount to try.
    most
        Largest amount to try.
    step
        What one unit of the token bought costs: over less than that the excess may stand still, or rise a little.

    Returns
    -------
    int
        An amount after which the excess is 0 to within `TOLERANCE`; where it jumps, one within a step
        past that. The largest that the pool takes, if that is not enough. 0 if the excess is not above 0 to begin with.
    """
    left, above = 0, excess(0)
    if not above > TOLERANCE or most <= 0:
        return 0
    right = min(max(guess, 1), most)
    while (below := excess(right)) > TOLERANCE:
        if right == most:
            return most
        # a little beyond where the line through both ends comes to 0
        beyond = right + int(1.05 * (right - left) * below / (above - below)) + 1 if above > below else 4 * right
        left, above, right = right, below, min(beyond, 4 * right, most)
    slope_below, steps, step = below, 0, max(step, 1)
    while right - left > (step if below > -inf else max(left >> _SHARE_BITS, step)) and below < -TOLERANCE:
        steps += 1
        middle = (left + right) // 2
        if steps % 3 and below > -inf:
            middle = min(max(left + int((right - left) * (above / (above - slope_below))), left + 1), right - 1)
        found = excess(middle)
        if found > TOLERANCE:
            left, above, slope_below = middle, found, slope_below / 2
        else:
            right, below, slope_below, above = middle, found, found, above / 2
    return right if below > -inf else left
