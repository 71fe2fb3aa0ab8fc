"""With every run: what its headline would be at either end of what is known of each parameter of price impact."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.snapshot import Snapshot
from simulator.market.impact import RANGES
from simulator.measures import sensitivity
from simulator.measures.sensitivity import with_sensitivity
from simulator.report import render
from simulator.run import Run, read_run, simulate
from simulator.scenario import Scenario
from simulator.summary import as_json
from tests.simulator.books import make_scenario, make_snapshot
from tests.simulator.test_cascade import BOOK, FALL


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return make_snapshot(BOOK)


def scenario(**venues: float) -> Scenario:
    own = {"impact": 0.3, "permanent": 0.6, "arbitrage_half_life_s": 17.0, "withdrawal": 0.0} | venues
    return make_scenario(FALL, steps=7, venues=own)


@pytest.fixture(scope="module")
def run(snapshot: Snapshot) -> Run:
    return with_sensitivity(simulate(snapshot, scenario()), snapshot)


def test_every_row_is_what_a_run_with_that_one_parameter_gives(snapshot: Snapshot, run: Run) -> None:
    rows = run.tables["sensitivity"].rows()
    assert [(row["parameter"], row["end"], row["value"]) for row in rows] == [
        (name, end, value) for name, ends in RANGES.items() for end, value in zip(("low", "high"), ends, strict=True)
    ]
    for row in rows:
        alone = simulate(snapshot, scenario(**{row["parameter"]: row["value"]}))
        assert {name: row[name] for name in alone.headline} == alone.headline
    assert len({tuple(row[name] for name in run.headline) for row in rows}) > 4


def test_nothing_else_of_the_run_changes(snapshot: Snapshot, run: Run) -> None:
    bare = simulate(snapshot, scenario())
    assert len(bare.tables["sensitivity"]) == 0
    assert bare.facts == run.facts
    assert all(bare.tables[name] == run.tables[name] for name in bare.tables if name != "sensitivity")


def test_processes_give_the_same_as_one(snapshot: Snapshot, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensitivity, "WORTH_PROCESSES_S", 0.0)
    shared = with_sensitivity(simulate(snapshot, scenario()), snapshot, workers=2)
    assert shared.tables["sensitivity"] == run.tables["sensitivity"]


def test_what_cannot_differ_is_not_run_again(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Scenario] = []

    def noted(snapshot: Snapshot, scenario: Scenario, **options: int) -> Run:
        ran.append(scenario)
        return simulate(snapshot, scenario, **options)

    monkeypatch.setattr(sensitivity, "simulate", noted)
    own = with_sensitivity(simulate(snapshot, scenario(arbitrage_half_life_s=12.0)), snapshot)
    assert len(own.tables["sensitivity"]) == 8
    # the low ends of arbitrage and withdrawal are the run's own values
    assert len(ran) == 6
    ran.clear()
    outside = make_scenario(FALL, liquidators={"sell": "outside"}, venues={"impact": 0.3})
    told = with_sensitivity(simulate(snapshot, outside), snapshot)
    assert ran == []
    assert len(told.tables["sensitivity"]) == 2 * len(RANGES)


def test_where_the_paths_have_the_selling_in_them_impact_is_not_varied_and_that_is_said(snapshot: Snapshot) -> None:
    run = with_sensitivity(simulate(snapshot, scenario(impact=0.0)), snapshot)
    shown = [row["parameter"] for row in run.tables["sensitivity"].rows()]
    assert shown == ["arbitrage_half_life_s"] * 2 + ["withdrawal"] * 2
    note = as_json(run)["sensitivity_note"]
    assert note.startswith("impact and permanent are not varied")
    assert note in render(run)


def test_it_is_printed_written_and_kept(run: Run, tmp_path: Path) -> None:
    run.write(tmp_path / "run")
    assert read_run(tmp_path / "run").tables["sensitivity"] == run.tables["sensitivity"]
    told = as_json(run)["sensitivity"]
    assert as_json(run)["sensitivity_note"] == ""
    assert told[0] == {"parameter": "as run", "end": "", "value": None} | run.headline
    assert len(told) == 1 + 2 * len(RANGES)
    page = render(run)
    assert "<h2>Sensitivity</h2>" in page
    assert all(name in page for name in RANGES)


def test_a_run_without_it_shows_none(snapshot: Snapshot) -> None:
    bare = simulate(snapshot, scenario())
    assert as_json(bare)["sensitivity"] == []
    assert "Sensitivity" not in render(bare)


def test_progress_is_told_for_every_row(snapshot: Snapshot) -> None:
    told: list[tuple[int, int]] = []
    with_sensitivity(simulate(snapshot, scenario()), snapshot, progress=lambda done, total: told.append((done, total)))
    assert told == [(n, 8) for n in range(1, 9)]
