"""x to the power of y in fixed point of 18 decimals, as LogExpMath.pow of Balancer v2 computes it: x^y = e^(y ln x)."""

from __future__ import annotations

from protocols.amm.logarithm import (
    LARGEST_EXPONENT,
    ONE_18,
    ONE_36,
    exponential,
    is_near_one,
    logarithm_size,
    logarithm_size_near_one,
)
from protocols.amm.revert import Revert
from protocols.arithmetic import Number, primitive

_SMALLEST_EXPONENT = 41 * ONE_18
"""Largest negative exponent, without its sign."""
_MILD_EXPONENT = 2**254 // 10**20


@primitive(lambda x, y: (x / 1e18) ** (y / 1e18) * 1e18)
def power(x: Number, y: Number) -> Number:
    """LogExpMath.pow: x to the power of y, all with 18 decimals.

    Raises
    ------
    Revert
        ``BAL#006``, ``BAL#007`` or ``BAL#008`` if x, y or y ln x is out of the contract's bounds.
    """
    if y == 0:
        return ONE_18
    if x == 0:
        return 0
    if x >> 255:
        raise Revert("BAL#006")
    if y >= _MILD_EXPONENT:
        raise Revert("BAL#007")
    if is_near_one(x):
        whole, rest = divmod(logarithm_size_near_one(x), ONE_18)
        exponent = (whole * y + rest * y // ONE_18) // ONE_18
    else:
        exponent = logarithm_size(x) * y // ONE_18
    if exponent > (_SMALLEST_EXPONENT if x < ONE_18 else LARGEST_EXPONENT):
        raise Revert("BAL#008")
    return ONE_36 // exponential(exponent) if x < ONE_18 else exponential(exponent)
