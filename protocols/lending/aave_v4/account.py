"""What an account is worth, what it owes, and how healthy that is.

Source: Spoke._processUserAccountData of aave-v4, tag v0.5.11. Values are US dollars scaled by 1e26 and exact; debt is
scaled by 1e27 on top and never rounded.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import (
    Number,
    ceiled,
    div_down,
    div_up,
    max_uint256,
    mul_div_down,
    ray,
    rule,
    zero,
)
from protocols.lending.aave_v4.hub import drawn_index, from_ray_up, premium_ray, to_assets_down, total_added
from protocols.lending.aave_v4.state import Assets, Configs, Positions, Reserves


class AccountData(NamedTuple):
    """Spoke.getUserAccountData.

    Attributes
    ----------
    risk_premium_bps
        Average risk of the collateral that covers the debt, the least risky first.
    average_factor_wad
        Collateral factor, average by value.
    health_wad
        Below 1e18 the account may be liquidated; 2**256 - 1 without debt.
    collateral_value, debt_value_ray
        USD scaled by 1e26, and by 1e53.
    collaterals, borrows
        How many reserves count.
    """

    risk_premium_bps: Number
    average_factor_wad: Number
    health_wad: Number
    collateral_value: Number
    debt_value_ray: Number
    collaterals: int
    borrows: int


@rule
def to_value(amount: Number, price: Number, unit: Number) -> Number:
    """SpokeUtils.toValue: exact, because units are powers of ten up to 1e18."""
    return mul_div_down(amount * price, 10**18, unit)


@rule
def counts(configs: Configs, positions: Positions, entry: int) -> bool:
    """Whether an entry counts as collateral."""
    if not positions.collateral[entry] or positions.supplied_shares[entry] == 0:
        return False
    return bool(configs.collateral_factor_bps[positions.config[entry]] > 0)


@rule
def collateral_value(assets: Assets, reserves: Reserves, positions: Positions, entry: int, now: Number) -> Number:
    """Value of what an entry's shares can be redeemed for."""
    r = positions.reserve[entry]
    a = reserves.asset[r]
    amount = to_assets_down(positions.supplied_shares[entry], total_added(assets, a, now), assets.added_shares[a])
    return to_value(amount, reserves.price_raw[r], reserves.unit[r])


@rule
def debt_ray(assets: Assets, reserves: Reserves, positions: Positions, entry: int, now: Number) -> Number:
    """Drawn and premium debt of an entry, 1e-27 of the token's smallest unit."""
    index = drawn_index(assets, reserves.asset[positions.reserve[entry]], now)
    premium = premium_ray(positions.premium_shares[entry], positions.premium_offset_ray[entry], index)
    return positions.drawn_shares[entry] * index + premium


@rule
def account_data(
    assets: Assets, reserves: Reserves, configs: Configs, positions: Positions, account: int, now: Number
) -> AccountData:
    """Spoke._processUserAccountData at `now`, with the configurations that the account has."""
    collateral = weighted = debt = zero()
    collaterals = borrows = 0
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        r = positions.reserve[entry]
        if counts(configs, positions, entry):
            value = collateral_value(assets, reserves, positions, entry, now)
            collateral += value
            weighted += value * configs.collateral_factor_bps[positions.config[entry]]
            collaterals += 1
        if positions.borrowing[entry]:
            owed = debt_ray(assets, reserves, positions, entry, now)
            debt += to_value(owed, reserves.price_raw[r], reserves.unit[r])
            borrows += 1
    health = max_uint256()
    if debt > 0:
        health = mul_div_down(weighted * 10**14, ray(), debt)
    average = zero()
    if collateral > 0:
        average = div_down(weighted * 10**14, collateral)
    premium = risk_premium(assets, reserves, configs, positions, account, from_ray_up(debt), now)
    return AccountData(premium, average, health, collateral, debt, collaterals, borrows)


@rule
def risk_premium(
    assets: Assets,
    reserves: Reserves,
    configs: Configs,
    positions: Positions,
    account: int,
    debt_value: Number,
    now: Number,
) -> Number:
    """Average collateral risk over the part of the collateral that covers the debt, rounded up, basis points.

    The contract allocates by risk, then by value; among equal risks the order makes no difference to the sum.
    """
    left = debt_value
    covered = charged = zero()
    risk = next_risk(reserves, configs, positions, account, -1)
    while risk >= 0 and left > 0:
        for entry in range(positions.offsets[account], positions.offsets[account + 1]):
            same = reserves.collateral_risk_bps[positions.reserve[entry]] == risk
            if same and left > 0 and counts(configs, positions, entry):
                value = collateral_value(assets, reserves, positions, entry, now)
                part = min(value, left)
                left -= part
                covered += part
                charged += part * risk
        risk = next_risk(reserves, configs, positions, account, risk)
    if covered == 0:
        return zero()
    return ceiled(div_up(charged, covered))


@rule
def next_risk(reserves: Reserves, configs: Configs, positions: Positions, account: int, above: Number) -> Number:
    """The least risk above a number among an account's collateral, or -1."""
    found = -1
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        risk = reserves.collateral_risk_bps[positions.reserve[entry]]
        if counts(configs, positions, entry) and risk > above and (found < 0 or risk < found):
            found = risk
    return found
