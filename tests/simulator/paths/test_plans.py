"""What leaves one place arrives at another when a plan is carried out, and a plan is what the exact engine would do."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.book import Book, open_book
from simulator.liquidators.plans import best_plan as exact_plan
from simulator.market.routes import Router
from simulator.paths import kernel
from simulator.paths.build import build
from simulator.paths.deck import NONE, Deck
from simulator.paths.plans import Plan, State, best_plan, settle
from simulator.scenario import Scenario
from tests.simulator.books import make_scenario, make_snapshot
from tests.simulator.paths.test_engine import mixed

FALL = {"ETH": 0.82, "BTC": 0.85}
FREE = {"gas_usd": 3.0, "flash_fee": 0.0005}


def fallen(scenario: Scenario) -> tuple[Book, Deck, State]:
    """A book after a fall that its oracles have seen and nobody has acted on; pools are where they were."""
    book = open_book(make_snapshot(mixed(30)))
    deck = build(book, np.arange(1, len(book.tokens) + 1), scenario)
    for row, token in enumerate(book.tokens):
        factor = FALL.get(token.symbol, 1.0)
        book.outside_usd[row] *= factor
        reserve = list(book.markets[0].tokens).index(token.address)
        book.markets[0].set_price(reserve, round(book.markets[0].price_raw(reserve) * factor))
    state = kernel.at_start(deck)
    state.outside_usd[:] = book.outside_usd
    state.oracle_usd[:] = state.pledge[:] = state.owe[:] = book.oracle_usd(0)
    return book, deck, state


def plans(deck: Deck, state: State) -> list[tuple[int, Plan]]:
    found = [(account, best_plan(deck, state, account, 3.0)) for account in range(len(deck.accounts.market))]
    return [(account, plan) for account, plan in found if plan.debt != NONE]


def test_a_plan_takes_what_the_exact_engine_takes() -> None:
    scenario = make_scenario(liquidators=FREE)
    book, deck, state = fallen(scenario)
    router = Router(book.venues, book.token_row)
    found = plans(deck, state)
    assert len(found) > 10
    tokens = book.markets[0].tokens
    for account, plan in found:
        exact = exact_plan(
            book, router, scenario.liquidators, 0, book.markets[0].offers(int(deck.accounts.row[account]))
        )
        assert exact is not None
        entries = (plan.debt, plan.collateral)
        assert [int(deck.accounts.reserve[entry]) for entry in entries] == [exact.offer.debt, exact.offer.collateral]
        debt = book.token_row[tokens[exact.offer.debt]]
        assert plan.repaid_usd == pytest.approx(book.usd(debt, exact.terms.repaid_raw), rel=1e-6)
        assert plan.profit_usd == pytest.approx(exact.profit_usd, rel=0.01)


def test_what_is_repaid_and_seized_leaves_the_account_and_nothing_else_does() -> None:
    _, deck, state = fallen(make_scenario(liquidators=FREE))
    for account, first in plans(deck, state):
        plan = best_plan(deck, state, account, 3.0)
        if plan.debt == NONE:
            # what others sold has made it too dear
            assert first.profit_usd > 0.0
            continue
        supplied, debt = state.supplied.copy(), state.debt.copy()
        settle(deck, state, plan)
        gone, repaid = supplied - state.supplied, debt - state.debt
        reserves = deck.accounts.reserve
        assert np.flatnonzero(gone).tolist() == [plan.collateral]
        assert np.flatnonzero(repaid).tolist() == [plan.debt]
        owed, held = state.oracle_usd[reserves[plan.debt]], state.oracle_usd[reserves[plan.collateral]]
        assert repaid[plan.debt] * owed == pytest.approx(plan.repaid_usd, rel=1e-9)
        # the liquidator's, and of the bonus the protocol's
        fee = deck.reserves.fee[reserves[plan.collateral]]
        bonus = gone[plan.collateral] * held - plan.repaid_usd
        assert gone[plan.collateral] * held == pytest.approx(plan.received_usd + fee * bonus, rel=1e-9)
        assert min(state.supplied.min(), state.debt.min()) >= 0.0


def test_pools_take_in_all_that_is_sold_and_pay_out_all_that_is_bought() -> None:
    _, deck, state = fallen(make_scenario(liquidators=FREE))
    (_, plan), *_ = plans(deck, state)
    before = state.at.root.copy()
    settle(deck, state, plan)
    pools, reserves = deck.pools, deck.accounts.reserve
    sold, bought = np.zeros(len(deck.tokens.column)), np.zeros(len(deck.tokens.column))
    for pool in np.flatnonzero(state.at.root != before):
        liquidity = pools.liquidity[state.at.place[pool]]
        first = liquidity * (1.0 / state.at.root[pool] - 1.0 / before[pool])
        second = liquidity * (state.at.root[pool] - before[pool])
        side = 0 if first > 0.0 else 1
        into = (first, second)[side] / (1.0 - pools.fee[pool, side])
        sold[(pools.first, pools.second)[side][pool]] += into
        bought[(pools.second, pools.first)[side][pool]] -= (second, first)[side]
    held = deck.reserves.token[reserves[plan.collateral]]
    owed = deck.reserves.token[reserves[plan.debt]]
    net = bought - sold
    amount = plan.received_usd / state.oracle_usd[reserves[plan.collateral]]
    cost = plan.repaid_usd / state.oracle_usd[reserves[plan.debt]] * state.outside_usd[owed] * 1.0005
    assert -net[held] == pytest.approx(amount, rel=1e-9)
    assert net[owed] * state.outside_usd[owed] == pytest.approx(plan.profit_usd + cost + 3.0, rel=1e-9)
    others = np.delete(np.arange(len(net)), [held, owed])
    # tokens on the way come and go
    assert net[others] == pytest.approx(np.zeros(len(others)), abs=1e-9 * amount)
