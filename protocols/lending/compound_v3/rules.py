"""Liquidation in Compound v3: accounts are absorbed whole, and what was theirs is sold from a shop window.

An account whose debt exceeds its weighted collateral can be *absorbed* by anybody: the protocol takes all its
collateral at the oracle's prices less a penalty and pays its debt; what is left becomes the account's supply of base
token, and what is missing is the loss of the protocol's reserves. Nobody is paid for it. While reserves are below
their target, the collateral is for sale at a discount to the oracle's price.

All functions take the state as tuples of numbers and arrays (:mod:`protocols.lending.compound_v3.state`), in either
number system. `totals` are as stored unless it says otherwise.

Source: CometWithExtendedAssetList.sol and CometCore.sol of compound-finance/comet. Not modelled: the tracking of
rewards, tokens that take a fee of a transfer, and numbers beyond the 104 bits of a principal.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import Number, div_down, floored, mul_div_down, mul_div_up, rule, zero
from protocols.lending.compound_v3.rates import (
    FACTOR_SCALE,
    accrued,
    mul_factor,
    present_value,
    protocol_reserves,
    supply_principal,
)
from protocols.lending.compound_v3.state import BASE, Column, Configuration, Positions, Reserves, Totals
from protocols.lending.compound_v3.versions import (
    ARITHMETIC_PANIC,
    BAD_PRICE,
    DIVISION_PANIC,
    INSUFFICIENT_RESERVES,
    NOT_FOR_SALE,
    NOT_LIQUIDATABLE,
    OK,
    PAUSED,
    TOO_MUCH_SLIPPAGE,
)


class Health(NamedTuple):
    """Whether an account's debt is covered.

    Attributes
    ----------
    error
        Not 0 where the contract finds no price that it needs.
    liquidity
        Weighted value of the collateral less the value of the debt, 8 decimals; 0 or more is healthy.
    """

    error: int
    liquidity: Number


class Absorption(NamedTuple):
    """What absorbing an account does; amounts in base token.

    Attributes
    ----------
    error
        Why it reverts, 0 if it does not; otherwise the rest means nothing.
    debt
        What the account owed, with interest.
    paid
        What the protocol credits the account with (``AbsorbDebt.basePaidOut``): the collateral less the penalty, or
        the debt if that is more.
    surplus
        What the account has left, as a supply.
    shortfall
        What the collateral less the penalty is short of the debt.
    totals
        After it.
    """

    error: int
    debt: Number
    paid: Number
    surplus: Number
    shortfall: Number
    totals: Totals


class Purchase(NamedTuple):
    """What a purchase of collateral gives: why it reverts (0 if it does not), and the collateral."""

    error: int
    received: Number


# --- the account ----------------------------------------------------------------------------------------------


@rule
def mul_price(amount: Number, price: Number, scale: Number) -> Number:
    """Comet.mulPrice: the value of an amount, 8 decimals, rounded down (signedMulPrice: toward zero)."""
    return floored(mul_div_down(amount, price, scale))


@rule
def health(totals: Totals, reserves: Reserves, positions: Positions, account: int, factors: Column) -> Health:
    """Comet.isLiquidatable with the liquidate factors, isBorrowCollateralized with the borrow factors.

    The contract stops adding once the sum is not negative, and does not ask for the prices after that; collateral only
    adds to it, so that the sign of the whole sum is its answer.
    """
    principal = positions.principal[account]
    if principal >= 0:
        return Health(OK, zero())
    if reserves.price_raw[BASE] == 0:
        return Health(BAD_PRICE, zero())
    debt = present_value(-principal, totals.borrow_index)
    liquidity = -mul_price(debt, reserves.price_raw[BASE], reserves.scale[BASE])
    error = OK
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        r = positions.reserve[entry]
        balance = positions.balance_raw[entry]
        if balance != 0:
            if liquidity < 0 and reserves.price_raw[r] == 0:
                error = BAD_PRICE
            liquidity += mul_factor(mul_price(balance, reserves.price_raw[r], reserves.scale[r]), factors[r])
    return Health(error, liquidity)


# --- absorption -------------------------------------------------------------------------------------------------


@rule
def absorb_error(
    configuration: Configuration, totals: Totals, reserves: Reserves, positions: Positions, account: int
) -> int:
    """Why absorbing an account would revert, 0 if it would not; `totals` with interest up to now."""
    if configuration.absorb_paused:
        return PAUSED
    found = health(totals, reserves, positions, account, reserves.liquidate_factor)
    if found.error != OK:
        return found.error
    return OK if found.liquidity < 0 else NOT_LIQUIDATABLE


@rule
def absorb(
    configuration: Configuration,
    totals: Totals,
    reserves: Reserves,
    positions: Positions,
    account: int,
    now: Number,
) -> Absorption:
    """Comet.absorb of one account at `now`, interest accruing first.

    Changes `reserves` and `positions`, or nothing if what it returns has an error.
    """
    before = accrued(configuration, totals, now)
    error = absorb_error(configuration, before, reserves, positions, account)
    if error != OK:
        return Absorption(error, zero(), zero(), zero(), zero(), totals)
    principal = positions.principal[account]
    debt = present_value(-principal, before.borrow_index)
    value = zero()
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        r = positions.reserve[entry]
        seized = positions.balance_raw[entry]
        positions.balance_raw[entry] = zero()
        reserves.supplied_raw[r] -= seized
        value += mul_factor(mul_price(seized, reserves.price_raw[r], reserves.scale[r]), reserves.liquidation_factor[r])

    credit = floored(mul_div_down(value, reserves.scale[BASE], reserves.price_raw[BASE]))
    surplus = credit - debt if credit > debt else zero()
    shortfall = debt - credit if debt > credit else zero()
    kept = supply_principal(surplus, before.supply_index)
    positions.principal[account] = kept
    after = Totals(
        before.supply_index,
        before.borrow_index,
        before.supply_principal + kept,
        before.borrow_principal + principal,
        before.last_accrual,
    )
    return Absorption(OK, debt, debt + surplus, surplus, shortfall, after)


# --- the shop window --------------------------------------------------------------------------------------------


@rule
def discount(configuration: Configuration, reserves: Reserves, r: int) -> Number:
    """How much below the oracle's price an asset is sold, 1e18 being all of it."""
    return mul_factor(configuration.store_front_factor, FACTOR_SCALE - reserves.liquidation_factor[r])


