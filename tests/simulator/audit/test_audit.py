"""Audits: every cell on the same paths, the snapshot's own values among them, and nothing lost when interrupted."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import unwind
from chain.errors import InputError
from chain.snapshot import Snapshot
from simulator.audit import command
from simulator.audit.choice import Headline, frontier
from simulator.audit.paths import draw
from simulator.audit.responses import RESPONSES
from simulator.audit.run import Audit, audit, read_audit
from simulator.cli import main
from simulator.estimate import command as estimates
from simulator.estimate.models.gbm import GBM
from simulator.estimate.run import estimate
from simulator.estimate.sampling import Experiment, Sampling
from simulator.scenario import Scenario
from tests.simulator import plain
from tests.simulator.books import make_scenario
from tests.simulator.command import ROOT, files, strict_json

FOLLOW = {"OWED": "USD"}
BONUS, THRESHOLD = "pool/COL.liquidation_bonus", "pool/COL.liquidation_threshold"
LTV, CAP, FACTOR = "pool/COL.ltv", "pool/OWED.borrow_cap", "comptroller/COL.collateral_factor"


def snapshot() -> Snapshot:
    return plain.together(
        plain.aave({"a": (150.0, 100.0), "b": (120.0, 95.0), "c": (400.0, 90.0), "d": (70.0, 0.0)}, lent_usd=1e3),
        plain.compound_v2({"e": (180.0, 130.0), "f": (90.0, 60.0)}),
    )


def model() -> GBM:
    return GBM(("COL",), 6, 3600.0, np.array([[0.06**2]]))


def small(values: dict[str, object], paths: int = 512, liquidations: bool = False, **options: object) -> Audit:
    """An audit of the snapshot, by default without liquidations."""
    made: dict[str, Any] = {"follow": FOLLOW, "liquidations": liquidations, **options}
    return audit(snapshot(), values, model(), paths, **made)  # type: ignore[arg-type]


def of(found: Audit, table: str, **where: object) -> pd.DataFrame:
    frame = found.frame(table)
    for name, wanted in where.items():
        frame = frame[frame[name] == wanted]
    return frame


# --- the baseline and common random numbers -------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["independent", "antithetic", "sobol", "importance"])
def test_the_baseline_is_the_unswept_estimate_to_the_bit(sampling: Sampling) -> None:
    found = small({BONUS: "1.02:1.06:0.02", FACTOR: 0.7}, seed=5, sampling=sampling)
    swept = of(found, "statistics", cell=0, response="static")
    alone = estimate(
        snapshot(), model(), 512, seed=5, sampling=sampling, follow=FOLLOW, liquidations=False
    ).statistics()
    assert swept["output"].tolist() == alone["output"].tolist()
    assert swept["name"].tolist() == alone["name"].tolist()
    for column in ("level", "value", "low", "high", "standard_error"):
        as_estimated = alone[column].astype(float).to_numpy()
        kept = np.where(np.isfinite(swept[column]), swept[column], np.nan)
        assert kept.tobytes() == as_estimated.tobytes() or np.array_equal(kept, as_estimated, equal_nan=True)
    assert (alone["value"] > 0).sum() > 10
    assert (swept["difference"].dropna() == 0.0).all()


def test_every_cell_sees_the_paths_that_the_snapshot_with_those_values_would_see_alone() -> None:
    found = small({"comptroller.liquidation_incentive": "1.02,1.14"}, responses=["static"])
    alone = estimate(
        plain.together(
            plain.aave({"a": (150.0, 100.0), "b": (120.0, 95.0), "c": (400.0, 90.0), "d": (70.0, 0.0)}),
            plain.compound_v2({"e": (180.0, 130.0), "f": (90.0, 60.0)}, incentive=1.14),
        ),
        model(), 512, follow=FOLLOW, liquidations=False,
    ).statistics()  # fmt: skip
    assert of(found, "statistics", cell=2)["value"].tolist() == alone["value"].tolist()


def test_differences_are_known_better_than_their_parts_because_paths_are_shared() -> None:
    found = small({BONUS: 1.06}, 4096)
    for name, level in (("mean", math.nan), ("expected shortfall", 0.99)):
        rows = of(found, "statistics", response="static", output="pool", name=name)
        rows = rows if math.isnan(level) else rows[rows["level"] == level]
        own, other = rows.iloc[0], rows.iloc[1]
        assert other["difference"] == other["value"] - own["value"] > 0.0
        apart = math.hypot(own["standard_error"], other["standard_error"])
        assert 0.0 < other["difference_error"] < 0.1 * apart
        assert other["difference_low"] < other["difference"] < other["difference_high"]


def test_a_laxer_parameter_costs_nothing_while_nobody_answers_and_something_once_they_do() -> None:
    found = small({LTV: 0.85, THRESHOLD: 0.88}, 1024)
    mean = of(found, "statistics", cell=1, output="pool", name="mean").set_index("response")
    assert mean["difference"]["static"] == 0.0
    assert (mean["difference"].drop("static") > 0.0).all()
    assert mean["value"]["constant-health-factor"] < mean["value"]["re-lever-to-maximum"]
    assert mean["value"]["constant-health-factor"] < mean["value"]["fill-to-cap"]


def test_any_number_of_workers_gives_the_same_tables() -> None:
    one, three = (small({BONUS: "1.02:1.06:0.01"}, workers=workers) for workers in (1, 3))
    assert one.digest == three.digest


# --- with liquidations ----------------------------------------------------------------------------------------------


def sold_outside(**oracles: float) -> Scenario:
    """Liquidators who sell to an outside market at a loss of a hundredth."""
    return make_scenario(
        {}, oracles={"deviation": 0.0} | oracles, liquidators={"sell": "outside", "outside_haircut": 0.01}
    )


def test_the_baseline_with_liquidations_is_the_unswept_estimate_to_the_bit() -> None:
    like = sold_outside()
    found = small({THRESHOLD: 0.75, "oracles.delay_s": 3600}, 64, liquidations=True, like=like, workers=2)
    swept = of(found, "statistics", cell=0, response="static")
    alone = estimate(snapshot(), model(), 64, follow=FOLLOW, like=like).statistics()
    for column in ("output", "measure", "by", "of", "name"):
        assert swept[column].tolist() == alone[column].tolist()
    assert np.array_equal(swept["value"], alone["value"])
    assert set(alone["measure"]) == {"bad debt", "liquidated volume", "liquidators' profit"}
    assert (alone["value"] > 0).sum() > 10


def test_thresholds_and_oracles_count_where_liquidators_act() -> None:
    book = plain.aave({"a": (1400.0, 1000.0)})
    common: dict[str, Any] = {"follow": FOLLOW, "responses": ["static"]}
    values = {THRESHOLD: "0.72,0.9", "oracles/COL.delay_s": "0,21600"}
    found = audit(book, values, model(), 256, like=sold_outside(), **common)
    mean = of(found, "statistics", output="all markets", name="mean").set_index("cell")["value"]
    cells = found.frame("cells").pivot_table(index="cell", columns="parameter", values="value")
    loss = {(row[THRESHOLD], row["oracles/COL.delay_s"]): mean[cell] for cell, row in cells.iterrows()}
    # who is liquidated sooner loses less, and what an oracle says after six hours helps nobody within them
    assert loss[0.72, 0.0] < loss[0.9, 0.0] < loss[0.9, 21600.0]
    assert loss[0.72, 21600.0] == loss[0.9, 21600.0]
    frozen = audit(book, {}, model(), 256, liquidations=False, **common)
    alone = of(frozen, "statistics", output="all markets", name="mean")["value"].item()
    assert loss[0.9, 21600.0] == pytest.approx(alone, rel=1e-6)


def test_a_larger_close_factor_sells_as_many_times_more_where_it_counts_and_nothing_more_elsewhere() -> None:
    """A health factor of 1.005 and one move of the price. Below 1 the close factor's share of the debt is repaid, which
    makes the account healthy; up to the threshold all of it is. The bonus is earned on that."""
    debt = 10_000.0
    book = plain.aave({"a": (1.005 / 0.8 * debt, debt)})
    one_move = GBM(("COL",), 1, 3600.0, np.array([[0.024**2]]))
    free = make_scenario({}, oracles={"deviation": 0.0}, liquidators=plain.FRICTIONLESS | {"outside_haircut": 0.0})
    values = {"pool.close_factor": "0.5,0.75,1", "pool.close_factor_hf_threshold": "0.1,0.95,0.99,1"}
    found = audit(book, values, one_move, 512, follow=FOLLOW, responses=["static"], like=free)
    cells = found.frame("cells").pivot_table(index="cell", columns="parameter", values="value")
    mean = of(found, "statistics", name="mean", by="all").pivot_table(index="cell", columns="measure", values="value")
    drawn = draw(Experiment(one_move, 512), lambda prices: prices[:, -1]).prices[:, -1, 0]
    health = 1.005 * drawn
    assert 0.92 < health.min() < 0.95
    for cell, row in cells.iterrows():
        share = np.where(health <= row["pool.close_factor_hf_threshold"], 1.0, row["pool.close_factor"])
        repaid = debt * (share * (health < 1.0)).mean()
        assert mean["liquidated volume"][cell] == pytest.approx(1.05 * repaid, rel=1e-6)
        assert mean["liquidators' profit"][cell] == pytest.approx(0.05 * repaid, rel=1e-6)


# --- grids, the frontier and budgets --------------------------------------------------------------------------------


def test_a_grid_of_two_parameters_of_two_markets_has_a_cell_for_each_pair() -> None:
    seen: list[tuple[int, int]] = []
    found = small(
        {THRESHOLD: "0.7:0.8:0.05", FACTOR: "0.7,0.75"}, responses=["static"], progress=lambda *at: seen.append(at)
    )
    outcomes = of(found, "outcomes")
    # 0.8 and 0.75 are the snapshot's own
    assert len(outcomes) == 6
    assert seen == [(done, 6) for done in range(1, 7)]
    values = found.frame("cells").pivot_table(index="cell", columns="parameter", values="value")
    at_once = outcomes.set_index("cell")["at_once_accounts"]
    for cell in values.index:
        threshold, factor = values.loc[cell, THRESHOLD], values.loc[cell, FACTOR]
        fell = [threshold * 150 < 100, threshold * 120 < 95, factor * 180 < 130, factor * 90 < 60]
        assert at_once[cell] == sum(map(bool, fell))


def test_nothing_on_the_frontier_is_beaten_and_all_else_is() -> None:
    found = small({LTV: "0.6:0.8:0.05", BONUS: "1.02,1.08"})
    outcomes = found.frame("outcomes")
    for _, rows in outcomes.groupby("response"):
        for _, one in rows.iterrows():
            no_worse = (rows["capacity_usd"] >= one["capacity_usd"]) & (rows["loss_usd"] <= one["loss_usd"])
            better = (rows["capacity_usd"] > one["capacity_usd"]) | (rows["loss_usd"] < one["loss_usd"])
            assert one["frontier"] == (not (no_worse & better).any())
    assert 0 < outcomes["frontier"].sum() < len(outcomes)
    made = [
        {"response": "r", "capacity_usd": most, "loss_usd": loss}
        for most, loss in ((3.0, 5.0), (3.0, 4.0), (2.0, 4.0), (2.0, 1.0))
    ]
    assert frontier(made) == [False, True, False, True]
    same = [{"response": "r", "capacity_usd": 1.0, "loss_usd": 2.0}] * 2
    assert frontier(same) == [True, True]


def test_a_budget_is_kept_by_the_largest_cap_that_keeps_it() -> None:
    caps = "300:1200:100"
    middle = float(small({CAP: caps}, 2048, responses=["fill-to-cap"]).frame("outcomes")["loss_usd"].median())
    found = small({CAP: caps}, 2048, responses=["fill-to-cap"], budget=f"es99={middle!r}")
    outcomes = found.frame("outcomes").merge(found.frame("cells"), on="cell").sort_values("value")
    losses = outcomes["loss_usd"].to_numpy()
    assert (np.diff(losses) >= 0).all()
    kept = outcomes[outcomes["loss_usd"] <= middle]
    assert 0 < len(kept) < len(outcomes)
    assert outcomes["keeps_budget"].tolist() == (losses <= middle).tolist()
    laxest = outcomes[outcomes["laxest"]]
    assert laxest["value"].tolist() == [kept["value"].max()]
    assert (outcomes["keeps_budget_surely"] == (outcomes["loss_high_usd"] <= middle)).all()


def test_no_cell_that_keeps_a_budget_is_laxer_than_the_laxest_and_a_bonus_is_laxer_in_no_direction() -> None:
    found = small({LTV: "0.7:0.8:0.05", BONUS: "1.02:1.08:0.03"}, responses=["re-lever-to-maximum"], budget="mean=1e9")
    laxest = of(found, "outcomes", laxest=True)
    values = found.frame("cells").pivot_table(index="cell", columns="parameter", values="value").loc[laxest["cell"]]
    assert values[LTV].tolist() == [0.8] * 3
    assert sorted(values[BONUS]) == [1.02, 1.05, 1.08]


@pytest.mark.parametrize(
    "text", ["es98=1e6", "median=3", "es=1", "mean99=1", "es99=much", "es99=-1", "es99=", "es99=nan"]
)
def test_a_budget_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--budget"):
        Headline.of(text)


def test_what_cannot_be_audited_is_refused() -> None:
    for wrong, message in [
        ({"responses": ["panic"]}, "borrowers respond by static, .*; not by panic"),
        ({"responses": []}, "not by nothing"),
        ({"workers": 0}, "workers must be 1 or more"),
        ({"at": "noon"}, "worst or the end"),
    ]:
        with pytest.raises(InputError, match=message):
            small({BONUS: 1.06}, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="an audit has no table runs; it has cells"):
        small({}).frame("runs")


# --- on disk --------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back_and_nothing_else_is_left(tmp_path: Path) -> None:
    found = small({BONUS: "1.04,1.06"}, out=tmp_path / "out", budget="es99=50")
    back = unwind.read_audit(tmp_path / "out")
    assert back.digest == found.digest
    assert back.facts == found.facts
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(InputError, match="out is already there"):
        small({BONUS: "1.04,1.06"}, out=tmp_path / "out")


def test_an_interrupted_audit_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    values: dict[str, object] = {BONUS: "1.02:1.08:0.01"}
    small(values, out=tmp_path / "whole")

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(values, out=tmp_path / "out", workers=1, progress=stop)
    assert not (tmp_path / "out").exists()
    kept = files(tmp_path / "out.unfinished")
    assert 3 < len(kept) < 8
    with pytest.raises(InputError, match="begun with another paths; go on with what it was"):
        small(values, out=tmp_path / "out", seed=1)
    with pytest.raises(InputError, match="begun with another at, responses"):
        small(values, out=tmp_path / "out", at="end", responses=["static"])
    # another grid shares the cells of this one
    small({BONUS: "1.02:1.04:0.01"}, out=tmp_path / "out")
    assert files(tmp_path / "whole") != files(tmp_path / "out")


SCRIPT = """
import sys, time
from pathlib import Path
from tests.simulator.audit.test_audit import VALUES, small

