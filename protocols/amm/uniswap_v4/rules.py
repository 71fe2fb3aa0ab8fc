"""The rules of a Uniswap v4 pool without hooks: ProtocolFeeLibrary, SwapMath and Pool.swap.

Ticks, prices and amounts are Uniswap v3's (:mod:`protocols.amm.uniswap_v3.rules`): TickMath and SqrtPriceMath give the
same integers in both. What v4 does otherwise stands here:

- The protocol's fee is a share of the amount paid in, taken before the liquidity providers', and both are one swap fee.
- A step that ends before its target counts all that was left, less the fee, as paid in for the swap. In v3 it is what
  the move of the price takes, and the rest is fee. The sum is the same.
- A fee may be 100 %.
- What a swap moves must fit an int128.
- An exact input is a negative amount.

The fast form has every amount, the price, the tick and the liquidity. Fee growth is a counter modulo 2**256 and is
kept by the exact form only.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.amm.revert import Revert
from protocols.amm.uniswap_v3.rules import (
    ONE_PIPS,
    Outside,
    State,
    Step,
    Swap,
    arrived,
    cross,
    crosses,
    end_state,
    next_stop,
    output_step,
    paid_between,
    price_after_input,
    received_between,
)
from protocols.amm.uniswap_v3.ticks import Price, Ticks, max_sqrt_price, min_sqrt_price
from protocols.arithmetic import (
    Number,
    ceiled,
    floored,
    max_int128,
    mul_div_down,
    mul_div_up,
    q128,
    rule,
    wrap_uint256,
)


class Terms(NamedTuple):
    """What does not change in a swap.

    Attributes
    ----------
    lp_fee_pips
        The liquidity providers' fee, hundredths of a basis point.
    tick_spacing
        Distance of usable ticks.
    protocol_fee0_pips, protocol_fee1_pips
        The protocol's fee where token 0, or token 1, is paid in, hundredths of a basis point.
    """

    lp_fee_pips: int
    tick_spacing: int
    protocol_fee0_pips: int
    protocol_fee1_pips: int


@rule
def swap_fee(protocol_fee_pips: int, lp_fee_pips: int) -> int:
    """Both fees as one share of the amount paid in, the second taken from what the first leaves:
    ProtocolFeeLibrary.calculateSwapFee."""
    return protocol_fee_pips + lp_fee_pips - protocol_fee_pips * lp_fee_pips // ONE_PIPS


@rule
def swap_step(
    price: Price,
    target: Price,
    liquidity: Number,
    remaining: Number,
    fee_pips: int,
    zero_for_one: bool,
    exact_in: bool,
) -> Step:
    """As much of a swap as fits between `price` and `target`: SwapMath.computeSwapStep.

    Parameters
    ----------
    remaining
        What is still to be paid in, fee included (`exact_in`), or else to be received; positive.
    fee_pips
        The swap fee, hundredths of a basis point of the amount paid in.
    """
    if exact_in:
        after_fee = floored(mul_div_down(remaining, ONE_PIPS - fee_pips, ONE_PIPS))
        amount_in = paid_between(price, target, liquidity, zero_for_one)
        if after_fee < amount_in:
            end = price_after_input(price, liquidity, after_fee, zero_for_one)
            amount_out = received_between(price, end, liquidity, zero_for_one)
            return Step(end, after_fee, amount_out, remaining - after_fee)
        if fee_pips == ONE_PIPS:
            # nothing is left after such a fee, so that only a move that takes nothing comes to its end
            return Step(target, amount_in, received_between(price, target, liquidity, zero_for_one), amount_in)
        end, amount_out = target, received_between(price, target, liquidity, zero_for_one)
    else:
        end, amount_in, amount_out = output_step(price, target, liquidity, remaining, zero_for_one)
    return Step(end, amount_in, amount_out, ceiled(mul_div_up(amount_in, fee_pips, ONE_PIPS - fee_pips)))


@rule
def swap(
    terms: Terms,
    state: State,
    ticks: Ticks,
    outside: Outside | None,
    zero_for_one: bool,
    amount_specified: Number,
    limit: Price,
) -> Swap:
    """PoolManager.swap and Pool.swap of an initialised pool without hooks.

    Parameters
    ----------
    outside
        Brought up to date in place at each tick crossed; None for a quote, which changes nothing.
    zero_for_one
        Token 0 in and token 1 out.
    amount_specified
        Negative: minus what is paid in, fees included. Positive: what is to be received.
    limit
        The price at which the swap stops, its amount used up or not.

    Raises
    ------
    Revert
        The name of the contract's error.
    """
    if amount_specified == 0:
        raise Revert("SwapAmountCannotBeZero")
    exact_in = amount_specified < 0
    protocol_fee_pips = terms.protocol_fee0_pips if zero_for_one else terms.protocol_fee1_pips
    fee_pips = swap_fee(protocol_fee_pips, terms.lp_fee_pips)
    if fee_pips >= ONE_PIPS and not exact_in:
        raise Revert("InvalidFeeForExactOut")
    price = state.sqrt_price_x96
    if zero_for_one:
        if limit >= price:
            raise Revert("PriceLimitAlreadyExceeded")
        if limit <= min_sqrt_price():
            raise Revert("PriceLimitOutOfBounds")
    else:
        if limit <= price:
            raise Revert("PriceLimitAlreadyExceeded")
        if limit >= max_sqrt_price():
            raise Revert("PriceLimitOutOfBounds")

    remaining = abs(amount_specified)
    paid = received = protocol_fee = 0
    tick, ticks_below = state.tick, state.ticks_below
    growth = state.fee_growth0_x128 if zero_for_one else state.fee_growth1_x128

    while remaining != 0 and price != limit:
        liquidity = ticks.liquidity[ticks_below]
        stop = next_stop(terms.tick_spacing, ticks, ticks_below, tick, limit, zero_for_one)
        start = price
        price, amount_in, amount_out, fee = swap_step(
            start, stop.target, liquidity, remaining, fee_pips, zero_for_one, exact_in
        )
        paid += amount_in + fee
        received += amount_out
        # Never below 0 but by float64's rounding, after which the fast form would not stop.
        remaining = max(remaining - (amount_in + fee if exact_in else amount_out), 0)

        if protocol_fee_pips > 0:
            share = fee
            if fee_pips != protocol_fee_pips:
                share = floored(mul_div_down(amount_in + fee, protocol_fee_pips, ONE_PIPS))
            fee -= share
            protocol_fee += share
        if liquidity > 0:
            growth = wrap_uint256(growth + floored(mul_div_down(fee, q128(), liquidity)))

        if outside is not None and crosses(stop, price):
            cross(outside, stop.i, state, growth, zero_for_one)
        tick, ticks_below = arrived(stop, start, price, tick, ticks_below, zero_for_one)

    # What is owed is negative in the contract, and an int128 reaches one further down than up.
    if received > max_int128() or paid > max_int128() + 1:
        raise Revert("SafeCastOverflow")
    end = end_state(state, price, tick, ticks_below, growth, zero_for_one)
    return Swap(paid, received, protocol_fee, end)
