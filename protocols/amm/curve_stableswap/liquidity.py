"""Liquidity that comes and goes unevenly: ``add_liquidity`` and ``remove_liquidity_one_coin`` of both contracts.

What differs from an even change is charged as if it had been swapped, at n / (4 (n - 1)) of the fee.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from protocols.amm.curve_stableswap.invariant import Terms, balance, invariant, minus, mul_div
from protocols.amm.curve_stableswap.rules import ONE, ONE_FEE, dynamic_fee, scaled
from protocols.amm.revert import Revert
from protocols.arithmetic import Number, div_down, floored, rule


class Deposit(NamedTuple):
    """What a deposit leaves.

    Attributes
    ----------
    minted
        Pool tokens.
    d
        D without the fees, which NG's event shows.
    fees, admin_fees
        Shape (n,): fees of each coin, and the part of them that is the admin's; smallest units.
    """

    minted: Number
    d: Number
    fees: Sequence[Number]
    admin_fees: Sequence[Number]


class Withdrawal(NamedTuple):
    """What is paid out, and the admin's part of the fee; smallest units."""

    received: Number
    admin_fee: Number


@rule
def add_liquidity(
    terms: Terms,
    amp: Number,
    rates: Sequence[Number],
    balances: Sequence[Number],
    amounts: Sequence[Number],
    total_supply: Number,
) -> Deposit:
    """Deposit amounts of every coin into a pool that is not empty.

    Parameters
    ----------
    amp, rates, balances
        As for :func:`.rules.exchange`.
    amounts
        Shape (n,), smallest units.
    total_supply
        Pool tokens there are.
    """
    n = len(balances)
    before = invariant(terms, amp, scaled(rates, balances))
    held = [balances[k] + amounts[k] for k in range(n)]
    after = invariant(terms, amp, scaled(rates, held))
    if not after > before:
        raise Revert("")
    fee = _uneven_fee(terms, n)
    level = div_down(before + after, n)
    fees = [
        floored(
            mul_div(
                dynamic_fee(terms, fee, mul_div(rates[k], balances[k] + held[k], ONE), level),
                abs(floored(mul_div(after, balances[k], before)) - held[k]),
                ONE_FEE,
            )
        )
        for k in range(n)
    ]
    admin_fees = [floored(mul_div(fees[k], terms.admin_fee, ONE_FEE)) for k in range(n)]
    kept = invariant(terms, amp, scaled(rates, [minus(held[k], fees[k]) for k in range(n)]))
    return Deposit(mul_div(total_supply, minus(kept, before), before), kept, fees, admin_fees)


@rule
def remove_liquidity_one_coin(
    terms: Terms,
    amp: Number,
    rates: Sequence[Number],
    balances: Sequence[Number],
    burnt: Number,
    i: int,
    total_supply: Number,
) -> Withdrawal:
    """Burn pool tokens and take coin i alone; parameters as for :func:`add_liquidity`."""
    n = len(balances)
    xp = scaled(rates, balances)
    before = invariant(terms, amp, xp)
    after = minus(before, mul_div(burnt, before, total_supply))
    y = balance(terms, amp, after, xp, i)
    fee = _uneven_fee(terms, n)
    level = div_down(before + after, 2 * n)
    reduced = [
        xp[k]
        - mul_div(
            dynamic_fee(terms, fee, div_down(xp[k] + y, 2) if k == i else xp[k], level),
            minus(mul_div(xp[k], after, before), y) if k == i else xp[k] - mul_div(xp[k], after, before),
            ONE_FEE,
        )
        for k in range(n)
    ]
    # one unit less, to account for rounding errors
    dy = minus(reduced[i], balance(terms, amp, after, reduced, i) + 1)
    received = floored(mul_div(dy, ONE, rates[i]))
    without_fee = floored(mul_div(minus(xp[i], y), ONE, rates[i]))
    return Withdrawal(received, floored(mul_div(minus(without_fee, received), terms.admin_fee, ONE_FEE)))


@rule
def _uneven_fee(terms: Terms, n: int) -> Number:
    return floored(div_down(terms.fee * n, 4 * (n - 1)))
