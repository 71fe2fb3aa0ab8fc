"""The close factor of Venus' core pool in real numbers, for loops over many accounts.

The parameter is the comptroller's close factor in wad; the fee is the share of the bonus that the Liquidator contract
keeps, the same for every reserve. Exact but for roundings of amounts to units and claims. Not told: forced
liquidations, which take whole debts and need no shortfall, and who may not liquidate.
"""

from __future__ import annotations

from protocols.arithmetic import rule
from protocols.lending.compound_v2.balances import most_repayable
from protocols.lending.interface import Closing, FloatArray, Pair

WAD = 1e18


@rule
def closing(parameters: FloatArray, pair: Pair) -> Closing:
    """PolicyFacet.liquidateBorrowAllowed, an amount being counted at 1e-18 US dollars."""
    return Closing(most_repayable(parameters[0], pair.debt_usd * WAD) / WAD, pair.bonus, pair.fee, 0.0)