small(VALUES, out=Path(sys.argv[1]), progress=lambda *at: (print(*at, flush=True), time.sleep(0.1)))
"""
VALUES: dict[str, object] = {BONUS: "1.02:1.08:0.01", LTV: "0.6,0.7"}


def test_an_audit_that_is_killed_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, tmp_path / "out"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "1 15\n"
    time.sleep(random.uniform(0.0, 0.5))
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=60)
    assert not (tmp_path / "out").exists()
    assert len(files(tmp_path / "out.unfinished")) >= 2
    small(VALUES, out=tmp_path / "out")
    small(VALUES, out=tmp_path / "whole")
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a book and a series of prices."""
    snapshot().write(tmp_path / "book")
    moves = np.random.default_rng(3).normal(0.0, 0.02, 400)
    times = 1_700_000_000 + 3600 * np.arange(len(moves))
    pd.DataFrame({"time": times, "COL": 100.0 * np.exp(np.cumsum(moves))}).to_csv(tmp_path / "prices.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors of the command, in this process."""
    monkeypatch.setattr(sys, "argv", ["unwind", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), *capsys.readouterr()


OPTIONS = (
    *("audit", "book", "--series", "prices.csv", "--model", "gbm", "--follow", "OWED=USD", "--paths", "300"),
    "--without-liquidations",
)


def test_the_command_says_what_the_function_finds_and_shows_it(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = ("--set", f"{BONUS}=1.05:1.07:0.01", "--set", f"{THRESHOLD}=0.95")
    code, out, errors = said(capsys, monkeypatch, *OPTIONS, *sets, "--budget", "es99=10", "--out", "result", "--json")
    assert (code, errors) == (0, "")
    printed = strict_json(out)
    made = estimates.fitted("gbm", here / "prices.csv", "24h", {})
    values = {BONUS: "1.05:1.07:0.01", THRESHOLD: 0.95}
    found = audit(snapshot(), values, made, 300, follow=FOLLOW, liquidations=False, budget="es99=10")
    assert found.digest == read_audit(here / "result").digest
    assert [row["loss_usd"] for row in printed["outcomes"]] == found.frame("outcomes")["loss_usd"].tolist()
    assert len(printed["cells"]) == 8
    assert printed["budget_usd"] == 10.0
    assert any("toxic" in row["warning"] for row in printed["warnings"])
    code, out, _ = said(capsys, monkeypatch, *OPTIONS, *sets, "--budget", "es99=10", "--response", "fill-to-cap")
    assert code == 0
    assert "toxic" in out
    assert "fill-to-cap: all markets, US dollars" in out
    assert "static:" not in out
    assert "nobody liquidates before" in out


def test_the_snapshots_own_values_can_be_audited_alone_and_every_parameter_be_listed(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = said(capsys, monkeypatch, *OPTIONS, "--baseline", "--json")
    assert code == 0
    assert [row["response"] for row in strict_json(out)["outcomes"]] == [
        "static", "constant-health-factor", "re-lever-to-maximum", "fill-to-cap",
    ]  # fmt: skip
    code, out, _ = said(capsys, monkeypatch, "audit", "book", "--list", "--json")
    rows = {row["parameter"]: row for row in strict_json(out)}
    assert rows[THRESHOLD]["value"] == 0.8
    assert rows[CAP]["value"] is None
    assert rows["comptroller.close_factor"]["table"] == "compound_v2.settings"
    assert rows["oracles/COL.deviation"]["value"] == rows["oracles.deviation"]["value"] == 0.005
    code, out, _ = said(capsys, monkeypatch, "audit", "book", "--list")
    assert code == 0
    assert "comptroller/COL.collateral_factor" in out


def test_of_many_cells_those_are_shown_that_are_worth_choosing() -> None:
    found = small({LTV: "0.6:0.8:0.01", BONUS: "1.02,1.08"}, budget="es99=1e9")
    tables = dict(command.shown(found))
    for title, rows in tables.items():
        if title.startswith(tuple(RESPONSES)):
            assert len(rows) <= command.SHOWN
            assert f"{len(rows)} of 43 cells" in title
            assert rows[0]["cell"] == 0
            assert all(row["frontier"] or row["laxest"] for row in rows[1:])
            assert any(row["laxest"] for row in rows)
    few = dict(command.shown(small({BONUS: 1.06})))
    assert [len(rows) for rows in few.values()] == [2] * 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*OPTIONS,), "give --set KEY=VALUES, or --baseline"),
        ((*OPTIONS, "--set", "pool/COL.ltvv=0.8"), "no parameter pool/COL.ltvv; there are pool/COL.ltv,"),
        ((*OPTIONS, "--set", f"{LTV}=0.8:0.7:0.1"), "LO not above HI"),
        ((*OPTIONS, "--set", f"{LTV}=0.8", "--budget", "es99"), ""),
        ((*OPTIONS, "--set", f"{LTV}=0.8", "--budget", "es99=x"), "--budget es99=x"),
        ((*OPTIONS, "--set", f"{LTV}=0.8", "--out", "book"), "book is already there"),
        ((*OPTIONS, "--set", f"{LTV}=1"), "lets borrowers lever without end"),
        ((*OPTIONS, "--set", "oracles.delay_s=60"), "nobody asks an oracle where nobody liquidates"),
        ((*OPTIONS, "--set", f"{LTV}=0.8", "--haircut", "0.01"), "goes with neither --like nor --haircut"),
        ((*OPTIONS[:-1], "--set", f"{LTV}=0.8"), "the snapshot has no pools"),
        (("audit", "book", "--baseline"), "give --series FILE"),
        (("audit", "nowhere", "--list"), "nowhere"),
    ],
)
def test_what_the_command_cannot_do_is_one_message_and_leaves_nothing(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    before = files(here)
    code, out, errors = said(capsys, monkeypatch, *arguments)
    if not message:
        assert (code, errors) == (0, "")
        return
    assert (code, out) == (2, "")
    assert errors.startswith("unwind: ")
    assert errors.count("\n") == 1
    assert message in errors
    assert files(here) == before


def test_facts_say_how_an_audit_was_made() -> None:
    found = small({BONUS: 1.06}, seed=9, budget="var95=3")
    facts = json.loads(json.dumps(found.facts))
    assert (facts["seed"], facts["paths"], facts["headline"], facts["budget_usd"]) == (9, 512, "var95", 3.0)
    assert facts["snapshot"] == snapshot().digest
    assert facts["output"] == "all markets"
