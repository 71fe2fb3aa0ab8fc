"""Replay of recorded exchanges on tricrypto-ng pools, and of direct calls of their views and their mathematics.

The exact form must give the amount, the fee, the state after and the revert reason. The view ``xcp_oracle`` is not
compared: it follows from a stored value that the file does not have, and nothing reads it. The view ``ma_time`` is a
half-life, a time constant times 0.694 rounded down; where two constants fit, one must give what is recorded.

The fast form has amount, fee, D, prices, profit and the reason. The balance that an amount is taken from is what the
pool holds of that coin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from protocols.amm.curve_tricrypto import rules
from protocols.amm.curve_tricrypto.invariant import ONE, get_y, newton_d
from protocols.amm.revert import Revert
from protocols.compiled import fast
from tests.vectors.outcome import RELATIVE_TOLERANCE, Document, Outcome, relative_error
from tests.vectors.watched import Watched, smallest_margin

_UNCOMPARED = {"xcp_oracle"}
_CALL = {"i", "j", "dx", "min_dy", "dt", "timestamp"}
_NO_REASON = "EMPTY"


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for number, case in enumerate(document["cases"]):
        name = f"{number}: {case.get('label', case['kind'])}"
        if case["kind"] == "exchange" and case["call"].keys() == _CALL:
            outcomes = [_check_exchange(name, case, terms) for terms in _terms(case["before"])]
        elif case["kind"] == "get_dy_table" and {call["fn"] for call in case["math"]} <= {"get_y", "newton_D"}:
            outcomes = [_check_table(name, case, terms) for terms in _terms(case["before"])]
        else:
            outcomes = [Outcome(name, f"a case of kind {case['kind']} that is not understood")]
        yield next((outcome for outcome in outcomes if outcome.passed), outcomes[0])


def _attempt(function: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    """The result, and the reason of a revert as the file writes it."""
    try:
        return function(*arguments), ""
    except Revert as revert:
        return None, f"Error:{revert}" if str(revert) else _NO_REASON


# --- the state ----------------------------------------------------------------------------------------------------


def _ints(values: list[str]) -> tuple[int, ...]:
    return tuple(map(int, values))


def _terms(before: dict[str, Any]) -> list[rules.Terms]:
    """The pool's terms, once for each time constant that the half-life can stand for."""
    names = ("mid_fee", "out_fee", "fee_gamma", "allowed_extra_profit", "adjustment_step")
    known = [_ints(before["precisions"]), *(int(before[name]) for name in names)]
    half_life = int(before["ma_time"])
    return [
        rules.Terms._make([*known, time])
        for time in range(-(-half_life * 1000 // 694), -(-(half_life + 1) * 1000 // 694))
    ]


def _ramp(before: dict[str, Any]) -> rules.Ramp:
    times = int(before["initial_A_gamma_time"]), int(before["future_A_gamma_time"])
    initial, future = (divmod(int(before[f"{name}_A_gamma"]), 2**128) for name in ("initial", "future"))
    return rules.Ramp(*initial, times[0], *future, times[1])


def _state(before: dict[str, Any]) -> rules.State:
    return rules.State(
        _ints(before["balances"]),  # type: ignore[arg-type]
        int(before["D"]),
        _ints(before["price_scale"]),  # type: ignore[arg-type]
        _ints(before.get("price_oracle_stored", before["price_oracle_view"])),  # type: ignore[arg-type]
        _ints(before["last_prices"]),  # type: ignore[arg-type]
        int(before["last_timestamp_price_oracle"]),
        int(before["virtual_price"]),
        int(before["xcp_profit"]),
        int(before["totalSupply"]),
    )


def _recorded(terms: rules.Terms, ramp: rules.Ramp, state: rules.State, before: dict[str, Any], now: int) -> Any:
    """A state as the file has it, views included; what an exchange does not change is as before."""
    ann, gamma = rules.a_gamma(ramp, now)

    def words(values: tuple[int, ...]) -> list[str]:
        return [str(value) for value in values]

    return before | {
        "timestamp": str(now),
        "A": str(ann),
        "gamma": str(gamma),
        "D": str(state.d),
        "virtual_price": str(state.virtual_price),
        "xcp_profit": str(state.xcp_profit),
        "balances": words(state.balances),
        "token_balances": words(state.balances),
        "price_scale": words(state.price_scale),
        "price_oracle_view": words(rules.moving_average(terms, state, now)),
        "price_oracle_stored": words(state.price_oracle),
        "last_prices": words(state.last_prices),
        "last_timestamp_price_oracle": str(state.last_timestamp),
        "get_virtual_price_view": str(ONE * rules.get_xcp(state.d, state.price_scale) // state.total_supply),
        "fee_view": str(rules.fee(terms, rules.scaled(terms, state.price_scale, state.balances))),
    }


def _difference(found: dict[str, Any], recorded: dict[str, Any]) -> str:
    for name in sorted((found.keys() | recorded.keys()) - _UNCOMPARED):
        if found.get(name) != recorded.get(name):
            return f"{name} is {found.get(name)}, recorded {recorded.get(name)}"
    return ""


# --- exchanges ----------------------------------------------------------------------------------------------------


def _check_exchange(name: str, case: dict[str, Any], terms: rules.Terms) -> Outcome:
    before, call = case["before"], case["call"]
    ramp, state = _ramp(before), _state(before)
    i, j, paid, least, now = (int(call[key]) for key in ("i", "j", "dx", "min_dy", "timestamp"))
    arguments = terms, ramp, state, now, i, j, paid, least

    exchanged, reason = _attempt(rules.exchange, *arguments)
    expected = case.get("revert", "")
    if case["success"] != (expected == "") or reason != expected:
        return Outcome(name, f"reverts with {reason or 'nothing'}, recorded {expected or 'nothing'}")
    difference = _difference(_recorded(terms, ramp, state, before, int(before["timestamp"])), before)
    if case["success"] and not difference:
        result = case["result"]
        after = _recorded(terms, ramp, exchanged.state, before, now) | {"last_timestamp_xcp": str(now)}
        amounts = {"dy": str(exchanged.received), "fee_amount": str(exchanged.fee)}
        difference = _difference(after, result["after"]) or _difference(amounts | {"after": 0}, result | {"after": 0})
    return Outcome(name, difference, *_check_fast(arguments, exchanged, reason))


def _check_fast(
    arguments: tuple[Any, ...], exchanged: rules.Exchange | None, reason: str
) -> tuple[float, float | None]:
    terms, ramp, state, now, i, j, paid, least = arguments
    floats = *map(_floats, (terms, ramp, state)), float(now), i, j, float(paid), float(least)
    found, fast_reason = _attempt(fast(rules.exchange), *floats)
    moved = exchanged is not None and exchanged.state.price_scale != state.price_scale
    fast_moved = found is not None and found.state.price_scale != floats[2].price_scale
    if (fast_reason, fast_moved) != (reason, moved):
        watched = state._replace(virtual_price=Watched(state.virtual_price))
        return 0.0, smallest_margin(lambda: rules.exchange(terms, ramp, watched, now, i, j, Watched(paid), least))
    if exchanged is None:
        return 0.0, None
    held = max(state.balances[j], 1)
    errors = [relative_error(found.received, exchanged.received, held), relative_error(found.fee, exchanged.fee, held)]
    errors += map(relative_error, _flat(found.state), _flat(exchanged.state))
    return max(errors), None


def _floats(record: Any) -> Any:
    """A record of integers, and tuples of them, in floating point."""
    return record._make(tuple(map(float, value)) if isinstance(value, tuple) else float(value) for value in record)


def _flat(state: rules.State) -> list[Any]:
    return [number for value in state for number in (value if isinstance(value, tuple) else (value,))]


# --- views and mathematics ----------------------------------------------------------------------------------------


def _check_table(name: str, case: dict[str, Any], terms: rules.Terms) -> Outcome:
    before = case["before"]
    ramp, state, now = _ramp(before), _state(before), int(before["timestamp"])
    worst, margin = 0.0, None
    for call in case["get_dy"]:
        i, j, paid = (int(call[key]) for key in ("i", "j", "dx"))
        traded, reason = _attempt(rules.trade, terms, ramp, state, now, i, j, paid)
        recorded = call["dy"]
        if isinstance(recorded, dict):
            if reason != recorded["revert"]:
                return Outcome(name, f"get_dy{(i, j, paid)} reverts with {reason}, recorded {recorded}")
            continue
        if traded is None or str(traded.received) != recorded:
            return Outcome(name, f"get_dy{(i, j, paid)} is {traded or reason}, recorded {recorded}")
        floats = *map(_floats, (terms, ramp, state)), float(now), i, j, float(paid)
        found, fast_reason = _attempt(fast(rules.trade), *floats)
        if fast_reason:
            near = smallest_margin(partial(rules.trade, terms, ramp, state, now, i, j, Watched(paid)))
            margin = max(margin or 0.0, near)
        else:
            worst = max(worst, relative_error(found.received, traded.received, state.balances[j]))
    for call in case["math"]:
        ann, gamma, balances, *rest = (_ints(a) if isinstance(a, list) else int(a) for a in call["args"])
        function: Callable[..., Any] = get_y if call["fn"] == "get_y" else newton_d
        result, reason = _attempt(function, ann, gamma, balances, *rest)
        out = call["out"]
        expected: Any = (
            (None, out["revert"]) if isinstance(out, dict) else (_ints(out) if isinstance(out, list) else int(out), "")
        )
        if (result, reason) != expected:
            return Outcome(name, f"{call['fn']} is {result or reason}, recorded {out}")
    # a case that is off in one call is not saved by a branch point in another
    return Outcome(name, "", worst, margin if worst <= RELATIVE_TOLERANCE else None)
