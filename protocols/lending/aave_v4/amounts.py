"""How much of a debt a liquidation repays, and what collateral it takes: to a target health factor, leaving no dust.

Sources: LiquidationLogic of aave-v4, tag v0.5.11, one function here for each of its own. Nothing here knows accounts
or hubs; prices are 1e-8 US dollars a token, values US dollars scaled by 1e26.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import (
    Number,
    ceiled,
    div_up,
    floored,
    mul_div_down,
    mul_div_up,
    percent_mul_down,
    percent_mul_up,
    primitive,
    ray,
    ray_mul_up,
    rule,
    zero,
)
from protocols.lending.aave_v4.account import to_value
from protocols.lending.aave_v4.hub import from_ray_up, to_assets_down, to_assets_up, to_shares_down
from protocols.lending.aave_v4.state import Liquidation
from protocols.lending.aave_v4.versions import MUST_NOT_LEAVE_DUST, OK

HEALTH_FACTOR_LIQUIDATION_THRESHOLD = 10**18


@primitive(lambda: 1e29)
def dust_value() -> Number:
    """DUST_LIQUIDATION_THRESHOLD: 1,000 US dollars."""
    return 1_000 * 10**26


class Position(NamedTuple):
    """What a liquidation is reckoned from.

    Attributes
    ----------
    supplied_shares
        The account's supply shares of the collateral.
    collateral_unit, collateral_price
        10 ** decimals, and the price of one whole token.
    total_added, added_shares
        Of the collateral's hub: assets, and the shares that are a claim on them.
    drawn_shares, premium_ray, index
        The account's debt in the debt reserve, and that reserve's drawn index.
    debt_unit, debt_price
        10 ** decimals, and the price of one whole token.
    debt_value_ray, health_wad
        The account's total debt and health factor.
    factor_bps, max_bonus_bps, fee_bps
        The collateral's configuration that holds for the account.
    """

    supplied_shares: Number
    collateral_unit: Number
    collateral_price: Number
    total_added: Number
    added_shares: Number
    drawn_shares: Number
    premium_ray: Number
    index: Number
    debt_unit: Number
    debt_price: Number
    debt_value_ray: Number
    health_wad: Number
    factor_bps: Number
    max_bonus_bps: Number
    fee_bps: Number


class Amounts(NamedTuple):
    """What is to change hands.

    Attributes
    ----------
    error
        `MUST_NOT_LEAVE_DUST`, or OK; with an error the rest is what it would have taken.
    bonus_bps
        The bonus at the account's health factor.
    collateral_shares, liquidator_shares
        Taken from the account, and the part of them that is not the protocol's fee.
    drawn_shares, premium_ray
        Debt cleared: drawn shares, and premium in ray.
    """

    error: int
    bonus_bps: Number
    collateral_shares: Number
    liquidator_shares: Number
    drawn_shares: Number
    premium_ray: Number


@rule
def liquidation_bonus(terms: Liquidation, health_wad: Number, max_bonus_bps: Number) -> Number:
    """LiquidationLogic.calculateLiquidationBonus: higher the less healthy the account; basis points, at least 10000."""
    if health_wad <= terms.max_bonus_health_wad:
        return max_bonus_bps
    least = floored(percent_mul_down(max_bonus_bps - 10_000, terms.bonus_factor_bps)) + 10_000
    sickness = HEALTH_FACTOR_LIQUIDATION_THRESHOLD - health_wad
    span = HEALTH_FACTOR_LIQUIDATION_THRESHOLD - terms.max_bonus_health_wad
    return least + floored(mul_div_down(max_bonus_bps - least, sickness, span))


@rule
def debt_to_target(terms: Liquidation, position: Position, bonus_bps: Number) -> Number:
    """LiquidationLogic._calculateDebtToTargetHealthFactor: debt to clear for the target health factor, ray."""
    penalty = percent_mul_up(bonus_bps * 10**14, position.factor_bps)
    return mul_div_up(
        position.debt_value_ray,
        position.debt_unit * (terms.target_health_wad - position.health_wad),
        (terms.target_health_wad - penalty) * position.debt_price * 10**18,
    )


@rule
def debt_to_liquidate(
    terms: Liquidation, position: Position, bonus_bps: Number, cover: Number
) -> tuple[Number, Number]:
    """LiquidationLogic._calculateDebtToLiquidate: drawn shares and premium (ray), premium first.

    Up to the target and to `cover`; all of it where less than 1,000 US dollars would be left, whatever `cover` is.
    """
    target = debt_to_target(terms, position, bonus_bps)
    premium = min(from_ray_up(target) * ray(), position.premium_ray)
    if cover < from_ray_up(premium):
        premium = cover * ray()
    drawn = zero()
    if premium == position.premium_ray and premium < target:
        to_target = ceiled(div_up(target - premium, position.index))
        to_cover = floored(mul_div_down(cover - from_ray_up(premium), ray(), position.index))
        drawn = min(to_target, to_cover, position.drawn_shares)
    left_ray = (position.drawn_shares - drawn) * position.index + position.premium_ray - premium
    left_value_ray = to_value(left_ray, position.debt_price, position.debt_unit)
    if drawn < position.drawn_shares and left_value_ray < dust_value() * ray():
        return position.drawn_shares, position.premium_ray
    return drawn, premium


@rule
def collateral_to_liquidate(position: Position, bonus_bps: Number, drawn: Number, premium: Number) -> Number:
    """LiquidationLogic._calculateCollateralToLiquidate: the debt's worth and the bonus, in supply shares."""
    amount = floored(
        mul_div_down(
            drawn * position.index + premium,
            position.debt_price * position.collateral_unit * bonus_bps,
            position.debt_unit * position.collateral_price * 10_000 * ray(),
        )
    )
    return to_shares_down(amount, position.total_added, position.added_shares)


