"""Replay of recorded AdaptiveCurveIrm.borrowRate calls: the average rate and the rate at target from then on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from protocols.compiled import fast
from protocols.lending.morpho_blue.irm import Rate, adaptive_rate
from protocols.lending.morpho_blue.state import Totals
from tests.vectors.morpho_blue import NotUnderstoodError, expect
from tests.vectors.outcome import Document, Outcome, relative_error
from tests.vectors.watched import Watched, smallest_margin

VERSIONS = ("1.0.0",)
BEFORE = {"rateAtTarget", "totalSupplyAssets", "totalBorrowAssets", "lastUpdate"}


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for case in document["cases"]:
        try:
            if document.get("version") not in VERSIONS:
                raise NotUnderstoodError(f"version {document.get('version')}")
            outcome = _check_case(case)
        except (NotUnderstoodError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            outcome = Outcome(str(case.get("id")), f"not understood: {type(error).__name__}: {error}")
        yield outcome


def _check_case(case: dict[str, Any]) -> Outcome:
    expect("case", case, {"id", "kind", "before", "call", "result"})
    before, recorded = case["before"], case["result"]
    expect("before", before, BEFORE)
    expect("call", case["call"], {"block_timestamp"})
    expect("result", recorded, {"borrowRate", "rateAtTarget"})
    start, now = int(before["rateAtTarget"]), int(case["call"]["block_timestamp"])
    totals = Totals(int(before["totalSupplyAssets"]), 0, int(before["totalBorrowAssets"]), 0, int(before["lastUpdate"]))
    exact = adaptive_rate(start, totals, now)
    expected = Rate(int(recorded["borrowRate"]), int(recorded["rateAtTarget"]))
    if exact != expected:
        return Outcome(case["id"], f"{exact}, recorded {expected}")
    found = fast(adaptive_rate)(float(start), Totals(*map(float, totals)), float(now))
    error = max(relative_error(one, other) for one, other in zip(found, exact, strict=True))
    watched = Totals(*map(Watched, totals))
    margin = smallest_margin(lambda: adaptive_rate(Watched(start), watched, Watched(now)), roundings=True)
    return Outcome(case["id"], "", error, margin if error > 1e-9 else None)
