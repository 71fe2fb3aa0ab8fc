"""Replay of recorded CurveStableSwapNG and StableSwap3Pool calls and views.

The exact form must give every recorded amount, state and reason. The fast form has every amount but those of get_dx,
which have none; the balance that an amount is taken from is what the pool holds of that token, or the pool tokens that
there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from protocols.amm.curve_stableswap import liquidity, rules
from protocols.amm.curve_stableswap.invariant import Ramp, Terms, invariant, ng_terms
from protocols.amm.curve_stableswap.pool import StableSwapPool
from protocols.amm.revert import Revert
from protocols.compiled import fast
from tests.vectors.outcome import RELATIVE_TOLERANCE, Document, Outcome, relative_error
from tests.vectors.watched import Watched, smallest_margin

Record = dict[str, Any]


@dataclass(frozen=True)
class Names:
    """How the file of one kind of contract names what it records of a pool, and the fields that it alone has."""

    terms: Callable[[Record], Terms]
    own: Callable[[StableSwapPool], Record]
    initial: str
    future: str
    amp: str
    balances: str
    rates: str
    virtual_price: str


NG = Names(
    lambda before: ng_terms(int(before["fee"]), int(before["offpeg_fee_multiplier"])),
    lambda pool: {"N": str(len(pool.tokens)), "offpeg_fee_multiplier": str(pool.terms.offpeg_fee_multiplier)},
    "initial_A_stored",
    "future_A_stored",
    "A_precise_view",
    "get_balances",
    "stored_rates",
    "get_virtual_price_view",
)
_FIELDS = {
    "get_dy_table": {"get_dy", "get_dx", "dynamic_fee_at_balances"},
    "exchange": {"call", "success", "result", "revert"},
    "add_liquidity": {"call", "success", "result"},
    "remove_liquidity_one_coin": {"call", "success", "result"},
}
"""What is recorded of each kind of case, besides the state before it."""


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case of the file of NG."""
    return check_cases(document, NG)


def check_cases(document: Document, names: Names) -> Iterator[Outcome]:
    """One outcome for each case of either file; cases have no names there, and get numbers."""
    return (_check_case(str(number), case, names) for number, case in enumerate(document["cases"]))


def _check_case(name: str, case: Record, names: Names) -> Outcome:
    before, kind = case["before"], case["kind"]
    unknown = case.keys() - {"id", "kind", "label", "before"} - _FIELDS.get(kind, set())
    if unknown:
        return Outcome(name, f"no rule for {min(unknown)} of a case of kind {kind!r}")
    pool = pool_of(before, names)
    mismatch = _difference(_state(pool, before, names, int(before["totalSupply"])), before)
    if mismatch:
        return Outcome(name, f"before the call: {mismatch}")
    if kind == "get_dy_table":
        return Outcome(name, *_check_views(case, pool))
    pool.advance(int(case["call"]["timestamp"]))
    found, error, margin = _CHECKS[kind](case, pool, names)
    recorded: Record = {field: case[field] for field in ("success", "result", "revert") if field in case}
    if "revert" in recorded:
        recorded["revert"] = _reason(recorded["revert"])
    return Outcome(name, _difference(found, recorded), error, margin)


def pool_of(state: Record, names: Names) -> StableSwapPool:
    """The pool as recorded."""
    balances = _integers(state[names.balances])
    return StableSwapPool(
        "recorded",
        [f"coin {i}" for i in range(len(balances))],
        terms=names.terms(state),
        ramp=Ramp(*(int(state[n]) for n in (names.initial, names.future, "initial_A_time", "future_A_time"))),
        rates=_integers(state[names.rates]),
        balances_raw=balances,
        admin_balances_raw=_integers(state["admin_balances"]),
        timestamp=int(state["timestamp"]),
    )


def _state(pool: StableSwapPool, before: Record, names: Names, supply: int) -> Record:
    """A pool as the file records it; of the decimals only the rates are known to a pool."""
    worth, _ = _attempt(rules.virtual_price, *_standing(pool), supply)
    initial, future, start, end = pool.ramp
    return names.own(pool) | {
        "timestamp": str(pool.timestamp),
        "decimals": before["decimals"],
        names.initial: str(initial),
        names.future: str(future),
        "initial_A_time": str(start),
        "future_A_time": str(end),
        "fee": str(pool.terms.fee),
        names.rates: _strings(pool.rates),
        names.amp: str(pool.amp),
        names.balances: _strings(pool.reserves_raw()),
        "admin_balances": _strings(pool.admin_balances_raw),
        "totalSupply": str(supply),
        names.virtual_price: {"revert": "EMPTY"} if worth is None else str(worth),
    }


