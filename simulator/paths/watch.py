"""Which accounts are worth looking at: those that prices have moved near to an edge.

An account's collateral, weighted, over its debt falls at most by the largest fall of a collateral's price over the
largest rise of a debt's: by `slack`. As all are looked at, what each can bear is noted, and those that can bear less
than `BAND` are listed. From then on a listed account is weighed when the slack has passed what it can bear, and all are
looked at anew when it has passed the band. Interest is in the prices; what liquidations have changed is always weighed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from protocols.arithmetic import rule
from simulator.paths.deck import BoolArray, FloatArray, IntArray

BAND = 0.96
"""Narrower, and all are looked at more often; wider, and more are listed in between."""

_ROUNDED = 1e-9
_NEVER = -1
_ALWAYS = np.inf


class Watch(NamedTuple):
    """The accounts of each market that are to be looked at.

    Attributes
    ----------
    listed
        Shape (accounts,): the first `filled` of each market's rows.
    filled
        Shape (markets,); -1 before all have been looked at.
    bears
        Shape (accounts,): debt over weighted collateral when all were last looked at: the slack from which on an
        account must be weighed. Infinite for those that liquidators have changed.
    pledge, owe
        Shape (reserves,): what a token pledged and owed at the start was worth when all were last looked at.
    due, dues
        Shape (accounts,) and (markets,): the accounts that have been weighed now, and how many in each market.
    worth, owed
        Shape (accounts,): of those, in the same places, the weighted collateral and the debt.
    """

    listed: IntArray
    filled: IntArray
    bears: FloatArray
    pledge: FloatArray
    owe: FloatArray
    due: IntArray
    dues: IntArray
    worth: FloatArray
    owed: FloatArray


class Books(NamedTuple):
    """Of a deck, what says where an account and a market have what.

    Attributes
    ----------
    accounts, reserves
        As `Markets` has them.
    offsets, reserve
        As `Accounts` has them.
    is_collateral, is_debt
        As `Reserves` has them.
    """

    accounts: IntArray
    reserves: IntArray
    offsets: IntArray
    reserve: IntArray
    is_collateral: BoolArray
    is_debt: BoolArray


@rule
def unwatched(accounts: int, reserves: int, markets: int) -> Watch:
    """Nobody has been looked at."""
    return Watch(
        listed=np.empty(accounts, dtype=np.int64),
        filled=np.full(markets, _NEVER, dtype=np.int64),
        bears=np.empty(accounts),
        pledge=np.empty(reserves),
        owe=np.empty(reserves),
        due=np.empty(accounts, dtype=np.int64),
        dues=np.zeros(markets, dtype=np.int64),
        worth=np.empty(accounts),
        owed=np.empty(accounts),
    )


@rule
def weigh(
    offsets: IntArray,
    reserves: IntArray,
    weight: FloatArray,
    supplied: FloatArray,
    debt: FloatArray,
    pledge: FloatArray,
    owe: FloatArray,
    rows: IntArray,
    worth: FloatArray,
    owed: FloatArray,
) -> None:
    """Accounts' collateral, each entry weighted, and their debts.

    Many at once, because a call costs more than an account.

    Parameters
    ----------
    offsets, reserves
        As `Accounts` has them.
    weight
        Shape (entries,): of collateral.
    supplied, debt
        Shape (entries,): tokens at the start.
    pledge, owe
        Shape (reserves,): what one such token is worth now, pledged and owed.
    rows
        The accounts.
    worth, owed
        What is filled, one place for each of `rows`.
    """
    for place in range(len(rows)):
        account = rows[place]
        held, missing = 0.0, 0.0
        for entry in range(offsets[account], offsets[account + 1]):
            reserve = reserves[entry]
            held += supplied[entry] * weight[entry] * pledge[reserve]
            missing += debt[entry] * owe[reserve]
        worth[place], owed[place] = held, missing


@rule
def watch(
    books: Books,
    seen: Watch,
    market: int,
    weight: FloatArray,
    supplied: FloatArray,
    debt: FloatArray,
    pledge: FloatArray,
    owe: FloatArray,
) -> None:
    """Weigh a market's accounts that may owe more than their collateral, weighted, is worth; `weigh` has the
    parameters."""
    first, end = books.accounts[market], books.accounts[market + 1]
    own = (books.reserves[market], books.reserves[market + 1])
    due = seen.due[first:end]
    slack = -np.inf
    if seen.filled[market] != _NEVER:
        lowest, highest = np.inf, 0.0
        for reserve in range(own[0], own[1]):
            if books.is_collateral[reserve]:
                lowest = min(lowest, pledge[reserve] / seen.pledge[reserve])
            if books.is_debt[reserve]:
                highest = max(highest, owe[reserve] / seen.owe[reserve])
        slack = lowest / highest * (1.0 - _ROUNDED) if highest > 0.0 else np.inf
    count, anew = 0, slack < BAND
    if anew:
        count = end - first
        for place in range(count):
            due[place] = first + place
    else:
        for place in range(first, first + seen.filled[market]):
            if seen.bears[seen.listed[place]] > slack:
                due[count] = seen.listed[place]
                count += 1
    worth, owed = seen.worth[first:end], seen.owed[first:end]
    weigh(books.offsets, books.reserve, weight, supplied, debt, pledge, owe, due[:count], worth, owed)
    if anew:
        seen.pledge[own[0] : own[1]], seen.owe[own[0] : own[1]] = pledge[own[0] : own[1]], owe[own[0] : own[1]]
        count = _list(seen, market, first, end)
    seen.dues[market] = count


@rule
def _list(seen: Watch, market: int, first: int, end: int) -> int:
    """List the accounts that can bear less than the band, all having been weighed; returns how many are due now."""
    listed, count = first, 0
    for place in range(first, end):
        worth, owed = seen.worth[place], seen.owed[place]
        bears = owed / worth if worth > 0.0 else (_ALWAYS if owed > 0.0 else 0.0)
        seen.bears[place] = bears
        if bears > BAND:
            seen.listed[listed] = place
            listed += 1
        if bears > 1.0 - _ROUNDED:
            seen.due[first + count], seen.worth[first + count], seen.owed[first + count] = place, worth, owed
            count += 1
    seen.filled[market] = listed - first
    return count


@rule
def changed(seen: Watch, market: int, first: int, account: int) -> None:
    """Take note that the balances of an account are no longer what they were; the first account of its market is
    `first`."""
    if seen.filled[market] != _NEVER:
        if seen.bears[account] <= BAND:
            seen.listed[first + seen.filled[market]] = account
            seen.filled[market] += 1
        seen.bears[account] = _ALWAYS
