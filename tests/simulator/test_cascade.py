"""Laws of the loop: who is liquidated and who is not, what moves prices, and where every unit of every token goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from chain.errors import InputError
from protocols.lending.interface import Offer
from simulator.book import open_book, value
from simulator.cascade import Cascade
from simulator.liquidators.plans import best_plan
from simulator.market.routes import Router
from simulator.scenario import Scenario
from tests.simulator.books import (
    ASSETS,
    BTC,
    DAI,
    ETH,
    POOLS,
    START,
    STEP_S,
    USD,
    Account,
    Asset,
    Played,
    Pool,
    make_scenario,
    make_snapshot,
    play,
    with_rates,
)

WAD = 10**18
ROW = {"ETH": 0, "BTC": 1, "USD": 2, "DAI": 3}
ADDRESS = {asset.symbol: asset.address for asset in ASSETS}

# 82 % of the collateral's worth at a threshold of 83 %: a fall of 2 % breaks it
TIGHT = Account({"ETH": 100.0}, {"USD": 238_000.0})
SAFE = Account({"ETH": 100.0}, {"USD": 90_000.0})

BOOK = {
    "a": Account({"ETH": 400.0}, {"USD": 900_000.0}),
    "b": Account({"ETH": 71.0, "BTC": 2.3}, {"USD": 170_000.0, "DAI": 80_000.0}),
    "c": Account({"BTC": 13.0}, {"DAI": 555_000.0}),
    "d": Account({"BTC": 4.1, "ETH": 9.0}, {"ETH": 70.0}),
    "e": Account({"USD": 310_000.0}, {"BTC": 3.7}),
    "f": Account({"DAI": 99_000.0, "ETH": 20.0}, {"USD": 110_000.0}),
    "g": Account({"ETH": 0.9}, {"USD": 1_900.0}),
    "h": Account({"ETH": 1500.0}, {"USD": 2_100_000.0, "DAI": 1_300_000.0}),
    "i": Account({"ETH": 33.0}, {"BTC": 1.2}),
    "j": Account({"USD": 70_000.0}, {"USD": 51_000.0}),
    "k": Account({"ETH": 33.0}, {"DAI": 11_000.0}),
    "l": Account({"ETH": 0.01}, {"USD": 12.0, "DAI": 10.0}),
}
FALL = {"ETH": [0.93, 0.86, 0.74, 0.60, 0.55, 0.62], "BTC": [0.97, 0.93, 0.85, 0.81, 0.92, 1.22]}


@pytest.fixture(scope="module")
def crash() -> Played:
    """A fall and a rise with everything switched on, and enough of everything happening to speak of laws."""
    scenario = make_scenario(
        FALL,
        steps=8,
        oracles={"deviation": 0.01, "delay_s": 60.0},
        liquidators={"gas_usd": 23.0, "flash_fee": 0.0009, "minimum_profit_usd": 5.0},
        venues={"impact": 0.3, "arbitrage_half_life_s": 18.0, "anchored": ["USD", "DAI"]},
    )
    played = play(make_snapshot(BOOK, assets=with_rates(ASSETS, ETH=0.031, USD=0.11, DAI=0.07, BTC=0.013)), scenario)
    record = played.record
    assert len(record.liquidations) >= 11
    assert len({row["account"] for row in record.liquidations}) >= 7
    assert record.deficits != []
    hops = [row["liquidation"] for row in record.swaps if row["liquidation"] >= 0]
    assert len(set(hops)) < len(hops), "some collateral goes through two pools"
    assert any(row["liquidation"] < 0 for row in record.swaps), "there is arbitrage"
    assert {row["collateral"] for row in record.liquidations} >= {ADDRESS["ETH"], ADDRESS["BTC"], ADDRESS["USD"]}
    return played


def liquidated(played: Played) -> set[str]:
    return {row["account"] for row in played.record.liquidations}


def outside(played: Played, step: int, token: str) -> float:
    return next(
        float(row["outside_usd"])
        for row in played.record.prices
        if row["step"] == step and row["token"] == ADDRESS[token]
    )


# --- who is liquidated ----------------------------------------------------------------------------------------------


def test_without_a_shock_nothing_happens() -> None:
    snapshot = make_snapshot({"tight": TIGHT, "safe": SAFE})
    played = play(snapshot, make_scenario(steps=5))
    assert played.record.liquidations == played.record.liquidatable == played.record.deficits == []
    assert played.record.swaps == []
    assert played.book.markets[0].state() == played.before.markets[0].state()  # type: ignore[attr-defined]
    assert played.book.outside_usd.tolist() == played.before.outside_usd.tolist()
    assert all(row["bad_debt_economic_usd"] == row["bad_debt_realised_usd"] == 0.0 for row in played.record.steps)


def test_a_healthy_account_is_never_liquidated(crash: Played) -> None:
    assert all(row["health_raw"] < WAD for row in crash.record.liquidations)
    assert all(row["health_raw"] < WAD for row in crash.record.liquidatable)
    assert "k" not in liquidated(crash)
    assert "j" not in liquidated(crash)


def test_who_is_liquidated_was_liquidatable_in_that_step(crash: Played) -> None:
    could = {(row["step"], row["account"]) for row in crash.record.liquidatable}
    assert {(row["step"], row["account"]) for row in crash.record.liquidations} <= could


def test_everyone_below_one_is_listed_as_liquidatable(crash: Played) -> None:
    by_step = defaultdict(set)
    for row in crash.record.liquidatable:
        by_step[row["step"]].add(row["account"])
    for row in crash.record.steps:
        assert row["accounts_liquidatable"] == len(by_step[row["step"]])
    # at the end the contract itself says who is
    market = crash.book.markets[0]
    below = {market.accounts[n] for n in range(len(market.accounts)) if market.health_raw(n) < WAD}
    assert below <= by_step[8]


def test_only_the_account_that_a_fall_breaks_is_liquidated() -> None:
    played = play(make_snapshot({"tight": TIGHT, "safe": SAFE}), make_scenario({"ETH": 0.95}))
    assert liquidated(played) == {"tight"}


def test_a_rise_of_what_is_owed_breaks_an_account_as_a_fall_of_what_is_held() -> None:
    short = Account({"USD": 100_000.0}, {"ETH": 26.0})
    snapshot = make_snapshot({"short": short, "long": TIGHT})
    assert liquidated(play(snapshot, make_scenario({"ETH": 1.06}))) == {"short"}
    assert liquidated(play(snapshot, make_scenario({"ETH": 0.97}))) == {"long"}


def test_interest_alone_breaks_a_tight_account_in_time() -> None:
    # 241,062 USD would break it; at 20 % a year that takes 14 days, whatever the length of a step
    day = 86_400.0
    tight = Account({"ETH": 100.0}, {"USD": 239_200.0})
    snapshot = make_snapshot({"tight": tight, "safe": SAFE}, assets=with_rates(ASSETS, USD=0.20))
    for step_s, steps in ((day, 30), (day / 4, 120)):
        played = play(snapshot, make_scenario(step_s=step_s, steps=steps))
        first = min(row["step"] for row in played.record.liquidatable)
        grown = 239_200.0 * USD.price_usd * np.exp(0.20 * first * step_s / (365 * day))
        before = 239_200.0 * USD.price_usd * np.exp(0.20 * (first - 1) * step_s / (365 * day))
        assert before < 0.83 * 100.0 * ETH.price_usd <= grown
        assert liquidated(played) == {"tight"}
    still = play(make_snapshot({"tight": tight}), make_scenario(step_s=day, steps=30))
    assert still.record.liquidatable == []


def test_an_account_is_taken_again_in_the_same_step_while_it_is_broken_and_pays() -> None:
    liquidators = {"gas_usd": 0.0, "flash_fee": 0.0, "capital_usd": 3_000.0}
    scenario = make_scenario({"ETH": 0.98}, steps=1, liquidators=liquidators)
    played = play(make_snapshot({"tight": TIGHT}), scenario)
    assert len(played.record.liquidations) > 3
    health = [row["health_raw"] for row in played.record.liquidations]
    assert health == sorted(health)
    assert health[-1] < WAD <= played.book.markets[0].health_raw(0)


def plans_left(played: Played, scenario: Scenario) -> list[str]:
    """Accounts that a liquidator would still do something with at the end."""
    router = Router(played.book.venues, played.book.token_row)
    market = played.book.markets[0]
    offers = [market.offers(row) for row in range(len(market.accounts))]
    plans = [best_plan(played.book, router, scenario.liquidators, 0, own) for own in offers]
    return [account for account, plan in zip(market.accounts, plans, strict=True) if plan is not None]


def test_when_a_step_ends_nothing_that_pays_is_left() -> None:
    for steps in range(1, 7):
        scenario = make_scenario(FALL, steps=steps, liquidators={"gas_usd": 23.0, "flash_fee": 0.0009})
        assert plans_left(play(make_snapshot(BOOK), scenario), scenario) == []


def test_what_pays_only_after_others_have_acted_is_taken_too() -> None:
    # buying ETH for the short makes the pool pay more for the small account's ETH, which did not pay before
    accounts = {"small": Account({"ETH": 1.0}, {"USD": 2_570.0}), "short": Account({"USD": 500_000.0}, {"ETH": 133.0})}
    pool = (Pool("ETH", "USD", 10e6),)
    scenario = make_scenario({"ETH": 1.05}, steps=1, liquidators={"gas_usd": 70.0, "flash_fee": 0.0})
    alone = play(make_snapshot({"small": accounts["small"]}, pool), scenario)
    assert len(alone.record.liquidatable) == 1
    assert alone.record.liquidations == []
    both = play(make_snapshot(accounts, pool), scenario)
    assert plans_left(both, scenario) == []
    assert liquidated(both) == {"short", "small"}


# --- who acts, and when ---------------------------------------------------------------------------------------------


def test_every_liquidation_pays(crash: Played) -> None:
    assert all(row["profit_usd"] > 5.0 for row in crash.record.liquidations)


@pytest.mark.parametrize(
    ("liquidators", "pools"),
    [
        ({"gas_usd": 1e6}, POOLS),
        ({"flash_fee": 0.05}, POOLS),
        ({"minimum_profit_usd": 1e6}, POOLS),
        ({"sell": "outside", "outside_haircut": 0.05}, POOLS),
        ({}, (Pool("ETH", "USD", 900.0),)),
        ({}, (Pool("BTC", "USD", 9e6),)),
    ],
    ids=["gas", "flash fee", "minimum profit", "haircut", "slippage", "no pool"],
)
def test_what_does_not_pay_is_not_taken_and_becomes_economic_bad_debt(
    liquidators: dict[str, Any], pools: tuple[Pool, ...]
) -> None:
    snapshot = make_snapshot({"tight": TIGHT}, pools)
    scenario = make_scenario({"ETH": [0.9, 0.6]}, steps=3, liquidators={"gas_usd": 0.0, "flash_fee": 0.0} | liquidators)
    played = play(snapshot, scenario)
    assert played.record.liquidations == played.record.deficits == []
    first, second, third = (row["bad_debt_economic_usd"] for row in played.record.steps)
    assert first == 0.0
    assert second == third == pytest.approx(238_000.0 * USD.price_usd - 100.0 * ETH.price_usd * 0.6 / 1.05, rel=1e-9)
    assert played.record.steps[-1]["bad_debt_realised_usd"] == 0.0


def test_more_gas_never_makes_for_more_liquidations() -> None:
    snapshot = make_snapshot(BOOK)
    counts = []
    for gas in (0.0, 40.0, 400.0, 4_000.0, 1e6):
        liquidators = {"gas_usd": gas, "flash_fee": 0.0}
        counts.append(len(play(snapshot, make_scenario(FALL, steps=6, liquidators=liquidators)).record.liquidations))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[2] > counts[-1] == 0


def test_no_liquidation_repays_more_than_the_capital() -> None:
    scenario = make_scenario({"ETH": 0.9}, steps=1, liquidators={"gas_usd": 0.0, "capital_usd": 17_000.0})
    played = play(make_snapshot({"tight": TIGHT, "other": TIGHT}), scenario)
    free = play(make_snapshot({"tight": TIGHT, "other": TIGHT}), make_scenario({"ETH": 0.9}, steps=1))
    assert max(row["repaid_usd"] for row in played.record.liquidations) <= 17_000.0
    assert max(row["repaid_usd"] for row in played.record.liquidations) == pytest.approx(17_000.0, rel=1e-6)
    assert max(row["repaid_usd"] for row in free.record.liquidations) > 17_000.0
    assert len(played.record.liquidations) > len(free.record.liquidations)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_no_more_liquidations_happen_in_a_step_than_fit(limit: int) -> None:
    accounts = {f"a{n}": Account({"ETH": 100.0 + n}, {"USD": 238_000.0 + 2_000.0 * n}) for n in range(5)}
    liquidators = {"gas_usd": 0.0, "flash_fee": 0.0, "per_step": limit}
    played = play(make_snapshot(accounts), make_scenario({"ETH": 0.9}, steps=4, liquidators=liquidators))
    by_step = [row["liquidations"] for row in played.record.steps]
    assert max(by_step) == by_step[0] == limit
    unbound = play(make_snapshot(accounts), make_scenario({"ETH": 0.9}, steps=4))
    assert unbound.record.steps[0]["liquidations"] > limit


def test_the_best_is_taken_first() -> None:
    accounts = {f"a{n}": Account({"ETH": 10.0 * n}, {"USD": 23_800.0 * n}) for n in (3, 1, 4, 2, 5)}
    deep = (Pool("ETH", "USD", 900e6, 500),)
    played = play(make_snapshot(accounts, deep), make_scenario({"ETH": 0.9}, steps=1))
    first = [row["account"] for row in played.record.liquidations[:5]]
    assert first == ["a5", "a4", "a3", "a2", "a1"]
    one = make_scenario({"ETH": 0.9}, steps=1, liquidators={"gas_usd": 0.0, "flash_fee": 0.0, "per_step": 1})
    assert liquidated(play(make_snapshot(accounts, deep), one)) == {"a5"}


def test_what_one_sale_does_to_a_pool_the_next_one_meets() -> None:
    # a pool that can take one of them at the bonus, but not all three in one step
    accounts = {name: Account({"ETH": 100.0}, {"USD": 238_000.0}) for name in "abc"}
    pool = (Pool("ETH", "USD", 6.0e6),)
    alone = play(make_snapshot({"a": accounts["a"]}, pool), make_scenario({"ETH": 0.96}, steps=1))
    three = play(make_snapshot(accounts, pool), make_scenario({"ETH": 0.96}, steps=1))
    rates = [row["proceeds_raw"] / row["received_raw"] for row in three.record.liquidations]
    assert rates[0] == alone.record.liquidations[0]["proceeds_raw"] / alone.record.liquidations[0]["received_raw"]
    assert all(later < earlier for earlier, later in pairwise(rates))
    assert len(rates) > 1


# --- prices ---------------------------------------------------------------------------------------------------------


def end_price(moves: Mapping[str, float], token: str, accounts: Mapping[str, Account], **venues: Any) -> float:
    played = play(make_snapshot(accounts), make_scenario(moves, steps=3, venues=venues))
    assert played.record.liquidations != []
    return outside(played, 3, token)


def test_a_falling_collateral_falls_further_where_sales_move_the_outside_price() -> None:
    big = {"a": Account({"ETH": 2000.0}, {"USD": 4_760_000.0})}
    ends = [end_price({"ETH": 0.9}, "ETH", big, impact=share) for share in (0.0, 0.1, 0.3, 1.0)]
    assert ends[0] == pytest.approx(0.9 * ETH.price_usd, rel=1e-12)
    assert all(more < less for less, more in pairwise(ends))


def test_a_rising_debt_is_bought_by_liquidators_and_rises_further() -> None:
    short = {"a": Account({"USD": 3_000_000.0}, {"ETH": 780.0})}
    ends = [end_price({"ETH": 1.06}, "ETH", short, impact=share) for share in (0.0, 0.1, 0.3, 1.0)]
    assert ends[0] == pytest.approx(1.06 * ETH.price_usd, rel=1e-12)
    assert all(more > less for less, more in pairwise(ends))
    played = play(make_snapshot(short), make_scenario({"ETH": 1.06}, steps=1))
    last_hops = {row["liquidation"]: row["token_out"] for row in played.record.swaps if row["liquidation"] >= 0}
    assert set(last_hops.values()) == {ADDRESS["ETH"]}


def test_impact_leaves_anchored_tokens_alone() -> None:
    big = {"a": Account({"ETH": 2000.0}, {"USD": 3_000_000.0, "DAI": 1_700_000.0})}
    scenario = make_scenario({"ETH": 0.9}, steps=3, venues={"impact": 0.5, "anchored": ["usd", DAI.address]})
    anchored = play(make_snapshot(big), scenario)
    for step in (1, 2, 3):
        assert outside(anchored, step, "USD") == USD.price_usd
        assert outside(anchored, step, "DAI") == DAI.price_usd
    assert outside(anchored, 3, "ETH") < 0.9 * ETH.price_usd
    free = play(make_snapshot(big), make_scenario({"ETH": 0.9}, steps=3, venues={"impact": 0.5}))
    assert outside(free, 3, "USD") > USD.price_usd


def test_impact_is_the_stated_share_of_the_move_in_the_only_pool() -> None:
    # one pool is all the market there is; with USD anchored the whole share falls on ETH
    big = {"a": Account({"ETH": 2000.0}, {"USD": 4_760_000.0})}
    pool = (Pool("ETH", "USD", 70e6),)
    for share in (0.25, 1.0):
        venues = {"impact": share, "anchored": ["USD"]}
        played = play(make_snapshot(big, pool), make_scenario({"ETH": 0.9}, steps=2, venues=venues))
        (arbitrage, *sales) = (row for row in played.record.swaps if row["step"] == 1)
        assert arbitrage["liquidation"] == -1
        usd, eth = played.before.venues[0].reserves_raw()
        usd, eth = usd - arbitrage["received_raw"], eth + arbitrage["paid_raw"]
        before = usd / eth
        for sale in sales:
            usd, eth = usd - sale["received_raw"], eth + sale["paid_raw"]
        fell = usd / eth / before
        assert fell < 0.97
        assert outside(played, 2, "ETH") == pytest.approx(0.9 * ETH.price_usd * fell**share, rel=1e-9)


def test_arbitrage_itself_moves_no_outside_price() -> None:
    played = play(make_snapshot({"safe": SAFE}), make_scenario({"ETH": 0.7}, steps=3, venues={"impact": 1.0}))
    assert played.record.swaps != []
    assert [outside(played, step, "ETH") for step in (1, 2, 3)] == pytest.approx([0.7 * ETH.price_usd] * 3, rel=1e-12)


@pytest.mark.parametrize("factor", [0.7, 0.995, 1.004, 1.5])
def test_arbitrage_brings_every_pool_to_within_its_fee_of_the_outside_price(factor: float) -> None:
    played = play(make_snapshot({"safe": SAFE}), make_scenario({"ETH": factor, "BTC": 1.1}, steps=1))
    book = played.book
    for venue in book.venues:
        first, second = (book.token_row[token] for token in venue.tokens)
        fair = (book.outside_usd[first] / book.unit[first]) / (book.outside_usd[second] / book.unit[second])
        assert (1 - venue.fee(0, 1)) * (1 - 1e-9) <= venue.price(0, 1) / fair <= (1 + 1e-9) / (1 - venue.fee(0, 1))


def test_arbitrage_closes_half_of_the_gap_in_a_half_life() -> None:
    pool = (Pool("ETH", "USD", 70e6, 100),)
    for half_lives, share in ((0.5, 1 - 2**-0.5), (1.0, 0.5), (2.0, 0.75)):
        venues = {"arbitrage_half_life_s": STEP_S / half_lives}
        played = play(make_snapshot({"safe": SAFE}, pool), make_scenario({"ETH": 0.6}, steps=1, venues=venues))
        fell = played.before.venues[0].price(0, 1) / played.book.venues[0].price(0, 1)
        assert fell == pytest.approx(0.6**share, rel=2e-4)
    never = make_scenario({"ETH": 0.6}, steps=1, venues={"arbitrage_half_life_s": 1e12})
    assert play(make_snapshot({"safe": SAFE}, pool), never).record.swaps == []


def test_a_crash_that_liquidates_nobody_is_the_scenario_and_nothing_more() -> None:
    played = play(make_snapshot({"safe": SAFE}), make_scenario(FALL, steps=6, venues={"impact": 1.0}))
    expected = [factor * ETH.price_usd for factor in FALL["ETH"]]
    assert [outside(played, step, "ETH") for step in range(1, 7)] == pytest.approx(expected, rel=1e-12)


# --- where everything goes ------------------------------------------------------------------------------------------


def test_the_collateral_of_a_liquidation_is_sold_whole_and_each_swap_pays_with_what_is_there(crash: Played) -> None:
    sales = defaultdict(list)
    for row in crash.record.swaps:
        if row["liquidation"] >= 0:
            sales[row["liquidation"]].append(row)
    for row in crash.record.liquidations:
        held = defaultdict(int, {row["collateral"]: row["received_raw"]})
        for hop in sales[row["liquidation"]]:
            assert hop["sequence"] > row["sequence"]
            assert hop["amount_raw"] == hop["paid_raw"] <= held[hop["token_in"]]
            held[hop["token_in"]] -= hop["paid_raw"]
            held[hop["token_out"]] += hop["received_raw"]
        assert {token: units for token, units in held.items() if units} == {row["debt"]: row["proceeds_raw"]}


def test_what_liquidators_are_left_with_is_all_that_came_in_less_all_that_went_out(crash: Played) -> None:
    left: dict[str, int] = defaultdict(int)
    for row in crash.record.liquidations:
        left[row["collateral"]] += row["received_raw"]
        left[row["debt"]] -= row["repaid_raw"]
    for row in crash.record.swaps:
        if row["liquidation"] >= 0:
            left[row["token_in"]] -= row["paid_raw"]
            left[row["token_out"]] += row["received_raw"]
    kept: dict[str, int] = defaultdict(int)
    for row in crash.record.liquidations:
        kept[row["debt"]] += row["proceeds_raw"] - row["repaid_raw"]
    assert {token: amount for token, amount in left.items() if amount} == kept
    assert all(amount > 0 for amount in kept.values())


def test_a_markets_cash_changes_by_what_is_repaid_less_what_is_received(crash: Played) -> None:
    before, after = (book.markets[0].state()[0].liquidity_raw for book in (crash.before, crash.book))  # type: ignore[attr-defined]
    change = [0] * len(ASSETS)
    row_of = {token: row for row, token in enumerate(crash.book.markets[0].tokens)}
    for row in crash.record.liquidations:
        change[row_of[row["debt"]]] += row["repaid_raw"]
        change[row_of[row["collateral"]]] -= row["received_raw"]
    assert [b - a for a, b in zip(before, after, strict=True)] == change
    assert all(change)


def test_a_pairs_reserves_change_by_what_was_swapped(crash: Played) -> None:
    for was, now in zip(crash.before.venues, crash.book.venues, strict=True):
        if was.protocol != "uniswap_v2":
            continue
        change = [0, 0]
        for row in crash.record.swaps:
            if row["venue"] == was.name:
                side = was.tokens.index(row["token_in"])
                change[side] += row["paid_raw"]
                change[1 - side] -= row["received_raw"]
        assert [b - a for a, b in zip(was.reserves_raw(), now.reserves_raw(), strict=True)] == change
        assert all(change)


def test_a_v3_pool_keeps_what_was_paid_in_less_its_fee(crash: Played) -> None:
    for was, now in zip(crash.before.venues, crash.book.venues, strict=True):
        if was.protocol != "uniswap_v3":
            continue
        change = [0.0, 0.0]
        swaps = [row for row in crash.record.swaps if row["venue"] == was.name]
        for row in swaps:
            side = was.tokens.index(row["token_in"])
            change[side] += row["paid_raw"] * (1 - was.fee(side, 1 - side))
            change[1 - side] -= row["received_raw"]
        assert swaps != []
        for a, b, moved in zip(was.reserves_raw(), now.reserves_raw(), change, strict=True):
            # fees and amounts are rounded to whole units in every swap
            assert b - a == pytest.approx(moved, rel=1e-9, abs=4 * len(swaps))


def test_the_record_alone_brings_a_fresh_book_to_the_same_end(crash: Played) -> None:
    """Executing what is written down, in its order, gives the same amounts and the same final state."""
    book = open_book(make_snapshot(BOOK, assets=with_rates(ASSETS, ETH=0.031, USD=0.11, DAI=0.07, BTC=0.013)))
    market = book.markets[0]
    venues = {venue.name: venue for venue in book.venues}
    row_of = {token: row for row, token in enumerate(market.tokens)}
    account_of = {account: row for row, account in enumerate(market.accounts)}
    deficits: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in crash.record.deficits:
        deficits[row["liquidation"]].append((row_of[row["token"]], row["amount_raw"]))
    events = sorted([*crash.record.liquidations, *crash.record.swaps], key=lambda row: row["sequence"])
    assert [row["sequence"] for row in events] == list(range(1, len(events) + 1))
    for step in crash.record.steps:
        market.advance(step["timestamp"])
        for price in crash.record.prices:
            if price["step"] == step["step"]:
                market.set_price(row_of[price["token"]], price["oracle_raw"])
        for row in (event for event in events if event["step"] == step["step"]):
            if "venue" in row:
                venue = venues[row["venue"]]
                sides = (venue.tokens.index(row["token_in"]), venue.tokens.index(row["token_out"]))
                fill = venue.swap(*sides, row["amount_raw"], row["limit_raw"])
                assert (fill.paid_raw, fill.received_raw) == (row["paid_raw"], row["received_raw"])
                continue
            account = account_of[row["account"]]
            assert market.health_raw(account) == row["health_raw"]
            offer = Offer(account, row_of[row["collateral"]], row_of[row["debt"]], row["amount_raw"])
            settled = market.settle(offer, row["amount_raw"])
            assert (settled.terms.repaid_raw, settled.terms.received_raw, settled.terms.fee_raw) == (
                row["repaid_raw"],
                row["received_raw"],
                row["fee_raw"],
            )
            assert list(settled.deficits_raw) == deficits[row["liquidation"]]
    assert market.state() == crash.book.markets[0].state()  # type: ignore[attr-defined]
    assert [v.state() for v in book.venues] == [v.state() for v in crash.book.venues]  # type: ignore[attr-defined]


def test_in_each_step_arbitrage_comes_before_liquidations(crash: Played) -> None:
    events = sorted([*crash.record.liquidations, *crash.record.swaps], key=lambda row: row["sequence"])
    assert [row["step"] for row in events] == sorted(row["step"] for row in events)
    for step in range(1, 9):
        own = [row["liquidation"] >= 0 for row in events if row["step"] == step]
        assert own == sorted(own)


# --- money ----------------------------------------------------------------------------------------------------------


def test_profit_is_what_is_left_when_everyone_is_paid(crash: Played) -> None:
    for row in [*crash.record.liquidations, *crash.record.steps]:
        paid = row["slippage_usd"] + row["repaid_usd"] + row["flash_fee_usd"] + row["gas_usd"]
        assert row["profit_usd"] == pytest.approx(row["collateral_usd"] - paid, rel=1e-9, abs=1e-6)
    for row in crash.record.liquidations:
        assert row["gas_usd"] == 23.0
        assert row["flash_fee_usd"] == pytest.approx(0.0009 * row["repaid_usd"], rel=1e-12)


def test_dollars_are_at_the_outside_prices_of_the_step(crash: Played) -> None:
    symbol = {asset.address: asset for asset in ASSETS}
    for row in crash.record.liquidations:
        for amount, token, worth in (
            ("received_raw", "collateral", "collateral_usd"),
            ("repaid_raw", "debt", "repaid_usd"),
            ("fee_raw", "collateral", "protocol_fee_usd"),
        ):
            asset: Asset = symbol[row[token]]
            price = outside(crash, row["step"], asset.symbol)
            assert row[worth] == pytest.approx(row[amount] / asset.unit * price, rel=1e-12)


def test_the_protocol_keeps_its_share_of_the_bonus(crash: Played) -> None:
    by_address = {asset.address: asset for asset in ASSETS}
    for row in crash.record.liquidations:
        asset = by_address[row["collateral"]]
        taken = row["received_raw"] + row["fee_raw"]
        bonus = taken - taken * 10_000 / asset.bonus
        assert row["fee_raw"] == pytest.approx(bonus * asset.fee / 10_000, rel=1e-6, abs=2)


def test_a_step_sums_up_its_liquidations(crash: Played) -> None:
    for step in crash.record.steps:
        own = [row for row in crash.record.liquidations if row["step"] == step["step"]]
        assert step["liquidations"] == len(own)
        assert step["accounts_liquidated"] == len({row["account"] for row in own})
        for name in ("collateral_usd", "repaid_usd", "protocol_fee_usd", "slippage_usd", "profit_usd"):
            assert step[name] == pytest.approx(sum(row[name] for row in own), rel=1e-12)


# --- bad debt -------------------------------------------------------------------------------------------------------


def test_realised_bad_debt_is_the_sum_of_the_deficits(crash: Played) -> None:
    booked: dict[str, int] = defaultdict(int)
    for row in crash.record.deficits:
        booked[row["token"]] += row["amount_raw"]
    market = crash.book.markets[0]
    assert dict(zip(market.tokens, market.deficits_raw(), strict=True)) == {
        token: booked[token] for token in market.tokens
    }
    at_the_end = sum(crash.book.usd(crash.book.token_row[token], amount) for token, amount in booked.items())
    assert crash.record.steps[-1]["bad_debt_realised_usd"] == pytest.approx(at_the_end, rel=1e-12)
    assert at_the_end > 0


def test_economic_bad_debt_is_what_collateral_over_bonus_does_not_cover(crash: Played) -> None:
    by_address = {asset.address: asset for asset in ASSETS}
    market, tokens = crash.book.markets[0], crash.book.market_tokens[0]
    found = value(market.exposures(), crash.book.outside_usd[tokens]).bad_debt_usd
    reserves, positions = market.state()  # type: ignore[attr-defined]
    total = 0.0
    for account in range(len(market.accounts)):
        owed = recoverable = 0.0
        for entry in range(positions.offsets[account], positions.offsets[account + 1]):
            asset = by_address[market.tokens[positions.reserve[entry]]]
            price = outside(crash, 8, asset.symbol)
            income, debt = (side[positions.reserve[entry]] for side in market._indices)  # type: ignore[attr-defined]
            owed += positions.debt_scaled[entry] * debt / 1e27 / asset.unit * price
            if positions.collateral[entry]:
                recoverable += positions.supplied_scaled[entry] * income / 1e27 / asset.unit * price * 1e4 / asset.bonus
        total += max(0.0, owed - recoverable)
        assert found[account] == pytest.approx(max(0.0, owed - recoverable), rel=1e-9, abs=1e-3)
    assert len(reserves.unit) == len(ASSETS)
    assert crash.record.steps[-1]["bad_debt_economic_usd"] == pytest.approx(total, rel=1e-9, abs=1e-3)


def test_slippage_is_never_bad_debt() -> None:
    # a thin pool costs liquidators dearly, but where the account stays covered nobody's claim is lost
    accounts = {"tight": TIGHT}
    deep = play(make_snapshot(accounts, (Pool("ETH", "USD", 900e6),)), make_scenario({"ETH": 0.96}))
    thin = play(make_snapshot(accounts, (Pool("ETH", "USD", 6e6),)), make_scenario({"ETH": 0.96}))

    def slippage(played: Played) -> float:
        return float(sum(row["slippage_usd"] / row["collateral_usd"] for row in played.record.liquidations))

    assert slippage(thin) > 3 * slippage(deep) > 0.0
    for played in (deep, thin):
        assert played.record.steps[-1]["bad_debt_economic_usd"] == 0.0
        assert played.record.steps[-1]["bad_debt_realised_usd"] == 0.0


def test_an_account_under_water_leaves_a_deficit_of_what_its_collateral_does_not_repay() -> None:
    # all collateral is taken at once: what remains of the debt is booked by the protocol
    played = play(make_snapshot({"a": Account({"ETH": 1.0}, {"USD": 2_300.0})}), make_scenario({"ETH": 0.5}))
    (row,), (deficit,) = played.record.liquidations, played.record.deficits
    assert row["repaid_raw"] + deficit["amount_raw"] == pytest.approx(2_300.0 * 1e6, abs=2)
    assert row["repaid_usd"] == pytest.approx(ETH.price_usd * 0.5 / 1.05, rel=1e-5)
    assert deficit["liquidation"] == row["liquidation"]
    assert deficit["amount_usd"] == pytest.approx(deficit["amount_raw"] / 1e6 * USD.price_usd, rel=1e-12)
    last = played.record.steps[-1]
    assert last["bad_debt_realised_usd"] == pytest.approx(deficit["amount_usd"], rel=1e-12)
    assert last["bad_debt_economic_usd"] == 0.0


def test_before_3_3_what_collateral_does_not_cover_stays_owed_and_is_never_realised() -> None:
    snapshot = make_snapshot({"a": Account({"ETH": 1.0}, {"USD": 2_300.0})}, version="3.2")
    played = play(snapshot, make_scenario({"ETH": 0.5}))
    assert len(played.record.liquidations) == 1
    assert played.record.deficits == []
    last = played.record.steps[-1]
    left = 2_300.0 * USD.price_usd - ETH.price_usd * 0.5 / 1.05
    assert last["bad_debt_economic_usd"] == pytest.approx(left, rel=1e-5)
    assert last["bad_debt_realised_usd"] == 0.0


# --- the rest -------------------------------------------------------------------------------------------------------


def test_time_advances_by_whole_steps(crash: Played) -> None:
    assert [row["timestamp"] for row in crash.record.steps] == [START + STEP_S * n for n in range(1, 9)]
    assert crash.book.timestamp == START + 8 * STEP_S


def test_the_same_run_twice_is_the_same_run(crash: Played) -> None:
    scenario = make_scenario(FALL, steps=6, venues={"impact": 0.3})
    assert play(make_snapshot(BOOK), scenario).record == play(make_snapshot(BOOK), scenario).record


def test_progress_is_told_every_step() -> None:
    book, told = open_book(make_snapshot({"safe": SAFE})), list[tuple[int, int]]()
    Cascade(book, make_scenario(steps=4), [[0] * len(ASSETS)]).run(lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    "content",
    [
        {"prices": [{"tokens": ["DOGE"], "seconds": [0], "values": [1.0]}]},
        {"venues": {"anchored": ["DOGE"]}},
        {"oracles": {"per_token": {"DOGE": {"deviation": 0.1}}}},
    ],
    ids=["prices", "anchored", "per_token"],
)
def test_a_token_that_the_book_does_not_have_is_refused_wherever_it_stands(content: dict[str, Any]) -> None:
    book = open_book(make_snapshot({"safe": SAFE}))
    with pytest.raises(InputError, match="DOGE"):
        Cascade(book, make_scenario(**content), [[0] * len(ASSETS)])


def test_an_empty_pool_takes_no_part() -> None:
    pools = (*POOLS[:2], Pool("ETH", "USD", 0.0))
    played = play(make_snapshot({"tight": TIGHT}, pools), make_scenario({"ETH": 0.9}, venues={"impact": 0.5}))
    assert liquidated(played) == {"tight"}
    assert "0xpool2" not in {row["venue"] for row in played.record.swaps}
    assert BTC.address not in {row["token_in"] for row in played.record.swaps}


@pytest.mark.parametrize(("latency_s", "first"), [(0.0, 1), (59.0, 2), (60.0, 2), (61.0, 3)])
def test_nobody_acts_before_the_latency_has_passed(latency_s: float, first: int) -> None:
    liquidators = {"sell": "outside", "gas_usd": 0.0, "flash_fee": 0.0, "latency_s": latency_s}
    book = make_snapshot({"a": Account({"ETH": 3.0}, {"USD": 6_900.0})})
    played = play(book, make_scenario({"ETH": 0.9}, steps=4, liquidators=liquidators))
    assert played.record.liquidations[0]["step"] == first


def test_an_account_that_recovers_is_new_when_it_falls_again() -> None:
    liquidators = {"sell": "outside", "gas_usd": 0.0, "flash_fee": 0.0, "latency_s": 60.0}
    moves = {"ETH": [0.9, 1.0, 0.9, 0.9]}
    book = make_snapshot({"a": Account({"ETH": 3.0}, {"USD": 6_900.0})})
    played = play(book, make_scenario(moves, steps=4, liquidators=liquidators))
    assert played.record.liquidations[0]["step"] == 4
