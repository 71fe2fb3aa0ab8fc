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

    Inverse quadratic interpolation, as in Brent's method; and a bisection where three steps have not brought the ends
    four times as near to each other, since pools bend sharply where they run out of a token.

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
    replaced, spans, step = (0, -inf), [inf, inf, inf], max(step, 1)
    while right - left > (step if below > -inf else max(left >> _SHARE_BITS, step)) and below < -TOLERANCE:
        middle = (left + right) // 2
        if below > -inf and 4 * (right - left) <= spans[-3]:
            middle = min(max(int(_crossing((left, above), (right, below), replaced)), left + 1), right - 1)
        spans.append(right - left)
        found = excess(middle)
        if found > TOLERANCE:
            replaced, left, above = (left, above), middle, found
        else:
            replaced, right, below = (right, below), middle, found
    return right if below > -inf else left


def _crossing(left: tuple[int, float], right: tuple[int, float], third: tuple[int, float]) -> float:
    """Where the parabola through three points, amounts over excesses, is at 0; the line through the ends where the
    third is at no other excess, or the parabola leads out from between them."""
    (a, at_a), (b, at_b), (c, at_c) = left, right, third
    if at_c > -inf and at_c not in (at_a, at_b):
        amount = (
            a * (at_b * at_c / ((at_a - at_b) * (at_a - at_c)))
            + b * (at_a * at_c / ((at_b - at_a) * (at_b - at_c)))
            + c * (at_a * at_b / ((at_c - at_a) * (at_c - at_b)))
        )
        if a < amount < b:
            return amount
    return a + (b - a) * (at_a / (at_a - at_b))
