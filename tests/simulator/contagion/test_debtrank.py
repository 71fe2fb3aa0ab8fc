"""DebtRank in both forms: the hand-derived ring of three banks, balance sheets step by step, the laws of the spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import sparse

from chain.errors import InputError
from simulator.contagion.clearing import clear
from simulator.contagion.debtrank import debtrank, differential_debtrank, ranking, spectral_radius
from tests.simulator.contagion.networks import (
    RING,
    RING_ASSETS,
    RING_EQUITIES,
    RING_SENIOR,
    FloatArray,
    matrices,
)

CLAIMS = RING.T
FORMS = pytest.mark.parametrize("spread", [debtrank, differential_debtrank])


@st.composite
def shocked(draw: st.DrawFn) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Exposures, equities and first distress."""
    exposures = draw(matrices())
    size = len(exposures)
    equities = draw(st.lists(st.sampled_from([0.5, 1.0, 3.0, 10.0, 40.0]), min_size=size, max_size=size))
    distress = draw(st.lists(st.sampled_from([0.0, 0.0, 0.01, 0.1, 0.5, 1.0]), min_size=size, max_size=size))
    return exposures, np.array(equities), np.array(distress)


def external_loss(shock: float) -> FloatArray:
    return np.minimum(1.0, shock * RING_ASSETS / RING_EQUITIES)


# --- the ring of three banks ----------------------------------------------------------------------------------------


def test_the_cycle_of_the_ring_multiplies_distress_by_eight_thirds() -> None:
    assert spectral_radius(CLAIMS, RING_EQUITIES) ** 3 == pytest.approx(4 / 3 * 3 / 3 * 2 / 1)


@pytest.mark.parametrize("shock", [1e-9, 0.05, 0.10, 0.15, 0.20])
def test_any_shock_ruins_all_banks_of_an_unstable_ring(shock: float) -> None:
    spread = differential_debtrank(CLAIMS, RING_EQUITIES, external_loss(shock))
    assert spread.final.tolist() == [1.0, 1.0, 1.0]


def test_distress_is_total_where_clearing_finds_no_loss_to_any_creditor() -> None:
    spread = differential_debtrank(CLAIMS, RING_EQUITIES, external_loss(0.05))
    clearing = clear(RING, RING_ASSETS * 0.95, RING_SENIOR)
    assert spread.losses.sum() == RING_EQUITIES.sum()
    assert clearing.greatest.recovery_rates.tolist() == [1.0, 1.0, 1.0]
    assert not clearing.greatest.defaults.any()


def test_a_stable_ring_ends_at_the_closed_form() -> None:
    equities, first = np.full(3, 10.0), np.full(3, 0.1)
    spread = differential_debtrank(CLAIMS, equities, first)
    assert spectral_radius(CLAIMS, equities) == pytest.approx(0.024 ** (1 / 3))
    assert np.round(spread.final, 6).tolist() == [0.129098, 0.151639, 0.145492]
    assert spread.final == pytest.approx(np.linalg.solve(np.eye(3) - CLAIMS / 10.0, first), abs=1e-15)
    assert spread.amplification == pytest.approx((0.129098 + 0.151639 + 0.145492) / 0.3, abs=1e-5)


def test_passing_distress_on_once_stops_after_one_step_where_all_are_in_distress() -> None:
    spread = debtrank(CLAIMS, np.full(3, 10.0), np.full(3, 0.1))
    # each adds a tenth of its claim over equity: 2/10, 4/10 and 3/10
    assert spread.final == pytest.approx([0.12, 0.14, 0.13], abs=1e-15)
    # and counts by its claims: 2, 4 and 3 of 9
    assert spread.debtrank == pytest.approx((2 * 0.02 + 4 * 0.04 + 3 * 0.03) / 9, abs=1e-15)


def test_a_failing_bank_ranks_by_what_it_does_to_others() -> None:
    """Bank 0 ruins 0.4 of bank 1, which passes 0.3 of that to bank 2; what returns to bank 0 changes nothing."""
    expected = [(4 * 0.4 + 3 * 0.12) / 9, (3 * 0.3 + 2 * 0.06) / 9, (2 * 0.2 + 4 * 0.08) / 9]
    for differential in (False, True):
        assert ranking(CLAIMS, np.full(3, 10.0), differential=differential) == pytest.approx(expected, abs=1e-15)


def test_economic_value_can_be_given_in_any_unit() -> None:
    spread = debtrank(CLAIMS, np.full(3, 10.0), np.full(3, 0.1), values=[0.0, 50.0, 50.0])
    assert spread.debtrank == pytest.approx(0.5 * 0.04 + 0.5 * 0.03, abs=1e-15)


# --- laws -----------------------------------------------------------------------------------------------------------


