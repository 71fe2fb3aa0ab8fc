"""The liquidation wall: who stands at which price, in both directions, with pairs counted net and gross."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chain.errors import InputError
from protocols.oracles.kind import Part
from simulator.book import Book, Token, open_book, value
from simulator.scans.wall import LEVELS, Wall, moving, wall_of
from tests.protocols.lending_books import BOOKS
from tests.simulator.books import DAI, ETH, USD, Account, make_snapshot
from tests.simulator.command import strict_json, unwind
from tests.simulator.oracles.trees import MORE, RATE, WST, capped_rate, feed, with_trees

ACCOUNTS = {
    "long": Account({"ETH": 10.0}, {"USD": 20_000.0}),
    "short": Account({"USD": 50_000.0}, {"ETH": 11.0}),
    "pair": Account({"ETH": 10.0, "USD": 100.0}, {"ETH": 8.0}),
    "loop": Account({"wstETH": 10.0}, {"ETH": 9.9}),
    "mixed": Account({"ETH": 3.0, "BTC": 0.2}, {"USD": 9_000.0, "DAI": 4_000.0}),
    "under": Account({"ETH": 1.0}, {"DAI": 2_600.0}),
    "idle": Account({"BTC": 1.0}, {}),
}


@pytest.fixture(scope="module")
def book() -> Book:
    """Accounts with ether on either side, and wrapped staked ether that its oracle prices by ETH / USD."""
    snapshot = make_snapshot(ACCOUNTS, pools=(), assets=MORE)
    return open_book(with_trees(snapshot, {WST: capped_rate(feed(ETH), RATE, 1.5, WST.price_raw)}))


def rows(found: Wall, direction: str, pairs: str) -> pd.DataFrame:
    return found.levels.query("direction == @direction and pairs == @pairs").reset_index(drop=True)


def test_what_is_priced_by_a_token_moves_with_it(book: Book) -> None:
    assert wall_of(book, ["ETH"]).moving == {"pool": ["ETH", "wstETH"]}
    assert wall_of(book, ["wstETH"]).moving == {"pool": ["wstETH"]}
    assert wall_of(book, ["usd", DAI.address]).moving == {"pool": ["USD", "DAI"]}
    plain = open_book(make_snapshot(ACCOUNTS, pools=(), assets=MORE))
    assert (wall_of(plain, ["ETH"]).unread, wall_of(book, ["ETH"]).unread) == (["pool"], [])
    assert moving(plain, [0])[0].tolist() == [True, *[False] * 5], "without a tree nothing is known to follow"
    assert book.outside_usd.tolist() == plain.outside_usd.tolist()


def test_what_is_a_fixed_rate_to_the_unit_of_account_moves_with_it() -> None:
    market = BOOKS["morpho_blue"](3).market
    assert market.numeraire == 1
    tokens = [Token(address, symbol, 18) for address, symbol in zip(market.tokens, ("COL", "LOAN"), strict=True)]
    rate = Part("exchange rate", "0xf2", "", 18, 10**18)
    book = Book(tokens, [market], [], np.array([3_000.0, 2_500.0]), 0, [], {(market.name, market.tokens[0]): rate})
    assert moving(book, [1])[0].tolist() == [True, True]
    assert moving(book, [0])[0].tolist() == [True, False]


def test_an_account_stands_at_the_price_that_liquidates_it(book: Book) -> None:
    falls = rows(wall_of(book, ["ETH"]), "falls", "net")
    # the long account's price is 20,000 / 8.3, 17 % below today's
    critical = 20_000.0 * USD.price_usd / 8.3 / ETH.price_usd - 1.0
    assert -0.20 < critical < -0.15
    at = falls.set_index("move")
    assert at.loc[-0.20, "accounts"] == 1
    assert at.loc[-0.20, "collateral_usd"] == at.loc[-0.20, "moving_usd"] == pytest.approx(10 * ETH.price_usd, rel=1e-6)
    assert at.loc[-0.20, "debt_usd"] == pytest.approx(20_000 * USD.price_usd, rel=1e-6)
    assert at.loc[-0.20, "price_usd"] == pytest.approx(ETH.price_usd * 0.8)
    rises = rows(wall_of(book, ["ETH"]), "rises", "net").set_index("move")
    # 50,000 x 0.781 of dollars against 11 ether: 22 % above
    assert rises.loc[0.25, "accounts"] == 1
    assert rises.loc[0.25, "moving_usd"] == pytest.approx(11 * ETH.price_usd, rel=1e-6)


def test_pairs_are_in_the_gross_wall_only(book: Book) -> None:
    found = wall_of(book, ["ETH"])
    net, gross = (rows(found, "falls", pairs).iloc[-1] for pairs in ("net", "gross"))
    assert (net["cumulative_accounts"], gross["cumulative_accounts"]) == (2, 4)
    pairs_usd = 20.0 * 0.5 * ETH.price_usd + 100 * USD.price_usd + 10 * WST.price_usd
    assert gross["cumulative_collateral_usd"] - net["cumulative_collateral_usd"] == pytest.approx(pairs_usd, rel=1e-6)
    net, gross = (rows(found, "rises", pairs).iloc[-1] for pairs in ("net", "gross"))
    assert (net["cumulative_accounts"], gross["cumulative_accounts"]) == (1, 3)


def test_what_is_over_the_edge_today_is_no_part_of_the_wall(book: Book) -> None:
    found = wall_of(book, ["ETH"])
    (now,) = found.now.to_dict("records")
    assert (now["market"], now["accounts"]) == ("pool", 1)
    assert now["collateral_usd"] == pytest.approx(ETH.price_usd, rel=1e-6)
    assert now["debt_usd"] == pytest.approx(2_600 * DAI.price_usd, rel=1e-6)


@pytest.mark.parametrize("direction", LEVELS)
@pytest.mark.parametrize("pairs", ["net", "gross"])
def test_a_wall_is_the_sum_of_its_accounts(book: Book, direction: str, pairs: str) -> None:
    found = rows(wall_of(book, ["ETH"]), direction, pairs)
    exposures, prices = book.markets[0].exposures(), book.oracle_usd(0)
    today = value(exposures, prices)
    moves = moving(book, [0])[0]
    healthy = today.debt_usd <= today.limit_usd
    for (_, row), factor in zip(found.iterrows(), LEVELS[direction], strict=True):
        moved = prices * np.where(moves, factor, 1.0)
        limit_at = moved if pairs == "net" or direction == "falls" else prices
        debt_at = moved if pairs == "net" or direction == "rises" else prices
        over = healthy & (value(exposures, debt_at).debt_usd > value(exposures, limit_at).limit_usd)
        assert row["cumulative_accounts"] == over.sum()
        assert row["cumulative_collateral_usd"] == pytest.approx(today.collateral_usd[over].sum(), abs=1e-6)
        assert row["cumulative_debt_usd"] == pytest.approx(today.debt_usd[over].sum(), abs=1e-6)
    for name in ("accounts", "collateral_usd", "debt_usd", "moving_usd"):
        assert found[name].cumsum().to_numpy() == pytest.approx(found[f"cumulative_{name}"].to_numpy(), abs=1e-6)
        assert (found[name] >= 0.0).all()


def test_the_system_is_the_sum_of_its_markets_net_beside_gross(book: Book) -> None:
    found = wall_of(book, ["ETH"])
    table = found.system()
    assert table["move"].tolist() == [round(float(f) - 1.0, 4) for levels in LEVELS.values() for f in levels]
    falls = table[table["direction"] == "falls"]
    for prefix, pairs in (("cumulative", "net"), ("gross", "gross")):
        expected = rows(found, "falls", pairs)["cumulative_debt_usd"].tolist()
        assert falls[f"{prefix}_debt_usd"].tolist() == expected


def test_a_token_that_is_not_there_is_refused(book: Book) -> None:
    with pytest.raises(InputError, match="wall: the snapshot has no token DOGE"):
        wall_of(book, ["DOGE"])
    with pytest.raises(InputError, match="name at least one token"):
        wall_of(book, [])


def test_the_command_prints_the_wall_and_gives_it_as_json(tmp_path: Path) -> None:
    make_snapshot(ACCOUNTS, pools=(), assets=MORE).write(tmp_path / "book")
    found = strict_json(unwind("wall", "book", "--token", "ETH, wstETH", "--json", folder=tmp_path).stdout)
    assert (found["tokens"], found["moving"]) == (["ETH", "wstETH"], {"pool": ["ETH", "wstETH"]})
    assert len(found["levels"]) == 2 * sum(len(levels) for levels in LEVELS.values())
    assert {row["pairs"] for row in found["levels"]} == {"net", "gross"}
    done = unwind("wall", "book", "--token", "ETH", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("what moves is ETH; what its other prices follow was not read", "as ETH falls", "as ETH rises"):
        assert words in done.stdout
    done = unwind("wall", "book", "--token", ",", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "name at least one token" in done.stderr
