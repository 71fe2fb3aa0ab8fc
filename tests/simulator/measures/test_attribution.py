"""What causes a loss is charged with it: axioms of the division, and books in which the cause is known beforehand."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chain.errors import InputError
from chain.snapshot import Snapshot
from chain.tables import Table
from simulator.measures.attribution import (
    CAUSES,
    FROM_BONUS,
    FROM_DISCOUNT,
    FROM_LIQUIDATORS,
    MEASURES,
    SYSTEM,
    Attribution,
    attribute,
    interaction,
    outcome,
    shapley,
    slippage_paid,
)
from simulator.run import LIQUIDATIONS, Run, simulate
from simulator.scenario import Scenario
from tests.simulator.books import ASSETS, make_scenario, make_snapshot, with_rates
from tests.simulator.command import strict_json, unwind
from tests.simulator.plain import FREE, FRICTIONLESS, NOBODY, aave, compound_v2, constant_product, together, without_fee
from tests.simulator.test_cascade import BOOK, FALL
from tests.simulator.test_conservation import PLUNGE, STEP_S, mixed

SHOCK, OWN, OTHERS, DELAY, MISSING, CONTAGION = (cause.name for cause in CAUSES)
REALISED, ECONOMIC, SHORTFALL, LIQUIDATED = MEASURES

# --- axioms -----------------------------------------------------------------------------------------------------

PLAYERS = 4
games = arrays(np.float64, 1 << PLAYERS, elements=st.floats(-1e6, 1e6))
players = st.integers(0, PLAYERS - 1)


def coalition(*members: int) -> int:
    return sum(1 << member for member in members)


def unanimity(*members: int) -> Any:
    """A game that is worth one once these are all in."""
    needed = coalition(*members)
    return np.array([float(c & needed == needed) for c in range(1 << PLAYERS)])


@given(games)
def test_parts_add_up_to_all_less_nothing(game: Any) -> None:
    assert shapley(game).sum() == pytest.approx(game[-1] - game[0], abs=1e-6)


@given(games, games, st.floats(-3, 3))
def test_the_parts_of_a_sum_are_the_sums_of_the_parts(first: Any, second: Any, factor: float) -> None:
    for division in (shapley, interaction):
        together_ = division(first + factor * second)
        assert together_ == pytest.approx(division(first) + factor * division(second), abs=1e-5)


@given(games, players, st.floats(-1e3, 1e3))
def test_a_player_who_always_adds_the_same_gets_that_and_interacts_with_nobody(
    game: Any, player: int, adds: float
) -> None:
    bit = 1 << player
    dull = np.array([game[c & ~bit] + (adds if c & bit else 0.0) for c in range(len(game))])
    assert shapley(dull)[player] == pytest.approx(adds, abs=1e-6)
    assert interaction(dull)[player] == pytest.approx(np.zeros(PLAYERS), abs=1e-6)


@given(games, st.permutations(range(PLAYERS)))
def test_names_do_not_matter(game: Any, order: list[int]) -> None:
    renamed = np.empty_like(game)
    for c in range(len(game)):
        renamed[coalition(*(order[p] for p in range(PLAYERS) if c >> p & 1))] = game[c]
    assert shapley(renamed)[order] == pytest.approx(shapley(game), abs=1e-6)
    assert interaction(renamed)[np.ix_(order, order)] == pytest.approx(interaction(game), abs=1e-6)


@pytest.mark.parametrize("members", [(2,), (0, 3), (0, 1, 2), (0, 1, 2, 3)])
def test_what_needs_several_is_shared_evenly_and_each_pair_of_them_is_charged_with_it(members: tuple[int, ...]) -> None:
    game, size = unanimity(*members), len(members)
    assert shapley(game) == pytest.approx([1 / size if p in members else 0.0 for p in range(PLAYERS)])
    pairs = interaction(game)
    for i in range(PLAYERS):
        for j in range(PLAYERS):
            # Grabisch and Roubens 1999: 1 / (t - s + 1) with t members and pairs of s = 2
            inside = i != j and i in members and j in members
            assert pairs[i, j] == pytest.approx(1 / (size - 1) if inside else 0.0)


def test_two_left_gloves_and_a_right_one() -> None:
    # a textbook's game: who has the only right glove gets two thirds
    game = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    assert shapley(game) == pytest.approx([1 / 6, 1 / 6, 2 / 3])


def test_a_coalition_that_is_missing_is_said() -> None:
    with pytest.raises(InputError, match="6 coalitions"):
        shapley(np.zeros(6))


# --- books whose cause is known ---------------------------------------------------------------------------------


def attributed(snapshot: Snapshot, scenario: Scenario) -> tuple[Run, Attribution]:
    run = simulate(snapshot, scenario)
    return run, attribute(run, snapshot)


def parts(found: Attribution, measure: str, market: str = SYSTEM) -> dict[str, float]:
    """What each cause did, those without effect left out."""
    rows = [row for row in found.parts if (row["measure"], row["market"]) == (measure, market)]
    return {row["cause"]: row["value_usd"] for row in rows if abs(row["value_usd"]) > 1e-6}


def pairs(found: Attribution, measure: str, market: str = SYSTEM) -> dict[tuple[str, str], float]:
    rows = [row for row in found.interactions if (row["measure"], row["market"]) == (measure, market)]
    return {(row["cause"], row["with_cause"]): row["value_usd"] for row in rows if abs(row["value_usd"]) > 1e-6}


HALVED = {"COL": 0.5}
LATE = {"deviation": 0.0, "delay_s": 60.0}


def test_without_frictions_all_that_happens_is_due_to_the_shock() -> None:
    run, found = attributed(
        aave({"a": (100e3, 99e3), "b": (100e3, 82e3)}, price_usd=2.0), make_scenario(HALVED, liquidators=FRICTIONLESS)
    )
    assert parts(found, REALISED) == {SHOCK: pytest.approx(99e3 - 100e3 / 1.05, rel=1e-9)}
    assert parts(found, LIQUIDATED) == {SHOCK: pytest.approx(run.total("collateral_usd"), rel=1e-9)}
    assert parts(found, ECONOMIC) == {}
    assert [pairs(found, measure) for measure in MEASURES] == [{}] * 4
    # oracles and liquidators cannot be better, and there are no others: the shock and own selling are on or off
    assert found.facts["runs"] == 4


def test_above_the_toxic_frontier_missing_liquidators_have_prevented_bad_debt() -> None:
    # C = 100, D = 98, bonus 5 %: nothing without a liquidator, 2.76 with a frictionless one
    lost = 98.0 - 100.0 / 1.05
    assert lost == pytest.approx(2.76, abs=2e-3)
    spiral = compound_v2({"a": (100.0, 98.0)}, incentive=1.05, price_usd=2.0)
    run, found = attributed(spiral, make_scenario(HALVED, liquidators=NOBODY))
    assert outcome(run)["comptroller"][2] == 0.0
    assert parts(found, SHORTFALL) == {
        SHOCK: pytest.approx(lost / 2, rel=1e-9),
        MISSING: pytest.approx(-lost / 2, rel=1e-9),
    }
    assert pairs(found, SHORTFALL) == {(SHOCK, MISSING): pytest.approx(-lost, rel=1e-9)}
    # what a full liquidation could not recover is the same before and after one
    assert parts(found, ECONOMIC) == {SHOCK: pytest.approx(lost, rel=1e-9)}


def test_above_the_toxic_frontier_a_rule_that_writes_off_does_so_only_if_there_are_liquidators() -> None:
    lost = 98e3 - 100e3 / 1.05
    snapshot = aave({"a": (100e3, 98e3)}, price_usd=2.0, version="3.6")
    run, found = attributed(snapshot, make_scenario(HALVED, liquidators=NOBODY))
    assert len(run.tables["deficits"]) == 0
    assert parts(found, REALISED) == {SHOCK: pytest.approx(lost / 2), MISSING: pytest.approx(-lost / 2)}
    assert parts(found, ECONOMIC) == {SHOCK: pytest.approx(lost / 2), MISSING: pytest.approx(lost / 2)}
    assert pairs(found, REALISED) == {(SHOCK, MISSING): pytest.approx(-lost)}


def test_below_the_frontier_missing_liquidators_are_charged_with_what_the_next_fall_takes() -> None:
    # at 0.6 a liquidation covers all; at 0.4 nothing is left to cover it with
    snapshot = aave({"a": (100e3, 90e3)}, price_usd=2.0, version="3.6")
    moves = {"COL": [0.6, 0.4, 0.4]}
    lost = 90e3 - 80e3 / 1.05
    _, found = attributed(snapshot, make_scenario(moves, steps=4, liquidators=NOBODY))
    assert parts(found, ECONOMIC) == {SHOCK: pytest.approx(lost / 2), MISSING: pytest.approx(lost / 2)}
    assert pairs(found, ECONOMIC) == {(SHOCK, MISSING): pytest.approx(lost)}


def test_a_late_oracle_is_charged_with_what_was_lost_meanwhile() -> None:
    # whole at once: the health factor is below 0.95
    snapshot = aave({"a": (100e3, 90e3)}, threshold=0.7, price_usd=2.0, version="3.6")
    late = {"deviation": 0.0, "delay_s": 60.0, "heartbeat_s": 1e9}
    scenario = make_scenario({"COL": [0.6, 0.4, 0.4]}, steps=4, liquidators=FRICTIONLESS, oracles=late)
    run, found = attributed(snapshot, scenario)
    # in the second step the feed still says 0.6, at which nobody would buy what is worth 0.4
    assert run.tables["liquidations"].ints("step") == [3]
    lost = outcome(run)["pool"][0]
    assert lost > 5e3
    assert parts(found, REALISED) == {SHOCK: pytest.approx(lost / 2), DELAY: pytest.approx(lost / 2)}
    assert pairs(found, REALISED) == {(SHOCK, DELAY): pytest.approx(lost)}


def test_a_feed_at_fault_counts_as_oracle_delay() -> None:
    snapshot = aave({"a": (100e3, 90e3)}, threshold=0.7, price_usd=2.0, version="3.6")
    stuck = {"deviation": 0.0, "faults": [{"tokens": ["COL"], "kind": "stuck"}]}
    scenario = make_scenario({"COL": [0.6, 0.4]}, steps=3, liquidators=FRICTIONLESS, oracles=stuck)
    run, found = attributed(snapshot, scenario)
    assert len(run.tables["liquidations"]) == 0
    lost = 90e3 - 80e3 / 1.05
    assert parts(found, ECONOMIC) == {SHOCK: pytest.approx(lost / 2), DELAY: pytest.approx(lost / 2)}


def test_what_pools_are_too_shallow_for_is_charged_to_own_selling() -> None:
    # 90,000 dollars of collateral into a pool of 2,000: nothing above a two-thousandth would pay
    shallow = without_fee(
        aave({"a": (100e3, 90e3)}, price_usd=2.0, version="3.6", pools=(constant_product("COL", "OWED", 2e3),))
    )
    moves = {"COL": [0.6, 0.4, 0.4]}
    scenario = make_scenario(moves, steps=4, liquidators=FREE | {"minimum_profit_usd": 100.0})
    run, found = attributed(shallow, scenario)
    assert len(run.tables["liquidations"]) == 0
    lost = 90e3 - 80e3 / 1.05
    assert parts(found, ECONOMIC) == {SHOCK: pytest.approx(lost / 2), OWN: pytest.approx(lost / 2)}
    assert pairs(found, ECONOMIC) == {(SHOCK, OWN): pytest.approx(lost)}


def two_markets() -> Snapshot:
    """An Aave account that breaks at a fall of 10 % and sells a million, and a Compound account that then breaks."""
    pools = (constant_product("COL", "OWED", 4e6),)
    first = aave({"large": (2.0e6, 1.55e6)}, version="3.2", pools=pools)
    second = compound_v2({"bystander": (10_000.0, 6_700.0)})
    return without_fee(together(first, second))


SLUMP = make_scenario(
    {"COL": 0.9}, steps=4, liquidators=FREE, venues={"impact": 1.0, "arbitrage_half_life_s": 1e15, "anchored": ["OWED"]}
)


def test_a_market_that_others_sales_pull_down_is_charged_to_others() -> None:
    run, found = attributed(two_markets(), SLUMP)
    by_market = outcome(run)
    assert by_market["comptroller"][3] > 1_000.0
    worths = [r for r in found.coalitions if (r["measure"], r["market"]) == (LIQUIDATED, "comptroller")]
    for row in worths:
        # it needs both, the shock and the others' sales
        if {SHOCK, OTHERS} <= set(row["causes"]):
            assert row["value_usd"] > 1_000.0
        else:
            assert row["value_usd"] == 0.0
    bystander = parts(found, LIQUIDATED, "comptroller")
    assert bystander[SHOCK] == bystander[OTHERS] > 1_000.0
    assert max(pairs(found, LIQUIDATED, "comptroller").items(), key=lambda item: item[1])[0] == (SHOCK, OTHERS)
    # the large account needs nobody
    assert abs(parts(found, LIQUIDATED, "pool").get(OTHERS, 0.0)) < 0.01 * by_market["pool"][3]


def test_a_market_whose_own_sales_leave_no_trace_is_as_if_the_others_were_alone() -> None:
    both = mixed(30)
    without = replace(both, markets=both.markets[:1])
    quiet = SLUMP.model_copy(
        update={
            "prices": make_scenario(PLUNGE).prices,
            "steps": 5,
            "venues": SLUMP.venues.model_copy(update={"anchored": ["USD"]}),
            "liquidators": SLUMP.liquidators.model_copy(update={"no_slippage": ["comptroller"]}),
        }
    )
    bare = quiet.model_copy(update={"liquidators": SLUMP.liquidators})
    run, lonely = simulate(both, quiet), simulate(without, bare)
    drop = ("liquidation", "sequence")
    rows = [
        [{k: v for k, v in row.items() if k not in drop} for row in r.tables["liquidations"].rows()]
        for r in (run, lonely)
    ]
    assert [row for row in rows[0] if row["market"] == "pool"] == rows[1]
    assert len(rows[1]) > 10
    # and the sales that leave no trace fetch the outside price
    exempt = [row for row in rows[0] if row["market"] == "comptroller"]
    assert len(exempt) > 10
    assert all(abs(row["slippage_usd"]) < 1e-3 for row in exempt)
    swapped = {row["liquidation"] for row in run.tables["swaps"].rows()}
    sold = {row["liquidation"] for row in run.tables["liquidations"].rows() if row["market"] == "comptroller"}
    assert swapped & sold == set()


def test_with_every_cause_off_oracles_say_the_outside_price() -> None:
    from simulator.measures.attribution import _with

    scenario = make_scenario(FALL, steps=7, oracles=LATE | {"deviation": 0.05})
    prompt = _with(coalition(0), scenario, "pool", ["pool"])
    run = simulate(make_snapshot(BOOK), prompt)
    for row in run.tables["prices"].rows():
        assert row["published"]
        assert row["oracle_raw"] == pytest.approx(row["outside_usd"] * 1e8, abs=1.0)


# --- the whole --------------------------------------------------------------------------------------------------

CRASH = make_scenario(
    PLUNGE,
    steps=5,
    step_s=STEP_S,
    oracles={"deviation": 0.03, "delay_s": STEP_S},
    liquidators={"gas_usd": 300.0, "per_step": 4},
    venues={"impact": 0.4, "anchored": ["USD"]},
)


@pytest.fixture(scope="module")
def whole() -> tuple[Run, Attribution]:
    return attributed(mixed(30), CRASH)


def test_parts_add_up_to_the_run_less_the_run_without_causes(whole: tuple[Run, Attribution]) -> None:
    run, found = whole
    assert outcome(run)["pool"][0] > 0.0
    by_market = outcome(run)
    for total in found.totals:
        number, market = list(MEASURES).index(total["measure"]), total["market"]
        values = by_market.values() if market == SYSTEM else [by_market[market]]
        assert total["run_usd"] == pytest.approx(sum(v[number] for v in values), rel=1e-12)
        assert sum(parts(found, total["measure"], market).values()) == pytest.approx(
            total["run_usd"] - total["without_causes_usd"], rel=1e-9, abs=1e-4
        )


def test_the_parts_of_markets_add_up_to_those_of_the_system(whole: tuple[Run, Attribution]) -> None:
    _, found = whole
    for measure in MEASURES:
        for cause in CAUSES:
            own = [found.part(measure, cause.name, market) for market in ("pool", "comptroller")]
            assert sum(own) == pytest.approx(found.part(measure, cause.name), rel=1e-9, abs=1e-6)


def test_the_run_is_the_coalition_of_all_causes_and_a_table_is_a_frame(whole: tuple[Run, Attribution]) -> None:
    _, found = whole
    full = [row for row in found.coalitions if len(row["causes"]) == len(CAUSES)]
    assert [row["value_usd"] for row in full] == [row["run_usd"] for row in found.totals]
    assert len(found.frame("coalitions")) == len(MEASURES) * 3 * 2 ** len(CAUSES)


def test_any_number_of_processes_gives_the_same_bytes(whole: tuple[Run, Attribution]) -> None:
    run, found = whole
    told = []
    again = attribute(run, mixed(30), workers=2, progress=lambda done, total: told.append((done, total)))
    assert json.dumps(asdict(again)) == json.dumps(asdict(found))
    assert told == [(n + 1, found.facts["runs"]) for n in range(found.facts["runs"])]


# --- slippage ---------------------------------------------------------------------------------------------------


def liquidation(number: int, account: str, collateral: float, repaid: float, slippage: float) -> dict[str, Any]:
    money = {"collateral_usd": collateral, "repaid_usd": repaid, "slippage_usd": slippage}
    texts = dict.fromkeys(("collateral", "debt"), "0xc0") | {"market": "m", "account": account}
    every = {c.name: 0.0 if c.kind == "float64" else 0 for c in LIQUIDATIONS.columns}
    return every | texts | money | {"liquidation": number}


def test_slippage_is_paid_out_of_the_bonus_the_discount_and_then_the_liquidators_pockets() -> None:
    rows = [
        liquidation(0, "a", 105.0, 100.0, 3.0),
        liquidation(1, "b", 105.0, 100.0, 7.0),
        liquidation(2, "", 108.0, 100.0, 6.0),
        liquidation(3, "c", 90.0, 100.0, 2.0),
        liquidation(4, "d", 105.0, 100.0, -1.0),
    ]
    paid = slippage_paid(Run({}, {"liquidations": Table.from_rows(LIQUIDATIONS, rows)}))
    assert {row["paid_from"]: row["slippage_usd"] for row in paid} == {
        FROM_BONUS: pytest.approx(3.0 + 5.0 - 1.0),
        FROM_DISCOUNT: pytest.approx(6.0),
        FROM_LIQUIDATORS: pytest.approx(2.0 + 2.0),
    }
    assert {row["market"] for row in paid} == {"m"}


def test_slippage_by_payer_adds_up_to_the_runs_and_is_no_part_of_bad_debt(whole: tuple[Run, Attribution]) -> None:
    run, found = whole
    assert sum(row["slippage_usd"] for row in found.slippage) == pytest.approx(run.total("slippage_usd"), rel=1e-9)
    assert run.total("slippage_usd") > 100.0
    last = run.tables["steps"].rows()[-1]
    both = sum(total["run_usd"] for total in found.totals if total["measure"] in (REALISED, ECONOMIC))
    assert both / 2 == pytest.approx(last["bad_debt_realised_usd"] + last["bad_debt_economic_usd"], rel=1e-9)


# --- bad input --------------------------------------------------------------------------------------------------


def test_another_snapshot_is_refused() -> None:
    run = simulate(make_snapshot(BOOK), make_scenario(FALL, steps=1))
    other = make_snapshot(BOOK, assets=with_rates(ASSETS, ETH=0.1))
    with pytest.raises(InputError, match=f"started from snapshot {run.facts['snapshot']['digest']}"):
        attribute(run, other)


def test_a_run_without_a_known_snapshot_asks_for_it() -> None:
    with pytest.raises(InputError, match="--snapshot DIR"):
        attribute(simulate(make_snapshot(BOOK), make_scenario(FALL, steps=1)))


def test_a_run_that_is_not_what_its_scenario_gives_is_refused() -> None:
    run = simulate(make_snapshot(BOOK), make_scenario(FALL, steps=3))
    rows = [
        row | {"bad_debt_economic_usd": row["bad_debt_economic_usd"] + 5.0} for row in run.tables["reserves"].rows()
    ]
    forged = Run(run.facts, run.tables | {"reserves": Table.from_rows(run.tables["reserves"].schema, rows)})
    with pytest.raises(InputError, match="comes out differently"):
        attribute(forged, make_snapshot(BOOK))


def test_a_number_of_processes_that_is_none_is_refused() -> None:
    run = simulate(make_snapshot(BOOK), make_scenario(FALL, steps=1))
    with pytest.raises(InputError, match="workers"):
        attribute(run, make_snapshot(BOOK), workers=0)


def test_a_market_that_is_not_there_cannot_be_excepted() -> None:
    scenario = make_scenario(FALL, liquidators={"no_slippage": ["pond"]})
    with pytest.raises(InputError, match="no market pond; it has pool"):
        simulate(make_snapshot(BOOK), scenario)


# --- the command ------------------------------------------------------------------------------------------------


def test_the_command_prints_what_the_call_gives(tmp_path: Path) -> None:
    snapshot = aave({"a": (100e3, 98e3)}, price_usd=2.0)
    snapshot.write(tmp_path / "book")
    run = simulate(snapshot, make_scenario(HALVED, liquidators=NOBODY))
    run.write(tmp_path / "run")
    given = ("attribute", "run", "--snapshot", "book")
    done = unwind(*given, "--json", "--out", "found.json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert strict_json(done.stdout) == json.loads(json.dumps(asdict(attribute(run, snapshot))))
    assert (tmp_path / "found.json").read_text() == done.stdout
    done = unwind(*given, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("missing liquidators", "-1,380.95", "without any of them", "the run", "note: made by hand"):
        assert words in done.stdout
    done = unwind("attribute", "run", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--snapshot DIR" in done.stderr
