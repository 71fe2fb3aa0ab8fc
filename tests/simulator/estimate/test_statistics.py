"""What a sample says of a distribution, and when it is too small to say anything."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chain.errors import InputError
from simulator.estimate.statistics import (
    LEVELS,
    Sample,
    Until,
    convergence,
    difference,
    expected_shortfall,
    mean,
    measures,
    probability,
    row,
    value_at_risk,
)

LOSSES = np.random.default_rng(1).lognormal(size=2000)
losses_of_any_kind = arrays(np.float64, st.integers(1, 300), elements=st.floats(0, 1e12, allow_subnormal=False))


def test_statistics_of_paths_that_weigh_the_same_are_the_empirical_ones() -> None:
    sample = Sample(LOSSES)
    assert mean(sample).value == pytest.approx(LOSSES.mean(), rel=1e-12)
    for level in LEVELS:
        worst = np.sort(LOSSES)[-round(2000 * (1 - level)) :]
        assert expected_shortfall(sample, level).value == pytest.approx(worst.mean(), rel=1e-12)
        quantile = np.quantile(LOSSES, level, method="hazen")
        assert value_at_risk(sample, level).value == pytest.approx(quantile, rel=1e-12)


def test_a_path_that_weighs_two_counts_as_two_and_one_that_weighs_nothing_as_none() -> None:
    twice, weighted = (
        Sample(np.array([1.0, 2.0, 3.0, 3.0])),
        Sample(np.array([1.0, 2.0, 3.0, 99.0]), np.array([1, 1, 2, 0.0])),
    )
    assert mean(weighted).value == mean(twice).value
    assert expected_shortfall(weighted, 0.5).value == expected_shortfall(twice, 0.5).value == 3.0
    assert probability(weighted, 2.5).value == 0.5
    assert weighted.effective_size == pytest.approx(16 / 6)


@settings(max_examples=40)
@given(losses_of_any_kind, st.floats(0.01, 100.0))
def test_expected_shortfall_is_no_less_than_value_at_risk_rises_with_the_level_and_scales(
    losses: np.ndarray, factor: float
) -> None:
    sample, scaled = Sample(losses), Sample(factor * losses)
    slack = 1e-9 * (1.0 + float(losses.max()))
    before = mean(sample).value
    for level in LEVELS:
        shortfall = expected_shortfall(sample, level).value
        assert value_at_risk(sample, level).value <= shortfall + slack
        assert before <= shortfall + slack
        assert shortfall <= losses.max() + slack
        assert expected_shortfall(scaled, level).value == pytest.approx(factor * shortfall, rel=1e-9, abs=1e-9)
        before = shortfall


@settings(max_examples=40)
@given(losses_of_any_kind)
def test_every_estimate_lies_in_its_interval(losses: np.ndarray) -> None:
    for one in measures(Sample(losses)):
        slack = 1e-9 * (1.0 + abs(one.value))
        assert one.low - slack <= one.value <= one.high + slack
        assert row(one)["value"] == one.value


@pytest.mark.parametrize("hits", [0, 1, 37, 500, 1000])
def test_probabilities_have_wilsons_interval(hits: int) -> None:
    from scipy.stats import binomtest

    losses = np.zeros(1000)
    losses[:hits] = 5.0
    found = probability(Sample(losses))
    wanted = binomtest(hits, 1000).proportion_ci(method="wilson")
    # a standard error is taken with n - 1
    assert (found.value, found.low, found.high) == pytest.approx((hits / 1000, wanted.low, wanted.high), abs=5e-5)
    assert found.enough == (30 <= hits <= 970)


def test_paths_that_come_twice_say_no_more_than_once() -> None:
    once, twice = Sample(LOSSES), Sample(np.repeat(LOSSES, 2), cluster=2)
    for statistic in (mean, lambda one: expected_shortfall(one, 0.95), lambda one: probability(one, 3.0)):
        assert statistic(twice).standard_error == pytest.approx(statistic(once).standard_error, rel=1e-3)
    assert value_at_risk(twice, 0.95).high - value_at_risk(twice, 0.95).low == pytest.approx(
        value_at_risk(once, 0.95).high - value_at_risk(once, 0.95).low, rel=0.2
    )


def test_pairs_that_undo_each_other_know_the_mean_better() -> None:
    normals = np.random.default_rng(2).normal(size=500)
    pairs = np.stack([5.0 + normals, 5.0 - normals + 0.01 * normals**2], axis=1).ravel()
    assert mean(Sample(pairs, cluster=2)).standard_error < 0.02 * mean(Sample(pairs)).standard_error


def test_a_sample_that_does_not_reach_a_quantile_says_so() -> None:
    found = value_at_risk(Sample(LOSSES), 0.999)
    assert math.isinf(found.high)
    assert not found.enough
    assert row(found)["high"] is None
    assert not expected_shortfall(Sample(LOSSES), 0.999).enough
    assert expected_shortfall(Sample(LOSSES), 0.95).enough


def test_too_few_replicates_of_a_point_set_say_too_little() -> None:
    assert expected_shortfall(Sample(LOSSES[:1984], replicate=62), 0.95).enough
    assert not mean(Sample(LOSSES, replicate=500)).enough
    assert not mean(Sample(LOSSES, replicate=2000)).enough


def test_a_book_that_never_loses_says_nothing_of_the_size_of_losses_but_that_most_paths_lose_nothing() -> None:
    sample = Sample(np.zeros(1000))
    for one in (mean(sample), expected_shortfall(sample, 0.95), probability(sample)):
        assert (one.value, one.enough) == (0.0, False)
    for level, enough in ((0.5, True), (0.95, True), (0.99, False)):
        found = value_at_risk(sample, level)
        assert (found.low, found.value, found.enough) == (0.0, 0.0, enough)
    assert probability(Sample(np.zeros(1000))).high == pytest.approx(0.0038, abs=1e-4)


def test_an_estimate_converges_in_rows_of_twice_as_many_paths() -> None:
    rows = convergence(Sample(LOSSES), 0.95, halvings=3)
    assert [one["paths"] for one in rows] == [250, 500, 1000, 2000]
    assert rows[-1]["mean"] == pytest.approx(LOSSES.mean())
    widths = [one["mean_high"] - one["mean_low"] for one in rows]
    assert widths == sorted(widths, reverse=True)
    assert [one["paths"] for one in convergence(Sample(LOSSES[:8], cluster=2), halvings=6)] == [2, 4, 8]


def test_sampling_stops_once_the_expected_shortfall_is_known_as_well_as_asked() -> None:
    found = expected_shortfall(Sample(LOSSES), 0.95)
    assert Until(0.95, 1.01 * found.relative_half_width).met(Sample(LOSSES))
    assert not Until(0.95, 0.99 * found.relative_half_width).met(Sample(LOSSES))
    # ever so narrow, and still too few
    assert not Until(0.999, 0.5).met(Sample(1.0 + 1e-9 * LOSSES))


def test_what_is_no_sample_is_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        Sample(np.array([]))
    with pytest.raises(InputError, match="3 losses with 2 weights"):
        Sample(np.ones(3), np.ones(2))
    with pytest.raises(InputError, match="not a number"):
        Sample(np.array([1.0, math.nan]))
    with pytest.raises(InputError, match="groups of 2"):
        Sample(np.ones(3), cluster=2)


# --- differences of samples that share their paths ------------------------------------------------------------------


def test_a_difference_on_the_same_paths_has_the_error_of_what_differs_path_by_path() -> None:
    draw = np.random.default_rng(5)
    base = draw.lognormal(size=4_000)
    apart = draw.normal(0.1, 0.05, size=4_000)
    found = difference(Sample(base + apart), Sample(base))
    assert found.value == pytest.approx(apart.mean())
    assert found.standard_error == pytest.approx(apart.std(ddof=1) / math.sqrt(4_000))
    assert found.low < 0.1 < found.high
    assert found.enough
    shortfall = difference(Sample(1.1 * base), Sample(base), 0.99)
    one, other = (expected_shortfall(Sample(losses), 0.99) for losses in (1.1 * base, base))
    assert shortfall.value == pytest.approx(one.value - other.value)
    assert shortfall.standard_error == pytest.approx(0.1 * other.standard_error)


@pytest.mark.parametrize("level", [None, 0.95])
def test_intervals_of_differences_hold_as_often_as_they_say(level: float | None) -> None:
    """Exponential losses that grow by a tenth: their mean is 1, their shortfall at a level 1 - log(1 - level)."""
    truth = 0.1 * (1.0 if level is None else 1.0 - math.log(1.0 - level))
    held = 0
    for seed in range(400):
        losses = np.random.default_rng(seed).exponential(size=2_000)
        found = difference(Sample(1.1 * losses), Sample(losses), level)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.975


def test_samples_that_are_alike_differ_by_nothing_and_those_of_other_paths_cannot_be_compared() -> None:
    losses = np.arange(1_000.0)
    found = difference(Sample(losses), Sample(losses), 0.95)
    assert (found.value, found.low, found.high, found.standard_error) == (0.0, 0.0, 0.0, 0.0)
    with pytest.raises(InputError, match="samples of the same paths"):
        difference(Sample(losses), Sample(losses, np.full(1_000, 2.0)))


def test_replicates_and_pairs_are_compared_as_wholes() -> None:
    draw = np.random.default_rng(6)
    base = draw.lognormal(size=1_600)
    more = base * draw.uniform(1.0, 1.2, size=1_600)
    found = difference(Sample(more, replicate=100), Sample(base, replicate=100))
    parts = (more - base).reshape(16, 100).mean(axis=1)
    assert found.standard_error == pytest.approx(parts.std(ddof=1) / 4.0)
    assert found.enough
    twice = difference(Sample(np.repeat(more, 2), cluster=2), Sample(np.repeat(base, 2), cluster=2))
    assert twice.standard_error == pytest.approx(difference(Sample(more), Sample(base)).standard_error)
