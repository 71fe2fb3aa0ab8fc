"""Replay of recorded swaps on Pendle markets, and of direct calls of their logarithm and exponential.

The exact form must give the amounts, the state after and the name of the error. The fast form has the amounts, the
state and the name; the balance that an amount is taken from is what the market holds of that token, and the implied
rate counts by what it makes of the time that is left, since it enters nothing but through that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from protocols.amm.pendle import rules
from protocols.amm.revert import Revert
from protocols.compiled import fast
from tests.vectors.outcome import Document, Outcome, relative_error
from tests.vectors.watched import Watched, smallest_margin

_SWAPS = {"swapExactPtForSy": rules.sell_pt, "swapSyForExactPt": rules.buy_pt}
_FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "ln": (rules.ln, ()),
    "exp": (rules.exchange_rate_of, (rules.YEAR,)),
}
"""The rule of each function of the library, and what it is told besides."""

_CALL = {"fn", "amount", "timestamp"}
_VERSIONS = {"1", "3", "6", "7"}
_ASKS_FOR_FEE = 6
_TERMS = ("scalarRoot", "expiry", "lnFeeRateRoot", "reserveFeePercent", "pyIndex")
_STATE = ("totalPt", "totalSy", "lastLnImpliedRate")
_AMOUNTS = ("sy", "fee", "to_reserve")


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for case in document["cases"]:
        name = f"{case['id']}: {case['label']}"
        if case["kind"] == "swap" and case["call"].keys() == _CALL and case["version"] in _VERSIONS:
            yield _check_swap(name, case)
        elif case["kind"] == "math" and {call["fn"] for call in case["calls"]} <= _FUNCTIONS.keys():
            yield _check_math(name, case)
        else:
            yield Outcome(name, "a case that is not understood")


def _attempt(function: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    try:
        return function(*arguments), ""
    except Revert as revert:
        return None, str(revert)


def _reason(recorded: str) -> str:
    """The name of an error without its arguments, or the text of one that has a text."""
    return recorded.removeprefix("Error:").partition("(")[0]


# --- swaps --------------------------------------------------------------------------------------------------------


def _check_swap(name: str, case: dict[str, Any]) -> Outcome:
    call, result = case["call"], case["result"]
    swap = _SWAPS[call["fn"]]
    terms, state = _terms(case), _state(case["before"])
    now, amount = int(call["timestamp"]), int(call["amount"])
    trade, reason = _attempt(swap, terms, state, now, amount)
    found: dict[str, Any] = {"reverted": True, "reason": reason}
    if trade is not None:
        found = {
            "reverted": False,
            "netSy": str(trade.sy),
            "netSyFee": str(trade.fee),
            "netSyToReserve": str(trade.to_reserve),
            "after": dict(zip(_STATE, map(str, trade.state), strict=True)),
        }
    recorded = result | {"reason": _reason(result["reason"])} if result["reverted"] else result
    if found != recorded:
        return Outcome(name, f"found {found}, recorded {result}")
    return Outcome(name, "", *_check_fast(swap, (terms, state, now, amount), trade, reason))


def _terms(case: dict[str, Any]) -> rules.Terms:
    params = case["params"]
    if params.keys() != set(_TERMS):
        raise ValueError(f"case {case['id']} has other parameters than {', '.join(_TERMS)}")
    scalar_root, expiry, fee, percent, index = (int(params[name]) for name in _TERMS)
    return rules.Terms(scalar_root, expiry, fee, percent, index, int(case["version"]) >= _ASKS_FOR_FEE)


def _state(before: dict[str, Any]) -> rules.State:
    return rules.State(*(int(before[name]) for name in _STATE))


def _check_fast(
    swap: Callable[..., Any], arguments: tuple[Any, ...], trade: rules.Trade | None, reason: str
) -> tuple[float, float | None]:
    terms, state, now, amount = arguments
    floats = terms._make((*map(float, terms[:-1]), terms.asks_for_fee)), rules.State(*map(float, state))
    found, fast_reason = _attempt(fast(swap), *floats, float(now), float(amount))
    if fast_reason != reason:
        return 0.0, smallest_margin(
            lambda: swap(terms, rules.State(*map(Watched, state)), now, Watched(amount)), roundings=True
        )
    if trade is None:
        return 0.0, None
    left = (terms.expiry - now) / rules.YEAR
    rates = found.state.last_ln_implied_rate * left, round(trade.state.last_ln_implied_rate * left)
    return max(
        *(relative_error(getattr(found, name), getattr(trade, name), state.total_sy) for name in _AMOUNTS),
        relative_error(found.state.total_pt, trade.state.total_pt, state.total_pt),
        relative_error(found.state.total_sy, trade.state.total_sy, state.total_sy),
        relative_error(*rates, rules.ONE),
    ), None


# --- mathematics --------------------------------------------------------------------------------------------------


def _check_math(name: str, case: dict[str, Any]) -> Outcome:
    worst = 0.0
    for number, call in enumerate(case["calls"]):
        (x,) = map(int, call["args"])
        (function, told), out = _FUNCTIONS[call["fn"]], call["out"]
        found, reason = _attempt(function, x, *told)
        expected = (None, _reason(out["revert"])) if isinstance(out, dict) else (int(out), "")
        if (found, reason) != expected:
            return Outcome(name, f"call {number} of {call['fn']} gives {(found, reason)}, recorded {expected}")
        if not reason:
            worst = max(worst, relative_error(fast(function)(float(x), *map(float, told)), found, rules.ONE))
    return Outcome(name, "", worst)
