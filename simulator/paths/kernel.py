"""One path after another: the loop of `simulator.cascade` in real numbers.

Per step: interest, outside prices, gas, arbitrage, feeds, liquidations that pay and their sales, the best first, what
the outside price takes over of them, bad debt.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

from protocols.arithmetic import rule
from simulator.liquidators.congestion import DEEPEST, WINDOW_S
from simulator.market.impact import RECOVERY_S
from simulator.oracles.feeds import speaks
from simulator.paths import swaps
from simulator.paths.deck import NONE, BoolArray, Deck, Feeds, FloatArray, Groups, IntArray, Pools, Ways
from simulator.paths.plans import Plan, State, best_plan, settle
from simulator.paths.swaps import Standing
from simulator.paths.watch import Books, Watch, changed, unwatched, watch

BAD_DEBT, VOLUME, PROFIT = 0, 1, 2
"""Measures: each has all groups of a deck in a row."""
MEASURES = 3
OPTIONS = {"nogil": True, "error_model": "numpy"}
"""How `run` is compiled."""


class Said(NamedTuple):
    """What feeds have said, over their first answers.

    Attributes
    ----------
    seen, seen_s
        Shape (feeds,): the last answer taken, and when, seconds after the start.
    under_way
        Shape (feeds, most steps of delay + 1): answers taken and not yet published; not a number where there is none.
    published
        Shape (feeds,).
    """

    seen: FloatArray
    seen_s: FloatArray
    under_way: FloatArray
    published: FloatArray


def run(prices: FloatArray, deck: Deck, worst: bool, out: FloatArray, by_account: FloatArray) -> None:
    """Run paths.

    Parameters
    ----------
    prices
        Shape (paths, steps + 1, assets), relative to the start.
    worst
        Whether bad debt is that of the step in which it is largest, group by group, or that of the end.
    out
        Shape (paths, `MEASURES` times groups): US dollars, filled here.
    by_account
        Shape (paths, accounts): bad debt of each account in the step that counts for the whole book. Shape (0,
        accounts) where it is not wanted.
    """
    for path in range(len(prices)):
        _run_path(prices[path], deck, worst, out[path], by_account[path : path + 1])


@rule
def _run_path(prices: FloatArray, deck: Deck, worst: bool, out: FloatArray, by_account: FloatArray) -> None:
    accounts, reserves, tokens, pools, rules = deck.accounts, deck.reserves, deck.tokens, deck.pools, deck.rules
    steps, markets = len(prices) - 1, len(deck.markets.code)
    books = Books(
        deck.markets.accounts,
        deck.markets.reserves,
        accounts.offsets,
        accounts.reserve,
        reserves.is_collateral,
        reserves.is_debt,
    )
    state = at_start(deck)
    near = unwatched(len(accounts.market), len(reserves.token), markets)
    short = unwatched(len(accounts.market), len(reserves.token), markets)
    stays, fades, taken = np.zeros(len(tokens.column)), np.zeros(len(tokens.column)), np.empty(len(tokens.column))
    most_moved = np.zeros(len(pools.first))
    before = np.empty(len(pools.first))
    said = _unsaid(deck)
    worth, recovered = np.empty(steps + 1), np.empty(len(reserves.token))
    owed = np.empty(len(reserves.token))
    worth[0] = tokens.held @ tokens.outside_usd
    window = int(WINDOW_S / rules.step_s)
    fading = 0.5 ** (rules.step_s / RECOVERY_S)
    lost = np.empty(deck.groups.size)
    out[:] = 0.0
    for step in range(1, steps + 1):
        fades *= fading
        for token in range(len(tokens.column)):
            column = tokens.column[token]
            relative = prices[step, column - 1] if column > 0 else 1.0
            state.outside_usd[token] = tokens.outside_usd[token] * relative * np.exp(stays[token] + fades[token])
        worth[step] = tokens.held @ state.outside_usd
        dear = _congestion(worth, step, window, rules.congestion)
        if rules.inventory_usd < np.inf:
            share = rules.step_s / rules.turnover_s if rules.step_s < rules.turnover_s else 1.0
            state.bought_usd[0] = max(0.0, state.bought_usd[0] - share * rules.inventory_usd)
        swaps.arbitrage(pools, state.at, state.outside_usd, rules.arbitrage)
        if rules.withdrawal > 0.0:
            _withdraw(pools, rules.withdrawal, tokens.outside_usd, state.outside_usd, state.at.left, most_moved)
        _publish(deck.feeds, reserves.numeraire, reserves.oracle, rules.step_s, step, tokens.outside_usd,
                 state.outside_usd, state.oracle_usd, said)  # fmt: skip
        for reserve in range(len(reserves.token)):
            state.pledge[reserve] = state.oracle_usd[reserve] * reserves.supply_growth[step, reserve]
            state.owe[reserve] = state.oracle_usd[reserve] * reserves.debt_growth[step, reserve]
        for market in range(markets):
            watch(books, near, market, accounts.threshold, state.supplied, state.debt, state.pledge, state.owe)
        before[:] = state.at.root
        if _liquidate(deck, state, near, short, step, dear, out):
            _take_over(pools, tokens.anchored, state.at.root, before, taken)
            taken *= rules.impact
            stays += rules.permanent * taken
            fades += (1.0 - rules.permanent) * taken
        if worst or step == steps:
            for reserve in range(len(reserves.token)):
                price = state.outside_usd[reserves.token[reserve]]
                recovered[reserve] = price * reserves.supply_growth[step, reserve]
                owed[reserve] = price * reserves.debt_growth[step, reserve]
            for market in range(markets):
                watch(books, short, market, accounts.recovers, state.supplied, state.debt, recovered, owed)
            _measure(books, accounts.pledged, deck.groups, state.debt, short, owed, lost, out, by_account)


@rule
def standing(pools: Pools, ways: Ways) -> Standing:
    """Pools as they stand at the start."""
    place = np.empty(len(pools.first), dtype=np.int64)
    legs = len(ways.pool)
    at = Standing(
        pools.start.copy(),
        place,
        np.ones(len(pools.first)),
        np.empty(2 * legs),
        np.empty(2 * legs, dtype=np.int64),
        np.empty(len(ways.legs) + 1, dtype=np.int64),
        np.empty(len(ways.legs), dtype=np.int64),
        np.empty(len(ways.legs)),
    )
    for pool in range(len(pools.first)):
        place[pool] = pools.offsets[pool]
        swaps.move_to(pools, at, pool, pools.start[pool])
    return at


@rule
def at_start(deck: Deck) -> State:
    """A path before its first step."""
    reserves = len(deck.reserves.token)
    never = np.full(len(deck.accounts.market), -1, dtype=np.int64)
    return State(
        deck.accounts.supplied.copy(),
        deck.accounts.debt.copy(),
        deck.tokens.outside_usd.copy(),
        np.empty(reserves),
        np.empty(reserves),
        np.empty(reserves),
        np.zeros(1),
        never,
        never.copy(),
        standing(deck.pools, deck.ways),
        (np.empty(1, dtype=np.int64), np.empty(1), np.empty(1)),
    )


@rule
def _unsaid(deck: Deck) -> Said:
    feeds = len(deck.feeds.reserve)
    places = 1
    for feed in range(feeds):
        places = max(places, deck.feeds.lag[feed] + 1)
    return Said(np.ones(feeds), deck.feeds.answered_s.copy(), np.full((feeds, places), np.nan), np.ones(feeds))


@rule
def _congestion(worth: FloatArray, step: int, window: int, elasticity: float) -> float:
    """How many times dearer gas is than at rest; see `simulator.liquidators.congestion`."""
    if elasticity == 0.0 or worth[step] <= 0.0:
        return 1.0
    highest = worth[max(0, step - window) : step + 1].max()
    return float(min(highest / worth[step], DEEPEST) ** elasticity)


@rule
def _withdraw(
    pools: Pools, withdrawal: float, start: FloatArray, outside: FloatArray, left: FloatArray, most_moved: FloatArray
) -> None:
    """Let liquidity providers leave; see `PriceImpact.withdrawals`."""
    for pool in range(len(pools.first)):
        first, second = pools.first[pool], pools.second[pool]
        moved = abs(np.log(outside[first] / start[first] / (outside[second] / start[second])))
        if pools.leaves[pool] and moved > most_moved[pool]:
            most_moved[pool] = moved
            left[pool] = np.exp(-withdrawal * moved)


@rule
def _publish(
    feeds: Feeds,
    numeraire: IntArray,
    first: FloatArray,
    step_s: float,
    step: int,
    start: FloatArray,
    outside: FloatArray,
    believed: FloatArray,
    said: Said,
) -> None:
    """Let every feed speak that has something to say, and set what markets believe.

    Parameters
    ----------
    numeraire, first
        As `Reserves` has them; `first` is the oracle price at the start.
    start, outside
        Outside prices at the start and now.
    believed
        What is set, shape (reserves,): US dollars.
    """
    now = step * step_s
    for reserve in range(len(first)):
        believed[reserve] = first[reserve] * (1.0 if numeraire[reserve] == NONE else outside[numeraire[reserve]])
    for feed in range(len(feeds.reserve)):
        base, quote = feeds.base[feed], feeds.quote[feed]
        seen = outside[base] / start[base]
        if quote != NONE:
            seen /= outside[quote] / start[quote]
        # as many places as steps from seeing to publishing, and one: the next to be filled is the one that is due
        places = feeds.lag[feed] + 1
        spoken = speaks(seen, said.seen[feed], now, said.seen_s[feed], feeds.deviation[feed], feeds.heartbeat_s[feed])
        spoken = spoken and feeds.low[feed] <= seen <= feeds.high[feed]
        said.under_way[feed, step % places] = seen if spoken else np.nan
        if spoken:
            said.seen[feed], said.seen_s[feed] = seen, now
        due = said.under_way[feed, (step + 1) % places]
        if not np.isnan(due):
            said.published[feed] = due
        power = feeds.power[feed]
        answer = said.published[feed]
        believed[feeds.reserve[feed]] *= answer if power == 1.0 else answer**power


@rule
def _liquidate(deck: Deck, state: State, near: Watch, short: Watch, step: int, dear: float, out: FloatArray) -> bool:
    """Let liquidators take what pays, the best first, until nothing does or the blocks are full; returns whether
    anything was taken."""
    rules = deck.rules
    gas_usd, fit, done = rules.gas_usd * dear, np.floor(rules.per_step / dear), 0
    waiting = [0 for _ in range(0)]
    for market in range(len(deck.markets.code)):
        first = deck.markets.accounts[market]
        for place in range(first, first + near.dues[market]):
            account = near.due[place]
            if not 0.0 < near.worth[place] < near.owed[place]:
                continue
            if state.until[account] != step - 1:
                state.since[account] = step
            state.until[account] = step
            if (step - state.since[account]) * rules.step_s >= rules.latency_s:
                waiting.append(account)
    while len(waiting) > 0 and done < fit:
        # what others do to the pools can make pay what did not
        queue = [(0.0, 0) for _ in range(0)]
        unpaid = [0 for _ in range(0)]
        was = done
        for account in waiting:
            plan = best_plan(deck, state, account, gas_usd)
            if plan.debt == NONE:
                unpaid.append(account)
            else:
                heapq.heappush(queue, (-plan.profit_usd, account))
        while len(queue) > 0 and done < fit:
            _, account = heapq.heappop(queue)
            plan = best_plan(deck, state, account, gas_usd)
            if plan.debt == NONE:
                unpaid.append(account)
            elif len(queue) > 0 and -plan.profit_usd > queue[0][0]:
                # it pays less than when it was put there: another comes first
                heapq.heappush(queue, (-plan.profit_usd, account))
            else:
                settle(deck, state, plan)
                market = deck.accounts.market[account]
                changed(near, market, deck.markets.accounts[market], account)
                changed(short, market, deck.markets.accounts[market], account)
                _record(deck, state, plan, out)
                done += 1
                heapq.heappush(queue, (-plan.profit_usd, account))
        if done == was:
            break
        waiting = unpaid
    return done > 0


@rule
def _record(deck: Deck, state: State, plan: Plan, out: FloatArray) -> None:
    """Add a liquidation to the groups that it belongs to."""
    debt, collateral = deck.accounts.reserve[plan.debt], deck.accounts.reserve[plan.collateral]
    price = state.outside_usd[deck.reserves.token[collateral]] / state.oracle_usd[collateral]
    market, of = deck.reserves.market[debt], deck.groups
    for group in (0, 1 + market, of.debt[debt], of.collateral[collateral], of.protocol[market]):
        if group == NONE:
            continue
        out[VOLUME * deck.groups.size + group] += plan.received_usd * price
        out[PROFIT * deck.groups.size + group] += plan.profit_usd


@rule
def _take_over(pools: Pools, anchored: BoolArray, root: FloatArray, before: FloatArray, taken: FloatArray) -> None:
    """What each token's price moved by in pools, in logarithms, by the depth of the pools; see `PriceImpact.watch`."""
    taken[:] = 0.0
    for pool in range(len(pools.first)):
        moved = 2.0 * np.log(root[pool] / before[pool])
        first, second = pools.first[pool], pools.second[pool]
        # against what is anchored, else against the mean
        if not anchored[first]:
            taken[first] += pools.weight[pool, 0] * moved * (1.0 if anchored[second] else 0.5)
        if not anchored[second]:
            taken[second] -= pools.weight[pool, 1] * moved * (1.0 if anchored[first] else 0.5)


