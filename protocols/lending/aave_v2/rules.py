"""Liquidation in Aave v2: who can be, what changes hands, and what becomes of the pool.

The functions follow LendingPool.liquidationCall: :func:`account_data` is GenericLogic.calculateUserAccountData,
:func:`quote` validates and computes the amounts and changes nothing, :func:`liquidate` executes. All of them take the
pool's state as arrays (:mod:`protocols.lending.aave_v2.state`), in either number system. What a liquidation leaves
unpaid stays a debt that grows: Aave v2 never writes anything off.

Sources: LendingPoolCollateralManager, ValidationLogic, GenericLogic, AToken, VariableDebtToken and StableDebtToken of
aave/protocol-v2.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import (
    Number,
    div_down,
    floored,
    max_uint256,
    mul_div_down,
    percent_div,
    percent_mul,
    ray_div,
    ray_mul,
    rounded,
    rule,
    wad_div,
    zero,
)
from protocols.lending.aave_v2.rates import (
    bring_index,
    next_borrow_index,
    stable_balance,
    stable_supply,
    update_rates,
    update_state,
)
from protocols.lending.aave_v2.state import Indices, Positions, Reserves
from protocols.lending.aave_v2.versions import (
    CALL_FAILED,
    COLLATERAL_CANNOT_BE_LIQUIDATED,
    DEBT_NOT_BORROWED,
    HEALTH_FACTOR_NOT_BELOW_THRESHOLD,
    NOT_ENOUGH_LIQUIDITY,
    OK,
    POOL_PAUSED,
    RESERVE_INACTIVE,
)

HEALTH_FACTOR_LIQUIDATION_THRESHOLD = 10**18
LIQUIDATION_CLOSE_FACTOR_PERCENT = 5000


class Constants(NamedTuple):
    """What every pool has for good, and an audit may ask about: the share of a debt that may be repaid at once."""

    close_factor_bps: Number = LIQUIDATION_CLOSE_FACTOR_PERCENT


OWN = Constants()
"""The contracts' own."""


class Call(NamedTuple):
    """Arguments of LendingPool.liquidationCall, and what it finds around it.

    Attributes
    ----------
    account
        Row in `Positions`.
    collateral, debt
        Rows in `Reserves`.
    debt_to_cover
        What the liquidator offers to repay, in the debt token's smallest unit.
    receive_atoken
        Take aTokens, not the token.
    self_liquidation
        The liquidator is the account itself.
    paused
        LendingPool.paused().
    """

    account: int
    collateral: int
    debt: int
    debt_to_cover: Number
    receive_atoken: bool
    self_liquidation: bool
    paused: bool


class AccountData(NamedTuple):
    """LendingPool.getUserAccountData: values in the base currency, averages in basis points, health factor in wad."""

    collateral: Number
    debt: Number
    available: Number
    threshold: Number
    ltv: Number
    health_factor: Number


class Quote(NamedTuple):
    """What a liquidation does.

    Attributes
    ----------
    error
        Why it reverts, 0 if it does not; otherwise the rest means nothing.
    repaid
        What the liquidator pays.
    received
        Collateral the liquidator gets.
    received_scaled
        The scaled aTokens for it.
    offered
        `debt_to_cover`, or as much of it as the close factor allows.
    capped
        The collateral did not suffice for `offered`.
    emptied
        No collateral is left in this reserve.
    debt
        The account's debt in the debt reserve before, variable and stable.
    burnt_scaled
        Scaled variable debt burnt, which comes first.
    stable_repaid
        Part of `repaid` that goes to stable-rate debt, once there is no variable debt.
    """

    error: int
    repaid: Number
    received: Number
    received_scaled: Number
    offered: Number
    capped: bool
    emptied: bool
    debt: Number
    burnt_scaled: Number
    stable_repaid: Number


# --- the account ----------------------------------------------------------------------------------------------


@rule
def supplied_balance(scaled: Number, index: Number) -> Number:
    """AToken.balanceOf: what a scaled balance is worth."""
    return rounded(ray_mul(scaled, index))


@rule
def variable_debt(scaled: Number, index: Number) -> Number:
    """VariableDebtToken.balanceOf: what a scaled debt is worth."""
    return rounded(ray_mul(scaled, index))


@rule
def backs_debt(reserves: Reserves, positions: Positions, entry: int) -> bool:
    """Whether an entry counts as collateral: the account says so, and the reserve has a liquidation threshold."""
    return bool(positions.collateral[entry]) and bool(reserves.threshold_bps[positions.reserve[entry]] != 0)


