"""The replay of recorded answers of Compound v2 and of Venus would notice what is wrong."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.protocols.test_vectors import DATA, changed, numbers
from tests.vectors.__main__ import load, replay

FILES = ("compound_v2", "venus_core")
NOT_USED = {"selector", "data", "liquidator_cTokens", "liquidator_vTokens", "protocolShareReserve_underlying"}
"""Said of how a revert is encoded, and of balances that a call adds to."""


def places(value: Any) -> list[tuple[str | int, ...]]:
    return [place for place in numbers(value) if not NOT_USED & {str(part) for part in place}]


@pytest.mark.parametrize("name", FILES)
def test_a_recorded_integer_that_differs_by_one_is_noticed(name: str) -> None:
    document = load(DATA / f"{name}.json.gz")
    draw = random.Random(name)
    for case in draw.sample([case for case in document["cases"] if "after" in case["result"]], 12):
        found = places(case["result"])
        for place in draw.sample(found, min(25, len(found))):
            broken = document | {"cases": [case | {"result": changed(case["result"], place)}]}
            assert replay(broken)[0].mismatch, place


@pytest.mark.parametrize("name", FILES)
def test_a_recorded_refusal_of_another_kind_is_noticed(name: str) -> None:
    document = load(DATA / f"{name}.json.gz")
    seen = set()
    for case in document["cases"]:
        result = case["result"]
        error = result.get("error") or str(result.get("failure"))
        if (result["reverted"] or "failure" in result) and error not in seen:
            seen.add(error)
            for field in sorted({"error", "args", "error_code_name", "returned_error", "failure"} & result.keys()):
                other = "99" if isinstance(result[field], str) else {"failure": {}, "args": ["99"]}[field]
                broken = document | {"cases": [case | {"result": result | {field: other}}]}
                assert replay(broken)[0].mismatch, (case["id"], field)
    assert len(seen) >= 6


@pytest.mark.parametrize("name", FILES)
def test_a_field_or_version_that_is_not_known_is_a_failure(name: str) -> None:
    document = load(DATA / f"{name}.json.gz")
    case = document["cases"][0]
    market = next(iter(case["before"]["markets"]))
    more = case["before"]["markets"][market] | {"surprise": "1"}
    strange = case["before"] | {"markets": case["before"]["markets"] | {market: more}}
    unknown = [
        document | {"cases": [case | {"surprise": "1"}]},
        document | {"cases": [case | {"before": case["before"] | {"surprise": "1"}}]},
        document | {"cases": [case | {"before": strange}]},
        document | {"cases": [case | {"call": case["call"] | {"surprise": "1"}}]},
        document | {"cases": [case], "version": "another"},
    ]
    assert all(replay(record)[0].mismatch for record in unknown)
