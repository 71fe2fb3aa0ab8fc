"""The invariant of tricrypto-ng (CurveCryptoMathOptimized3): of balances that are worth the same at the price scale.

K D^2 Σx + Πx = K D^3 + (D / 3)^3 with K = A K0 gamma^2 / (gamma + 1 - K0)^2 and K0 = 27 Πx / D^3. D is what the
balances would add up to if they were equal. A counts 10,000 times, gamma, K0 and balances have 18 decimals.

The contract finds a balance from a cubic equation and falls back to Newton's method. The equation's terms cancel to
about 1e-10 of themselves, which float64 cannot hold: the fast form always takes Newton's method.
"""

from __future__ import annotations

from math import isqrt

from protocols.amm.curve_tricrypto.roots import cube_root
from protocols.amm.revert import Revert
from protocols.arithmetic import Number, div_down, max_uint256, mul_div_down, primitive, rule

ONE = 10**18
A_MULTIPLIER = 10_000
MIN_A, MAX_A = 27 * A_MULTIPLIER // 100, 27 * A_MULTIPLIER * 1000
MIN_GAMMA, MAX_GAMMA = 10**10, 5 * 10**16
MIN_D = 10**17

Three = tuple[Number, Number, Number]
Two = tuple[Number, Number]

_STEPS = 255
_LEAST_SHARE = 10**16
"""A balance must be at least 1 % of D, and at most 100 times D."""


@primitive(lambda n: 10.0**n)
def ten_to(n: int) -> Number:
    """10 ** n, for what does not fit 64 bits."""
    return 10**n


@rule
def sorted_down(x: Three) -> Three:
    """Three numbers, the largest first."""
    middle = max(min(x[0], x[1]), min(max(x[0], x[1]), x[2]))
    return max(x[0], x[1], x[2]), middle, min(x[0], x[1], x[2])


@rule
def geometric_mean(x: Three) -> Number:
    """MathOptimized3._geometric_mean."""
    return cube_root(mul_div_down(mul_div_down(x[0], x[1], ONE), x[2], ONE))


@rule
def distance(k0: Number, gamma: Number) -> Number:
    """|gamma + 1 - K0|, and one unit more, so that it is never 0."""
    return abs(gamma + ONE - k0) + 1


@rule
def slope_term(d: Number, ann: Number, gamma: Number, g1k0: Number) -> Number:
    """D (gamma + 1 - K0)^2 / (A gamma^2), what the contract calls mul1; with 36 decimals."""
    return div_down(mul_div_down(mul_div_down(ONE, d, gamma), g1k0, gamma) * g1k0 * A_MULTIPLIER, ann)


@rule
def has_share(balance: Number, d: Number, least: Number) -> bool:
    """Whether a balance is at least a share of D, 18 decimals, and at most 100 times D."""
    share = mul_div_down(balance, ONE, d)
    return bool(least <= share <= ten_to(20))


# --- D from balances ----------------------------------------------------------------------------------------------


@rule
def newton_d(ann: Number, gamma: Number, balances: Three, k0_prev: Number) -> Number:
    """MathOptimized3.newton_D: D of three balances.

    Parameters
    ----------
    k0_prev
        K0 from just before, for a better first guess; 0 if unknown.

    Raises
    ------
    Revert
        Where the contract does.
    """
    x = sorted_down(balances)
    if x[0] <= 0 or x[0] >= div_down(max_uint256(), ONE) * 27:
        raise Revert("")
    total = x[0] + x[1] + x[2]
    d = _first_d(x, total, k0_prev)
    for _ in range(_STEPS):
        before = d
        k0 = mul_div_down(mul_div_down(mul_div_down(ONE * x[0], 3, d) * x[1], 3, d) * x[2], 3, d)
        g1k0 = distance(k0, gamma)
        mul1 = slope_term(d, ann, gamma, g1k0)
        mul2 = div_down(2 * ONE * 3 * k0, g1k0)
        slope = (total + mul_div_down(total, mul2, ONE)) + mul_div_down(mul1, 3, k0) - mul_div_down(mul2, d, ONE)
        plus = mul_div_down(d, slope + total, slope)
        minus = mul_div_down(d, d, slope)
        correction = mul_div_down(div_down(d * div_down(mul1, slope), ONE), abs(ONE - k0), k0)
        if k0 < ONE:
            minus += correction
        else:
            minus -= correction
        d = plus - minus if plus > minus else div_down(minus - plus, 2)
        if abs(d - before) * 10**14 < max(d, 10**16):
            for balance in x:
                if not has_share(balance, d, _LEAST_SHARE - 1):
                    raise Revert("Unsafe values x[i]")
            return d
    raise Revert("Did not converge")


