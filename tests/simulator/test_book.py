"""A book puts every market and pool on one list of tokens, and values accounts at any prices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InputError
from chain.snapshot import ORACLES, Snapshot
from chain.tables import Table
from simulator.book import open_book, read, value
from tests.simulator.books import ASSETS, BTC, DAI, ETH, MARKET, START, USD, Account, make_snapshot
from tests.simulator.graph.toys import Claim, Coin, Toy, snapshot_of

MIXED = {
    "a": Account({"ETH": 10.0, "BTC": 0.7}, {"USD": 31_000.0, "DAI": 9_000.0}),
    "b": Account({"USD": 50_000.0}, {"ETH": 11.0}),
    "c": Account({"DAI": 7_000.0}, {}),
    "d": Account({}, {"BTC": 0.031}),
}


def with_oracles(snapshot: Snapshot, rows: list[dict[str, object]]) -> Snapshot:
    return replace(snapshot, tables=dict(snapshot.tables) | {"oracles": Table.from_rows(ORACLES, rows)})


def test_the_book_holds_what_the_snapshot_holds() -> None:
    book = open_book(make_snapshot(MIXED))
    assert [token.symbol for token in book.tokens] == ["ETH", "BTC", "USD", "DAI"]
    assert [token.decimals for token in book.tokens] == [18, 8, 6, 18]
    assert book.unit.tolist() == [1e18, 1e8, 1e6, 1e18]
    assert [market.name for market in book.markets] == [MARKET]
    assert book.markets[0].accounts == ("a", "b", "c", "d")
    assert len(book.venues) == 6
    assert book.timestamp == START


def test_outside_prices_start_at_what_the_oracles_say() -> None:
    book = open_book(make_snapshot(MIXED))
    assert book.outside_usd.tolist() == [2904.37, 60777.11, 0.99993, 1.00012]
    assert book.oracle_usd(0).tolist() == book.outside_usd.tolist()


def test_where_markets_disagree_the_outside_price_is_their_median() -> None:
    snapshot = make_snapshot(MIXED)
    rows = snapshot.tables["oracles"].rows()
    others = [
        rows[0] | {"market": f"m{n}", "price_raw": round(price * 10**6), "unit_raw": 10**6}
        for n, price in enumerate((2888.0, 2999.0, 2903.0, 2905.5))
    ]
    assert open_book(with_oracles(snapshot, rows + others)).outside_usd[0] == 2904.37


def test_an_oracle_without_an_answer_does_not_count() -> None:
    snapshot = make_snapshot(MIXED)
    rows = snapshot.tables["oracles"].rows()
    silent = rows[0] | {"market": "other", "price_raw": 0}
    assert open_book(with_oracles(snapshot, [*rows, silent])).outside_usd[0] == 2904.37


def test_a_token_that_nobody_prices_is_named() -> None:
    snapshot = make_snapshot(MIXED)
    rows = snapshot.tables["oracles"].rows()
    with pytest.raises(InputError, match=r"no oracle of the snapshot prices BTC \(0x22\)"):
        open_book(with_oracles(snapshot, [rows[0], *rows[2:]]))


def test_what_no_oracle_prices_is_worth_what_it_is_a_claim_on_or_what_the_dearest_claim_on_it_says() -> None:
    coins = [Coin("ETH", 2_000.0), Coin("stETH"), Coin("wstETH", 2_400.0), Coin("PT", 1_900.0), Coin("share", None, 8)]
    claims = [
        Claim("wstETH", "stETH", 1.25, 9.0, "0xw"),
        Claim("PT", "stETH", 1.0, 9.0, "0xp"),
        Claim("share", "stETH", 0.5, 9.0, "0xs"),
    ]
    book = open_book(snapshot_of(Toy(coins, claims)))
    worth = {token.symbol: price for token, price in zip(book.tokens, book.outside_usd, strict=True)}
    assert worth == {"ETH": 2_000.0, "stETH": 1_920.0, "wstETH": 2_400.0, "PT": 1_900.0, "share": 960.0}


def test_a_claim_on_what_lies_off_the_chain_has_no_price_of_its_own() -> None:
    with pytest.raises(InputError, match="USDX"):
        open_book(snapshot_of(Toy([Coin("ETH", 2_000.0), Coin("USDX")], [Claim("USDX", "", 1.0, 9.0, "0xi")])))


def test_a_token_goes_by_symbol_and_address_in_lower_case() -> None:
    assert open_book(make_snapshot(MIXED)).tokens[0].names == {"eth", "0xc0"}


def test_an_amount_in_smallest_units_is_worth_its_part_of_a_token() -> None:
    book = open_book(make_snapshot(MIXED))
    assert book.usd(1, 25_000_000) == pytest.approx(0.25 * 60777.11, rel=1e-15)


# --- values ---------------------------------------------------------------------------------------------------------


def test_an_account_is_worth_what_its_balances_are_worth() -> None:
    book = open_book(make_snapshot(MIXED))
    found = value(book.markets[0].exposures(), book.oracle_usd(0))
    eth, btc = 10.0 * ETH.price_usd, 0.7 * BTC.price_usd
    debt = 31_000.0 * USD.price_usd + 9_000.0 * DAI.price_usd
    assert found.collateral_usd[0] == pytest.approx(eth + btc, rel=1e-6)
    assert found.limit_usd[0] == pytest.approx(0.83 * eth + 0.78 * btc, rel=1e-6)
    assert found.capacity_usd[0] == pytest.approx(0.805 * eth + 0.73 * btc, rel=1e-6)
    assert found.recoverable_usd[0] == pytest.approx(eth / 1.05 + btc / 1.061, rel=1e-6)
    assert found.debt_usd[0] == pytest.approx(debt, rel=1e-6)
    assert found.health_factor[0] == pytest.approx((0.83 * eth + 0.78 * btc) / debt, rel=1e-6)
    assert found.current_ltv[0] == pytest.approx(debt / (eth + btc), rel=1e-6)
    assert found.maximum_ltv[0] == pytest.approx((0.805 * eth + 0.73 * btc) / (eth + btc), rel=1e-6)


def test_without_debt_health_is_infinite_and_without_collateral_all_debt_is_bad() -> None:
    book = open_book(make_snapshot(MIXED))
    found = value(book.markets[0].exposures(), book.oracle_usd(0))
    assert found.health_factor[2] == np.inf
    assert found.current_ltv[2] == found.bad_debt_usd[2] == 0.0
    assert found.health_factor[3] == 0.0
    assert found.current_ltv[3] == np.inf
    assert found.maximum_ltv[3] == 0.0
    assert found.bad_debt_usd[3] == found.debt_usd[3] == pytest.approx(0.031 * BTC.price_usd, rel=1e-6)


def test_bad_debt_is_what_collateral_less_the_bonus_does_not_cover() -> None:
    book = open_book(make_snapshot({"a": Account({"ETH": 10.0}, {"DAI": 20_000.0})}))
    exposures = book.markets[0].exposures()
    worth = 20_000.0 * DAI.price_usd
    for price in (2101.0, 2099.0, 1900.0, 600.0):
        prices = np.array([price, 1.0, 1.0, DAI.price_usd])
        expected = max(0.0, worth - 10.0 * price / 1.05)
        assert value(exposures, prices).bad_debt_usd[0] == pytest.approx(expected, rel=1e-6, abs=1e-3)


def test_what_can_never_be_collateral_counts_for_nothing() -> None:
    # such a reserve has neither a threshold nor a bonus
    gho = replace(DAI, ltv=0, threshold=0, bonus=0)
    accounts = {
        "a": Account({"ETH": 1.0, "DAI": 5_000.0}, {"USD": 2_000.0}),
        "b": Account({"ETH": 1.0}, {"DAI": 900.0}),
    }
    book = open_book(make_snapshot(accounts, assets=(*ASSETS[:3], gho)))
    found = value(book.markets[0].exposures(), book.oracle_usd(0))
    assert found.collateral_usd == pytest.approx([ETH.price_usd] * 2, rel=1e-9)
    assert found.recoverable_usd == pytest.approx([ETH.price_usd / 1.05] * 2, rel=1e-9)
    assert found.debt_usd[1] == pytest.approx(900.0 * DAI.price_usd, rel=1e-6)
    assert found.bad_debt_usd.tolist() == [0.0, 0.0]


@given(
    st.lists(
        st.tuples(st.floats(0.01, 1e3), st.floats(0.0, 20.0), st.floats(0.0, 3e6), st.floats(0.0, 3e6)), max_size=6
    )
)
def test_fast_values_are_those_of_the_contract(rows: list[tuple[float, float, float, float]]) -> None:
    accounts = {
        f"a{n}": Account({"ETH": eth, "BTC": btc}, {"USD": usd, "DAI": dai})
        for n, (eth, btc, usd, dai) in enumerate(rows)
    }
    book = open_book(make_snapshot(accounts, pools=()))
    found = value(book.markets[0].exposures(), book.oracle_usd(0))
    for row in range(len(rows)):
        exact = book.markets[0].account_data(row)  # type: ignore[attr-defined]
        # the contract rounds balances to whole units, down and up: 1e-8 BTC is worth 6e-4 USD, 1e-6 USD a millionth
        assert found.collateral_usd[row] == pytest.approx(exact.collateral / 1e8, rel=1e-9, abs=1e-3)
        assert found.debt_usd[row] == pytest.approx(exact.debt / 1e8, rel=1e-9, abs=3e-6)


def test_what_is_no_snapshot_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"it has no manifest\.json"):
        read(tmp_path)


def test_a_snapshot_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    snapshot, folder = make_snapshot(MIXED), tmp_path / "there"
    snapshot.write(folder)
    again = read(folder)
    assert again.tables == snapshot.tables
    assert again.digest == snapshot.digest
    assert again.markets == snapshot.markets
