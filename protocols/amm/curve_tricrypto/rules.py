"""The rules of a tricrypto-ng pool (CurveTricryptoOptimized): exchange, the fee, and the price scale that follows.

Every exchange updates a moving average of the pool's own price. When the pool has earned enough, the price scale,
around which its liquidity is concentrated, is moved some way towards that average (:func:`_follow`), and half of what
was earned may be spent on that.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.amm.curve_tricrypto.invariant import (
    ONE,
    Three,
    Two,
    geometric_mean,
    get_p,
    get_y,
    has_share,
    newton_d,
    reduction_coefficient,
)
from protocols.amm.curve_tricrypto.roots import exponential, square_root
from protocols.amm.revert import Revert
from protocols.arithmetic import Number, div_down, floored, max_uint256, mul_div_down, rule

ONE_FEE = 10**10
_LEAST_SHARE = 10**16


class Terms(NamedTuple):
    """What of a pool does not change in exchanges.

    Attributes
    ----------
    precisions
        10 ** (18 - decimals) of each coin.
    mid_fee, out_fee
        Fee in balance and far from it, 1e10 = 100 %.
    fee_gamma
        How fast the fee rises from one to the other, 18 decimals.
    allowed_extra_profit
        What must have been earned on top before the price scale moves, 18 decimals.
    adjustment_step
        Least step of the price scale, 18 decimals.
    ma_time
        Time constant of the moving average, seconds.
    """

    precisions: Three
    mid_fee: Number
    out_fee: Number
    fee_gamma: Number
    allowed_extra_profit: Number
    adjustment_step: Number
    ma_time: Number


class Ramp(NamedTuple):
    """A (times 27 times 10,000) and gamma (18 decimals) at two times, linear between them and constant after."""

    initial_a: Number
    initial_gamma: Number
    initial_time: Number
    future_a: Number
    future_gamma: Number
    future_time: Number


class State(NamedTuple):
    """What an exchange reads and writes.

    Attributes
    ----------
    balances
        Of each coin, smallest units.
    d
        The invariant, 18 decimals.
    price_scale, price_oracle, last_prices
        Of the second and third coin in the first, 18 decimals: around which liquidity is concentrated, its moving
        average as of `last_timestamp`, and after the last exchange.
    last_timestamp
        Of the moving average, unix seconds.
    virtual_price, xcp_profit
        Of a pool token, and profit with the price scale's losses left out, 18 decimals.
    total_supply
        Of pool tokens.
    """

    balances: Three
    d: Number
    price_scale: Two
    price_oracle: Two
    last_prices: Two
    last_timestamp: Number
    virtual_price: Number
    xcp_profit: Number
    total_supply: Number


class Trade(NamedTuple):
    """What an exchange pays out and the fee it keeps of that, the balances after, and K0 on the way there, or 0."""

    received: Number
    fee: Number
    balances: Three
    k0: Number


class Exchange(NamedTuple):
    """What an exchange paid out, the fee it kept of that, smallest units, and the state it left."""

    received: Number
    fee: Number
    state: State


@rule
def a_gamma(ramp: Ramp, now: Number) -> Two:
    """CurveTricryptoOptimized._A_gamma."""
    if now >= ramp.future_time:
        return ramp.future_a, ramp.future_gamma
    length = ramp.future_time - ramp.initial_time
    gone = now - ramp.initial_time
    return (
        floored(div_down(ramp.initial_a * (length - gone) + ramp.future_a * gone, length)),
        floored(div_down(ramp.initial_gamma * (length - gone) + ramp.future_gamma * gone, length)),
    )


@rule
def with_balance(x: Three, i: int, balance: Number) -> Three:
    """Three balances with the i-th replaced."""
    return balance if i == 0 else x[0], balance if i == 1 else x[1], balance if i == 2 else x[2]


@rule
def scaled(terms: Terms, price_scale: Two, balances: Three) -> Three:
    """CurveTricryptoOptimized.xp: balances in the first coin at the price scale, 18 decimals."""
    return (
        balances[0] * terms.precisions[0],
        mul_div_down(balances[1] * price_scale[0], terms.precisions[1], ONE),
        mul_div_down(balances[2] * price_scale[1], terms.precisions[2], ONE),
    )


@rule
def fee(terms: Terms, x: Three) -> Number:
    """CurveTricryptoOptimized._fee: 1e10 = 100 %."""
    f = reduction_coefficient(x, terms.fee_gamma)
    return floored(div_down(terms.mid_fee * f + terms.out_fee * (ONE - f), ONE))


@rule
def invariant(terms: Terms, ramp: Ramp, state: State, now: Number) -> Number:
    """D of the balances: as stored, but while A and gamma ramp computed anew."""
    if ramp.future_time > now:
        ann, gamma = a_gamma(ramp, now)
        return newton_d(ann, gamma, scaled(terms, state.price_scale, state.balances), 0)
    return state.d


@rule
def trade(terms: Terms, ramp: Ramp, state: State, now: Number, i: int, j: int, paid: Number) -> Trade:
    """What an exchange pays out, before anything follows from it: the first part of _exchange, and get_dy.

    Raises
    ------
    Revert
        As :func:`exchange` does.
    """
    if i == j or not paid > 0:
        raise Revert("")
    ann, gamma = a_gamma(ramp, now)
    d = invariant(terms, ramp, state, now)
    grown = with_balance(state.balances, i, state.balances[i] + paid)
    if grown[i] * terms.precisions[i] * (ONE if i == 0 else state.price_scale[i - 1]) > max_uint256():
        raise Revert("")
    x = scaled(terms, state.price_scale, grown)
    y, k0 = get_y(ann, gamma, x, d, j)
    if x[j] < y + 1:
        raise Revert("")
    gross = x[j] - y - 1
    if j > 0:
        gross = mul_div_down(gross, ONE, state.price_scale[j - 1])
    gross = floored(div_down(gross, terms.precisions[j]))
    kept = floored(mul_div_down(fee(terms, with_balance(x, j, y)), gross, ONE_FEE))
    received = gross - kept
    return Trade(received, kept, with_balance(grown, j, grown[j] - received), k0)


@rule
def exchange(
    terms: Terms, ramp: Ramp, state: State, now: Number, i: int, j: int, paid: Number, least: Number
) -> Exchange:
    """CurveTricryptoOptimized.exchange.

    Parameters
    ----------
    now
        Time of the block, unix seconds.
    i, j, paid, least
        Coin paid in, coin paid out, amount, and the least to be paid out; smallest units.

    Raises
    ------
    Revert
        With the contract's reason, which is empty where arithmetic or an assertion without a text fails.
    """
    traded = trade(terms, ramp, state, now, i, j, paid)
    if traded.received < least:
        raise Revert("Slippage")
    ann, gamma = a_gamma(ramp, now)
    after = _tweak_price(terms, ramp, state, now, ann, gamma, traded)
    return Exchange(traded.received, traded.fee, after)


@rule
def moving_average(terms: Terms, state: State, now: Number) -> Two:
    """CurveTricryptoOptimized.price_oracle: the moving average as of now, of prices capped at twice the price scale."""
    if not state.last_timestamp < now:
        return state.price_oracle
    alpha = exponential(-div_down((now - state.last_timestamp) * ONE, terms.ma_time))
    return (
        div_down(
            min(state.last_prices[0], 2 * state.price_scale[0]) * (ONE - alpha) + state.price_oracle[0] * alpha, ONE
        ),
        div_down(
            min(state.last_prices[1], 2 * state.price_scale[1]) * (ONE - alpha) + state.price_oracle[1] * alpha, ONE
        ),
    )


@rule
def get_xcp(d: Number, price_scale: Two) -> Number:
    """CurveTricryptoOptimized.get_xcp: what the pool would be worth in balance, in units of a pool token."""
    return geometric_mean(
        (
            div_down(d, 3),
            mul_div_down(d, ONE, 3 * price_scale[0]),
            mul_div_down(d, ONE, 3 * price_scale[1]),
        )
    )


@rule
def _tweak_price(
    terms: Terms, ramp: Ramp, state: State, now: Number, ann: Number, gamma: Number, traded: Trade
) -> State:
    """CurveTricryptoOptimized.tweak_price after an exchange."""
    scale = state.price_scale
    oracle = moving_average(terms, state, now)
    x = scaled(terms, scale, traded.balances)
    d = newton_d(ann, gamma, x, traded.k0)
    prices = get_p(x, d, ann, gamma)
    virtual_price, xcp_profit = ONE, ONE
    if state.virtual_price > 0:
        virtual_price = mul_div_down(ONE, get_xcp(d, scale), state.total_supply)
        xcp_profit = mul_div_down(state.xcp_profit, virtual_price, state.virtual_price)
        if ramp.future_time < now and not virtual_price > state.virtual_price:
            raise Revert("Loss")
    after = State(
        traded.balances,
        d,
        scale,
        oracle,
        (mul_div_down(prices[0], scale[0], ONE), mul_div_down(prices[1], scale[1], ONE)),
        max(now, state.last_timestamp),
        virtual_price,
        xcp_profit,
        state.total_supply,
    )
    if virtual_price * 2 - ONE > xcp_profit + 2 * terms.allowed_extra_profit:
        return _follow(terms, after, ann, gamma, x)
    return after


@rule
def _follow(terms: Terms, state: State, ann: Number, gamma: Number, x: Three) -> State:
    """The second half of tweak_price: the price scale goes one step towards the moving average, if that leaves half of
    the profit."""
    scale, oracle = state.price_scale, state.price_oracle
    norm = square_root(
        abs(mul_div_down(oracle[0], ONE, scale[0]) - ONE) ** 2 + abs(mul_div_down(oracle[1], ONE, scale[1]) - ONE) ** 2
    )
    step = max(terms.adjustment_step, div_down(norm, 5))
    if not norm > step:
        return state
    moved = (
        div_down(scale[0] * (norm - step) + step * oracle[0], norm),
        div_down(scale[1] * (norm - step) + step * oracle[1], norm),
    )
    at_moved = x[0], mul_div_down(x[1], moved[0], scale[0]), mul_div_down(x[2], moved[1], scale[1])
    d = newton_d(ann, gamma, at_moved, 0)
    for balance in at_moved:
        if not has_share(balance, d, _LEAST_SHARE):
            raise Revert("")
    virtual_price = mul_div_down(ONE, get_xcp(d, moved), state.total_supply)
    if virtual_price > ONE and 2 * virtual_price - ONE > state.xcp_profit:
        return State(
            state.balances,
            d,
            moved,
            oracle,
            state.last_prices,
            state.last_timestamp,
            virtual_price,
            state.xcp_profit,
            state.total_supply,
        )
    return state