@rule
def _first_d(x: Three, total: Number, k0_prev: Number) -> Number:
    """Three times the geometric mean, or (27 Πx / K0)^(1/3)."""
    if k0_prev == 0:
        return 3 * geometric_mean(x)
    if total > ten_to(36):
        return cube_root(div_down(mul_div_down(x[0], x[1], ten_to(36)) * x[2], k0_prev) * 27 * 10**12)
    if total > ten_to(24):
        return cube_root(div_down(mul_div_down(x[0], x[1], ten_to(24)) * x[2], k0_prev) * 27 * 10**6)
    return cube_root(div_down(mul_div_down(x[0], x[1], ONE) * x[2], k0_prev) * 27)


# --- a balance from D ---------------------------------------------------------------------------------------------


@rule
def others(x: Three, i: int) -> Two:
    """The two balances that are not the i-th, in their order."""
    return x[1] if i == 0 else x[0], x[1] if i == 2 else x[2]


@rule
def get_y(ann: Number, gamma: Number, x: Three, d: Number, i: int) -> Two:
    """MathOptimized3.get_y: the i-th balance, given the others and D.

    Returns
    -------
    The balance, and K0 there; K0 is 0 where the contract leaves it out.

    Raises
    ------
    Revert
        Where the contract does. The reason is empty if a parameter or D is out of its bounds.
    """
    if not (MIN_A <= ann <= MAX_A and MIN_GAMMA <= gamma <= MAX_GAMMA and MIN_D <= d <= ten_to(33)):
        raise Revert("")
    for balance in others(x, i):
        if balance * ONE > max_uint256():
            raise Revert("")
        if not has_share(balance, d, _LEAST_SHARE):
            raise Revert("Unsafe values x[i]")
    y, k0 = solve(ann, gamma, x, d, i)
    if not has_share(y, d, _LEAST_SHARE - 1):
        raise Revert("Unsafe value for y")
    return y, k0


@rule
def newton_y(ann: Number, gamma: Number, x: Three, d: Number, i: int) -> Number:
    """MathOptimized3._newton_y: Newton's method for :func:`get_y`, which has checked the arguments."""
    one, other = others(x, i)
    large, small = max(one, other), min(one, other)
    tolerance = max(div_down(large, 10**14), div_down(d, 10**14), 100)
    y = mul_div_down(mul_div_down(div_down(d, 3), d, small * 3), d, large * 3)
    k0_others = mul_div_down(mul_div_down(ONE, large * 3, d), small * 3, d)
    for _ in range(_STEPS):
        before = y
        k0 = mul_div_down(k0_others * y, 3, d)
        total = large + small + y
        g1k0 = distance(k0, gamma)
        mul1 = slope_term(d, ann, gamma, g1k0)
        mul2 = ONE + mul_div_down(2 * ONE, k0, g1k0)
        above = ONE * y + total * mul2 + mul1
        if above < d * mul2:
            y = div_down(before, 2)
            continue
        above -= d * mul2
        slope = div_down(above, y)
        minus = div_down(mul1, slope)
        plus = div_down(above + ONE * d, slope) + mul_div_down(minus, ONE, k0)
        minus += mul_div_down(ONE, total, slope)
        y = div_down(before, 2) if plus < minus else plus - minus
        if abs(y - before) < max(tolerance, div_down(y, 10**14)):
            if not has_share(y, d, _LEAST_SHARE):
                raise Revert("Unsafe value for y")
            return y
    raise Revert("Did not converge")


def _solve_fast(ann: float, gamma: float, x: Three, d: float, i: int) -> Two:
    y = newton_y(ann, gamma, x, d, i)
    one, other = others(x, i)
    return y, 27e18 * (one / d) * (other / d) * (y / d)


