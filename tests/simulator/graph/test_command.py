"""The command `unwind graph`, and the graph on a run's page, as a user meets them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from chain.errors import InputError
from simulator.report import render, write_report
from simulator.run import simulate
from tests.simulator.books import make_scenario, make_snapshot
from tests.simulator.command import files, strict_json, unwind
from tests.simulator.graph.test_reach import STACK
from tests.simulator.graph.toys import snapshot_of
from tests.simulator.test_cascade import BOOK, FALL
from tests.simulator.test_report import assert_self_contained


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph")
    snapshot_of(STACK).write(folder / "book")
    return folder


def test_measures_are_printed(here: Path) -> None:
    done = unwind("graph", "book", folder=here)
    assert done.returncode == 0, done.stderr
    for title in (
        *("re-pledging", "rehypothecation", "loops", "links between markets", "leverage", "concentration"),
        *("who is left unpaid", "what others lose if one market sells", "claims that fall due"),
    ):
        assert re.search(f"^{title}", done.stdout, re.MULTILINE)
    assert "a node for each account" in done.stdout


def test_json_has_every_measure_and_says_how_accounts_are_drawn(here: Path) -> None:
    found = strict_json(unwind("graph", "book", "--json", "--accounts", "pattern", folder=here).stdout)
    assert found["accounts"] == "pattern"
    assert found["block"] == 17
    ether = next(row for row in found["repledging"] if row["token"] == "ETH")
    assert ether["primary_usd"] == pytest.approx(18_000.0)
    # nine ether, eight of them owed to the vault, which owes six shares' worth to others: six are pledged on top
    assert ether["locked_usd"] == pytest.approx(18_000.0 + 12_000.0 + 2.5 * 1.5 * 2_000.0)
    assert {
        "loops",
        "links",
        "leverage",
        "concentration",
        "rehypothecation",
        "fire_sales",
        "maturities",
    } <= found.keys()
    # who pledges a claim on a market that fails loses its lenders as much as DebtRank says
    assert {row["failed"]: row["lost_usd"] for row in found["clearing"]}["lend-eth"] == pytest.approx(16_700.0)


def test_what_is_hit_is_printed_with_amounts_and_paths(here: Path) -> None:
    done = unwind("graph", "book", "--downstream", "X", folder=here)
    assert "who is hit if it fails" in done.stdout
    assert "re-pledging" not in done.stdout
    both = strict_json(
        unwind("graph", "book", "--upstream", "share", "--downstream", "X", "--json", folder=here).stdout
    )
    assert both["upstream"][0]["label"] == "aETH"
    path = next(row["path"] for row in both["downstream"] if row["label"] == "aETH")
    assert path == "aETH –backs→ lend-eth/ETH –borrows→ bob –supplies→ lend-eth/X –backs→ X"


def test_a_file_is_written_in_the_form_of_its_name(here: Path) -> None:
    done = unwind("graph", "book", "--out", "drawn/graph.json", folder=here)
    assert done.returncode == 0, done.stderr
    assert "re-pledging" not in done.stdout
    assert len(json.loads((here / "drawn" / "graph.json").read_text("utf-8"))["nodes"]) > 8
    assert unwind("graph", "book", "--out", "graph.svg", folder=here).returncode == 0
    assert (here / "graph.svg").read_text("utf-8").startswith("<svg ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("book", "--out", "graph.pdf"), "a graph is written as .graphml, .gexf, .json, .svg, .png"),
        (("book", "--upstream", "DOGE"), "nothing in the graph is called DOGE"),
        (("book", "--accounts", "some"), "each, by pattern or auto, not 'some'"),
        (("nowhere",), "nowhere"),
    ],
)
def test_bad_input_ends_with_status_2_one_message_and_no_file(
    here: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = files(here)
    done = unwind("graph", *arguments, folder=here)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert files(here) == before


def test_a_report_draws_the_exposures_of_the_runs_own_snapshot_and_of_no_other(tmp_path: Path) -> None:
    snapshot = make_snapshot(BOOK)
    run = simulate(snapshot, make_scenario(FALL))
    snapshot.write(tmp_path / "book")
    write_report(run, tmp_path / "run.html", tmp_path / "book")
    page = (tmp_path / "run.html").read_text("utf-8")
    assert "Largest exposures before the run" in page
    assert "pool (aave_v3)" in page
    assert_self_contained(page)
    assert "http" not in page
    assert "Largest exposures" not in render(run)
    make_snapshot(BOOK, lent_usd=1.0e6).write(tmp_path / "other")
    with pytest.raises(InputError, match="is another snapshot than the run's"):
        write_report(run, tmp_path / "other.html", tmp_path / "other")
    assert not (tmp_path / "other.html").exists()
