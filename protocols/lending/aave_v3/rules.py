"""Liquidation in Aave v3: who can be, what changes hands, and what becomes of the pool.

The functions follow Pool.liquidationCall: :func:`account_data` is GenericLogic.calculateUserAccountData,
:func:`quote` validates and computes the amounts and changes nothing, :func:`liquidate` executes. All of them take the
`version` as a number of :mod:`protocols.lending.aave_v3.versions` and the pool's state as arrays
(:mod:`protocols.lending.aave_v3.state`), in either number system. The :class:`Constants` of the contracts are
:data:`OWN`.

Sources: LiquidationLogic, ValidationLogic, GenericLogic and IsolationModeLogic of aave-v3-origin (3.1 and later) and of
aave-v3-core (3.0). Not modelled, because nothing recorded shows them: stable-rate debt, unbacked aTokens, and reserves
without virtual accounting (GHO before 3.4).
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import (
    Number,
    ceiled,
    div_down,
    floored,
    max_uint256,
    mul_div_down,
    percent_div,
    percent_div_down,
    percent_div_up,
    percent_mul,
    percent_mul_down,
    percent_mul_up,
    rounded,
    rule,
    wad_div,
    zero,
)
from protocols.lending.aave_v3.balances import (
    debt_balance,
    debt_removed,
    debt_value,
    supplied_balance,
    supply_removed,
    supply_value,
)
from protocols.lending.aave_v3.rates import accrue_to_treasury, update_rates, update_state
from protocols.lending.aave_v3.state import EModes, Indices, Positions, Reserves
from protocols.lending.aave_v3.versions import (
    ARITHMETIC_PANIC,
    COLLATERAL_CANNOT_BE_LIQUIDATED,
    DEBT_NOT_BORROWED,
    DIVISION_PANIC,
    GRACE_PERIOD,
    HEALTH_FACTOR_NOT_BELOW_THRESHOLD,
    INVALID_BURN_AMOUNT,
    MUST_NOT_LEAVE_DUST,
    NO_REASON,
    OK,
    RESERVE_INACTIVE,
    RESERVE_PAUSED,
    SELF_LIQUIDATION,
    SENTINEL_CHECK_FAILED,
    V30,
    V31,
    V33,
    V34,
    V35,
    V36,
    V37,
)

HEALTH_FACTOR_LIQUIDATION_THRESHOLD = 10**18
MINIMUM_HEALTH_FACTOR_LIQUIDATION_THRESHOLD = 95 * 10**16
CLOSE_FACTOR_HF_THRESHOLD = 95 * 10**16
DEFAULT_LIQUIDATION_CLOSE_FACTOR = 5000
MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD = 2000 * 10**8
MIN_LEFTOVER_BASE = MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD // 2


class Constants(NamedTuple):
    """What every pool has for good, and an audit may ask about.

    Attributes
    ----------
    close_factor_bps
        The share of a debt that may be repaid of an account that is healthy enough.
    close_factor_hf_threshold_wad
        The health factor up to which all of it may be.
    """

    close_factor_bps: Number = DEFAULT_LIQUIDATION_CLOSE_FACTOR
    close_factor_hf_threshold_wad: Number = CLOSE_FACTOR_HF_THRESHOLD


OWN = Constants()
"""The contracts' own."""


class Call(NamedTuple):
    """Arguments of Pool.liquidationCall, and what it finds around it.

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
    sentinel_down
        There is a price oracle sentinel, and it does not allow liquidations (an L2's sequencer was down).
    """

    account: int
    collateral: int
    debt: int
    debt_to_cover: Number
    receive_atoken: bool
    self_liquidation: bool
    sentinel_down: bool


