"""Recorded answers of real contracts, replayed; and that the replay would notice what is wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.vectors.__main__ import load, main, replay

DATA = Path(__file__).parent.parent / "vectors" / "data"
FILES = sorted(DATA.iterdir())
AAVE = [path for path in FILES if path.name.startswith(("aave_v2", "aave_v3")) and "book" not in path.name]

# Said of other things than the pool: how a revert is encoded, and stable rates, which nobody pays.
NOT_COMPARED = {"selector", "data", "stableBorrowRate"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_recorded_case_agrees(path: Path) -> None:
    outcomes = replay(load(path))
    assert outcomes
    assert [outcome for outcome in outcomes if not outcome.passed] == []


def numbers(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where integers and flags are in a record."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in NOT_COMPARED:
                yield from numbers(inner, (*path, key))
    elif isinstance(value, list):
        for key, inner in enumerate(value):
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


@pytest.mark.parametrize("path", AAVE, ids=lambda path: path.name)
def test_a_recorded_integer_that_differs_by_one_is_noticed(path: Path) -> None:
    document = load(path)
    draw = random.Random(path.name)
    executed = [case for case in document["cases"] if not case["result"]["reverted"]]
    for case in draw.sample(executed, 8):
        result = case["result"]
        last = {
            event["reserve"]: n for n, event in enumerate(result["events"]) if event["event"] == "ReserveDataUpdated"
        }
        superseded = {n for n, e in enumerate(result["events"]) if e.get("reserve") in last and last[e["reserve"]] > n}
        places = [p for p in numbers(result) if not (p[0] == "events" and p[1] in superseded)]
        for place in draw.sample(places, 25):
            broken = document | {"cases": [case | {"result": changed(result, place)}]}
            assert replay(broken)[0].mismatch, place


def test_a_field_version_or_protocol_that_is_not_known_is_a_failure(tmp_path: Path) -> None:
    document = load(DATA / "aave_v3_6.json.gz")
    case = document["cases"][0]
    unknown = [
        document | {"cases": [case | {"surprise": "1"}]},
        document | {"cases": [case | {"before": case["before"] | {"surprise": "1"}}]},
        document | {"cases": [case], "version": "3.9.0"},
        document | {"cases": [case], "protocol": "aave_v9"},
        document | {"cases": [case], "constants": {"CLOSE_FACTOR_HF_THRESHOLD": "1"}},
        document | {"cases": []},
    ]
    for number, record in enumerate(unknown):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(record))
        assert main([str(file)]) == 1
    (tmp_path / "plain.json").write_text(json.dumps(document | {"cases": [case]}))
    assert main([str(tmp_path / "plain.json")]) == 0
    assert main([str(tmp_path / "missing.json")]) == 1
