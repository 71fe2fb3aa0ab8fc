"""Reverse stress: the nearest shocks that do a damage, against grids and formulas."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chain.errors import InputError
from chain.snapshot import Snapshot
from simulator.book import open_book
from simulator.estimate import command
from simulator.estimate.losses import EconomicBadDebt
from simulator.estimate.models.gbm import GBM
from simulator.estimate.models.model import FloatArray
from simulator.estimate.models.student import GroupedT
from simulator.estimate.reverse import Reverse, horizon_moves, most_plausible, reverse_stress
from tests.simulator import plain
from tests.simulator.books import Account, make_snapshot
from tests.simulator.command import strict_json
from tests.simulator.estimate import models
from tests.simulator.estimate.test_estimate import said, series_file

ASSETS = ("ETH", "BTC")
STILL = {"USD": "USD", "DAI": "USD"}


def moves(*sigma: float, correlation: float = 0.6) -> FloatArray:
    """Normal moves whose covariance is exactly that."""
    count = len(sigma)
    raw = np.random.default_rng(3).standard_normal((5_000, count))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False).reshape(count, count))).T
    shape = np.full((count, count), correlation) + (1.0 - correlation) * np.eye(count)
    return np.asarray(white @ np.linalg.cholesky(shape * np.outer(sigma, sigma)).T)


def one_region() -> Snapshot:
    """Both collaterals fall."""
    return make_snapshot(
        {
            "a": Account({"ETH": 10.0, "BTC": 0.1}, {"USD": 21_000.0}),
            "b": Account({"BTC": 1.0}, {"USD": 33_000.0}),
            "c": Account({"ETH": 3.0, "BTC": 0.2}, {"DAI": 9_000.0}),
        }
    )


def two_regions() -> Snapshot:
    """Collateral falls, or a debt rises."""
    return make_snapshot(
        {
            "holds": Account({"ETH": 10.0, "BTC": 0.1}, {"USD": 20_000.0}),
            "owes": Account({"USD": 40_000.0}, {"ETH": 8.0, "BTC": 0.02}),
        }
    )


def losses_of(snapshot: Snapshot, assets: tuple[str, ...] = ASSETS) -> EconomicBadDebt:
    return EconomicBadDebt.of(open_book(snapshot), assets, follow=STILL, at="end")


def nearest_on_a_grid(
    losses: EconomicBadDebt, covariance: FloatArray, target: float, low: float, high: float
) -> tuple[float, FloatArray]:
    """Distance and moves of the nearest of 4,000,000 shocks, with moves of the first asset between two bounds."""
    best, where = math.inf, np.zeros(2)
    across = np.linspace(-2.5, 2.5, 2_000)
    inverse = np.linalg.inv(covariance)
    for part in np.array_split(np.linspace(low, high, 2_000), 10):
        shocks = np.stack(np.meshgrid(part, across, indexing="ij"), axis=-1).reshape(-1, 2)
        prices = np.exp(np.stack([np.zeros_like(shocks), shocks], axis=1))
        hit = shocks[losses(prices)[:, 0] >= target]
        distance = np.sqrt(np.einsum("ki,ij,kj->k", hit, inverse, hit))
        if len(hit) and distance.min() < best:
            best, where = float(distance.min()), hit[distance.argmin()]
    return best, np.expm1(where)


def at_the_shock(losses: EconomicBadDebt, found: Reverse, place: int = 0) -> float:
    prices = np.stack([np.ones(len(found.assets)), 1.0 + found.shocks[place].moves])
    return float(losses(prices[None])[0, 0])


# --- against a grid -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [100.0, 2_000.0, 15_000.0])
def test_the_most_plausible_shock_of_two_assets_is_that_of_a_fine_grid(target: float) -> None:
    losses, drawn = losses_of(one_region()), moves(0.05, 0.04)
    found = most_plausible(losses, losses.outputs, ASSETS, drawn, target)
    distance, where = nearest_on_a_grid(losses, np.cov(drawn, rowvar=False), target, -2.0, 0.0)
    assert found.shocks[0].distance == pytest.approx(distance, rel=0.01)
    assert found.shocks[0].distance < 1.0005 * distance
    assert found.shocks[0].moves == pytest.approx(where, abs=0.02)
    assert target <= at_the_shock(losses, found) < 1.001 * target


@pytest.mark.parametrize("correlation", [0.7, -0.5])
def test_two_regions_are_both_found_the_more_plausible_first(correlation: float) -> None:
    losses, drawn = losses_of(two_regions()), moves(0.05, 0.04, correlation=correlation)
    found = most_plausible(losses, losses.outputs, ASSETS, drawn, 3_000.0)
    covariance = np.cov(drawn, rowvar=False)
    grid = sorted(
        (nearest_on_a_grid(losses, covariance, 3_000.0, low, high) for low, high in ((-2.0, 0.0), (0.0, 2.0))),
        key=lambda each: each[0],
    )
    assert len(found.shocks) == 2
    for place, (distance, where) in enumerate(grid):
        assert found.shocks[place].distance == pytest.approx(distance, rel=0.01)
        assert found.shocks[place].moves == pytest.approx(where, abs=0.02)
        assert at_the_shock(losses, found, place) >= 3_000.0
    assert grid[0][1][0] * grid[1][1][0] < 0.0


# --- against formulas ---------------------------------------------------------------------------------------------


def test_of_one_account_distance_moves_and_chances_are_those_of_the_formula() -> None:
    losses = EconomicBadDebt.of(
        open_book(plain.aave({"a": (140.0, 100.0)}, bonus=1.05)), ("COL", "other"), follow={"OWED": "USD"}, at="end"
    )
    drawn = moves(0.1, 0.3, correlation=0.5)
    found = most_plausible(losses, losses.outputs, ("COL", "other"), drawn, 7.0)
    # what is owed beyond the worth of the collateral after the bonus
    price = (100.0 - 7.0) * 1.05 / 140.0
    (shock,) = found.shocks
    assert shock.distance == pytest.approx(-math.log(price) / 0.1, rel=1e-4)
    # an asset that nobody holds moves as much as the regression on the other says
    assert np.log1p(shock.moves) == pytest.approx([math.log(price), 0.5 * 0.3 / 0.1 * math.log(price)], rel=2e-3)
    assert shock.normal_chance == pytest.approx(0.5 * math.erfc(shock.distance / math.sqrt(2.0)))
    assert shock.model_chance == (drawn[:, 0] <= -0.1 * shock.distance).mean()
    assert shock.losses_usd == pytest.approx([7.0, 7.0], rel=1e-4)


def test_assets_that_matter_to_nobody_do_not_hide_those_that_do() -> None:
    assets = (*ASSETS, *(f"other{i}" for i in range(18)))
    few = most_plausible(losses_of(one_region()), ("all", "pool"), ASSETS, moves(0.05, 0.04), 2_000.0)
    many = most_plausible(
        losses_of(one_region(), assets), ("all", "pool"), assets, moves(0.05, 0.04, *[0.06] * 18), 2_000.0
    )
    assert many.shocks[0].distance == pytest.approx(few.shocks[0].distance, rel=2e-3)


def test_an_optimiser_from_many_starts_finds_nothing_nearer_among_six_assets() -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(5)
    held, owed = rng.lognormal(3.0, 1.0, size=(40, 6)) * (rng.random((40, 6)) < 0.4), rng.lognormal(3.0, 1.0, 40)
    rise = np.where(np.arange(40) % 5 == 0, -1.0, 1.0)

    def lost(prices: np.ndarray) -> np.ndarray:
        # every fifth owes what the others hold
        value = prices[:, -1] @ held.T
        short = np.where(rise > 0.0, np.minimum(owed, 0.5 * held.sum(axis=1)) - value, value - 2.0 * held.sum(axis=1))
        return np.asarray(np.maximum(short, 0.0).sum(axis=1, keepdims=True))

    drawn = moves(0.03, 0.04, 0.05, 0.06, 0.05, 0.04, correlation=0.4)
    found = most_plausible(lost, ("all",), tuple("abcdef"), drawn, 100.0)
    lower = np.linalg.cholesky(np.cov(drawn, rowvar=False))

    def spare(point: np.ndarray) -> float:
        return float(lost(np.exp(np.stack([np.zeros(6), lower @ point]))[None])[0, 0]) / 100.0 - 1.0

    nearest = math.inf
    for start in rng.standard_normal((30, 6)) * 5.0:
        ended = minimize(
            lambda point: 0.5 * point @ point, start, jac=lambda point: point, method="SLSQP",
            constraints={"type": "ineq", "fun": spare},
        )  # fmt: skip
        nearest = min(nearest, float(np.linalg.norm(ended.x)) if spare(ended.x) > -1e-6 else math.inf)
    assert found.shocks[0].distance == pytest.approx(nearest, rel=1e-3)


def twins(prices: np.ndarray) -> np.ndarray:
    """A market on each of two assets, of which the first is hurt earlier. What counts is what the worse one loses."""
    lost = np.maximum(np.array([0.80, 0.79]) - prices[:, -1], 0.0) * 1e6
    return np.asarray(np.concatenate([lost.max(axis=1, keepdims=True), lost], axis=1))


def test_a_shock_in_nearly_the_same_direction_is_of_another_kind_if_another_market_bears_it() -> None:
    found = most_plausible(twins, ("all", "one", "other"), ("a", "b"), moves(0.04, 0.04, correlation=0.95), 150_000.0)
    assert [int(shock.losses_usd[1:].argmax()) for shock in found.shocks] == [0, 1]
    wanted = [-math.log(price) / 0.04 for price in (0.65, 0.64)]
    assert [shock.distance for shock in found.shocks] == pytest.approx(wanted, rel=1e-3)


def test_the_moves_of_a_model_are_those_of_its_paths_at_the_end() -> None:
    model = models.gbm(5)
    drawn = horizon_moves(model, 1)
    assert drawn.shape[1] == 3
    assert np.cov(drawn, rowvar=False) == pytest.approx(5 * models.COVARIANCE, rel=0.05)
    assert (drawn == horizon_moves(model, 1)).all()


# --- what stays the same, and what is refused ---------------------------------------------------------------------


def test_any_number_of_workers_finds_the_same_and_progress_reaches_the_end() -> None:
    model = GBM(ASSETS, 24, 3600.0, np.array([[1e-4, 5e-5], [5e-5, 8e-5]]))
    seen: list[tuple[int, int]] = []
    frozen: dict[str, Any] = {"follow": STILL, "liquidations": False}
    one = reverse_stress(two_regions(), model, 5_000.0, **frozen, workers=1)
    two = reverse_stress(
        two_regions(), model, 5_000.0, **frozen, workers=3, progress=lambda done, total: seen.append((done, total))
    )
    assert one.records() == two.records()
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    frame = one.frame()
    assert list(frame["distance"]) == [shock.distance for shock in one.shocks]
    assert frame.loc[0, "move ETH"] == one.shocks[0].moves[0]


def test_heavy_tails_make_the_same_distance_more_likely_than_normal() -> None:
    heavy = GroupedT(("COL",), 1, 86_400.0, np.eye(1), np.array([0.05]), np.array([3.0]))
    book = plain.aave({"a": (140.0, 100.0)}, bonus=1.05)
    found = reverse_stress(book, heavy, 1.0, follow={"OWED": "USD"}, liquidations=False)
    assert found.shocks[0].model_chance > 10.0 * found.shocks[0].normal_chance > 0.0


def test_a_damage_that_cannot_be_done_is_refused_with_the_largest_that_can() -> None:
    losses = losses_of(one_region())
    # with both collaterals worth a thousandth, nearly all debt is lost
    with pytest.raises(
        InputError, match=r"no shock was found that does 1,000,000 USD of damage; the most is 62,\d\d\d"
    ):
        most_plausible(losses, losses.outputs, ASSETS, moves(0.05, 0.04), 1e6)
    with pytest.raises(InputError, match=r"at ETH -99\.\d%, BTC -9\d\.\d%|at BTC -99\.\d%, ETH -9\d\.\d%"):
        most_plausible(losses, losses.outputs, ASSETS, moves(0.05, 0.04), 1e6)


def test_a_damage_that_is_there_already_or_is_none_is_refused() -> None:
    under = EconomicBadDebt.of(
        open_book(plain.aave({"a": (100.0, 100.0)}, bonus=1.05)), ("COL",), follow={"OWED": "USD"}, at="end"
    )
    with pytest.raises(InputError, match="bad debt is 5 USD before any shock"):
        most_plausible(under, under.outputs, ("COL",), moves(0.1), 4.0)
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="above 0"):
            most_plausible(under, under.outputs, ("COL",), moves(0.1), wrong)


# --- the command --------------------------------------------------------------------------------------------------


def test_the_damage_is_read_as_it_is_written() -> None:
    assert command.damage_usd("bad_debt=1e6") == command.damage_usd("bad_debt = 1_000_000") == 1e6
    for wrong in ("1e6", "bad_debt=", "bad_debt=-1", "bad_debt=0", "bad_debt=1e999", "profit=1e6", "bad_debt=1e6 USD"):
        with pytest.raises(InputError, match="write bad_debt=1e6"):
            command.damage_usd(wrong)


def test_the_command_prints_a_table_or_json_and_refuses_what_it_cannot_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.aave({"a": (1_400_000.0, 1_000_000.0)}, bonus=1.05).write(tmp_path / "book")
    series_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    model = ("stress", "book", "--series", "prices.csv", "--model", "gbm", "--follow", "OWED=USD")
    options = (*model, "--without-liquidations")
    code, out, errors = said(capsys, monkeypatch, *options, "--reverse", "bad_debt=2e5", "--json")
    assert (code, errors) == (0, "")
    printed = strict_json(out)
    (shock,) = printed["shocks"]
    assert shock["moves"]["COL"] == pytest.approx(800_000.0 * 1.05 / 1_400_000.0 - 1.0, abs=1e-4)
    assert list(shock["losses_usd"]) == ["all markets", "pool"]
    assert (printed["target_usd"], printed["model"], len(printed["notes"])) == (2e5, "GBM", 3)
    assert (printed["liquidations"], shock["liquidated"]) == (False, None)
    code, out, errors = said(capsys, monkeypatch, *options, "--reverse", "bad_debt=2e5")
    assert (code, errors) == (0, "")
    assert "most plausible shocks over 24 h with 200,000 USD of bad debt" in out
    assert "COL -40.0%" in out
    assert "pool 200,000" in out
    for wrong, message in [
        (("--reverse", "bad_debt=2e9"), "the most is 998,"),
        (("--reverse", "2e5"), "write bad_debt=1e6"),
        (("--reverse", "bad_debt=2e5", "--paths", "100"), "--reverse goes with none of"),
        (("--reverse", "bad_debt=2e5", "--haircut", "0.01"), "goes with neither --like nor --haircut"),
        (("--reverse", "bad_debt=2e5", "--shock", "COL=-10%"), "--reverse goes with none of"),
    ]:
        code, out, errors = said(capsys, monkeypatch, *options, *wrong)
        assert (code, out) == (2, "")
        assert message in errors
    code, out, errors = said(capsys, monkeypatch, *model, "--reverse", "bad_debt=2e5")
    assert (code, out) == (2, "")
    assert "the snapshot has no pools in which collateral could be sold" in errors
    code, out, errors = said(capsys, monkeypatch, "stress", "book", "--reverse", "bad_debt=2e5")
    assert (code, out) == (2, "")
    assert "give --series FILE" in errors
