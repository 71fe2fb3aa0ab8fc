"""The rules of a Uniswap v3 pool: SqrtPriceMath, SwapMath and UniswapV3Pool.swap.

Token 0 paid in moves the price down, token 1 paid in moves it up. Amounts are smallest units, liquidity is the
contract's L, and prices are square-root prices as :mod:`.ticks` has them.

The fast form has every amount, the price, the tick and the liquidity. Fee growth is a counter modulo 2**256 and is
kept by the exact form only.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import NamedTuple

from protocols.amm.revert import Revert
from protocols.amm.uniswap_v3.ticks import (
    Price,
    Ticks,
    gap,
    level,
    max_sqrt_price,
    min_sqrt_price,
    next_tick_above,
    next_tick_below,
    shifted,
    skip_empty_words,
    sqrt_price_at_tick,
    sqrt_price_of,
    tick_at_sqrt_price,
)
from protocols.arithmetic import (
    Number,
    ceiled,
    div_down,
    div_up,
    floored,
    max_uint256,
    mul_div_down,
    mul_div_up,
    q96,
    q128,
    rule,
    wrap_uint256,
)

ONE_PIPS = 1_000_000
"""A fee of 100 %, in hundredths of a basis point."""


# --- SqrtPriceMath ----------------------------------------------------------------------------------------------


@rule
def amount0_up(lower: Price, upper: Price, liquidity: Number) -> Number:
    """Token 0 between two prices, rounded up: SqrtPriceMath.getAmount0Delta, roundUp."""
    return ceiled(div_up(ceiled(mul_div_up(liquidity * q96(), gap(lower, upper), level(upper))), level(lower)))


@rule
def amount0_down(lower: Price, upper: Price, liquidity: Number) -> Number:
    """Token 0 between two prices, rounded down: SqrtPriceMath.getAmount0Delta."""
    return floored(div_down(floored(mul_div_down(liquidity * q96(), gap(lower, upper), level(upper))), level(lower)))


@rule
def amount1_up(lower: Price, upper: Price, liquidity: Number) -> Number:
    """Token 1 between two prices, rounded up: SqrtPriceMath.getAmount1Delta, roundUp."""
    return ceiled(mul_div_up(liquidity, gap(lower, upper), q96()))


@rule
def amount1_down(lower: Price, upper: Price, liquidity: Number) -> Number:
    """Token 1 between two prices, rounded down: SqrtPriceMath.getAmount1Delta."""
    return floored(mul_div_down(liquidity, gap(lower, upper), q96()))


# The contract rounds the new price, the rules below round the move to it: the same integers, and in float64 a move is
# known far more precisely than the difference of two prices.


@rule
def price_after_token0_in(price: Price, liquidity: Number, amount: Number) -> Price:
    """The price falls to s L / (L + a s), rounded up: SqrtPriceMath.getNextSqrtPriceFromAmount0RoundingUp, add."""
    numerator = liquidity * q96()
    product = amount * level(price)
    if numerator + product <= max_uint256():
        return shifted(price, -floored(mul_div_down(level(price), product, numerator + product)))
    return shifted(price, ceiled(div_up(numerator, floored(div_down(numerator, level(price))) + amount)) - level(price))


@rule
def price_after_token0_out(price: Price, liquidity: Number, amount: Number) -> Price:
    """The price rises to s L / (L - a s), rounded up: SqrtPriceMath.getNextSqrtPriceFromAmount0RoundingUp, not add."""
    numerator = liquidity * q96()
    product = amount * level(price)
    return shifted(price, ceiled(mul_div_up(level(price), product, numerator - product)))


@rule
def price_after_token1_in(price: Price, liquidity: Number, amount: Number) -> Price:
    """The price rises by a / L, rounded down: SqrtPriceMath.getNextSqrtPriceFromAmount1RoundingDown, add."""
    return shifted(price, floored(mul_div_down(amount, q96(), liquidity)))


@rule
def price_after_token1_out(price: Price, liquidity: Number, amount: Number) -> Price:
    """The price falls by a / L, rounded up: SqrtPriceMath.getNextSqrtPriceFromAmount1RoundingDown, not add."""
    return shifted(price, -ceiled(mul_div_up(amount, q96(), liquidity)))


# --- SwapMath ---------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """A swap within one range of constant liquidity."""

    sqrt_price_x96: Price
    amount_in: Number
    amount_out: Number
    fee: Number


@rule
def paid_between(start: Price, end: Price, liquidity: Number, zero_for_one: bool) -> Number:
    """What moving the price from `start` to `end` takes in, before the fee."""
    return amount0_up(end, start, liquidity) if zero_for_one else amount1_up(start, end, liquidity)


@rule
def received_between(start: Price, end: Price, liquidity: Number, zero_for_one: bool) -> Number:
    """What moving the price from `start` to `end` gives out."""
    return amount1_down(end, start, liquidity) if zero_for_one else amount0_down(start, end, liquidity)


@rule
def price_after_input(price: Price, liquidity: Number, amount: Number, zero_for_one: bool) -> Price:
    """The price when an amount, the fee taken off, has been paid in: SqrtPriceMath.getNextSqrtPriceFromInput."""
    if zero_for_one:
        return price_after_token0_in(price, liquidity, amount)
    return price_after_token1_in(price, liquidity, amount)


@rule
def output_step(
    price: Price, target: Price, liquidity: Number, remaining: Number, zero_for_one: bool
) -> tuple[Price, Number, Number]:
    """SwapMath.computeSwapStep for a given output: where it ends, what goes in before the fee, and what comes out."""
    amount_out = received_between(price, target, liquidity, zero_for_one)
    end = target
    if remaining < amount_out:
        # The price is rounded so that it gives `remaining` or more, and the contract caps it there.
        amount_out = remaining
        if zero_for_one:
            end = price_after_token1_out(price, liquidity, remaining)
        else:
            end = price_after_token0_out(price, liquidity, remaining)
    return end, paid_between(price, end, liquidity, zero_for_one), amount_out


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
        Fee in hundredths of a basis point of the amount paid in.
    """
    if exact_in:
        after_fee = floored(mul_div_down(remaining, ONE_PIPS - fee_pips, ONE_PIPS))
        amount_in = paid_between(price, target, liquidity, zero_for_one)
        if after_fee < amount_in:
            end = price_after_input(price, liquidity, after_fee, zero_for_one)
            amount_in = paid_between(price, end, liquidity, zero_for_one)
            amount_out = received_between(price, end, liquidity, zero_for_one)
            return Step(end, amount_in, amount_out, remaining - amount_in)
        end, amount_out = target, received_between(price, target, liquidity, zero_for_one)
    else:
        end, amount_in, amount_out = output_step(price, target, liquidity, remaining, zero_for_one)
    return Step(end, amount_in, amount_out, ceiled(mul_div_up(amount_in, fee_pips, ONE_PIPS - fee_pips)))


