"""Replay of recorded UniswapV2Pair.swap calls.

The exact form must give the event, the state after and the revert reason. The fast form has the amounts paid in, the
most that can be taken out, the reserves after and the reason; price accumulators are counters modulo 2**256 and have
no fast form. The balance that an amount is taken from is what the pair holds of that token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from protocols.amm.revert import Revert
from protocols.amm.uniswap_v2 import rules
from protocols.compiled import fast
from tests.vectors.outcome import Document, Outcome, relative_error
from tests.vectors.watched import Watched, smallest_margin


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    return (_check_case(case) for case in document["cases"])


def _check_case(case: dict[str, Any]) -> Outcome:
    before = {name: int(value) for name, value in case["before"].items()}
    call = {name: int(value) for name, value in case["call"].items()}
    arguments = (
        before["reserve0"],
        before["reserve1"],
        before["balance0"] + call["amount0In"],
        before["balance1"] + call["amount1In"],
        call["amount0Out"],
        call["amount1Out"],
    )
    swapped, reason = _attempt(rules.swap, arguments)
    expected = _flat(case["result"])
    found = _flat(_result(before, call, swapped, reason))
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if differing:
        name = differing[0]
        return Outcome(case["id"], f"{name} is {found.get(name)}, recorded {expected.get(name)}")
    mismatch = _check_quote(before, call, reason)
    return Outcome(case["id"], mismatch, *_check_fast(arguments, swapped, reason))


def _attempt(swap: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, str]:
    try:
        return swap(*arguments), ""
    except Revert as revert:
        return None, str(revert)


def _flat(result: dict[str, Any]) -> dict[str, str]:
    """Everything recorded, by path; the selector is that of Error(string) whenever there is a reason."""
    flat: dict[str, str] = {}
    for name, value in result.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": str(v) for inner, v in value.items()}
        else:
            flat[name] = str(value)
    return flat


def _result(before: dict[str, int], call: dict[str, int], swapped: Any, reason: str) -> dict[str, Any]:
    if swapped is None:
        return {"reverted": True, "selector": "0x08c379a0", "error": reason}
    now = call["block_timestamp"] % 2**32
    last, reserves = before["blockTimestampLast"], (before["reserve0"], before["reserve1"])
    after = before | {
        "reserve0": swapped.reserve0,
        "reserve1": swapped.reserve1,
        "balance0": before["balance0"] + call["amount0In"] - call["amount0Out"],
        "balance1": before["balance1"] + call["amount1In"] - call["amount1Out"],
        "blockTimestampLast": now,
        "price0CumulativeLast": rules.price_cumulative(before["price0CumulativeLast"], *reserves, last, now),
        "price1CumulativeLast": rules.price_cumulative(before["price1CumulativeLast"], *reserves[::-1], last, now),
    }
    event = {
        "amount0In": swapped.amount0_in,
        "amount1In": swapped.amount1_in,
        "amount0Out": call["amount0Out"],
        "amount1Out": call["amount1Out"],
    }
    return {"reverted": False, "event": event, "after": after}


def _one_sided(before: dict[str, int], call: dict[str, int]) -> Iterator[tuple[int, int, int, int]]:
    """Amount in, both reserves and amount out, where the swap goes one way and nothing was donated before."""
    for i, o in ((0, 1), (1, 0)):
        donated = before["balance0"] != before["reserve0"] or before["balance1"] != before["reserve1"]
        if not donated and call[f"amount{i}In"] and not call[f"amount{o}In"] and not call[f"amount{i}Out"]:
            yield call[f"amount{i}In"], before[f"reserve{i}"], before[f"reserve{o}"], call[f"amount{o}Out"]


def _check_quote(before: dict[str, int], call: dict[str, int], reason: str) -> str:
    """The quote is the most that passes the pair's check of the product."""
    for amount_in, reserve_in, reserve_out, amount_out in _one_sided(before, call):
        most = rules.amount_out(amount_in, reserve_in, reserve_out)
        if reason in ("", "UniswapV2: K") and (amount_out <= most) != (reason == ""):
            return f"the quote is {most}, but {amount_out} gave {reason or 'no revert'}"
        amounts = (float(amount_in), float(reserve_in), float(reserve_out))
        error = relative_error(fast(rules.amount_out)(*amounts), most, reserve_out)
        if error > 1e-9:
            return f"the fast quote is off by {error:.1e}"
    return ""


def _check_fast(arguments: tuple[int, ...], swapped: Any, reason: str) -> tuple[float, float | None]:
    fast_swapped, fast_reason = _attempt(fast(rules.swap), tuple(map(float, arguments)))
    if fast_reason != reason:
        watched = tuple(map(Watched, arguments))
        return 0.0, smallest_margin(lambda: rules.swap(*watched))
    if swapped is None:
        return 0.0, None
    held = arguments[2:4] * 2
    return max(map(relative_error, fast_swapped, swapped, held)), None
