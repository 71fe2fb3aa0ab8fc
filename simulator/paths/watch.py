"""Which accounts are worth looking at: those that prices have moved near to an edge.

An account's collateral, weighted, over its debt falls at most by the largest fall of a collateral's price over the
largest rise of a debt's. Until that has passed `BAND`, only accounts that were within it when last all were looked at
can have crossed. Interest is in the prices; what liquidations change concerns accounts that are listed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from protocols.arithmetic import rule
from simulator.paths.deck import Deck, FloatArray, IntArray

BAND = 0.97
"""Narrower, and all are looked at more often; wider, and more are listed in between. Nearly level from 0.95 to 0.985 on
a day of minutes."""

_ROUNDED = 1e-9
_NEVER = -1


class Watch(NamedTuple):
    """The accounts of each market that are to be looked at.

    Attributes
    ----------
    listed
        Shape (accounts,): the first `filled` of each market's rows, ascending but for those added.
    filled
        Shape (markets,); -1 before all have been looked at.
    is_listed
        Shape (accounts,), of 0 and 1.
    pledge, owe
        Shape (reserves,): what a token pledged and owed at the start was worth when all were last looked at.
    """

    listed: IntArray
    filled: IntArray
    is_listed: IntArray
    pledge: FloatArray
    owe: FloatArray


@rule
def weighed(
    offsets: IntArray,
    reserves: IntArray,
    weight: FloatArray,
    supplied: FloatArray,
    debt: FloatArray,
    pledge: FloatArray,
    owe: FloatArray,
    account: int,
) -> tuple[float, float]:
    """An account's collateral, each entry weighted, and its debt; `watch` has the arguments."""
    worth, owed = 0.0, 0.0
    for entry in range(offsets[account], offsets[account + 1]):
        worth += supplied[entry] * weight[entry] * pledge[reserves[entry]]
        owed += debt[entry] * owe[reserves[entry]]
    return worth, owed


@rule
def watch(
    deck: Deck,
    seen: Watch,
    market: int,
    weight: FloatArray,
    supplied: FloatArray,
    debt: FloatArray,
    pledge: FloatArray,
    owe: FloatArray,
) -> None:
    """List a market's accounts that may owe more than their collateral, weighted, is worth.

    Parameters
    ----------
    weight
        Shape (entries,): of collateral.
    supplied, debt
        Shape (entries,): tokens at the start.
    pledge, owe
        Shape (reserves,): what one such token is worth now, pledged and owed.
    """
    reserves, accounts = deck.reserves, deck.accounts
    lowest, highest = np.inf, 0.0
    if seen.filled[market] != _NEVER:
        for reserve in range(deck.markets.reserves[market], deck.markets.reserves[market + 1]):
            if reserves.is_collateral[reserve]:
                lowest = min(lowest, pledge[reserve] / seen.pledge[reserve])
            if reserves.is_debt[reserve]:
                highest = max(highest, owe[reserve] / seen.owe[reserve])
        if lowest >= BAND * highest:
            return
    first, end = deck.markets.accounts[market], deck.markets.accounts[market + 1]
    for reserve in range(deck.markets.reserves[market], deck.markets.reserves[market + 1]):
        seen.pledge[reserve], seen.owe[reserve] = pledge[reserve], owe[reserve]
    count = 0
    for account in range(first, end):
        worth, owed = weighed(accounts.offsets, accounts.reserve, weight, supplied, debt, pledge, owe, account)
        near = owed > 0.0 and worth * (BAND - _ROUNDED) < owed
        seen.is_listed[account] = 1 if near else 0
        if near:
            seen.listed[first + count] = account
            count += 1
    seen.filled[market] = count


@rule
def add(deck: Deck, seen: Watch, account: int) -> None:
    """List an account."""
    market = deck.accounts.market[account]
    if seen.is_listed[account] == 0 and seen.filled[market] != _NEVER:
        seen.is_listed[account] = 1
        seen.listed[deck.markets.accounts[market] + seen.filled[market]] = account
        seen.filled[market] += 1
