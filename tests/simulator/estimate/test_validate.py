"""Intervals hold the truth as often as they say, and importance sampling is right and worth it. The commands
``python -m simulator.estimate.validate coverage|importance`` do the same on a larger scale."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from chain.errors import InputError
from simulator.estimate.cascading import CascadingBook
from simulator.estimate.importance import PLAIN_SHARE, Tilt, choose_tilt
from simulator.estimate.validate import BOOK, SAMPLINGS, coverage, importance, main
from tests.simulator.estimate import models


def test_the_closed_form_is_the_integral() -> None:
    def loss(z: float) -> float:
        return float(BOOK.losses(np.full((1, 1, 1), math.exp(BOOK.volatility * z - BOOK.volatility**2 / 2)))[0, 0])

    def integral(power: int, high: float) -> float:
        edge = (math.log(BOOK.debt_usd / BOOK.recoverable_usd) + BOOK.volatility**2 / 2) / BOOK.volatility
        return float(quad(lambda z: loss(z) ** power * norm.pdf(z), -12.0, min(edge, high), epsabs=1e-9)[0])

    assert BOOK.mean == pytest.approx(integral(1, 12.0), rel=1e-8)
    assert BOOK.standard_error("mean", 0.0, 1) == pytest.approx(math.sqrt(integral(2, 12.0) - BOOK.mean**2), rel=1e-8)
    for level in (0.95, 0.99, 0.999):
        z = float(norm.ppf(1.0 - level))
        assert BOOK.value_at_risk(level) == pytest.approx(loss(z), rel=1e-12)
        assert BOOK.expected_shortfall(level) == pytest.approx(integral(1, z) / (1.0 - level), rel=1e-8)
    assert BOOK.value_at_risk(0.5) == 0.0
    assert BOOK.expected_shortfall(0.5) == pytest.approx(2.0 * BOOK.mean, rel=1e-12)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_intervals_hold_the_truth_as_often_as_they_say(sampling: str) -> None:
    seeds = 300
    rows = coverage(seeds, 4096, sampling, levels=(0.95, 0.99))
    assert len(rows) == 5
    slack = 3.0 * math.sqrt(0.95 * 0.05 / seeds)
    held = [row for row in rows if row.enough == 1.0]
    # a Sobol replicate has 256 points here, too few of them beyond either quantile
    assert len(held) == (3 if sampling == "sobol" else 5)
    for row in held:
        assert abs(row.covered - 0.95) < slack + 0.01, row
        # no way of drawing is worse than independent paths, and theirs is the width of theory
        assert row.width < 1.2
        assert sampling != "independent" or row.width > 0.8


@pytest.mark.parametrize(("steps", "reference"), [(1, 400_000), (12, 150_000)])
def test_importance_sampling_of_a_cascade_is_right_and_many_times_as_good(steps: int, reference: int) -> None:
    gain = importance(reference=reference, repeats=30, paths=4_000, steps=steps)
    assert gain.efficiency > 20.0
    assert abs(gain.bias_errors) < 2.0
    assert gain.effective_size < gain.paths


def test_weights_make_up_for_what_was_moved() -> None:
    # the first number's step is the first, the second's and third's the second; the last has no direction
    tilt = Tilt(np.array([-1.0, 0.5, 0.3, 0.0]), np.array([-1.5, 0.0, 0.8, 0.0]), np.array([0, 1, 1, -1]))
    numbers, weights = tilt.moved(models.uniforms(200_000, 5))
    error = weights.std() / math.sqrt(len(weights))
    assert abs(weights.mean() - 1.0) < 4.0 * error
    assert weights.max() <= 1.0 / PLAIN_SHARE
    for i in range(4):
        for edge in (0.05, 0.5, 0.9):
            below = weights * (numbers[:, i] < edge)
            assert abs(below.mean() - edge) < 4.0 * below.std() / math.sqrt(len(below))
    # ways: not at all, or at the other step; at every step; at its own step
    still, way = PLAIN_SHARE + (1 - PLAIN_SHARE) / 4, norm.ppf(0.05)
    wanted = still * 0.05 + (1 - PLAIN_SHARE) * (norm.cdf(way + 1.0) / 2 + norm.cdf(way + 1.5) / 4)
    assert (numbers[:, 0] < 0.05).mean() == pytest.approx(wanted, rel=0.03)


def test_a_tilt_goes_where_losses_are_and_the_same_at_every_step() -> None:
    model = models.gbm(3)

    def losses(prices: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(0.0, 1.0 - prices[:, -1, :1]))

    tilt = choose_tilt(model, losses, 1, level=0.999, paths=4_000)
    shift = tilt.even.reshape(3, 3)
    assert tilt.step.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert (shift == shift[0]).all()
    # the loss is nearly linear in one normal number z, for which E[z (z - q)+] / E[(z - q)+] is this
    q = float(norm.isf(0.001))
    wanted = -0.001 / (norm.pdf(q) - 0.001 * q)
    assert shift[0] * math.sqrt(3.0) == pytest.approx([wanted, 0.0, 0.0], abs=0.15)
    # where a stretch of a bootstrap starts has no direction
    numbers = models.uniforms(50, models.bootstrap().dimension + 1)
    moved, weights = choose_tilt(models.bootstrap(), losses, 1, level=0.99, paths=500).moved(numbers)
    assert moved == pytest.approx(numbers[:, :-1], rel=1e-12)
    assert weights == pytest.approx(1.0, rel=1e-12)


def test_without_a_loss_there_is_no_tail_to_draw_from() -> None:
    with pytest.raises(InputError, match="none of 500 pilot paths has a loss"):
        choose_tilt(models.gbm(), lambda prices: np.zeros((len(prices), 1)), 1, level=0.99, paths=500)


def test_a_tail_that_no_plain_pilot_path_reaches_is_found_by_wider_ones() -> None:
    model = models.gbm(1)

    def losses(prices: np.ndarray) -> np.ndarray:
        # five and a half standard deviations down
        return np.asarray(np.maximum(0.0, math.exp(-5.5 * 0.01) - prices[:, -1, :1]))

    tilt = choose_tilt(model, losses, 1, level=1.0 - 1e-8, paths=2_000)
    uniforms, weights = tilt.moved(models.uniforms(20_000, 4))
    hits = weights * (losses(model.prices(uniforms))[:, 0] > 0)
    wanted = norm.cdf(-5.5 + 0.005)
    assert abs(hits.mean() - wanted) < 4.0 * hits.std() / math.sqrt(len(hits))
    assert hits.std() / math.sqrt(len(hits)) < 0.05 * wanted


def test_sales_of_liquidated_collateral_make_the_cascading_book_lose_more() -> None:
    from dataclasses import replace

    book = CascadingBook.by_hand()
    calm = replace(book, depth_usd=np.full(5, np.inf))
    prices = np.linspace(1.0, 0.3, 15)[:, None, None] * np.ones((1, 2, 5))
    lost, alone = book.losses(prices)[:, 0], calm.losses(prices)[:, 0]
    worth = prices[:, -1, :1] * book.collateral_usd / book.bonus
    assert alone == pytest.approx(np.maximum(0.0, book.debt_usd - worth).sum(axis=1), rel=1e-12)
    assert lost[0] == alone[0] == 0.0
    assert (lost >= alone).all()
    assert (lost > 1.2 * alone + 1.0).any()


def test_the_command_prints_what_it_found_and_whether_it_is_as_promised(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["importance", "--reference", "400000", "--repeats", "30", "--paths", "4000", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["good"]
    assert printed["results"][0]["efficiency"] > 20.0
    # two seeds cannot cover 95 %
    assert main(["coverage", "--seeds", "2", "--paths", "1024"]) == 1
    assert "NOT as promised" in capsys.readouterr().out
