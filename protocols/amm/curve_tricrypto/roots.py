"""Roots and exponentials of integers, as the math contract of tricrypto-ng takes them (CurveCryptoMathOptimized3).

All but the square root have 18 decimals. The contract's iterations are of fixed length, so that their last digit need
not be that of the true root.
"""

from __future__ import annotations

from math import isqrt

import numpy as np

from protocols.arithmetic import Number, primitive

_ONE = 10**18
_LARGE = 2**256 // 10**36
"""From here x * 1e36 does not fit 256 bits, and from 1e18 times this, x * 1e18 does not."""
_CBRT_STEPS = 7

_LN_2 = 54916777467707473351141471128
"""ln 2 * 2 ** 96, rounded."""
_NEGLIGIBLE = -42139678854452767551
"""e to the power of this or less is 0 with 18 decimals."""
_SCALE = 3822833074963236453042738258902158003155416615667
"""Of the rational approximation below, times 1e18 * 2 ** 117."""


@primitive(lambda x: x**0.5)
def square_root(x: Number) -> Number:
    """Floor of the square root of an integer."""
    return isqrt(x)


@primitive(lambda x: np.cbrt(x * 1e36))
def cube_root(x: Number) -> Number:
    """MathOptimized3._cbrt: seven steps of Newton's method."""
    if x == 0:
        return 0
    shift = 0 if x >= _LARGE * _ONE else 18 if x >= _LARGE else 36
    x *= 10**shift
    power, rest = divmod(x.bit_length() - 1, 3)
    root = 2**power * 1260**rest // 1000**rest
    for _ in range(_CBRT_STEPS):
        root = (2 * root + x // (root * root)) // 3
    return root * 10 ** ((36 - shift) // 3)


@primitive(lambda x: np.exp(x / 1e18) * 1e18)
def exponential(x: Number) -> Number:
    """MathOptimized3.wad_exp for x of 0 or less: e ** x.

    With x = r + k ln 2 for a whole k and |r| of at most ln 2 / 2, e ** x = 2 ** k e ** r, and e ** r is a quotient of
    two polynomials of degrees 6 and 7 in r (Remco Bloemen's), in Q96.
    """
    if x <= _NEGLIGIBLE:
        return 0
    r = -(-(x << 78) // 5**18)  # towards zero, as all of the contract's signed divisions
    k = (-(-(r << 96) // _LN_2) + 2**95) >> 96
    r -= k * _LN_2

    y = ((r + 1346386616545796478920950773328) * r >> 96) + 57155421227552351082224309758442
    above = ((y + r - 94201549194550492254356042504812) * y >> 96) + 28719021644029726153956944680412240
    above = above * r + (4385272521454847904659076985693276 << 96)

    below = r - 2855989394907223263936484059900
    for coefficient in (
        50020603652535783019961831881945,
        -533845033583426703283633433725380,
        3604857256930695427073651918091429,
        -14423608567350463180887372962807573,
        26449188498355588339934803723976023,
    ):
        below = (below * r >> 96) + coefficient
    return above // below * _SCALE >> (195 - k)
