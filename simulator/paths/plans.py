"""What liquidators take, as compiled code decides it: `simulator.liquidators.plans` in real numbers.

One protocol is as good as another here: `protocols.lending.closing` has their rules.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from protocols.arithmetic import inlined, rule
from protocols.lending.closing import Closing, Pair, accepted, closing, received
from simulator.liquidators.plans import HALVINGS
from simulator.paths import swaps
from simulator.paths.deck import NONE, Deck, FloatArray, IntArray
from simulator.paths.swaps import Standing
from simulator.paths.watch import Altered, alter, weigh


class State(NamedTuple):
    """What changes along a path.

    Attributes
    ----------
    supplied, debt
        Shape (entries,): whole tokens at the start.
    altered
        The accounts of which they are no longer those of the start.
    outside_usd
        Shape (tokens,).
    oracle_usd
        Shape (reserves,): what a market believes one whole token is worth.
    pledge, owe
        Shape (reserves,): oracle worth of a token at the start, supplied or owed, with what interest has made of it.
    bought_usd
        Shape (1,): collateral bought with own money that liquidators hold, US dollars paid for it.
    since, until
        Shape (accounts,): step in which an account came to be liquidatable, and in which it last was.
    at
        Where pools stand.
    """

    supplied: FloatArray
    debt: FloatArray
    altered: Altered
    outside_usd: FloatArray
    oracle_usd: FloatArray
    pledge: FloatArray
    owe: FloatArray
    bought_usd: FloatArray
    since: IntArray
    until: IntArray
    at: Standing


class Plan(NamedTuple):
    """A liquidation.

    Attributes
    ----------
    profit_usd
        Proceeds less repayment, flash fee and gas, at outside prices.
    account
    debt, collateral
        Entries of the account; `NONE` where nothing pays.
    repaid_usd, seized_usd, received_usd
        What is repaid, what is taken of the collateral, and what of that is the liquidator's; oracle prices.
    outside
        Whether the collateral is sold to the outside market.
    """

    profit_usd: float
    account: int
    debt: int
    collateral: int
    repaid_usd: float
    seized_usd: float
    received_usd: float
    outside: bool


class Trade(NamedTuple):
    """A debt and a collateral of an account: entries, their worth at oracle prices, and what sales of them come to.

    Attributes
    ----------
    owed_worth, held_worth
        Outside worth of what the oracle takes for a dollar.
    owed_usd, held_usd
        Outside price of the debt token, oracle price of the collateral.
    is_same
        Whether both are one token, so that nothing need be sold.
    pair
        Their row of `Ways`.
    """

    debt: int
    collateral: int
    debt_usd: float
    collateral_usd: float
    owed_worth: float
    held_worth: float
    owed_usd: float
    held_usd: float
    is_same: bool
    pair: int


@inlined
def best_plan(deck: Deck, state: State, account: int, gas_usd: float) -> Plan:
    """The most profitable liquidation of an account now."""
    return _best(deck, state, account, gas_usd, True)


@inlined
def most_profit(deck: Deck, state: State, account: int, gas_usd: float) -> float:
    """What no liquidation of an account pays more than now, US dollars: what the best would if sales moved no price;
    the least that anybody works for where nothing pays more."""
    return _best(deck, state, account, gas_usd, False).profit_usd


@inlined
def _best(deck: Deck, state: State, account: int, gas_usd: float, moves: bool) -> Plan:
    """The most profitable liquidation of an account, with what its sale moves or without."""
    accounts, reserves, rules = deck.accounts, deck.reserves, deck.rules
    market = accounts.market[account]
    start, end = accounts.offsets[account], accounts.offsets[account + 1]
    best = Plan(rules.minimum_profit_usd, account, NONE, NONE, 0.0, 0.0, 0.0, False)
    limit, owed = weigh(accounts, accounts.threshold, state.supplied, state.debt, state.pledge, state.owe, account)
    if not 0.0 < limit < owed:
        return best
    whole = deck.markets.no_slippage[market]
    for debt in range(start, end):
        debt_usd = state.debt[debt] * state.owe[accounts.reserve[debt]]
        if debt_usd <= 0.0:
            continue
        for collateral in range(start, end):
            reserve = accounts.reserve[collateral]
            collateral_usd = state.supplied[collateral] * state.pledge[reserve]
            if collateral_usd <= 0.0 or accounts.threshold[collateral] <= 0.0:
                continue
            terms = closing(
                deck.markets.code[market],
                deck.markets.parameters[market],
                Pair(
                    limit / owed,
                    owed,
                    debt_usd,
                    collateral_usd,
                    accounts.threshold[collateral],
                    accounts.bonus[collateral],
                    reserves.fee[reserve],
                ),
            )
            owed_token, held_token = reserves.token[accounts.reserve[debt]], reserves.token[reserve]
            trade = Trade(
                debt,
                collateral,
                debt_usd,
                collateral_usd,
                state.outside_usd[owed_token] / state.oracle_usd[accounts.reserve[debt]],
                state.outside_usd[held_token] / state.oracle_usd[reserve],
                state.outside_usd[owed_token],
                state.oracle_usd[reserve],
                held_token == owed_token,
                deck.ways.pair[held_token, owed_token],
            )
            if rules.in_pools and not whole:
                best = _better_size(deck, state.at, terms, trade, gas_usd, False, np.inf, 0.0, moves, best)
            if rules.outside or whole:
                own = np.inf if whole else rules.inventory_usd - state.bought_usd[0]
                haircut = 0.0 if whole else rules.haircut
                best = _better_size(deck, state.at, terms, trade, gas_usd, True, own, haircut, moves, best)
    return best


@rule
def _better_size(
    deck: Deck,
    at: Standing,
    terms: Closing,
    trade: Trade,
    gas_usd: float,
    outside: bool,
    own_usd: float,
    haircut: float,
    moves: bool,
    best: Plan,
) -> Plan:
    """The size that pays most of the largest and its halves, or what is the best already where none pays more.

    Parameters
    ----------
    outside, own_usd, haircut
        Whether it is sold to the outside market, with how much own money, at what loss.
    moves
        Whether sales in pools move prices.
    """
    rules = deck.rules
    debt_usd, collateral_usd = trade.debt_usd, trade.collateral_usd
    limit = min(rules.capital_usd, own_usd) / trade.owed_worth
    most = min(accepted(terms, debt_usd, debt_usd, collateral_usd), limit)
    fee, rate = 0.0 if outside else rules.flash_fee, (1.0 - haircut) * trade.held_worth
    if trade.is_same:
        rate = trade.held_worth
    elif not outside:
        if trade.pair == NONE:
            return best
        rate = swaps.way_rates(deck.ways, at.root, trade.pair, at.pays) * trade.owed_usd / trade.held_usd
    moves = moves and not outside and not trade.is_same
    found = False
    for halving in range(HALVINGS + 1):
        repaid = accepted(terms, most / 2.0**halving, debt_usd, collateral_usd)
        if repaid <= 0.0:
            continue
        got = received(terms, repaid)
        cost = repaid * trade.owed_worth * (1.0 + fee) + gas_usd
        proceeds = got * rate
        if proceeds - cost <= best.profit_usd:
            # if it moved no price: then a smaller part pays for the gas no better
            break
        if moves:
            enough = (best.profit_usd + cost) / trade.owed_usd
            bought = swaps.sale(deck.pools, deck.ways, at, trade.pair, got / trade.held_usd, enough)
            if bought <= enough:
                if found:
                    # pools pay ever less for more, so that profit is concave: smaller brings less still
                    break
                continue
            proceeds = bought * trade.owed_usd
        best = Plan(
            proceeds - cost, best.account, trade.debt, trade.collateral, repaid, repaid * terms.bonus, got, outside
        )
        found = True
    return best


@rule
def settle(deck: Deck, state: State, plan: Plan) -> None:
    """Carry a plan out: balances, pools, inventory."""
    accounts, reserves = deck.accounts, deck.reserves
    owed_reserve, held_reserve = accounts.reserve[plan.debt], accounts.reserve[plan.collateral]
    owed_token, held_token = reserves.token[owed_reserve], reserves.token[held_reserve]
    alter(state.altered, plan.account)
    for balance, entry, worth, taken in (
        (state.debt, plan.debt, state.owe[owed_reserve], plan.repaid_usd),
        (state.supplied, plan.collateral, state.pledge[held_reserve], plan.seized_usd),
    ):
        left = balance[entry] - taken / worth
        # taken whole, but for rounding
        balance[entry] = left if left > _DUST * balance[entry] else 0.0
    if plan.outside:
        state.bought_usd[0] += plan.repaid_usd / state.oracle_usd[owed_reserve] * state.outside_usd[owed_token]
    elif held_token != owed_token:
        pair = deck.ways.pair[held_token, owed_token]
        swaps.sell(deck.pools, deck.ways, state.at, pair, plan.received_usd / state.oracle_usd[held_reserve])


_DUST = 1e-12
"""Share of a balance that is not told from nothing."""
