"""The replay of recorded Aave v4 answers notices what is wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.vectors.__main__ import load
from tests.vectors.aave_v4 import check

DOCUMENT = load(Path(__file__).parent.parent / "vectors" / "data" / "aave_v4.json.gz")
CALLS = [case for case in DOCUMENT["cases"] if case["function"] == "liquidationCall"]
LIBRARY = [case for case in DOCUMENT["cases"] if case["function"] != "liquidationCall"]


def mismatch(case: dict[str, Any], **document: Any) -> str:
    (outcome,) = check(DOCUMENT | document | {"cases": [case]})
    return outcome.mismatch


def numbers(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where integers and flags are in a record."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inner, (*path, key))
    elif isinstance(value, bool) or (isinstance(value, str) and value.lstrip("-").isdigit()):
        yield path


def changed(record: Any, path: tuple[str | int, ...]) -> Any:
    """A record with one integer larger by one, or one flag turned round."""
    copy = deepcopy(record)
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    value = holder[path[-1]]
    holder[path[-1]] = (not value) if isinstance(value, bool) else str(int(value) + 1)
    return copy


@pytest.mark.parametrize("kind", ["executed", "refused", "library"])
def test_a_recorded_integer_that_differs_by_one_is_noticed(kind: str) -> None:
    draw = random.Random(kind)
    cases = {
        "executed": [case for case in CALLS if case["result"]["success"]],
        "refused": [case for case in CALLS if not case["result"]["success"]],
        "library": LIBRARY,
    }[kind]
    for case in draw.sample(cases, 12):
        places = list(numbers(case["result"]))
        for place in draw.sample(places, min(20, len(places))):
            assert mismatch(case | {"result": changed(case["result"], place)}), place


def test_a_recorded_view_of_the_state_before_that_differs_by_one_is_noticed() -> None:
    draw = random.Random(3)
    for case in draw.sample(CALLS, 12):
        for place in numbers(case["user"]["accountData"]):
            assert mismatch(changed(case, ("user", "accountData", *place)))
        for field in ("suppliedAssets", "drawnDebt", "premiumDebt", "premiumDebtRay"):
            assert mismatch(changed(case, ("user", "positions", draw.randrange(5), field)))
        for field in ("drawnIndex", "totalAddedAssets", "accruedFees"):
            assert mismatch(changed(case, ("hubAssets", draw.randrange(5), "atTimestamp", field)))


def test_what_is_not_known_is_a_failure() -> None:
    case, library = CALLS[0], LIBRARY[0]
    assert not mismatch(case)
    assert mismatch(case | {"surprise": "1"})
    assert mismatch(case | {"call": case["call"] | {"surprise": "1"}})
    assert mismatch(case | {"reserves": [reserve | {"surprise": "1"} for reserve in case["reserves"]]})
    assert mismatch(case, version="v0.5.10")
    assert mismatch(library | {"function": "lib.unheardOf"})
    assert mismatch(library | {"input": library["input"] | {"surprise": "1"}})
