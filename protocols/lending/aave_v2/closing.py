"""The close factor of Aave v2 in real numbers, for loops over many accounts.

The market's parameter is the close factor in basis points, and there are no fees. Exact but for roundings of amounts to
units, and for the account's average threshold, which the contract rounds to basis points before it decides who may be
liquidated.
"""

from __future__ import annotations

from protocols.arithmetic import rule
from protocols.lending.aave_v2.rules import Constants, most_repayable
from protocols.lending.interface import Closing, FloatArray, Pair

UNIT = 1e18
"""Of a US dollar, so that what the rule rounds off is nothing."""


@rule
def closing(parameters: FloatArray, pair: Pair) -> Closing:
    """LendingPoolCollateralManager's close factor; the bonus is all the liquidator's."""
    return Closing(most_repayable(Constants(parameters[0]), pair.debt_usd * UNIT) / UNIT, pair.bonus, 0.0, 0.0)
