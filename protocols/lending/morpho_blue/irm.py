"""Interest rate models: what a market's debt costs over the time since it was last touched.

Morpho asks a contract of the market's choice. There are three kinds: none (no interest), a fixed rate, and the
adaptive curve, which remembers a rate at target utilisation and moves it exponentially while utilisation is off target.

Sources: AdaptiveCurveIrm, its ExpLib and ConstantsLib, and FixedRateIrm of morpho-blue-irm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from protocols.arithmetic import Number, primitive, rule, zero
from protocols.lending.morpho_blue.shares import WAD, wad_div_down
from protocols.lending.morpho_blue.state import Totals

NO_INTEREST, FIXED_RATE, ADAPTIVE_CURVE = 0, 1, 2

SECONDS_PER_YEAR = 365 * 24 * 3600
CURVE_STEEPNESS = 4
SLOPE_BELOW = WAD - WAD // CURVE_STEEPNESS
SLOPE_ABOVE = CURVE_STEEPNESS * WAD - WAD
ADJUSTMENT_SPEED = 50 * WAD // SECONDS_PER_YEAR
TARGET_UTILIZATION = 9 * WAD // 10
INITIAL_RATE_AT_TARGET = 4 * WAD // 100 // SECONDS_PER_YEAR
MIN_RATE_AT_TARGET = WAD // 1000 // SECONDS_PER_YEAR
MAX_RATE_AT_TARGET = 2 * WAD // SECONDS_PER_YEAR
LN_2 = 693_147_180_559_945_309


@primitive(lambda: -41.446531673892822312e18)
def ln_wei() -> Number:
    """ExpLib.LN_WEI_INT: below it the exponential is less than 1e-18."""
    return -41_446531673892822312


@primitive(lambda: 93.859467695000404319e18)
def exp_upper_bound() -> Number:
    """ExpLib.WEXP_UPPER_BOUND: from here on the exponential is clipped."""
    return 93_859467695000404319


@primitive(lambda: 5.7716089161558943949701069502944508345128422502756744429568e58)
def exp_upper_value() -> Number:
    """ExpLib.WEXP_UPPER_VALUE: what it is clipped to."""
    return 57716089161558943949701069502944508345128_422502756744429568


@primitive(lambda a, b: np.trunc(a / b))
def div_to_zero(a: Number, b: Number) -> Number:
    """Quotient of signed integers rounded toward zero, as Solidity's; rates are few units, so the fast form rounds."""
    return a // b if (a < 0) == (b < 0) else -(-a // b)


@primitive(lambda x, q: x * 2.0**q)
def times_power_of_two(x: Number, q: Number) -> Number:
    """x shifted left by q bits, right (and down) where q is negative."""
    return x << q if q >= 0 else x >> -q


class Rate(NamedTuple):
    """What a model answers.

    Attributes
    ----------
    average_wad
        The rate a second that interest is computed with.
    stored_wad
        What the model remembers from now on: the adaptive curve's rate at target, a fixed rate.
    """

    average_wad: Number
    stored_wad: Number


@rule
def borrow_rate(irm: int, stored_wad: Number, totals: Totals, now: Number) -> Rate:
    """IIrm.borrowRate for the time from ``totals.last_update`` to `now`; `stored_wad` as in :class:`Rate`."""
    if irm == NO_INTEREST:
        return Rate(zero(), stored_wad)
    if irm == FIXED_RATE:
        return Rate(stored_wad, stored_wad)
    return adaptive_rate(stored_wad, totals, now)


@rule
def adaptive_rate(start: Number, totals: Totals, now: Number) -> Rate:
    """AdaptiveCurveIrm._borrowRate; `start` is ``rateAtTarget(id)``, 0 before the first interaction."""
    utilization = zero()
    if totals.supply_assets > 0:
        utilization = wad_div_down(totals.borrow_assets, totals.supply_assets)
    norm = WAD - TARGET_UTILIZATION if utilization > TARGET_UTILIZATION else TARGET_UTILIZATION
    error = div_to_zero((utilization - TARGET_UTILIZATION) * WAD, norm)
    if start == 0:
        initial = zero() + INITIAL_RATE_AT_TARGET
        return Rate(curve(initial, error), initial)
    adaptation = div_to_zero(ADJUSTMENT_SPEED * error, WAD) * (now - totals.last_update)
    if adaptation == 0:
        return Rate(curve(start, error), start)
    # the integral of the exponential path by the trapezoidal rule in two steps
    end = new_rate_at_target(start, adaptation)
    middle = new_rate_at_target(start, div_to_zero(adaptation, 2))
    return Rate(curve(div_to_zero(start + end + 2 * middle, 4), error), end)


@rule
def curve(rate_at_target: Number, error: Number) -> Number:
    """AdaptiveCurveIrm._curve: a quarter of the rate at target with nothing lent, four times it with everything."""
    slope = SLOPE_BELOW if error < 0 else SLOPE_ABOVE
    return div_to_zero((div_to_zero(slope * error, WAD) + WAD) * rate_at_target, WAD)


@rule
def new_rate_at_target(start: Number, adaptation: Number) -> Number:
    """AdaptiveCurveIrm._newRateAtTarget."""
    moved = div_to_zero(start * wad_exp(adaptation), WAD)
    return max(min(moved, zero() + MAX_RATE_AT_TARGET), zero() + MIN_RATE_AT_TARGET)


@rule
def wad_exp(x: Number) -> Number:
    """ExpLib.wExp: 2^q e^r with the second-order polynomial of e^r, which is off by up to half a percent."""
    if x < ln_wei():
        return zero()
    if x >= exp_upper_bound():
        return exp_upper_value()
    half = LN_2 // 2 if x >= 0 else -(LN_2 // 2)
    q = div_to_zero(x + half, LN_2)
    r = x - q * LN_2
    return times_power_of_two(WAD + r + div_to_zero(div_to_zero(r * r, WAD), 2), q)
