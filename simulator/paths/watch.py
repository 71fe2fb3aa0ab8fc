"""Which accounts are worth looking at: those that prices have moved near to an edge.

Accounts of one kind pledge the same reserves and owe the same. The collateral of each, weighted, over its debt falls at
most by the largest fall of one of those collaterals' prices over the largest rise of one of those debts': by the
*slack* of the kind. When the accounts of a kind are looked at, what each can bear is noted, and those that can bear
less than `BAND` are listed. From then on a listed account is weighed when the slack has passed what it can bear, and
all of the kind are looked at anew when it has passed the band. Interest is in the prices; what liquidations have
changed is always weighed.

What was noted at the start is the same on every path, and is kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from protocols.arithmetic import rule
from simulator.paths.deck import Accounts, BoolArray, FloatArray, IntArray, Kinds

BAND = 0.96
"""Narrower, and all are looked at more often; wider, and more are listed in between."""

_ROUNDED = 1e-9
_NEVER = -1
_ALWAYS = np.inf


class Noted(NamedTuple):
    """What was seen when the accounts of a kind were last looked at.

    Attributes
    ----------
    listed, filled
        Shape (accounts,) and (kinds,): the first `filled` of each kind's rows; -1 before all have been looked at.
    bears, most
        Shape (accounts,) and (kinds,): debt over weighted collateral then, the slack from which on an account must be
        weighed; and the most of a kind. Infinite for those that liquidators have changed.
    pledge, owe
        As `Kinds.held` and `Kinds.owed`: one over what a token pledged and owed at the start was worth then; 0 for one
        that was worth nothing, for which all that pledge it are looked at again.
    """

    listed: IntArray
    filled: IntArray
    bears: FloatArray
    most: FloatArray
    pledge: FloatArray
    owe: FloatArray


class Watch(NamedTuple):
    """The accounts that are to be looked at.

    Attributes
    ----------
    now, start
        What was last noted, and what was before the first step.
    altered
        Shape (kinds,): whether they differ.
    due, dues
        Shape (accounts,) and (1,): the accounts that have been weighed now, and how many they are.
    worth, owed
        Shape (accounts,): of those, in the same places, the weighted collateral and the debt.
    """

    now: Noted
    start: Noted
    altered: BoolArray
    due: IntArray
    dues: IntArray
    worth: FloatArray
    owed: FloatArray


@rule
def unwatched(accounts: int, kinds: Kinds) -> Watch:
    """Nobody has been looked at."""
    size = len(kinds.accounts) - 1
    return Watch(
        now=_nothing(accounts, kinds),
        start=_nothing(accounts, kinds),
        altered=np.ones(size, dtype=np.bool_),
        due=np.empty(accounts, dtype=np.int64),
        dues=np.zeros(1, dtype=np.int64),
        worth=np.empty(accounts),
        owed=np.empty(accounts),
    )


@rule
def _nothing(accounts: int, kinds: Kinds) -> Noted:
    size = len(kinds.accounts) - 1
    return Noted(
        listed=np.empty(accounts, dtype=np.int64),
        filled=np.full(size, _NEVER, dtype=np.int64),
        bears=np.empty(accounts),
        most=np.empty(size),
        pledge=np.empty(len(kinds.held)),
        owe=np.empty(len(kinds.owed)),
    )


@rule
def copy(kinds: Kinds, seen: Watch, of: Noted, to: Noted) -> None:
    """Copy what has been noted where it may differ: `start` to `now`, or the other way."""
    for kind in range(len(of.filled)):
        if not seen.altered[kind]:
            continue
        seen.altered[kind] = False
        to.filled[kind], to.most[kind] = of.filled[kind], of.most[kind]
        for place in range(kinds.accounts[kind], kinds.accounts[kind + 1]):
            to.listed[place], to.bears[place] = of.listed[place], of.bears[place]
        for place in range(kinds.held_from[kind], kinds.held_from[kind + 1]):
            to.pledge[place] = of.pledge[place]
        for place in range(kinds.owed_from[kind], kinds.owed_from[kind + 1]):
            to.owe[place] = of.owe[place]


@rule
def weigh(
    accounts: Accounts,
    weight: FloatArray,
    supplied: FloatArray,
    debt: FloatArray,
    pledge: FloatArray,
    owe: FloatArray,
    account: int,
) -> tuple[float, float]:
    """An account's collateral, each entry weighted, and its debt.

    Parameters
    ----------
    weight
        Shape (entries,): of collateral.
    supplied, debt
        Shape (entries,): tokens at the start.
    pledge, owe
        Shape (reserves,): what one such token is worth now, pledged and owed.
    """
    held, owed = 0.0, 0.0
    for entry in range(accounts.offsets[account], accounts.offsets[account + 1]):
        reserve = accounts.reserve[entry]
        held += supplied[entry] * weight[entry] * pledge[reserve]
        owed += debt[entry] * owe[reserve]
    return held, owed


@rule
def watch(
    kinds: Kinds,
    accounts: Accounts,
    seen: Watch,
    weight: FloatArray,
    supplied: FloatArray,
    debt: FloatArray,
    pledge: FloatArray,
    owe: FloatArray,
) -> None:
    """Weigh the accounts that may owe more than their collateral, weighted, is worth; `weigh` has the parameters."""
    now, due, count = seen.now, seen.due, 0
    for kind in range(len(now.filled)):
        first, end = kinds.accounts[kind], kinds.accounts[kind + 1]
        slack = _slack(kinds, now, kind, pledge, owe)
        start, anew = count, slack < BAND
        if anew:
            for account in range(first, end):
                due[count] = account
                count += 1
        elif now.most[kind] >= slack:
            for place in range(first, first + now.filled[kind]):
                if now.bears[now.listed[place]] >= slack:
                    due[count] = now.listed[place]
                    count += 1
        for place in range(start, count):
            seen.worth[place], seen.owed[place] = weigh(accounts, weight, supplied, debt, pledge, owe, due[place])
        if anew:
            count = _look(kinds, seen, kind, start, pledge, owe)
    seen.dues[0] = count


@rule
def _slack(kinds: Kinds, now: Noted, kind: int, pledge: FloatArray, owe: FloatArray) -> float:
    """By what the ratio of collateral to debt has fallen at most since the kind was looked at."""
    if now.filled[kind] == _NEVER:
        return -np.inf
    lowest, highest = np.inf, 0.0
    for place in range(kinds.held_from[kind], kinds.held_from[kind + 1]):
        lowest = min(lowest, pledge[kinds.held[place]] * now.pledge[place])
    for place in range(kinds.owed_from[kind], kinds.owed_from[kind + 1]):
        highest = max(highest, owe[kinds.owed[place]] * now.owe[place])
    return float(lowest / highest * (1.0 - _ROUNDED)) if highest > 0.0 else np.inf


@rule
def _look(kinds: Kinds, seen: Watch, kind: int, start: int, pledge: FloatArray, owe: FloatArray) -> int:
    """Note what the accounts of a kind can bear, all having been weighed from a place on; returns where those that are
    due now end."""
    now, first, end = seen.now, kinds.accounts[kind], kinds.accounts[kind + 1]
    listed, count, most = first, start, 0.0
    for account in range(first, end):
        place = start + account - first
        worth, owed = seen.worth[place], seen.owed[place]
        bears = owed / worth if worth > 0.0 else (_ALWAYS if owed > 0.0 else 0.0)
        now.bears[account] = bears
        most = max(most, bears)
        if bears > BAND:
            now.listed[listed] = account
            listed += 1
        if bears > 1.0 - _ROUNDED:
            seen.due[count], seen.worth[count], seen.owed[count] = account, worth, owed
            count += 1
    for place in range(kinds.held_from[kind], kinds.held_from[kind + 1]):
        price = pledge[kinds.held[place]]
        now.pledge[place] = 1.0 / price if price > 0.0 else 0.0
    for place in range(kinds.owed_from[kind], kinds.owed_from[kind + 1]):
        price = owe[kinds.owed[place]]
        now.owe[place] = 1.0 / price if price > 0.0 else 0.0
    now.filled[kind], now.most[kind], seen.altered[kind] = listed - first, most, True
    return count


@rule
def changed(kinds: Kinds, seen: Watch, kind: int, account: int) -> None:
    """Take note that the balances of an account are no longer what they were."""
    now = seen.now
    if now.bears[account] <= BAND:
        now.listed[kinds.accounts[kind] + now.filled[kind]] = account
        now.filled[kind] += 1
    now.bears[account] = now.most[kind] = _ALWAYS
    seen.altered[kind] = True
