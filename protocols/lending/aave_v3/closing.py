"""The close factor of Aave v3 in real numbers, for loops over many accounts.

The market's parameters are the version and its constants, in the order of
:class:`protocols.lending.aave_v3.rules.Constants`; a reserve's fee is its share of the bonus. Exact but for roundings:
of amounts to units, and up to 3.4 of the account's average threshold to basis points, by which its health factor may
be a little lower and fall on the other side of 0.95.
"""

from __future__ import annotations

from protocols.arithmetic import rule, zero
from protocols.lending.aave_v3.rules import MIN_LEFTOVER_BASE, AccountData, Constants, most_repayable
from protocols.lending.aave_v3.versions import V33
from protocols.lending.interface import Closing, FloatArray, Pair

BASE = 1e8
"""Base units in a US dollar."""
WAD = 1e18


@rule
def closing(parameters: FloatArray, pair: Pair) -> Closing:
    """LiquidationLogic's close factor, bonus, fee and MIN_LEFTOVER_BASE, a base unit being the unit of the debt."""
    version, constants = int(parameters[0]), Constants(parameters[1], parameters[2])
    nothing, one = zero(), 1.0
    data = AccountData(nothing, pair.owed_usd * BASE, nothing, nothing, nothing, pair.health * WAD)
    debt, supply = pair.debt_usd * BASE, pair.collateral_usd * BASE
    most = most_repayable(version, constants, data, debt, debt, supply, one, one)
    return Closing(most / BASE, pair.bonus, pair.fee, MIN_LEFTOVER_BASE / BASE if version >= V33 else 0.0)