# --- UniswapV3Pool.swap -----------------------------------------------------------------------------------------


class Terms(NamedTuple):
    """What does not change in a swap.

    Attributes
    ----------
    fee_pips
        Fee in hundredths of a basis point.
    tick_spacing
        Distance of usable ticks.
    fee_protocol0, fee_protocol1
        The protocol takes one part in so many of the fee in that token; 0 takes nothing.
    """

    fee_pips: int
    tick_spacing: int
    fee_protocol0: int
    fee_protocol1: int


class State(NamedTuple):
    """What a swap changes, but for the ticks it crosses.

    Attributes
    ----------
    sqrt_price_x96, tick
        As in slot0.
    ticks_below
        How many initialised ticks are at or below `tick`.
    fee_growth0_x128, fee_growth1_x128
        feeGrowthGlobal of both tokens, Q128.128 modulo 2**256.
    """

    sqrt_price_x96: Price
    tick: int
    ticks_below: int
    fee_growth0_x128: Number
    fee_growth1_x128: Number


class Outside(NamedTuple):
    """Fee growth on the other side of each initialised tick, Q128.128 modulo 2**256; shape (n,) each."""

    fee_growth0_x128: MutableSequence[Number]
    fee_growth1_x128: MutableSequence[Number]


class Swap(NamedTuple):
    """What a swap does.

    Attributes
    ----------
    paid, received
        What goes in, fees included, and what comes out.
    protocol_fee
        Part of the fee that is the protocol's, in the token paid in.
    state
        The pool afterwards.
    """

    paid: Number
    received: Number
    protocol_fee: Number
    state: State


class Stop(NamedTuple):
    """Where a swap goes next.

    Attributes
    ----------
    i
        Place of the next initialised tick among the pool's.
    tick, initialised
        The next tick within the word of the bitmap, and whether it is that one.
    sqrt_price_x96
        Its price.
    target
        That price, or the limit if it is nearer.
    """

    i: int
    tick: int
    initialised: bool
    sqrt_price_x96: Price
    target: Price


@rule
def next_stop(tick_spacing: int, ticks: Ticks, ticks_below: int, tick: int, limit: Price, zero_for_one: bool) -> Stop:
    """The beginning of a round of the loop in UniswapV3Pool.swap."""
    i = ticks_below - 1 if zero_for_one else ticks_below
    if ticks.liquidity[ticks_below] == 0:
        tick = skip_empty_words(ticks, i, tick, limit, zero_for_one)
    if zero_for_one:
        tick_next, initialised = next_tick_below(ticks, i, tick, tick_spacing)
    else:
        tick_next, initialised = next_tick_above(ticks, i, tick, tick_spacing)
    price = sqrt_price_of(ticks, i) if initialised else sqrt_price_at_tick(tick_next)
    beyond_limit = price < limit if zero_for_one else price > limit
    return Stop(i, tick_next, initialised, price, limit if beyond_limit else price)


@rule
def crosses(stop: Stop, price: Price) -> bool:
    """Whether a step that ended at `price` crosses an initialised tick."""
    return stop.initialised and price == stop.sqrt_price_x96


