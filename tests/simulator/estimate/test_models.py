"""Laws of price paths, whatever the model; and that each model's parameters are found again in its own paths."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chain.errors import InputError
from simulator.estimate.drawn import Source
from simulator.estimate.importance import Tilt
from simulator.estimate.models.draws import Antithetic, Draws, Independent, Sobol
from simulator.estimate.models.garch import GARCH
from simulator.estimate.models.gbm import GBM
from simulator.estimate.models.grid import stress_grid
from simulator.estimate.models.history import Bootstrap, windows
from simulator.estimate.models.merton import Merton
from simulator.estimate.models.model import PriceModel, root
from simulator.estimate.models.pegged import DOLLAR, Gap, Pegged
from simulator.estimate.models.series import Series, read_series
from simulator.estimate.models.student import GroupedT, kendall, tail_index
from tests.simulator.estimate import models
from tests.simulator.estimate.models import ASSETS, CORRELATION, COVARIANCE, GAP, SIGMA

DRAWS: list[Draws] = [Independent(3), Antithetic(3), Sobol(3, 16)]
each_model = pytest.mark.parametrize("model", models.ALL, ids=lambda model: type(model).__name__)
each_draws = pytest.mark.parametrize("draws", DRAWS, ids=lambda draws: type(draws).__name__)


# --- draws ------------------------------------------------------------------------------------------------------


@each_model
@each_draws
@pytest.mark.parametrize("tilted", [False, True])
def test_any_chunks_and_any_workers_make_the_same_paths_to_the_bit(
    model: PriceModel, draws: Draws, tilted: bool
) -> None:
    step = np.where(model.labels >= 0, np.arange(model.dimension) % model.steps, -1)
    tilt = Tilt(np.full(model.dimension, -0.1), np.full(model.dimension, -0.5), step) if tilted else None
    source = Source(model, draws, tilt)
    prices, weights = source.paths(0, 53)
    cuts = [0, 1, 2, 9, 16, 31, 53]
    with ThreadPoolExecutor(3) as pool:
        parts = list(pool.map(lambda cut: source.paths(cut[0], cut[1] - cut[0]), pairwise(cuts)))
    assert np.concatenate([part[0] for part in parts]).tobytes() == prices.tobytes()
    assert np.concatenate([part[1] for part in parts]).tobytes() == weights.tobytes()


@each_draws
def test_another_seed_makes_other_numbers_and_all_are_strictly_between_0_and_1(draws: Draws) -> None:
    numbers = draws.uniforms(0, 64, 5)
    other = type(draws)(**{**vars(draws), "seed": 4}).uniforms(0, 64, 5)
    assert ((numbers > 0) & (numbers < 1)).all()
    assert (numbers != other).all()


def test_a_path_has_numbers_that_no_other_path_has() -> None:
    numbers = Independent(5).uniforms(0, 1000, 7)
    assert len(np.unique(numbers)) == numbers.size


def test_the_second_path_of_a_pair_has_one_less_the_numbers_of_the_first() -> None:
    numbers = Antithetic(5).uniforms(0, 10, 3)
    assert (numbers[0::2] + numbers[1::2] == 1.0).all()


def test_sobol_points_fall_evenly_into_the_cells_of_every_axis_and_replicates_differ() -> None:
    numbers = Sobol(5, 64).uniforms(0, 128, 4)
    for half in (numbers[:64], numbers[64:]):
        assert (np.sort((half * 64).astype(int), axis=0) == np.arange(64)[:, None]).all()
    assert (numbers[:64] != numbers[64:]).any()


def test_what_sobol_points_cannot_do_is_refused() -> None:
    with pytest.raises(InputError, match="power of two"):
        Sobol(1, 100)
    with pytest.raises(InputError, match="fewer steps or independent"):
        Sobol(1, 64).uniforms(0, 1, 30_000)


# --- paths ------------------------------------------------------------------------------------------------------


@each_model
def test_paths_start_at_1_and_stay_positive_and_finite_at_the_worst_of_numbers(model: PriceModel) -> None:
    tiny = 2.0**-53
    worst = np.array([[tiny], [1.0 - tiny], [0.5]]) * np.ones(model.dimension)
    mixed = np.where(np.arange(model.dimension) % 2, tiny, 1.0 - tiny)
    prices = model.prices(np.vstack([worst, mixed, 1.0 - mixed]))
    assert prices.shape == (5, model.steps + 1, len(model.assets))
    assert (prices[:, 0] == 1.0).all()
    assert np.isfinite(prices).all()
    assert (prices > 0).all()
    assert len(model.labels) == model.dimension


@pytest.mark.parametrize("model", [models.gbm(), models.merton()], ids=["GBM", "Merton"])
def test_prices_that_are_martingales_have_mean_1_at_every_step(model: PriceModel) -> None:
    prices = model.prices(models.uniforms(40_000, model.dimension))
    errors = prices.std(axis=0) / math.sqrt(len(prices))
    assert (np.abs(prices.mean(axis=0) - 1.0) <= 4.0 * errors).all()


def test_gbm_has_the_covariance_it_was_given() -> None:
    moves = np.diff(np.log(models.gbm().prices(models.uniforms(20_000, models.gbm().dimension))), axis=1)
    found = np.cov(moves.reshape(-1, 3), rowvar=False)
    assert found == pytest.approx(COVARIANCE, rel=0.03)


def moves_of(prices: np.ndarray) -> np.ndarray:
    ratio = prices[:, 1:] / prices[:, :-1]
    return np.where(ratio < 1.0, np.log(ratio), ratio - 1.0)


def test_a_price_that_falls_stays_above_nothing_and_one_that_rises_has_a_mean() -> None:
    series = Series(("A",), 60.0, np.array([[1.0], [0.5], [1.5]]))
    assert series.moves[:, 0] == pytest.approx([math.log(0.5), 2.0])
    # one step with 2.5 degrees of freedom: the mean rise is that of Student's t, and of its exponential there is none
    model = GroupedT(("A",), 1, 60.0, np.eye(1), np.array([0.1]), np.array([2.5]))
    rises = np.maximum(model.prices(models.uniforms(400_000, 2))[:, 1, 0] - 1.0, 0.0)
    wanted = 0.1 * math.gamma(1.75) * math.sqrt(2.5) / (1.5 * math.gamma(1.25) * math.sqrt(math.pi))
    assert rises.mean() == pytest.approx(wanted, rel=0.02)


def test_student_moves_have_the_tails_of_their_groups_and_crash_together() -> None:
    from scipy.stats import kstest, t

    model = models.student(1)
    moves = moves_of(model.prices(models.uniforms(50_000, model.dimension)))[:, 0]
    for i, freedom in enumerate((4.0, 3.0, 4.0)):
        assert kstest(moves[:, i] / SIGMA[i], t(freedom).cdf).pvalue > 1e-3
    assert kendall(moves[:3000]) == pytest.approx(CORRELATION, abs=0.06)
    # the chance that one of a pair is in its worst 0.2 % when the other is: for t with 4 degrees of freedom and
    # correlation 0.8 it tends to 2 t_5(-sqrt(5 x 0.2 / 1.8)), and for the normal copula to nothing
    worst = moves < np.quantile(moves, 0.002, axis=0)
    together = (worst[:, 0] & worst[:, 2]).sum() / worst[:, 0].sum()
    assert together == pytest.approx(2.0 * t(5).cdf(-math.sqrt(5 * 0.2 / 1.8)), abs=0.15)


def test_garch_variance_follows_the_mean_of_its_recursion() -> None:
    model = models.garch()
    moves = moves_of(model.prices(models.uniforms(100_000, model.dimension)))
    variance = 2.0 * SIGMA**2
    for step in range(model.steps):
        assert moves[:, step].var(axis=0) == pytest.approx(variance, rel=0.06)
        variance = 0.05 * SIGMA**2 + 0.95 * variance


def test_a_bootstrap_of_endless_stretches_replays_the_series_and_one_of_single_steps_has_its_covariance() -> None:
    series = models.series_of(models.gbm(400))
    numbers = models.uniforms(20_000, 10)
    moves = np.diff(np.log(Bootstrap(series, 5, 1e12).prices(numbers[:50])), axis=1)
    starts = (numbers[:50, 1] * 400).astype(int)
    wanted = series.returns[(starts[:, None] + np.arange(5)) % 400]
    assert moves == pytest.approx(wanted, abs=1e-12)
    moves = np.diff(np.log(Bootstrap(series, 5, 1.0).prices(numbers)), axis=1).reshape(-1, 3)
    assert np.cov(moves, rowvar=False) == pytest.approx(np.cov(series.returns, rowvar=False), rel=0.03)


def test_windows_are_every_stretch_of_the_series() -> None:
    series = Series(("A",), 60.0, np.array([[1.0], [2.0], [4.0], [3.0]]))
    assert windows(series, 2)[:, :, 0].tolist() == [[1.0, 2.0, 4.0], [1.0, 2.0, 1.5]]
    with pytest.raises(InputError, match="4 rows"):
        windows(series, 4)


def test_a_gap_closes_as_its_persistence_says_when_nothing_happens() -> None:
    model = models.pegged()
    calm = np.full((1, model.dimension), 0.5)
    prices = model.prices(calm)[0]
    distance = (GAP.start - GAP.level) * GAP.persistence ** np.arange(model.steps + 1)
    assert np.log(prices[:, 4]) == pytest.approx(distance + GAP.level - GAP.start, abs=1e-12)
    assert prices[:, 3] == pytest.approx(prices[:, 0] * prices[:, 4], rel=1e-12)


def test_jumps_of_a_gap_come_as_often_and_are_as_large_as_it_says() -> None:
    one = Gap(0.0, 0.0, 0.0, 1e-12, GAP.fall_chance, GAP.fall, GAP.rise_chance, GAP.rise)
    model = Pegged(models.gbm(1), {"USDC": DOLLAR}, {"USDC": one})
    gaps = np.log(model.prices(models.uniforms(200_000, model.dimension)))[:, 1, 3]
    falls, rises = -gaps[gaps < -1e-9], gaps[gaps > 1e-9]
    assert (len(falls) / len(gaps), falls.mean()) == pytest.approx((GAP.fall_chance, GAP.fall), rel=0.05)
    assert (len(rises) / len(gaps), rises.mean()) == pytest.approx((GAP.rise_chance, GAP.rise), rel=0.07)


def test_a_peg_to_what_has_no_price_is_refused() -> None:
    with pytest.raises(InputError, match="none of WETH, CRV, WBTC, USD"):
        Pegged(models.gbm(), {"stETH": "ETH"}, {"stETH": GAP})
    with pytest.raises(InputError, match="keep one"):
        Pegged(models.gbm(), {"CRV": DOLLAR}, {"CRV": GAP})


def test_a_stress_grid_holds_every_combination_once_and_gets_there_evenly() -> None:
    prices = stress_grid({"WETH": [0.0, -0.5], "CRV": [0.0, -0.75, 1.0]}, steps=2)
    assert prices[:, -1].tolist() == [[1, 1], [1, 0.25], [1, 2], [0.5, 1], [0.5, 0.25], [0.5, 2]]
    assert prices[4, 1].tolist() == pytest.approx([math.sqrt(0.5), 0.5])
    with pytest.raises(InputError, match="above -1"):
        stress_grid({"WETH": [-1.0]})


# --- parameters from a series -----------------------------------------------------------------------------------


def test_gbm_is_found_again_in_its_own_path() -> None:
    found = GBM.fit(models.series_of(models.gbm(20_000)), 24)
    assert found.covariance == pytest.approx(COVARIANCE, rel=0.05)
    assert (found.assets, found.steps, found.step_s) == (ASSETS, 24, 3600.0)


def test_student_tails_and_correlations_are_found_again_in_their_own_path() -> None:
    found = GroupedT.fit(models.series_of(models.student(6_000)), 24, {"CRV": "governance"})
    assert found.freedom == pytest.approx([4.0, 3.0, 4.0], rel=0.12)
    assert found.scale == pytest.approx(SIGMA, rel=0.05)
    assert found.correlation == pytest.approx(CORRELATION, abs=0.04)


def test_jumps_are_found_again_in_their_own_path() -> None:
    true = Merton(ASSETS, 10_000, 3600.0, COVARIANCE, 0.01, np.array([-0.15, -0.2, -0.1]), COVARIANCE)
    found = Merton.fit(models.series_of(true), 24)
    assert found.rate == pytest.approx(true.rate, rel=0.2)
    assert found.jump_mean == pytest.approx(true.jump_mean, rel=0.05)
    assert found.covariance == pytest.approx(COVARIANCE, rel=0.05)


@pytest.mark.parametrize("calmer", [1.0, 0.1])
def test_garch_is_found_again_in_its_own_path_however_calm_the_assets(calmer: float) -> None:
    true = models.garch(8_000)
    true = replace(true, omega=calmer**2 * true.omega, variance=calmer**2 * true.variance)
    found = GARCH.fit(models.series_of(true), 24)
    assert found.alpha == pytest.approx(true.alpha, abs=0.03)
    assert found.beta == pytest.approx(true.beta, abs=0.05)
    assert found.freedom == pytest.approx(true.freedom, rel=0.2)
    assert found.correlation == pytest.approx(CORRELATION, abs=0.04)


def test_a_garch_fitted_to_a_series_starts_at_the_volatility_with_which_the_series_ends() -> None:
    series = models.series_of(models.garch(3_000))
    calm = Series(ASSETS, 3600.0, series.prices)
    crash = Series(ASSETS, 3600.0, np.vstack([series.prices, series.prices[-1] * 0.8]))
    assert (GARCH.fit(crash, 1).variance > 3.0 * GARCH.fit(calm, 1).variance).all()


def test_a_gap_is_found_again_in_its_own_path() -> None:
    model = models.pegged(20_000)
    found = Pegged.fit(models.gbm(), models.series_of(model), {"stETH": "WETH", "USDC": DOLLAR})
    for gap in found.gaps.values():
        assert gap.persistence == pytest.approx(GAP.persistence, abs=0.02)
        assert gap.noise == pytest.approx(GAP.noise, rel=0.1)
        # jumps below four times the noise cannot be told from it
        assert gap.fall_chance == pytest.approx(GAP.fall_chance * math.exp(-0.004 / GAP.fall), rel=0.15)
        assert gap.fall == pytest.approx(GAP.fall + 0.004, rel=0.12)


def test_long_stretches_are_chosen_where_volatility_clusters() -> None:
    clustered = Bootstrap.fit(models.series_of(models.garch(3_000)), 24).block
    even = Bootstrap.fit(models.series_of(models.gbm(3_000)), 24).block
    assert clustered > 3.0 * even


def test_an_asset_that_never_moves_is_named() -> None:
    still = Series(("WETH", "USDC"), 3600.0, np.column_stack([np.exp(np.sin(np.arange(60.0))), np.ones(60)]))
    with pytest.raises(InputError, match="never moves"):
        GBM.fit(still, 1)
    with pytest.raises(InputError, match="USDC never moves"):
        GARCH.fit(still.only(("USDC",)), 1)
    with pytest.raises(InputError, match="USDC never moves"):
        Bootstrap.fit(still, 1)
    with pytest.raises(InputError, match="never leaves its peg"):
        Pegged.fit(models.gbm(), still, {"USDC": DOLLAR})
    with pytest.raises(InputError, match="hardly trade"):
        tail_index(still.returns[:, 1:], "USDC")


def test_too_few_jumps_are_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        Merton.fit(models.series_of(models.gbm(200)), 1)


def test_a_root_times_its_transpose_is_the_covariance_even_of_assets_that_move_as_one() -> None:
    one = np.ones((2, 2))
    for covariance in (COVARIANCE, one):
        lower = root(covariance, "test")
        assert lower @ lower.T == pytest.approx(covariance, rel=1e-9)
        assert np.triu(lower, 1) == pytest.approx(0.0)
    impossible = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    lower = root(impossible, "test")
    assert np.diag(lower @ lower.T) == pytest.approx(1.0)


# --- files ------------------------------------------------------------------------------------------------------


def _frame(rows: int = 40) -> pd.DataFrame:
    return pd.DataFrame({"time": 1_700_000_000 + 3600 * np.arange(rows), "WETH": 2000.0 + np.arange(rows)})


@pytest.mark.parametrize("times", ["seconds", "text", "dates"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_series_reads_the_same_from_either_kind_of_file_and_time(tmp_path: Path, times: str, suffix: str) -> None:
    frame = _frame()
    if times != "seconds":
        frame["time"] = pd.to_datetime(frame["time"], unit="s", utc=True)
    if times == "text":
        frame["time"] = frame["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    path = tmp_path / f"prices.{suffix}"
    if suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    series = read_series(path)
    assert (series.assets, series.step_s) == (("WETH",), 3600.0)
    assert series.prices[:, 0].tolist() == (2000.0 + np.arange(40)).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.rename(columns={"time": "date"}), "no column time; it has date, WETH"),
        (lambda frame: frame.drop(index=7), "row 8: times are not evenly spaced"),
        (lambda frame: frame[::-1], "row 2: times are not evenly spaced upwards"),
        (lambda frame: frame.assign(WETH=frame["WETH"].where(frame.index != 4)), "row 5: WETH is no price"),
        (lambda frame: frame.assign(WETH=frame["WETH"].where(frame.index != 4, 0.0)), "row 5: WETH is no price"),
        (lambda frame: frame.assign(time="yesterday"), "row 1: time is neither"),
        (lambda frame: frame.head(30), "30 rows of 1 assets"),
    ],
)
def test_a_series_with_a_fault_is_refused_by_row(tmp_path: Path, change: object, message: str) -> None:
    path = tmp_path / "prices.csv"
    change(_frame()).to_csv(path, index=False)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        read_series(path)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a readable"):
        read_series(tmp_path / "missing.csv")
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="not a readable"):
        read_series(tmp_path / "broken.parquet")
