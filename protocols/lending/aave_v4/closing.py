"""How far Aave v4 lets a liquidation go, in real numbers, for loops over many accounts.

The parameters are the spoke's liquidation configuration, in the order of
:class:`protocols.lending.aave_v4.state.Liquidation`; a reserve's fee is its share of the bonus in its latest dynamic
configuration, where an account may still have an earlier one. Otherwise exact but for roundings of amounts to units
and shares.
"""

from __future__ import annotations

from protocols.arithmetic import max_uint256, ray, rule, zero
from protocols.lending.aave_v4.amounts import Position, dust_value, liquidation_amounts
from protocols.lending.aave_v4.state import Liquidation
from protocols.lending.interface import Closing, FloatArray, Pair

PRICE = 1e8
"""Of a token worth one US dollar."""
UNIT = 1e18
WAD = 1e18
BPS = 1e4
VALUE = 1e26
"""Of one US dollar."""


@rule
def closing(parameters: FloatArray, pair: Pair) -> Closing:
    """LiquidationLogic on tokens worth a dollar each, an index of 1, and shares worth a unit.

    The largest repayment is what a liquidator pays who sets no limit, so that what the collateral pays for has cut it
    already: to the target health factor, or all of the debt or of the collateral where less than 1,000 US dollars of
    it would be left. The bonus is that of the account's health.
    """
    terms = Liquidation(parameters[0], parameters[1], parameters[2])
    nothing, one = zero(), ray() * 1.0
    supplied, debt = pair.collateral_usd * UNIT, pair.debt_usd * UNIT
    position = Position(
        supplied_shares=supplied,
        collateral_unit=UNIT,
        collateral_price=PRICE,
        total_added=supplied,
        added_shares=supplied,
        drawn_shares=debt,
        premium_ray=nothing,
        index=one,
        debt_unit=UNIT,
        debt_price=PRICE,
        debt_value_ray=pair.owed_usd * VALUE * one,
        health_wad=pair.health * WAD,
        factor_bps=float(round(pair.threshold * BPS)),
        max_bonus_bps=float(round(pair.bonus * BPS)),
        fee_bps=float(round(pair.fee * BPS)),
    )
    amounts = liquidation_amounts(terms, position, max_uint256() * 1.0)
    return Closing(amounts.drawn_shares / UNIT, amounts.bonus_bps / BPS, pair.fee, dust_value() / VALUE)
