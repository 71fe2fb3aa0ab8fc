"""Each measured term on a book where it is known by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chain.snapshot import Snapshot
from chain.tables import Table
from simulator.book import open_book
from simulator.measures.terms import TERMS, Observed, basket_of, measure
from simulator.report import render
from simulator.run import Run, simulate
from simulator.summary import as_json
from tests.simulator.books import STEP_S, Account, Pool, make_scenario, make_snapshot
from tests.simulator.command import strict_json, unwind
from tests.simulator.plain import (
    FREE,
    FRICTIONLESS,
    NOBODY,
    aave,
    asset,
    compound_v2,
    constant_product,
    together,
    without_fee,
)
from tests.simulator.test_cascade import BOOK, FALL


def terms(run: Run) -> dict[str, float]:
    return dict(zip(run.tables["terms"].texts("name"), run.tables["terms"].floats("value").tolist(), strict=True))


def term(run: Run, name: str) -> float:
    return terms(run)[name]


HALVED = {"COL": 0.5}


def fallen(owed: float, liquidators: dict[str, Any] = FRICTIONLESS, **content: Any) -> Run:
    """An account whose collateral falls from 200,000 to 100,000 in the first step."""
    snapshot = aave({"a": (100e3, owed)}, price_usd=2.0, version="3.2")
    return simulate(snapshot, make_scenario(HALVED, liquidators=liquidators, **content))


# --- leverage ---------------------------------------------------------------------------------------------------


def test_leverage_is_collateral_over_equity() -> None:
    snapshot = aave({"a": (100.0, 50.0), "b": (100.0, 75.0), "c": (300.0, 60.0)})
    run = simulate(snapshot, make_scenario({"COL": 0.9}, liquidators=NOBODY))
    # 500 of collateral, 185 of debt; then 450
    assert term(run, "systemic leverage ratio, start") == pytest.approx(500 / 315, rel=1e-9)
    assert term(run, "systemic leverage ratio, end") == pytest.approx(450 / 265, rel=1e-9)
    # the middle one of 2, 4 and 1.25
    assert term(run, "leverage multiplier, start") == pytest.approx(2.0, rel=1e-9)
    # a leverage of 2 at a return of r becomes 2 (1 + r) / (1 + 2 r)
    assert term(run, "leverage multiplier, end") == pytest.approx(2 * 0.9 / (1 - 0.2), rel=1e-9)


def test_the_multiplier_of_a_loop_is_one_over_one_less_its_ltv() -> None:
    # n loops at a loan-to-value of 0.7 come to (1 - 0.7^(n+1)) / 0.3, which tends to 1 / 0.3
    run = simulate(aave({"a": (100.0, 70.0)}), make_scenario(liquidators=NOBODY))
    assert term(run, "leverage multiplier, start") == pytest.approx(1 / 0.3, rel=1e-9)


def test_leverage_sensitivity_is_the_slope_of_what_was_repaid_on_the_logarithm_of_leverage() -> None:
    # two accounts of equal debt: one is repaid whole, the other not touched
    snapshot = aave({"low": (600e3, 100e3), "high": (210e3, 100e3)}, price_usd=1.0, version="3.2")
    run = simulate(snapshot, make_scenario({"COL": 0.5}, liquidators=FRICTIONLESS))
    repaid = run.frame("accounts").set_index("account").loc["high", "repaid_usd"] / 100e3
    low, high = np.log(600 / 500), np.log(210 / 110)
    assert 0.0 < repaid <= 1.0
    assert term(run, "leverage sensitivity") == pytest.approx(repaid / (high - low), rel=1e-9)


def test_without_equity_or_without_differences_leverage_terms_are_absent() -> None:
    alike = terms(simulate(aave({"a": (100.0, 50.0), "b": (100.0, 50.0)}), make_scenario(liquidators=NOBODY)))
    assert "leverage sensitivity" not in alike
    under = terms(fallen(150e3, NOBODY))
    assert "systemic leverage ratio, start" in under
    assert not {"systemic leverage ratio, end", "leverage multiplier, end"} & under.keys()


# --- bad debt and deleveraging ----------------------------------------------------------------------------------


def test_systemic_bad_debt_is_both_measures_and_their_share_of_what_was_owed() -> None:
    two = together(
        aave({"a": (100e3, 99e3)}, price_usd=2.0, version="3.6"),
        compound_v2({"b": (100.0, 98.0)}, incentive=1.05, price_usd=2.0),
    )
    run = simulate(two, make_scenario(HALVED, liquidators=FRICTIONLESS))
    assert term(run, "systemic bad debt, realised") == pytest.approx(99e3 - 100e3 / 1.05, rel=1e-9)
    assert term(run, "systemic bad debt, economic") == pytest.approx(98.0 - 100.0 / 1.05, abs=1e-6)
    both = 99_098.0 - 100_100.0 / 1.05
    assert term(run, "systemic bad debt ratio") == pytest.approx(both / 99_098.0, rel=1e-8)


def test_deleveraging_is_debt_removed_for_each_percent_that_collateral_falls_against_debt() -> None:
    run = simulate(
        aave({"a": (100e3, 99e3)}, price_usd=2.0, version="3.6"), make_scenario(HALVED, liquidators=FRICTIONLESS)
    )
    assert term(run, "deleveraging by liquidation") == pytest.approx(100e3 / 1.05 / 50.0, rel=1e-8)
    assert term(run, "deleveraging by write-off") == pytest.approx((99e3 - 100e3 / 1.05) / 50.0, rel=1e-8)
    assert "deleveraging by absorption" not in terms(run)


def test_an_account_that_is_absorbed_is_delevered_by_what_it_owed_less_what_was_written_off() -> None:
    """As a Comet does it: unpaid, whole. The rows are those of such a run, on a book in which collateral halves."""
    snapshot = aave({"a": (100e3, 90e3)}, price_usd=2.0, version="3.2")
    run = simulate(snapshot, make_scenario(HALVED, liquidators=FRICTIONLESS, steps=1))
    (row,) = run.tables["liquidations"].rows()[:1]
    (account,) = run.tables["accounts"].rows()
    nothing = {"repaid_raw": 0, "received_raw": 0, "repaid_usd": 0.0, "collateral_usd": 0.0, "slippage_usd": 0.0}
    gone = {"debt_before_usd": 90e3, "debt_after_usd": 0.0, "bad_debt_realised_usd": 7e3}
    tables = run.tables | {
        name: Table.from_rows(run.tables[name].schema, [changed])
        for name, changed in (("liquidations", row | nothing), ("accounts", account | gone))
    }
    book = open_book(snapshot)
    found = {each["name"]: each["value"] for each in measure(Observed(tables, book, basket_of(book), 60.0))}
    assert found["deleveraging by absorption"] == pytest.approx(83e3 / 50.0, rel=1e-9)
    assert found["deleveraging by liquidation"] == 0.0


def test_a_debt_that_doubles_is_a_collateral_that_falls_by_half() -> None:
    snapshot = aave({"a": (200e3, 99e3)}, version="3.6")
    falling, rising = (
        simulate(snapshot, make_scenario(moves, liquidators=FRICTIONLESS)) for moves in ({"COL": 0.5}, {"OWED": 2.0})
    )
    for name in ("deleveraging by liquidation", "deleveraging by write-off"):
        # dollars of the mirror are halves
        assert term(rising, name) == pytest.approx(2.0 * term(falling, name), rel=1e-9)


def test_where_nothing_falls_there_is_no_deleveraging() -> None:
    up = terms(simulate(aave({"a": (100.0, 50.0)}), make_scenario({"COL": 1.2}, liquidators=FRICTIONLESS)))
    assert not [name for name in up if name.startswith("deleveraging")]


# --- sales ------------------------------------------------------------------------------------------------------


def sold_into(depth_usd: float, **content: Any) -> Run:
    """An account of 100,000 whose collateral is sold into a constant product of this depth; the fall is in the path."""
    snapshot = without_fee(
        aave({"a": (100e3, 90e3)}, price_usd=2.0, version="3.2", pools=(constant_product("COL", "OWED", depth_usd),))
    )
    return simulate(snapshot, make_scenario(HALVED, liquidators=FREE, **content))


def test_slippage_is_what_sales_brought_less_than_the_oracle_said() -> None:
    run = sold_into(1e7)
    rows = run.tables["liquidations"].rows()
    assert rows
    worth = sum(row["received_raw"] for row in rows) / 1e12
    brought = sum(row["proceeds_raw"] for row in rows) / 1e12
    assert term(run, "liquidation slippage") == pytest.approx(1 - brought / worth, rel=1e-6)
    worst = max(1 - row["proceeds_raw"] / row["received_raw"] for row in rows)
    assert term(run, "liquidation slippage, worst") == pytest.approx(worst, rel=1e-6)
    # one sale of D into x loses D / (x + D) of its worth
    first = rows[0]["received_raw"] / 1e12
    assert 1 - rows[0]["proceeds_raw"] / rows[0]["received_raw"] == pytest.approx(
        first / (1e7 / 2**0.5 + first), rel=1e-4
    )


def test_slippage_is_measured_against_the_oracle_and_not_the_market() -> None:
    # the feed says half of what the market pays
    faults = [{"tokens": ["COL"], "kind": "factor", "value": 0.5}]
    snapshot = aave({"a": (100e3, 130e3)}, price_usd=2.0, version="3.2")
    run = simulate(
        snapshot,
        make_scenario(
            oracles={"deviation": 0.0, "faults": faults}, liquidators=FRICTIONLESS | {"outside_haircut": 0.1}, steps=1
        ),
    )
    assert len(run.tables["liquidations"]) > 0
    assert term(run, "liquidation slippage") == pytest.approx(1 - 0.9 * 2.0, rel=1e-9)
    assert term(run, "oracle gap") == pytest.approx(0.5, rel=1e-9)


def test_exhaustion_is_the_share_of_a_pools_other_side_that_was_bought() -> None:
    run = sold_into(3e6, steps=1, venues={"impact": 0.0, "arbitrage_half_life_s": 0.0})
    rows = run.tables["liquidations"].rows()
    # at half the price the pool holds 1 / sqrt(2) of the debt token
    bought = sum(row["proceeds_raw"] for row in rows) / 1e12
    assert term(run, "AMM exhaustion") == pytest.approx(bought / (3e6 / 2**0.5), rel=1e-3)


def test_without_sales_slippage_exhaustion_and_cascades_are_absent() -> None:
    quiet = terms(simulate(make_snapshot(BOOK), make_scenario(steps=2)))
    assert quiet["cascade size"] == 0.0
    absent = {"liquidation slippage", "liquidation slippage, worst", "AMM exhaustion", "branching ratio"}
    assert not (absent | {"cascade generations", "unfilled share"}) & quiet.keys()


def test_dispersion_is_the_largest_distance_of_a_pools_price_from_the_middle_one() -> None:
    # three equal pools; the one without a fee is sold into, and nothing else moves
    pools = (constant_product("COL", "OWED", 1e6), Pool("COL", "OWED", 1e6), Pool("COL", "OWED", 1e6))
    snapshot = without_fee(aave({"a": (50.0, 42.0)}, version="3.2", pools=pools))
    alone: dict[str, Any] = {"steps": 1, "venues": {"impact": 0.0, "arbitrage_half_life_s": 1e15}}
    still = simulate(snapshot, make_scenario(liquidators=NOBODY, **alone))
    assert term(still, "venue dispersion") == pytest.approx(0.0, abs=1e-9)
    run = simulate(snapshot, make_scenario(liquidators=FREE | {"per_step": 1}, **alone))
    (swap,) = run.tables["swaps"].rows()
    sold, bought = swap["paid_raw"] / 1e12, swap["received_raw"] / 1e12
    assert term(run, "venue dispersion") == pytest.approx(1 - (1e6 - bought) / (1e6 + sold), rel=1e-6)


def test_one_pool_has_no_dispersion() -> None:
    assert "venue dispersion" not in terms(sold_into(1e7))


# --- unfilled ---------------------------------------------------------------------------------------------------


def outcomes(run: Run) -> list[str]:
    return run.tables["liquidatable"].texts("outcome")


def test_what_nobody_takes_is_unfilled_and_says_why() -> None:
    run = fallen(90e3, NOBODY, steps=3)
    assert outcomes(run) == ["no profit"] * 3
    assert term(run, "unfilled share") == 1.0


def test_what_is_taken_is_filled() -> None:
    run = fallen(90e3, steps=1)
    assert outcomes(run) == ["liquidated"]
    assert term(run, "unfilled share") == 0.0


def test_blocks_that_are_full_leave_the_others_for_later() -> None:
    snapshot = aave(dict.fromkeys("abc", (100e3, 90e3)), price_usd=2.0, version="3.6")
    run = simulate(snapshot, make_scenario(HALVED, steps=3, liquidators=FRICTIONLESS | {"per_step": 1}))
    found = outcomes(run)
    assert found[:3].count("liquidated") == 1
    assert found[:3].count("no block space") == 2
    assert term(run, "unfilled share") == pytest.approx(found.count("no block space") / len(found))


def test_a_reserve_without_cash_makes_no_offer() -> None:
    # all that others have supplied of the collateral is lent out, and the cash is the account's own two thousandths
    snapshot = compound_v2({"a": (100.0, 98.0)}, incentive=1.05, price_usd=2.0)
    name = "compound_v2.markets"
    rows = snapshot.tables[name].rows()
    drained = [row | {"borrows_raw": row["borrows_raw"] + row["cash_raw"], "cash_raw": 0} for row in rows]
    table = type(snapshot.tables[name]).from_rows(snapshot.tables[name].schema, drained)
    empty = Snapshot(**vars(snapshot) | {"tables": dict(snapshot.tables) | {name: table}})
    run = simulate(empty, make_scenario(HALVED, steps=3, liquidators=FRICTIONLESS))
    assert outcomes(run) == ["no offer"] * 3
    assert term(run, "highest utilisation") == 1.0
    assert term(run, "time at 100 % utilisation") == 3 * STEP_S


# --- liquidity --------------------------------------------------------------------------------------------------


def test_utilisation_is_loans_over_cash_and_loans_at_the_end_of_a_step() -> None:
    snapshot = compound_v2({"a": (200.0, 60.0)}, cash=140.0)
    run = simulate(snapshot, make_scenario(liquidators=NOBODY))
    # of the debt token 140 are there and 60 lent
    assert term(run, "highest utilisation") == pytest.approx(60 / 200, rel=1e-9)
    assert term(run, "time at 100 % utilisation") == 0.0
    rows = [row for row in run.tables["liquidity"].rows() if row["step"] == 1]
    assert sorted((row["cash_raw"], row["lent_raw"]) for row in rows) == [
        (140 * 10**12, 60 * 10**12),
        (340 * 10**12, 0),
    ]


# --- prices -----------------------------------------------------------------------------------------------------


def test_volatility_is_that_of_hourly_returns_of_the_collateral_in_a_year() -> None:
    moves = [1.01, 0.99, 1.02, 0.97, 1.0]
    paths = [{"tokens": ["COL"], "seconds": [3600.0 * n for n in range(6)], "values": [1.0, *moves]}]
    snapshot = aave({"a": (100.0, 10.0)})
    hourly, finer = (
        simulate(snapshot, make_scenario(prices=paths, steps=steps, step_s=step_s, liquidators=NOBODY))
        for steps, step_s in ((5, 3600.0), (20, 900.0))
    )
    by_hand = np.sqrt(365 * 24) * np.std(np.diff(np.log([1.0, *moves])), ddof=1)
    assert term(hourly, "realised volatility") == pytest.approx(by_hand, rel=1e-9)
    assert term(finer, "realised volatility") == pytest.approx(by_hand, rel=1e-9)
    assert term(hourly, "largest drawdown") == pytest.approx(1 - 0.97 / 1.02, rel=1e-9)


def test_a_single_return_has_no_volatility() -> None:
    run = simulate(aave({"a": (100.0, 10.0)}), make_scenario({"COL": 0.9}, steps=1, liquidators=NOBODY))
    assert "realised volatility" not in terms(run)
    assert term(run, "largest drawdown") == pytest.approx(0.1, rel=1e-9)


# --- cascades ---------------------------------------------------------------------------------------------------

DOMINOES = {"one": (2.0e6, 1.55e6), "two": (0.4e6, 0.28e6), "far": (0.5e6, 0.1e6)}
PUSHED: dict[str, Any] = {"impact": 1.0, "arbitrage_half_life_s": 1e15, "anchored": ["OWED"]}


def dominoes(accounts: dict[str, tuple[float, float]], *moves: float, **content: Any) -> Run:
    """Accounts of a market that sells into one deep pool, whose moves the outside price follows."""
    snapshot = without_fee(aave(accounts, version="3.6", pools=(constant_product("COL", "OWED", 60e6),)))
    defaults: dict[str, Any] = {"steps": 8, "liquidators": FREE, "venues": PUSHED}
    return simulate(snapshot, make_scenario({"COL": list(moves)}, **defaults | content))


def generations(run: Run) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for row in run.tables["liquidations"].rows():
        found.setdefault(row["account"], set()).add(row["generation"])
    return found


def lowest(run: Run) -> float:
    return min(row["outside_usd"] for row in run.tables["prices"].rows() if row["token"] == asset("COL").address)


def breaking_at(price: float, held: float = 0.1e6) -> tuple[float, float]:
    """An account that can be liquidated below a price of its collateral."""
    return held, held * 0.8 * price


def test_without_impact_every_liquidation_is_of_the_first_generation() -> None:
    run = dominoes(DOMINOES, 0.9, venues=PUSHED | {"impact": 0.0})
    assert generations(run) == {"one": {0}}
    assert (term(run, "cascade generations"), term(run, "branching ratio"), term(run, "cascade size")) == (1, 0, 1)


late = pytest.mark.parametrize("oracles", [0.0, 60.0, 90.0], ids=["prompt", "a step late", "two steps late"])


@late
def test_what_a_sale_pushes_over_the_edge_is_of_the_next_generation(oracles: float) -> None:
    run = dominoes(DOMINOES, 0.9, oracles={"deviation": 0.0, "delay_s": oracles})
    assert generations(run) == {"one": {0}, "two": {1}}
    rows = run.tables["liquidations"].rows()
    assert term(run, "branching ratio") == pytest.approx(sum(row["account"] == "two" for row in rows) / len(rows))
    assert term(run, "cascade generations") == 2
    assert term(run, "cascade size") == 2


@late
def test_who_breaks_between_what_the_first_and_what_the_second_generation_push_is_of_the_third(oracles: float) -> None:
    rule = {"deviation": 0.0, "delay_s": oracles}
    alone = lowest(dominoes({"one": DOMINOES["one"]}, 0.9, oracles=rule))
    both = lowest(dominoes(DOMINOES, 0.9, oracles=rule))
    assert both < alone < 0.9
    accounts = DOMINOES | {"above": breaking_at(alone * 1.001), "between": breaking_at((alone + both) / 2, 50.0)}
    run = dominoes(accounts, 0.9, oracles=rule, steps=14)
    found = generations(run)
    assert (found["one"], found["two"], found["above"], found["between"]) == ({0}, {1}, {1}, {2})
    assert "far" not in found
    assert term(run, "cascade generations") == 3


def test_an_account_that_the_path_breaks_by_itself_is_no_child_of_earlier_sales() -> None:
    # by the time that impact would reach the second, the path has
    run = dominoes(DOMINOES, 0.9, 0.87)
    assert generations(run)["two"] == {0}


def test_what_a_liquidation_of_a_later_generation_does_to_an_account_is_impact_too() -> None:
    # above 1 / (1 + bonus) a liquidation raises the loan-to-value, so that the account would break without impact
    snapshot = without_fee(
        aave(
            {"one": (2.0e6, 1.55e6), "two": (0.4e6, 0.28e6)},
            version="3.2",
            pools=(constant_product("COL", "OWED", 6e6),),
        )
    )
    run = simulate(snapshot, make_scenario({"COL": 0.95}, steps=6, liquidators=FREE, venues=PUSHED))
    rows = [row["generation"] for row in run.tables["liquidations"].rows() if row["account"] == "one"]
    assert rows[0] == 0
    assert len(rows) > 3
    assert all(generation > 0 for generation in rows[1:])


# --- how they are told ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run() -> Run:
    return simulate(make_snapshot(BOOK), make_scenario(FALL, steps=7, venues={"impact": 0.3, "anchored": ["USD"]}))


def test_every_term_has_a_name_of_its_own_a_unit_a_formula_and_a_source() -> None:
    assert len({t.name for t in TERMS}) == len(TERMS)
    for each in TERMS:
        assert each.unit
        assert each.formula
        assert each.source


def test_a_crash_with_everything_in_it_defines_nearly_every_term(run: Run) -> None:
    assert {t.name for t in TERMS} - terms(run).keys() == {"deleveraging by absorption"}
    assert all(np.isfinite(value) for value in terms(run).values())


def test_the_page_and_the_json_show_every_term_with_its_formula(run: Run) -> None:
    page, written = render(run), as_json(run)
    rows = run.tables["terms"].rows()
    assert written["terms"] == rows
    for row in rows:
        for text in (row["name"], row["unit"]):
            assert text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in page
    assert len(re.findall(r"branching ratio", page)) == 1


def test_info_prints_the_terms_of_a_run_and_replay_does_not(run: Run, tmp_path: Path) -> None:
    run.write(tmp_path / "run")
    make_snapshot({"a": Account({"ETH": 100.0}, {"USD": 238_000.0})}).write(tmp_path / "book")
    printed = unwind("info", "run", folder=tmp_path)
    assert (printed.returncode, printed.stderr) == (0, "")
    for row in run.tables["terms"].rows():
        assert row["name"] in printed.stdout
        assert row["unit"] in printed.stdout
    found = strict_json(unwind("info", "run", "--json", folder=tmp_path).stdout)
    assert found["terms"] == run.tables["terms"].rows()
    stressed = unwind("stress", "book", "--shock", "ETH=-30%", "--steps", "2", folder=tmp_path)
    assert "leverage multiplier" not in stressed.stdout
