"""One path after another: the loop of `simulator.cascade` in real numbers.

Per step: interest, outside prices, gas, arbitrage, feeds, liquidations that pay and their sales, the best first, what
the outside price takes over of them, bad debt.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from protocols.arithmetic import inner, rule
from simulator.liquidators.congestion import DEEPEST, WINDOW_S
from simulator.market.impact import RECOVERY_S
from simulator.oracles.feeds import speaks
from simulator.paths import swaps
from simulator.paths.deck import NONE, BoolArray, Deck, Feeds, FloatArray, IntArray, Pools, Reserves, Ways
from simulator.paths.plans import Plan, State, best_plan, most_profit, settle
from simulator.paths.queue import Queue, empty, pop, push
from simulator.paths.swaps import Standing
from simulator.paths.watch import Watch, keep, restart, unaltered, unwatched, watch

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


class Room(NamedTuple):
    """What paths need room for: made once, used by one after another.

    Attributes
    ----------
    state, said
        Where the path is.
    near, short
        The accounts that may be liquidatable, and those that may owe more than a liquidation recovers.
    queue, waiting
        Of the accounts that are liquidatable; `waiting` has shape (accounts,).
    stays, fades, taken
        Shape (tokens,): what sales have moved the outside price by in logarithms, for good and for a while, and what
        they do in this step.
    most_moved, before
        Shape (pools,): how far the price has moved at most, in logarithms, and its root before this step's sales.
    worth
        Shape (steps + 1,): of what is pledged, US dollars.
    recovers, owes
        Shape (reserves,): outside worth of a token at the start, pledged and owed.
    lost
        Shape (groups,): bad debt now.
    """

    state: State
    said: Said
    near: Watch
    short: Watch
    queue: Queue
    waiting: IntArray
    stays: FloatArray
    fades: FloatArray
    taken: FloatArray
    most_moved: FloatArray
    before: FloatArray
    worth: FloatArray
    recovers: FloatArray
    owes: FloatArray
    lost: FloatArray


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
    room = _room(deck, prices.shape[1])
    for path in range(len(prices)):
        _run_path(path * prices.shape[1], prices[path], deck, room, worst, out[path], by_account[path : path + 1])


@inner
def _run_path(
    clock: int, prices: FloatArray, deck: Deck, room: Room, worst: bool, out: FloatArray, by_account: FloatArray
) -> None:
    """Run a path; `clock` tells its steps from those of all others."""
    reserves, tokens, pools, rules = deck.reserves, deck.tokens, deck.pools, deck.rules
    state, worth = room.state, room.worth
    steps, window = len(prices) - 1, int(WINDOW_S / rules.step_s)
    fading = 0.5 ** (rules.step_s / RECOVERY_S)
    _restart(deck, room)
    out[:] = 0.0
    for step in range(1, steps + 1):
        worth[step] = 0.0
        for token in range(len(tokens.column)):
            column = tokens.column[token]
            relative = prices[step, column - 1] if column > 0 else 1.0
            room.fades[token] *= fading
            moved = np.exp(room.stays[token] + room.fades[token])
            state.outside_usd[token] = tokens.outside_usd[token] * relative * moved
            worth[step] += tokens.held[token] * state.outside_usd[token]
        dear = _congestion(worth, step, window, rules.congestion)
        if rules.inventory_usd < np.inf:
            share = rules.step_s / rules.turnover_s if rules.step_s < rules.turnover_s else 1.0
            state.bought_usd[0] = max(0.0, state.bought_usd[0] - share * rules.inventory_usd)
        swaps.arbitrage(pools, state.at, state.outside_usd, rules.arbitrage)
        if rules.withdrawal > 0.0:
            _withdraw(pools, rules.withdrawal, tokens.outside_usd, state.outside_usd, state.at.left, room.most_moved)
        _publish(deck.feeds, reserves.numeraire, reserves.oracle, rules.step_s, step, tokens.outside_usd,
                 state.outside_usd, state.oracle_usd, room.said)  # fmt: skip
        _value(reserves, step, state.oracle_usd, state.pledge, state.owe)
        _look_at_health(deck, room)
        if room.near.dues[0] > 0:
            for pool in range(len(room.before)):
                room.before[pool] = state.at.root[pool]
            if _liquidate(deck, room, clock + step, dear, out):
                _take_over(pools, tokens.anchored, state.at.root, room.before, room.taken)
                for token in range(len(room.taken)):
                    taken = rules.impact * room.taken[token]
                    room.stays[token] += rules.permanent * taken
                    room.fades[token] += (1.0 - rules.permanent) * taken
        if worst or step == steps:
            _look_for_losses(deck, room, step)
            _measure(deck, state.debt, room.short, room.owes, room.lost, out, by_account)


@rule
def _room(deck: Deck, times: int) -> Room:
    """Room for paths of so many times, and what accounts can bear at the start."""
    accounts, reserves, tokens, pools = deck.accounts, deck.reserves, deck.tokens, deck.pools
    count = len(accounts.market)
    room = Room(
        at_start(deck),
        _unsaid(deck),
        unwatched(count, deck.kinds),
        unwatched(count, deck.kinds),
        empty(count),
        np.empty(count, dtype=np.int64),
        np.zeros(len(tokens.column)),
        np.zeros(len(tokens.column)),
        np.empty(len(tokens.column)),
        np.zeros(len(pools.first)),
        np.empty(len(pools.first)),
        np.empty(times),
        np.empty(len(reserves.token)),
        np.empty(len(reserves.token)),
        np.empty(deck.groups.size),
    )
    state = room.state
    _publish(deck.feeds, reserves.numeraire, reserves.oracle, deck.rules.step_s, 0, tokens.outside_usd,
             state.outside_usd, state.oracle_usd, room.said)  # fmt: skip
    room.worth[0] = 0.0
    for token in range(len(tokens.held)):
        room.worth[0] += tokens.held[token] * tokens.outside_usd[token]
    _value(reserves, 0, state.oracle_usd, state.pledge, state.owe)
    _look_at_health(deck, room)
    _look_for_losses(deck, room, 0)
    keep(deck.kinds, room.near)
    keep(deck.kinds, room.short)
    return room


@rule
def _restart(deck: Deck, room: Room) -> None:
    """Put everything back to where it was before the first step."""
    accounts, state, said = deck.accounts, room.state, room.said
    for place in range(state.altered.number[0]):
        account = state.altered.account[place]
        state.altered.is_altered[account] = False
        for entry in range(accounts.offsets[account], accounts.offsets[account + 1]):
            state.supplied[entry], state.debt[entry] = accounts.supplied[entry], accounts.debt[entry]
    state.altered.number[0] = 0
    state.bought_usd[0] = 0.0
    swaps.reopen(deck.pools, state.at)
    for pool in range(len(room.most_moved)):
        room.most_moved[pool] = 0.0
    for feed in range(len(said.seen)):
        said.seen[feed], said.seen_s[feed], said.published[feed] = 1.0, deck.feeds.answered_s[feed], 1.0
        for place in range(said.under_way.shape[1]):
            said.under_way[feed, place] = np.nan
    for token in range(len(room.stays)):
        room.stays[token] = room.fades[token] = 0.0
    restart(deck.kinds, room.near)
    restart(deck.kinds, room.short)


@rule
def _value(reserves: Reserves, step: int, price: FloatArray, pledge: FloatArray, owe: FloatArray) -> None:
    """What a token at the start, pledged and owed, is worth at a price of each reserve's token."""
    for reserve in range(len(reserves.token)):
        pledge[reserve] = price[reserve] * reserves.supply_growth[step, reserve]
        owe[reserve] = price[reserve] * reserves.debt_growth[step, reserve]


