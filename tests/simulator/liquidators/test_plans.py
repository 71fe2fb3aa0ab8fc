"""A liquidator acts where something is left after slippage, fees and gas, and at the size that leaves most."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocols.lending.interface import Offer
from simulator.book import Book, open_book
from simulator.cascade import Record
from simulator.liquidators.plans import HALVINGS, Plan, best_plan
from simulator.market.routes import Router
from simulator.scenario import Liquidators
from tests.simulator.books import ASSETS, ETH, POOLS, STEP_S, USD, Account, Pool, make_scenario, make_snapshot, play

# 100 ETH at 83 % back at most 241,062 USD
BROKEN = {"a": Account({"ETH": 100.0}, {"USD": 243_000.0})}
FREE: dict[str, Any] = {"gas_usd": 0.0, "flash_fee": 0.0}


def book_of(accounts: dict[str, Account] | None = None, pools: tuple[Pool, ...] = POOLS) -> Book:
    return open_book(make_snapshot(accounts or BROKEN, pools))


def plan_of(book: Book, account: int = 0, **behaviour: Any) -> Plan | None:
    router = Router(book.venues, book.token_row)
    return best_plan(book, router, Liquidators(**FREE | behaviour), 0, book.markets[0].offers(account))


def the_plan(book: Book, **behaviour: Any) -> Plan:
    plan = plan_of(book, **behaviour)
    assert plan is not None
    return plan


def test_nobody_acts_on_a_healthy_account() -> None:
    book = book_of({"a": Account({"ETH": 100.0}, {"USD": 241_000.0})})
    assert book.markets[0].health_raw(0) > 10**18
    assert plan_of(book) is None


def test_profit_is_what_a_constant_product_pool_pays_less_what_was_repaid() -> None:
    book = book_of(pools=(Pool("ETH", "USD", 30.0e6),))
    reserve_usd, reserve_eth = book.venues[0].reserves_raw()
    plan = the_plan(book, gas_usd=31.0, flash_fee=0.0009)
    # close factor one half; bonus 5 %, of which the protocol keeps a tenth
    repaid = 243_000.0 / 2
    received = repaid * USD.price_usd / ETH.price_usd * (1.05 - 0.05 * 0.10 * 1.0)
    kept = received * 0.997
    sold_for = kept * (reserve_usd / 1e6) / (reserve_eth / 1e18 + kept)
    assert plan.terms.repaid_raw / 1e6 == pytest.approx(repaid, rel=1e-9)
    assert plan.terms.received_raw / 1e18 == pytest.approx(received, rel=1e-9)
    assert plan.proceeds_raw / 1e6 == pytest.approx(sold_for, rel=1e-9)
    assert plan.profit_usd == pytest.approx((sold_for - repaid * 1.0009) * USD.price_usd - 31.0, rel=1e-7)


@pytest.mark.parametrize("cost", ["gas_usd", "minimum_profit_usd"])
def test_a_cost_that_leaves_exactly_nothing_is_not_worth_it(cost: str) -> None:
    profit = the_plan(book_of()).profit_usd
    assert plan_of(book_of(), **{cost: profit * 0.999}) is not None
    assert plan_of(book_of(), **{cost: profit}) is None


def test_the_fee_for_borrowing_the_repayment_can_eat_the_bonus() -> None:
    assert plan_of(book_of(), flash_fee=0.03) is not None
    assert plan_of(book_of(), flash_fee=0.05) is None


def test_no_more_is_repaid_than_the_capital() -> None:
    whole = the_plan(book_of())
    bound = the_plan(book_of(), capital_usd=10_007.0)
    assert whole.terms.repaid_raw > 100_000 * 10**6
    assert bound.amount_raw == bound.terms.repaid_raw == int(10_007.0 / USD.price_usd * 1e6)


def test_a_thin_pool_makes_for_a_smaller_liquidation() -> None:
    # a bonus of 4.5 % pays for a sale of up to about 4 % of the pool, and pays most at half of that
    whole = the_plan(book_of(pools=(Pool("ETH", "USD", 60.0e6),)))
    thin = the_plan(book_of(pools=(Pool("ETH", "USD", 2.0e6),)))
    assert thin.terms.repaid_raw < whole.terms.repaid_raw / 3
    assert thin.profit_usd < whole.profit_usd


def test_the_size_taken_pays_at_least_as_much_as_every_half_of_the_largest() -> None:
    for depth in (0.3e6, 1.1e6, 4.0e6, 17.0e6):
        book = book_of(pools=(Pool("ETH", "USD", depth),))
        best = the_plan(book)
        most = book.markets[0].offers(0)[0].most_raw
        sizes = {most >> halving for halving in range(HALVINGS + 1)}
        assert best.amount_raw in sizes
        for size in sizes:
            terms = book.markets[0].terms(best.offer, size)
            sale = Router(book.venues, book.token_row).sale(0, 2, terms.received_raw)
            if not terms.refusal:
                assert (sale.received_raw - terms.repaid_raw) / 1e6 * USD.price_usd <= best.profit_usd + 1e-6


def test_a_size_that_the_pools_cannot_take_whole_is_halved_until_they_can() -> None:
    # one range that ends 3 % below the price, with 50,000 USD in it
    book = book_of(pools=(Pool("ETH", "USD", 50_000.0, 500, width=300),))
    plan = the_plan(book)
    most = book.markets[0].offers(0)[0].most_raw
    assert plan.amount_raw == most >> 2
    assert plan.sale is not None
    assert not plan.sale.exhausted
    whole = Router(book.venues, book.token_row).sale(0, 2, book.markets[0].terms(plan.offer, most).received_raw)
    assert whole.exhausted


def test_nobody_acts_where_there_is_no_pool_to_sell_in() -> None:
    assert plan_of(book_of(pools=(Pool("BTC", "USD", 1e6),))) is None


def test_of_two_collaterals_the_one_that_pays_more_is_taken() -> None:
    # BTC's bonus is larger, but where its pools are thin that is lost in the sale
    accounts = {"a": Account({"ETH": 50.0, "BTC": 2.5}, {"USD": 240_000.0})}
    deep = (Pool("BTC", "USD", 50.0e6), Pool("ETH", "USD", 50.0e6))
    thin = (Pool("BTC", "USD", 0.2e6), Pool("ETH", "USD", 50.0e6))
    assert the_plan(book_of(accounts, deep)).offer.collateral == 1
    assert the_plan(book_of(accounts, thin)).offer.collateral == 0


def test_of_two_debts_the_one_that_pays_more_is_repaid() -> None:
    accounts = {"a": Account({"ETH": 100.0}, {"USD": 180_000.0, "DAI": 63_000.0})}
    assert the_plan(book_of(accounts)).offer.debt == 2
    assert the_plan(book_of(accounts, (Pool("ETH", "DAI", 20.0e6), Pool("ETH", "USD", 0.05e6)))).offer.debt == 3


def test_an_outside_market_pays_the_market_price_less_its_haircut() -> None:
    plan = the_plan(book_of(pools=()), sell="outside", outside_haircut=0.013)
    assert plan.sale is None
    assert plan.proceeds_raw / 1e6 * USD.price_usd == pytest.approx(
        plan.terms.received_raw / 1e18 * ETH.price_usd * (1 - 0.013), rel=1e-9
    )


def test_a_haircut_above_the_bonus_keeps_everyone_away() -> None:
    assert plan_of(book_of(pools=()), sell="outside", outside_haircut=0.0425) is not None
    assert plan_of(book_of(pools=()), sell="outside", outside_haircut=0.0435) is None


def test_collateral_in_the_token_that_is_owed_needs_no_sale() -> None:
    # supplied and owed USD: 78.1 % of it backs the debt
    book = book_of({"a": Account({"USD": 100_000.0}, {"USD": 79_000.0})})
    plan = the_plan(book)
    assert plan.sale is None
    assert plan.proceeds_raw == plan.terms.received_raw
    assert plan.profit_usd == pytest.approx(79_000.0 / 2 * 0.045 * (1 - 0.09) * USD.price_usd, rel=1e-6)


def test_no_more_is_received_than_the_market_has_in_cash() -> None:
    # everything that was supplied is lent out but for what the account itself supplies
    cashless = replace(ETH, price_usd=ETH.price_usd)
    snapshot = make_snapshot(
        BROKEN | {"b": Account({"USD": 1e6}, {"ETH": 60.0})}, assets=(cashless, *ASSETS[1:]), lent_usd=0.0
    )
    book = open_book(snapshot)
    plan = the_plan(book)
    cash = book.markets[0].state()[0].liquidity_raw[0]  # type: ignore[attr-defined]
    assert plan.terms.received_raw <= cash


def test_a_plan_changes_nothing() -> None:
    book, untouched = book_of(), book_of()
    assert plan_of(book) == plan_of(book) == plan_of(untouched)
    assert book.markets[0].state() == untouched.markets[0].state()  # type: ignore[attr-defined]
    assert [v.reserves_raw() for v in book.venues] == [v.reserves_raw() for v in untouched.venues]


def test_a_plan_is_carried_out_on_the_terms_it_was_made_on() -> None:
    book = book_of()
    plan = the_plan(book)
    assert plan.offer == Offer(account=0, collateral=0, debt=2, most_raw=plan.offer.most_raw)
    assert book.markets[0].settle(plan.offer, plan.amount_raw).terms == plan.terms


# --- own money ------------------------------------------------------------------------------------------------------

OUTSIDE: dict[str, Any] = {"sell": "outside", "gas_usd": 0.0, "flash_fee": 0.01}


def held(run: Record) -> list[tuple[int, float]]:
    return [(row["step"], row["repaid_usd"]) for row in run.liquidations]


def crash_of(**liquidators: Any) -> Record:
    scenario = make_scenario({"ETH": 0.7}, steps=4, liquidators=OUTSIDE | liquidators)
    book = {name: Account({"ETH": 3.0}, {"USD": 6_900.0}) for name in "abc"}
    return play(make_snapshot(book), scenario).record


def test_own_money_costs_no_flash_fee_and_is_not_limited_unless_said() -> None:
    record = crash_of()
    assert {row["account"] for row in record.liquidations} == {"a", "b", "c"}
    assert {row["step"] for row in record.liquidations} == {1}
    assert not any(row["flash_fee_usd"] for row in record.liquidations)


def test_liquidators_buy_no_more_than_they_can_hold_until_they_have_sold() -> None:
    # 2,000 USD, of which a quarter is sold in each step
    record = crash_of(inventory_usd=2_000.0, turnover_s=4 * STEP_S)
    by_step = {step: sum(paid for at, paid in held(record) if at == step) for step in (1, 2, 3, 4)}
    assert by_step[1] == pytest.approx(2_000.0, rel=1e-3)
    assert [by_step[step] for step in (2, 3, 4)] == pytest.approx([500.0] * 3, rel=1e-2)


def test_where_both_are_open_collateral_goes_where_it_fetches_more() -> None:
    deep, haircut = crash_of(sell="best", flash_fee=0.0), crash_of(sell="best", flash_fee=0.0, outside_haircut=0.2)
    assert not [row for row in deep.swaps if row["liquidation"] >= 0]
    assert {row["liquidation"] for row in haircut.swaps if row["liquidation"] >= 0} == {
        row["liquidation"] for row in haircut.liquidations
    }
