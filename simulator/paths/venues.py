"""Pools and the ways through them, as a deck has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np

from protocols.amm.interface import Venue, Withdrawable
from simulator.book import Book
from simulator.market.curves import curve
from simulator.market.impact import depth_weights
from simulator.paths.deck import NONE, FloatArray, IntArray, Pools, Ways

ASKED = 4
"""Times what it holds of a token that a pool which has to be asked is asked about: prices that paths reach."""
LONGEST = 3
"""Pools in a row that a way may lead through."""
MANY = 16
"""Ways between two tokens that are kept, those of the deepest pools."""

_NARROW = 1e-12
"""Share by which two roots differ that are one but for rounding."""


@dataclass(frozen=True)
class Pair:
    """Two tokens of a venue, as `Pools` has them; `depth_usd` is what moves the price by one in logarithms."""

    venue: int
    first: int
    second: int
    fee: tuple[float, float]
    start: float
    edges: FloatArray
    liquidity: FloatArray
    depth_usd: float


def pairs(book: Book) -> list[Pair]:
    """Every pair of tokens of every venue that can be traded in."""
    found = []
    for row, venue in enumerate(book.venues):
        for first, second in combinations(range(len(venue.tokens)), 2):
            pair = _pair(book, row, venue, first, second)
            if pair is not None:
                found.append(pair)
    return found


def pools(book: Book, found: Sequence[Pair]) -> Pools:
    """Pairs as arrays."""
    rows = [[book.token_row[token] for token in venue.tokens] for venue in book.venues]
    weights = depth_weights(book, rows)
    sizes = [len(pair.edges) for pair in found]
    return Pools(
        first=np.array([pair.first for pair in found], dtype=np.int64),
        second=np.array([pair.second for pair in found], dtype=np.int64),
        fee=np.array([pair.fee for pair in found], dtype=np.float64).reshape(-1, 2),
        start=np.array([pair.start for pair in found], dtype=np.float64),
        offsets=np.cumsum([0, *sizes], dtype=np.int64),
        edges=np.concatenate([*(pair.edges for pair in found), np.empty(0)]),
        liquidity=np.concatenate([*(np.append(pair.liquidity, 0.0) for pair in found), np.empty(0)]),
        weight=np.array(
            [
                [weights[pair.venue][rows[pair.venue].index(token)] for token in (pair.first, pair.second)]
                for pair in found
            ],
            dtype=np.float64,
        ).reshape(-1, 2),
        leaves=np.array([isinstance(book.venues[pair.venue], Withdrawable) for pair in found], dtype=np.bool_),
    )


def ways(book: Book, found: Sequence[Pair], wanted: Sequence[tuple[int, int]]) -> Ways:
    """Ways between tokens.

    Parameters
    ----------
    found
        Pools, in the order of their rows.
    wanted
        Token sold and token bought, rows of the book, of every pair that may be traded.
    """
    onward: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for row, pair in enumerate(found):
        onward[pair.first].append((pair.second, row, 0))
        onward[pair.second].append((pair.first, row, 1))
    pair_row: IntArray = np.full((len(book.tokens), len(book.tokens)), NONE, dtype=np.int64)
    legs: list[tuple[int, int]] = []
    way_starts, leg_starts, kept_shares = [0], [0], []
    for sold, bought in wanted:
        kept = sorted(
            _ways(sold, bought, onward, found),
            key=lambda way: (-min(found[row].depth_usd for row, _ in way), len(way), way),
        )[:MANY]
        if not kept:
            continue
        pair_row[sold, bought] = len(way_starts) - 1
        for way in kept:
            legs += way
            leg_starts.append(len(legs))
            kept_shares.append(prod(1.0 - found[row].fee[side] for row, side in way))
        way_starts.append(len(leg_starts) - 1)
    return Ways(
        pair=pair_row,
        ways=np.array(way_starts, dtype=np.int64),
        legs=np.array(leg_starts, dtype=np.int64),
        pool=np.array([row for row, _ in legs], dtype=np.int64),
        side=np.array([side for _, side in legs], dtype=np.int64),
        kept=np.array(kept_shares, dtype=np.float64),
    )


def _ways(
    sold: int, bought: int, onward: dict[int, list[tuple[int, int, int]]], found: Sequence[Pair]
) -> Iterator[tuple[tuple[int, int], ...]]:
    """Every way from a token to another that passes no token and no venue twice."""

    def follow(
        token: int, way: tuple[tuple[int, int], ...], passed: frozenset[int]
    ) -> Iterator[tuple[tuple[int, int], ...]]:
        for head, row, side in onward[token]:
            if head in passed or any(found[row].venue == found[other].venue for other, _ in way):
                continue
            further = (*way, (row, side))
            if head == bought:
                yield further
            elif len(further) < LONGEST:
                yield from follow(head, further, passed | {head})

    return follow(sold, (), frozenset((sold,)))


def _pair(book: Book, row: int, venue: Venue, first: int, second: int) -> Pair | None:
    """Two tokens of a venue, or None where neither can be sold for the other."""
    tokens = [book.token_row[venue.tokens[side]] for side in (first, second)]
    units = [float(book.unit[token]) for token in tokens]
    fees = (venue.fee(first, second), venue.fee(second, first))
    price = venue.price(first, second) * units[0] / units[1]
    reserves = venue.reserves_raw()
    if price <= 0.0 or not (reserves[first] and reserves[second]):
        return None
    start = price**0.5
    down, below = _pieces(venue, (first, second), units, fees[0], ASKED * reserves[first])
    up, above = _pieces(venue, (second, first), units[::-1], fees[1], ASKED * reserves[second])
    # between where sales of one and of the other begin there is no liquidity, if there is anything between
    edges = np.concatenate([down[::-1], [start], 1.0 / up])
    liquidity = np.concatenate([below[::-1], np.zeros(bool(len(down)) + bool(len(up))), above])
    edges = np.maximum.accumulate(edges)
    wide = np.diff(edges) > _NARROW * edges[1:]
    edges, liquidity = np.append(edges[:-1][wide], edges[-1]), liquidity[wide]
    if len(liquidity) == 0:
        return None
    here = min(max(int(np.searchsorted(edges, start, side="right")) - 1, 0), len(liquidity) - 1)
    depth = float(liquidity[here] * start * book.outside_usd[tokens[1]])
    return Pair(row, tokens[0], tokens[1], fees, start, edges, liquidity, depth)


def _pieces(
    venue: Venue, sides: tuple[int, int], units: Sequence[float], fee: float, most: int
) -> tuple[FloatArray, FloatArray]:
    """What selling one token for another goes through: roots of the price of the token sold in the other, falling, and
    the liquidity from each to the next."""
    found = curve(venue, *sides, most)
    if found.paid[-1] <= 0.0:
        return np.empty(0), np.empty(0)
    root = (units[0] / units[1] / (1.0 - fee)) ** 0.5 / found.dearness
    paid = np.diff(found.paid) * (1.0 - fee) / units[0]
    with np.errstate(divide="ignore"):
        rise = np.diff(1.0 / root)
        return root, np.where((paid > 0.0) & (rise > 0.0), paid / np.where(rise > 0.0, rise, 1.0), 0.0)
