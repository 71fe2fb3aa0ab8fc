"""Closed-form results of the literature come out of the engine: snapshot in, run out.

Amounts are in dollars at a price of one, so that figures are the papers' own. Unless stated otherwise a figure agrees
to 1e-9 of itself: what integers with twelve decimals, and prices with eight, leave.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np
import pytest

from chain.snapshot import Snapshot
from protocols.lending.aave_v4.market import AaveV4Market, Hubs
from protocols.lending.aave_v4.versions import V0511
from protocols.lending.interface import LendingMarket, Offer
from simulator.book import open_book
from simulator.run import Run, simulate
from simulator.scenario import Scenario
from tests.protocols.aave_v2_pools import market_of as v2_market
from tests.protocols.aave_v2_pools import simple_pool
from tests.protocols.aave_v4_spokes import NOW as V4_NOW
from tests.protocols.aave_v4_spokes import simple_spoke
from tests.simulator.books import Pool, make_scenario
from tests.simulator.plain import (
    DECIMALS,
    FREE,
    FRICTIONLESS,
    NOBODY,
    aave,
    compound_v2,
    constant_product,
    final,
    last,
    uncovered_usd,
    without_fee,
)

AAVE_V3 = ("3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7")
HALVED: dict[str, Any] = {"COL": 0.5}
"""The fall of a collateral that stands at two dollars in the snapshot, where every account is healthy."""


def fall(liquidators: dict[str, Any] = FRICTIONLESS, **content: Any) -> Scenario:
    return make_scenario(HALVED, liquidators=liquidators, **content)


# --- toxic liquidation spirals (Warmuz, Chaudhary, Pinna 2022) ------------------------------------------------------

FRONTIER = {
    0.01: 0.990099,
    0.045: 0.956938,
    0.05: 0.952381,
    0.08: 0.925926,
    0.085: 0.921659,
    0.10: 0.909091,
    0.13: 0.884956,
    0.15: 0.869565,
}
"""LTV above which a liquidation with this bonus raises the LTV, 1 / (1 + bonus), as published."""

bonuses = pytest.mark.parametrize("bonus", FRONTIER)


def spiral(debt: float, bonus: float, **parameters: Any) -> Snapshot:
    """An account that holds 100 after the fall and owes so much."""
    return compound_v2({"a": (100.0, debt)}, incentive=1 + bonus, price_usd=2.0, **parameters)


@bonuses
def test_above_the_toxic_frontier_liquidations_take_all_collateral_and_leave_bad_debt(bonus: float) -> None:
    debt = 100.0 * (FRONTIER[bonus] + 2e-6)
    run = simulate(spiral(debt, bonus), fall())
    assert len(run.tables["liquidations"]) > 5
    assert final(run, "collateral_after_usd") == pytest.approx(0.0, abs=1e-9)
    assert final(run, "debt_after_usd") == pytest.approx(debt - 100.0 / (1 + bonus), abs=1e-9)
    assert final(run, "debt_after_usd") > 1e-4


@bonuses
def test_below_the_toxic_frontier_liquidations_leave_a_healthy_account(bonus: float) -> None:
    run = simulate(spiral(100.0 * (FRONTIER[bonus] - 2e-6), bonus), fall())
    assert final(run, "health_factor_after") >= 1.0
    assert final(run, "debt_after_usd") > 0.0
    assert final(run, "debt_after_usd") < 0.75 * final(run, "collateral_after_usd")
    assert uncovered_usd(run) == last(run, "bad_debt_economic_usd") == 0.0


@bonuses
def test_a_partial_liquidation_moves_the_ltv_to_the_side_of_the_frontier_it_is_on(bonus: float) -> None:
    # before 3.3 half of a debt is repaid while the health factor is above 0.95, and there is no smallest remainder
    threshold = round(0.98 / (1 + bonus), 4)
    frontier = 1.05e6 * (1 + bonus)

    def health(collateral: float) -> list[int]:
        snapshot = aave({"a": (collateral, 1.05e6)}, threshold=threshold, bonus=1 + bonus, version="3.2", price_usd=2.0)
        run = simulate(snapshot, make_scenario(HALVED, steps=12, liquidators=FRICTIONLESS | {"per_step": 1}))
        return run.tables["liquidations"].ints("health_raw")

    # averages of thresholds are cut to basis points, values to 1e-8 dollars of the 500 that are left at the end
    on = health(frontier)
    assert on == pytest.approx([on[0]] * 12, rel=1e-10)
    assert on[0] == pytest.approx(threshold * (1 + bonus) * 10**18, rel=1e-10)
    below = health(frontier * 1.0005)
    assert len(below) > 4
    assert all(later > earlier for earlier, later in pairwise(below))
    above = health(frontier * 0.9995)
    assert len(above) > 4
    assert all(later < earlier for earlier, later in pairwise(above))


@bonuses
def test_on_the_frontier_collateral_and_debt_run_out_together(bonus: float) -> None:
    snapshot = aave({"a": (1 + bonus, 1.0)}, threshold=0.8, bonus=1 + bonus, version="3.2", price_usd=2.0)
    run = simulate(snapshot, fall())
    assert final(run, "collateral_after_usd") == final(run, "debt_after_usd") == 0.0
    assert uncovered_usd(run) == 0.0


@pytest.mark.parametrize("close_factor", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("liquidators", [{}, {"per_step": 1}, {"capital_usd": 1.7}], ids=["at once", "slow", "small"])
def test_the_bad_debt_of_a_spiral_depends_neither_on_the_close_factor_nor_on_the_number_of_steps(
    close_factor: float, liquidators: dict[str, Any]
) -> None:
    run = simulate(spiral(98.0, 0.05, close_factor=close_factor), fall(FRICTIONLESS | liquidators, steps=75))
    assert final(run, "collateral_after_usd") == pytest.approx(0.0, abs=1e-9)
    assert final(run, "debt_after_usd") == pytest.approx(98.0 - 100.0 / 1.05, abs=1e-9)
    # nor does any liquidation change what could not be recovered before it
    for row in run.tables["steps"].rows():
        assert row["bad_debt_economic_usd"] == pytest.approx(98.0 - 100.0 / 1.05, abs=1e-9)


@pytest.mark.parametrize("version", AAVE_V3)
@pytest.mark.parametrize("threshold", [0.945, 0.8], ids=["half first", "whole at once"])
def test_a_spiral_leaves_the_same_whatever_the_version(version: str, threshold: float) -> None:
    snapshot = aave({"a": (100e3, 98e3)}, threshold=threshold, version=version, price_usd=2.0)
    run = simulate(snapshot, fall())
    assert len(run.tables["liquidations"]) == (2 if threshold == 0.945 else 1)
    assert uncovered_usd(run) == pytest.approx(98e3 - 100e3 / 1.05, rel=1e-9)
    # the rule of 3.3 and later writes it off; before, it stays owed
    written_off = 0.0 if version < "3.3" else 98e3 - 100e3 / 1.05
    assert last(run, "bad_debt_realised_usd") == pytest.approx(written_off, rel=1e-9)


@pytest.mark.parametrize("seize_share", [0.0, 0.028])
def test_on_compound_the_frontier_in_borrowing_capacity_is_the_published_one(seize_share: float) -> None:
    # incentive 1.10, half closed at a time, factor 0.855: toxic from 1 / (1.10 * 0.855) = 1.0633 of the capacity
    def left(capacity_used: float) -> tuple[float, float]:
        debt = capacity_used * 0.855 * 10_000.0
        snapshot = compound_v2({"a": (10_000.0, debt)}, factor=0.855, incentive=1.1, seize_share=seize_share)
        run = simulate(snapshot, make_scenario(liquidators=FRICTIONLESS))
        # claims that the protocol keeps come out of the liquidator's, and change nothing here
        return final(run, "debt_after_usd"), final(run, "collateral_after_usd")

    # 1.35 is the published harness' target
    for capacity_used in (1.35, 1.0634):
        owed, held = left(capacity_used)
        assert held == pytest.approx(0.0, abs=1e-6)
        assert owed == pytest.approx(capacity_used * 8_550.0 - 10_000.0 / 1.1, abs=1e-6)
    owed, held = left(1.0632)
    assert 0.0 < owed <= 0.855 * held


# --- optimal fixed-spread liquidation (Qin, Zhou, Gamito, Jovanovic, Gervais 2021) ----------------------------------

UNIT: int = 10**DECIMALS
THRESHOLD, SPREAD, CLOSE = 0.75, 0.08, 0.5
HELD, OWED = 133.2, 100.0
FIRST = (OWED - THRESHOLD * HELD) / (1 - THRESHOLD * (1 + SPREAD))
"""r1, as much as can be repaid while the account stays liquidatable."""


def profit_of(market: LendingMarket, *repayments_raw: int) -> float:
    """What these repayments earn, one after the other; prices are one dollar and units equal."""
    earned = 0
    for amount in repayments_raw:
        (offer,) = market.offers(0)
        terms = market.settle(offer, amount).terms
        assert not terms.refusal
        earned += terms.received_raw - terms.repaid_raw
    return earned / UNIT


def test_a_fixed_spread_liquidation_in_one_earns_the_spread_on_the_closed_share() -> None:
    for snapshot in (
        compound_v2({"a": (HELD, OWED)}, factor=THRESHOLD, incentive=1 + SPREAD, close_factor=CLOSE),
        aave({"a": (HELD, OWED)}, threshold=THRESHOLD, bonus=1 + SPREAD, version="3.2"),
    ):
        run = simulate(snapshot, make_scenario(liquidators=FRICTIONLESS))
        (row,) = run.tables["liquidations"].rows()
        assert row["profit_usd"] == pytest.approx(SPREAD * CLOSE * OWED, rel=1e-9)
        assert row["profit_usd"] == pytest.approx(4.0, rel=1e-9)


def test_repaying_first_what_leaves_the_account_liquidatable_earns_more() -> None:
    assert pytest.approx(0.526316, abs=5e-7) == FIRST
    first = int(FIRST * UNIT)
    for snapshot in (
        compound_v2({"a": (HELD, OWED)}, factor=THRESHOLD, incentive=1 + SPREAD, close_factor=CLOSE),
        aave({"a": (HELD, OWED)}, threshold=THRESHOLD, bonus=1 + SPREAD, version="3.2"),
    ):
        # values have eight decimals in Aave: that much of a dollar short of the edge
        short = first - UNIT // 10**7
        (market,) = open_book(snapshot).markets
        (offer,) = market.offers(0)
        then = int(CLOSE * (OWED * UNIT - short))
        profit = profit_of(market, short, then)
        assert profit == pytest.approx(SPREAD * (FIRST + CLOSE * (OWED - FIRST)), rel=1e-7)
        assert profit == pytest.approx(4.0210526, abs=1e-6)
        assert profit - 4.0 == pytest.approx(SPREAD * (1 - CLOSE) * FIRST, rel=1e-5)
        # repaid to the edge and past it, the account is healthy and nothing follows
        (market,) = open_book(snapshot).markets
        market.settle(offer, first + UNIT // 10**6)
        assert market.offers(0) == []


@pytest.mark.parametrize("version", AAVE_V3)
def test_every_version_of_aave_v3_lets_a_large_position_be_liquidated_in_two(version: str) -> None:
    # the account is a thousand times the example; since 3.3 what is left must be worth a thousand dollars: it is
    snapshot = aave({"a": (1e3 * HELD, 1e3 * OWED)}, threshold=THRESHOLD, bonus=1 + SPREAD, version=version)
    first = int(1e3 * FIRST * UNIT) - UNIT // 10**4
    (market,) = open_book(snapshot).markets
    in_one = profit_of(market, 10**30)
    (market,) = open_book(snapshot).markets
    in_two = profit_of(market, first, 10**30)
    assert in_one == pytest.approx(4_000.0, rel=1e-9)
    assert in_two == pytest.approx(4_021.0526, abs=1e-3)


@pytest.mark.parametrize("version", AAVE_V3)
def test_since_3_3_a_small_position_is_closed_whole_so_that_two_repayments_earn_no_more(version: str) -> None:
    snapshot = aave({"a": (HELD, OWED)}, threshold=THRESHOLD, bonus=1 + SPREAD, version=version)
    (market,) = open_book(snapshot).markets
    in_one = profit_of(market, 10**30)
    if version < "3.3":
        assert in_one == pytest.approx(4.0, rel=1e-9)
        return
    assert in_one == pytest.approx(SPREAD * OWED, rel=1e-9)
    (market,) = open_book(snapshot).markets
    (offer,) = market.offers(0)
    refused = market.terms(offer, int(FIRST * UNIT) - UNIT // 10**7)
    assert refused.refusal == ("103" if version == "3.3" else "MustNotLeaveDust()")
    assert (refused.repaid_raw, refused.received_raw) == (0, 0)


def test_aave_v2_lets_a_position_be_liquidated_in_two() -> None:
    # ETH against USDC, both at a dollar's worth of ETH; values there are in wei
    usdc = 10**6
    pool = simple_pool(round(133_200e18), 100_000 * usdc, threshold_bps=7_500, collateral_price=10**18,
                       debt_price=10**18)  # fmt: skip
    reserves = pool.reserves._replace(bonus_bps=[10_800, 10_450, 10_400])
    earned = []
    for repayments in ([10**12], [int(1e3 * FIRST * usdc) - 1, 10**12]):
        market = v2_market(replace(pool, reserves=reserves))
        profit = 0.0
        for amount in repayments:
            (offer,) = market.offers(0)
            terms = market.settle(offer, min(amount, offer.most_raw)).terms
            profit += terms.received_raw / 10**18 - terms.repaid_raw / usdc
        earned.append(profit)
    assert earned[0] == pytest.approx(4_000.0, rel=1e-9)
    assert earned[1] == pytest.approx(4_021.0526, abs=1e-3)


def test_aave_v4_repays_to_a_target_so_that_two_repayments_earn_no_more() -> None:
    # 50 ETH at 2,000.123 dollars back 80 % of their worth; owed is half a per cent more than that
    spoke = simple_spoke(50 * 10**18, 80_400 * 10**6)
    state = spoke.reserves, spoke.configs, spoke.terms, spoke.positions

    def earned(first: float) -> float:
        market = AaveV4Market("spoke", V0511, ["a"], ["eth", "usdc", "dai"], Hubs(spoke.assets, V4_NOW), *state)
        profit = 0.0
        for share in (first, 1.0):
            offers = market.offers(0)
            if offers and share:
                terms = market.settle(offers[0], round(share * offers[0].most_raw)).terms
                assert not terms.refusal
                profit += terms.received_raw / 1e18 * 2_000.12345678 - terms.repaid_raw / 1e6 * 0.99998765
        return profit

    in_one = earned(0.0)
    assert in_one > 0.0
    for first in (0.02, 0.05, 0.2):
        assert earned(first) <= in_one * (1 + 1e-9)


# --- the loss frontier of loops (Gatto 2026) ------------------------------------------------------------------------

LOOP_THRESHOLD, LOOP_BONUS = 0.95, 0.01
FIRST_LOSS = 0.0742
"""The published price gap of the first loss; the rest of the position follows from it."""
LOOP_HEALTH = (1 + LOOP_BONUS) * LOOP_THRESHOLD / (1 - FIRST_LOSS)
LOOP_DEBT = LOOP_THRESHOLD * 100e6 / LOOP_HEALTH
"""Owed against 100 million of a staked token: about twelve times leverage."""
TOTAL_LOSS = [(0.05, 0.0), (0.08, 0.5743), (0.12, 4.5347), (0.20, 12.4554), (0.35, 27.3069)]
"""Bad debt, millions, of a price gap: max(0, D - 100 (1 - gap) / (1 + bonus))."""


def loop(gaps: float | list[float], version: str = "3.6", **content: Any) -> Run:
    """The loop under price gaps from its start, a step each."""
    values = [gaps] if isinstance(gaps, float) else gaps
    scenario = make_scenario(
        {"COL": [1.0 - gap for gap in values]}, steps=len(values) + 1, liquidators=FRICTIONLESS, **content
    )
    snapshot = aave({"a": (100e6, LOOP_DEBT)}, threshold=LOOP_THRESHOLD, bonus=1 + LOOP_BONUS, version=version)
    return simulate(snapshot, scenario)


def test_the_loop_is_the_published_one() -> None:
    assert pytest.approx(1.036401, abs=5e-7) == LOOP_HEALTH
    assert pytest.approx(0.916634, abs=5e-7) == LOOP_DEBT / 100e6
    assert pytest.approx(12.0, abs=0.005) == 100e6 / (100e6 - LOOP_DEBT)
    run = loop(0.0)
    assert final(run, "health_factor_before") == pytest.approx(LOOP_HEALTH, rel=1e-9)


def test_a_loop_is_eligible_from_a_gap_of_one_less_its_health_factors_inverse() -> None:
    assert pytest.approx(0.03512, abs=5e-6) == 1 - 1 / LOOP_HEALTH
    assert len(loop(0.03512).tables["liquidatable"]) == 0
    assert len(loop(0.03513).tables["liquidations"]) > 0


def test_a_loops_first_loss_is_at_the_published_gap() -> None:
    assert 1 - 1 / LOOP_HEALTH < FIRST_LOSS
    assert uncovered_usd(loop(FIRST_LOSS - 1e-6)) == 0.0
    assert uncovered_usd(loop(FIRST_LOSS + 1e-6)) == pytest.approx(1e-6 * 100e6 / 1.01, rel=1e-2)


@pytest.mark.parametrize(("gap", "lost_millions"), TOTAL_LOSS)
@pytest.mark.parametrize("version", ["3.2", "3.6"])
def test_a_price_gap_leaves_the_published_bad_debt_in_a_loop(gap: float, lost_millions: float, version: str) -> None:
    run = loop(gap, version)
    expected = max(0.0, LOOP_DEBT - 100e6 * (1 - gap) / (1 + LOOP_BONUS))
    assert uncovered_usd(run) == pytest.approx(expected, rel=1e-9)
    # figures as published, to their last digit
    assert uncovered_usd(run) / 1e6 == pytest.approx(lost_millions, abs=5e-5)


def test_a_fall_without_gaps_leaves_no_bad_debt_in_a_loop() -> None:
    # the threshold times the bonus is below one: liquidators are always in time. 35 % in steps of 0.25 %
    gaps = [0.0025 * step for step in range(1, 141)]
    run = loop(gaps)
    assert len(run.tables["liquidations"]) > 8
    assert uncovered_usd(run) == last(run, "bad_debt_economic_usd") == 0.0
    # the same fall seen only now and then by the oracle is a fall with gaps
    late = loop(gaps, oracles={"deviation": 0.119})
    assert uncovered_usd(late) == pytest.approx(LOOP_DEBT - 100e6 * 0.88 / 1.01, rel=1e-9)


# --- the depth of a constant product --------------------------------------------------------------------------------


def depth_run(held: float, owed: float, pools: tuple[Pool, ...], **content: Any) -> Run:
    """Liquidators sell in fee-less pools what they get of a single account, at a bonus that pays for a fall of 23 %."""
    snapshot = aave({"a": (held, owed)}, bonus=1.3, threshold=0.75, version="3.2", price_usd=2.0, pools=pools)
    return simulate(without_fee(snapshot), fall(FREE, **content))


def test_a_sale_gets_the_mean_price_of_the_constant_product_and_moves_it_by_its_square() -> None:
    # 1,000 on each side; the fall to a dollar, arbitraged, leaves x = y = sqrt(k)
    x = sqrt(1_000.0 / 2.0 * 1_000.0)
    impact = {"impact": 1.0, "anchored": ["OWED"]}
    run = depth_run(20.0, 15.05, (constant_product("COL", "OWED", 1_000.0),), steps=2, venues=impact)
    row = run.tables["liquidations"].rows()[0]
    sold = row["received_raw"] / UNIT
    assert sold == pytest.approx(0.5 * 15.05 * 1.3, rel=1e-9)
    assert row["proceeds_raw"] / row["received_raw"] == pytest.approx(x / (x + sold), rel=1e-9)
    assert row["slippage_usd"] / row["collateral_usd"] == pytest.approx(sold / (x + sold), rel=1e-9)
    # the whole move is handed on to the outside price, which the next step shows
    after = [row["outside_usd"] for row in run.tables["prices"].rows() if row["token"] == "0xcol"]
    assert after == pytest.approx([1.0, (x / (x + sold)) ** 2], rel=1e-9)


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.10, 0.20])
def test_the_depth_to_a_price_fall_is_the_pools_reserve_times_its_square_roots_excess(fraction: float) -> None:
    x = sqrt(1_000.0 / 2.0 * 1_000.0)
    depth = x * (1 / sqrt(1 - fraction) - 1)
    # all of the collateral is sold, and it is the depth to this fall
    impact = {"impact": 1.0, "anchored": ["OWED"]}
    run = depth_run(depth, depth, (constant_product("COL", "OWED", 1_000.0),), steps=2, venues=impact)
    (row,) = run.tables["liquidations"].rows()
    assert row["received_raw"] / UNIT == pytest.approx(depth, rel=1e-9)
    after = [row["outside_usd"] for row in run.tables["prices"].rows() if row["token"] == "0xcol"]
    assert after[1] == pytest.approx(1 - fraction, rel=1e-9)
    # and it is what arbitrage trades to bring an untouched pool there
    (pool,) = open_book(without_fee(aave({}, pools=(constant_product("COL", "OWED", 1_000.0),)))).venues
    trade = pool.trade_to(0, 1, 1 - fraction)
    assert trade is not None
    fill = pool.swap(trade.sold, trade.bought, trade.amount_raw, trade.limit_raw)
    assert fill.paid_raw / UNIT == pytest.approx(1_000.0 * (1 / sqrt(1 - fraction) - 1), rel=1e-9)


def test_two_equal_pools_share_a_sale_in_halves_and_are_one_pool_of_both_reserves() -> None:
    half, whole = (constant_product("COL", "OWED", usd) for usd in (500.0, 1_000.0))
    one = depth_run(15.0, 15.0, (whole,), steps=1)
    two = depth_run(15.0, 15.0, (half, half), steps=1)
    assert len(one.tables["liquidations"]) == len(two.tables["liquidations"]) == 1
    sales = [row for row in two.tables["swaps"].rows() if row["liquidation"] >= 0]
    assert {row["venue"] for row in sales} == {"0xpool0", "0xpool1"}
    first, second = (row["paid_raw"] for row in sales)
    assert first == pytest.approx(second, rel=1e-4)
    assert two.total("slippage_usd") == pytest.approx(one.total("slippage_usd"), rel=1e-6)


# --- infinite depth, none, and between ------------------------------------------------------------------------------

BONUS = 1.05


EDGES = (0.93, 0.9499, 0.9501, 0.97, 0.9999, 1.0001)
"""Health factors."""


def closed_form(held: float, owed: float, threshold: float, close_factor: float, whole_from: float) -> list[float]:
    """What frictionless liquidators leave of an account: held, owed, repaid.

    While it is unhealthy the closed share of its debt is repaid, or all of it at a health factor up to `whole_from`,
    and collateral of as much and the bonus is taken; where that is more than there is, all of it.
    """
    repaid = 0.0
    while owed > 0 and held > 0 and threshold * held < owed:
        now = owed if threshold * held <= whole_from * owed else close_factor * owed
        now = min(now, held / BONUS)
        held, owed, repaid = held - BONUS * now, owed - now, repaid + now
        if held < 1e-9:
            held = 0.0
    return [held, owed, repaid]


def scattered(count: int, low: float, high: float, seed: int = 7) -> dict[str, tuple[float, float]]:
    """Accounts with LTVs between two bounds after the fall, of very different sizes."""
    draw = np.random.default_rng(seed)
    sizes = np.round(10 ** draw.uniform(5.5, 8.0, count), 2)
    ltvs = draw.uniform(low, high, count)
    return {
        f"a{n:03}": (float(c), float(round(c * ltv, 2))) for n, (c, ltv) in enumerate(zip(sizes, ltvs, strict=True))
    }


@pytest.mark.parametrize(
    ("protocol", "close_factor", "whole_from"),
    [("3.0", 0.5, 0.95), ("3.2", 0.5, 0.95), ("3.6", 0.5, 0.95), ("3.7", 0.5, 0.95)]
    + [("compound_v2", share, 0.0) for share in (0.2, 0.5, 0.8)],
)
def test_with_infinite_depth_and_no_frictions_the_outcome_is_the_closed_form(
    protocol: str, close_factor: float, whole_from: float
) -> None:
    threshold = 0.8
    accounts = scattered(120, 0.6, 1.1)
    # and some at either side of where a debt is closed whole
    accounts |= {f"b{n}": (1e6 + n, round((1e6 + n) * threshold / health, 2)) for n, health in enumerate(EDGES)}
    if protocol == "compound_v2":
        parameters: dict[str, Any] = {"factor": threshold, "incentive": BONUS, "close_factor": close_factor}
        snapshot = compound_v2(accounts, price_usd=2.0, **parameters)
    else:
        snapshot = aave(accounts, threshold=threshold, bonus=BONUS, version=protocol, price_usd=2.0)
    run = simulate(snapshot, fall())
    seen = {"healthy": 0, "healed": 0, "under water": 0}
    for row in run.tables["accounts"].rows():
        held, owed, repaid = closed_form(*accounts[row["account"]], threshold, close_factor, whole_from)
        left = row["debt_after_usd"] + row["bad_debt_realised_usd"]
        size = accounts[row["account"]][0]
        assert row["collateral_after_usd"] == pytest.approx(held, rel=1e-9, abs=1e-9 * size)
        assert left == pytest.approx(owed, rel=1e-9, abs=1e-9 * size)
        assert row["repaid_usd"] == pytest.approx(repaid, rel=1e-9, abs=1e-9 * size)
        seen["healthy" if not repaid else "healed" if held else "under water"] += 1
    assert min(seen.values()) > 10
    lost = sum(max(0.0, owed - held / BONUS) for held, owed in accounts.values())
    # what is under water is lost whatever is done; nothing else is
    assert uncovered_usd(run) == pytest.approx(lost, rel=1e-8)
    assert run.total("slippage_usd") == pytest.approx(0.0, abs=1e-9 * run.total("repaid_usd"))
    assert run.total("profit_usd") == pytest.approx((BONUS - 1) * run.total("repaid_usd"), rel=1e-8)


def deep(depth_usd: float) -> tuple[Pool, ...]:
    return (constant_product("COL", "OWED", depth_usd),)


def outcome(depth_usd: float, accounts: dict[str, tuple[float, float]]) -> Run:
    """One step of liquidators who sell in a pool of this depth."""
    snapshot = aave(accounts, bonus=BONUS, version="3.2", price_usd=2.0, pools=deep(depth_usd))
    return simulate(without_fee(snapshot), fall(FREE, steps=1))


def balances(run: Run) -> list[float]:
    """What every account holds and owes at the end."""
    rows = run.tables["accounts"].rows()
    return [row[side] for row in rows for side in ("collateral_after_usd", "debt_after_usd")]


def test_a_pool_of_infinite_depth_is_a_market_without_slippage() -> None:
    accounts = scattered(25, 0.7, 1.1)
    snapshot = aave(accounts, bonus=BONUS, version="3.2", price_usd=2.0)
    ideal = simulate(snapshot, fall(steps=1))
    errors = []
    for depth_usd in (1e11, 1e13, 1e15):
        run = outcome(depth_usd, accounts)
        assert balances(run) == pytest.approx(balances(ideal), rel=1e-9, abs=1e-2)
        errors.append(abs(run.total("profit_usd") / ideal.total("profit_usd") - 1))
    assert errors[0] > 50 * errors[1] > 2_500 * errors[2]
    assert errors[2] < 1e-4


def test_a_pool_without_depth_is_a_market_without_liquidators() -> None:
    accounts = scattered(25, 0.7, 1.1)
    snapshot = aave(accounts, bonus=BONUS, version="3.2", price_usd=2.0)
    nobody = simulate(snapshot, fall(NOBODY, steps=1))
    assert len(nobody.tables["liquidations"]) == 0
    distances = []
    for depth_usd in (1e8, 1e6, 1e4, 1e2, 1.0):
        run = outcome(depth_usd, accounts)
        # no more is sold than the bonus pays for
        assert run.total("collateral_usd") <= 0.06 * depth_usd
        distances.append(float(np.abs(np.subtract(balances(run), balances(nobody))).sum()))
        assert uncovered_usd(run) == pytest.approx(uncovered_usd(nobody), abs=0.06 * depth_usd)
    assert all(later <= earlier for earlier, later in pairwise(distances))
    assert distances[0] > 1e5
    assert distances[-1] <= 0.2


# --- monotone where it is, and where it is not ----------------------------------------------------------------------

DEPTHS = (1.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e9, 1e12)


def beyond(run: Run, factor: float = 1.0) -> float:
    """What would be owed beyond collateral if that fell further by a factor, nobody doing anything."""
    accounts = run.tables["accounts"]
    pairs = zip(accounts.floats("debt_after_usd"), accounts.floats("collateral_after_usd"), strict=True)
    return float(sum(max(0.0, debt - factor * held) for debt, held in pairs))


@pytest.mark.parametrize("ltv", [0.82, 0.9, 0.94])
def test_below_the_frontier_deeper_pools_leave_less_to_lose_in_any_further_fall(ltv: float) -> None:
    runs = [outcome(depth_usd, {"a": (1e6, 1e6 * ltv)}) for depth_usd in DEPTHS]
    for further in (0.7, 0.4):
        lost = [beyond(run, further) for run in runs]
        assert all(later <= earlier * (1 + 1e-9) for earlier, later in pairwise(lost))
        assert lost[-1] < 0.8 * lost[0]
    assert [beyond(run) for run in runs] == [0.0] * len(runs)


def test_above_the_frontier_deeper_pools_lose_more() -> None:
    # over-collateralised, and yet every liquidation takes more than it repays in proportion
    lost = [beyond(outcome(depth_usd, {"a": (1e6, 0.98e6)})) for depth_usd in DEPTHS]
    assert all(later >= earlier for earlier, later in pairwise(lost))
    assert lost[0] == 0.0
    assert lost[-1] == pytest.approx(0.98e6 - 1e6 / BONUS, rel=1e-9)


def test_a_repayment_lowers_what_can_be_lost_below_the_frontier_and_raises_it_above() -> None:
    for debt, sign in ((90.0, -1), (98.0, 1)):
        ltvs = []
        for amount in (0.0, 10.0, 20.0, 40.0):
            (market,) = open_book(compound_v2({"a": (100.0, debt)}, incentive=BONUS)).markets
            if amount:
                market.settle(Offer(0, 0, 1, round(amount * UNIT)), round(amount * UNIT))
            exposures = market.exposures()
            ltvs.append(exposures.debt.sum() / exposures.supplied.sum())
            assert ltvs[-1] == pytest.approx((debt - amount) / (100.0 - BONUS * amount), rel=1e-9)
        assert all(sign * (later - earlier) > 0 for earlier, later in pairwise(ltvs))


@pytest.mark.parametrize("version", AAVE_V3)
def test_the_reversal_of_the_issue_a_frictionless_liquidator_makes_bad_debt_where_none_was(version: str) -> None:
    snapshot = aave({"a": (100.0, 98.0)}, bonus=BONUS, version=version, price_usd=2.0)
    without, with_one = (simulate(snapshot, fall(behaviour)) for behaviour in (NOBODY, FRICTIONLESS))
    assert uncovered_usd(without) == 0.0
    assert uncovered_usd(with_one) == pytest.approx(2.7619, abs=5e-5)
    assert uncovered_usd(with_one) == pytest.approx(98.0 - 100.0 / 1.05, rel=1e-9)
    # the economic measure says beforehand what a liquidation will make of it
    assert last(without, "bad_debt_economic_usd") == pytest.approx(98.0 - 100.0 / 1.05, rel=1e-9)


def test_a_later_rise_saves_what_a_frictionless_liquidator_would_have_lost() -> None:
    # the reversal in time: a price that comes back leaves everything to those who waited
    snapshot = aave({"a": (100.0, 98.0)}, bonus=BONUS, price_usd=2.0)
    back = {"COL": [0.5, 1.0]}
    without, with_one = (
        simulate(snapshot, make_scenario(back, steps=2, liquidators=behaviour)) for behaviour in (NOBODY, FRICTIONLESS)
    )
    assert uncovered_usd(without) == last(without, "bad_debt_economic_usd") == 0.0
    assert final(without, "health_factor_after") > 1.0
    assert uncovered_usd(with_one) == pytest.approx(98.0 - 100.0 / 1.05, rel=1e-9)
