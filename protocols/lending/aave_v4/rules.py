"""Liquidation in Aave v4: who can be, what changes hands, and what becomes of spoke and hub.

:func:`quote` validates and computes and changes nothing, :func:`liquidate` executes Spoke.liquidationCall. Both take
the state as arrays (:mod:`protocols.lending.aave_v4.state`), in either number system.

Sources: Spoke, LiquidationLogic and UserPositionUtils of aave-v4, tag v0.5.11.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import Number, ceiled, percent_mul_up, ray_mul_up, rule, zero
from protocols.lending.aave_v4.account import AccountData, account_data, debt_ray
from protocols.lending.aave_v4.amounts import (
    HEALTH_FACTOR_LIQUIDATION_THRESHOLD,
    Amounts,
    Position,
    liquidation_amounts,
)
from protocols.lending.aave_v4.hub import (
    drawn_index,
    from_ray_up,
    pay_fee_shares,
    premium_ray,
    refresh_premium,
    remove,
    report_deficit,
    restore,
    to_assets_down,
    total_added,
)
from protocols.lending.aave_v4.state import Assets, Configs, Liquidation, Positions, Reserves
from protocols.lending.aave_v4.versions import (
    CANNOT_RECEIVE_SHARES,
    HEALTH_FACTOR_NOT_BELOW_THRESHOLD,
    INSUFFICIENT_LIQUIDITY,
    INVALID_AMOUNT,
    INVALID_DEBT_TO_COVER,
    OK,
    RESERVE_NOT_BORROWED,
    RESERVE_NOT_ENABLED_AS_COLLATERAL,
    RESERVE_NOT_LISTED,
    RESERVE_NOT_SUPPLIED,
    RESERVE_PAUSED,
    SELF_LIQUIDATION,
    SPOKE_HALTED,
    SPOKE_NOT_ACTIVE,
)


class Call(NamedTuple):
    """Arguments of Spoke.liquidationCall, and who calls.

    Attributes
    ----------
    account
        Row in `Positions`.
    collateral, debt
        Rows in `Reserves`; -1 for a reserve that the spoke does not list.
    debt_to_cover
        The most that the liquidator is willing to pay, smallest units of the debt token.
    receive_shares
        Take supply shares, not the token.
    self_liquidation
        The liquidator is the account itself.
    """

    account: int
    collateral: int
    debt: int
    debt_to_cover: Number
    receive_shares: bool
    self_liquidation: bool


class Quote(NamedTuple):
    """What a liquidation does.

    Attributes
    ----------
    error
        Why it reverts, 0 if it does not; otherwise the rest means nothing.
    amounts
        Shares and debt that change hands.
    repaid
        What the liquidator pays.
    received
        Tokens that the liquidator gets; nothing where shares are taken.
    removed
        What the shares taken from the account can be redeemed for, the fee included.
    deficit
        No collateral is left: what the account still owes is written off.
    """

    error: int
    amounts: Amounts
    repaid: Number
    received: Number
    removed: Number
    deficit: bool


@rule
def entry_of(positions: Positions, account: int, r: int) -> int:
    """Where an account's balances in a reserve are, or -1."""
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        if positions.reserve[entry] == r:
            return entry
    return -1


@rule
def validate(
    reserves: Reserves, configs: Configs, positions: Positions, data: AccountData, call: Call, supply: int, debt: int
) -> int:
    """LiquidationLogic._validateLiquidationCall; `supply`, `debt`: where the account's balances are, or -1."""
    if call.collateral < 0 or call.debt < 0:
        return RESERVE_NOT_LISTED
    if call.self_liquidation:
        return SELF_LIQUIDATION
    if call.debt_to_cover == 0:
        return INVALID_DEBT_TO_COVER
    if reserves.paused[call.collateral] or reserves.paused[call.debt]:
        return RESERVE_PAUSED
    if supply < 0 or positions.supplied_shares[supply] == 0:
        return RESERVE_NOT_SUPPLIED
    if debt < 0 or positions.drawn_shares[debt] == 0:
        return RESERVE_NOT_BORROWED
    if not data.health_wad < HEALTH_FACTOR_LIQUIDATION_THRESHOLD:
        return HEALTH_FACTOR_NOT_BELOW_THRESHOLD
    if configs.collateral_factor_bps[positions.config[supply]] == 0 or not positions.collateral[supply]:
        return RESERVE_NOT_ENABLED_AS_COLLATERAL
    if call.receive_shares and (reserves.frozen[call.collateral] or not reserves.receive_shares[call.collateral]):
        return CANNOT_RECEIVE_SHARES
    return OK


