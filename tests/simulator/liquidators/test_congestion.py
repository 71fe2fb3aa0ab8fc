"""Block space is dear and scarce when the collateral of a book has fallen much within hours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.book import Book, open_book
from simulator.liquidators.congestion import DEEPEST, WINDOW_S, Congestion
from simulator.scenario import Liquidators
from tests.simulator.books import Account, make_scenario, make_snapshot, play

DATA = Path(__file__).parents[4] / "shared" / "data" / "prices"
ETH_AND_DAI = {"a": Account({"ETH": 3.0}, {"USD": 4_000.0}), "b": Account({"DAI": 2_000.0}, {"USD": 900.0})}


def book_of(accounts: dict[str, Account]) -> Book:
    return open_book(make_snapshot(accounts))


def test_gas_costs_the_fall_of_the_pledged_collateral_to_the_power_of_the_elasticity() -> None:
    book = book_of(ETH_AND_DAI)
    congestion = Congestion(book, 2.0)
    held = np.zeros(len(book.tokens))
    for token, amount in (("0xc0", 3.0), ("0x6b", 2_000.0)):
        held[book.token_row[token]] = amount
    start = book.outside_usd.copy()
    fallen = start.copy()
    fallen[book.token_row["0xc0"]] *= 0.7
    ratio = (held @ start) / (held @ fallen)
    assert congestion.watch(book.timestamp + 60, start) == 1.0
    assert congestion.watch(book.timestamp + 120, fallen) == pytest.approx(ratio**2.0, rel=1e-9)


def test_prices_of_what_nobody_pledged_do_not_matter_nor_do_rises() -> None:
    book = book_of(ETH_AND_DAI)
    congestion = Congestion(book, 6.8)
    prices = book.outside_usd.copy()
    prices[book.token_row["0x22"]] *= 0.1
    prices[book.token_row["0xc0"]] *= 1.5
    assert congestion.watch(book.timestamp + 60, prices) == 1.0


def test_a_fall_is_forgotten_after_the_window() -> None:
    book = book_of(ETH_AND_DAI)
    congestion = Congestion(book, 1.0)
    low = 0.7 * book.outside_usd
    start = book.timestamp
    assert congestion.watch(start + WINDOW_S, low) == pytest.approx(1.0 / 0.7, rel=1e-9)
    assert congestion.watch(start + WINDOW_S + 1.0, low) == 1.0
    # a recovery is a new highest
    assert congestion.watch(start + WINDOW_S + 2.0, 0.8 * book.outside_usd) == 1.0
    assert congestion.watch(start + WINDOW_S + 3.0, low) == pytest.approx(0.8 / 0.7, rel=1e-9)


def test_a_fall_deeper_than_any_in_the_data_counts_as_the_deepest() -> None:
    book = book_of(ETH_AND_DAI)
    assert Congestion(book, 3.0).watch(book.timestamp, 0.1 * book.outside_usd) == pytest.approx(DEEPEST**3.0, rel=1e-9)


def test_what_a_keeper_pays_for_gas_is_the_congestion_times_what_it_is_at_rest() -> None:
    liquidators = {"sell": "outside", "gas_usd": 11.0, "flash_fee": 0.0, "congestion": 3.0}
    one = {"a": Account({"ETH": 3.0}, {"USD": 6_900.0})}
    (row,) = play(
        make_snapshot(one), make_scenario({"ETH": 0.9}, steps=1, liquidators=liquidators)
    ).record.liquidations[:1]
    assert row["gas_usd"] == pytest.approx(11.0 / 0.9**3.0, rel=1e-9)


@pytest.mark.parametrize(("elasticity", "expected"), [(0.0, 2), (5.0, 1), (40.0, 0)])
def test_as_many_times_fewer_liquidations_fit_into_a_step(elasticity: float, expected: int) -> None:
    liquidators = {
        "sell": "outside", "gas_usd": 0.0, "flash_fee": 0.0, "per_step": 2, "congestion": elasticity,
    }  # fmt: skip
    many = {name: Account({"ETH": 3.0}, {"USD": 6_900.0}) for name in "abcd"}
    played = play(make_snapshot(many), make_scenario({"ETH": 0.9}, steps=1, liquidators=liquidators))
    assert len(played.record.liquidations) == expected


def test_the_default_elasticity_is_that_of_seven_days_on_ethereum() -> None:
    if not DATA.parent.exists():
        pytest.skip("../shared/data is not there")
    pandas = pytest.importorskip("pandas")
    gas = pandas.read_csv(DATA / "eth_gas_10min_stablesims_7days.csv")
    ether = pandas.read_csv(DATA / "eth_usd_10min_stablesims_7days.csv")
    bars = round(WINDOW_S / 600)
    falls, prices, deepest = [], [], 0.0
    for day, quotes in ether.groupby("feed"):
        fall = np.log(quotes["price_high"].rolling(bars, min_periods=1).max() / quotes["price_low"]).to_numpy()
        deepest = max(deepest, float(fall.max()))
        price = np.log(gas.loc[gas["feed"] == day, "60.0 Perc"]).to_numpy()
        falls.append(fall - fall.mean())
        prices.append(price - price.mean())
    x, y = np.concatenate(falls), np.concatenate(prices)
    assert len(falls) == 7
    assert Liquidators().congestion == pytest.approx(x @ y / (x @ x), abs=0.05)
    assert pytest.approx(np.exp(deepest), abs=0.005) == DEEPEST
