"""What `unwind oracles` says of a feed is what the snapshot holds of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chain.snapshot import Snapshot
from protocols.oracles.kind import Part
from simulator.book import open_book
from simulator.oracles.listing import feeds, lines, pool_prices
from simulator.run import published
from tests.simulator.books import BTC, DAI, ETH, POOLS, USD, Account, Pool, make_snapshot, pool_name
from tests.simulator.command import strict_json, unwind
from tests.simulator.oracles.trees import MORE, RATE, WST, capped_rate, feed, price_cap, with_trees

BOOK = {"a": Account({"ETH": 1.0}, {"USD": 5.0})}
TREES = {
    ETH: feed(ETH, "ETH / USD", deviation_ppm=5000, heartbeat_s=3600, low_raw=10**8, fallback_s=36),
    WST: capped_rate(feed(ETH, "ETH / USD"), RATE, 1.1938, round(WST.price_raw * 1.1938 / RATE)),
    DAI: price_cap(feed(DAI, "DAI / USD"), 1.04),
    USD: Part("fixed price", "0xf7", "Constant price feed", 8, USD.price_raw),
}


def said(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    book = open_book(snapshot)
    return {row["token"]: row for row in feeds(book, published(snapshot, book))}


@pytest.fixture
def rows() -> dict[str, dict[str, Any]]:
    return said(with_trees(make_snapshot(BOOK, assets=MORE), TREES))


def test_every_feed_is_listed_with_its_price_and_age(rows: dict[str, dict[str, Any]]) -> None:
    assert rows.keys() == {asset.symbol for asset in MORE}
    assert rows["ETH"]["price"] == ETH.price_usd
    assert rows["ETH"]["age_s"] == 61
    assert rows["BTC"]["tree"] is None


def test_a_feed_tells_when_it_speaks_where_it_is_silent_and_what_it_watches(rows: dict[str, dict[str, Any]]) -> None:
    tree = rows["ETH"]["tree"]
    assert (tree["deviation"], tree["heartbeat_s"], tree["auctioned"]) == (0.005, 3600, True)
    assert (tree["low"], tree["high"]) == (1.0, None)
    assert tree["low_away"] == pytest.approx(1 / ETH.price_usd - 1)
    assert tree["watches"] == "ETH in USD"
    assert rows["wstETH"]["tree"]["children"][0]["watches"] == "ETH in USD"


def test_headroom_is_what_is_left_to_the_cap(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["DAI"]["tree"]["headroom"] == pytest.approx(1.04 / DAI.price_usd - 1)
    assert rows["wstETH"]["tree"]["headroom"] == pytest.approx(-0.0285, abs=1e-4)
    assert rows["ETH"]["tree"]["headroom"] is None
    assert any("it binds" in line for line in lines(rows["wstETH"]["tree"]))


def test_the_gap_is_that_to_the_deepest_pool(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["ETH"]["gap"] == pytest.approx(0.0, abs=1e-5)
    assert rows["wstETH"]["market_usd"] is rows["wstETH"]["gap"] is None
    # a small pool at another price does not count beside a deep one
    book = open_book(make_snapshot(BOOK, (*POOLS, Pool("DAI", "USD", 1.0e6))))
    (small,) = (venue for venue in book.venues if venue.name == pool_name(len(POOLS)))
    small.swap(0, 1, 3 * 10**23)
    assert small.price(0, 1) * 10**12 < 0.8
    assert pool_prices(book)[book.token_row[DAI.address]] == pytest.approx(DAI.price_usd, rel=1e-4)


def test_a_feed_that_quotes_what_is_not_there_says_that_it_follows_the_token() -> None:
    tree = said(with_trees(make_snapshot(BOOK), {BTC: feed(BTC, "tBTC / USD")}))["BTC"]["tree"]
    assert tree["watches"] == "BTC in USD, as what it quotes is no token of the snapshot"


def test_the_command_prints_every_tree_and_gives_it_as_json(tmp_path: Path) -> None:
    with_trees(make_snapshot(BOOK, assets=MORE), TREES).write(tmp_path / "book")
    done = unwind("oracles", "book", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        f"wstETH  {WST.price_raw / 10**8:.10g} USD",
        "capped rate 'Capped wstETH / USD'",
        "cap: -2.85% away, it binds",
        "base: Chainlink feed 'ETH / USD'",
        "rate: exchange rate",
        "speaks on a move of 0.50%, at the latest after 3,600 s",
        "silent below 1 (",
        "not looked into",
        "it is never believed",
    ):
        assert words in done.stdout, words
    listed = strict_json(unwind("oracles", "book", "--json", folder=tmp_path).stdout)
    assert {row["token"]: row["tree"] and row["tree"]["kind"] for row in listed} == {
        "ETH": "Chainlink feed",
        "wstETH": "capped rate",
        "DAI": "price cap",
        "USD": "fixed price",
        "BTC": None,
        "PT-DAI": None,
    }
    assert unwind("oracles", "nowhere", folder=tmp_path).returncode == 2
