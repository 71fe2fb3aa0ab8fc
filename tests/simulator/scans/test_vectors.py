"""A table of price vectors: a column a token, a row a vector, and what is not in it stays."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import unwind as front
from chain.errors import InputError
from simulator.book import open_book
from simulator.scans.vectors import read_vectors, vectors
from tests.simulator.books import BTC, DAI, ETH, USD, make_snapshot
from tests.simulator.command import strict_json, unwind
from tests.simulator.scans.test_sweep import BOOK


@pytest.fixture
def here(tmp_path: Path) -> Path:
    make_snapshot(BOOK, pools=()).write(tmp_path / "book")
    (tmp_path / "prices.csv").write_text(f"eth, {DAI.address}\n2904.37,1.00012\n1500,1.1\n9000,0.9\n")
    return tmp_path


def test_a_token_without_a_column_stays(here: Path) -> None:
    found = vectors(open_book(make_snapshot(BOOK)), read_vectors(here / "prices.csv"))
    assert found.tolist() == [
        [2904.37, BTC.price_usd, USD.price_usd, 1.00012],
        [1500.0, BTC.price_usd, USD.price_usd, 1.1],
        [9000.0, BTC.price_usd, USD.price_usd, 0.9],
    ]


def test_the_command_and_the_front_door_say_the_same(here: Path) -> None:
    rows = strict_json(unwind("sweep", "book", "--prices", "prices.csv", "--json", folder=here).stdout)
    assert [(row["scenario"], row["market"], row["liquidatable"]) for row in rows] == [
        (0, "pool", 0),
        (1, "pool", 2),
        (2, "pool", 1),
    ]
    assert front.sweep(here / "book", here / "prices.csv").frame().to_dict("records") == rows
    table = pd.read_csv(here / "prices.csv")
    table.to_parquet(here / "prices.parquet")
    assert front.sweep(str(here / "book"), str(here / "prices.parquet")).frame().to_dict("records") == rows
    assert front.sweep(here / "book", table).frame().to_dict("records") == rows
    done = unwind("sweep", "book", "--prices", "prices.csv", folder=here)
    assert (done.returncode, done.stderr) == (0, "")
    assert "the worst of them" in done.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ETH,DOGE\n1,2\n", "no token DOGE; it has btc, dai, eth, usd"),
        (f"ETH,{ETH.address}\n1,2\n", f"ETH and {ETH.address} are the same token"),
        ("ETH,BTC\n1,2\n3,cheap\n", "vector 2: the price of BTC is cheap, should be more than 0"),
        ("ETH\n1\n0\n", "vector 2: the price of ETH is 0, should be more than 0"),
        ("ETH,BTC\n1,\n", "vector 1: the price of BTC is nan, should be more than 0"),
        ("ETH\n", "there is no price vector"),
        ("", "cannot be read"),
        (None, "is not there"),
    ],
)
def test_a_table_that_is_wrong_says_where(here: Path, text: str | None, message: str) -> None:
    if text is not None:
        (here / "wrong.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        front.sweep(here / "book", here / "wrong.csv")


def test_bad_input_ends_the_command_with_status_2_and_one_message(here: Path) -> None:
    (here / "wrong.csv").write_text("DOGE\n1\n")
    done = unwind("sweep", "book", "--prices", "wrong.csv", folder=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("unwind: wrong.csv: the snapshot has no token DOGE")
