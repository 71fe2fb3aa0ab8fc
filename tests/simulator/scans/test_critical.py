"""One driver: critical prices, sorted once, answer every shock as the full sweep does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InputError
from protocols.lending.interface import Exposures
from simulator.book import value
from simulator.scans.critical import OneDriver, critical_factors, critical_prices
from simulator.scans.sweep import at_risk
from tests.simulator.scans.positions import random_positions
from tests.simulator.scans.test_sweep import assert_same, seeds


@given(seeds, st.integers(1, 5))
def test_one_driver_gives_what_the_full_sweep_gives(seed: int, moving: int) -> None:
    # the driver is owned and owed by the same accounts, alone and beside others
    exposures, prices = random_positions(seed)
    drives = np.arange(len(prices)) < moving
    factors = np.exp(np.random.default_rng(seed).uniform(-3.0, 3.0, 60))
    found = OneDriver.of(exposures, prices, drives).at(factors)
    assert_same(found, at_risk(exposures, prices * np.where(drives, factors[:, None], 1.0)))
    assert len(set(found.liquidatable.tolist())) > 1


@given(seeds)
def test_where_nothing_moves_every_shock_leaves_the_book_as_it_is(seed: int) -> None:
    exposures, prices = random_positions(seed)
    found = OneDriver.of(exposures, prices, np.zeros(len(prices), dtype=bool)).at(np.array([0.01, 1.0, 100.0]))
    assert_same(found, at_risk(exposures, np.stack([prices] * 3)))


def exact(supplied: list[float], debt: list[float]) -> Exposures:
    """One account a row of two reserves, with a threshold of a half: in powers of two nothing is rounded."""
    size = len(supplied)
    half = np.full(size, 0.5)
    offsets = np.arange(0, size + 1, 2)
    return Exposures(offsets, np.arange(size) % 2, np.array(supplied), np.array(debt), half, half, np.full(size, 1.25))


def test_at_its_critical_factor_an_account_is_healthy_in_both() -> None:
    # long, short, long with a debt in what it holds, short with a collateral in what it owes, always below, never
    exposures = exact(
        [8.0, 0.0, 0.0, 8.0, 16.0, 0.0, 4.0, 8.0, 0.0, 1.0, 8.0, 8.0],
        [0.0, 2.0, 2.0, 0.0, 4.0, 2.0, 6.0, 0.0, 0.0, 4.0, 0.0, 1.0],
    )
    prices, drives = np.array([1.0, 1.0]), np.array([True, False])
    edges = np.array([0.5, 2.0, 0.5, 1.0])
    assert critical_prices(exposures, prices)[:4, 0].tolist() == edges.tolist()
    factors = np.sort(np.concatenate([np.nextafter(edges, 0.0), edges, np.nextafter(edges, 9.0)]))
    found = OneDriver.of(exposures, prices, drives).at(factors)
    assert_same(found, at_risk(exposures, prices * np.where(drives, factors[:, None], 1.0)))
    # below 1/2 the longs, above 1 and 2 the shorts; the fifth always
    at = dict(zip(factors.tolist(), found.liquidatable.tolist(), strict=True))
    assert [at[factor] for factor in (np.nextafter(0.5, 0.0), 0.5, np.nextafter(0.5, 9.0))] == [3, 1, 1]
    assert [at[factor] for factor in (1.0, np.nextafter(1.0, 9.0), 2.0, np.nextafter(2.0, 9.0))] == [1, 2, 2, 3]


@given(seeds)
def test_at_its_critical_price_an_account_stands_at_its_limit(seed: int) -> None:
    exposures, prices = random_positions(seed, accounts=40)
    critical = critical_prices(exposures, prices)
    for account, reserve in np.argwhere(np.isfinite(critical)):
        at = prices.copy()
        at[reserve] = critical[account, reserve]
        found = value(exposures, at)
        gross = found.limit_usd[account] + found.debt_usd[account]
        assert found.limit_usd[account] == pytest.approx(found.debt_usd[account], abs=1e-12 * gross)


def test_there_is_no_critical_factor_where_no_positive_price_does_it() -> None:
    rest = np.array([1.0, -1.0, 0.0, 0.0, 3.0, -3.0])
    slope = np.array([2.0, -2.0, 2.0, 0.0, 0.0, 2.0])
    assert np.flatnonzero(np.isfinite(critical_factors(rest, slope))).tolist() == [5]
    assert critical_factors(rest, slope)[5] == 1.5


@pytest.mark.parametrize("factor", [0.0, -0.5, np.nan, np.inf])
def test_a_factor_that_is_no_positive_number_is_refused(factor: float) -> None:
    exposures, prices = random_positions(3)
    with pytest.raises(InputError, match="a factor of the driving price is not a positive number"):
        OneDriver.of(exposures, prices, prices > 0).at(np.array([1.0, factor]))
