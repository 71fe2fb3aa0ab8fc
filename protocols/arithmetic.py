"""One formula, two number systems.

Rules are plain Python functions over these primitives. Called with integers they round as the contracts do;
compiled with :func:`protocols.compiled.fast` the same source computes in float64, where a primitive is the real-valued
formula without its rounding. Constants that do not fit 64 bits are primitives too, because compiled code has no big
integers.

Sources: WadRayMath, PercentageMath and Math.mulDiv of aave-v3-origin; FullMath of Uniswap v3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

Number = Any
"""An int in the exact form, a float64 in the fast form; balances, prices, indices and rates are Numbers."""

F = TypeVar("F", bound=Callable[..., Any])

FLOAT_FORMS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""What compiled code runs in place of each function: another formula for a primitive, itself for a rule."""


def primitive(float_form: Callable[..., Any]) -> Callable[[F], F]:
    """Give an integer function the float form that compiled code uses in its place."""

    def register(exact: F) -> F:
        FLOAT_FORMS[exact] = float_form
        return exact

    return register


def rule(function: F) -> F:
    """Mark a function of numbers that compiled code may call, or start from, as it stands."""
    FLOAT_FORMS[function] = function
    return function


COMPILED_AS: dict[Callable[..., Any], dict[str, bool]] = {}
"""Options of numba for some rules."""


def inner(function: F) -> F:
    """Mark a rule that makes no array and no list, nor does any that it calls.

    Compiled, they count no references to the arrays that they are given, which costs more than most of what they do.
    """
    COMPILED_AS[function] = {"_nrt": False}
    return rule(function)


def inlined(function: F) -> F:
    """Mark a rule that becomes part of what calls it, because handing it all that it is given, array by array, costs
    more than what it does."""
    COMPILED_AS[function] = {"forceinline": True}
    return rule(function)


# --- roundings ------------------------------------------------------------------------------------------------


@primitive(lambda a, b, c: a * b / c)
def mul_div_down(a: Number, b: Number, c: Number) -> Number:
    """Floor of a * b / c."""
    return a * b // c