@rule
def debt_for_collateral(position: Position, bonus_bps: Number, shares: Number) -> tuple[Number, Number]:
    """Drawn shares and premium (ray) that supply shares pay for; drawn shares may exceed the debt."""
    worth = mul_div_up(
        to_assets_up(shares, position.total_added, position.added_shares),
        position.collateral_price * position.debt_unit * 10_000 * ray(),
        position.debt_price * position.collateral_unit * bonus_bps,
    )
    if worth <= position.premium_ray:
        return zero(), min(from_ray_up(worth) * ray(), position.premium_ray)
    return ceiled(div_up(worth - position.premium_ray, position.index)), position.premium_ray


@rule
def liquidation_amounts(terms: Liquidation, position: Position, cover: Number) -> Amounts:
    """LiquidationLogic._calculateLiquidationAmounts.

    Parameters
    ----------
    terms
        The spoke's configuration.
    position
        Account and reserves.
    cover
        What the liquidator is willing to pay, smallest units of the debt token.
    """
    supplied = position.supplied_shares
    bonus = liquidation_bonus(terms, position.health_wad, position.max_bonus_bps)
    drawn, premium = debt_to_liquidate(terms, position, bonus, cover)
    shares = collateral_to_liquidate(position, bonus, drawn, premium)

    leaves_dust = False
    if shares < supplied:
        left = to_assets_down(supplied - shares, position.total_added, position.added_shares)
        leaves_dust = to_value(left, position.collateral_price, position.collateral_unit) < dust_value()

    if shares > supplied or (leaves_dust and drawn < position.drawn_shares):
        shares = supplied
        drawn, premium = debt_for_collateral(position, bonus, supplied)
        if drawn > position.drawn_shares:
            drawn = position.drawn_shares
            shares = min(collateral_to_liquidate(position, bonus, drawn, premium), supplied)

    error = OK
    if cover < ceiled(ray_mul_up(drawn, position.index)) + from_ray_up(premium):
        error = MUST_NOT_LEAVE_DUST
    fee = ceiled(mul_div_up(shares, position.fee_bps * (bonus - 10_000), bonus * 10_000))
    return Amounts(error, bonus, shares, shares - fee, drawn, premium)
