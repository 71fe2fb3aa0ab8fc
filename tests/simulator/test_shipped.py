"""The crash that ships: the same to the byte wherever it is run, and open about its book being a sample."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from chain.tables import MANIFEST
from fixtures import sample_book
from simulator.book import read
from simulator.run import SCHEMAS
from simulator.scenario import load_scenario, shipped_folder
from tests.simulator.command import PYTHON, files, program, strict_json, unwind

# the crash is run once for all tests here: keep them on one worker

SAMPLE = "The book is a seeded sample shaped by published totals and parameters, not the accounts of that block"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the run `one` of the shipped scenario, and what the command printed in `one.txt`."""
    folder = tmp_path_factory.mktemp("shipped")
    done = program("replay", "2024-08-05", "--out", "one", "--workers", "1", folder=folder, PYTHONHASHSEED="1")
    assert (done.returncode, done.stderr) == (0, "")
    (folder / "one.txt").write_text(done.stdout, encoding="utf-8")
    return folder


def test_the_sample_book_can_be_made_again_byte_for_byte(tmp_path: Path) -> None:
    done = program("made", folder=tmp_path, start=[*PYTHON, "-m", "fixtures.sample_book"])
    assert (done.returncode, done.stderr) == (0, "")
    assert files(tmp_path / "made") == files(shipped_folder() / "snapshots" / "2024-08-05")


def test_the_shipped_book_is_what_its_scenario_is_run_on() -> None:
    snapshot = read(shipped_folder() / "snapshots" / "2024-08-05")
    scenario = load_scenario("2024-08-05")
    assert snapshot.origin == "sample"
    assert snapshot.notes == sample_book.NOTES
    assert scenario.start is not None
    assert snapshot.timestamp == scenario.start.timestamp()


def test_a_replay_gives_the_same_bytes_in_another_process_with_another_number_of_threads(shipped: Path) -> None:
    done = program("replay", "2024-08-05", "--out", "two", "--workers", "2", folder=shipped, PYTHONHASHSEED="2")
    assert done.returncode == 0
    assert files(shipped / "two") == files(shipped / "one")
    assert done.stdout == (shipped / "one.txt").read_text(encoding="utf-8").replace("run: one", "run: two")


def test_a_run_on_disk_is_its_tables_and_a_manifest(shipped: Path) -> None:
    assert set(files(shipped / "one")) == {MANIFEST, *(f"{name}.parquet" for name in SCHEMAS)}
    manifest = strict_json((shipped / "one" / MANIFEST).read_text())
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((shipped / "one" / name).read_bytes()).hexdigest() == digest


def test_the_shipped_crash_shows_shock_liquidations_slippage_and_bad_debt(shipped: Path) -> None:
    printed = (shipped / "one.txt").read_text(encoding="utf-8")
    for words in (
        "WETH at its extreme",
        "-27.31 %",
        "accounts liquidated",
        "collateral to liquidators",
        "paid by liquidators",
        "bad debt, realised",
        "bad debt, economic",
        "by reserve",
        "run: one",
    ):
        assert words in printed


def test_that_the_book_is_a_sample_is_said_wherever_its_figures_are_shown(shipped: Path) -> None:
    assert SAMPLE in (shipped / "one.txt").read_text(encoding="utf-8")
    assert SAMPLE in unwind("info", "one", folder=shipped).stdout
    assert any(SAMPLE in note for note in strict_json(unwind("info", "one", "--json", folder=shipped).stdout)["notes"])
    assert unwind("report", "one", folder=shipped).stdout.strip().endswith("one.html")
    assert SAMPLE in (shipped / "one.html").read_text(encoding="utf-8")


def test_the_report_of_the_shipped_crash_needs_no_script_and_no_network(shipped: Path) -> None:
    assert unwind("report", "one", "--out", "page.html", folder=shipped).returncode == 0
    page = (shipped / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert re.search(r"https?://|\b(src|href)\s*=|url\(|@import", page) is None
