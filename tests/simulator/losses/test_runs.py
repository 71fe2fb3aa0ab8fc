"""Suppliers who run empty a reserve, wait for what it does not have, and take the cash that liquidators need."""

from __future__ import annotations

from math import exp, inf
from pathlib import Path
from typing import Any

import pytest

from chain.errors import InputError
from protocols.lending.aave_v3.market import AaveV3Market
from simulator.run import Run, simulate
from simulator.summary import headline
from simulator.verify import verify
from tests.simulator.books import STEP_S, Account, Played, make_scenario, make_snapshot, play, with_rates
from tests.simulator.losses.books import FRICTIONLESS, UNIT, address, chain, run, scenario
from tests.simulator.plain import aave, asset, compound_v2

MINUTE = 60.0
HALF_A_STEP = 41.58883083359672
"""Intensity an hour at which half leaves in a minute: 60 ln 2."""
ALL_AT_ONCE = 1e6


def running(**rule: Any) -> dict[str, Any]:
    return {"runs": [{"market": "first", "token": "USD", "per_hour": HALF_A_STEP} | rule]}


def exits(played: Played, column: str) -> list[float]:
    return [row[column] / UNIT for row in played.record.exits]


def test_what_is_asked_for_is_paid_until_the_cash_is_gone_and_then_waits() -> None:
    # 1,000 supplied, 800 of it lent, 200 there: half of what is not asked for yet is asked for in each minute
    played = run(chain(), contagion=running(from_s=0.0), steps=3)
    assert exits(played, "demanded_raw") == pytest.approx([500.0, 250.0, 125.0], rel=1e-9)
    assert exits(played, "served_raw") == pytest.approx([200.0, 0.0, 0.0], rel=1e-12)
    assert exits(played, "waiting_raw") == pytest.approx([300.0, 550.0, 675.0], rel=1e-9)
    assert [row["utilisation"] for row in played.record.exits] == pytest.approx([1.0, 1.0, 1.0])


def test_it_does_not_depend_on_the_length_of_a_step_how_many_leave() -> None:
    slow = {"per_hour": 0.2, "from_s": 0.0}
    for step_s in (30.0, 60.0, 120.0):
        steps = round(240.0 / step_s)
        content = {"step_s": step_s, "liquidators": FRICTIONLESS, "contagion": running(**slow)}
        played = play(chain(), make_scenario(None, steps=steps, **content))
        assert sum(exits(played, "served_raw")) == pytest.approx(1000.0 * (1.0 - exp(-0.2 * 240 / 3600)), rel=1e-9)


def test_the_larger_a_supplier_the_later_it_is_out_and_beyond_the_cash_it_is_not() -> None:
    played = run(chain(), contagion=running(per_hour=6.0, from_s=60.0), steps=4)
    share = 1.0 - exp(-0.1)
    paid = [min(200.0, 1000.0 * (1.0 - exp(-0.1 * n))) for n in range(1, 5)]
    assert exits(played, "served_raw")[0] == pytest.approx(1000.0 * share, rel=1e-9)
    assert sum(exits(played, "served_raw")) == pytest.approx(200.0, rel=1e-12)
    times = {row["tenths"]: row["seconds"] for row in played.record.exit_times}
    # a tenth is 100: 95 are paid in the first minute, and 181 in two
    assert paid[0] < 100.0 < paid[1]
    assert times[1] == MINUTE
    assert times[2] == 2 * MINUTE
    assert [times[n] for n in range(3, 11)] == [inf] * 8
    assert [row["amount_raw"] / UNIT for row in played.record.exit_times] == pytest.approx(
        [100.0 * n for n in range(1, 11)]
    )


def test_news_losses_or_utilisation_begin_it_and_nothing_else_does() -> None:
    def began(moves: dict[str, float] | None = None, **rule: Any) -> list[int]:
        return [row["step"] for row in run(chain(), moves, contagion=running(**rule)).record.exits]

    assert began(from_s=2 * STEP_S) == [2, 3, 4]
    assert began(from_s=1e9) == []
    assert began(utilisation=0.81) == []
    assert began(utilisation=0.8) == [1, 2, 3, 4]
    assert began(loss=0.1) == []
    # a third is lost in step 1, and known of in step 2
    assert began({"COL": 0.5}, loss=0.1) == [2, 3, 4]
    assert began({"COL": 0.5}, loss=0.5) == []


def test_a_run_on_what_liquidators_would_be_paid_in_leaves_them_nothing_to_take() -> None:
    book = aave({"a": (1000.0, 700.0)}, lent_usd=500.0)
    calm = make_scenario({"COL": 0.8}, steps=2, liquidators=FRICTIONLESS)
    assert [row["step"] for row in play(book, calm).record.liquidations] == [1]
    rule = {"market": "pool", "token": "COL", "per_hour": ALL_AT_ONCE, "from_s": 0.0}
    # others' 500 leave, and a's own collateral of 1,000 is lent to nobody: it can still be paid out
    played = play(book, make_scenario({"COL": 0.8}, steps=2, liquidators=FRICTIONLESS, contagion={"runs": [rule]}))
    assert sum(row["served_raw"] for row in played.record.exits) == pytest.approx(500 * asset("COL").unit, rel=1e-6)
    assert len(played.record.liquidations) == 1


