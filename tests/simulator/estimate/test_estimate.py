"""Estimates of a book's bad debt: what a path costs, and what the command says of many."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chain.errors import InputError
from chain.snapshot import Snapshot
from simulator.book import open_book, value
from simulator.cli import main
from simulator.estimate import command
from simulator.estimate.closed_form import OneAccount
from simulator.estimate.losses import EconomicBadDebt
from simulator.estimate.models.gbm import GBM
from simulator.estimate.models.model import PriceModel
from simulator.estimate.models.pegged import Pegged
from simulator.estimate.models.student import GroupedT
from simulator.estimate.outputs import SYSTEM
from simulator.estimate.run import BadDebt, distribution, estimate
from simulator.estimate.sampling import Experiment, Sampling
from simulator.estimate.statistics import Until
from tests.simulator import plain
from tests.simulator.books import Account, make_snapshot
from tests.simulator.command import strict_json
from tests.simulator.estimate import models

TRUTH = OneAccount(debt_usd=1_000_000.0, collateral_usd=1_400_000.0, bonus=1.05, volatility=0.2)
FOLLOW = {"OWED": "USD"}


def one_account() -> Snapshot:
    return plain.aave({"a": (TRUTH.collateral_usd, TRUTH.debt_usd)}, bonus=TRUTH.bonus)


def price_of_collateral() -> GBM:
    return GBM(("COL",), 1, 86_400.0, np.array([[TRUTH.volatility**2]]))


def frozen(snapshot: Snapshot, model: PriceModel, paths: int, **options: Any) -> BadDebt:
    """The estimate if nobody liquidates on the way."""
    return estimate(snapshot, model, paths, liquidations=False, **options)


def two_markets() -> Snapshot:
    return plain.together(
        plain.aave({"a": (150.0, 100.0), "b": (120.0, 95.0), "c": (400.0, 90.0), "d": (70.0, 0.0)}),
        plain.compound_v2({"e": (180.0, 130.0), "f": (90.0, 60.0)}),
    )


# --- one path ---------------------------------------------------------------------------------------------------


def test_a_path_costs_the_economic_bad_debt_of_every_market_at_its_prices() -> None:
    book = open_book(two_markets())
    prices = np.random.default_rng(1).uniform(0.3, 1.6, size=(20, 4, 2))
    prices[:, 0] = 1.0
    wanted = np.zeros((20, 4, 2))
    for path, step in np.ndindex(20, 4):
        relative = dict(zip(("COL", "OWED"), prices[path, step], strict=True))
        for row, market in enumerate(book.markets):
            moved = np.array([relative[book.tokens[token].symbol] for token in book.market_tokens[row]])
            now = value(market.exposures(), book.outside_usd[book.market_tokens[row]] * moved)
            wanted[path, step, row] = now.bad_debt_usd.sum()
    worst = EconomicBadDebt.of(book, ("COL", "OWED"))
    assert worst.outputs == (SYSTEM, *(market.name for market in book.markets))
    assert (wanted > 0).any(axis=(0, 1)).all()
    found = worst(prices)
    assert found[:, 1:] == pytest.approx(wanted.max(axis=1), rel=1e-9, abs=1e-9)
    assert found[:, 0] == pytest.approx(wanted.sum(axis=2).max(axis=1), rel=1e-9, abs=1e-9)
    end = EconomicBadDebt.of(book, ("COL", "OWED"), at="end")(prices)
    assert end[:, 1:] == pytest.approx(wanted[:, -1], rel=1e-9, abs=1e-9)


def test_a_token_moves_with_what_it_follows_or_stands_still_at_a_dollar() -> None:
    book = open_book(make_snapshot({"a": Account({"ETH": 10.0}, {"USD": 20_000.0, "DAI": 3_000.0})}))
    prices = np.array([[[1.0], [0.5]], [[1.0], [1.2]]])
    still = EconomicBadDebt.of(book, ("ETH",), follow={"USD": "USD", "dai": "USD"})(prices)
    along = EconomicBadDebt.of(book, ("eth",), follow={"USD": "USD", "DAI": "ETH"})(prices)
    assert still[0, 0] - along[0, 0] == pytest.approx(0.5 * 3_000.0 * 1.00012)
    assert still[1, 0] == along[1, 0] == 0.0


def test_what_has_no_price_path_is_named_by_how_much_is_at_stake() -> None:
    book = open_book(make_snapshot({"a": Account({"ETH": 10.0, "BTC": 0.01}, {"USD": 20_000.0})}))
    with pytest.raises(InputError, match=r"no price path for USD \(40\.\d%\), BTC \(1\.\d%\).*USD=ASSET"):
        EconomicBadDebt.of(book, ("ETH",))
    with pytest.raises(InputError, match="DAI is to follow DOGE, which is none of ETH, USD"):
        EconomicBadDebt.of(book, ("ETH",), follow={"DAI": "DOGE"})
    with pytest.raises(InputError, match="DOGE, which is to follow ETH, is no token"):
        EconomicBadDebt.of(book, ("ETH",), follow={"DOGE": "ETH"})
    with pytest.raises(InputError, match="worst or the end"):
        EconomicBadDebt.of(book, ("ETH",), at="middle")  # type: ignore[arg-type]


# --- many paths -------------------------------------------------------------------------------------------------


def by_name(found: BadDebt) -> pd.DataFrame:
    frame = found.statistics()
    return frame[frame["output"] == SYSTEM].set_index(["name", "level"])


@pytest.mark.parametrize("sampling", ["independent", "antithetic", "sobol", "importance"])
def test_the_estimate_of_one_account_is_the_closed_form(sampling: Sampling) -> None:
    found = frozen(one_account(), price_of_collateral(), 2**16, seed=3, sampling=sampling, follow=FOLLOW)
    rows = by_name(found)
    for name, level, truth in [
        ("mean", math.nan, TRUTH.mean),
        ("value at risk", 0.99, TRUTH.value_at_risk(0.99)),
        ("expected shortfall", 0.99, TRUTH.expected_shortfall(0.99)),
        ("expected shortfall", 0.999, TRUTH.expected_shortfall(0.999)),
    ]:
        row = rows.loc[(name, level)]
        half = (row["high"] - row["low"]) / 2.0
        assert abs(row["value"] - truth) < 2.0 * half
        assert row["enough"]
        assert half < 0.05 * truth


def test_any_number_of_workers_and_another_run_give_the_same_to_the_bit_and_another_seed_does_not() -> None:
    model = models.student()
    snapshot = make_snapshot({"a": Account({"ETH": 10.0, "BTC": 0.01}, {"USD": 24_500.0, "DAI": 10.0})})
    follow = {"ETH": "WETH", "BTC": "WBTC", "USD": "USD", "DAI": "CRV"}
    runs = [frozen(snapshot, model, 4096, seed=seed, workers=w, follow=follow) for seed, w in ((1, 1), (1, 3), (2, 2))]
    assert runs[0].losses_usd.tobytes() == runs[1].losses_usd.tobytes()
    assert runs[0].statistics().equals(runs[1].statistics())
    assert runs[0].losses_usd.tobytes() != runs[2].losses_usd.tobytes()


def test_paths_stop_once_the_rule_is_met_and_the_result_says_whether_it_was() -> None:
    seen: list[tuple[int, int]] = []

    def run(share: float) -> BadDebt:
        seen.clear()
        return frozen(
            one_account(), price_of_collateral(), 2**16, follow=FOLLOW, until=Until(0.95, share),
            progress=lambda done, total: seen.append((done, total)),
        )  # fmt: skip

    early, never = run(0.05), run(0.001)
    assert early.met
    assert 1_000 <= len(early.weights) < 2**16
    assert (never.met, len(never.weights)) == (False, 2**16)
    assert early.losses_usd.tobytes() == never.losses_usd[: len(early.weights)].tobytes()
    assert seen[-1] == (2**16, 2**16)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_any_function_of_paths_can_stand_in_the_place_of_the_books_losses() -> None:
    def losses(prices: np.ndarray) -> np.ndarray:
        end = TRUTH.losses(prices)
        return np.concatenate([end, 2.0 * end], axis=1)

    found = distribution(Experiment(price_of_collateral(), 5_000, seed=4), losses, ("one", "two"))
    book = frozen(one_account(), price_of_collateral(), 5_000, seed=4, follow=FOLLOW)
    assert found.sample("one").losses == pytest.approx(book.sample(SYSTEM).losses, rel=1e-9, abs=1e-6)
    assert (found.sample("two").losses == 2.0 * found.sample("one").losses).all()


def test_the_worst_point_costs_no_less_than_the_end() -> None:
    model = GBM(("COL",), 6, 3600.0, np.array([[0.1**2]]))
    worst = frozen(one_account(), model, 2_000, follow=FOLLOW)
    end = frozen(one_account(), model, 2_000, follow=FOLLOW, at="end")
    assert (worst.losses_usd >= end.losses_usd).all()
    assert (worst.losses_usd > end.losses_usd).any()


@pytest.mark.parametrize(
    ("paths", "sampling", "message"),
    [
        (0, "independent", "1 or more"),
        (101, "antithetic", "take 102"),
        (1000, "sobol", "take 1024"),
        (1000, "latin", "not latin"),
    ],
)
def test_paths_that_cannot_be_drawn_are_refused(paths: int, sampling: Sampling, message: str) -> None:
    with pytest.raises(InputError, match=message):
        frozen(one_account(), price_of_collateral(), paths, sampling=sampling, follow=FOLLOW)


def test_a_worker_or_an_output_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="workers must be 1 or more"):
        frozen(one_account(), price_of_collateral(), 10, workers=0, follow=FOLLOW)
    found = frozen(one_account(), price_of_collateral(), 10, follow=FOLLOW)
    with pytest.raises(InputError, match="no elsewhere; it has all markets, pool"):
        found.sample("elsewhere")


# --- the command ------------------------------------------------------------------------------------------------


def series_file(folder: Path) -> Path:
    series = models.series_of(models.pegged(600))
    frame = pd.DataFrame(series.prices, columns=list(series.assets))
    frame.insert(0, "time", 1_700_000_000 + 3600 * np.arange(len(frame)))
    path = folder / "prices.csv"
    frame.rename(columns={"WETH": "COL"}).to_csv(path, index=False)
    return path


def test_a_model_takes_its_steps_from_the_series_and_leaves_pegged_assets_to_their_gaps(tmp_path: Path) -> None:
    path = series_file(tmp_path)
    model = asked(path, peg=["stETH=COL", "USDC=USD"]).fitted()
    assert isinstance(model, Pegged)
    assert isinstance(model.base, GroupedT)
    assert model.assets == ("COL", "CRV", "WBTC", "stETH", "USDC")
    assert (model.steps, model.step_s) == (48, 3600.0)


def test_what_cannot_be_fitted_to_a_series_is_refused(tmp_path: Path) -> None:
    path = series_file(tmp_path)
    for wrong, message in [
        (("student", "24h", {}), "--model student: take one of gbm, t, garch, merton, bootstrap"),
        (("gbm", "90m", {}), "--horizon 90m is 1.5 intervals"),
        (("gbm", "10m", {}), "--horizon 10m is 0.1667 intervals"),
        (("gbm", "soon", {}), "--horizon soon: write a number"),
        (("gbm", "24h", {"DOGE": "USD"}), "no column DOGE"),
        (("gbm", "24h", {"stETH": "DOGE"}), "no column DOGE|none of COL"),
        (("gbm", "24h", dict.fromkeys(("COL", "CRV", "WBTC", "stETH", "USDC"), "USD")), "every column"),
    ]:
        name, horizon, pegs = wrong
        with pytest.raises(InputError, match=message):
            command.fitted(name, path, horizon, pegs)


def asked(series: Path | None = None, follow: Sequence[str] = (), peg: Sequence[str] = ()) -> command.Asked:
    return command.Asked("t", series, "2d", follow, peg, seed=0)


def test_options_are_read_as_they_are_written() -> None:
    assert command.horizon_s("36h") == 129_600.0
    assert command.until("es99.9 = 2.5%") == Until(0.999, 0.025)
    assert asked(follow=["wstETH=WETH", "USDC = USD"]).followed == {"wstETH": "WETH", "USDC": "USD"}
    for wrong in ("es=5%", "es100=5%", "es99=0%", "var99=5%"):
        with pytest.raises(InputError, match="write es99=5%"):
            command.until(wrong)
    with pytest.raises(InputError, match="write TOKEN=ASSET"):
        _ = asked(follow=["wstETH"]).followed
    with pytest.raises(InputError, match="given already"):
        _ = asked(follow=["A=B", "A=C"]).followed


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors of the command, in this process."""
    monkeypatch.setattr(sys, "argv", ["unwind", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), *capsys.readouterr()


def test_the_command_prints_tables_or_json_and_refuses_what_it_cannot_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one_account().write(tmp_path / "book")
    series_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    acting = ("stress", "book", "--paths", "2000", "--series", "prices.csv", "--model", "gbm", "--follow", "OWED=USD")
    options = (*acting, "--without-liquidations")
    code, out, errors = said(capsys, monkeypatch, *options, "--sampling", "importance", "--json")
    assert (code, errors) == (0, "")
    printed = strict_json(out)
    assert (printed["paths"], printed["steps"], printed["model"], printed["met"]) == (2000, 24, "GBM", None)
    shortfall = [row for row in printed["statistics"] if row["name"] == "expected shortfall" and row["level"] == 0.999]
    assert [row["output"] for row in shortfall] == ["all markets", "pool"]
    assert printed["convergence"][-1]["paths"] == 2000
    code, out, _ = said(capsys, monkeypatch, *options, "--until", "es99=1%")
    assert code == 0
    assert "stop rule NOT met" in out
    assert "too few" in out
    for wrong, message in [
        ((*options, "--shock", "COL=-10%"), "neither --shock nor --out"),
        ((*options, "--follow", "OWED=USD"), "given already"),
        ((*options, "--at", "noon"), "worst or the end"),
        (("stress", "book", "--paths", "10"), "give --series FILE"),
        (acting, "no pools in which collateral could be sold"),
        ((*options, "--haircut", "0.01"), "neither --like nor --haircut"),
    ]:
        code, out, errors = said(capsys, monkeypatch, *wrong)
        assert (code, out) == (2, "")
        assert message in errors


def test_liquidations_are_in_the_estimate_unless_they_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.aave({"a": (1_400_000.0, 1_000_000.0), "b": (90_000.0, 70_000.0)}, bonus=1.05).write(tmp_path / "book")
    series_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    options = ("stress", "book", "--paths", "500", "--series", "prices.csv", "--model", "gbm", "--follow", "OWED=USD")
    code, out, errors = said(capsys, monkeypatch, *options, "--haircut", "0.01", "--json")
    assert (code, errors) == (0, "")
    printed = strict_json(out)
    assert printed["liquidations"]
    means = {row["output"]: row for row in printed["statistics"] if row["name"] == "mean"}
    assert set(means) == {
        f"{measure}{name}"
        for measure in ("", "liquidated volume: ", "liquidators' profit: ")
        for name in ("all markets", "pool", "pool/OWED owed", "pool/COL pledged")
    }
    assert means["liquidated volume: pool"]["value"] > 0.0
    assert (means["pool/COL pledged"]["by"], means["pool/COL pledged"]["of"]) == ("collateral", "pool/COL")
    code, out, _ = said(capsys, monkeypatch, *options, "--haircut", "0.01")
    assert code == 0
    for title in ("bad debt, US dollars", "liquidated volume, US dollars", "bad debt by what was pledged"):
        assert title in out
    code, out, _ = said(capsys, monkeypatch, *options, "--without-liquidations", "--json")
    alone = {row["output"]: row["value"] for row in strict_json(out)["statistics"] if row["name"] == "mean"}
    assert set(alone) == {"all markets", "pool"}
    assert alone["pool"] >= means["pool"]["value"]
