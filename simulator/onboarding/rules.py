"""The rules by which parameters are proposed: formulas of few numbers, each with its source.

Shares of value throughout: a bonus of 0.05 is what protocols write as 1.05.
"""

from __future__ import annotations

import math

from chain.errors import InputError

GRID = 0.005
"""Proposals are multiples of half a percent, rounded to the safe side."""
_ROUNDING = 1e-9


def bonus(loss: float, protocol_fee: float, flash_fee: float, gas_share: float) -> float:
    """The least bonus for which a liquidation pays.

    A liquidator who repays 1 receives 1 + b (1 - f), sells it at a loss of s, and pays for a flash loan and gas: it
    gains as long as (1 + b (1 - f)) (1 - s) >= 1 + c.

    Parameters
    ----------
    loss
        s, of the sale of the largest position.
    protocol_fee
        f, the protocol's share of the bonus (Aave v3: liquidationProtocolFee, LiquidationLogic.sol).
    flash_fee, gas_share
        Whose sum is c, as shares of what is repaid.

    Raises
    ------
    InputError
        If nothing of the sale is left, or the protocol takes all of the bonus.
    """
    if loss >= 1.0 or protocol_fee >= 1.0:
        raise InputError("no bonus pays: the sale brings nothing, or the protocol takes all of the bonus")
    return max(0.0, ((1.0 + flash_fee + gas_share) / (1.0 - loss) - 1.0) / (1.0 - protocol_fee))


def loss_that_pays(bonus_share: float, protocol_fee: float, flash_fee: float) -> float:
    """The largest loss of a sale at which a large liquidation still pays; :func:`bonus` the other way round."""
    return max(0.0, 1.0 - (1.0 + flash_fee) / (1.0 + bonus_share * (1.0 - protocol_fee)))


def threshold(fall: float, deviation: float, bonus_share: float) -> float:
    """The highest liquidation threshold at which a late liquidation still repays all of the debt.

    When the oracle says D = LT C, the market may already be lower by the deviation that no answer is given for, and
    falls on until somebody liquidates: what is left of C must be worth D (1 + b), or the account is beyond the toxic
    frontier 1 / (1 + b) (Warmuz, Chaudhary and Pinna 2022, arXiv 2212.07306).

    Parameters
    ----------
    fall
        Of the price over the time from the move to the liquidation, in the tail.
    deviation
        Of the feed.
    bonus_share
        b.
    """
    return (1.0 - fall) * (1.0 - deviation) / (1.0 + bonus_share)


def ltv(threshold_share: float, fall: float) -> float:
    """The highest maximum LTV at which a new loan bears a fall without being liquidated: LT (1 - fall)."""
    return threshold_share * (1.0 - fall)


def down(share: float) -> float:
    """The multiple of `GRID` below; 0 at least."""
    return max(0.0, round(math.floor(share / GRID + _ROUNDING) * GRID, 6))


def up(share: float) -> float:
    """The multiple of `GRID` above."""
    return round(math.ceil(share / GRID - _ROUNDING) * GRID, 6)
