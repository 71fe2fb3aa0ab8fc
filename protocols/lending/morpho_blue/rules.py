"""A Morpho market: interest, health and liquidation.

The functions follow Morpho.sol of morpho-blue (1.0): :func:`accrue` is ``_accrueInterest``, :func:`is_healthy`
``_isHealthy``, :func:`liquidate` the rest of ``liquidate``. They change nothing: what they give back holds the
state after. A liquidation that reverts gives an error code of this module instead.

Nothing is clamped: asking for more debt or collateral than there is reverts. When no collateral at all is left, what
is still owed is at once taken from what the market's lenders own. One unit of collateral that a liquidator leaves
behind prevents that: the debt then stays in the totals, earns interest that nobody will pay, and nothing is realised.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import Number, floored, mul_div_down, mul_div_up, rule, zero
from protocols.arithmetic import ceiled as rounded_up
from protocols.lending.morpho_blue.irm import NO_INTEREST, borrow_rate
from protocols.lending.morpho_blue.shares import (
    VIRTUAL_ASSETS,
    WAD,
    max_uint128,
    oracle_price_scale,
    overflows,
    to_assets_down,
    to_assets_up,
    to_shares_down,
    to_shares_up,
    wad_div_down,
    wad_div_up,
    wad_mul_down,
)
from protocols.lending.morpho_blue.state import Parameters, Position, Totals

LIQUIDATION_CURSOR = 3 * WAD // 10
MAX_LIQUIDATION_INCENTIVE_FACTOR = 115 * WAD // 100


class Constants(NamedTuple):
    """What Morpho has for good of the liquidation incentive factor, and an audit may ask about.

    Attributes
    ----------
    liquidation_cursor_wad
        The share of the room above the LLTV that the incentive takes.
    max_incentive_factor_wad
        The highest factor, whatever the LLTV.
    """

    liquidation_cursor_wad: Number = LIQUIDATION_CURSOR
    max_incentive_factor_wad: Number = MAX_LIQUIDATION_INCENTIVE_FACTOR


OWN = Constants()
"""The contract's own."""

OK, INCONSISTENT_INPUT, HEALTHY_POSITION, ARITHMETIC_PANIC, DIVISION_PANIC, MAX_UINT128_EXCEEDED = range(6)
REVERTS = {
    OK: "",
    INCONSISTENT_INPUT: "inconsistent input",
    HEALTHY_POSITION: "position is healthy",
    ARITHMETIC_PANIC: "Panic(0x11)",
    DIVISION_PANIC: "Panic(0x12)",
    MAX_UINT128_EXCEEDED: "max uint128 exceeded",
}
"""What the contract reverts with (ErrorsLib), by error code."""


class Accrual(NamedTuple):
    """Interest up to one moment.

    Attributes
    ----------
    totals
        With it.
    rate_wad, stored_wad
        The rate a second that was charged, and what the interest rate model remembers from now on.
    interest
        Added to what is owed and to what is lent.
    fee_shares
        Supply shares made for the fee recipient.
    """

    totals: Totals
    rate_wad: Number
    stored_wad: Number
    interest: Number
    fee_shares: Number


class Liquidation(NamedTuple):
    """What a liquidation does.

    Attributes
    ----------
    error
        Why it reverts, 0 if it does not; otherwise the rest is as before.
    seized
        Collateral the liquidator gets.
    repaid_assets, repaid_shares
        What it pays, and the debt shares that are gone for it.
    bad_debt_assets, bad_debt_shares
        Debt that is written off, at the cost of the lenders.
    emptied
        No collateral is left.
    totals, position
        After it.
    """

    error: int
    seized: Number
    repaid_assets: Number
    repaid_shares: Number
    bad_debt_assets: Number
    bad_debt_shares: Number
    emptied: bool
    totals: Totals
    position: Position


# --- interest ---------------------------------------------------------------------------------------------------


@rule
def taylor_compounded(rate_wad: Number, seconds: Number) -> Number:
    """MathLib.wTaylorCompounded: e^(rate * seconds) - 1 to the third order, in wad."""
    first = rate_wad * seconds
    second = floored(mul_div_down(first, first, 2 * WAD))
    third = floored(mul_div_down(second, first, 3 * WAD))
    return first + second + third


@rule
def charge(totals: Totals, fee_wad: Number, rate_wad: Number, now: Number) -> Accrual:
    """Interest at a given rate a second from ``totals.last_update`` to `now`; `stored_wad` is that rate."""
    interest = wad_mul_down(totals.borrow_assets, taylor_compounded(rate_wad, now - totals.last_update))
    supply_assets = totals.supply_assets + interest
    fee_shares = zero()
    if fee_wad != 0:
        # the fee is part of what is lent already, but no share of it is the fee recipient's yet
        fee = wad_mul_down(interest, fee_wad)
        fee_shares = to_shares_down(fee, supply_assets - fee, totals.supply_shares)
    charged = Totals(
        supply_assets,
        totals.supply_shares + fee_shares,
        totals.borrow_assets + interest,
        totals.borrow_shares,
        now,
    )
    return Accrual(charged, rate_wad, rate_wad, interest, fee_shares)


@rule
def accrue(parameters: Parameters, stored_wad: Number, totals: Totals, now: Number) -> Accrual:
    """Morpho._accrueInterest at `now`; `stored_wad` is the interest rate model's memory."""
    nothing = zero()
    if now == totals.last_update:
        return Accrual(totals, nothing, stored_wad, nothing, nothing)
    if parameters.irm == NO_INTEREST:
        untouched = Totals(totals.supply_assets, totals.supply_shares, totals.borrow_assets, totals.borrow_shares, now)
        return Accrual(untouched, nothing, stored_wad, nothing, nothing)
    rate = borrow_rate(parameters.irm, stored_wad, totals, now)
    charged = charge(totals, parameters.fee_wad, rate.average_wad, now)
    return Accrual(charged.totals, rate.average_wad, rate.stored_wad, charged.interest, charged.fee_shares)