def _standing(pool: StableSwapPool) -> tuple[Terms, int, tuple[int, ...], tuple[int, ...]]:
    return pool.terms, pool.amp, pool.rates, pool.reserves_raw()


def _integers(values: Sequence[str]) -> list[int]:
    return [int(value) for value in values]


def _strings(values: Sequence[int]) -> list[str]:
    return [str(value) for value in values]


def _reason(recorded: str) -> str:
    """A reason as the contract gives it; the files write EMPTY where it gives none."""
    return "" if recorded.startswith("EMPTY") else recorded.removeprefix("Error:")


def _difference(found: Record, recorded: Record, where: str = "") -> str:
    for name in sorted(found.keys() | recorded.keys()):
        one, other = found.get(name), recorded.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            if inner := _difference(one, other, f"{where}{name}."):
                return inner
        elif one != other:
            return f"{where}{name} is {one}, recorded {other}"
    return ""


# --- calls --------------------------------------------------------------------------------------------------------

_Checked = tuple[Record, float, float | None]
"""What was found, in the form of the file; the fast form's error, and its branch margin."""


def _check_exchange(case: Record, pool: StableSwapPool, names: Names) -> _Checked:
    i, j, dx, min_dy = (int(case["call"][name]) for name in ("i", "j", "dx", "min_dy"))
    standing = _standing(pool)
    exact, reason = _attempt(pool.exchange, i, j, dx, min_dy)
    found, fast_reason = _attempt(_fast, rules.exchange, *standing, i, j, float(dx), float(min_dy))
    margin = None if fast_reason == reason else _margin(standing, i, j, dx, min_dy)
    if exact is None:
        return {"success": False, "revert": reason}, 0.0, margin
    after = _state(pool, case["before"], names, int(case["before"]["totalSupply"]))
    result = {"dy": str(exact.received), "after": after}
    error = 0.0 if found is None else _error(found, exact, standing[3][j])
    return {"success": True, "result": result}, error, margin


def _check_deposit(case: Record, pool: StableSwapPool, names: Names) -> _Checked:
    before, amounts = case["before"], _integers(case["call"]["amounts"])
    supply = int(before["totalSupply"])
    arguments = (*_standing(pool), amounts, supply)
    exact = liquidity.add_liquidity(*arguments)
    found = _fast(liquidity.add_liquidity, *arguments[:-1], float(supply))
    held = [balance + amount for balance, amount in zip(pool.reserves_raw(), amounts, strict=True)]
    after = _changed(case, pool, names, held, exact.admin_fees, supply + exact.minted)
    error = max(
        relative_error(found.minted, exact.minted, supply),
        relative_error(found.d, exact.d),
        *chain(
            map(relative_error, found.fees, exact.fees, held),
            map(relative_error, found.admin_fees, exact.admin_fees, held),
        ),
    )
    result = {"minted": str(exact.minted), "fees": _strings(exact.fees), "invariant_D": str(exact.d), "after": after}
    return {"success": True, "result": result}, error, None


def _check_withdrawal(case: Record, pool: StableSwapPool, names: Names) -> _Checked:
    before, i, burnt = case["before"], int(case["call"]["i"]), int(case["call"]["burn"])
    supply = int(before["totalSupply"])
    standing = _standing(pool)
    exact = liquidity.remove_liquidity_one_coin(*standing, burnt, i, supply)
    found = _fast(liquidity.remove_liquidity_one_coin, *standing, float(burnt), i, float(supply))
    left = [balance - (exact.received if k == i else 0) for k, balance in enumerate(pool.reserves_raw())]
    admin_fees = [exact.admin_fee if k == i else 0 for k in range(len(left))]
    result = {"dy": str(exact.received), "after": _changed(case, pool, names, left, admin_fees, supply - burnt)}
    return {"success": True, "result": result}, _error(found, exact, pool.reserves_raw()[i]), None


