"""What may be repaid of an account and what is received for it, in every protocol, as one function that compiles.

Loops over many accounts and paths call :func:`closing` with the code and the numbers that a market gives
(``closing_terms`` of :mod:`protocols.lending.interface`), and need not know any protocol. Each rule is the function
``closing`` of its protocol's ``closing.py`` and calls the functions that settle liquidations exactly; what lies between
it and the exact market is said there. A protocol without such a file is :data:`WHOLE`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import cast

from protocols import registry
from protocols.arithmetic import rule
from protocols.lending.interface import WHOLE, Closing, ClosingTerms, FloatArray, Pair

__all__ = ["WHOLE", "Closing", "ClosingTerms", "Pair", "accepted", "closing", "code_of", "received"]

Rule = Callable[[FloatArray, Pair], Closing]
"""A protocol's own, of the parameters in `ClosingTerms`."""
RuleByCode = Callable[[int, FloatArray, Pair], Closing]

WHOLLY = 1.0 - 1e-12
"""What cannot be told from all of a debt or a collateral is all of it."""

_RULES: dict[str, Rule] = {
    name: registry.part("lending", name, "closing").closing
    for name in registry.names("lending")
    if registry.has_part("lending", name, "closing")
}
_CODES = {protocol: code for code, protocol in enumerate(_RULES, start=WHOLE + 1)}


def code_of(protocol: str) -> int:
    """The number by which compiled code knows the rule of a protocol's folder; it holds in this process only."""
    return _CODES.get(protocol, WHOLE)


@rule
def _whole(code: int, parameters: FloatArray, pair: Pair) -> Closing:
    return Closing(pair.debt_usd, pair.bonus, 0.0, 0.0)


def _or(code: int, own: Rule, others: RuleByCode) -> RuleByCode:
    """A function that has one rule more. Compiled code can look no function up by a number, but a closure names it."""

    @rule
    def either(asked: int, parameters: FloatArray, pair: Pair) -> Closing:
        if asked == code:
            return own(parameters, pair)
        return others(asked, parameters, pair)

    return either


_by_code = reduce(lambda others, name: _or(_CODES[name], _RULES[name], others), _RULES, cast(RuleByCode, _whole))


@rule
def closing(code: int, parameters: FloatArray, pair: Pair) -> Closing:
    """The terms of a liquidation of one debt against one collateral; plain Python, and compiled the same.

    Parameters
    ----------
    code, parameters
        The market's :class:`ClosingTerms`.
    pair
        The debt and the collateral.
    """
    return _by_code(code, parameters, pair)


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
