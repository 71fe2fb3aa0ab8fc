"""The command as a user meets it: what it prints, what it leaves on disk, and what it says when something is wrong."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chain.tables import MANIFEST
from tests.simulator.books import Account, make_snapshot
from tests.simulator.command import files, program, strict_json, unwind
from tests.simulator.test_cascade import BOOK

COMMANDS = {
    *("attribute", "audit", "scenarios", "info", "graph", "oracles", "import", "snapshot", "replay", "stress"),
    *("report", "verify", "onboard", "sweep", "wall", "bench"),
}
HEAVY = {"numba", "llvmlite", "pandas", "web3", "pyarrow", "numpy", "eth_abi", "pydantic", "jinja2", "pyrevm"}
STRESS = ("stress", "book", "--shock", "ETH=-30%", "--steps", "3")

BARE = 'name = "own"\nstep_s = 60\nsteps = 2\n'
SCENARIOS = {
    "own.toml": BARE,
    "wrong.toml": 'name = "own"\nstep_s = "often"\nsteps = 2\n',
    "torn.toml": 'name = "own"\nstep_s = = 60\n',
    "doge.toml": BARE + '[[prices]]\ntokens = ["DOGE"]\nseconds = [0, 60]\nvalues = [1, 0.5]\n',
}
POSITIONS = {
    "good.csv": "ann,ETH,1250,0,2904.37,0.83\nann,USD,0,1700025.5,0.99993,0.781\n",
    "bad.csv": "ann,ETH,12.5,0,2904.37,0.83\nann,USD,0,-17000.25,cheap,0.781\nbob,ETH,1,0,2904.37,83\n",
}
HEADER = "account,token,supplied,debt,price_usd,liquidation_threshold\n"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a book, scenarios and files of positions, good and bad."""
    make_snapshot(BOOK).write(tmp_path / "book")
    for name, text in SCENARIOS.items():
        (tmp_path / name).write_text(text)
    for name, text in POSITIONS.items():
        (tmp_path / name).write_text(HEADER + text)
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").write_text("")
    return tmp_path


# --- what it does ---------------------------------------------------------------------------------------------------


def test_help_lists_the_commands_and_loads_nothing_heavy(tmp_path: Path) -> None:
    start = [sys.executable, "-X", "importtime", "-c", "from simulator.cli import main; main()"]
    done = program("--help", folder=tmp_path, start=start)
    assert done.returncode == 0
    listed = set(re.findall(r"^  (\w+)  ", done.stdout, re.MULTILINE))
    assert listed == COMMANDS
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert loaded & HEAVY == set()


def test_the_version_is_that_of_the_distribution(tmp_path: Path) -> None:
    done = unwind("--version", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"unwind \d+\.\d+\.\d+\n", done.stdout)


def test_scenarios_lists_what_can_be_replayed(tmp_path: Path) -> None:
    rows = strict_json(unwind("scenarios", "--json", folder=tmp_path).stdout)
    assert [row["name"] for row in rows] == ["2024-08-05", "2025-11-stream"]
    assert rows[0] == {
        "name": "2024-08-05",
        "title": "5 August 2024: ETH from 2,904 to 2,111 USD",
        "hours": 40.0,
        "snapshot": "2024-08-05",
    }
    assert "2024-08-05" in unwind("scenarios", folder=tmp_path).stdout


def test_info_shows_a_snapshot_with_its_riskiest_accounts(here: Path) -> None:
    found = strict_json(unwind("info", "book", "--json", "--accounts", "4", folder=here).stdout)
    assert found["accounts"] == {"pool": len(BOOK)}
    assert found["pools"] == 6
    assert found["origin"] == "sample"
    assert {row["token"] for row in found["totals"]} == {"ETH", "BTC", "USD", "DAI"}
    health = [row["health_factor"] for row in found["riskiest"]]
    assert health == sorted(health)
    assert len({row["account"] for row in found["riskiest"]}) == 4
    printed = unwind("info", "book", "--accounts", "4", folder=here).stdout
    for words in ("health factor", "current ltv", "maximum ltv", "liquidation price usd", "falls to", "note: made by"):
        assert words in printed


