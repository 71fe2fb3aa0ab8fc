"""What may be repaid of an account and what is received for it, in every protocol, as one function that compiles.

Loops over many accounts and paths call :func:`closing` with the code and the numbers that a market gives
(``closing_terms`` of :mod:`protocols.lending.interface`), and need not know any protocol. Each rule is in its
protocol's folder and calls the functions that settle liquidations exactly; what lies between it and the exact market
is said there.

A protocol with a rule of its own has a code and a branch here; one without is :data:`WHOLE`.
"""

from __future__ import annotations

from protocols.arithmetic import rule
from protocols.lending.aave_v2.closing import closing as aave_v2
from protocols.lending.aave_v3.closing import closing as aave_v3
from protocols.lending.aave_v4.closing import closing as aave_v4
from protocols.lending.compound_v2.closing import closing as compound_v2
from protocols.lending.interface import WHOLE, Closing, ClosingTerms, FloatArray
from protocols.lending.venus_core.closing import closing as venus_core

__all__ = [
    "AAVE_V2",
    "AAVE_V3",
    "AAVE_V4",
    "COMPOUND_V2",
    "VENUS_CORE",
    "WHOLE",
    "Closing",
    "ClosingTerms",
    "accepted",
    "closing",
    "received",
]

AAVE_V2, AAVE_V3, AAVE_V4, COMPOUND_V2, VENUS_CORE = range(WHOLE + 1, WHOLE + 6)

WHOLLY = 1.0 - 1e-12
"""What cannot be told from all of a debt or a collateral is all of it."""


@rule
def closing(
    code: int,
    parameters: FloatArray,
    health: float,
    owed_usd: float,
    debt_usd: float,
    collateral_usd: float,
    threshold: float,
    bonus: float,
    fee: float,
) -> Closing:
    """The terms of a liquidation of one debt against one collateral; plain Python, and compiled the same.

    Parameters
    ----------
    code, parameters
        The market's :class:`ClosingTerms`.
    health
        Weighted collateral over debt, below 1.
    owed_usd
        All that the account owes, US dollars at the market's oracle prices, as all values here.
    debt_usd
        What it owes in the reserve that is repaid.
    collateral_usd
        What it has in the reserve that is seized.
    threshold, bonus
        Liquidation threshold (a share) and bonus (1.05 = 5 %) of that collateral, as ``Exposures`` has them.
    fee
        The collateral's in `ClosingTerms`.
    """
    if code == AAVE_V2:
        return aave_v2(parameters, health, owed_usd, debt_usd, collateral_usd, threshold, bonus, fee)
    if code == AAVE_V3:
        return aave_v3(parameters, health, owed_usd, debt_usd, collateral_usd, threshold, bonus, fee)
    if code == AAVE_V4:
        return aave_v4(parameters, health, owed_usd, debt_usd, collateral_usd, threshold, bonus, fee)
    if code == COMPOUND_V2:
        return compound_v2(parameters, health, owed_usd, debt_usd, collateral_usd, threshold, bonus, fee)
    if code == VENUS_CORE:
        return venus_core(parameters, health, owed_usd, debt_usd, collateral_usd, threshold, bonus, fee)
    return Closing(debt_usd, bonus, 0.0, 0.0)


@rule
def accepted(terms: Closing, wanted_usd: float, debt_usd: float, collateral_usd: float) -> float:
    """The largest repayment up to what is wanted that the protocol accepts, US dollars; 0 if none is.

    The close factor and the collateral cut it; what would leave too little of both debt and collateral, neither being
    taken whole, is cut until enough is left. A collateral that has a bonus of 0 cannot be seized.
    """
    if terms.bonus <= 0.0:
        return 0.0
    pays_for = collateral_usd / terms.bonus
    repaid = min(wanted_usd, terms.most_usd, debt_usd, pays_for)
    if terms.leftover_usd > 0.0 and repaid < WHOLLY * min(debt_usd, pays_for):
        leaves_enough = min(debt_usd - terms.leftover_usd, (collateral_usd - terms.leftover_usd) / terms.bonus)
        repaid = max(min(repaid, leaves_enough), 0.0)
    return repaid


@rule
def received(terms: Closing, repaid_usd: float) -> float:
    """What the liquidator gets for a repayment, the protocol's fee taken off, US dollars at oracle prices."""
    return repaid_usd * (terms.bonus - terms.fee_share * (terms.bonus - 1.0))
