"""The invariant of StableSwap, and Vyper's arithmetic that it is computed in.

With n coins, balances x in one common unit (`xp` in the contracts), S their sum, and the contracts' amplification A,
which is n ** (n - 1) times that of the whitepaper, D solves

    n A S + D = n A D + D ** (n + 1) / (n ** n * product of x).

Both kinds of contract solve it by the same steps and differ in one rounding and in the units of A. Balances and D have
18 decimals. An arithmetic error reverts without a reason, as ``Revert("")``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

from protocols.amm.revert import Revert
from protocols.arithmetic import Number, div_down, primitive, rule, zero

_MAX_UINT256 = 2**256 - 1
_ROUNDS = 255


class Terms(NamedTuple):
    """What a pool's owner and its code fix.

    Attributes
    ----------
    ng
        Whether the pool is of the NG factory (CurveStableSwapNG.vy); else it is of 3pool's kind (StableSwap3Pool.vy).
    a_precision
        A is counted in units of 1 / a_precision.
    fee, offpeg_fee_multiplier, admin_fee
        Shares, times 1e10: of the amount bought, of the fee far from the peg over the fee at it, and of the fee.
    """

    ng: bool
    a_precision: int
    fee: Number
    offpeg_fee_multiplier: Number
    admin_fee: Number


def ng_terms(fee: int, offpeg_fee_multiplier: int) -> Terms:
    """Terms of a pool of the NG factory, where half of all fees is the admin's."""
    return Terms(True, 100, fee, offpeg_fee_multiplier, 5 * 10**9)


def classic_terms(fee: int, admin_fee: int) -> Terms:
    """Terms of a pool of 3pool's kind, whose fee is the same at all balances."""
    return Terms(False, 1, fee, 0, admin_fee)


# --- Vyper's checked arithmetic -----------------------------------------------------------------------------------


def _fast_mul_div(a: float, b: float, c: float) -> float:
    product = float(a) * float(b)  # of two fees, which may come as int64, the product is not always one
    if product > 2.0**256 or c == 0:
        raise Revert("")
    return product / c


@primitive(_fast_mul_div)
def mul_div(a: Number, b: Number, c: Number) -> Number:
    """a * b / c rounded down; reverts where the product is no uint256, or c is 0."""
    product = a * b
    if product > _MAX_UINT256 or c == 0:
        raise Revert("")
    return product // c


@rule
def minus(a: Number, b: Number) -> Number:
    """a - b; reverts where that is negative."""
    if b > a:
        raise Revert("")
    return a - b


# --- roots --------------------------------------------------------------------------------------------------------


@primitive(lambda new, old: abs(new - old) <= max(1.0, 2e-15 * old))
def settled(new: Number, old: Number) -> bool:
    """Whether a step of Newton's method changed nothing but the last unit, or the last bits of a float64."""
    return -1 <= new - old <= 1  # type: ignore[no-any-return]


def _positive_root(b: float, c: float, start: float) -> float:
    """Of the two usual forms, that in which nothing cancels."""
    half = b / 2.0
    root = sqrt(half * half + c)
    return c / (half + root) if b > 0.0 else root - half


@primitive(_positive_root)
def positive_root(b: Number, c: Number, start: Number) -> Number:
    """The positive root of y ** 2 + b * y = c as the contracts find it, by Newton's method from above.

    From above the steps go down to the root and pass it by less than a unit, so that they always end; the contracts'
    bound of 255 steps is never met.
    """
    y = start
    while True:
        before = y
        y = mul_div(1, y * y + c, 2 * y + b)
        if settled(y, before):
            return y


@rule
def invariant(terms: Terms, amp: Number, xp: Sequence[Number]) -> Number:
    """D of some balances: get_D of both contracts.

    Parameters
    ----------
    amp
        A, in units of 1 / a_precision.
    xp
        Shape (n,): balances with 18 decimals.

    Raises
    ------
    Revert
        Where some balances, but not all, are 0; where Vyper's arithmetic overflows.
    """
    n = len(xp)
    total = zero()
    for x in xp:
        total = total + x
    if total == 0:
        return zero()
    precision = terms.a_precision
    ann = amp * n
    weighted = mul_div(ann, total, precision)
    d = total
    for _ in range(_ROUNDS):
        d_p = d
        if terms.ng:
            for x in xp:
                d_p = mul_div(d_p, d, x)
            d_p = div_down(d_p, n**n)
        else:
            for x in xp:
                d_p = mul_div(d_p, d, x * n)
        before = d
        d = mul_div(weighted + d_p * n, d, mul_div(ann - precision, d, precision) + (n + 1) * d_p)
        if settled(d, before):
            return d
    if terms.ng:
        raise Revert("")
    return d


@rule
def balance(terms: Terms, amp: Number, d: Number, xp: Sequence[Number], j: int) -> Number:
    """The balance of coin j that gives D with the other balances of `xp`; `xp[j]` is not looked at.

    get_y and get_y_D of both contracts, which are one formula. Parameters as for :func:`invariant`.
    """
    n = len(xp)
    ann = amp * n
    c = d
    others = zero()
    for k in range(n):
        if k != j:
            others = others + xp[k]
            c = mul_div(c, d, xp[k] * n)
    c = mul_div(c, d * terms.a_precision, ann * n)
    return positive_root(others + mul_div(d, terms.a_precision, ann) - d, c, d)


@rule
def slope(terms: Terms, amp: Number, d: Number, xp: Sequence[Number], i: int, base: int) -> tuple[Number, Number]:
    """Marginal price of coin i in coin `base`, per unit with 18 decimals and before fees, as a fraction.

    With base 0 and scaled by 1e18 it is CurveStableSwapNG._get_p. Parameters as for :func:`invariant`.

    Returns
    -------
    Numerator and denominator.
    """
    n = len(xp)
    d_r = div_down(d, n**n)
    for x in xp:
        d_r = mul_div(d_r, d, x)
    level = mul_div(amp * n, xp[base], terms.a_precision)
    return level + mul_div(d_r, xp[base], xp[i]), level + d_r


# --- amplification ------------------------------------------------------------------------------------------------


class Ramp(NamedTuple):
    """A, and how it changes: from `initial` to `future` between two times, unix seconds."""

    initial: Number
    future: Number
    start: int
    end: int


@rule
def amplification(ramp: Ramp, now: int) -> Number:
    """A at a time: _A of both contracts, in the contract's units."""
    if now >= ramp.end:
        return ramp.future
    elapsed, duration = now - ramp.start, ramp.end - ramp.start
    if ramp.future > ramp.initial:
        return ramp.initial + mul_div(ramp.future - ramp.initial, elapsed, duration)
    return ramp.initial - mul_div(ramp.initial - ramp.future, elapsed, duration)
