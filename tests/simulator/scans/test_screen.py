"""The fast pass over all positions misses nobody that the contracts would let be liquidated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InputError
from protocols import compiled
from simulator.book import open_book, value
from simulator.scans import screen
from tests.simulator.books import DAI, Account, make_snapshot

WAD = 10**18


def missed(accounts: dict[str, Account], version: str) -> list[str]:
    """Accounts with an exact health factor below 1 that the pass lets go."""
    book = open_book(make_snapshot(accounts, pools=(), version=version))
    market = book.markets[0]
    found = set(screen.suspects(market.exposures(), book.oracle_usd(0)).tolist())
    below = [row for row in range(len(market.accounts)) if market.health_raw(row) < WAD]
    return [market.accounts[row] for row in below if row not in found]


@pytest.mark.parametrize("version", ["3.0", "3.2", "3.3", "3.4", "3.6", "3.7"])
def test_nobody_near_the_edge_is_missed(version: str) -> None:
    # thresholds 83 % and 78 %: their mean is no whole number of basis points, which contracts up to 3.4 cut off
    accounts = {f"a{n:03}": Account({"ETH": 10.0, "BTC": 0.5}, {"USD": 47_770.0 + 0.25 * n}) for n in range(240)}
    assert missed(accounts, version) == []


@pytest.mark.parametrize("units", [5, 23, 243])
@pytest.mark.parametrize("version", ["3.2", "3.6"])
def test_dust_is_not_missed(version: str, units: int) -> None:
    # so small that the contract's rounding to whole units of USD decides
    debt = units * 1e-6
    even = debt / (0.83 * 2904.37)
    accounts = {f"a{n:03}": Account({"ETH": even * (0.7 + n * 0.002)}, {"USD": debt}) for n in range(400)}
    assert missed(accounts, version) == []


@given(
    st.lists(
        st.tuples(st.floats(0.001, 1e4), st.floats(0.0, 200.0), st.floats(0.9, 1.1), st.floats(0.0, 1.0)),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["3.0", "3.2", "3.3", "3.4", "3.6", "3.7"]),
)
def test_nobody_is_missed_whatever_the_book(rows: list[tuple[float, float, float, float]], version: str) -> None:
    accounts = {}
    for number, (eth, btc, used, part) in enumerate(rows):
        limit = eth * 2904.37 * 0.83 + btc * 60777.11 * 0.78
        owed = limit * used
        accounts[f"a{number}"] = Account({"ETH": eth, "BTC": btc}, {"USD": owed * part, "DAI": owed * (1 - part)})
    assert missed(accounts, version) == []


def test_the_pass_looks_only_at_those_near_the_edge() -> None:
    accounts = {f"a{n}": Account({"ETH": 10.0}, {"USD": 1000.0 * (n + 1)}) for n in range(30)}
    book = open_book(make_snapshot(accounts))
    exposures, prices = book.markets[0].exposures(), book.oracle_usd(0)
    health = value(exposures, prices).health_factor
    assert screen.suspects(exposures, prices).tolist() == np.flatnonzero(health < 1.0).tolist() != []


def test_an_account_without_debt_is_no_suspect() -> None:
    book = open_book(make_snapshot({"a": Account({"ETH": 1.0}, {}), "b": Account({}, {"DAI": 1000.0})}))
    assert screen.suspects(book.markets[0].exposures(), book.oracle_usd(0)).tolist() == [1]
    assert DAI.address in book.markets[0].tokens


def test_the_number_of_threads_holds_inside_the_block_only() -> None:
    numba = compiled.numba()
    before = numba.get_num_threads()
    with screen.workers(1):
        assert numba.get_num_threads() == 1
    assert numba.get_num_threads() == before
    with screen.workers(None):
        assert numba.get_num_threads() == before


@pytest.mark.parametrize("count", [0, -1, 100_000])
def test_a_number_of_threads_that_there_is_not_is_refused(count: int) -> None:
    said = rf"--workers must be from 1 to \d+ on this machine, not {count}"
    with pytest.raises(InputError, match=said), screen.workers(count):
        pass
