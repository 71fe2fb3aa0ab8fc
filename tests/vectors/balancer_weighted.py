"""Replay of recorded Vault.swap calls on weighted pools, and of direct calls of their mathematics.

The exact form must give both amounts, the state after and the revert reason; supplies of pool tokens do not change in
a swap. The fast form has the amount that was not given, and the reason. The balance that an amount is taken from is
what the pool holds of that token; that of a power is one. Powers out of the contract's bounds have no fast form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from protocols.amm.balancer_weighted import rules
from protocols.amm.balancer_weighted.power import power
from protocols.amm.revert import Revert
from protocols.compiled import fast
from tests.vectors.outcome import Document, Outcome, relative_error
from tests.vectors.watched import Watched, smallest_margin

_KINDS = {"GIVEN_IN": rules.swap_given_in, "GIVEN_OUT": rules.swap_given_out}
_CALL = {"type", "i", "j", "amount", "limit", "timestamp"}


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for number, case in enumerate(document["cases"]):
        name = f"{number}: {case.get('label', case['kind'])}"
        if case["kind"] == "swap" and case["call"].keys() == _CALL and case["call"]["type"] in _KINDS:
            yield _check_swap(name, case)
        elif case["kind"] == "math" and {call["fn"] for call in case["calls"]} <= _FUNCTIONS.keys():
            yield _check_math(name, case)
        else:
            yield Outcome(name, f"a case of kind {case['kind']} that is not understood")


def _attempt(function: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    try:
        return function(*arguments), ""
    except Revert as revert:
        return None, str(revert)


def _reason(recorded: str) -> str:
    """The contract's own words: without what the file puts before them, or explains after them."""
    return recorded.removeprefix("Error:").partition(" ")[0]


# --- swaps --------------------------------------------------------------------------------------------------------


def _check_swap(name: str, case: dict[str, Any]) -> Outcome:
    before, call = case["before"], case["call"]
    sold, bought = int(call["i"]), int(call["j"])
    given_in = call["type"] == "GIVEN_IN"
    amount, limit = int(call["amount"]), int(call["limit"])
    swap, tokens, swap_fee = _KINDS[call["type"]], _tokens(before), int(before["swapFeePercentage"])
    arguments = tokens[sold], tokens[bought], swap_fee, amount, True

    computed, reason = _attempt(swap, *arguments)
    expected = _reason(case.get("revert", ""))
    if not reason and (computed < limit if given_in else computed > limit):
        reason = "BAL#507"
    if case["success"] != (expected == "") or reason != expected:
        return Outcome(name, f"reverts with {reason or 'nothing'}, recorded {expected or 'nothing'}")
    if not case["success"]:
        return Outcome(
            name, "", *_check_fast(swap, arguments, computed, "" if reason == "BAL#507" else reason, given_in)
        )

    paid, received = (amount, computed) if given_in else (computed, amount)
    balances = [token.balance for token in tokens]
    balances[sold] += paid
    balances[bought] -= received
    after = before | {"timestamp": call["timestamp"], "balances": [str(balance) for balance in balances]}
    after["invariant_view"] = str(_invariant(after))
    found = {"amountIn": str(paid), "amountOut": str(received), "after": after}
    if found != case["result"] or str(_invariant(before)) != before["invariant_view"]:
        return Outcome(name, f"found {found}, recorded {case['result']}")
    return Outcome(name, "", *_check_fast(swap, arguments, computed, reason, given_in))


def _tokens(state: dict[str, Any]) -> list[rules.Token]:
    columns = zip(state["balances"], state["normalizedWeights"], state["decimals"], strict=True)
    return [rules.Token(int(balance), int(weight), 10 ** (18 - int(decimals))) for balance, weight, decimals in columns]


def _invariant(state: dict[str, Any]) -> int:
    tokens = _tokens(state)
    return rules.invariant([t.weight for t in tokens], [t.balance * t.scale for t in tokens], True)


def _check_fast(
    swap: Callable[..., Any], arguments: tuple[Any, ...], computed: int | None, reason: str, given_in: bool
) -> tuple[float, float | None]:
    sold, bought, swap_fee, amount, exact_powers = arguments
    floats = rules.Token(*map(float, sold)), rules.Token(*map(float, bought)), float(swap_fee), float(amount)
    found, fast_reason = _attempt(fast(swap), *floats, exact_powers)
    if fast_reason != reason:
        return 0.0, smallest_margin(lambda: swap(sold, bought, swap_fee, Watched(amount), exact_powers))
    if computed is None:
        return 0.0, None
    return relative_error(found, computed, bought.balance if given_in else sold.balance), None


# --- mathematics --------------------------------------------------------------------------------------------------

_FUNCTIONS: dict[str, tuple[Callable[..., int], tuple[bool, ...]]] = {
    "outGivenIn": (rules.out_given_in, (True,)),
    "inGivenOut": (rules.in_given_out, (True,)),
    "invariant": (rules.invariant, (True,)),
    "pow": (power, ()),
    "powUp": (rules.power_up, (True,)),
    "powDown": (rules.power_down, (True,)),
}
"""The rule of each function of the contracts, and what it is told besides: exponents 1, 2 and 4 are multiplied out."""

_SCALES = {"outGivenIn": 2, "inGivenOut": 0, "powUp": None, "powDown": None}
"""Those that have a fast form, and which argument is the balance that the result is taken from."""


def _check_math(name: str, case: dict[str, Any]) -> Outcome:
    worst = 0.0
    for number, call in enumerate(case["calls"]):
        function, told = _FUNCTIONS[call["fn"]]
        arguments: list[Any] = [[int(x) for x in a] if isinstance(a, list) else int(a) for a in call["args"]]
        found, reason = _attempt(function, *arguments, *told)
        recorded = call["out"]
        expected = (None, _reason(recorded["revert"])) if isinstance(recorded, dict) else (int(recorded), "")
        if (found, reason) != expected:
            return Outcome(name, f"call {number} of {call['fn']} gives {(found, reason)}, recorded {expected}")
        if call["fn"] in _SCALES and not reason:
            one = _SCALES[call["fn"]]
            scale = rules.ONE if one is None else arguments[one]
            worst = max(worst, relative_error(fast(function)(*map(float, arguments), *told), found, scale))
    return Outcome(name, "", worst)