def test_an_account_that_no_price_can_liquidate_is_no_nan_in_json(here: Path) -> None:
    make_snapshot({"same": Account({"USD": 10.0}, {"USD": 5.0})}).write(here / "same")
    (row,) = strict_json(unwind("info", "same", "--json", folder=here).stdout)["riskiest"]
    assert row["liquidation_price_usd"] is None


def test_names_from_the_chain_are_printed_as_they_are(here: Path) -> None:
    make_snapshot({"[/red]": Account({"ETH": 100.0}, {"USD": 238_000.0})}).write(here / "odd")
    done = unwind("info", "odd", folder=here)
    assert (done.returncode, done.stderr) == (0, "")
    assert "[/red]" in done.stdout


def test_positions_become_a_snapshot_that_can_be_stressed(here: Path) -> None:
    done = unwind("import", "good.csv", "--out", "made", "--timestamp", "1700000000", folder=here)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 accounts with debt" in done.stdout
    done = unwind("stress", "made", "--shock", "ETH=-45%", "--haircut", "0.01", "--json", folder=here)
    assert (done.returncode, done.stderr) == (0, "")
    found = strict_json(done.stdout)
    summary = {line["what"]: line["value"] for line in found["summary"]}
    assert summary["ETH at its extreme"] == pytest.approx(-45.0, rel=1e-6)
    assert summary["accounts liquidated"] == 1
    assert found["notes"][0].startswith("Imported positions")


def test_a_stress_prints_json_and_keeps_its_run(here: Path) -> None:
    done = unwind(*STRESS, "--out", "deep/run", "--json", folder=here)
    assert (done.returncode, done.stderr) == (0, "")
    found = strict_json(done.stdout)
    assert found["notes"] == ["made by hand"]
    assert {line["what"] for line in found["summary"]} >= {"slippage", "bad debt, realised", "bad debt, economic"}
    assert strict_json(unwind("info", "deep/run", "--json", folder=here).stdout) == found
    assert unwind("report", ".", folder=here / "deep" / "run").returncode == 0
    assert sorted(path.name for path in (here / "deep").iterdir()) == ["run", "run.html"]


@pytest.mark.parametrize(
    "command",
    [
        ("--version",),
        (*STRESS, "--out", "run"),
        ("info", "book", "--json"),
        ("stress", "book"),
        ("stress", "book", "--shock", "ETH=-100%"),
    ],
    ids=" ".join,
)
def test_a_process_prints_and_leaves_what_the_call_does_and_ends_with_its_status(
    here: Path, command: tuple[str, ...]
) -> None:
    found = []
    for how in (unwind, program):
        done = how(*command, folder=here)
        found.append((done.returncode, done.stdout, done.stderr, files(here)))
        shutil.rmtree(here / "run", ignore_errors=True)
    assert found[0] == found[1]


