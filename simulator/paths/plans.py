"""What liquidators take, as compiled code decides it: `simulator.liquidators.plans` in real numbers.

One protocol is as good as another here: `protocols.lending.closing` has their rules.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from protocols.arithmetic import rule
from protocols.lending.closing import Closing, accepted, closing, received
from simulator.liquidators.plans import HALVINGS
from simulator.paths import swaps
from simulator.paths.deck import NONE, Deck, FloatArray, IntArray
from simulator.paths.swaps import FULL, Standing
from simulator.paths.watch import weighed


class State(NamedTuple):
    """What changes along a path.

    Attributes
    ----------
    supplied, debt
        Shape (entries,): whole tokens at the start.
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
    debt, collateral
        Entries of the account; `NONE` where nothing pays.
    repaid_usd, seized_usd, received_usd
        What is repaid, what is taken of the collateral, and what of that is the liquidator's; oracle prices.
    outside
        Whether the collateral is sold to the outside market.
    """

    profit_usd: float
    debt: int
    collateral: int
    repaid_usd: float
    seized_usd: float
    received_usd: float
    outside: bool


@rule
def best_plan(deck: Deck, state: State, account: int, gas_usd: float) -> Plan:
    """The most profitable liquidation of an account now."""
    accounts, rules = deck.accounts, deck.rules
    market = accounts.market[account]
    start, end = accounts.offsets[account], accounts.offsets[account + 1]
    best = Plan(rules.minimum_profit_usd, NONE, NONE, 0.0, 0.0, 0.0, False)
    limit, owed = weighed(
        accounts.offsets,
        accounts.reserve,
        accounts.threshold,
        state.supplied,
        state.debt,
        state.pledge,
        state.owe,
        account,
    )
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
                limit / owed,
                owed,
                debt_usd,
                collateral_usd,
                accounts.threshold[collateral],
                accounts.bonus[collateral],
                deck.reserves.fee[reserve],
            )
            for outside in (False, True):
                if (rules.outside or whole) if outside else (rules.in_pools and not whole):
                    plan = _best_size(deck, state, debt, collateral, terms, debt_usd, collateral_usd, outside, gas_usd)
                    if plan.profit_usd > best.profit_usd:
                        best = plan
    return best


@rule
def _best_size(
    deck: Deck,
    state: State,
    debt: int,
    collateral: int,
    terms: Closing,
    debt_usd: float,
    collateral_usd: float,
    outside: bool,
    gas_usd: float,
) -> Plan:
    """The size that pays most of the largest and its halves."""
    rules, reserves = deck.rules, deck.reserves
    owed_reserve, held_reserve = deck.accounts.reserve[debt], deck.accounts.reserve[collateral]
    owed_token, held_token = reserves.token[owed_reserve], reserves.token[held_reserve]
    # outside worth of what oracles take for a dollar
    owed_worth = state.outside_usd[owed_token] / state.oracle_usd[owed_reserve]
    held_worth = state.outside_usd[held_token] / state.oracle_usd[held_reserve]
    whole = deck.markets.no_slippage[deck.reserves.market[owed_reserve]]
    own = rules.inventory_usd - state.bought_usd[0] if outside and not whole else np.inf
    most = min(accepted(terms, debt_usd, debt_usd, collateral_usd), min(rules.capital_usd, own) / owed_worth)
    fee = 0.0 if outside else rules.flash_fee
    best = Plan(-np.inf, NONE, NONE, 0.0, 0.0, 0.0, outside)
    pair = deck.ways.pair[held_token, owed_token]
    for halving in range(HALVINGS + 1):
        repaid = accepted(terms, most / 2.0**halving, debt_usd, collateral_usd)
        if repaid <= 0.0:
            continue
        got = received(terms, repaid)
        cost = repaid * owed_worth * (1.0 + fee)
        if held_token == owed_token:
            proceeds = got * held_worth
        elif outside:
            proceeds = got * held_worth * (1.0 if whole else 1.0 - rules.haircut)
        else:
            if pair == NONE:
                break
            amount = got / state.oracle_usd[held_reserve]
            most_usd = amount * swaps.ceiling(deck.ways, state.at.root, pair) * state.outside_usd[owed_token]
            if most_usd - cost - gas_usd <= rules.minimum_profit_usd:
                # without price impact a smaller part pays for the gas no better
                break
            swaps.keep(deck.ways, state.at, pair)
            bought = swaps.sell(deck.pools, deck.ways, state.at, pair, amount)
            swaps.undo(deck.ways, state.at, pair)
            if bought == FULL:
                continue
            proceeds = bought * state.outside_usd[owed_token]
        profit = proceeds - cost - gas_usd
        # pools pay ever less for more, so that profit is concave: where a half brings less, smaller brings less still
        if best.debt != NONE and profit <= best.profit_usd:
            break
        best = Plan(profit, debt, collateral, repaid, repaid * terms.bonus, got, outside)
    return best


@rule
def settle(deck: Deck, state: State, plan: Plan) -> None:
    """Carry a plan out: balances, pools, inventory."""
    accounts, reserves = deck.accounts, deck.reserves
    owed_reserve, held_reserve = accounts.reserve[plan.debt], accounts.reserve[plan.collateral]
    owed_token, held_token = reserves.token[owed_reserve], reserves.token[held_reserve]
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