# --- health -----------------------------------------------------------------------------------------------------


@rule
def owed(totals: Totals, shares: Number) -> Number:
    """What debt shares owe, smallest units of the loan token; `totals` with interest to now."""
    return to_assets_up(shares, totals.borrow_assets, totals.borrow_shares)


@rule
def borrow_limit(collateral: Number, price: Number, lltv_wad: Number) -> Number:
    """The debt up to which an account with `collateral` is healthy."""
    return wad_mul_down(floored(mul_div_down(collateral, price, oracle_price_scale())), lltv_wad)


@rule
def is_healthy(totals: Totals, position: Position, price: Number, lltv_wad: Number) -> bool:
    """Morpho._isHealthy."""
    return bool(borrow_limit(position.collateral, price, lltv_wad) >= owed(totals, position.borrow_shares))


@rule
def incentive_factor(lltv_wad: Number, constants: Constants) -> Number:
    """The liquidation incentive factor (LIF) in wad: what is seized is worth this much of what is repaid."""
    cursor, most = zero() + constants.liquidation_cursor_wad, zero() + constants.max_incentive_factor_wad
    return min(most, wad_div_down(zero() + WAD, WAD - wad_mul_down(cursor, WAD - lltv_wad)))


# --- liquidation ------------------------------------------------------------------------------------------------


@rule
def shares_for(seized: Number, totals: Totals, price: Number, factor_wad: Number) -> Number:
    """Debt shares that must be repaid for `seized` units of collateral; `factor_wad` is the LIF."""
    quoted = rounded_up(mul_div_up(seized, price, oracle_price_scale()))
    assets = wad_div_up(quoted, factor_wad)
    return to_shares_up(assets, totals.borrow_assets, totals.borrow_shares)


@rule
def seized_for(shares: Number, totals: Totals, price: Number, factor_wad: Number) -> Number:
    """Collateral that repaying `shares` gives; `factor_wad` is the LIF, and the price must not be 0."""
    assets = to_assets_down(shares, totals.borrow_assets, totals.borrow_shares)
    return floored(mul_div_down(wad_mul_down(assets, factor_wad), oracle_price_scale(), price))


@rule
def refused(error: int, totals: Totals, position: Position) -> Liquidation:
    """A liquidation that reverts."""
    nothing = zero()
    return Liquidation(error, nothing, nothing, nothing, nothing, nothing, False, totals, position)


@rule
def liquidate(
    totals: Totals,
    position: Position,
    price: Number,
    lltv_wad: Number,
    factor_wad: Number,
    seized: Number,
    shares: Number,
) -> Liquidation:
    """Morpho.liquidate, by collateral (`seized`) or by debt shares (`shares`): the other one must be 0.

    Parameters
    ----------
    totals
        With interest to now.
    price
        The oracle's, smallest units of the loan token for 1e36 of the collateral's.
    factor_wad
        The LLTV's :func:`incentive_factor`, which the contract computes here.
    """
    if (seized == 0) == (shares == 0):
        return refused(INCONSISTENT_INPUT, totals, position)
    if overflows(position.collateral, price):
        return refused(ARITHMETIC_PANIC, totals, position)
    if is_healthy(totals, position, price, lltv_wad):
        return refused(HEALTHY_POSITION, totals, position)

    if seized > 0:
        if overflows(seized, price):
            return refused(ARITHMETIC_PANIC, totals, position)
        taken, repaid = seized, shares_for(seized, totals, price, factor_wad)
    else:
        if overflows(shares, totals.borrow_assets + VIRTUAL_ASSETS):
            return refused(ARITHMETIC_PANIC, totals, position)
        if price == 0:
            return refused(DIVISION_PANIC, totals, position)
        taken, repaid = seized_for(shares, totals, price, factor_wad), shares
    paid = owed(totals, repaid)
    if repaid > max_uint128():
        return refused(MAX_UINT128_EXCEEDED, totals, position)
    if repaid > position.borrow_shares:
        return refused(ARITHMETIC_PANIC, totals, position)
    if taken > max_uint128():
        return refused(MAX_UINT128_EXCEEDED, totals, position)
    if taken > position.collateral:
        return refused(ARITHMETIC_PANIC, totals, position)

    supply_assets = totals.supply_assets
    borrow_assets = totals.borrow_assets - min(totals.borrow_assets, paid)
    borrow_shares = totals.borrow_shares - repaid
    left = position.borrow_shares - repaid
    emptied = taken == position.collateral
    bad_shares = bad_assets = zero()
    if emptied:
        bad_shares = left
        bad_assets = min(borrow_assets, to_assets_up(left, borrow_assets, borrow_shares))
        left = zero()
    after = Totals(
        supply_assets - bad_assets,
        totals.supply_shares,
        borrow_assets - bad_assets,
        borrow_shares - bad_shares,
        totals.last_update,
    )
    return Liquidation(
        OK, taken, paid, repaid, bad_assets, bad_shares, emptied, after, Position(left, position.collateral - taken)
    )


# --- lenders ----------------------------------------------------------------------------------------------------


@rule
def withdraw(totals: Totals, assets: Number) -> Totals:
    """Morpho.withdraw of `assets`, of which the market must have so many that are not lent; `totals` with interest to
    now."""
    return Totals(
        totals.supply_assets - assets,
        totals.supply_shares - to_shares_up(assets, totals.supply_assets, totals.supply_shares),
        totals.borrow_assets,
        totals.borrow_shares,
        totals.last_update,
    )