@rule
def position_of(
    assets: Assets,
    reserves: Reserves,
    configs: Configs,
    positions: Positions,
    data: AccountData,
    supply: int,
    debt: int,
    now: Number,
) -> Position:
    """What a liquidation of one debt entry for one supply entry is reckoned from."""
    c, d = positions.reserve[supply], positions.reserve[debt]
    a, config = reserves.asset[c], positions.config[supply]
    index = drawn_index(assets, reserves.asset[d], now)
    return Position(
        positions.supplied_shares[supply],
        reserves.unit[c],
        reserves.price_raw[c],
        total_added(assets, a, now),
        assets.added_shares[a],
        positions.drawn_shares[debt],
        premium_ray(positions.premium_shares[debt], positions.premium_offset_ray[debt], index),
        index,
        reserves.unit[d],
        reserves.price_raw[d],
        data.debt_value_ray,
        data.health_wad,
        configs.collateral_factor_bps[config],
        configs.max_bonus_bps[config],
        configs.fee_bps[config],
    )


@rule
def refused(error: int) -> Quote:
    """The quote of a liquidation that reverts."""
    nothing = zero()
    return Quote(error, Amounts(error, nothing, nothing, nothing, nothing, nothing), nothing, nothing, nothing, False)


@rule
def quote(
    assets: Assets,
    reserves: Reserves,
    configs: Configs,
    terms: Liquidation,
    positions: Positions,
    data: AccountData,
    call: Call,
    now: Number,
) -> Quote:
    """What Spoke.liquidationCall would do at `now`; nothing is changed.

    Of its reverts all are found but those of the hub over premium that is re-based after the payment, in
    :func:`liquidate`. `data` is the account's :func:`protocols.lending.aave_v4.account.account_data` at that time.
    """
    supply = entry_of(positions, call.account, call.collateral)
    debt = entry_of(positions, call.account, call.debt)
    error = validate(reserves, configs, positions, data, call, supply, debt)
    if error != OK:
        return refused(error)
    position = position_of(assets, reserves, configs, positions, data, supply, debt, now)
    amounts = liquidation_amounts(terms, position, call.debt_to_cover)
    if amounts.error != OK:
        return refused(amounts.error)

    total, total_shares = position.total_added, position.added_shares
    removed = to_assets_down(amounts.collateral_shares, total, total_shares)
    received = zero()
    if amounts.liquidator_shares > 0 and not call.receive_shares:
        received = to_assets_down(amounts.liquidator_shares, total, total_shares)
        if received == 0:
            return refused(INVALID_AMOUNT)
        if not reserves.active[call.collateral]:
            return refused(SPOKE_NOT_ACTIVE)
        if reserves.halted[call.collateral]:
            return refused(SPOKE_HALTED)
        if received > assets.liquidity_raw[reserves.asset[call.collateral]]:
            return refused(INSUFFICIENT_LIQUIDITY)
    if amounts.collateral_shares > amounts.liquidator_shares and not reserves.active[call.collateral]:
        return refused(SPOKE_NOT_ACTIVE)

    repaid = ceiled(ray_mul_up(amounts.drawn_shares, position.index)) + from_ray_up(amounts.premium_ray)
    if repaid == 0:
        return refused(INVALID_AMOUNT)
    if not reserves.active[call.debt]:
        return refused(SPOKE_NOT_ACTIVE)
    if reserves.halted[call.debt]:
        return refused(SPOKE_HALTED)

    # LiquidationLogic._evaluateDeficit
    emptied = amounts.collateral_shares == position.supplied_shares and data.collaterals <= 1
    deficit = emptied and (amounts.drawn_shares < position.drawn_shares or data.borrows > 1)
    return Quote(OK, amounts, repaid, received, removed, deficit)


# --- execution --------------------------------------------------------------------------------------------------