# --- what it says when something is wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("replay", "1929-10-29"), "no scenario is called 1929-10-29; there are 2024-08-05"),
        (("replay", "none.toml"), "none.toml is not there"),
        (("replay", "wrong.toml", "--snapshot", "book"), "wrong.toml: step_s: "),
        (("replay", "torn.toml", "--snapshot", "book"), "torn.toml cannot be read"),
        (("replay", "own.toml"), "scenario own comes with no snapshot; give one with --snapshot"),
        (("replay", "own.toml", "--snapshot", "nowhere"), "nowhere is neither a snapshot nor a run"),
        (("replay", "doge.toml", "--snapshot", "book", "--out", "run"), "no token DOGE; it has btc, dai, eth, usd"),
        (("replay", "2024-08-05", "--snapshot", "book", "--out", "run"), "the snapshot has no token"),
        (("stress", "book", "--shock", "ETH"), "--shock ETH: write TOKEN=-40%"),
        (("stress", "book", "--shock", "ETH=-100%"), "cannot fall by 100 % or more"),
        (("stress", "book", "--shock", "DOGE=-10%", "--out", "run"), "no token DOGE"),
        (("stress", "book", "--shock", "ETH=-10%", "--shock", "eth=-20%"), "eth stands in two paths"),
        ((*STRESS, "--workers", "0", "--out", "run"), "--workers must be from 1 to"),
        ((*STRESS, "--like", "nothing", "--out", "run"), "no scenario is called nothing"),
        ((*STRESS, "--out", "taken"), "taken is already there; choose another folder or remove it first"),
        ((*STRESS, "--out", "file/run"), "cannot write to file"),
        (("info", "taken"), "taken is neither a snapshot nor a run: it has no manifest.json"),
        (("report", "book"), "book is a snapshot, not a run"),
        (("import", "none.csv", "--out", "made"), "none.csv is not there"),
        (("import", "good.csv", "--out", "book"), "book is already there"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bad_input_ends_with_status_2_one_message_and_nothing_left_behind(
    here: Path, command: tuple[str, ...], said: str
) -> None:
    before = files(here)
    done = unwind(*command, folder=here)
    assert done.returncode == 2
    assert done.stderr.startswith("unwind: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert done.stdout == ""
    assert files(here) == before


def test_each_bad_row_of_a_file_is_named_with_its_column(here: Path) -> None:
    before = files(here)
    done = unwind("import", "bad.csv", "--out", "made", folder=here)
    assert (done.returncode, done.stdout) == (2, "")
    first, *rows = done.stderr.splitlines()
    assert first == "unwind: bad.csv: 2 bad rows"
    assert [row.partition(":")[0] for row in rows] == ["row 3", "row 4"]
    assert "debt is '-17000.25'" in rows[0]
    assert "price_usd is 'cheap'" in rows[0]
    assert "liquidation_threshold is '83'" in rows[1]
    assert files(here) == before


def truncate(folder: Path) -> str:
    file = folder / "tokens.parquet"
    file.write_bytes(file.read_bytes()[:-50])
    return "tokens.parquet is not what manifest.json says it is (its SHA-256 differs)"


def truncate_unseen(folder: Path) -> str:
    truncate(folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["tokens.parquet"] = hashlib.sha256((folder / "tokens.parquet").read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return "tokens.parquet is not a readable Parquet file"


def contradict(folder: Path) -> str:
    text = (folder / MANIFEST).read_text()
    digest = json.loads(text)["files"]["oracles.parquet"]
    (folder / MANIFEST).write_text(text.replace(digest, "0" * 64))
    return "oracles.parquet is not what manifest.json says it is"


def lose(folder: Path) -> str:
    (folder / "oracles.parquet").unlink()
    return "oracles.parquet cannot be read"


def tear_manifest(folder: Path) -> str:
    (folder / MANIFEST).write_bytes((folder / MANIFEST).read_bytes()[:200])
    return "manifest.json cannot be read"


def age(folder: Path) -> str:
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text().replace('"format": 1', '"format": 99'))
    return "manifest.json has format 99; this version of unwind reads 1"


@pytest.mark.parametrize("damage", [truncate, truncate_unseen, contradict, lose, tear_manifest, age])
def test_a_damaged_snapshot_is_refused_by_file_and_nothing_is_left_behind(
    here: Path, damage: Callable[[Path], str]
) -> None:
    said = damage(here / "book")
    before = files(here)
    done = unwind(*STRESS, "--out", "run", folder=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("unwind: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert files(here) == before


def test_info_says_what_is_wrong_with_a_snapshot_of_another_format(here: Path) -> None:
    said = age(here / "book")
    done = unwind("info", "book", folder=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("stress", "book"), "--shock"),
        ((*STRESS, "--steps", "many"), "--steps"),
        ((*STRESS, "--haircut", "1.5"), "--haircut"),
        (("import", "good.csv"), "--out"),
        (("crash",), "crash"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_an_option_that_is_wrong_is_named_with_the_usage(here: Path, command: tuple[str, ...], said: str) -> None:
    before = files(here)
    done = unwind(*command, folder=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Usage: " in done.stderr
    assert "Traceback" not in done.stderr
    assert files(here) == before


@pytest.mark.parametrize("options", [("--step", "inf"), ("--step", "1e300"), ("--shock", f"BTC=+{'9' * 400}%")])
def test_sizes_that_no_chain_can_hold_are_refused(here: Path, options: tuple[str, str]) -> None:
    done = unwind(*STRESS, *options, "--out", "run", folder=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert not (here / "run").exists()
