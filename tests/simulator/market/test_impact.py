"""What liquidators do to venues comes back in outside prices by four parameters, each of which does what it says."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from math import exp, log
from typing import Any

import pytest

from simulator.market.impact import RECOVERY_S
from simulator.run import simulate
from tests.simulator.books import ETH, POOLS, STEP_S, USD, Account, Played, Pool, make_scenario, make_snapshot, play
from tests.simulator.plain import FREE, aave, last

BIG = {"a": Account({"ETH": 2000.0}, {"USD": 4_760_000.0})}
SAFE = {"safe": Account({"ETH": 30.0}, {"USD": 20_000.0})}


def outside(played: Played, token: str = ETH.address) -> list[float]:
    return [row["outside_usd"] for row in played.record.prices if row["token"] == token]


def once(steps: int = 6, **venues: Any) -> Played:
    """A fall in the first step that has one large sale follow it, and prices that stand still from then on."""
    venues = {"impact": 0.5, "anchored": ["USD"]} | venues
    return play(
        make_snapshot(BIG, (Pool("ETH", "USD", 300e6),)), make_scenario({"ETH": 0.9}, steps=steps, venues=venues)
    )


# --- what stays and what fades --------------------------------------------------------------------------------------


def test_the_share_that_stays_stays_and_the_rest_fades_by_its_half_life() -> None:
    start = 0.9 * ETH.price_usd
    full = [log(price / start) for price in outside(once(permanent=1.0))]
    assert full[0] == 0.0
    assert full[1] < -0.005
    assert full[2:] == pytest.approx([full[1]] * 4, rel=1e-9)
    kept = 0.5 ** (STEP_S / RECOVERY_S)
    for permanent in (0.0, 0.3):
        moved = [log(price / start) for price in outside(once(permanent=permanent))]
        left = [permanent + (1 - permanent) * kept**age for age in range(1, 6)]
        assert moved[1:] == pytest.approx([full[1] * share for share in left], rel=1e-9)


def test_after_the_sale_the_pool_returns_to_the_outside_price_by_half_a_half_life() -> None:
    half_life = 3 * STEP_S
    played = once(steps=8, arbitrage_half_life_s=half_life, impact=0.0)
    pool = played.book.venues[0]
    assert {row["step"] for row in played.record.liquidations} == {1}
    # without impact the outside price stands still from the first step on, and the gap closes by its half-life
    steps = [row["step"] for row in played.record.swaps if row["liquidation"] < 0]
    assert steps == list(range(1, 9))
    sides = [played.book.token_row[token] for token in pool.tokens]
    value = played.book.outside_usd / played.book.unit
    gap = abs(log(pool.price(0, 1) / (value[sides[0]] / value[sides[1]])))
    assert 0.001 < gap < 0.05


def test_the_length_of_a_step_does_not_change_how_fast_pools_are_arbitraged_back() -> None:
    ends = []
    for split in (1, 2, 5):
        scenario = make_scenario(
            {"ETH": 0.6},
            steps=10 * split,
            step_s=STEP_S / split,
            venues={"arbitrage_half_life_s": 4 * STEP_S},
            prices=[{"tokens": ["ETH"], "seconds": [0.0, 1e-9], "values": [1.0, 0.6]}],
        )
        played = play(make_snapshot(SAFE, (Pool("ETH", "USD", 70e6, 100),)), scenario)
        ends.append(log(played.book.venues[0].price(0, 1) / played.before.venues[0].price(0, 1)))
    assert [abs(end) for end in ends] == pytest.approx([-log(0.6) * (1 - 0.5**2.5)] * 3, rel=1e-2)


# --- who provides liquidity leaves ----------------------------------------------------------------------------------


def test_the_stated_share_of_every_pool_leaves_as_its_price_moves() -> None:
    venues = {"withdrawal": 2.0, "arbitrage_half_life_s": 1e15}
    played = play(make_snapshot(SAFE), make_scenario({"ETH": 0.8, "BTC": 1.1}, steps=3, venues=venues))
    moved = {frozenset(("ETH", "USD")): log(0.8), frozenset(("ETH", "BTC")): log(0.8 / 1.1)}
    moved |= {frozenset(("BTC", "USD")): log(1.1), frozenset(("USD", "DAI")): 0.0, frozenset(("ETH", "DAI")): log(0.8)}
    by_name = {f"0xpool{number}": pool for number, pool in enumerate(POOLS)}
    for was, now in zip(played.before.venues, played.book.venues, strict=True):
        pool = by_name[now.name]
        left = exp(-2.0 * abs(moved[frozenset((pool.base, pool.quote))]))
        for before, after in zip(was.reserves_raw(), now.reserves_raw(), strict=True):
            assert after == pytest.approx(before * left, rel=1e-9)
    # all of it in the first step: nothing has moved since
    assert {row["step"] for row in played.record.withdrawals} == {1}
    assert "0xpool5" not in {row["venue"] for row in played.record.withdrawals}


def test_who_has_left_does_not_leave_again_before_prices_move_further_than_ever() -> None:
    path = {"ETH": [0.9, 1.0, 0.9, 0.8, 0.85, 1.3]}
    played = play(make_snapshot(SAFE, POOLS[:1]), make_scenario(path, steps=6, venues={"withdrawal": 1.0}))
    # a rise is as adverse as a fall, once it is larger
    assert sorted({row["step"] for row in played.record.withdrawals}) == [1, 4, 6]


def test_without_withdrawal_nothing_leaves() -> None:
    assert play(make_snapshot(SAFE), make_scenario({"ETH": 0.5})).record.withdrawals == []


def test_the_more_liquidity_leaves_the_more_slippage_is_paid() -> None:
    paid = []
    for withdrawal in (0.0, 1.0, 4.0):
        scenario = make_scenario({"ETH": 0.9}, steps=3, venues={"withdrawal": withdrawal})
        rows = play(make_snapshot(BIG, (Pool("ETH", "USD", 70e6),)), scenario).record.liquidations
        paid.append(sum(row["slippage_usd"] for row in rows) / sum(row["collateral_usd"] for row in rows))
    assert all(more > less * 1.05 for less, more in pairwise(paid))


# --- order books in the engine --------------------------------------------------------------------------------------


def in_a_book(depth: float, impact: float = 1.0, **terms: Any) -> Any:
    """Two holders, of 60 and 40 units worth two dollars each; the price falls to one and the first must sell."""
    law = {"token": "COL", "quote": "OWED", "law": "linear", "depth": depth, "half_life_s": 1e12} | terms
    snapshot = aave({"seller": (60.0, 49.0), "other": (40.0, 1.0)}, bonus=30 / 24.5, version="3.2", price_usd=2.0)
    venues = {"impact": impact, "permanent": 1.0, "anchored": ["OWED"], "books": [law]}
    content = {"liquidators": FREE | {"per_step": 1}, "venues": venues, "steps": 2}
    return simulate(snapshot, make_scenario({"COL": 0.5}, **content))


def test_the_fire_sale_of_cont_and_schaanning_comes_out_of_the_engine() -> None:
    # 60 and 40 units, depth 1,000: half of the seller's debt of 49 is repaid for 30 units, bonus included
    run = in_a_book(1_000.0)
    (row,) = [r for r in run.tables["liquidations"].rows() if r["step"] == 1]
    sold = row["received_raw"] / 10**12
    # bonuses are in basis points: 30 but for 1e-4 of it
    assert sold == pytest.approx(30.0, rel=1e-4)
    prices = [r["outside_usd"] for r in run.tables["prices"].rows() if r["token"] == "0xcol"]
    assert prices[0] == 1.0
    assert prices[1] == pytest.approx(1 - sold / 1_000, rel=1e-12)
    assert prices[1] == pytest.approx(0.97, abs=1e-5)
    # the holder of 40 loses 1.2, the seller 0.9 on the 30 that are left
    assert 40 * (1.0 - prices[1]) == pytest.approx(1.2, abs=1e-3)
    assert (60 - sold) * (1.0 - prices[1]) == pytest.approx(0.9, abs=1e-3)
    # our convention: the sale gets the mean of the prices it passes, so 0.45 are lost on what is sold, by who buys it
    assert row["slippage_usd"] == pytest.approx(sold**2 / 2_000, rel=1e-9)
    (swap,) = [r for r in run.tables["swaps"].rows() if r["step"] == 1]
    assert (swap["protocol"], swap["venue"]) == ("order_book", "book 0 COL/OWED")


def test_an_infinitely_deep_book_is_the_market_price_and_a_shallow_one_is_exhausted() -> None:
    deep = in_a_book(1e15)
    assert len(deep.tables["liquidations"]) > 0
    assert deep.total("slippage_usd") == pytest.approx(0.0, abs=1e-9)
    # no price below zero: nobody can sell 30 units where 1 would take all of the price
    assert len(in_a_book(1.0).tables["liquidations"]) == 0
    assert last(in_a_book(1.0), "accounts_liquidatable") == 1


def test_a_book_returns_to_the_outside_price_where_that_takes_nothing_over() -> None:
    prices = defaultdict(list)
    for impact in (0.0, 1.0):
        run = in_a_book(1_000.0, impact)
        prices[impact] = [r["outside_usd"] for r in run.tables["prices"].rows() if r["token"] == "0xcol"]
    assert prices[0.0] == [1.0, 1.0]
    assert prices[1.0][1] < 0.98


def test_pools_and_books_share_a_sale_by_what_they_pay() -> None:
    book = {"token": "ETH", "quote": "USD", "law": "linear", "depth": 1e6, "volatility": 0.05}
    played = play(
        make_snapshot(BIG, (Pool("ETH", "USD", 5e6),)),
        make_scenario({"ETH": 0.9}, steps=2, venues={"books": [book], "anchored": [USD.address]}),
    )
    sold = {row["protocol"] for row in played.record.swaps if row["liquidation"] >= 0}
    assert "order_book" in sold
