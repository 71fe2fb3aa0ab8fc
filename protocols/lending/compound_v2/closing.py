"""The close factor of Compound v2 in real numbers, for loops over many accounts.

The parameter is the comptroller's close factor in wad; a reserve's fee is its market's share of everything that is
seized. Exact but for roundings of amounts to units and claims. Not told: a debt in a deprecated market, which may be
repaid whole and without a shortfall.
"""

from __future__ import annotations

from protocols.arithmetic import rule
from protocols.lending.compound_v2.balances import most_repayable, reserves_part
from protocols.lending.interface import Closing, FloatArray, Pair

WAD = 1e18


@rule
def closing(parameters: FloatArray, pair: Pair) -> Closing:
    """Comptroller.liquidateBorrowAllowed and CToken.seizeInternal, an amount being counted at 1e-18 US dollars.

    The market's share is of what is seized; as a share of the bonus it is the larger the smaller the bonus, and may
    exceed 1. Without a bonus it cannot be told so, and is taken for 0: nobody liquidates then.
    """
    most = most_repayable(parameters[0], pair.debt_usd * WAD) / WAD
    seized = pair.bonus * WAD
    kept = reserves_part(pair.fee * WAD, seized)
    return Closing(most, pair.bonus, kept / (seized - WAD) if seized != WAD else 0.0, 0.0)
