"""The replay of recorded StableSwap answers notices what is wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.vectors import curve_3pool_classic, curve_stableswap
from tests.vectors.__main__ import load

DATA = Path(__file__).parent.parent / "vectors" / "data"
FILES = {"curve_stableswap": curve_stableswap, "curve_3pool_classic": curve_3pool_classic}

ANSWERS = {"result": "all", "get_dy": "dy", "get_dx": "dx", "dynamic_fee_at_balances": "fee"}
"""Where answers are in a case, and which field of each row there is one."""


def mismatch(file: str, case: dict[str, Any]) -> str:
    (outcome,) = FILES[file].check({"cases": [case]})
    return str(outcome.mismatch)


def numbers(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where integers are in a record."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inner, (*path, key))
    elif isinstance(value, str) and value.isdigit():
        yield path


def changed(record: Any, path: tuple[str | int, ...]) -> Any:
    """A record with one integer larger by one."""
    copy = deepcopy(record)
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = str(int(holder[path[-1]]) + 1)
    return copy


@pytest.mark.parametrize("file", FILES)
def test_a_recorded_answer_that_differs_by_one_is_noticed(file: str) -> None:
    draw = random.Random(file)
    cases = load(DATA / f"{file}.json.gz")["cases"]
    for kind in sorted({case["kind"] for case in cases}):
        executed = [case for case in cases if case["kind"] == kind and case.get("success", True)]
        for case in draw.sample(executed, 6):
            assert not mismatch(file, case)
            answers = [place for place in numbers(case) if ANSWERS.get(str(place[0])) in (place[-1], "all")]
            for place in draw.sample(answers, min(10, len(answers))):
                assert mismatch(file, changed(case, place)), place


@pytest.mark.parametrize("file", FILES)
def test_another_reason_another_kind_or_an_unknown_field_is_a_failure(file: str) -> None:
    cases = load(DATA / f"{file}.json.gz")["cases"]
    refused = next(case for case in cases if case.get("success") is False)
    views = next(case for case in cases if case["kind"] == "get_dy_table")
    assert mismatch(file, refused | {"revert": "Error:another"})
    assert mismatch(file, refused | {"kind": "remove_liquidity_imbalance"})
    assert mismatch(file, views | {"get_p": []})
    assert mismatch(file, views | {"before": views["before"] | {"surprise": "1"}})
