"""How much of a position is taken: from an amount that a liquidator would pay to the arguments of ``liquidate``.

Morpho takes a number of debt shares or an amount of collateral, not an amount to pay. The translation here is a
function of the market's state and the amount alone, so that a run and its verification make the same call.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.lending.morpho_blue.rules import owed, shares_for
from protocols.lending.morpho_blue.shares import to_shares_down
from protocols.lending.morpho_blue.state import Position, Totals


class Take(NamedTuple):
    """Arguments of Morpho.liquidate, one of which is 0.

    Attributes
    ----------
    seized
        Collateral to take, smallest units.
    shares
        Debt shares to repay.
    """

    seized: int
    shares: int


def whole(totals: Totals, position: Position, price: int, factor_wad: int) -> tuple[Take, int]:
    """The largest liquidation of a position, and what it costs in smallest units of the loan token.

    All the debt by shares, where the collateral suffices for it with the incentive; otherwise all the collateral by
    amount, which is what makes the rest of the debt a loss of the lenders. (By shares, rounding would leave a unit.)

    Parameters
    ----------
    totals
        With interest to now.
    factor_wad
        The liquidation incentive factor.
    """
    for_all = shares_for(position.collateral, totals, price, factor_wad)
    if for_all <= position.borrow_shares:
        return Take(position.collateral, 0), owed(totals, for_all)
    return Take(0, position.borrow_shares), owed(totals, position.borrow_shares)


def take_for(totals: Totals, position: Position, price: int, factor_wad: int, amount: int) -> Take:
    """The liquidation that costs `amount` or as little less as shares allow; the whole one where that costs no more.

    Less than the whole is always by shares, and then always leaves some collateral.
    """
    take, cost = whole(totals, position, price, factor_wad)
    if amount >= cost:
        return take
    return Take(0, to_shares_down(amount, totals.borrow_assets, totals.borrow_shares))
