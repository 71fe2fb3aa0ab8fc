"""Proposals for an asset, each following from its rule and figures, and the command that prints them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import unwind
from chain.errors import InputError
from chain.snapshot import Snapshot
from simulator.cli import main
from simulator.estimate.models.gbm import GBM
from simulator.onboarding import rules
from simulator.onboarding.evidence import TAIL
from simulator.onboarding.propose import Onboarding, onboard
from simulator.scenario import scenario_from
from tests.simulator import plain
from tests.simulator.command import strict_json

DEPTH, SIGMA = 1e6, 0.01
FOLLOW = {"OWED": "USD"}


def snapshot(depth_usd: float = DEPTH) -> Snapshot:
    pool = plain.constant_product("COL", "OWED", depth_usd)
    return plain.without_fee(plain.aave({"a": (20_000.0, 5_000.0), "b": (5_000.0, 100.0)}, pools=[pool]))


def model(sigma: float = SIGMA) -> GBM:
    return GBM(("COL",), 24, 3600.0, np.array([[sigma**2]]))


def proposed(depth_usd: float = DEPTH, sigma: float = SIGMA, **options: object) -> Onboarding:
    return onboard(snapshot(depth_usd), "COL", "OWED", model(sigma), follow=FOLLOW, **options)  # type: ignore[arg-type]


def values(found: Onboarding) -> dict[str, float]:
    return {row["parameter"]: row["value"] for row in found.proposals}


def test_every_value_follows_from_its_rule() -> None:
    found = proposed()
    value, figures = values(found), {row["parameter"]: row["figures"] for row in found.proposals}
    # 20,000 of a million: 1.96 % is lost; gas of 20 dollars is 0.1 %
    loss = 20_000 / (DEPTH + 20_000)
    assert figures["liquidation_bonus"]["loss"] == pytest.approx(loss, rel=1e-4)
    assert value["liquidation_bonus"] == 1.0 + rules.up(rules.bonus(loss, 0.1, 0.0005, 20.0 / 20_000.0)) == 1.025
    # a move of one step; 3.09 deviations below
    assert value["oracle_deviation"] == pytest.approx(0.011, abs=0.0011)
    fall = figures["liquidation_threshold"]["fall_high"]
    assert fall == pytest.approx(1 - np.exp(-3.09 * SIGMA), rel=0.1)
    assert value["liquidation_threshold"] == rules.down(rules.threshold(fall, value["oracle_deviation"], 0.025))
    assert value["ltv"] == rules.down(value["liquidation_threshold"] * (1 - figures["ltv"]["fall_high"]))
    pays = rules.loss_that_pays(0.025, 0.1, 0.0005)
    assert value["supply_cap"] == pytest.approx(DEPTH * pays / (1 - pays), rel=1e-3)
    assert value["borrow_cap"] == pytest.approx(DEPTH * pays, rel=1e-3)
    assert value["supply_cap"] > 20_000


def test_the_run_supports_what_the_rules_promise() -> None:
    figures = {row["parameter"]: row["figures"] for row in proposed().proposals}
    assert 0.0 < figures["ltv"]["liquidated"] <= 0.05
    assert figures["liquidation_threshold"]["lost"] <= 24 * (1 - TAIL)


def test_riskier_assets_and_thinner_markets_get_tighter_parameters() -> None:
    usual, wild, thin = (values(found) for found in (proposed(), proposed(sigma=0.03), proposed(depth_usd=2e5)))
    assert wild["liquidation_threshold"] < usual["liquidation_threshold"]
    assert wild["ltv"] < usual["ltv"]
    assert wild["oracle_deviation"] > usual["oracle_deviation"]
    assert thin["liquidation_bonus"] > usual["liquidation_bonus"]
    assert thin["liquidation_threshold"] < usual["liquidation_threshold"]


def test_who_is_later_bears_more() -> None:
    late = scenario_from(
        {"name": "late", "step_s": 60, "steps": 1, "oracles": {"per_token": {"col": {"delay_s": 7200.0}}}}, "test"
    )
    usual, later = proposed(), proposed(scenario=late)
    assert later.facts["steps_until_liquidation"] == 2
    assert values(later)["liquidation_threshold"] < values(usual)["liquidation_threshold"]
    assert values(later)["oracle_delay_s"] == 7200.0
    wanted = f"threshold {rules.down(values(later)['liquidation_threshold']):.3g}"
    support = {row["parameter"]: row["support"] for row in usual.proposals}["oracle_delay_s"]
    # what twice the lateness would cost, with the deviation of the usual
    assert abs(float(support.rpartition(" ")[2]) - float(wanted.rpartition(" ")[2])) <= 0.011


def test_what_cannot_be_proposed_is_refused() -> None:
    for wrong, message in [
        ({"token": "DOGE"}, "no token DOGE"),
        ({"debt": "COL"}, "both pledged and owed"),
        ({"follow": {}}, "no price path for OWED; say what it moves with: OWED=ASSET for one of COL"),
        ({"token": "OWED", "debt": "COL"}, "nobody pledges OWED"),
        ({"position_usd": 2e6}, "plan for a smaller --position"),
        ({"paths": 500}, "500 paths are too few to know a fall at 99.9%"),
        ({"protocol_fee": 1.0}, "from 0 to below 1"),
        ({"scenario": scenario_from({"name": "late", "step_s": 60, "steps": 1, "oracles": {"delay_s": 1e6}}, "test")},
         "longer than paths"),
    ]:  # fmt: skip
        options = {"token": "COL", "debt": "OWED", "follow": FOLLOW} | wrong
        with pytest.raises(InputError, match=message):
            onboard(snapshot(), options.pop("token"), options.pop("debt"), model(), **options)  # type: ignore[arg-type]


def test_the_command_prints_a_row_for_each_parameter_or_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot().write(tmp_path / "book")
    moves = np.random.default_rng(3).normal(0.0, 0.01, 400)
    times = 1_700_000_000 + 3600 * np.arange(len(moves))
    pd.DataFrame({"time": times, "COL": 100.0 * np.exp(np.cumsum(moves))}).to_csv(tmp_path / "prices.csv", index=False)
    monkeypatch.chdir(tmp_path)

    def said(*more: str) -> tuple[int, str, str]:
        options = ("--series", "prices.csv", "--model", "gbm", "--follow", "OWED=USD", "--paths", "8000", *more)
        monkeypatch.setattr(sys, "argv", ["unwind", "onboard", "book", "--token", "COL", "--debt", "OWED", *options])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    code, out, errors = said("--json")
    assert (code, errors) == (0, "")
    printed = strict_json(out)
    names = ["ltv", "liquidation_threshold", "liquidation_bonus", "supply_cap", "borrow_cap", "oracle_deviation"]
    assert [row["parameter"] for row in printed["proposals"]] == [*names, "oracle_delay_s"]
    assert all(row["rule"] and row["source"] and row["support"] for row in printed["proposals"])
    assert [row["loss"] for row in printed["depth"]][:2] == [0.01, 0.02]
    code, out, _ = said()
    assert code == 0
    assert "toxic" not in out
    for name in names:
        assert name in out
    code, out, errors = said("--position", "5000000")
    assert (code, out) == (2, "")
    assert "plan for a smaller --position" in errors


def test_the_front_door_has_it() -> None:
    found = unwind.onboard(snapshot(), "COL", "OWED", model(), 8_000, follow=FOLLOW)
    assert found.frame()["parameter"].tolist() == [row["parameter"] for row in found.proposals]