def test_at_full_utilisation_nobody_can_liquidate_for_the_cash() -> None:
    """b has borrowed all of the collateral that a has and that others have not left: there is none to pay out."""
    assets = (asset("COL"), asset("OWED"))
    accounts = {"a": Account({"COL": 1000.0}, {"OWED": 700.0}), "b": Account({"OWED": 5000.0}, {"COL": 1000.0})}
    book = make_snapshot(accounts, (), assets, lent_usd=500.0)
    fall = {"COL": 0.8}
    assert [
        row["account"] for row in play(book, make_scenario(fall, liquidators=FRICTIONLESS)).record.liquidations
    ] == ["a"]
    rule = {"market": "pool", "token": "COL", "per_hour": ALL_AT_ONCE, "from_s": 0.0}
    played = play(book, make_scenario(fall, liquidators=FRICTIONLESS, contagion={"runs": [rule]}))
    # but for the treasury's dust
    assert played.record.exits[0]["utilisation"] == pytest.approx(1.0, abs=1e-8)
    assert played.record.liquidations == []
    assert {row["outcome"] for row in played.record.liquidatable if row["account"] == "a"} == {"no offer"}


def test_rates_rise_as_cash_leaves() -> None:
    assets = with_rates((asset("COL"), asset("OWED")), OWED=0.05)
    book = make_snapshot({"a": Account({"COL": 1e6}, {"OWED": 1000.0})}, (), assets, lent_usd=9000.0)
    rule = {"market": "pool", "token": "OWED", "per_hour": ALL_AT_ONCE, "from_s": 0.0}
    played = play(book, make_scenario(None, steps=2, liquidators=FRICTIONLESS, contagion={"runs": [rule]}))
    reserves, _ = played.book.markets[0].state()  # type: ignore[attr-defined]
    assert reserves.borrow_rate_ray[1] == pytest.approx(reserves.slope1_ray[1] + reserves.slope2_ray[1], rel=1e-6)
    assert reserves.borrow_rate_ray[1] > played.before.markets[0].state()[0].borrow_rate_ray[1]  # type: ignore[attr-defined]


def test_suppliers_of_compound_are_paid_by_claims() -> None:
    book = compound_v2({"a": (1000.0, 500.0)}, cash=300.0)
    rule = {"market": "comptroller", "token": "OWED", "per_hour": ALL_AT_ONCE, "from_s": 0.0}
    played = play(book, make_scenario(None, steps=1, liquidators=FRICTIONLESS, contagion={"runs": [rule]}))
    unit = asset("OWED").unit
    (row,) = played.record.exits
    assert (row["served_raw"] / unit, row["waiting_raw"] / unit) == pytest.approx((300.0, 500.0), rel=1e-9)


def test_a_frozen_market_liquidates_nobody_and_pays_nobody_until_it_thaws() -> None:
    frozen = {"freezes": [{"market": "first", "until_s": 2.5 * STEP_S}]} | running(from_s=0.0)
    played = run(chain(), {"COL": 0.5}, contagion=frozen)
    assert [row["step"] for row in played.record.liquidations if row["market"] == "first"] == [3]
    assert [row["outcome"] for row in played.record.liquidatable if row["market"] == "first"] == [
        "no offer",
        "no offer",
        "liquidated",
    ]
    assert [served > 0.0 for served in exits(played, "served_raw")] == [False, False, True, True]


def test_freezing_a_reserve_freezes_what_touches_it_alone() -> None:
    for token in ("COL", "USD"):
        played = run(chain(), {"COL": 0.5}, contagion={"freezes": [{"market": "first", "tokens": [token]}]})
        assert played.record.liquidations == []
    played = run(chain(), {"COL": 0.5}, contagion={"freezes": [{"market": "second"}]})
    assert {row["market"] for row in played.record.liquidations} == {"first"}
    # its accounts are as bad as without the freeze
    assert "b" in {row["account"] for row in played.record.liquidatable}
    assert address("VAULT") in {row["token"] for row in played.record.marks}


def test_nothing_is_said_of_runs_where_nobody_runs() -> None:
    played = play(chain(), scenario({"COL": 0.5}))
    assert (played.record.exits, played.record.exit_times) == ([], [])


def test_a_run_in_which_suppliers_left_is_not_verified_on_a_fork_where_they_stay() -> None:
    done = simulate(chain(), scenario(contagion=running(from_s=0.0)))
    read = Run(done.facts | {"snapshot": done.facts["snapshot"] | {"origin": "node"}}, done.tables)
    with pytest.raises(InputError, match="suppliers left"):
        verify(read, "http://127.0.0.1:1")


def test_the_summary_says_what_waits() -> None:
    lines = {line.what: line for line in headline(simulate(chain(), scenario(contagion=running(from_s=0.0))))}
    assert (lines["reserves that suppliers wait for"].value, lines["reserves that suppliers wait for"].note) == (
        1,
        "of 1 that they left",
    )


@pytest.mark.parametrize("units", [-1, 1])
def test_a_market_that_says_it_paid_what_it_did_not_is_noticed(monkeypatch: pytest.MonkeyPatch, units: int) -> None:
    pay_out = AaveV3Market.pay_out
    monkeypatch.setattr(AaveV3Market, "pay_out", lambda market, r, amount: pay_out(market, r, amount) + units)
    rule = {"market": "pool", "token": "COL", "per_hour": 1.0, "from_s": 0.0}
    with pytest.raises(AssertionError) as objection:
        play(aave({"a": (1000.0, 700.0)}), make_scenario(None, steps=2, contagion={"runs": [rule]}))
    assert Path(objection.traceback[-1].path).name == "ledger.py"