class AccountData(NamedTuple):
    """Pool.getUserAccountData: values in the base currency, averages in basis points, health factor in wad."""

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
    fee
        What the treasury gets in aTokens: the protocol's share of the bonus, or what rounding leaves of it.
    received_scaled, fee_scaled
        The scaled aTokens for these two.
    offered
        `debt_to_cover`, or as much of it as the close factor allows.
    capped
        The collateral did not suffice for `offered`.
    emptied
        No collateral is left in this reserve.
    cleared
        No collateral is left at all: what the account still owes becomes a deficit.
    debt
        The account's debt in the debt reserve before.
    burnt_scaled
        Scaled debt burnt in that reserve.
    """

    error: int
    repaid: Number
    received: Number
    fee: Number
    received_scaled: Number
    fee_scaled: Number
    offered: Number
    capped: bool
    emptied: bool
    cleared: bool
    debt: Number
    burnt_scaled: Number


# --- the account ----------------------------------------------------------------------------------------------


@rule
def oracle_price(reserves: Reserves, emodes: EModes, category: int, r: int) -> Number:
    """Price of a reserve for an account in `category`, which may have a source of its own (3.0 and 3.1)."""
    if emodes.price_raw[category] != 0 and emodes.collateral[category][r]:
        return emodes.price_raw[category]
    return reserves.price_raw[r]


@rule
def threshold_of(reserves: Reserves, emodes: EModes, category: int, r: int) -> Number:
    """Liquidation threshold of a reserve for an account in `category` (basis points)."""
    if emodes.collateral[category][r]:
        return emodes.threshold_bps[category]
    return reserves.threshold_bps[r]


@rule
def bonus_of(reserves: Reserves, emodes: EModes, category: int, r: int) -> Number:
    """Liquidation bonus of a reserve for an account in `category` (basis points, 10500 = 5 %)."""
    if emodes.collateral[category][r]:
        return emodes.bonus_bps[category]
    return reserves.bonus_bps[r]


@rule
def ltv_of(version: int, reserves: Reserves, emodes: EModes, category: int, r: int) -> Number:
    """Loan to value of a reserve for an account in `category` (basis points): ValidationLogic.getUserReserveLtv."""
    if version < V36:
        if emodes.collateral[category][r] and reserves.ltv_bps[r] != 0:
            return emodes.ltv_bps[category]
        return reserves.ltv_bps[r]
    if emodes.collateral[category][r]:
        if emodes.ltv_zero[category][r]:
            return zero()
        return emodes.ltv_bps[category]
    if version >= V37 and emodes.isolated[category]:
        return zero()
    return reserves.ltv_bps[r]


@rule
def backs_debt(version: int, reserves: Reserves, positions: Positions, entry: int) -> bool:
    """Whether an entry counts as collateral; before 3.6 not if the reserve itself has no threshold."""
    if version < V36 and reserves.threshold_bps[positions.reserve[entry]] == 0:
        return False
    return bool(positions.collateral[entry])


@rule
def account_data(
    version: int, reserves: Reserves, indices: Indices, emodes: EModes, positions: Positions, account: int
) -> AccountData:
    """GenericLogic.calculateUserAccountData at the time of `indices`."""
    category = positions.emode[account]
    collateral = debt = ltv_sum = threshold_sum = zero()
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        r = positions.reserve[entry]
        price = oracle_price(reserves, emodes, category, r)
        if backs_debt(version, reserves, positions, entry):
            balance = supplied_balance(version, positions.supplied_scaled[entry], indices.income[r])
            value = supply_value(balance, price, reserves.unit[r])
            collateral += value
            ltv_sum += value * ltv_of(version, reserves, emodes, category, r)
            threshold_sum += value * threshold_of(reserves, emodes, category, r)
        if positions.borrowing[entry]:
            balance = debt_balance(version, positions.debt_scaled[entry], indices.debt[r])
            debt += debt_value(version, balance, price, reserves.unit[r])

    ltv = threshold = zero()
    if collateral != 0:
        ltv = floored(div_down(ltv_sum, collateral))
        threshold = floored(div_down(threshold_sum, collateral))

    if debt == 0:
        health_factor = max_uint256()
    elif version >= V35:
        health_factor = div_down(wad_div(threshold_sum, debt), 10_000)
    else:
        health_factor = wad_div(rounded(percent_mul(collateral, threshold)), debt)

    borrowable = floored(percent_mul_down(collateral, ltv)) if version >= V35 else rounded(percent_mul(collateral, ltv))
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
def validate(
    version: int, reserves: Reserves, data: AccountData, call: Call, enabled: bool, debt: Number, now: Number
) -> int:
    """ValidationLogic.validateLiquidationCall; `enabled`: the collateral counts for the account, `debt`: it owes."""
    if version >= V34 and call.self_liquidation:
        return SELF_LIQUIDATION
    if not (reserves.active[call.collateral] and reserves.active[call.debt]):
        return RESERVE_INACTIVE
    if reserves.paused[call.collateral] or reserves.paused[call.debt]:
        return RESERVE_PAUSED
    if version < V37 and call.sentinel_down and not data.health_factor < MINIMUM_HEALTH_FACTOR_LIQUIDATION_THRESHOLD:
        return SENTINEL_CHECK_FAILED
    if not (reserves.grace_until[call.collateral] < now and reserves.grace_until[call.debt] < now):
        return GRACE_PERIOD
    if not data.health_factor < HEALTH_FACTOR_LIQUIDATION_THRESHOLD:
        return HEALTH_FACTOR_NOT_BELOW_THRESHOLD
    if not enabled:
        return COLLATERAL_CANNOT_BE_LIQUIDATED
    if debt == 0:
        return DEBT_NOT_BORROWED
    return OK


@rule
def most_repayable(
    version: int,
    constants: Constants,
    data: AccountData,
    debt: Number,
    debt_in_base: Number,
    supply_in_base: Number,
    price: Number,
    unit: Number,
) -> Number:
    """The close factor: how much of a `debt` may be repaid at once.

    Before 3.3 half of it, or all at a health factor of 0.95 and below. Since then as much as half of the account's
    whole debt is worth, and all also where this debt or this collateral is small. Half and 0.95 are `constants`.
    """
    if version < V33:
        if data.health_factor > constants.close_factor_hf_threshold_wad:
            return rounded(percent_mul(debt, constants.close_factor_bps))
        return debt
    if (
        supply_in_base >= MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD
        and debt_in_base >= MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD
        and data.health_factor > constants.close_factor_hf_threshold_wad
    ):
        most_in_base = rounded(percent_mul(data.debt, constants.close_factor_bps))
        if debt_in_base > most_in_base:
            return floored(mul_div_down(most_in_base, unit, price))
    return debt


@rule
def protocol_fee(version: int, taken: Number, bonus_bps: Number, fee_bps: Number) -> Number:
    """The protocol's share of the bonus that is in `taken`."""
    if fee_bps == 0:
        return zero()
    if version >= V37:
        bonus = taken - floored(percent_div_down(taken, bonus_bps))
        return ceiled(percent_mul_up(bonus, fee_bps))
    bonus = taken - rounded(percent_div(taken, bonus_bps))
    return rounded(percent_mul(bonus, fee_bps))