def balance_sheets(exposures: FloatArray, equities: FloatArray, distress: FloatArray) -> FloatArray:
    """Equities written down by what debtors' equities have lost, over and over."""
    first = (1.0 - distress) * equities
    now = first
    for _ in range(100_000):
        after = first - exposures @ (1.0 - np.maximum(now, 0.0) / equities)
        if np.abs(after - now).max() < 1e-13:
            break
        now = after
    return 1.0 - np.maximum(now, 0.0) / equities


@given(shocked())
def test_differential_debtrank_is_what_iterated_balance_sheets_lose(shock: Any) -> None:
    assert differential_debtrank(*shock).final == pytest.approx(balance_sheets(*shock), abs=1e-8)


@given(shocked())
def test_passing_on_once_is_never_more_than_passing_on_all(shock: Any) -> None:
    once, always = debtrank(*shock), differential_debtrank(*shock)
    assert np.all(once.final <= always.final + 1e-12)
    assert once.debtrank <= always.debtrank + 1e-12


@given(shocked())
def test_distress_only_grows_and_never_beyond_all_equity(shock: Any) -> None:
    for spread in (debtrank(*shock), differential_debtrank(*shock)):
        assert np.all((spread.initial <= spread.final) & (spread.final <= 1.0))
        assert 0.0 <= spread.debtrank <= 1.0
        assert spread.amplification >= 1.0 - 1e-12


@given(shocked())
def test_where_leverage_is_stable_and_nobody_is_ruined_the_closed_form_holds(shock: Any) -> None:
    exposures, equities, distress = shock
    leverage = exposures / equities[:, None]
    assume(spectral_radius(exposures, equities) < 0.999)
    closed = np.linalg.solve(np.eye(len(equities)) - leverage, distress)
    assume(closed.max() < 1.0)
    assert differential_debtrank(*shock).final == pytest.approx(closed, abs=1e-9)


@given(shocked())
def test_where_leverage_is_unstable_a_shock_to_all_ruins_one(shock: Any) -> None:
    exposures, equities, _ = shock
    assume(spectral_radius(exposures, equities) > 1.001)
    assert differential_debtrank(exposures, equities, 1e-3).final.max() == 1.0


@given(shocked())
def test_the_spectral_radius_is_the_largest_eigenvalue_and_the_same_for_sparse_exposures(shock: Any) -> None:
    exposures, equities, _ = shock
    largest = np.abs(np.linalg.eigvals(exposures / equities[:, None])).max()
    # a matrix without cycles has 0, of which eigenvalues to sixteen digits keep but few
    assert spectral_radius(exposures, equities) == pytest.approx(largest, abs=1e-2)
    assert spectral_radius(sparse.coo_array(exposures), equities) == pytest.approx(spectral_radius(exposures, equities))


@given(shocked())
def test_sparse_exposures_spread_distress_as_dense_ones(shock: Any) -> None:
    exposures, equities, distress = shock
    for spread in (debtrank, differential_debtrank):
        thin = spread(sparse.csc_array(exposures), equities, distress)
        assert thin.final == pytest.approx(spread(exposures, equities, distress).final, abs=1e-12)


@given(shocked())
def test_a_ranking_is_the_debtrank_of_each_failure_alone(shock: Any) -> None:
    exposures, equities, _ = shock
    for spread, differential in ((debtrank, False), (differential_debtrank, True)):
        alone = [spread(exposures, equities, failure).debtrank for failure in np.eye(len(equities))]
        assert ranking(exposures, equities, differential=differential) == pytest.approx(alone, abs=1e-12)


def test_a_long_cycle_has_the_spectral_radius_of_its_one_leverage() -> None:
    """All its eigenvalues are equally large, and too many to compute them all."""
    size = 2_000
    cycle = sparse.coo_array((np.full(size, 3.0), (np.arange(size), np.roll(np.arange(size), 1))), shape=(size, size))
    assert spectral_radius(cycle, 4.0) == pytest.approx(0.75, abs=1e-9)


# --- refusals -------------------------------------------------------------------------------------------------------


@FORMS
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CLAIMS, [1.0, 0.0, 1.0], 0.1), "node 1 has none"),
        ((CLAIMS, [1.0, -1.0, 1.0], 0.1), "equities must hold finite numbers of at least 0"),
        ((CLAIMS, [1.0, 1e-320, 1.0], 0.1), "vanishes beside"),
        ((CLAIMS, 1.0, [0.1, 1.1, 0.0]), "distress must be from 0 to 1, not 1.1"),
        ((CLAIMS, 1.0, [0.1, 0.1]), "distress must have 3 entries"),
        ((np.eye(3), 1.0, 0.1), "exposures: node 0 has an entry with itself"),
        ((CLAIMS, 1.0, 0.1, [1.0, 1.0]), "values must have 3 entries"),
    ],
)
def test_what_has_no_distress_is_refused(spread: Any, arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        spread(*arguments)