@rule
def _measure(
    books: Books,
    pledged: FloatArray,
    groups: Groups,
    debt: FloatArray,
    short: Watch,
    owe: FloatArray,
    lost: FloatArray,
    out: FloatArray,
    by_account: FloatArray,
) -> None:
    """Economic bad debt now, group by group, where it is more than it was."""
    lost[:] = 0.0
    for market in range(len(short.dues)):
        first = books.accounts[market]
        for place in range(first, first + short.dues[market]):
            account = short.due[place]
            missing, owed = short.owed[place] - short.worth[place], short.owed[place]
            if missing <= 0.0:
                continue
            lost[0] += missing
            lost[1 + market] += missing
            if groups.protocol[market] != NONE:
                lost[groups.protocol[market]] += missing
            for entry in range(books.offsets[account], books.offsets[account + 1]):
                reserve = books.reserve[entry]
                if debt[entry] > 0.0:
                    lost[groups.debt[reserve]] += missing * (debt[entry] * owe[reserve] / owed)
                if pledged[entry] > 0.0:
                    lost[groups.collateral[reserve]] += missing * pledged[entry]
    if len(by_account) > 0 and lost[0] > out[0]:
        by_account[:] = 0.0
        for market in range(len(short.dues)):
            first = books.accounts[market]
            for place in range(first, first + short.dues[market]):
                by_account[0, short.due[place]] = max(short.owed[place] - short.worth[place], 0.0)
    for group in range(groups.size):
        out[group] = max(out[group], lost[group])