@rule
def refused(error: int) -> Quote:
    """The quote of a liquidation that reverts."""
    nothing = zero()
    return Quote(error, nothing, nothing, nothing, nothing, nothing, nothing, False, False, False, nothing, nothing)


@rule
def quote(
    version: int,
    constants: Constants,
    reserves: Reserves,
    indices: Indices,
    emodes: EModes,
    positions: Positions,
    data: AccountData,
    call: Call,
    now: Number,
) -> Quote:
    """What Pool.liquidationCall would do at `now`, the time of `indices`; nothing is changed.

    `data` is the account's :func:`account_data` at that time.
    """
    c, d = call.collateral, call.debt
    collateral_entry = entry_of(positions, call.account, c)
    debt_entry = entry_of(positions, call.account, d)
    enabled = False
    supplied_scaled = debt_scaled = zero()
    if collateral_entry >= 0:
        enabled = backs_debt(version, reserves, positions, collateral_entry)
        supplied_scaled = positions.supplied_scaled[collateral_entry]
    if debt_entry >= 0:
        debt_scaled = positions.debt_scaled[debt_entry]
    supplied = supplied_balance(version, supplied_scaled, indices.income[c])
    debt = debt_balance(version, debt_scaled, indices.debt[d])
    error = validate(version, reserves, data, call, enabled, debt, now)
    if error != OK:
        return refused(error)

    category = positions.emode[call.account]
    collateral_price = oracle_price(reserves, emodes, category, c)
    # Before 3.2 the category's own source prices the debt whatever its reserve: in a category there is no other debt.
    debt_price = emodes.price_raw[category] if emodes.price_raw[category] != 0 else reserves.price_raw[d]
    collateral_unit, debt_unit = reserves.unit[c], reserves.unit[d]
    bonus_bps = bonus_of(reserves, emodes, category, c)
    if collateral_price == 0:
        return refused(DIVISION_PANIC)
    if bonus_bps == 0 and reserves.fee_bps[c] != 0:
        return refused(NO_REASON)

    most = most_repayable(
        version,
        constants,
        data,
        debt,
        debt_value(version, debt, debt_price, debt_unit),
        supply_value(supplied, collateral_price, collateral_unit),
        debt_price,
        debt_unit,
    )
    offered = most if call.debt_to_cover > most else call.debt_to_cover

    # LiquidationLogic._calculateAvailableCollateralToLiquidate
    base = floored(mul_div_down(debt_price * offered, collateral_unit, collateral_price * debt_unit))
    wanted = floored(percent_mul_down(base, bonus_bps)) if version >= V37 else rounded(percent_mul(base, bonus_bps))
    capped = wanted > supplied
    taken, repaid = wanted, offered
    if capped:
        taken = supplied
        worth = floored(mul_div_down(collateral_price * taken, debt_unit, debt_price * collateral_unit))
        repaid = ceiled(percent_div_up(worth, bonus_bps)) if version >= V35 else rounded(percent_div(worth, bonus_bps))
    fee = protocol_fee(version, taken, bonus_bps, reserves.fee_bps[c])
    received = taken - fee

    if version >= V33 and repaid < debt and taken < supplied:
        debt_left = debt_value(version, debt - repaid, debt_price, debt_unit)
        supply_left = supply_value(supplied - taken, collateral_price, collateral_unit)
        if not (debt_left >= MIN_LEFTOVER_BASE and supply_left >= MIN_LEFTOVER_BASE):
            return refused(MUST_NOT_LEAVE_DUST)

    index = indices.income[c]
    received_scaled = supply_removed(version, received, index, supplied, supplied_scaled)
    kept_scaled = supplied_scaled
    if not (call.receive_atoken and call.self_liquidation):
        kept_scaled = supplied_scaled - received_scaled
    kept = supplied_balance(version, kept_scaled, index)
    fee_scaled = supply_removed(version, fee, index, kept, kept_scaled)
    if fee_scaled > kept_scaled:
        # Two roundings up can take a unit more than there is; the treasury goes without.
        fee, fee_scaled = kept, kept_scaled

    emptied = taken == supplied
    cleared = False
    if version >= V37:
        consumed_scaled = supplied_scaled if emptied else received_scaled + fee_scaled
        emptied = consumed_scaled == supplied_scaled
        consumed = supplied_balance(version, consumed_scaled, index)
        cleared = supply_value(consumed, collateral_price, collateral_unit) == data.collateral
    elif version >= V33:
        cleared = supply_value(taken, collateral_price, collateral_unit) == data.collateral

    burnt_scaled = debt_removed(version, debt if cleared else repaid, indices.debt[d], debt, debt_scaled)
    if burnt_scaled == 0:
        return refused(INVALID_BURN_AMOUNT)
    if not call.receive_atoken:
        # In 3.0 the repayment comes in last; and where nobody owes, it is the token that finds its balance too small.
        payable = reserves.liquidity_raw[c] + (repaid if c == d and version >= V31 else zero())
        if received > payable:
            return refused(ARITHMETIC_PANIC)
        if received_scaled == 0:
            return refused(INVALID_BURN_AMOUNT)
    return Quote(
        OK,
        repaid,
        received,
        fee,
        received_scaled,
        fee_scaled,
        offered,
        capped,
        emptied or (version >= V37 and cleared),
        cleared,
        debt,
        burnt_scaled,
    )