@rule
def cross(outside: Outside, i: int, state: State, growth_x128: Number, zero_for_one: bool) -> None:
    """Tick.cross: the growth on the one side of the i-th tick becomes the growth on the other.

    `growth_x128` is that of the token paid in so far; the other token's is still as `state` has it.
    """
    growth0 = growth_x128 if zero_for_one else state.fee_growth0_x128
    growth1 = state.fee_growth1_x128 if zero_for_one else growth_x128
    outside.fee_growth0_x128[i] = wrap_uint256(growth0 - outside.fee_growth0_x128[i])
    outside.fee_growth1_x128[i] = wrap_uint256(growth1 - outside.fee_growth1_x128[i])


@rule
def arrived(stop: Stop, start: Price, price: Price, tick: int, ticks_below: int, zero_for_one: bool) -> tuple[int, int]:
    """The tick, and how many initialised ones are at or below it, when a step has gone from `start` to `price`: the
    end of a round of the loop in UniswapV3Pool.swap."""
    if price == stop.sqrt_price_x96:
        if stop.initialised:
            ticks_below = stop.i if zero_for_one else stop.i + 1
        return (stop.tick - 1 if zero_for_one else stop.tick), ticks_below
    return (tick_at_sqrt_price(price) if price != start else tick), ticks_below


@rule
def end_state(state: State, price: Price, tick: int, ticks_below: int, growth: Number, zero_for_one: bool) -> State:
    """The pool after a swap that grew the fees of the token paid in to `growth`."""
    growth0 = growth if zero_for_one else state.fee_growth0_x128
    growth1 = state.fee_growth1_x128 if zero_for_one else growth
    return State(price, tick, ticks_below, growth0, growth1)


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
    """UniswapV3Pool.swap, without the transfers and the oracle's observations.

    Parameters
    ----------
    outside
        Brought up to date in place at each tick crossed; None for a quote, which changes nothing.
    zero_for_one
        Token 0 in and token 1 out.
    amount_specified
        Positive: paid in, fees included. Negative: minus what is to be received.
    limit
        The price at which the swap stops, its amount used up or not.

    Raises
    ------
    Revert
        ``AS`` for an amount of 0, ``SPL`` for a limit that lies behind the price or out of bounds.
    """
    if amount_specified == 0:
        raise Revert("AS")
    price = state.sqrt_price_x96
    if zero_for_one:
        if not (limit < price and limit > min_sqrt_price()):
            raise Revert("SPL")
    elif not (limit > price and limit < max_sqrt_price()):
        raise Revert("SPL")

    exact_in = amount_specified > 0
    remaining = abs(amount_specified)
    paid = received = protocol_fee = 0
    tick, ticks_below = state.tick, state.ticks_below
    growth = state.fee_growth0_x128 if zero_for_one else state.fee_growth1_x128
    fee_protocol = terms.fee_protocol0 if zero_for_one else terms.fee_protocol1

    while remaining != 0 and price != limit:
        liquidity = ticks.liquidity[ticks_below]
        stop = next_stop(terms.tick_spacing, ticks, ticks_below, tick, limit, zero_for_one)
        start = price
        price, amount_in, amount_out, fee = swap_step(
            start, stop.target, liquidity, remaining, terms.fee_pips, zero_for_one, exact_in
        )
        paid += amount_in + fee
        received += amount_out
        # Never below 0 but by float64's rounding, after which the fast form would not stop.
        remaining = max(remaining - (amount_in + fee if exact_in else amount_out), 0)

        if fee_protocol > 0:
            share = floored(div_down(fee, fee_protocol))
            fee -= share
            protocol_fee += share
        if liquidity > 0:
            growth = wrap_uint256(growth + floored(mul_div_down(fee, q128(), liquidity)))

        if outside is not None and crosses(stop, price):
            cross(outside, stop.i, state, growth, zero_for_one)
        tick, ticks_below = arrived(stop, start, price, tick, ticks_below, zero_for_one)

    end = end_state(state, price, tick, ticks_below, growth, zero_for_one)
    return Swap(paid, received, protocol_fee, end)


def reserves(state: State, ticks: Ticks) -> tuple[int, int]:
    """What all liquidity is worth in each token at the current price, range by range and rounded down.

    No swap can take more. Fees that were earned and not yet collected are the pool's too, but no swap reaches them.
    Exact form only.
    """
    price, below = state.sqrt_price_x96, state.ticks_below
    edges = [*ticks.sqrt_price_x96[:below], price, price, *ticks.sqrt_price_x96[below:]]
    amount0 = amount1 = 0
    for k, liquidity in enumerate(ticks.liquidity):
        if k <= below and k > 0:
            amount1 += amount1_down(edges[k - 1], edges[k], liquidity)
        if below <= k < len(ticks.tick):
            amount0 += amount0_down(edges[k + 1], edges[k + 2], liquidity)
    return amount0, amount1
