"""Which accounts are worth looking at: those that prices have moved near to an edge.

Accounts of one kind pledge the same reserves and owe the same. The collateral of each, weighted, over its debt falls at
most by the largest fall of one of those collaterals' prices over the largest rise of one of those debts': by the
*slack* of the kind. When the accounts of a kind are looked at, what each can bear is noted. From then on an account is
weighed when the slack has passed what it can bear. Where that is in vain too often, because prices have moved apart,
all of the kind are looked at anew. Interest is in the prices; what liquidations have changed is always weighed.

What was noted at the start is the same on every path, and is kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from protocols.arithmetic import rule
from simulator.paths.deck import Accounts, BoolArray, FloatArray, IntArray, Kinds

BAND = 0.96
"""Of accounts that are looked at on the way those that can bear less are listed. Narrower, and all are looked at more
often; wider, and more are listed in between."""

_ROUNDED = 1e-9


class Noted(NamedTuple):
    """What was seen when the accounts of a kind were last looked at.

    Attributes
    ----------
    listed, filled
        Shape (accounts,) and (kinds,): the first `filled` of each kind's rows.
    least
        Shape (kinds,): the slack down to which all that must be weighed are listed. At the start it is 0, and they are
        listed in the order of what they can bear, who can bear least first.
    bears, most
        Shape (accounts,) and (kinds,): debt over weighted collateral then, the slack from which on an account must be
        weighed; and the most of a kind.
    pledge, owe
        As `Kinds.held` and `Kinds.owed`: one over what a token pledged and owed at the start was worth then; 0 for one
        that was worth nothing, for which all that pledge it are looked at again.
    """

    listed: IntArray
    filled: IntArray
    least: FloatArray
    bears: FloatArray
    most: FloatArray
    pledge: FloatArray
    owe: FloatArray


class Altered(NamedTuple):
    """The accounts whose balances liquidators have changed.

    Attributes
    ----------
    account, number
        Shape (accounts,) and (1,): their rows, and how many they are.
    is_altered
        Shape (accounts,).
    """

    account: IntArray
    number: IntArray
    is_altered: BoolArray


class Watch(NamedTuple):
    """The accounts that are to be looked at.

    Attributes
    ----------
    now, start
        What was last noted, and what was before the first step.
    differs
        Shape (kinds,): whether the two may differ.
    vain
        Shape (kinds,): how many have been weighed in vain since all were looked at; more than there are before.
    due, dues
        Shape (accounts,) and (1,): the accounts that have been weighed now, and how many they are.
    worth, owed
        Shape (accounts,): of those, in the same places, the weighted collateral and the debt.
    """

    now: Noted
    start: Noted
    differs: BoolArray
    vain: IntArray
    due: IntArray
    dues: IntArray
    worth: FloatArray
    owed: FloatArray


@rule
def unaltered(accounts: int) -> Altered:
    """Nobody, with room for so many."""
    return Altered(np.empty(accounts, dtype=np.int64), np.zeros(1, dtype=np.int64), np.zeros(accounts, dtype=np.bool_))


@rule
def alter(altered: Altered, account: int) -> None:
    """Take note that an account's balances are no longer those of the start."""
    if not altered.is_altered[account]:
        altered.is_altered[account] = True
        altered.account[altered.number[0]] = account
        altered.number[0] += 1


@rule
def unwatched(accounts: int, kinds: Kinds) -> Watch:
    """Nobody has been looked at."""
    size = len(kinds.accounts) - 1
    return Watch(
        now=_nothing(accounts, kinds),
        start=_nothing(accounts, kinds),
        differs=np.ones(size, dtype=np.bool_),
        vain=np.full(size, accounts + 1, dtype=np.int64),
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
        filled=np.zeros(size, dtype=np.int64),
        least=np.zeros(size),
        bears=np.empty(accounts),
        most=np.zeros(size),
        pledge=np.zeros(len(kinds.held)),
        owe=np.zeros(len(kinds.owed)),
    )


