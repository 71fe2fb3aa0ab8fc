"""Natural logarithms and exponentials of 18 decimals, as LogExpMath of Balancer v2 and of Pendle computes them.

Both functions take their argument apart: e^s = Π e^(s_n) · e^rest, where the s_n are powers of two, and the rest is
small enough for a Taylor series. Every division of the contract rounds towards zero, and its logarithm is odd in sign,
so what is computed here is the size of the logarithm, and its sign is that of x - 1.
"""

from __future__ import annotations

ONE_18 = 10**18
ONE_36 = 10**36
_ONE_20 = 10**20

_INTEGER_STEPS = (
    (128 * ONE_18, 38877084059945950922200000000000000000000000000000000000),
    (64 * ONE_18, 6235149080811616882910000000),
)
"""(s, e^s): s with 18 decimals, e^s without any, rounded as the contract has it."""

_STEPS = (
    (32 * _ONE_20, 7896296018268069516100000000000000),
    (16 * _ONE_20, 888611052050787263676000000),
    (8 * _ONE_20, 298095798704172827474000),
    (4 * _ONE_20, 5459815003314423907810),
    (2 * _ONE_20, 738905609893065022723),
    (_ONE_20, 271828182845904523536),
    (_ONE_20 // 2, 164872127070012814685),
    (_ONE_20 // 4, 128402541668774148407),
    (_ONE_20 // 8, 113314845306682631683),
    (_ONE_20 // 16, 106449445891785942956),
)
"""(s, e^s), both with 20 decimals. The exponential needs them down to 1/4, the logarithm all."""

_STEPS_OF_EXP = 8
_TERMS_OF_EXP = 12
_TERMS_OF_LOG = 6
_TERMS_OF_LOG_NEAR_ONE = 8

_NEAR_ONE = (9 * 10**17, 11 * 10**17)
LARGEST_EXPONENT = 130 * ONE_18
"""LogExpMath.MAX_NATURAL_EXPONENT."""


def is_near_one(x: int) -> bool:
    """Whether the logarithm of x, 18 decimals, is taken with 36 decimals."""
    return _NEAR_ONE[0] < x < _NEAR_ONE[1]


def exponential(s: int) -> int:
    """e^s for s of 0 up to `LARGEST_EXPONENT`, both with 18 decimals: LogExpMath.exp."""
    unscaled = 1
    for step, grown in _INTEGER_STEPS:
        if s >= step:
            s -= step
            unscaled = grown
            break  # both together are out of bounds
    s *= 100
    product = _ONE_20
    for step, grown in _STEPS[:_STEPS_OF_EXP]:
        if s >= step:
            s -= step
            product = product * grown // _ONE_20
    term = total = _ONE_20
    for n in range(1, _TERMS_OF_EXP + 1):
        term = term * s // _ONE_20 // n
        total += term
    return product * total // _ONE_20 * unscaled // 100


def logarithm_size(x: int) -> int:
    """|ln x| for x above 0, both with 18 decimals: LogExpMath._ln."""
    if x < ONE_18:
        x = ONE_36 // x
    logarithm = 0
    for step, grown in _INTEGER_STEPS:
        if x >= grown * ONE_18:
            x //= grown
            logarithm += step
    logarithm *= 100
    x *= 100
    for step, grown in _STEPS:
        if x >= grown:
            x = x * _ONE_20 // grown
            logarithm += step
    return (logarithm + _log_series(x - _ONE_20, x + _ONE_20, _ONE_20, _TERMS_OF_LOG)) // 100


def logarithm_size_near_one(x: int) -> int:
    """|ln x| with 36 decimals for x near one, 18 decimals: LogExpMath._ln_36."""
    x *= ONE_18
    return _log_series(abs(x - ONE_36), x + ONE_36, ONE_36, _TERMS_OF_LOG_NEAR_ONE)


def _log_series(above: int, below: int, one: int, terms: int) -> int:
    """2 (z + z^3 / 3 + z^5 / 5 + …) for z = above / below, in the decimals of `one`: ln((1 + z) / (1 - z))."""
    z = above * one // below
    square = z * z // one
    total = term = z
    for n in range(3, 2 * terms, 2):
        term = term * square // one
        total += term // n
    return 2 * total
