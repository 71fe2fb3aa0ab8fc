"""A run is tables on disk: the same for the same input, whole or not there, and its sums agree with each other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chain.errors import InputError
from chain.tables import Folder
from simulator.run import SCHEMAS, Run, read_run, simulate
from tests.simulator.books import Account, make_scenario, make_snapshot
from tests.simulator.command import files
from tests.simulator.test_cascade import BOOK, FALL

SCENARIO = make_scenario(
    FALL,
    steps=7,
    seed=11,
    notes=["a note of the scenario"],
    liquidators={"gas_usd": 23.0, "flash_fee": 0.0009},
    venues={"impact": 0.2},
)


@pytest.fixture(scope="module")
def run() -> Run:
    return simulate(make_snapshot(BOOK), SCENARIO)


def digest(run: Run) -> str:
    return Folder("run", run.facts, run.tables).digest


# --- the same input, the same bytes ---------------------------------------------------------------------------------


def test_a_run_comes_back_from_disk_as_it_was(run: Run, tmp_path: Path) -> None:
    run.write(tmp_path / "run")
    again = read_run(tmp_path / "run")
    assert again.tables == run.tables
    assert again.facts == json.loads(json.dumps(run.facts))
    assert again.scenario == SCENARIO
    again.write(tmp_path / "again")
    assert files(tmp_path / "again") == files(tmp_path / "run")


def test_the_same_run_gives_the_same_bytes_whatever_the_number_of_threads(run: Run) -> None:
    assert {digest(simulate(make_snapshot(BOOK), SCENARIO, workers=workers)) for workers in (None, 1, 2)} == {
        digest(run)
    }


def test_another_scenario_book_or_seed_is_another_run(run: Run) -> None:
    others = [
        simulate(make_snapshot(BOOK), SCENARIO.model_copy(update={"seed": 12})),
        simulate(make_snapshot(BOOK), make_scenario(FALL, steps=6)),
        simulate(make_snapshot(BOOK | {"z": Account({"ETH": 1.0}, {"USD": 5.0})}), SCENARIO),
    ]
    assert len({digest(run), *map(digest, others)}) == 4


# --- what it says about itself --------------------------------------------------------------------------------------


def test_the_manifest_names_what_went_in(run: Run) -> None:
    assert run.facts["snapshot"]["digest"] == make_snapshot(BOOK).digest
    assert run.facts["scenario_digest"] == SCENARIO.digest
    assert run.facts["seed"] == 11
    assert set(run.facts["versions"]) >= {"unwind"}
    assert run.notes == ["made by hand", "a note of the scenario"]


def test_rules_that_nothing_was_compared_with_are_named_in_the_notes() -> None:
    notes = simulate(make_snapshot(BOOK, version="3.5"), make_scenario(steps=1)).notes
    assert any("unverified" in note and "3.5" in note for note in notes)


def test_every_column_says_what_it_means() -> None:
    for schema in SCHEMAS.values():
        assert all(column.meaning for column in schema.columns)
        assert set(schema.key) <= {column.name for column in schema.columns}


def test_tables_are_frames_with_exact_integers(run: Run) -> None:
    frame = run.frame("liquidations")
    assert frame["repaid_raw"].map(type).eq(int).all()
    assert frame["repaid_raw"].sum() == sum(run.tables["liquidations"].ints("repaid_raw"))
    assert frame["profit_usd"].dtype == np.float64
    assert run.total("profit_usd") == pytest.approx(frame["profit_usd"].sum(), rel=1e-12)


# --- sums -----------------------------------------------------------------------------------------------------------


def test_there_is_a_price_of_every_reserve_in_every_step(run: Run) -> None:
    prices = run.frame("prices")
    assert len(prices) == 7 * 4
    assert prices.groupby("step")["token"].nunique().eq(4).all()


def test_economic_bad_debt_of_reserves_adds_up_to_that_of_accounts_and_of_the_last_step(run: Run) -> None:
    by_account = run.frame("accounts")["bad_debt_economic_usd"].sum()
    assert by_account > 0
    assert run.frame("reserves")["bad_debt_economic_usd"].sum() == pytest.approx(by_account, rel=1e-9)
    assert run.frame("steps")["bad_debt_economic_usd"].iloc[-1] == pytest.approx(by_account, rel=1e-9)


def test_realised_bad_debt_of_reserves_is_their_deficits_and_that_of_the_last_step(run: Run) -> None:
    reserves, deficits = run.frame("reserves"), run.frame("deficits")
    booked = deficits.groupby("token")["amount_raw"].sum().to_dict()
    assert booked
    for row in reserves.to_dict("records"):
        assert row["deficit_after_raw"] - row["deficit_before_raw"] == booked.get(row["token"], 0)
    assert reserves["bad_debt_realised_usd"].sum() == pytest.approx(
        run.frame("steps")["bad_debt_realised_usd"].iloc[-1], rel=1e-12
    )


def test_realised_bad_debt_of_accounts_is_their_deficits(run: Run) -> None:
    expected = run.frame("deficits").groupby("account")["amount_usd"].sum().to_dict()
    for row in run.frame("accounts").to_dict("records"):
        assert row["bad_debt_realised_usd"] == pytest.approx(expected.get(row["account"], 0.0), rel=1e-12)


def test_a_deficit_of_before_is_not_counted_again() -> None:
    snapshot = make_snapshot(BOOK)
    name = "aave_v3.reserves"
    rows = [row | {"deficit_raw": 7_000_000_007 * (n + 1)} for n, row in enumerate(snapshot.tables[name].rows())]
    table = type(snapshot.tables[name]).from_rows(snapshot.tables[name].schema, rows)
    quiet = simulate(replace(snapshot, tables=dict(snapshot.tables) | {name: table}), make_scenario(steps=1))
    assert quiet.frame("reserves")["deficit_before_raw"].tolist() == [7_000_000_007 * n for n in (1, 2, 3, 4)]
    assert quiet.frame("reserves")["bad_debt_realised_usd"].tolist() == [0.0] * 4
    assert quiet.frame("steps")["bad_debt_realised_usd"].tolist() == [0.0]


def test_what_reserves_sold_and_got_back_is_what_liquidations_moved(run: Run) -> None:
    liquidations = run.frame("liquidations")
    sold = liquidations.groupby("collateral")["received_raw"].sum().to_dict()
    repaid = liquidations.groupby("debt")["repaid_raw"].sum().to_dict()
    for row in run.frame("reserves").to_dict("records"):
        assert row["sold_raw"] == sold.get(row["token"], 0)
        assert row["repaid_raw"] == repaid.get(row["token"], 0)
    assert len(sold) >= 3
    assert len(repaid) >= 3


def test_an_accounts_line_is_the_sum_of_its_liquidations(run: Run) -> None:
    liquidations = run.frame("liquidations").groupby("account")
    counts, repaid = liquidations.size().to_dict(), liquidations["repaid_usd"].sum().to_dict()
    for row in run.frame("accounts").to_dict("records"):
        assert row["liquidations"] == counts.get(row["account"], 0)
        assert row["repaid_usd"] == pytest.approx(repaid.get(row["account"], 0.0), rel=1e-12)


def test_an_account_that_nobody_touched_changes_by_prices_alone(run: Run) -> None:
    row = run.frame("accounts").set_index("account").loc["k"]
    assert row["liquidations"] == 0
    assert row["debt_after_usd"] == pytest.approx(row["debt_before_usd"], rel=0.02)
    last = run.frame("prices").query("step == 7 and token == '0xc0'")["outside_usd"].iloc[0]
    assert row["collateral_after_usd"] == pytest.approx(33.0 * last, rel=1e-9)


# --- bad input ------------------------------------------------------------------------------------------------------


def test_collateral_that_cannot_be_sold_anywhere_is_said_before_the_run() -> None:
    snapshot = make_snapshot(BOOK, pools=())
    with pytest.raises(InputError, match=r"no pools .* liquidators\.sell = 'outside'"):
        simulate(snapshot, SCENARIO)
    outside = make_scenario(FALL, liquidators={"sell": "outside", "outside_haircut": 0.01})
    assert len(simulate(snapshot, outside).tables["liquidations"]) > 0


@pytest.fixture
def written(run: Run, tmp_path: Path) -> Path:
    run.write(tmp_path / "run")
    return tmp_path / "run"


def rehash(folder: Path, name: str) -> None:
    """Make the manifest agree with a file that was changed."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_run(folder)
    return str(caught.value)