_CHECKS: dict[str, Callable[[Record, StableSwapPool, Names], _Checked]] = {
    "exchange": _check_exchange,
    "add_liquidity": _check_deposit,
    "remove_liquidity_one_coin": _check_withdrawal,
}


def _changed(
    case: Record, pool: StableSwapPool, names: Names, held: Sequence[int], admin_fees: Sequence[int], supply: int
) -> Record:
    """The state after liquidity came or went, from what the pool holds then and the fees set aside."""
    admin = [old + new for old, new in zip(pool.admin_balances_raw, admin_fees, strict=True)]
    record = case["before"] | {
        "timestamp": str(pool.timestamp),
        names.balances: [balance - fee for balance, fee in zip(held, admin_fees, strict=True)],
        "admin_balances": admin,
    }
    return _state(pool_of(record, names), case["before"], names, supply)


# --- views --------------------------------------------------------------------------------------------------------


def _check_views(case: Record, pool: StableSwapPool) -> tuple[str, float, float | None]:
    """The first view that differs; the fast form's largest error, and its largest branch margin."""
    mismatches: list[str] = []
    errors: list[float] = [0.0]
    margins: list[float] = []
    standing, held = _standing(pool), pool.reserves_raw()
    for row in case["get_dy"]:
        i, j, dx = int(row["i"]), int(row["j"]), int(row["dx"])
        exact, reason = _attempt(rules.get_dy, *standing, i, j, dx)
        found, fast_reason = _attempt(_fast, rules.get_dy, *standing, i, j, float(dx))
        if (exact, reason) != _recorded(row["dy"]):
            mismatches.append(f"get_dy{i, j, dx} is {exact}, recorded {row['dy']}")
        elif fast_reason != reason or (found is None) != (exact is None):
            margins.append(_margin(standing, i, j, dx, 0))
        elif exact is not None:
            errors.append(relative_error(found, exact, held[j]))
    for row in case.get("get_dx", []):
        i, j, dy = int(row["i"]), int(row["j"]), int(row["dy"])
        answer = _attempt(rules.get_dx, *standing, i, j, dy)
        if answer != _recorded(row["dx"]):
            mismatches.append(f"get_dx{i, j, dy} is {answer[0]}, recorded {row['dx']}")
    for row in case.get("dynamic_fee_at_balances", []):
        i, j, fee = int(row["i"]), int(row["j"]), pool.fee(int(row["i"]), int(row["j"])) * rules.ONE_FEE
        if round(fee) != int(row["fee"]):
            mismatches.append(f"dynamic_fee{i, j} is {fee}, recorded {row['fee']}")
    error = max(errors)
    return "".join(mismatches[:1]), error, max(margins) if margins and error <= RELATIVE_TOLERANCE else None


def _recorded(answer: Any) -> tuple[int | None, str]:
    return (None, _reason(answer["revert"])) if isinstance(answer, dict) else (int(answer), "")


# --- the fast form ------------------------------------------------------------------------------------------------


def _attempt(compute: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    try:
        return compute(*arguments), ""
    except Revert as revert:
        return None, str(revert)


def _fast(rule: Callable[..., Any], terms: Terms, amp: int, *arguments: Any) -> Any:
    """A rule's fast form; sequences become arrays."""
    return fast(rule)(
        terms, float(amp), *(np.array(a, np.float64) if isinstance(a, (tuple, list)) else a for a in arguments)
    )


def _error(found: Any, exact: Any, held: int) -> float:
    """The largest error of several amounts taken from one balance."""
    return max(relative_error(one, other, held) for one, other in zip(found, exact, strict=True))


def _margin(
    standing: tuple[Terms, int, tuple[int, ...], tuple[int, ...]], i: int, j: int, dx: int, min_dy: int
) -> float:
    """How near a swap came to giving less than nothing, or less than was asked for."""
    terms, amp, rates, balances = standing
    xp = rules.scaled(rates, balances)
    d = invariant(terms, amp, xp)
    xp[j] = Watched(xp[j])

    def run() -> None:
        rules.moved(terms, amp, d, rates, xp, i, j, dx)
        rules.trade(terms, amp, d, rates, xp, i, j, dx, Watched(min_dy))

    return smallest_margin(run)