@rule
def _look_at_health(deck: Deck, room: Room) -> None:
    """Weigh the accounts that may be liquidatable."""
    accounts, state = deck.accounts, room.state
    watch(
        deck.kinds, accounts, room.near, state.altered, accounts.threshold, state.supplied, state.debt, state.pledge,
        state.owe,
    )  # fmt: skip


@rule
def _look_for_losses(deck: Deck, room: Room, step: int) -> None:
    """Weigh the accounts that may owe more than full liquidations recover, at outside prices."""
    accounts, reserves, state = deck.accounts, deck.reserves, room.state
    for reserve in range(len(reserves.token)):
        price = state.outside_usd[reserves.token[reserve]]
        room.recovers[reserve] = price * reserves.supply_growth[step, reserve]
        room.owes[reserve] = price * reserves.debt_growth[step, reserve]
    watch(
        deck.kinds, accounts, room.short, state.altered, accounts.recovers, state.supplied, state.debt, room.recovers,
        room.owes,
    )  # fmt: skip


@rule
def standing(pools: Pools, ways: Ways) -> Standing:
    """Pools as they stand at the start."""
    legs = len(ways.pool)
    at = Standing(
        np.empty(len(pools.first)),
        np.empty(len(pools.first), dtype=np.int64),
        np.empty(len(pools.first)),
        np.empty(2 * legs),
        np.empty(2 * legs, dtype=np.int64),
        np.zeros(len(ways.legs) + 1, dtype=np.int64),
        np.empty(1, dtype=np.int64),
        np.empty(1),
        np.empty(len(ways.legs), dtype=np.int64),
        np.empty(len(ways.legs)),
    )
    swaps.reopen(pools, at)
    return at


