"""A snapshot can be made of a table of positions; each row that is wrong is named, with what is wrong in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InputError
from chain.snapshot import Snapshot
from protocols.lending.aave_v3.importer import LISTED, import_positions
from simulator.book import open_book, read, value

HEADER = "account,token,supplied,debt,price_usd,liquidation_threshold,liquidation_bonus,ltv,decimals"
ROWS = (
    "ann,ETH,12.5,0,2904.37,0.83,1.05,0.805,18",
    "ann,USD,0,17000.25,0.99993,0.781,1.045,,6",
    "bob,BTC,0.3125,0,60777.11,0.78,1.061,0.73,8",
    "bob,USD,250,9000,0.99993,0.781,1.045,,6",
    "cyd,BTC,7,0,60777.11,0.78,1.061,0.73,8",
)


def write(folder: Path, rows: Sequence[str] = ROWS, header: str = HEADER) -> Path:
    file = folder / "positions.csv"
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def imported(folder: Path, rows: Sequence[str] = ROWS, header: str = HEADER) -> Snapshot:
    return import_positions(write(folder, rows, header), timestamp=1_700_000_000)


def message(folder: Path, rows: Sequence[str], header: str = HEADER) -> str:
    with pytest.raises(InputError) as caught:
        imported(folder, rows, header)
    return str(caught.value)


# --- what it makes --------------------------------------------------------------------------------------------------


def test_balances_and_parameters_are_those_of_the_file(tmp_path: Path) -> None:
    book = open_book(imported(tmp_path))
    market = book.markets[0]
    assert market.accounts == ("ann", "bob")
    assert market.tokens == ("BTC", "ETH", "USD")
    assert book.oracle_usd(0).tolist() == [60777.11, 2904.37, 0.99993]
    exposures = market.exposures()
    assert exposures.reserve.tolist() == [1, 2, 0, 2]
    assert exposures.supplied.tolist() == pytest.approx([12.5, 0.0, 0.3125, 250.0], rel=1e-12)
    assert exposures.debt.tolist() == pytest.approx([0.0, 17000.25, 0.0, 9000.0], rel=1e-12)
    ann, bob = value(exposures, book.oracle_usd(0)).health_factor
    assert ann == pytest.approx(12.5 * 2904.37 * 0.83 / (17000.25 * 0.99993), rel=1e-9)
    assert bob == pytest.approx((0.3125 * 60777.11 * 0.78 + 250 * 0.99993 * 0.781) / (9000 * 0.99993), rel=1e-9)


def test_a_missing_ltv_is_the_threshold_and_other_gaps_have_their_defaults(tmp_path: Path) -> None:
    short = "account,token,supplied,debt,price_usd,liquidation_threshold"
    snapshot = imported(tmp_path, ["ann,ETH,12.5,0,2904.37,0.83", "ann,USD,0,17000,0.99993,0.781"], short)
    reserve = snapshot.tables["aave_v3.reserves"].rows()[0]
    assert (reserve["threshold_bps"], reserve["ltv_bps"], reserve["bonus_bps"]) == (8300, 8300, 10500)
    assert snapshot.tables["tokens"].ints("decimals") == [18, 18]


def test_amounts_are_kept_to_the_smallest_unit(tmp_path: Path) -> None:
    rows = ["ann,ETH,12345678901.123456789012345678,0,2904.37,0.83,1.05,0.8,18", "ann,USD,0,1,1,0,1,0,6"]
    snapshot = imported(tmp_path, rows)
    assert snapshot.tables["aave_v3.positions"].ints("supplied_scaled")[0] == 12345678901123456789012345678


@given(st.integers(0, 2**100), st.integers(0, 36))
def test_every_amount_that_fits_is_kept_exactly(
    tmp_path_factory: pytest.TempPathFactory, raw: int, decimals: int
) -> None:
    digits = str(raw).rjust(decimals + 1, "0")
    amount = f"{digits[: len(digits) - decimals]}.{digits[len(digits) - decimals :]}0"
    rows = [f"ann,ETH,{amount},0,2904.37,0.83,1.05,0.8,{decimals}", "ann,USD,0,1,1,0,1,0,6"]
    snapshot = imported(tmp_path_factory.mktemp("exact"), rows)
    assert snapshot.tables["aave_v3.positions"].ints("supplied_scaled")[0] == raw


def test_accounts_without_debt_only_add_to_what_is_supplied(tmp_path: Path) -> None:
    snapshot = imported(tmp_path)
    assert snapshot.tables["aave_v3.accounts"].texts("account") == ["ann", "bob"]
    btc = snapshot.tables["aave_v3.reserves"].rows()[0]
    assert btc["supply_scaled"] == btc["liquidity_raw"] == 731_250_000


def test_a_threshold_of_zero_is_never_collateral(tmp_path: Path) -> None:
    rows = ["ann,ETH,1,0,3000,0.8,1.05,,18", "ann,ODD,100000,0,1,0,1.2,,18", "ann,USD,0,2500,1,0.8,1.05,,6"]
    book = open_book(imported(tmp_path, rows))
    offers = book.markets[0].offers(0)
    assert {book.markets[0].tokens[offer.collateral] for offer in offers} == {"ETH"}
    assert value(book.markets[0].exposures(), book.oracle_usd(0)).collateral_usd.tolist() == pytest.approx([3000.0])


def test_parquet_and_csv_give_the_same_snapshot(tmp_path: Path) -> None:
    table = pd.read_csv(write(tmp_path)).drop(columns="ltv")
    table.to_parquet(tmp_path / "positions.parquet")
    table.to_csv(tmp_path / "again.csv", index=False)
    columns, text = (import_positions(tmp_path / name) for name in ("positions.parquet", "again.csv"))
    assert columns.tables == text.tables


def test_the_order_of_rows_and_columns_does_not_matter(tmp_path: Path) -> None:
    turned = [",".join(reversed(row.split(","))) for row in reversed(ROWS)]
    (tmp_path / "turned").mkdir()
    other = imported(tmp_path / "turned", turned, ",".join(reversed(HEADER.split(","))))
    assert other.digest == imported(tmp_path).digest


def test_it_says_that_it_was_imported_and_under_which_rules(tmp_path: Path) -> None:
    snapshot = imported(tmp_path)
    assert snapshot.origin == "import"
    assert "Imported positions under the rules of Aave v3.6" in snapshot.notes[0]
    assert snapshot.timestamp == 1_700_000_000


def test_it_survives_the_disk(tmp_path: Path) -> None:
    snapshot = imported(tmp_path)
    snapshot.write(tmp_path / "snapshot")
    assert read(tmp_path / "snapshot").digest == snapshot.digest


def test_spaces_a_byte_order_mark_and_blank_lines_do_no_harm(tmp_path: Path) -> None:
    clean = imported(tmp_path)
    rows = [row.replace(",", " , ") for row in ROWS]
    (tmp_path / "positions.csv").write_text("\ufeff" + "\n".join([HEADER, "", *rows, "", ""]), encoding="utf-8")
    assert import_positions(tmp_path / "positions.csv", timestamp=1_700_000_000).digest == clean.digest


# --- what it refuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (",ETH,1,0,3000,0.8,1.05,,18", "account is empty"),
        ("x,,1,0,3000,0.8,1.05,,18", "token is empty"),
        ("x,ETH,-1,0,3000,0.8,1.05,,18", "supplied is '-1', should be 0 or more"),
        ("x,ETH,nan,0,3000,0.8,1.05,,18", "supplied is 'nan'"),
        ("x,ETH,inf,0,3000,0.8,1.05,,18", "supplied is 'inf'"),
        ("x,ETH,1,,3000,0.8,1.05,,18", "debt is ''"),
        ("x,ETH,1,two,3000,0.8,1.05,,18", "debt is 'two'"),
        ("x,ETH,1,1e40,3000,0.8,1.05,,18", "debt is '1e40'"),
        ("x,ETH,1,0,0,0.8,1.05,,18", "price_usd is '0', should be more than 0"),
        ("x,ETH,1,0,1e-9,0.8,1.05,,18", "price_usd is 1e-9, below the smallest price of 1e-8"),
        ("x,ETH,1,0,$3000,0.8,1.05,,18", "price_usd is '$3000'"),
        ("x,ETH,1,0,3000,83,1.05,,18", "liquidation_threshold is '83', should be a share from 0 to below 1"),
        ("x,ETH,1,0,3000,0.8,0.05,,18", "liquidation_bonus is '0.05', should be 1 or more, such as 1.05"),
        ("x,ETH,1,0,3000,0.8,1.05,0.9,18", "ltv is '0.9', should be 0 to liquidation_threshold"),
        ("x,ETH,1,0,3000,0.8,1.05,,18.5", "decimals is '18.5', should be a whole number from 0 to 36"),
        ("x,ETH,1,0,3000,0.8,1.05,,37", "decimals is '37'"),
        ("x,ETH,1,0,3000,0.8,1.05,,18,9", "more cells than the header"),
        ("x,ETH,1,0,3000", "liquidation_threshold is ''"),
        ("ann,USD,1,0,0.99993,0.781,1.045,,6", "ann has USD in row 3 already"),
        ("x,USD,1,0,0.99994,0.781,1.045,,6", "USD has other parameters than in row 3"),
    ],
)
def test_a_bad_row_is_named_with_its_column(tmp_path: Path, row: str, said: str) -> None:
    found = message(tmp_path, [*ROWS[:3], row, *ROWS[3:]])
    assert f"{tmp_path / 'positions.csv'}: 1 bad row" in found
    assert "row 5: " in found
    assert said in found


def test_every_bad_row_is_named_with_everything_that_is_wrong_in_it(tmp_path: Path) -> None:
    found = message(tmp_path, [ROWS[0], "x,ETH,-1,0,cheap,0.83,1.05,0.805,18", ROWS[1], "y,ETH,1,0,2904.37,2,1.05,,18"])
    lines = found.splitlines()
    assert lines[0].endswith("2 bad rows")
    assert lines[1].startswith("row 3: supplied is '-1'")
    assert "price_usd is 'cheap'" in lines[1]
    assert lines[2].startswith("row 5: liquidation_threshold is '2'")
    assert len(lines) == 3


def test_a_long_list_of_bad_rows_is_cut_and_counted(tmp_path: Path) -> None:
    found = message(tmp_path, [f"x{n},ETH,-1,0,3000,0.8,1.05,,18" for n in range(LISTED + 7)])
    assert f"{LISTED + 7} bad rows" in found
    assert found.splitlines()[-1] == "… and 7 more"
    assert len(found.splitlines()) == LISTED + 2


def test_rows_are_counted_as_an_editor_counts_lines(tmp_path: Path) -> None:
    assert "row 6: debt is '-5'" in message(tmp_path, [ROWS[0], "", "", "", "x,ETH,1,-5,2904.37,0.83,1.05,0.805,18"])


@pytest.mark.parametrize("missing", ["account", "price_usd", "liquidation_threshold"])
def test_a_missing_column_is_named(tmp_path: Path, missing: str) -> None:
    names = HEADER.split(",")
    at = names.index(missing)
    rows = [",".join(cell for n, cell in enumerate(row.split(",")) if n != at) for row in ROWS]
    found = message(tmp_path, rows, ",".join(name for name in names if name != missing))
    assert f"has no column {missing}" in found


def test_an_unknown_column_is_named(tmp_path: Path) -> None:
    assert "column colour is not known" in message(tmp_path, [row + ",red" for row in ROWS], HEADER + ",colour")


def test_a_column_that_stands_twice_is_named(tmp_path: Path) -> None:
    assert "debt" in message(tmp_path, [row + ",1" for row in ROWS], HEADER + ",debt")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", None, "is not there"),
        ("empty.csv", b"", ""),
        ("header.csv", HEADER.encode() + b"\n", "has no rows"),
        ("latin.csv", HEADER.encode() + b"\nJos\xe9,ETH,1,0,3000,0.8,1.05,,18\n", "cannot be read"),
        ("binary.csv", b"\x00\x01\x02\n\x00", ""),
        ("none.parquet", None, "is not there"),
        ("torn.parquet", b"PAR1 and then nothing", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        import_positions(file)
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_a_truncated_parquet_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "positions.parquet"
    pd.read_csv(write(tmp_path)).to_parquet(file)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"positions\.parquet cannot be read"):
        import_positions(file)


def test_an_empty_cell_of_a_parquet_file_is_named(tmp_path: Path) -> None:
    table = pd.read_csv(write(tmp_path)).drop(columns="ltv")
    table.loc[2, "debt"] = None
    table.to_parquet(tmp_path / "positions.parquet")
    with pytest.raises(InputError, match=r"row 3: debt is '(nan)?'"):
        import_positions(tmp_path / "positions.parquet")