# --- execution --------------------------------------------------------------------------------------------------


@rule
def liquidate(
    version: int,
    constants: Constants,
    reserves: Reserves,
    indices: Indices,
    emodes: EModes,
    positions: Positions,
    call: Call,
    now: Number,
) -> Quote:
    """LiquidationLogic.executeLiquidationCall at `now`, the time of `indices`, which stay as they are.

    Changes `reserves` and `positions`, or nothing if the quote that it returns has an error.
    """
    data = account_data(version, reserves, indices, emodes, positions, call.account)
    quoted = quote(version, constants, reserves, indices, emodes, positions, data, call, now)
    if quoted.error != OK:
        return quoted
    c, d = call.collateral, call.debt
    collateral_entry = entry_of(positions, call.account, c)
    debt_entry = entry_of(positions, call.account, d)

    update_liquidated(version, reserves, c, d, now)
    if quoted.emptied:
        positions.collateral[collateral_entry] = False
    burn_debt(version, reserves, positions, debt_entry, quoted.debt, quoted.repaid, quoted.burnt_scaled, quoted.cleared)
    reduce_isolated_debt(version, reserves, positions, call, quoted.repaid)

    if not call.receive_atoken:
        update_state(version, reserves, c, now)
        update_rates(version, reserves, c, zero(), quoted.received)
        reserves.supply_scaled[c] -= quoted.received_scaled
        positions.supplied_scaled[collateral_entry] -= quoted.received_scaled
    elif call.self_liquidation:
        reenable_collateral(version, reserves, positions, call, collateral_entry, quoted.emptied)
    else:
        positions.supplied_scaled[collateral_entry] -= quoted.received_scaled
    positions.supplied_scaled[collateral_entry] -= quoted.fee_scaled
    reserves.treasury_scaled[c] += quoted.fee_scaled

    if quoted.cleared:
        burn_bad_debt(version, reserves, positions, call.account, now)
    if version == V30:
        reserves.liquidity_raw[d] += quoted.repaid
    return quoted


