"""The rules of Pendle v2 markets: what a trade of principal tokens (PT) for standardized yield (SY) costs.

MarketMathCore, SYUtils and PMath of pendle-core-v2. A market prices a PT by the *exchange rate*, PT for one unit of
the accounting asset, which the logit of the share of PT in the market makes:

    rate = ln(p / (1 - p)) / scalar + anchor,        p = PT / (PT + asset)

The scalar grows as the expiry comes nearer, so that the curve gets flatter. The anchor is chosen anew before each
trade, so that the market starts from the implied rate of interest that its last trade left: what time alone does to
the price is that rate, and at the expiry a PT is worth one. One unit of SY is worth `py_index` of the asset.

All rates have 18 decimals; amounts are smallest units, of the asset and of PT in the decimals of the asset.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from protocols.amm import logarithm
from protocols.amm.revert import Revert
from protocols.arithmetic import Number, ceiled, floored, mul_div_down, mul_div_up, primitive, rule

ONE = 10**18
YEAR = 365 * 86_400
"""MarketMathCore.IMPLIED_RATE_TIME, seconds: what implied rates are for."""
MAX_PROPORTION = 96 * 10**16
"""Largest share of PT that a trade may leave (MarketMathCore.MAX_MARKET_PROPORTION)."""


class Terms(NamedTuple):
    """What trades do not change.

    Attributes
    ----------
    scalar_root
        The rate scalar of a market with a year to go, 18 decimals.
    expiry
        When the PT can be redeemed and the market closes, unix seconds.
    ln_fee_rate_root
        Logarithm of the fee of a market with a year to go: what it adds to the implied rate; 18 decimals.
    reserve_fee_percent
        Part of the fee that leaves the market for the treasury, per cent.
    py_index
        ``pyIndexCurrent`` of the yield token: assets for one SY, 18 decimals.
    asks_for_fee
        Whether a trade must leave a fee to liquidity providers, as since version 6.
    """

    scalar_root: Number
    expiry: Number
    ln_fee_rate_root: Number
    reserve_fee_percent: Number
    py_index: Number
    asks_for_fee: bool


class State(NamedTuple):
    """What trades change.

    Attributes
    ----------
    total_pt, total_sy
        What the market holds, smallest units.
    last_ln_implied_rate
        Logarithm of the rate of interest for a year at which the last trade left the market, 18 decimals.
    """

    total_pt: Number
    total_sy: Number
    last_ln_implied_rate: Number


class Prepared(NamedTuple):
    """What a trade of any size starts from: MarketPreCompute.

    Attributes
    ----------
    rate_scalar, rate_anchor
        Of the curve now, 18 decimals.
    total_asset
        What the market's SY is worth, smallest units of the asset.
    fee_rate
        By how much a trade's exchange rate is worse for the trader, 1e18 = not at all.
    """

    rate_scalar: Number
    total_asset: Number
    rate_anchor: Number
    fee_rate: Number


class Trade(NamedTuple):
    """What a trade does.

    Attributes
    ----------
    sy
        What the trader gets for PT sold, or pays for PT bought, smallest units.
    fee
        What of that the trader would have had, or kept, without a fee.
    to_reserve
        What of the fee leaves the market.
    state
        The market after it.
    """

    sy: Number
    fee: Number
    to_reserve: Number
    state: State


# --- fixed point --------------------------------------------------------------------------------------------------


@primitive(lambda a, b: a * 1e18 / b)
def _signed_div_down(a: Number, b: Number) -> Number:
    """PMath.divDown of int256, for b above 0: towards zero, as the EVM divides."""
    size = abs(a) * ONE // b
    return -size if a < 0 else size


@primitive(lambda a, p: a * (p / 100))
def _percent(a: Number, p: Number) -> Number:
    """Floor of p per cent; the float form gives all of it for a hundred."""
    return a * p // 100


@rule
def ln(x: Number) -> Number:
    """LogExpMath.ln; raises Revert as the contract does for what has no logarithm."""
    if x <= 0:
        raise Revert("out of bounds")
    return _ln(x)


@primitive(lambda x: np.log(x / 1e18) * 1e18)
def _ln(x: Number) -> Number:
    near_one = logarithm.is_near_one(x)
    size = logarithm.logarithm_size_near_one(x) // ONE if near_one else logarithm.logarithm_size(x)
    return size if x >= ONE else -size


@primitive(lambda x: np.exp(x / 1e18) * 1e18)
def exp(x: Number) -> Number:
    """LogExpMath.exp, for x of 0 or more; raises Revert as the contract does beyond 130."""
    if x > logarithm.LARGEST_EXPONENT:
        raise Revert("Invalid exponent")
    return logarithm.exponential(x)


MAX_LN_FEE_RATE_ROOT: int = ln(105 * 10**16)
"""Largest fee that factories allow (maxLnFeeRateRoot): 5 % with a year to go."""


# --- the curve ----------------------------------------------------------------------------------------------------


@rule
def exchange_rate_of(ln_implied_rate: Number, time_to_expiry: Number) -> Number:
    """MarketMathCore._getExchangeRateFromImpliedRate: E = e^(rt)."""
    return exp(mul_div_down(ln_implied_rate, time_to_expiry, YEAR))


@rule
def _log_proportion(proportion: Number) -> Number:
    if proportion == ONE:
        raise Revert("MarketProportionMustNotEqualOne")
    return ln(floored(mul_div_down(proportion, ONE, ONE - proportion)))


@rule
def _exchange_rate(total_pt: Number, total: Number, rate_scalar: Number, rate_anchor: Number) -> Number:
    """MarketMathCore._getExchangeRate: with so many PT left of a total of PT and assets."""
    proportion = floored(mul_div_down(total_pt, ONE, total))
    if proportion > MAX_PROPORTION:
        raise Revert("MarketProportionTooHigh")
    rate = _signed_div_down(_log_proportion(proportion), rate_scalar) + rate_anchor
    if rate < ONE:
        raise Revert("MarketExchangeRateBelowOne")
    return rate


@rule
def prepare(terms: Terms, state: State, now: Number) -> Prepared:
    """MarketMathCore.getMarketPreCompute.

    Raises
    ------
    Revert
        ``MarketExpired`` from the expiry on; the contract's own reason if the market has no PT, no SY or no curve.
    """
    if now >= terms.expiry:
        raise Revert("MarketExpired")
    time_to_expiry = terms.expiry - now
    rate_scalar = floored(mul_div_down(terms.scalar_root, YEAR, time_to_expiry))
    if rate_scalar <= 0:
        raise Revert("MarketRateScalarBelowZero")
    total_asset = floored(mul_div_down(state.total_sy, terms.py_index, ONE))
    if state.total_pt == 0 or total_asset == 0:
        raise Revert("MarketZeroTotalPtOrTotalAsset")
    last_rate = exchange_rate_of(state.last_ln_implied_rate, time_to_expiry)
    proportion = floored(mul_div_down(state.total_pt, ONE, state.total_pt + total_asset))
    rate_anchor = last_rate - _signed_div_down(_log_proportion(proportion), rate_scalar)
    return Prepared(rate_scalar, total_asset, rate_anchor, exchange_rate_of(terms.ln_fee_rate_root, time_to_expiry))


# --- trades -------------------------------------------------------------------------------------------------------


@rule
def sell_pt(terms: Terms, state: State, now: Number, amount: Number) -> Trade:
    """PendleMarket.swapExactPtForSy: what so many PT bring.

    Raises
    ------
    Revert
        With the name of the contract's error, or its text.
    """
    ready = prepare(terms, state, now)
    total = state.total_pt + ready.total_asset
    rate = _exchange_rate(state.total_pt + amount, total, ready.rate_scalar, ready.rate_anchor)
    before_fee = floored(mul_div_down(amount, ONE, rate))
    fee = floored(mul_div_down(before_fee, ready.fee_rate - ONE, ready.fee_rate))
    to_reserve = _to_sy(terms, floored(_percent(fee, terms.reserve_fee_percent)))
    sy = _to_sy(terms, before_fee - fee)
    return _traded(terms, ready, now, sy, fee, to_reserve, state.total_pt + amount, state.total_sy - (sy + to_reserve))


@rule
def buy_pt(terms: Terms, state: State, now: Number, amount: Number) -> Trade:
    """PendleMarket.swapSyForExactPt: what so many PT cost.

    Raises
    ------
    Revert
        With the name of the contract's error, or its text.
    """
    if now >= terms.expiry:
        raise Revert("MarketExpired")
    if state.total_pt <= amount:
        raise Revert("MarketInsufficientPtForTrade")
    ready = prepare(terms, state, now)
    total = state.total_pt + ready.total_asset
    rate = _exchange_rate(state.total_pt - amount, total, ready.rate_scalar, ready.rate_anchor)
    if amount > 0 and mul_div_down(rate, ONE, ready.fee_rate) < ONE:
        raise Revert("MarketExchangeRateBelowOne")
    before_fee = floored(mul_div_down(amount, ONE, rate))
    fee = floored(mul_div_down(before_fee, ready.fee_rate - ONE, ONE))
    to_reserve = _to_sy(terms, floored(_percent(fee, terms.reserve_fee_percent)))
    sy = ceiled(mul_div_up(before_fee + fee, ONE, terms.py_index))
    return _traded(terms, ready, now, sy, fee, to_reserve, state.total_pt - amount, state.total_sy + sy - to_reserve)


@rule
def _to_sy(terms: Terms, assets: Number) -> Number:
    """SYUtils.assetToSy."""
    return floored(mul_div_down(assets, ONE, terms.py_index))


@rule
def _traded(
    terms: Terms,
    ready: Prepared,
    now: Number,
    sy: Number,
    fee_asset: Number,
    to_reserve: Number,
    total_pt: Number,
    total_sy: Number,
) -> Trade:
    """MarketMathCore._setNewMarketStateTrade: the trade with the implied rate at which it leaves the market; and the
    check of the fee at the end of the market's own functions."""
    total = total_pt + floored(mul_div_down(total_sy, terms.py_index, ONE))
    rate = _exchange_rate(total_pt, total, ready.rate_scalar, ready.rate_anchor)
    ln_implied_rate = floored(mul_div_down(ln(rate), YEAR, terms.expiry - now))
    if ln_implied_rate == 0:
        raise Revert("MarketZeroLnImpliedRate")
    fee = _to_sy(terms, fee_asset)
    if terms.asks_for_fee and floored(mul_div_down(fee - to_reserve, terms.py_index, ONE)) == 0:
        raise Revert("MarketZeroNetLPFee")
    return Trade(sy, fee, to_reserve, State(total_pt, total_sy, ln_implied_rate))
