"""A sale goes through at most two pools, along whichever way brings most."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.book import open_book
from simulator.routes import Hop, Router
from tests.simulator.books import POOLS, Pool, make_snapshot

ROW = {"ETH": 0, "BTC": 1, "USD": 2, "DAI": 3}
ETHER = 10**18


snapshot_of = cache(lambda *pools: make_snapshot({}, pools))


def router(*pools: Pool) -> Router:
    book = open_book(snapshot_of(*(pools or POOLS)))
    return Router(book.venues, book.token_row)


def ways(made: Router, sold: str, bought: str) -> list[list[str]]:
    """The tokens that each route passes through, as rows, with the pools' names between them."""
    return [[made.venues[hop.venue].name for hop in route] for route in made.routes(ROW[sold], ROW[bought])]


def test_every_way_of_one_or_two_pools_is_found() -> None:
    # pairs come first among the venues: 1 and 4, then the v3 pools 0, 2, 3, 5
    assert ways(router(), "ETH", "USD") == [
        ["0xpool1"],
        ["0xpool0"],
        ["0xpool2", "0xpool5"],
        ["0xpool3", "0xpool4"],
    ]
    assert ways(router(), "BTC", "DAI") == [["0xpool4", "0xpool5"], ["0xpool3", "0xpool2"]]


def test_a_way_leads_from_the_token_sold_to_the_token_bought() -> None:
    made = router()
    for sold in range(4):
        for bought in range(4):
            for route in made.routes(sold, bought):
                tokens = [sold]
                for hop in route:
                    assert made.sides[hop.venue][hop.sold] == tokens[-1]
                    tokens.append(made.sides[hop.venue][hop.bought])
                assert tokens[-1] == bought
                assert len({hop.venue for hop in route}) == len(route) <= 2


def test_a_token_is_not_sold_for_itself() -> None:
    assert router().routes(0, 0) == []


def test_tokens_without_a_way_between_them_cannot_be_sold() -> None:
    made = router(Pool("ETH", "USD", 1e6))
    assert made.best(ROW["BTC"], ROW["USD"], 10**8) == (0, None)
    assert made.best(ROW["ETH"], ROW["DAI"], ETHER) == (0, None)


def test_the_way_that_brings_most_is_taken() -> None:
    made = router()
    for amount in (ETHER // 1000, 10 * ETHER, 3000 * ETHER):
        received, route = made.best(ROW["ETH"], ROW["USD"], amount)
        offers = [made.quote(way, amount) for way in made.routes(ROW["ETH"], ROW["USD"])]
        assert route is not None
        assert received == made.quote(route, amount) == max(offers) > 0


def test_a_large_sale_can_go_round_the_thin_direct_pool() -> None:
    made = router(Pool("ETH", "USD", 0.4e6, 500), Pool("ETH", "DAI", 60e6, 500), Pool("DAI", "USD", 60e6, 100))
    assert made.best(ROW["ETH"], ROW["USD"], ETHER // 1000)[1] == (Hop(0, 1, 0),)
    assert made.best(ROW["ETH"], ROW["USD"], 50 * ETHER)[1] == (Hop(1, 1, 0), Hop(2, 0, 1))


def test_a_pool_that_runs_out_on_the_way_offers_nothing() -> None:
    # one range of ±60 ticks holds no more than its own depth
    made = router(Pool("ETH", "USD", 1e6, 3000, width=60))
    (way,) = made.routes(ROW["ETH"], ROW["USD"])
    assert made.quote(way, 100 * ETHER) > 0
    assert made.quote(way, 1000 * ETHER) == 0
    assert made.best(ROW["ETH"], ROW["USD"], 1000 * ETHER) == (0, None)


def test_an_amount_too_small_to_bring_a_unit_offers_nothing() -> None:
    made = router()
    assert made.best(ROW["ETH"], ROW["USD"], 1000) == (0, None)


@given(st.sampled_from(list(ROW)), st.sampled_from(list(ROW)), st.integers(1, 3 * 10**24))
def test_selling_brings_what_was_quoted_and_quoting_changes_nothing(sold: str, bought: str, amount: int) -> None:
    made = router()
    received, route = made.best(ROW[sold], ROW[bought], amount)
    assert made.best(ROW[sold], ROW[bought], amount) == (received, route)
    if route is None:
        return
    fills = made.sell(route, amount)
    assert [hop for hop, _ in fills] == list(route)
    for (_, fill), (_, following) in pairwise(fills):
        assert following.paid_raw == fill.received_raw
    assert fills[0][1].paid_raw == amount
    assert fills[-1][1].received_raw == received


def test_the_second_sale_of_the_same_amount_brings_less() -> None:
    made = router()
    first, route = made.best(ROW["ETH"], ROW["USD"], 100 * ETHER)
    assert route is not None
    made.sell(route, 100 * ETHER)
    assert made.quote(route, 100 * ETHER) == pytest.approx(first, rel=0.05)
    assert made.quote(route, 100 * ETHER) < first
