"""A sale is divided over pools and ways so that it brings most, and every whole unit of it is accounted for."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.amm.interface import Fill, Venue
from simulator.book import open_book
from simulator.market.routes import Hop, Router, Sale
from tests.simulator.books import POOLS, Pool, make_snapshot
from tests.simulator.market.pool_networks import (
    Coin,
    PoolNetwork,
    best_alone,
    bound,
    pair,
    random_network,
    sellable,
    stable_pool,
    v3_pool,
)

ROW = {"ETH": 0, "BTC": 1, "USD": 2, "DAI": 3}
ETHER = 10**18


snapshot_of = cache(lambda *pools: make_snapshot({}, pools))


def router(*pools: Pool) -> Router:
    book = open_book(snapshot_of(*(pools or POOLS)))
    return Router(book.venues, book.token_row)


def sale_of(made: Router, sold: str, bought: str, amount: int) -> Sale:
    return made.sale(ROW[sold], ROW[bought], amount)


def hops(sale: Sale) -> set[Hop]:
    return {leg.hop for leg in sale.legs}


# --- how good a division is -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(200))
def test_no_division_over_concave_pools_brings_a_ten_thousandth_more(seed: int) -> None:
    network, amount = sellable(seed)
    received = network.router().sale(0, 1, amount).received_raw
    most = bound(network, amount)
    # a few units are lost where pools round what they pay down
    assert most * (1.0 - 1e-4) - 10 <= received <= most * (1.0 + 1e-9)


@pytest.mark.parametrize("seed", range(200))
def test_what_a_sale_brings_at_most_is_known_before_it_is_planned(seed: int) -> None:
    network, amount = sellable(seed, dynamic=seed % 2 == 0, most_coins=4)
    made = network.router()
    for part in (amount, amount // 100, amount // 1_000_000, 1 + amount % 1_000_000):
        assert made.sale(0, 1, part).received_raw <= made.most(0, 1, part) * (1.0 + 1e-9)


def test_what_a_sale_brings_at_most_is_close_to_what_it_brings_unless_pools_disagree() -> None:
    close = []
    for seed in range(100):
        network, amount = sellable(seed, most_coins=4)
        made = network.router()
        close.append(made.most(0, 1, amount) <= made.sale(0, 1, amount).received_raw * 1.001 + 10)
    # where a round trip pays, it may be counted, though no sale goes round
    assert sum(close) >= 90


@pytest.mark.parametrize("seed", range(100))
def test_no_single_way_brings_more(seed: int) -> None:
    network, amount = sellable(seed, dynamic=True, most_coins=4)
    made = network.router()
    for part in (amount, amount // 1_000, amount // 1_000_000, 1 + amount % 1_000_000):
        assert made.sale(0, 1, part).received_raw >= best_alone(network, part)


def side_by_side(seed: int) -> tuple[PoolNetwork, int]:
    """Pools with dynamic fees, and others, between two coins and by way of a third, all of one peg."""
    random = Random(seed)
    coins = [Coin(f"0x{row}", decimals, 1.0, 0) for row, decimals in enumerate((18, 6, 8))]
    made: list[Venue] = []
    for number, (first, second) in enumerate([(0, 1), (0, 1), (0, 1), (0, 2), (0, 2), (2, 1), (2, 1)]):
        kind, depth = random.random(), 10 ** random.uniform(5.5, 7.0)
        two = (coins[first], coins[second])
        if kind < 0.7:
            made.append(stable_pool(random, number, two, depth, dynamic=True))
        else:
            made.append((pair if kind < 0.85 else v3_pool)(random, number, *two, depth))
    return PoolNetwork(tuple(coins), tuple(made)), round(10 ** random.uniform(4.0, 7.3) * 1e18)


def searched(network: PoolNetwork, amount: int, tries: int) -> int:
    """The most that any of so many divisions brings: drawn at random at first, then near the best so far."""
    draw = np.random.default_rng(0)
    ways = [[p for p in network.pools if set(p.tokens) == {f"0x{a}", f"0x{b}"}] for a, b in ((0, 1), (0, 2), (2, 1))]
    direct, there, onward = ways

    def spread(pools: list[Venue], sold: str, shares: np.ndarray, held: int) -> int:
        total = 0
        for pool, share in zip(pools, shares, strict=True):
            side = list(pool.tokens).index(sold)
            total += pool.quote(side, 1 - side, int(held * share)).received_raw
        return total

    best, brought = np.ones(7), 0
    for number in range(tries):
        if number < tries // 4:
            weights = draw.dirichlet(np.full(7, 0.5)) + 1e-12
        else:
            weights = best * np.exp(draw.normal(0.0, 10 ** draw.uniform(-3.0, 0.5), 7) * (draw.random(7) < 0.5))
        first, second = weights[:5] / weights[:5].sum(), weights[5:] / weights[5:].sum()
        received = spread(direct, "0x0", first[:3], amount)
        received += spread(onward, "0x2", second, spread(there, "0x0", first[3:], amount))
        if received > brought:
            best, brought = weights, received
    return brought


@pytest.mark.parametrize("seed", range(6))
def test_no_division_of_ten_thousand_over_pools_with_dynamic_fees_brings_a_two_hundredth_more(seed: int) -> None:
    network, amount = side_by_side(seed)
    assert network.router().sale(0, 1, amount).received_raw >= 0.995 * searched(network, amount, 10_000)


# --- whole units ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_every_unit_that_arrives_goes_on_and_the_swaps_pay_what_was_planned(seed: int) -> None:
    network, amount = sellable(seed, dynamic=seed % 2 == 0, most_coins=4)
    made = network.router()
    sale = made.sale(0, 1, amount)
    held = defaultdict(int, {0: amount})
    for leg, fill in made.sell(sale):
        sold, bought = (made.sides[leg.hop.venue][side] for side in (leg.hop.sold, leg.hop.bought))
        assert fill == Fill(leg.amount_raw, leg.received_raw)
        assert held[sold] >= fill.paid_raw > 0
        held[sold] -= fill.paid_raw
        held[bought] += fill.received_raw
    left = {token: units for token, units in held.items() if units}
    assert left == {token: units for token, units in ((0, sale.unsold_raw), (1, sale.received_raw)) if units}
    assert len({leg.hop.venue for leg in sale.legs}) == len(sale.legs)


@pytest.mark.parametrize("seed", range(20))
def test_a_sale_depends_on_the_state_of_the_pools_and_on_nothing_else(seed: int) -> None:
    network, amount = sellable(seed, dynamic=True, most_coins=4)
    asked, fresh = network.router(), network.router()
    for part in (3, 1_000, 7):
        asked.sale(0, 1, amount // part)
    sale = asked.sale(0, 1, amount)
    assert sale == fresh.sale(0, 1, amount)
    asked.sell(sale)
    assert asked.sale(0, 1, amount) == network.router().sale(0, 1, amount)


@given(st.sampled_from(list(ROW)), st.sampled_from(list(ROW)), st.integers(1, 3 * 10**24))
@settings(deadline=None)
def test_selling_brings_what_was_planned_and_planning_changes_nothing(sold: str, bought: str, amount: int) -> None:
    made = router()
    before = [venue.reserves_raw() for venue in made.venues]
    sale = sale_of(made, sold, bought, amount)
    assert [venue.reserves_raw() for venue in made.venues] == before
    fills = made.sell(sale)
    assert sum(f.received_raw for leg, f in fills if made.sides[leg.hop.venue][leg.hop.bought] == ROW[bought]) == (
        sale.received_raw
    )


# --- small books ----------------------------------------------------------------------------------------------------


def test_a_token_is_not_sold_for_itself() -> None:
    assert sale_of(router(), "ETH", "ETH", ETHER) == Sale((), 0, ETHER)
    assert router().ceiling(0, 0) == 0.0


def test_tokens_without_a_way_between_them_cannot_be_sold() -> None:
    made = router(Pool("ETH", "USD", 1e6))
    for sold, bought in (("BTC", "USD"), ("ETH", "DAI")):
        sale = sale_of(made, sold, bought, 10**8)
        assert sale == Sale((), 0, 10**8)
        assert sale.exhausted
        assert made.ceiling(ROW[sold], ROW[bought]) == 0.0


def test_a_large_sale_goes_through_the_thin_direct_pool_and_round_it() -> None:
    made = router(Pool("ETH", "USD", 0.4e6, 500), Pool("ETH", "DAI", 60e6, 500), Pool("DAI", "USD", 60e6, 100))
    direct, round_it = {Hop(0, 1, 0)}, {Hop(1, 1, 0), Hop(2, 0, 1)}
    assert hops(sale_of(made, "ETH", "USD", ETHER // 1000)) == direct
    assert hops(sale_of(made, "ETH", "USD", 50 * ETHER)) == direct | round_it


def test_a_way_of_three_pools_is_taken_where_there_is_no_other() -> None:
    made = router(Pool("BTC", "ETH", 20e6, 500), Pool("ETH", "USD", 20e6, 500), Pool("USD", "DAI", 20e6, 100))
    sale = sale_of(made, "BTC", "DAI", 10**8)
    assert [leg.hop.venue for leg in sale.legs] == [0, 1, 2]
    for leg, following in pairwise(sale.legs):
        assert following.amount_raw == leg.received_raw


def test_the_last_unit_brings_the_same_on_every_way() -> None:
    made = router()
    sale = sale_of(made, "ETH", "USD", 900 * ETHER)
    assert len(sale.legs) > 4
    step = ETHER // 100

    def last(leg_hops: list[int]) -> float:
        """What a little less on a way loses, as a rate."""
        legs = {leg.hop.venue: leg for leg in sale.legs}
        less, rate = step, 1.0
        for venue in leg_hops:
            leg = legs[venue]
            quote = made.venues[venue].quote
            lost = leg.received_raw - quote(leg.hop.sold, leg.hop.bought, leg.amount_raw - less).received_raw
            rate *= lost / less
            less = lost
        return rate

    # directly, by way of BTC, and by way of DAI: rows of the book's pools, pairs first
    names = [venue.name for venue in made.venues]
    ways = [["0xpool0"], ["0xpool1"], ["0xpool3", "0xpool4"], ["0xpool2", "0xpool5"]]
    rates = [last([names.index(name) for name in way]) for way in ways]
    assert rates == pytest.approx([rates[0]] * 4, rel=1e-5)


def test_pools_that_run_out_take_what_they_can_and_the_rest_is_named_unsold() -> None:
    # one range of ±60 ticks holds no more than its own depth
    made = router(Pool("ETH", "USD", 1e6, 3000, width=60), Pool("ETH", "USD", 3e6, 500, width=120))
    assert not sale_of(made, "ETH", "USD", 100 * ETHER).exhausted
    whole = sale_of(made, "ETH", "USD", 10_000 * ETHER)
    assert whole.exhausted
    taken = sum(leg.amount_raw for leg in whole.legs)
    assert taken + whole.unsold_raw == 10_000 * ETHER
    assert taken == pytest.approx(sum(venue.quote(1, 0, 10_000 * ETHER).paid_raw for venue in made.venues), rel=2e-6)
    assert not sale_of(made, "ETH", "USD", taken).exhausted


def test_what_pools_further_on_cannot_take_is_not_bought() -> None:
    # ETH is deep, but the only way on from it runs out at 1.2 million USD
    made = router(Pool("BTC", "ETH", 500e6, 500), Pool("ETH", "USD", 1e6, 3000, width=60))
    sale = sale_of(made, "BTC", "USD", 10**12)
    first, second = sale.legs
    assert first.received_raw == second.amount_raw
    assert sale.unsold_raw == 10**12 - first.amount_raw > 0


def test_an_amount_too_small_to_bring_a_unit_is_left() -> None:
    assert sale_of(router(), "ETH", "USD", 1000) == Sale((), 0, 1000)
    assert sale_of(router(), "ETH", "USD", 0) == Sale((), 0, 0)


def test_nothing_is_sold_at_more_than_the_ceiling() -> None:
    for seed in range(20):
        network, amount = sellable(seed, dynamic=True, most_coins=3)
        made = network.router()
        for part in (1, 1000):
            assert made.sale(0, 1, amount // part).received_raw <= made.ceiling(0, 1) * (amount // part) * (1 + 1e-9)


def test_the_second_sale_of_the_same_amount_brings_less() -> None:
    made = router()
    first = sale_of(made, "ETH", "USD", 100 * ETHER)
    made.sell(first)
    second = sale_of(made, "ETH", "USD", 100 * ETHER)
    assert 0.95 * first.received_raw < second.received_raw < first.received_raw


def test_a_swap_of_another_than_the_router_s_sales_is_seen_by_the_next() -> None:
    made = router(Pool("ETH", "USD", 5e6))
    before = sale_of(made, "ETH", "USD", ETHER)
    made.swap(Hop(0, 1, 0), 100 * ETHER)
    after = sale_of(made, "ETH", "USD", ETHER)
    assert after.received_raw == made.venues[0].quote(1, 0, ETHER).received_raw < before.received_raw


def test_pools_that_disagree_are_not_gone_round_in_a_circle() -> None:
    # BTC to USD by way of ETH; two ETH/DAI pools far apart would pay for ETH to DAI and back on the way
    coins = [Coin("0x0", 8, 60_000.0, 0), Coin("0x1", 6, 1.0, 1), Coin("0x2", 18, 3_000.0, 2), Coin("0x3", 18, 1.0, 1)]
    random = Random(3)
    dear = pair(random, 0, coins[2], Coin("0x3", 18, 0.9, 1), 50e6)
    cheap = pair(random, 1, coins[2], Coin("0x3", 18, 1.1, 1), 50e6)
    network = PoolNetwork(
        tuple(coins),
        (
            dear,
            cheap,
            pair(random, 2, coins[0], coins[2], 20e6),
            pair(random, 3, coins[2], coins[1], 20e6),
            pair(random, 4, coins[3], coins[1], 30e6),
        ),
    )
    made = network.router()
    sale = made.sale(0, 1, 10**9)
    made.sell(sale)
    assert len({leg.hop.venue for leg in sale.legs}) == len(sale.legs)
    assert sale.received_raw > best_alone(network, 10**9)


def test_networks_where_nothing_can_be_sold_leave_everything() -> None:
    for seed in range(40):
        network = random_network(Random(seed))
        apart = PoolNetwork(network.coins, tuple(p for p in network.pools if "0x1" not in p.tokens))
        assert apart.router().sale(0, 1, 10**9) == Sale((), 0, 10**9)
