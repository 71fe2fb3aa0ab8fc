"""What is in a book: totals, and for the accounts near the edge the prices that take them over it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simulator.book import Book, open_book, value
from simulator.info import riskiest, totals
from simulator.scans.critical import critical_prices
from tests.simulator.books import BTC, DAI, ETH, USD, Account, make_snapshot

WAD = 10**18
BOOK = {
    "long": Account({"ETH": 10.0}, {"USD": 20_000.0}),
    "short": Account({"USD": 50_000.0}, {"ETH": 11.0}),
    "mixed": Account({"ETH": 3.0, "BTC": 0.2}, {"USD": 9_000.0, "DAI": 5_000.0}),
    "same": Account({"USD": 1_000.0}, {"USD": 500.0}),
    "tight": Account({"BTC": 1.0}, {"DAI": 47_000.0}),
}


def book_of(accounts: dict[str, Account]) -> Book:
    return open_book(make_snapshot(accounts, pools=()))


def critical(book: Book, account: int) -> dict[int, float]:
    exposures, prices = book.markets[0].exposures(), book.oracle_usd(0)
    found = critical_prices(exposures, prices)[account]
    return {int(reserve): float(found[reserve]) for reserve in np.flatnonzero(np.isfinite(found))}


def test_totals_are_sums_over_the_accounts_with_debt() -> None:
    table = totals(book_of(BOOK)).set_index("token")
    assert table.loc["ETH", "supplied"] == pytest.approx(13.0, rel=1e-9)
    assert table.loc["ETH", "collateral_usd"] == pytest.approx(13.0 * ETH.price_usd, rel=1e-9)
    assert table.loc["ETH", "debt"] == pytest.approx(11.0, rel=1e-9)
    assert table.loc["USD", "supplied"] == pytest.approx(51_000.0, rel=1e-9)
    assert table.loc["USD", "debt_usd"] == pytest.approx(29_500.0 * USD.price_usd, rel=1e-9)
    assert table.loc["DAI", "debt"] == pytest.approx(52_000.0, rel=1e-9)
    assert table.loc["BTC", "oracle_usd"] == BTC.price_usd


def test_the_riskiest_accounts_come_first_and_no_more_than_asked_for() -> None:
    table = riskiest(book_of(BOOK), 3)
    health = dict(zip(table["account"], table["health_factor"], strict=True))
    assert list(health) == ["tight", "mixed", "long"]
    assert list(health.values()) == sorted(health.values())
    assert len(riskiest(book_of(BOOK), 0)) == 0


def test_a_collateral_falls_to_its_price_and_a_debt_rises_to_it() -> None:
    table = riskiest(book_of(BOOK), 5).set_index(["account", "token"])
    falls, rises = table.loc[("long", "ETH")], table.loc[("long", "USD")]
    assert falls["side"] == "falls to"
    assert falls["liquidation_price_usd"] == pytest.approx(20_000.0 * USD.price_usd / 8.3, rel=1e-9)
    assert falls["move"] == pytest.approx(20_000.0 * USD.price_usd / 8.3 / ETH.price_usd - 1.0, rel=1e-9)
    assert rises["side"] == "rises to"
    assert rises["liquidation_price_usd"] == pytest.approx(8.3 * ETH.price_usd / 20_000.0, rel=1e-9)
    assert table.loc[("short", "ETH"), "side"] == "rises to"
    assert table.loc[("short", "USD"), "side"] == "falls to"


def test_an_account_has_a_price_for_each_of_its_collaterals_and_debts() -> None:
    table = riskiest(book_of(BOOK), 5)
    assert set(table[table["account"] == "mixed"]["token"]) == {"ETH", "BTC", "USD", "DAI"}


def test_an_account_that_no_single_price_can_liquidate_is_listed_without_one() -> None:
    table = riskiest(book_of(BOOK), 5).set_index("account")
    assert table.loc["same", "token"] == ""
    assert np.isnan(table.loc["same", "liquidation_price_usd"])
    assert table.loc["same", "current_ltv"] == pytest.approx(0.5, rel=1e-6)


def test_a_collateral_that_another_makes_up_for_has_no_price() -> None:
    # 40 ETH alone carry the debt: no price of BTC above zero does it
    book = book_of({"a": Account({"ETH": 40.0, "BTC": 0.5}, {"DAI": 60_000.0})})
    assert set(critical(book, 0)) == {0, 3}


def test_current_and_maximum_ltv_are_those_of_the_account() -> None:
    row = riskiest(book_of(BOOK), 5).set_index(["account", "token"]).loc[("tight", "BTC")]
    assert row["current_ltv"] == pytest.approx(47_000.0 * DAI.price_usd / BTC.price_usd, rel=1e-6)
    assert row["maximum_ltv"] == pytest.approx(0.73, rel=1e-9)
    assert row["collateral_usd"] == pytest.approx(BTC.price_usd, rel=1e-6)
    assert row["debt_usd"] == pytest.approx(47_000.0 * DAI.price_usd, rel=1e-6)


@given(
    eth=st.floats(1.0, 1e4),
    btc=st.floats(0.0, 100.0),
    own=st.floats(0.0, 0.4),
    used=st.floats(0.2, 0.98),
    part=st.floats(0.05, 0.95),
)
def test_at_its_critical_price_an_account_stands_at_one_and_beyond_it_can_be_liquidated(
    eth: float, btc: float, own: float, used: float, part: float
) -> None:
    assume(btc == 0.0 or btc > 1e-3)
    limit = eth * ETH.price_usd * 0.83 + btc * BTC.price_usd * 0.78
    # part of the debt is in ETH itself, so that one price moves both sides
    debt = {
        "ETH": own * eth,
        "USD": (limit * used - own * eth * ETH.price_usd) * part,
        "DAI": (limit * used - own * eth * ETH.price_usd) * (1 - part),
    }
    assume(debt["USD"] > 1.0 and debt["DAI"] > 1.0)
    book = book_of({"a": Account({"ETH": eth, "BTC": btc}, debt)})
    market = book.markets[0]
    exposures, prices = market.exposures(), book.oracle_usd(0)
    for reserve, price in critical(book, 0).items():
        at = prices.copy()
        at[reserve] = price
        assert value(exposures, at).health_factor[0] == pytest.approx(1.0, abs=1e-9)
        believed = market.price_raw(reserve)
        # the oracle knows prices to 1e-8 USD, and where the token is but little of the account a step of its price
        # moves the account by less than that
        if price < 0.02 * prices[reserve]:
            continue
        beyond = 1.0 - 1e-6 if price < prices[reserve] else 1.0 + 1e-6
        market.set_price(reserve, round(price * beyond * 1e8))
        assert market.health_raw(0) < WAD
        market.set_price(reserve, round(price / beyond * 1e8))
        assert market.health_raw(0) >= WAD
        market.set_price(reserve, believed)


def test_the_contract_stands_at_one_at_the_critical_price() -> None:
    book = book_of(BOOK)
    market = book.markets[0]
    for account in range(len(market.accounts)):
        for reserve, price in critical(book, account).items():
            believed = market.price_raw(reserve)
            market.set_price(reserve, round(price * 1e8))
            # balances of BTC are whole units of 1e-8, as are prices of about a dollar
            assert market.health_raw(account) / WAD == pytest.approx(1.0, abs=1e-7)
            market.set_price(reserve, believed)
