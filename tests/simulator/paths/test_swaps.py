"""Pools in real numbers are held to the pools themselves, and sales over them to the exact router."""

from __future__ import annotations

from itertools import permutations
from random import Random

import numpy as np
import pytest

from protocols.amm.curve_stableswap.pool import StableSwapPool
from simulator.book import Book, Token
from simulator.paths import kernel, swaps, venues
from simulator.paths.deck import NONE, Pools, Ways
from simulator.paths.swaps import FULL, Standing
from tests.simulator.market.pool_networks import PoolNetwork, random_network, sellable


def book_of(network: PoolNetwork) -> Book:
    return Book(
        tokens=[Token(coin.address, coin.address, coin.decimals) for coin in network.coins],
        markets=[],
        venues=list(network.pools),
        outside_usd=np.array([coin.price for coin in network.coins]),
        timestamp=0,
        assumed=[],
    )


def opened(book: Book) -> tuple[Pools, Ways, Standing]:
    found = venues.pairs(book)
    pools = venues.pools(book, found)
    ways = venues.ways(book, found, list(permutations(range(len(book.tokens)), 2)))
    return pools, ways, kernel.standing(pools, ways)


@pytest.mark.parametrize("seed", range(12))
def test_a_sale_brings_what_the_pool_pays(seed: int) -> None:
    random = Random(seed)
    book = book_of(random_network(random))
    pools, _, at = opened(book)
    pairs = venues.pairs(book)
    for row, pair in enumerate(pairs):
        venue = book.venues[pair.venue]
        tokens = [book.token_row[token] for token in venue.tokens]
        for side, sold, bought in ((0, pair.first, pair.second), (1, pair.second, pair.first)):
            i, j = tokens.index(sold), tokens.index(bought)
            amount = round(venue.reserves_raw()[i] * 10 ** random.uniform(-4.0, -0.5))
            fill = venue.quote(i, j, amount)
            at.root[row], at.place[row] = pools.start[row], pools.offsets[row]
            swaps.move_to(pools, at, row, pools.start[row])
            found = swaps.swap(pools, at, row, side, amount / book.unit[sold])
            if fill.paid_raw < amount:
                assert found == FULL
                continue
            # stable pools are asked, at few amounts
            share = 1e-3 if isinstance(venue, StableSwapPool) else 1e-6
            # a unit of either token may be rounded away
            unit = max(1.0, venue.price(i, j)) / book.unit[bought]
            assert found == pytest.approx(fill.received_raw / book.unit[bought], rel=share, abs=2.0 * unit)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_sold_in_parts_brings_as_much_as_at_once_and_moves_the_price_as_far(seed: int) -> None:
    book = book_of(random_network(Random(seed)))
    pools, ways, at = opened(book)
    other = kernel.standing(pools, ways)
    for row, pair in enumerate(venues.pairs(book)):
        amount = 0.05 * pair.depth_usd / book.outside_usd[pair.second]
        whole = swaps.swap(pools, at, row, 1, amount)
        parts = [swaps.swap(pools, other, row, 1, amount / 4) for _ in range(4)]
        if whole != FULL:
            assert sum(parts) == pytest.approx(whole, rel=1e-9)
            assert other.root[row] == pytest.approx(at.root[row], rel=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_arbitrage_brings_a_pool_to_the_edge_of_its_band_and_leaves_one_that_is_within(seed: int) -> None:
    book = book_of(random_network(Random(seed)))
    pools, _, at = opened(book)
    outside = book.outside_usd * np.exp(np.random.default_rng(seed).normal(0.0, 0.02, len(book.tokens)))
    swaps.arbitrage(pools, at, outside, 1.0)
    for row in range(len(pools.first)):
        target = outside[pools.first[row]] / outside[pools.second[row]]
        lowest, highest = target * (1.0 - pools.fee[row, 1]), target / (1.0 - pools.fee[row, 0])
        first, last = pools.offsets[row], pools.offsets[row + 1] - 1
        price, start = at.root[row] ** 2, pools.start[row] ** 2
        if lowest <= start <= highest:
            assert price == start
        else:
            wanted = highest if start > highest else lowest
            assert price == pytest.approx(np.clip(wanted, pools.edges[first] ** 2, pools.edges[last] ** 2), rel=1e-9)
    where = at.root.copy()
    swaps.arbitrage(pools, at, outside, 1.0)
    assert at.root == pytest.approx(where, rel=1e-12)


@pytest.mark.parametrize("seed", range(30))
def test_a_sale_over_many_ways_brings_nearly_what_the_best_division_does(seed: int) -> None:
    network, amount = sellable(seed)
    amount //= 20
    book = book_of(network)
    pools, ways, at = opened(book)
    pair = ways.pair[0, 1]
    best = network.router().sale(0, 1, amount)
    if best.exhausted or pair == NONE or not amount:
        return
    found = swaps.sale(pools, ways, at, pair, amount / book.unit[0], 0.0)
    assert found * book.unit[1] == pytest.approx(best.received_raw, rel=0.01)
    assert at.root == pytest.approx(pools.start, rel=1e-12)