@rule
def account_data(reserves: Reserves, indices: Indices, positions: Positions, account: int, now: Number) -> AccountData:
    """GenericLogic.calculateUserAccountData and calculateAvailableBorrowsETH at `now`, the time of `indices`."""
    collateral = debt = ltv_sum = threshold_sum = zero()
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        r = positions.reserve[entry]
        price, unit = reserves.price_raw[r], reserves.unit[r]
        if backs_debt(reserves, positions, entry):
            balance = supplied_balance(positions.supplied_scaled[entry], indices.income[r])
            value = floored(mul_div_down(price, balance, unit))
            collateral += value
            ltv_sum += value * reserves.ltv_bps[r]
            threshold_sum += value * reserves.threshold_bps[r]
        if positions.borrowing[entry]:
            owed = stable_balance(positions, entry, now) + variable_debt(positions.debt_scaled[entry], indices.debt[r])
            debt += floored(mul_div_down(price, owed, unit))

    ltv = threshold = zero()
    if collateral != 0:
        ltv = floored(div_down(ltv_sum, collateral))
        threshold = floored(div_down(threshold_sum, collateral))
    health_factor = max_uint256() if debt == 0 else wad_div(rounded(percent_mul(collateral, threshold)), debt)
    borrowable = rounded(percent_mul(collateral, ltv))
    available = borrowable - debt if borrowable > debt else zero()
    return AccountData(collateral, debt, available, threshold, ltv, health_factor)


@rule
def entry_of(positions: Positions, account: int, r: int) -> int:
    """Where an account's balances in a reserve are, or -1."""
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        if positions.reserve[entry] == r:
            return entry
    return -1


# --- the amounts ------------------------------------------------------------------------------------------------


@rule
def validate(reserves: Reserves, data: AccountData, call: Call, enabled: bool, debt: Number) -> int:
    """LendingPool.whenNotPaused, then ValidationLogic.validateLiquidationCall.

    `enabled`: the collateral counts for the account, `debt`: what it owes in the debt reserve.
    """
    if call.paused:
        return POOL_PAUSED
    if not (reserves.active[call.collateral] and reserves.active[call.debt]):
        return RESERVE_INACTIVE
    if not data.health_factor < HEALTH_FACTOR_LIQUIDATION_THRESHOLD:
        return HEALTH_FACTOR_NOT_BELOW_THRESHOLD
    if not enabled:
        return COLLATERAL_CANNOT_BE_LIQUIDATED
    if debt == 0:
        return DEBT_NOT_BORROWED
    return OK


@rule
def most_repayable(constants: Constants, debt: Number) -> Number:
    """The close factor: half of what is owed in a reserve, whatever the account's health."""
    return rounded(percent_mul(debt, constants.close_factor_bps))


@rule
def scaled_part(amount: Number, index: Number, balance: Number, scaled: Number) -> Number:
    """Scaled units that a burn or transfer of `amount` takes from a balance of `scaled` that is worth `balance`."""
    if amount == balance:
        # What the division gives for any index of at least one ray; no float need be trusted with it.
        return scaled
    return rounded(ray_div(amount, index))


@rule
def refused(error: int) -> Quote:
    """The quote of a liquidation that reverts."""
    nothing = zero()
    return Quote(error, nothing, nothing, nothing, nothing, False, False, nothing, nothing, nothing)