@rule
def liquidate(
    assets: Assets,
    reserves: Reserves,
    configs: Configs,
    terms: Liquidation,
    positions: Positions,
    call: Call,
    now: Number,
) -> Quote:
    """Spoke.liquidationCall at `now`.

    Changes `assets`, `reserves` and `positions`. With an error they are not to be used any more: the hub may refuse
    after some of it is done, and the contract then takes everything back.
    """
    data = account_data(assets, reserves, configs, positions, call.account, now)
    quoted = quote(assets, reserves, configs, terms, positions, data, call, now)
    if quoted.error != OK:
        return quoted
    amounts = quoted.amounts
    supply = entry_of(positions, call.account, call.collateral)
    debt = entry_of(positions, call.account, call.debt)

    # LiquidationLogic._liquidateCollateral
    positions.supplied_shares[supply] -= amounts.collateral_shares
    if quoted.received > 0:
        remove(assets, reserves, call.collateral, quoted.received, now)
    if amounts.collateral_shares > amounts.liquidator_shares:
        fee = amounts.collateral_shares - amounts.liquidator_shares
        pay_fee_shares(assets, reserves, call.collateral, fee, now)

    # LiquidationLogic._liquidateDebt
    index = drawn_index(assets, reserves.asset[call.debt], now)
    positions.drawn_shares[debt] -= amounts.drawn_shares
    shares, offset = rebase(positions, debt, index, positions.risk_premium_bps[call.account], amounts.premium_ray)
    error = restore(assets, reserves, call.debt, amounts.drawn_shares, shares, offset, quoted.repaid, now)
    if positions.drawn_shares[debt] == 0:
        positions.borrowing[debt] = False

    if error == OK and quoted.deficit:
        error = write_off(assets, reserves, positions, call.account, now)
    elif error == OK:
        after = account_data(assets, reserves, configs, positions, call.account, now)
        error = set_risk_premium(assets, reserves, positions, call.account, after.risk_premium_bps, now)
    if error != OK:
        return refused(error)
    return quoted


@rule
def rebase(
    positions: Positions, entry: int, index: Number, premium_bps: Number, restored_ray: Number
) -> tuple[Number, Number]:
    """UserPositionUtils.calculatePremiumDelta and applyPremiumDelta: from now on premium accrues at `premium_bps`.

    `restored_ray` of it is paid, or written off. The position's drawn shares are those after. Returns by how much
    premium shares and offset changed, which the hub is told.
    """
    shares, offset = positions.premium_shares[entry], positions.premium_offset_ray[entry]
    owed = premium_ray(shares, offset, index) - restored_ray
    new_shares = ceiled(percent_mul_up(positions.drawn_shares[entry], premium_bps))
    new_offset = new_shares * index - owed
    positions.premium_shares[entry] = new_shares
    positions.premium_offset_ray[entry] = new_offset
    return new_shares - shares, new_offset - offset


@rule
def write_off(assets: Assets, reserves: Reserves, positions: Positions, account: int, now: Number) -> int:
    """LiquidationLogic.notifyReportDeficit: whatever an account without collateral still owes becomes a deficit."""
    positions.risk_premium_bps[account] = zero()
    for entry in range(positions.offsets[account + 1] - 1, positions.offsets[account] - 1, -1):
        if not positions.borrowing[entry]:
            continue
        r = positions.reserve[entry]
        index = drawn_index(assets, reserves.asset[r], now)
        owed = debt_ray(assets, reserves, positions, entry, now)
        drawn = positions.drawn_shares[entry]
        premium = premium_ray(positions.premium_shares[entry], positions.premium_offset_ray[entry], index)
        positions.drawn_shares[entry] -= drawn
        shares, offset = rebase(positions, entry, index, zero(), premium)
        positions.borrowing[entry] = False
        error = report_deficit(assets, reserves, r, drawn, shares, offset, owed, now)
        if error != OK:
            return error
    return OK


@rule
def set_risk_premium(
    assets: Assets, reserves: Reserves, positions: Positions, account: int, premium_bps: Number, now: Number
) -> int:
    """Spoke._notifyRiskPremiumUpdate: re-base the premium of every debt, unless it was nothing and stays so."""
    if premium_bps == 0 and positions.risk_premium_bps[account] == 0:
        return OK
    positions.risk_premium_bps[account] = premium_bps
    for entry in range(positions.offsets[account + 1] - 1, positions.offsets[account] - 1, -1):
        if not positions.borrowing[entry]:
            continue
        r = positions.reserve[entry]
        index = drawn_index(assets, reserves.asset[r], now)
        shares, offset = rebase(positions, entry, index, premium_bps, zero())
        error = refresh_premium(assets, reserves, r, shares, offset, now)
        if error != OK:
            return error
    return OK