@rule
def at_start(deck: Deck) -> State:
    """A path before its first step."""
    reserves, accounts = len(deck.reserves.token), len(deck.accounts.market)
    never = np.full(accounts, -1, dtype=np.int64)
    return State(
        deck.accounts.supplied.copy(),
        deck.accounts.debt.copy(),
        unaltered(accounts),
        deck.tokens.outside_usd.copy(),
        np.empty(reserves),
        np.empty(reserves),
        np.empty(reserves),
        np.zeros(1),
        never,
        never.copy(),
        standing(deck.pools, deck.ways),
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
    highest = 0.0
    for earlier in range(max(0, step - window), step + 1):
        highest = max(highest, worth[earlier])
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
def _liquidate(deck: Deck, room: Room, now: int, dear: float, out: FloatArray) -> bool:
    """Let liquidators take what pays, the best first, until nothing does or the blocks are full; returns whether
    anything was taken."""
    rules, state, near, queue, waiting = deck.rules, room.state, room.near, room.queue, room.waiting
    gas_usd, fit, done, count = rules.gas_usd * dear, np.floor(rules.per_step / dear), 0, 0
    for place in range(near.dues[0]):
        account = near.due[place]
        if not 0.0 < near.worth[place] < near.owed[place]:
            continue
        if state.until[account] != now - 1:
            state.since[account] = now
        state.until[account] = now
        if (now - state.since[account]) * rules.step_s >= rules.latency_s:
            waiting[count] = account
            count += 1
    while count > 0 and done < fit:
        # what others do to the pools can make pay what did not
        was, unpaid = done, 0
        queue.size[0] = 0
        for place in range(count):
            push(queue, np.inf, waiting[place])
        while queue.size[0] > 0 and done < fit:
            known, account = pop(queue)
            # what it cannot pay more than is known sooner than what it pays
            most = min(known, most_profit(deck, state, account, gas_usd))
            if most <= rules.minimum_profit_usd:
                waiting[unpaid] = account
                unpaid += 1
            elif known == np.inf or (queue.size[0] > 0 and most < queue.pays[0]):
                push(queue, most, account)
            else:
                plan = best_plan(deck, state, account, gas_usd)
                if plan.debt == NONE:
                    waiting[unpaid] = account
                    unpaid += 1
                elif queue.size[0] > 0 and plan.profit_usd < queue.pays[0]:
                    push(queue, plan.profit_usd, account)
                else:
                    settle(deck, state, plan)
                    _record(deck, state, plan, out)
                    done += 1
                    push(queue, np.inf, account)
        if done == was:
            break
        count = unpaid
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
    deck: Deck,
    debt: FloatArray,
    short: Watch,
    owe: FloatArray,
    lost: FloatArray,
    out: FloatArray,
    by_account: FloatArray,
) -> None:
    """Economic bad debt now, group by group, where it is more than it was."""
    accounts, groups = deck.accounts, deck.groups
    lost[:] = 0.0
    for place in range(short.dues[0]):
        account = short.due[place]
        missing, owed = short.owed[place] - short.worth[place], short.owed[place]
        if missing <= 0.0:
            continue
        market = accounts.market[account]
        lost[0] += missing
        lost[1 + market] += missing
        if groups.protocol[market] != NONE:
            lost[groups.protocol[market]] += missing
        for entry in range(accounts.offsets[account], accounts.offsets[account + 1]):
            reserve = accounts.reserve[entry]
            if debt[entry] > 0.0:
                lost[groups.debt[reserve]] += missing * (debt[entry] * owe[reserve] / owed)
            if accounts.pledged[entry] > 0.0:
                lost[groups.collateral[reserve]] += missing * accounts.pledged[entry]
    if len(by_account) > 0 and lost[0] > out[0]:
        by_account[:] = 0.0
        for place in range(short.dues[0]):
            by_account[0, short.due[place]] = max(short.owed[place] - short.worth[place], 0.0)
    for group in range(groups.size):
        out[group] = max(out[group], lost[group])