@primitive(lambda a, b, c: a * b / c)
def mul_div_up(a: Number, b: Number, c: Number) -> Number:
    """Ceiling of a * b / c."""
    return -(-a * b // c)


@primitive(lambda a, b, c: a * b / c)
def mul_div_half_up(a: Number, b: Number, c: Number) -> Number:
    """a * b / c to the nearest integer, a half going up: floor((a * b + floor(c / 2)) / c)."""
    return (a * b + c // 2) // c


@primitive(lambda a, b: a / b)
def div_down(a: Number, b: Number) -> Number:
    """Floor of a / b."""
    return a // b


@primitive(lambda a, b: a / b)
def div_up(a: Number, b: Number) -> Number:
    """Ceiling of a / b."""
    return -(-a // b)


# --- wad, ray and basis points ----------------------------------------------------------------------------------


@primitive(lambda: 1e27)
def ray() -> Number:
    """One in ray, 1e27."""
    return 10**27


@primitive(lambda a, b: a * b / 1e27)
def ray_mul(a: Number, b: Number) -> Number:
    """WadRayMath.rayMul: half up."""
    return (a * b + 5 * 10**26) // 10**27


@primitive(lambda a, b: a * b / 1e27)
def ray_mul_down(a: Number, b: Number) -> Number:
    """WadRayMath.rayMulFloor."""
    return a * b // 10**27


@primitive(lambda a, b: a * b / 1e27)
def ray_mul_up(a: Number, b: Number) -> Number:
    """WadRayMath.rayMulCeil."""
    return -(-a * b // 10**27)


@primitive(lambda a, b: a * 1e27 / b)
def ray_div(a: Number, b: Number) -> Number:
    """WadRayMath.rayDiv: half up."""
    return (a * 10**27 + b // 2) // b


@primitive(lambda a, b: a * 1e27 / b)
def ray_div_down(a: Number, b: Number) -> Number:
    """WadRayMath.rayDivFloor."""
    return a * 10**27 // b


@primitive(lambda a, b: a * 1e27 / b)
def ray_div_up(a: Number, b: Number) -> Number:
    """WadRayMath.rayDivCeil."""
    return -(-a * 10**27 // b)


@primitive(lambda a, b: a * 1e18 / b)
def wad_div(a: Number, b: Number) -> Number:
    """WadRayMath.wadDiv: half up."""
    return (a * 10**18 + b // 2) // b


@primitive(lambda a, p: a * p / 1e4)
def percent_mul(a: Number, p: Number) -> Number:
    """PercentageMath.percentMul: a times p basis points, half up."""
    return (a * p + 5000) // 10_000


@primitive(lambda a, p: a * p / 1e4)
def percent_mul_down(a: Number, p: Number) -> Number:
    """PercentageMath.percentMulFloor."""
    return a * p // 10_000


@primitive(lambda a, p: a * p / 1e4)
def percent_mul_up(a: Number, p: Number) -> Number:
    """PercentageMath.percentMulCeil."""
    return -(-a * p // 10_000)


@primitive(lambda a, p: a * 1e4 / p)
def percent_div(a: Number, p: Number) -> Number:
    """PercentageMath.percentDiv: a over p basis points, half up."""
    return (a * 10_000 + p // 2) // p


@primitive(lambda a, p: a * 1e4 / p)
def percent_div_down(a: Number, p: Number) -> Number:
    """PercentageMath.percentDivFloor (no rounding but the division's)."""
    return a * 10_000 // p


@primitive(lambda a, p: a * 1e4 / p)
def percent_div_up(a: Number, p: Number) -> Number:
    """PercentageMath.percentDivCeil."""
    return -(-a * 10_000 // p)


@primitive(lambda: float("inf"))
def max_uint256() -> Number:
    """type(uint256).max, which contracts use for "everything" and for the health factor without debt."""
    return 2**256 - 1


# --- fixed point of Uniswap ---------------------------------------------------------------------------------------


@primitive(lambda: 2.0**96)
def q96() -> Number:
    """FixedPoint96.Q96: one in Q64.96, the form of square-root prices."""
    return 1 << 96


@primitive(lambda: 2.0**128)
def q128() -> Number:
    """FixedPoint128.Q128: one in Q128.128, the form of fee growth."""
    return 1 << 128


@primitive(lambda x: x)
def wrap_uint256(x: Number) -> Number:
    """The sum or difference as unchecked uint256 arithmetic leaves it; the fast form does not wrap."""
    return x & ((1 << 256) - 1)


@primitive(lambda: 2.0**112)
def max_uint112() -> Number:
    """type(uint112).max, the largest reserve of a Uniswap v2 pair."""
    return (1 << 112) - 1


@primitive(lambda: 2.0**127)
def max_int128() -> Number:
    """type(int128).max, the most that a swap of Uniswap v4 may give."""
    return (1 << 127) - 1


# --- roundings that the fast form keeps ---------------------------------------------------------------------------
#
# A primitive's float form does not round. Where a rule goes on to compare the result, or the result is only a few
# units, that is too far from the contract: an amount of 0 is refused, one of 0.98 is not. These round in the fast
# form what the exact form has rounded already. A result within a few ulps of an integer, or of a half, is taken to be
# on it.


@primitive(lambda x: np.floor(x + min(x * 1e-15, 0.125)))
def floored(x: Number) -> Number:
    """A result rounded down, which the fast form rounds down too."""
    return x


@primitive(lambda x: np.ceil(x - min(x * 1e-15, 0.125)))
def ceiled(x: Number) -> Number:
    """A result rounded up, which the fast form rounds up too."""
    return x


@primitive(lambda x: np.rint(x + min(x * 1e-15, 0.125)))
def rounded(x: Number) -> Number:
    """A result rounded to the nearest, which the fast form rounds too."""
    return x


@primitive(lambda: 0.0)
def zero() -> Number:
    """Nothing, as a Number: compiled code tells the integer 0 from the amount 0."""
    return 0
