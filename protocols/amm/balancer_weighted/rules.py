"""The rules of Balancer v2 weighted pools: what a swap through the Vault pays.

WeightedMath, FixedPoint and BaseMinimalSwapInfoPool.onSwap of balancer-v2-monorepo. All but raw amounts have 18
decimals. The pool rounds against the trader at every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from protocols.amm.balancer_weighted.power import power
from protocols.amm.revert import Revert
from protocols.arithmetic import (
    Number,
    ceiled,
    div_down,
    div_up,
    floored,
    max_uint112,
    max_uint256,
    mul_div_down,
    mul_div_up,
    rule,
)

ONE = 10**18
MAX_RATIO = 3 * 10**17
"""A swap may bring in, after the fee, or take out, at most this share of the balance (WeightedMath._MAX_IN_RATIO)."""
POWER_ERROR = 10_000
"""Relative error that the power is taken to have (FixedPoint.MAX_POW_RELATIVE_ERROR), 18 decimals."""


class Token(NamedTuple):
    """One token of a pool.

    Attributes
    ----------
    balance
        What the Vault holds of it for the pool, smallest units.
    weight
        Normalised weight, 18 decimals.
    scale
        10 ** (18 - decimals): smallest units times this have 18 decimals.
    """

    balance: Number
    weight: Number
    scale: Number


# --- fixed point --------------------------------------------------------------------------------------------------


@rule
def mul_down(a: Number, b: Number) -> Number:
    """FixedPoint.mulDown."""
    if a * b > max_uint256():
        raise Revert("BAL#003")
    return mul_div_down(a, b, ONE)


@rule
def mul_up(a: Number, b: Number) -> Number:
    """FixedPoint.mulUp."""
    if a * b > max_uint256():
        raise Revert("BAL#003")
    return mul_div_up(a, b, ONE)


@rule
def wad_div_down(a: Number, b: Number) -> Number:
    """FixedPoint.divDown."""
    if b == 0:
        raise Revert("BAL#004")
    return mul_div_down(a, ONE, b)


@rule
def wad_div_up(a: Number, b: Number) -> Number:
    """FixedPoint.divUp."""
    if b == 0:
        raise Revert("BAL#004")
    return mul_div_up(a, ONE, b)


@rule
def power_up(x: Number, y: Number, exact_powers: bool) -> Number:
    """FixedPoint.powUp.

    Parameters
    ----------
    exact_powers
        Whether exponents 1, 2 and 4 are multiplied out, as since January 2022; before, they were powers like others.
    """
    if exact_powers and y == ONE:
        return x
    if exact_powers and y == 2 * ONE:
        return mul_up(x, x)
    if exact_powers and y == 4 * ONE:
        square = mul_up(x, x)
        return mul_up(square, square)
    raw = power(x, y)
    return raw + mul_up(raw, POWER_ERROR) + 1


@rule
def power_down(x: Number, y: Number, exact_powers: bool) -> Number:
    """FixedPoint.powDown; `exact_powers` as for :func:`power_up`."""
    if exact_powers and y == ONE:
        return x
    if exact_powers and y == 2 * ONE:
        return mul_down(x, x)
    if exact_powers and y == 4 * ONE:
        square = mul_down(x, x)
        return mul_down(square, square)
    raw = power(x, y)
    return max(raw - (mul_up(raw, POWER_ERROR) + 1), 0)


# --- weighted mathematics -----------------------------------------------------------------------------------------


@rule
def out_given_in(
    balance_in: Number,
    weight_in: Number,
    balance_out: Number,
    weight_out: Number,
    amount_in: Number,
    exact_powers: bool,
) -> Number:
    """WeightedMath._calcOutGivenIn.

    What goes out is balance_out (1 - (balance_in / (balance_in + amount_in)) ^ (weight_in / weight_out)).

    Raises
    ------
    Revert
        ``BAL#304`` if more than 30 % of the balance comes in.
    """
    if amount_in > mul_down(balance_in, MAX_RATIO):
        raise Revert("BAL#304")
    base = wad_div_up(balance_in, balance_in + amount_in)
    remaining = power_up(base, wad_div_down(weight_in, weight_out), exact_powers)
    return mul_down(balance_out, max(ONE - remaining, 0))


@rule
def in_given_out(
    balance_in: Number,
    weight_in: Number,
    balance_out: Number,
    weight_out: Number,
    amount_out: Number,
    exact_powers: bool,
) -> Number:
    """WeightedMath._calcInGivenOut.

    What comes in is balance_in ((balance_out / (balance_out - amount_out)) ^ (weight_out / weight_in) - 1).

    Raises
    ------
    Revert
        ``BAL#305`` if more than 30 % of the balance goes out.
    """
    if amount_out > mul_down(balance_out, MAX_RATIO):
        raise Revert("BAL#305")
    base = wad_div_up(balance_out, balance_out - amount_out)
    grown = power_up(base, wad_div_up(weight_out, weight_in), exact_powers)
    return mul_up(balance_in, grown - ONE)


def invariant(weights: Sequence[int], balances: Sequence[int], exact_powers: bool) -> int:
    """WeightedMath._calculateInvariant: Π balance ^ weight, rounded down. Exact form only.

    Raises
    ------
    Revert
        ``BAL#311`` if it is 0.
    """
    product = ONE
    for weight, balance in zip(weights, balances, strict=True):
        product = mul_down(product, power_down(balance, weight, exact_powers))
    if product == 0:
        raise Revert("BAL#311")
    return product


# --- swaps --------------------------------------------------------------------------------------------------------


@rule
def after_fee(amount: Number, swap_fee: Number) -> Number:
    """BasePool._subtractSwapFeeAmount: what is left of an amount paid in."""
    return amount - mul_up(amount, swap_fee)


@rule
def swap_given_in(sold: Token, bought: Token, swap_fee: Number, amount: Number, exact_powers: bool) -> Number:
    """Vault.swap of kind GIVEN_IN: what is paid out for `amount`, smallest units.

    Raises
    ------
    Revert
        With the reason of the Vault or the pool.
    """
    if amount == 0:
        raise Revert("BAL#510")
    kept = mul_down(floored(after_fee(amount, swap_fee)), sold.scale * ONE)
    paid_out = out_given_in(
        sold.balance * sold.scale, sold.weight, bought.balance * bought.scale, bought.weight, kept, exact_powers
    )
    received = floored(div_down(paid_out, bought.scale))
    if sold.balance + amount > max_uint112():
        raise Revert("BAL#526")
    return received


@rule
def swap_given_out(sold: Token, bought: Token, swap_fee: Number, amount: Number, exact_powers: bool) -> Number:
    """Vault.swap of kind GIVEN_OUT: what must be paid in for `amount`, smallest units.

    Raises
    ------
    Revert
        With the reason of the Vault or the pool.
    """
    if amount == 0:
        raise Revert("BAL#510")
    taken = mul_down(amount, bought.scale * ONE)
    owed = in_given_out(
        sold.balance * sold.scale, sold.weight, bought.balance * bought.scale, bought.weight, taken, exact_powers
    )
    paid = ceiled(wad_div_up(ceiled(div_up(owed, sold.scale)), max(ONE - swap_fee, 0)))
    if sold.balance + paid > max_uint112():
        raise Revert("BAL#526")
    return paid


def most_given_in(sold: Token, swap_fee: int) -> int:
    """The largest amount that a swap may bring in, smallest units: 30 % of the balance after the fee, and no more
    than a uint112 holds. Exact form only."""
    kept = mul_down(sold.balance * sold.scale, MAX_RATIO) // sold.scale
    # the fee rounds up, so that floor(amount * (1 - fee)) is kept
    most = -(-(kept + 1) * ONE // (ONE - swap_fee)) - 1
    return int(min(most, max_uint112() - sold.balance))