@rule
def discounted_price(configuration: Configuration, reserves: Reserves, r: int) -> Number:
    """The price at which an asset is sold, 8 decimals."""
    return mul_factor(reserves.price_raw[r], FACTOR_SCALE - discount(configuration, reserves, r))


@rule
def quote_collateral(configuration: Configuration, reserves: Reserves, r: int, amount: Number) -> Purchase:
    """Comet.quoteCollateral: how much of an asset an `amount` of base token buys, whether or not it is for sale."""
    if reserves.price_raw[r] == 0 or reserves.price_raw[BASE] == 0:
        return Purchase(BAD_PRICE, zero())
    price = discounted_price(configuration, reserves, r)
    if price == 0:
        return Purchase(DIVISION_PANIC, zero())
    units = floored(mul_div_down(reserves.price_raw[BASE] * amount, reserves.scale[r], price))
    return Purchase(OK, floored(div_down(units, reserves.scale[BASE])))


@rule
def cost_of_collateral(configuration: Configuration, reserves: Reserves, r: int, amount: Number) -> Number:
    """The least base token for which :func:`quote_collateral` gives `amount` of an asset or more."""
    price = discounted_price(configuration, reserves, r)
    return mul_div_up(amount * price, reserves.scale[BASE], reserves.price_raw[BASE] * reserves.scale[r])


@rule
def purchase(
    configuration: Configuration,
    totals: Totals,
    reserves: Reserves,
    r: int,
    least: Number,
    amount: Number,
    now: Number,
) -> Purchase:
    """What Comet.buyCollateral would give at `now` for an `amount` of base token, `least` being wanted."""
    if configuration.buy_paused:
        return Purchase(PAUSED, zero())
    own = protocol_reserves(accrued(configuration, totals, now), reserves)
    if own >= configuration.target_reserves_raw:
        return Purchase(NOT_FOR_SALE, zero())
    quoted = quote_collateral(configuration, reserves, r, amount)
    if quoted.error != OK:
        return quoted
    if quoted.received < least:
        return Purchase(TOO_MUCH_SLIPPAGE, zero())
    if reserves.balance_raw[r] < reserves.supplied_raw[r]:
        return Purchase(ARITHMETIC_PANIC, zero())
    if quoted.received > reserves.balance_raw[r] - reserves.supplied_raw[r]:
        return Purchase(INSUFFICIENT_RESERVES, zero())
    return quoted


@rule
def buy_collateral(
    configuration: Configuration,
    totals: Totals,
    reserves: Reserves,
    r: int,
    least: Number,
    amount: Number,
    now: Number,
) -> Purchase:
    """Comet.buyCollateral, which does not accrue interest; changes `reserves`, or nothing if there is an error."""
    bought = purchase(configuration, totals, reserves, r, least, amount, now)
    if bought.error == OK:
        reserves.balance_raw[BASE] += amount
        reserves.balance_raw[r] -= bought.received
    return bought
