"""The few numbers at the top of every output are sums over the run's tables."""

from __future__ import annotations

import pytest

from simulator.run import Run, simulate
from simulator.summary import as_json, headline, reserves, shocks
from tests.simulator.books import ETH, make_scenario, make_snapshot
from tests.simulator.test_cascade import BOOK, FALL


@pytest.fixture(scope="module")
def run() -> Run:
    liquidators = {"gas_usd": 23.0, "flash_fee": 0.0009}
    return simulate(make_snapshot(BOOK), make_scenario(FALL, steps=7, liquidators=liquidators))


def test_the_headline_adds_up_what_liquidations_moved(run: Run) -> None:
    lines = {line.what: line.value for line in headline(run)}
    liquidations, swaps = run.frame("liquidations"), run.frame("swaps")
    assert lines["accounts with debt"] == len(BOOK)
    assert lines["accounts liquidated"] == liquidations["account"].nunique() > 5
    assert lines["liquidations"] == len(liquidations)
    for what, column in (
        ("debt repaid", "repaid_usd"),
        ("collateral to liquidators", "collateral_usd"),
        ("protocol fees", "protocol_fee_usd"),
        ("slippage", "slippage_usd"),
        ("flash loan fees", "flash_fee_usd"),
        ("gas", "gas_usd"),
        ("liquidators' profit", "profit_usd"),
    ):
        assert lines[what] == pytest.approx(liquidations[column].sum(), rel=1e-12)
    # the pools' fees of arbitrage are no liquidator's
    assert lines["of it pool fees"] == pytest.approx(swaps.query("liquidation >= 0")["fee_usd"].sum(), rel=1e-12)
    assert 0.0 < lines["of it pool fees"] < swaps["fee_usd"].sum()


def test_what_auctions_take_stands_there_where_there_are_auctions(run: Run) -> None:
    auction = {"auction": {"share": 0.25, "tokens": ["ETH", "BTC", "USD", "DAI"]}}
    shared = simulate(make_snapshot(BOOK), make_scenario({"ETH": 0.7}, oracles={"deviation": 0.0} | auction))
    lines = {line.what: line.value for line in headline(shared)}
    assert lines["auctions"] == pytest.approx(shared.total("auction_usd"), rel=1e-12)
    assert lines["auctions"] == pytest.approx(lines["liquidators' profit"] / 3, rel=1e-9)
    assert lines["auctions"] > 0
    assert "auctions" not in {line.what for line in headline(run)}


def test_bad_debt_stands_there_twice_and_is_that_of_the_last_step(run: Run) -> None:
    lines = {line.what: line.value for line in headline(run)}
    last = run.frame("steps").iloc[-1]
    assert lines["bad debt, realised"] == last["bad_debt_realised_usd"] > 0
    assert lines["bad debt, economic"] == last["bad_debt_economic_usd"] > 0


def test_each_line_has_a_unit_and_says_who_pays_what_is_lost(run: Run) -> None:
    lines = {line.what: line for line in headline(run)}
    assert all(line.unit for line in lines.values())
    assert all("paid by" in lines[what].note for what in ("slippage", "gas", "flash loan fees", "protocol fees"))


def test_a_shock_is_the_furthest_that_a_token_went_and_where_it_ended(run: Run) -> None:
    lines = {line.what: line for line in shocks(run)}
    assert set(lines) == {"BTC at its extreme", "ETH at its extreme"}
    assert lines["ETH at its extreme"].value == pytest.approx(-45.0, rel=1e-9)
    # BTC first falls by 19 % and then rises by 22 %
    assert lines["BTC at its extreme"].value == pytest.approx(22.0, rel=1e-9)
    assert f"from {ETH.price_usd:,.2f} USD" in lines["ETH at its extreme"].note
    assert "-38.0 % at the end" in lines["ETH at its extreme"].note


def test_reserves_are_listed_in_whole_tokens_where_something_happened(run: Run) -> None:
    rows = {row["token"]: row for row in reserves(run)}
    liquidations = run.frame("liquidations")
    sold = liquidations[liquidations["collateral"] == ETH.address]["received_raw"].sum()
    assert rows["ETH"]["collateral_sold"] == pytest.approx(sold / 1e18, rel=1e-12)
    quiet = simulate(make_snapshot(BOOK), make_scenario(steps=1))
    assert reserves(quiet) == []


def test_everything_is_there_as_json_values(run: Run) -> None:
    found = as_json(run)
    assert found["notes"] == run.notes
    assert found["snapshot"]["digest"] == make_snapshot(BOOK).digest
    assert [line["what"] for line in found["summary"]] == [line.what for line in [*shocks(run), *headline(run)]]
    assert found["reserves"] == reserves(run)
