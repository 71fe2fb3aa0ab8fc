"""What every account of every market holds and owes, and what is locked where: one set of arrays for a whole snapshot.

Graphs are drawn and measures taken from these, so that both are the same however accounts are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chain.snapshot import Snapshot
from protocols import provenance
from protocols.amm.interface import Venue
from protocols.provenance import Sources
from simulator.book import Book
from simulator.graph.arrays import FloatArray, IntArray, joined, joined_rows, sums

DAY_S = 24 * 3600
_MOVE = 0.01
"""The price move over which depth is measured."""
_HALVINGS = 12
"""Bisections of the amount that moves a price so far: to within 1 in 4,096."""


@dataclass(frozen=True)
class Reserves:
    """Every market's reserves, market by market; arrays of shape (reserves,).

    Attributes
    ----------
    market, token
        Rows of markets and of tokens.
    cash, loans
        Whole tokens that could be paid out now and that are lent; zeros for what is never lent. Markets that draw on
        one purse (Aave v4's spokes of a hub) each show it whole.
    held
        Whole tokens that suppliers own: cash and loans, or of what is never lent the collateral of accounts with debt.
    rehypothecated
        The share of what is pledged that is lent out to others: loans over cash and loans where the venue lends
        collateral, else 0.
    oracle_usd
        What the market believes one whole token is worth.
    sources
        The rows that they came from.
    """

    market: IntArray
    token: IntArray
    cash: FloatArray
    loans: FloatArray
    held: FloatArray
    rehypothecated: FloatArray
    oracle_usd: FloatArray
    sources: Sources


@dataclass(frozen=True)
class Holdings:
    """Every account's balances, market by market and account by account; arrays of shape (entries,).

    Attributes
    ----------
    addresses
        Every account once, in the order in which the snapshot has them.
    account, reserve
        Rows of `addresses` and of the reserves.
    supplied, pledged, debt
        Whole tokens; `pledged` is the part of `supplied` that counts as collateral.
    threshold
        Liquidation threshold, a share; 0 where the entry is no collateral.
    supply_growth, debt_growth
        Interest over the next day, continuously compounded: ln(balance in a day / balance now).
    sources
        The rows that they came from.
    """

    addresses: Sequence[str]
    account: IntArray
    reserve: IntArray
    supplied: FloatArray
    pledged: FloatArray
    debt: FloatArray
    threshold: FloatArray
    supply_growth: FloatArray
    debt_growth: FloatArray
    sources: Sources


@dataclass(frozen=True)
class Pools:
    """Every pool's tokens; arrays of shape (entries,), an entry a pool and token.

    Attributes
    ----------
    names, protocols
        Of each pool: its address, and the folder of its protocol.
    pool, token
        Rows of `names` and of tokens.
    amount
        Whole tokens that the pool could pay out.
    depth_usd
        Shape (tokens,): dollars of a token that move its price by 1 in relative terms, at the rate of the first
        percent, in all pools together (Cont and Schaanning's market depth, of one moment); 0 without a pool.
    """

    names: Sequence[str]
    protocols: Sequence[str]
    pool: IntArray
    token: IntArray
    amount: FloatArray
    depth_usd: FloatArray


def take(snapshot: Snapshot, book: Book) -> tuple[Reserves, Holdings]:
    """All reserves and all balances of a book that was opened on a snapshot. The markets of the book are a day older
    afterwards."""
    now = [market.exposures() for market in book.markets]
    addresses, accounts = _accounts(book)
    sizes = [len(market.tokens) for market in book.markets]
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    entries = [np.repeat(account, np.diff(e.offsets)) for account, e in zip(accounts, now, strict=True)]
    supplied = joined([np.array(e.supplied) for e in now])
    debt = joined([np.array(e.debt) for e in now])
    threshold = joined([e.threshold for e in now])
    reserve = joined_rows([e.reserve + first[number] for number, e in enumerate(now)])
    reserves = _reserves(snapshot, book, sums(reserve, supplied, int(first[-1])))
    sources = _together(
        [provenance.positions(snapshot, market, e) for market, e in zip(book.markets, now, strict=True)]
    )
    for market in book.markets:
        market.advance(book.timestamp + DAY_S)
    later = [market.exposures() for market in book.markets]
    holdings = Holdings(
        addresses=addresses,
        account=joined_rows(entries),
        reserve=reserve,
        supplied=supplied,
        pledged=np.where(threshold > 0, supplied, 0.0),
        debt=debt,
        threshold=threshold,
        supply_growth=_growth(supplied, joined([e.supplied for e in later])),
        debt_growth=_growth(debt, joined([e.debt for e in later])),
        sources=sources,
    )
    return reserves, holdings


def take_pools(book: Book) -> Pools:
    """The pools of a book."""
    pool, token, amount = [], [], []
    for number, venue in enumerate(book.venues):
        for address, raw in zip(venue.tokens, venue.reserves_raw(), strict=True):
            row = book.token_row[address]
            pool.append(number)
            token.append(row)
            amount.append(raw / book.unit[row])
    return Pools(
        names=[venue.name for venue in book.venues],
        protocols=[venue.protocol for venue in book.venues],
        pool=np.array(pool, dtype=np.int64),
        token=np.array(token, dtype=np.int64),
        amount=np.array(amount, dtype=np.float64),
        depth_usd=_depth(book),
    )


def _accounts(book: Book) -> tuple[list[str], list[IntArray]]:
    """Every account once, in order of appearance, and the row of each market's."""
    row: dict[str, int] = {}
    rows = [
        np.array([row.setdefault(account, len(row)) for account in market.accounts], dtype=np.int64)
        for market in book.markets
    ]
    return list(row), rows


def _reserves(snapshot: Snapshot, book: Book, supplied: FloatArray) -> Reserves:
    amounts, markets = [], []
    for number, each in enumerate(book.markets):
        unit = book.unit[book.market_tokens[number]]
        amounts.append(np.array(each.cash_and_loans_raw(), dtype=np.float64).reshape(-1, 2) / unit[:, None])
        markets.append(np.full(len(each.tokens), number, dtype=np.int64))
    cash, loans = np.concatenate([np.zeros((0, 2)), *amounts]).T
    market = joined_rows(markets)
    lent = cash + loans > 0
    held = np.where(lent, cash + loans, supplied)
    lends = np.array([each.lends_collateral for each in book.markets], dtype=np.bool_)
    share = np.divide(loans, held, out=np.zeros(len(held)), where=lent & lends[market])
    return Reserves(
        market=market,
        token=joined_rows(book.market_tokens),
        cash=cash,
        loans=loans,
        held=held,
        rehypothecated=share,
        oracle_usd=joined([book.oracle_usd(number) for number in range(len(book.markets))]),
        sources=_together([provenance.reserves(snapshot, each) for each in book.markets]),
    )


def _together(parts: Sequence[Sources]) -> Sources:
    names = list(dict.fromkeys(name for part in parts for name in part.tables))
    tables = []
    for part in parts:
        place = np.array([names.index(name) for name in part.tables] + [-1], dtype=np.int64)
        tables.append(place[part.table])
    return Sources(tuple(names), joined_rows(tables), joined_rows([part.row for part in parts]))


def _growth(now: FloatArray, later: FloatArray) -> FloatArray:
    there = (now > 0) & (later > 0)
    return np.log(np.divide(later, now, out=np.ones(len(now)), where=there), out=np.zeros(len(now)), where=there)


def _depth(book: Book) -> FloatArray:
    depth = np.zeros(len(book.tokens))
    for venue in book.venues:
        for sold, address in enumerate(venue.tokens):
            row = book.token_row[address]
            for bought in range(len(venue.tokens)):
                if bought != sold:
                    depth[row] += book.usd(row, _moving(venue, sold, bought)) / _MOVE
    return depth


def _moving(venue: Venue, sold: int, bought: int) -> int:
    """What has to be sold for the marginal price to fall by about :data:`_MOVE`, smallest units: what sells at half of
    that below the marginal price on average, since a small sale moves the price by twice its mean slippage."""
    price = venue.price(sold, bought) * (1.0 - venue.fee(sold, bought))

    def moves(amount: int) -> bool:
        fill = venue.quote(sold, bought, amount)
        return fill.paid_raw < amount or fill.received_raw < amount * price * (1.0 - _MOVE / 2)

    most = venue.reserves_raw()[sold]
    if price <= 0 or most <= 0 or moves(most // 10**6 + 1):
        return 0
    low, high = most // 10**6 + 1, most // 10**6 + 2
    while not moves(high):
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) // 2
        low, high = (low, middle) if moves(middle) else (middle, high)
    return low
