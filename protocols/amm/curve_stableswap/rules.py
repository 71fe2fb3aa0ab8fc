"""The rules of swaps: CurveStableSwapNG.exchange, StableSwap3Pool.exchange, and the views beside them.

Amounts are smallest units. A rate turns them into units with 18 decimals, in which the invariant is solved:
``10 ** (36 - decimals)``, times what one token is worth in its pool's unit of account, as the NG contract reads it
from an oracle or a vault. The fast form has the amounts bought and the admin's part of the fee.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from protocols.amm.curve_stableswap.invariant import Terms, balance, invariant, minus, mul_div, slope
from protocols.amm.revert import Revert
from protocols.arithmetic import Number, div_down, floored, rule

ONE = 10**18
ONE_FEE = 10**10
"""A fee of 100 %."""


class Exchange(NamedTuple):
    """What a swap takes out of the balances of the coin bought, smallest units."""

    received: Number
    admin_fee: Number


@rule
def scaled(rates: Sequence[Number], balances: Sequence[Number]) -> list[Number]:
    """Balances with 18 decimals: _xp_mem of both contracts."""
    return [mul_div(rates[k], balances[k], ONE) for k in range(len(balances))]


@rule
def dynamic_fee(terms: Terms, fee: Number, x_i: Number, x_j: Number) -> Number:
    """The fee at two balances, times 1e10: CurveStableSwapNG._dynamic_fee.

    It is `fee` where they are equal, and grows to `offpeg_fee_multiplier` times that where one of them is gone.
    """
    if terms.offpeg_fee_multiplier <= ONE_FEE:
        return fee
    total = x_i + x_j
    nearness = mul_div((terms.offpeg_fee_multiplier - ONE_FEE) * 4 * x_i, x_j, mul_div(total, total, 1))
    return floored(mul_div(terms.offpeg_fee_multiplier, fee, nearness + ONE_FEE))


@rule
def exchange(
    terms: Terms,
    amp: Number,
    rates: Sequence[Number],
    balances: Sequence[Number],
    i: int,
    j: int,
    dx: Number,
    min_dy: Number,
) -> Exchange:
    """Pay in `dx` of coin i for coin j: ``exchange`` of both contracts.

    Parameters
    ----------
    amp
        A at the time, precise, as :func:`.invariant.amplification` has it.
    rates, balances
        Shape (n,), as in ``stored_rates`` and ``get_balances``: without what is the admin's.

    Raises
    ------
    Revert
        With the contract's reason, which is empty where arithmetic fails or a condition has none.
    """
    xp = scaled(rates, balances)
    return trade(terms, amp, invariant(terms, amp, xp), rates, xp, i, j, dx, min_dy)


@rule
def trade(
    terms: Terms,
    amp: Number,
    d: Number,
    rates: Sequence[Number],
    xp: Sequence[Number],
    i: int,
    j: int,
    dx: Number,
    min_dy: Number,
) -> Exchange:
    """:func:`exchange` where the balances with 18 decimals and their D are known."""
    if i == j or (terms.ng and dx == 0):
        raise Revert("")
    x, y, dy = moved(terms, amp, d, rates, xp, i, j, dx)
    fee = mul_div(dy, _mean_fee(terms, xp, i, j, x, y), ONE_FEE)
    received = floored(mul_div(dy - fee, ONE, rates[j]))
    admin_fee = floored(mul_div(mul_div(fee, terms.admin_fee, ONE_FEE), ONE, rates[j]))
    if terms.ng:
        _check_oracles(terms, amp, d, [x if k == i else y if k == j else xp[k] for k in range(len(xp))])
    if received < min_dy:
        raise Revert("Exchange resulted in fewer coins than expected")
    return Exchange(received, admin_fee)


@rule
def moved(
    terms: Terms, amp: Number, d: Number, rates: Sequence[Number], xp: Sequence[Number], i: int, j: int, dx: Number
) -> tuple[Number, Number, Number]:
    """The two balances along the invariant, and the amount bought before the fee, all with 18 decimals."""
    x = xp[i] + mul_div(dx, rates[i], ONE)
    y = balance(terms, amp, d, [x if k == i else xp[k] for k in range(len(xp))], j)
    return x, y, minus(xp[j], y + 1)


@rule
def _mean_fee(terms: Terms, xp: Sequence[Number], i: int, j: int, x: Number, y: Number) -> Number:
    """The fee halfway between the balances before and after."""
    return dynamic_fee(terms, terms.fee, div_down(xp[i] + x, 2), div_down(xp[j] + y, 2))


@rule
def _check_oracles(terms: Terms, amp: Number, d: Number, xp: Sequence[Number]) -> None:
    """Revert where CurveStableSwapNG.upkeep_oracles cannot compute the new prices or pack D."""
    for k in range(1, len(xp)):
        above, below = slope(terms, amp, d, xp, k, 0)
        mul_div(ONE, above, below)
    if d >= 2.0**128:
        raise Revert("")


# --- views --------------------------------------------------------------------------------------------------------


@rule
def get_dy(
    terms: Terms, amp: Number, rates: Sequence[Number], balances: Sequence[Number], i: int, j: int, dx: Number
) -> Number:
    """What the contract's ``get_dy`` promises, which is not always what :func:`exchange` pays.

    The view of NG takes A without its decimals. That of 3pool takes the fee from smallest units.
    """
    if i == j:
        raise Revert("")
    amp = _whole(terms, amp)
    xp = scaled(rates, balances)
    x, y, dy = moved(terms, amp, invariant(terms, amp, xp), rates, xp, i, j, dx)
    if terms.ng:
        return mul_div(dy - mul_div(_mean_fee(terms, xp, i, j, x, y), dy, ONE_FEE), ONE, rates[j])
    dy = mul_div(dy, ONE, rates[j])
    return dy - mul_div(terms.fee, dy, ONE_FEE)


def get_dx(terms: Terms, amp: int, rates: Sequence[int], balances: Sequence[int], i: int, j: int, dy: int) -> int:
    """What CurveStableSwapNGViews.get_dx takes to be the payment for `dy`, at the fee of the balances before it.

    Exact form only: where `dy` is nearly all there is, the answer hangs on the last unit of it.
    """
    if i == j:
        raise Revert("")
    amp = _whole(terms, amp)
    xp = scaled(rates, balances)
    d = invariant(terms, amp, xp)
    wanted = mul_div(dy, rates[j], ONE) + 1
    y = minus(xp[j], mul_div(wanted, ONE_FEE, ONE_FEE - dynamic_fee(terms, terms.fee, xp[i], xp[j])))
    x = balance(terms, amp, d, [y if k == j else xp[k] for k in range(len(xp))], i)
    return mul_div(minus(x, xp[i]), ONE, rates[i])  # type: ignore[no-any-return]


@rule
def virtual_price(
    terms: Terms, amp: Number, rates: Sequence[Number], balances: Sequence[Number], total_supply: Number
) -> Number:
    """Worth of one pool token, times 1e18: ``get_virtual_price`` of both contracts."""
    return mul_div(invariant(terms, amp, scaled(rates, balances)), ONE, total_supply)


@rule
def _whole(terms: Terms, amp: Number) -> Number:
    return floored(div_down(amp, terms.a_precision)) * terms.a_precision