@rule
def quote(
    constants: Constants,
    reserves: Reserves,
    indices: Indices,
    positions: Positions,
    data: AccountData,
    call: Call,
    now: Number,
) -> Quote:
    """What LendingPool.liquidationCall would do at `now`, the time of `indices`; nothing is changed.

    `data` is the account's :func:`account_data` at that time.
    """
    c, d = call.collateral, call.debt
    collateral_entry = entry_of(positions, call.account, c)
    debt_entry = entry_of(positions, call.account, d)
    enabled = False
    supplied_scaled = debt_scaled = stable = zero()
    if collateral_entry >= 0:
        enabled = backs_debt(reserves, positions, collateral_entry)
        supplied_scaled = positions.supplied_scaled[collateral_entry]
    if debt_entry >= 0:
        debt_scaled = positions.debt_scaled[debt_entry]
        stable = stable_balance(positions, debt_entry, now)
    supplied = supplied_balance(supplied_scaled, indices.income[c])
    variable = variable_debt(debt_scaled, indices.debt[d])
    debt = stable + variable
    error = validate(reserves, data, call, enabled, debt)
    if error != OK:
        return refused(error)

    collateral_price, debt_price = reserves.price_raw[c], reserves.price_raw[d]
    collateral_unit, debt_unit = reserves.unit[c], reserves.unit[d]
    if collateral_price == 0:
        return refused(CALL_FAILED)

    most = most_repayable(constants, debt)
    offered = most if call.debt_to_cover > most else call.debt_to_cover

    # LendingPoolCollateralManager._calculateAvailableCollateralToLiquidate: the bonus comes before the division.
    with_bonus = percent_mul(debt_price * offered * collateral_unit, reserves.bonus_bps[c])
    wanted = floored(div_down(with_bonus, collateral_price * debt_unit))
    capped = wanted > supplied
    received, repaid = wanted, offered
    if capped:
        received = supplied
        worth = floored(mul_div_down(collateral_price * supplied, debt_unit, debt_price * collateral_unit))
        needed = rounded(percent_div(worth, reserves.bonus_bps[c]))
        repaid = needed if needed < offered else offered
    if not call.receive_atoken and reserves.liquidity_raw[c] < received:
        return refused(NOT_ENOUGH_LIQUIDITY)

    variable_repaid = repaid if repaid < variable else variable
    stable_repaid = repaid - variable_repaid
    index = next_borrow_index(reserves, d, now)
    if index == indices.debt[d]:
        burnt_scaled = scaled_part(variable_repaid, index, variable, debt_scaled)
    else:
        burnt_scaled = rounded(ray_div(variable_repaid, index))
    if burnt_scaled > debt_scaled or (burnt_scaled == 0 and (stable_repaid == 0 or variable_repaid != 0)):
        return refused(CALL_FAILED)
    received_scaled = scaled_part(received, indices.income[c], supplied, supplied_scaled)
    if received_scaled == 0 and not call.receive_atoken:
        return refused(CALL_FAILED)
    return Quote(
        OK,
        repaid,
        received,
        received_scaled,
        offered,
        capped,
        received == supplied,
        debt,
        burnt_scaled,
        stable_repaid,
    )


# --- execution --------------------------------------------------------------------------------------------------


@rule
def liquidate(
    constants: Constants, reserves: Reserves, indices: Indices, positions: Positions, call: Call, now: Number
) -> Quote:
    """LendingPoolCollateralManager.liquidationCall at `now`, the time of `indices`.

    Changes `reserves`, `positions` and the two reserves' `indices`, or nothing if the quote that it returns has an
    error.
    """
    data = account_data(reserves, indices, positions, call.account, now)
    quoted = quote(constants, reserves, indices, positions, data, call, now)
    if quoted.error != OK:
        return quoted
    c, d = call.collateral, call.debt
    collateral_entry = entry_of(positions, call.account, c)
    debt_entry = entry_of(positions, call.account, d)

    update_state(reserves, d, now)
    positions.debt_scaled[debt_entry] -= quoted.burnt_scaled
    reserves.debt_scaled[d] -= quoted.burnt_scaled
    if quoted.stable_repaid != 0:
        burn_stable_debt(reserves, positions, debt_entry, quoted.stable_repaid, now)
    update_rates(reserves, d, quoted.repaid, zero(), now)

    if not call.receive_atoken:
        update_state(reserves, c, now)
        update_rates(reserves, c, zero(), quoted.received, now)
        reserves.supply_scaled[c] -= quoted.received_scaled
        reserves.liquidity_raw[c] -= quoted.received
    if not (call.receive_atoken and call.self_liquidation):
        positions.supplied_scaled[collateral_entry] -= quoted.received_scaled
    if quoted.emptied:
        positions.collateral[collateral_entry] = False
    # The repayment comes in last: neither reserve's rate has seen it in the balance.
    reserves.liquidity_raw[d] += quoted.repaid
    bring_index(reserves, indices, d, now)
    bring_index(reserves, indices, c, now)
    return quoted


@rule
def burn_stable_debt(reserves: Reserves, positions: Positions, entry: int, amount: Number, now: Number) -> None:
    """StableDebtToken.burn: all debts' average rate becomes that of what is left."""
    r = positions.reserve[entry]
    owed, supply = stable_balance(positions, entry, now), stable_supply(reserves, r, now)
    rate_left = supply_left = zero()
    if supply > amount:
        interest = ray_mul(reserves.stable_rate_ray[r], supply * 10**9)
        gone = ray_mul(positions.stable_rate_ray[entry], amount * 10**9)
        if gone < interest:
            supply_left = supply - amount
            rate_left = ray_div(interest - gone, supply_left * 10**9)
    reserves.stable_principal_raw[r] = supply_left
    reserves.stable_rate_ray[r] = rate_left
    reserves.stable_since[r] = now
    positions.stable_principal_raw[entry] = owed - amount
    positions.stable_since[entry] = now
    if amount == owed:
        positions.stable_rate_ray[entry] = zero()
        positions.stable_since[entry] = zero()
