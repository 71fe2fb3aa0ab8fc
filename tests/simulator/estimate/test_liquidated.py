"""Shocks of a reverse stress with liquidators who act on the way, against formulas and fine grids."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.book import open_book
from simulator.estimate import command
from simulator.estimate.liquidated import Liquidated, liquidated
from simulator.estimate.models.gbm import GBM
from simulator.estimate.models.model import FloatArray
from simulator.estimate.reverse import Reverse, Shock, reverse_stress
from simulator.estimate.run import behaving, losses_of
from simulator.scenario import Scenario
from simulator.scheduling import Threads
from tests.simulator import plain
from tests.simulator.books import make_scenario
from tests.simulator.command import strict_json
from tests.simulator.estimate.test_estimate import said, series_file

STEPS = 6
FOLLOW = {"OWED": "USD"}
BOOK = plain.aave({"a": (1400.0, 1000.0), "b": (150.0, 100.0), "c": (131.0, 100.0)})


def largest_fall(prices: FloatArray) -> FloatArray:
    """A million times the largest fall of the first asset within a step."""
    return 1e6 * (1.0 - prices[:, 1:, :1] / prices[:, :-1, :1]).max(axis=1)


def at_once(losses: Any, *shocks: tuple[float, ...], target: float) -> list[Liquidated]:
    return liquidated(losses, np.array(shocks), 1, target, STEPS, Threads(2))


# --- the multiple -------------------------------------------------------------------------------------------------


def test_prices_get_to_a_shock_by_the_same_share_in_every_step_and_its_multiple_is_that_of_the_formula() -> None:
    one, other = at_once(largest_fall, (-0.4, 0.1), (-0.2, 0.0), target=50_000.0)
    for found, move in ((one, -0.4), (other, -0.2)):
        assert found.losses_usd == pytest.approx([1e6 * (1.0 - (1.0 + move) ** (1.0 / STEPS))])
        assert found.multiple == pytest.approx(STEPS * math.log(0.95) / math.log1p(move), rel=1e-4)
        # a price falls to a thousandth there
        assert found.furthest == pytest.approx(math.log(1e-3) / math.log1p(move))
    moves = one.moves(np.array([-0.4, 0.1]))
    assert moves is not None
    assert moves == pytest.approx(np.array([0.6, 1.1]) ** one.multiple - 1.0)


def test_where_no_multiple_does_the_damage_there_is_none() -> None:
    (found,) = at_once(lambda prices: np.minimum(largest_fall(prices), 9.0), (-0.4,), target=10.0)
    assert (found.multiple, found.moves(np.array([-0.4]))) == (math.inf, None)


def test_the_smallest_multiple_counts_where_a_larger_shock_does_less() -> None:
    def between(prices: FloatArray) -> FloatArray:
        low = (prices[:, -1, :1] < 0.5) & (prices[:, -1, :1] > 0.3) | (prices[:, -1, :1] < 0.1)
        return np.where(low, 2.0, 0.0)

    (found,) = at_once(between, (-0.4,), target=1.0)
    assert found.multiple == pytest.approx(math.log(0.5) / math.log(0.6), rel=1e-4)


# --- liquidators --------------------------------------------------------------------------------------------------


def model() -> GBM:
    return GBM(("COL",), STEPS, 3600.0, np.array([[0.06**2]]))


def like(**oracles: float) -> Scenario:
    """Liquidators who sell to an outside market at a loss of a hundredth."""
    selling = {"sell": "outside", "outside_haircut": 0.01}
    return make_scenario({}, oracles={"deviation": 0.0, **oracles}, liquidators=selling)


def test_liquidators_in_time_lose_less_and_it_takes_the_smallest_multiple_of_a_fine_grid() -> None:
    found = reverse_stress(BOOK, model(), 20.0, follow=FOLLOW, like=like(), workers=1)
    (shock,) = found.shocks
    assert shock.liquidated is not None
    assert shock.losses_usd[0] >= 20.0 > shock.liquidated.losses_usd[0]
    losses = losses_of(BOOK, open_book(BOOK), model(), behaving(model(), like()), follow=FOLLOW, at="end")
    grid = np.linspace(0.0, 2.0 * shock.liquidated.multiple, 4_001)
    share = np.linspace(0.0, 1.0, STEPS + 1)
    lost = losses((1.0 + shock.moves) ** (grid[:, None, None] * share[:, None]))
    assert losses.outputs[: len(found.outputs)] == found.outputs
    first = int((lost[:, 0] >= 20.0).argmax())
    assert grid[first - 1] < shock.liquidated.multiple <= grid[first]
    three = reverse_stress(BOOK, model(), 20.0, follow=FOLLOW, like=like(), workers=3)
    assert three.records() == found.records()


def test_liquidators_who_hear_nothing_change_nothing() -> None:
    seen: list[tuple[int, int]] = []
    found = reverse_stress(
        BOOK, model(), 20.0, follow=FOLLOW, like=like(delay_s=3600.0 * STEPS),
        progress=lambda *at: seen.append(at),
    )  # fmt: skip
    (shock,) = found.shocks
    assert shock.liquidated is not None
    # accounts owe interest besides
    assert shock.liquidated.losses_usd == pytest.approx(shock.losses_usd, rel=1e-6)
    assert shock.liquidated.multiple == pytest.approx(1.0, rel=1e-4)
    row = found.frame().iloc[0]
    assert row["liquidated multiple"] == shock.liquidated.multiple
    assert row["liquidated loss_usd all markets"] == shock.liquidated.losses_usd[0]
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


# --- as a person and a program read it ----------------------------------------------------------------------------


def test_the_table_says_what_it_takes_with_liquidators_or_up_to_where_nothing_does_it() -> None:
    def shown(multiple: float) -> dict[str, Any]:
        acting = Liquidated(np.array([3.0, 3.0]), multiple, 13.52)
        shock = Shock(np.array([-0.4]), 5.0, 0.1, 0.1, np.array([20.0, 20.0]), acting)
        return command.shocks(Reverse(("COL",), ("all markets", "pool"), 20.0, (shock,), {"moves": 10}))[0]

    assert shown(2.0)["with_liquidators_usd"] == 3.0
    assert shown(2.0)["with_liquidators_takes"] == "2 times: COL -64.0%"
    assert shown(math.inf)["with_liquidators_takes"] == "none up to 13.5 times"


def test_the_command_has_liquidators_act_unless_told_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.aave({"a": (1_400_000.0, 1_000_000.0)}, bonus=1.05).write(tmp_path / "book")
    series_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    options = ("stress", "book", "--series", "prices.csv", "--model", "gbm", "--follow", "OWED=USD")
    asked = (*options, "--reverse", "bad_debt=2e5", "--haircut", "0.01")
    code, out, errors = said(capsys, monkeypatch, *asked, "--horizon", "6h", "--json")
    assert (code, errors) == (0, "")
    printed = strict_json(out)
    acting = printed["shocks"][0]["liquidated"]
    assert (printed["liquidations"], len(printed["notes"])) == (True, 5)
    assert list(acting["losses_usd"]) == ["all markets", "pool"]
    # in steps of 8 % they are in time; if the price falls as far in the first of 6 as the whole shock does, nobody is
    assert acting["losses_usd"]["pool"] == 0.0
    assert acting["multiple"] == pytest.approx(6.0, rel=1e-3)
    code, out, errors = said(capsys, monkeypatch, *asked, "--horizon", "6h")
    assert (code, errors) == (0, "")
    assert "6 times: " in out
    assert "COL -95.3%" in out
    # in 24 steps prices would have to fall to less than a thousandth
    code, out, errors = said(capsys, monkeypatch, *asked)
    assert (code, errors) == (0, "")
    assert "none up to" in out