@rule
def keep(kinds: Kinds, seen: Watch) -> None:
    """Keep what has been noted as that of the start, all having been looked at."""
    now = seen.now
    for kind in range(len(now.filled)):
        first, end = kinds.accounts[kind], kinds.accounts[kind + 1]
        now.listed[first:end] = first + np.argsort(-now.bears[first:end])
        now.filled[kind], now.least[kind] = end - first, 0.0
    _copy(kinds, seen, now, seen.start)


@rule
def restart(kinds: Kinds, seen: Watch) -> None:
    """Go back to what was noted at the start."""
    _copy(kinds, seen, seen.start, seen.now)
    for kind in range(len(seen.vain)):
        seen.vain[kind] = 0


@rule
def _copy(kinds: Kinds, seen: Watch, of: Noted, to: Noted) -> None:
    """Copy what has been noted where it may differ."""
    for kind in range(len(of.filled)):
        if not seen.differs[kind]:
            continue
        seen.differs[kind] = False
        to.filled[kind], to.least[kind], to.most[kind] = of.filled[kind], of.least[kind], of.most[kind]
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
    altered: Altered,
    weight: FloatArray,
    supplied: FloatArray,
    debt: FloatArray,
    pledge: FloatArray,
    owe: FloatArray,
) -> None:
    """Weigh the accounts that may owe more than their collateral, weighted, is worth; `weigh` has the parameters."""
    now, due, count = seen.now, seen.due, altered.number[0]
    for place in range(count):
        due[place] = altered.account[place]
        seen.worth[place], seen.owed[place] = weigh(accounts, weight, supplied, debt, pledge, owe, due[place])
    for kind in range(len(now.filled)):
        first, end = kinds.accounts[kind], kinds.accounts[kind + 1]
        slack = _slack(kinds, now, kind, pledge, owe)
        start, anew = count, slack < now.least[kind] or seen.vain[kind] > end - first
        if anew:
            for account in range(first, end):
                if not altered.is_altered[account]:
                    due[count] = account
                    count += 1
        elif now.most[kind] >= slack:
            for place in range(first, first + now.filled[kind]):
                account = now.listed[place]
                if now.bears[account] >= slack:
                    if not altered.is_altered[account]:
                        due[count] = account
                        count += 1
                elif now.least[kind] == 0.0:
                    break
        for place in range(start, count):
            seen.worth[place], seen.owed[place] = weigh(accounts, weight, supplied, debt, pledge, owe, due[place])
            seen.vain[kind] += seen.owed[place] <= seen.worth[place]
        if anew:
            count = _look(kinds, seen, kind, start, count, pledge, owe)
    seen.dues[0] = count


@rule
def _slack(kinds: Kinds, now: Noted, kind: int, pledge: FloatArray, owe: FloatArray) -> float:
    """By what the ratio of collateral to debt has fallen at most since the kind was looked at."""
    lowest, highest = np.inf, 0.0
    for place in range(kinds.held_from[kind], kinds.held_from[kind + 1]):
        lowest = min(lowest, pledge[kinds.held[place]] * now.pledge[place])
    for place in range(kinds.owed_from[kind], kinds.owed_from[kind + 1]):
        highest = max(highest, owe[kinds.owed[place]] * now.owe[place])
    return float(lowest / highest * (1.0 - _ROUNDED)) if highest > 0.0 else np.inf


@rule
def _look(kinds: Kinds, seen: Watch, kind: int, start: int, end: int, pledge: FloatArray, owe: FloatArray) -> int:
    """Note what the accounts of a kind can bear, which have been weighed from one place to another; returns where those
    that are due now end."""
    now, count, most = seen.now, start, 0.0
    listed = first = kinds.accounts[kind]
    for place in range(start, end):
        account, worth, owed = seen.due[place], seen.worth[place], seen.owed[place]
        bears = owed / worth if worth > 0.0 else (np.inf if owed > 0.0 else 0.0)
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
    now.filled[kind], now.least[kind], now.most[kind] = listed - first, BAND, most
    seen.vain[kind], seen.differs[kind] = 0, True
    return count
