"""Work that is spread out: every item is done once, and what fails is said."""

from __future__ import annotations

import sys
import time

import pytest

from chain.errors import InputError
from simulator.scheduling import pool


def times(factor: int, item: int) -> int:
    if item == 13:
        raise InputError("13 is not done here")
    return factor * item


def test_every_item_is_done_once_and_comes_back_with_its_place() -> None:
    with pool(3) as doers:
        assert doers.threads == 3
        assert sorted(doers.map(times, range(20, 60), 7)) == [(place, 7 * (20 + place)) for place in range(40)]
        assert list(doers.map(times, [], 7)) == []


def test_a_failure_is_raised_as_it_was_and_stops_what_has_not_begun() -> None:
    begun: list[int] = []

    def slowly(factor: int, item: int) -> int:
        begun.append(item)
        time.sleep(0.001)
        return times(factor, item)

    with pool(2) as doers, pytest.raises(InputError, match="13 is not done here"):
        list(doers.map(slowly, range(5_000), 1))
    assert len(begun) < 5_000


def test_no_workers_are_refused() -> None:
    with pytest.raises(InputError, match="workers must be 1 or more, not 0"), pool(0):
        pass


def test_without_dask_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "simulator.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(InputError, match=r"pip install 'unwind-defi\[cluster\]'"),
        pool(scheduler="tcp://127.0.0.1:8786"),
    ):
        pass