def test_a_file_that_is_not_what_the_manifest_says_is_named(written: Path) -> None:
    file = written / "swaps.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert refused(written).startswith(f"{file} is not what manifest.json says it is")


def test_a_truncated_file_is_named_even_if_the_manifest_agrees_with_it(written: Path) -> None:
    file = written / "swaps.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    rehash(written, "swaps.parquet")
    assert refused(written).startswith(f"{file} is not a readable Parquet file")


def test_a_file_that_is_gone_is_named(written: Path) -> None:
    (written / "swaps.parquet").unlink()
    assert refused(written).startswith(f"{written / 'swaps.parquet'} cannot be read")


@pytest.mark.parametrize("gone", ["swaps", "reserves"])
def test_a_table_that_is_not_listed_is_named(written: Path, gone: str) -> None:
    manifest = json.loads((written / "manifest.json").read_text())
    del manifest["files"][f"{gone}.parquet"]
    (written / "manifest.json").write_text(json.dumps(manifest))
    assert gone in refused(written)


@pytest.mark.parametrize("fact", ["scenario", "snapshot", "symbols", "notes", "seed", "versions", "scenario_digest"])
def test_a_manifest_without_a_fact_is_named(written: Path, fact: str) -> None:
    manifest = json.loads((written / "manifest.json").read_text())
    del manifest[fact]
    (written / "manifest.json").write_text(json.dumps(manifest))
    said = refused(written)
    assert "manifest.json" in said
    assert fact in said


def test_a_snapshot_is_not_a_run(tmp_path: Path) -> None:
    make_snapshot(BOOK).write(tmp_path / "book")
    assert "is a snapshot, not a run" in refused(tmp_path / "book")


def test_a_run_is_not_written_over_another(run: Run, written: Path) -> None:
    before = files(written.parent)
    with pytest.raises(InputError, match="is already there"):
        run.write(written)
    assert files(written.parent) == before