def _quotient(a: int, b: int) -> int:
    """a / b towards zero, and 0 for b = 0, as the EVM divides signed integers."""
    if b == 0:
        return 0
    return -(-a // b) if (a < 0) != (b < 0) else a // b


@primitive(_solve_fast)
def solve(ann: Number, gamma: Number, x: Three, d: Number, i: int) -> Two:
    """What get_y solves: a K0^3 + b K0^2 + c K0 + d' = 0 with the signs of K0 turned round, by Cardano's formula.

    Coefficients have 36 decimals until they are scaled, so that the discriminant fits 256 bits.
    """
    one, other = others(x, i)
    a = 10**36 // 27
    b = 10**36 // 9 + 2 * 10**18 * gamma // 27 - d * d // one * gamma**2 * ann // 27**2 // A_MULTIPLIER // other
    c = (
        10**36 // 9
        + gamma * (gamma + 4 * 10**18) // 27
        + _quotient(_quotient(_quotient(gamma**2 * (one + other - d), d) * ann, 27), A_MULTIPLIER)
    )
    e = (10**18 + gamma) ** 2 // 27
    if b == 0:
        raise Revert("")

    divider = _divider(abs(_quotient(3 * a * c, b) - b))
    if abs(a) > abs(b):
        factor = abs(_quotient(a, b))
        a, b, c, e = (_quotient(term * factor, divider) for term in (a, b, c, e))
    else:
        factor = abs(_quotient(b, a))
        a, b, c, e = (_quotient(_quotient(term, factor), divider) for term in (a, b, c, e))

    delta0 = _quotient(3 * a * c, b) - b
    delta1 = _quotient(9 * a * c, b) - 2 * b - _quotient(_quotient(27 * a**2, b) * e, b)
    discriminant = delta1**2 + _quotient(4 * delta0**2, b) * delta0
    if discriminant <= 0:
        return newton_y(ann, gamma, x, d, i), 0
    root = isqrt(discriminant)
    root_of_b = _signed_cube_root(b)
    second = _signed_cube_root(_quotient(delta1 + root if delta1 > 0 else delta1 - root, 2))
    c1 = _quotient(_quotient(root_of_b * root_of_b, 10**18) * second, 10**18)
    if c1 == 0:
        raise Revert("")
    k0 = _quotient(b + _quotient(b * delta0, c1) - c1, 3)

    y = _quotient(_quotient(_quotient(d * d // 27, other) * d, one) * k0, a)
    if y < 0 or k0 * a < 0:
        raise Revert("")
    return y, _quotient(10**18 * k0, a)


def _signed_cube_root(x: int) -> int:
    return -cube_root(-x) if x < 0 else cube_root(x)  # type: ignore[no-any-return]


def _divider(size: int) -> int:
    """10 ** 2 for more than 1e20, and four powers of ten more for each four more digits, up to 10 ** 30."""
    for digits in (48, 44, 40, 36, 32, 28, 24, 20):
        if size > 10**digits:
            return int(10 ** (digits - 18))
    return 1


# --- prices and fee -----------------------------------------------------------------------------------------------


@primitive(lambda k0, gamma: _curvature_fast(1 - k0 / 1e36, gamma / 1e18) * 1e36)
def curvature(k0: Number, gamma: Number) -> Number:
    """2 K0^3 - (2 gamma + 3) K0^2 + (1 + gamma)^2 with 36 decimals, what get_p calls GK0.

    Close to K0 = 1 the terms cancel to gamma^2; the float form is the polynomial around 1 - K0.
    """
    cubed = 2 * k0 * k0 // 10**36 * k0 // 10**36
    return cubed + (gamma + 10**18) ** 2 - k0**2 // 10**36 * (2 * gamma + 3 * 10**18) // 10**18


@rule
def _curvature_fast(below_one: float, gamma: float) -> float:
    e = below_one
    return gamma * gamma + 4 * gamma * e + (3 - 2 * gamma) * e * e - 2 * e * e * e


@rule
def get_p(x: Three, d: Number, ann: Number, gamma: Number) -> Two:
    """MathOptimized3.get_p: prices of the second and third coin in the first, in units of the price scale.

    Raises
    ------
    Revert
        Without a reason, if D is out of bounds.
    """
    if not (MIN_D <= d <= ten_to(33)):
        raise Revert("")
    k0 = mul_div_down(mul_div_down(mul_div_down(27 * x[0], x[1], d), x[2], d), ten_to(36), d)
    gk0 = curvature(k0, gamma)
    nnag2 = div_down(ann * gamma * gamma, A_MULTIPLIER)
    below = gk0 + mul_div_down(mul_div_down(nnag2, x[0], d), k0, ten_to(36))
    return (
        mul_div_down(
            div_down(x[0] * (gk0 + mul_div_down(mul_div_down(nnag2, x[1], d), k0, ten_to(36))), x[1]), ONE, below
        ),
        mul_div_down(
            div_down(x[0] * (gk0 + mul_div_down(mul_div_down(nnag2, x[2], d), k0, ten_to(36))), x[2]), ONE, below
        ),
    )


@rule
def reduction_coefficient(x: Three, fee_gamma: Number) -> Number:
    """MathOptimized3._reduction_coefficient: fee_gamma / (fee_gamma + 1 - Πx / (Σx / 3)^3), which is 1 in balance."""
    total = x[0] + x[1] + x[2]
    k = mul_div_down(mul_div_down(div_down(ONE * 3 * x[0], total) * 3, x[1], total) * 3, x[2], total)
    if fee_gamma > 0:
        return mul_div_down(fee_gamma, ONE, fee_gamma + ONE - k)
    return k
