"""Interest: what principals are worth, how indices grow, and what the protocol has of its own.

Source: Comet (accruedInterestIndices, getSupplyRate, getBorrowRate, getUtilization, getReserves) and CometCore
(presentValue, principalValue).
"""

from __future__ import annotations

from protocols.arithmetic import Number, floored, mul_div_down, rule, zero
from protocols.lending.compound_v3.state import BASE, Configuration, Reserves, Totals

FACTOR_SCALE = 10**18
BASE_INDEX_SCALE = 10**15


@rule
def mul_factor(amount: Number, factor: Number) -> Number:
    """Comet.mulFactor: an amount times a factor, rounded down."""
    return floored(mul_div_down(amount, factor, FACTOR_SCALE))


@rule
def present_value(principal: Number, index: Number) -> Number:
    """CometCore.presentValueSupply and presentValueBorrow: what a principal (not negative) is worth, rounded down."""
    return floored(mul_div_down(principal, index, BASE_INDEX_SCALE))


@rule
def supply_principal(value: Number, index: Number) -> Number:
    """CometCore.principalValueSupply: the principal of a supply, rounded down."""
    return floored(mul_div_down(value, BASE_INDEX_SCALE, index))


@rule
def utilization(totals: Totals) -> Number:
    """Comet.getUtilization at the stored indices: all debt over all supply, 1e18 being all; may be more."""
    supplied = present_value(totals.supply_principal, totals.supply_index)
    if supplied == 0:
        return zero()
    return floored(mul_div_down(present_value(totals.borrow_principal, totals.borrow_index), FACTOR_SCALE, supplied))


@rule
def rate_at(usage: Number, kink: Number, base: Number, slope_low: Number, slope_high: Number) -> Number:
    """Comet.getSupplyRate and getBorrowRate: the rate a second at a utilization, 1e18 being 100 %."""
    if usage <= kink:
        return base + mul_factor(slope_low, usage)
    return base + mul_factor(slope_low, kink) + mul_factor(slope_high, usage - kink)


@rule
def accrued(configuration: Configuration, totals: Totals, now: Number) -> Totals:
    """Comet.accrueInternal: the totals with interest up to `now`, at the rates of the stored utilization."""
    seconds = now - totals.last_accrual
    if seconds == 0:
        return totals
    c, usage = configuration, utilization(totals)
    supply_rate = rate_at(usage, c.supply_kink, c.supply_base, c.supply_slope_low, c.supply_slope_high)
    borrow_rate = rate_at(usage, c.borrow_kink, c.borrow_base, c.borrow_slope_low, c.borrow_slope_high)
    return Totals(
        totals.supply_index + mul_factor(totals.supply_index, supply_rate * seconds),
        totals.borrow_index + mul_factor(totals.borrow_index, borrow_rate * seconds),
        totals.supply_principal,
        totals.borrow_principal,
        now,
    )


@rule
def protocol_reserves(totals: Totals, reserves: Reserves) -> Number:
    """Comet.getReserves at the time of `totals`: the base token that is the protocol's own, negative if lenders are
    owed more than there is."""
    supplied = present_value(totals.supply_principal, totals.supply_index)
    borrowed = present_value(totals.borrow_principal, totals.borrow_index)
    return reserves.balance_raw[BASE] - supplied + borrowed