@rule
def update_liquidated(version: int, reserves: Reserves, c: int, d: int, now: Number) -> None:
    """Accrue interest in both reserves; before 3.5 in the collateral only once its token is paid out."""
    if version < V35:
        update_state(version, reserves, d, now)
        return
    due = reserves.last_update[d] != now
    old_borrow_index = reserves.borrow_index_ray[d]
    update_state(version, reserves, d, now)
    if c != d:
        update_state(version, reserves, c, now)
    elif due and version < V37:
        # The collateral was cached before the debt was updated, so the one reserve pays the treasury twice.
        accrue_to_treasury(version, reserves, c, old_borrow_index)


@rule
def burn_debt(
    version: int,
    reserves: Reserves,
    positions: Positions,
    entry: int,
    debt: Number,
    repaid: Number,
    burnt_scaled: Number,
    cleared: bool,
) -> None:
    """LiquidationLogic._burnDebtTokens: what is `repaid` goes; with no collateral left, the rest becomes a deficit."""
    r = positions.reserve[entry]
    whole = cleared or repaid == debt
    # Since 3.4 the scaled balance decides, which a repayment of one unit less can empty.
    emptied = burnt_scaled == positions.debt_scaled[entry] if version >= V34 else whole
    positions.debt_scaled[entry] -= burnt_scaled
    reserves.debt_scaled[r] -= burnt_scaled
    if cleared:
        reserves.deficit_raw[r] += debt - repaid
    if emptied:
        positions.borrowing[entry] = False
    update_rates(version, reserves, r, repaid, zero())


@rule
def reduce_isolated_debt(version: int, reserves: Reserves, positions: Positions, call: Call, repaid: Number) -> None:
    """IsolationModeLogic.updateIsolatedDebt: of the collateral with a debt ceiling (none since 3.7).

    Before 3.3 it is looked for among the collateral still enabled: if it was all taken, nothing is reduced.
    """
    isolated = call.collateral
    if version < V33:
        isolated = sole_collateral(positions, call.account)
        if isolated < 0:
            return
    if reserves.debt_ceiling[isolated] == 0:
        return
    repaid_in_base = floored(mul_div_down(repaid, 100, reserves.unit[call.debt]))
    owed = reserves.isolated_debt[isolated]
    reserves.isolated_debt[isolated] = owed - repaid_in_base if owed > repaid_in_base else zero()


@rule
def sole_collateral(positions: Positions, account: int) -> int:
    """The reserve that is an account's only enabled collateral, or -1."""
    sole = -1
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        if positions.collateral[entry]:
            if sole >= 0:
                return -1
            sole = positions.reserve[entry]
    return sole


@rule
def reenable_collateral(
    version: int, reserves: Reserves, positions: Positions, call: Call, entry: int, emptied: bool
) -> None:
    """3.3 only: an account that liquidates itself into aTokens supplies them again, as collateral where that may be."""
    if version != V33 or not emptied:
        return
    if reserves.ltv_bps[call.collateral] == 0 or reserves.debt_ceiling[call.collateral] != 0:
        return
    sole = sole_collateral(positions, call.account)
    if sole < 0 or reserves.debt_ceiling[sole] == 0:
        positions.collateral[entry] = True


@rule
def burn_bad_debt(version: int, reserves: Reserves, positions: Positions, account: int, now: Number) -> None:
    """LiquidationLogic._burnBadDebt: whatever an account without collateral still owes becomes a deficit."""
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        r = positions.reserve[entry]
        if positions.borrowing[entry] and reserves.active[r]:
            update_state(version, reserves, r, now)
            scaled = positions.debt_scaled[entry]
            debt = debt_balance(version, scaled, reserves.borrow_index_ray[r])
            burn_debt(version, reserves, positions, entry, debt, zero(), scaled, True)


# --- suppliers --------------------------------------------------------------------------------------------------


@rule
def withdraw(version: int, reserves: Reserves, r: int, amount: Number, now: Number) -> None:
    """SupplyLogic.executeWithdraw by accounts that owe nothing, of an `amount` that the pool has."""
    update_state(version, reserves, r, now)
    update_rates(version, reserves, r, zero(), amount)
    index, scaled = reserves.liquidity_index_ray[r], reserves.supply_scaled[r]
    reserves.supply_scaled[r] -= supply_removed(
        version, amount, index, supplied_balance(version, scaled, index), scaled
    )
