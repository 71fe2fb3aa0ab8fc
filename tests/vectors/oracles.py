"""Replay of what real price adapters answered as their sources moved and time passed.

The exact form must give every recorded integer, in the recorded order, since some keep state. The fast form is that of
the rules, compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from protocols.compiled import fast
from protocols.oracles import capo, composed, ema, morpho, pendle
from protocols.oracles.kind import Part
from protocols.oracles.kinds import BY_NAME
from tests.vectors.outcome import Document, Outcome, relative_error

Numbers = Mapping[str, float]


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for case in document["cases"]:
        try:
            outcome = _check_case(case)
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            outcome = Outcome(str(case.get("id")), f"not understood: {type(error).__name__}: {error}")
        yield outcome


def _check_case(case: dict[str, Any]) -> Outcome:
    kind, started = BY_NAME[case["kind"]], int(case["started"])
    parameters = {name: int(value) for name, value in case["parameters"].items()}
    children = {role: Part("", "", "", 0, int(answer)) for role, answer in case["children"].items()}
    part = Part(case["kind"], "", "", case["decimals"], int(case["first"]), 0, parameters, children)
    if kind.start is None or not case["answers"]:
        return Outcome(case["id"], "it computes nothing")
    rule = kind.start(part, started)
    first = rule({role: child.answer_raw for role, child in children.items()}, started)
    if first != part.answer_raw:
        return Outcome(case["id"], f"answers {first} at the start, recorded {part.answer_raw}")
    quick = _FAST.get(case["kind"], lambda _: None)({n: float(v) for n, v in parameters.items()} | {"unit": part.unit})
    worst = 0.0
    for step in case["answers"]:
        told, now = {role: int(answer) for role, answer in step["children"].items()}, int(step["now"])
        exact = rule(told, now)
        if exact != int(step["answer"]):
            return Outcome(case["id"], f"answers {exact} at {now}, recorded {step['answer']}")
        if quick is not None and all(told.values()):
            worst = max(worst, relative_error(quick({r: float(a) for r, a in told.items()}, float(now)), exact))
    return Outcome(case["id"], "", worst)


# --- the compiled rules, put together as each kind does -----------------------------------------------------------

Quick = Callable[[Numbers, float], float]


def _capped_rate(p: Numbers) -> Quick:
    def answer(c: Numbers, now: float) -> float:
        cap = fast(capo.rate_cap)(p["snapshot_rate_raw"], p["growth_scaled"], now - p["snapshot_at"])
        return float(fast(capo.capped_rate_price)(c["base"], c["rate"], cap, 10 ** p["rate_decimals"]))

    return answer


def _price_cap(p: Numbers) -> Quick:
    return lambda c, _: float(fast(capo.capped_price)(c["asset"], p["cap_raw"]))


def _relative_cap(p: Numbers) -> Quick:
    def answer(c: Numbers, _: float) -> float:
        most = fast(capo.relative_cap)(c["base"], p["cap_ratio_raw"], 10 ** p["ratio_decimals"])
        return float(fast(capo.capped_price)(c["asset"], most))

    return answer


def _discount(p: Numbers) -> Quick:
    def answer(c: Numbers, now: float) -> float:
        less = fast(pendle.discount)(max(0.0, p["maturity"] - now), p["yearly_discount_wad"])
        return float(fast(pendle.discounted)(c["asset"], less, 1e18))

    return answer


def _product(p: Numbers) -> Quick:
    return lambda c, _: float(fast(composed.product)(c["asset"], c["peg"], float(p["unit"]), p["denominator"]))


def _quotient(p: Numbers) -> Quick:
    return lambda c, _: float(fast(composed.quotient)(c["asset"], c["base"], float(p["unit"])))


def _morpho(p: Numbers) -> Quick:
    def answer(c: Numbers, _: float) -> float:
        above = below = 1.0
        for role, value in c.items():
            above, below = (above * value, below) if role.startswith("base") else (above, below * value)
        return float(fast(morpho.price)(p["scale_factor"], above, below))

    return answer


def _ema(p: Numbers) -> Quick:
    last, last_at = p["last_raw"], p["last_at"]

    def answer(c: Numbers, now: float) -> float:
        nonlocal last, last_at
        last, last_at = float(fast(ema.ema)(c["raw"], last, now - last_at, p["period_s"])), now
        return last

    return answer


_FAST: dict[str, Callable[[Numbers], Quick]] = {
    "capped rate": _capped_rate,
    "price cap": _price_cap,
    "relative cap": _relative_cap,
    "PT discount": _discount,
    "product": _product,
    "quotient": _quotient,
    "Morpho oracle": _morpho,
    "crvUSD EMA": _ema,
}
