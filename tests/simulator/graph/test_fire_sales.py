"""What one market sells lowers the prices of what others hold, by the depth of the pools."""

from __future__ import annotations

import pytest

from chain.errors import InputError
from simulator.graph.exposure import ExposureGraph
from simulator.graph.fire_sales import collateral_usd, fire_sales
from simulator.graph.links import links
from tests.simulator.graph.toys import Coin, Loans, Pair, Toy, snapshot_of

TOY = Toy(
    coins=(Coin("ETH", 2_000.0), Coin("BTC", 50_000.0, 8), Coin("USD", 1.0, 6), Coin("rare", 3.0)),
    loans=(
        Loans("one", "ETH", "USD", {"a": (100.0, 1_000.0)}),
        Loans("two", "ETH", "USD", {"b": (300.0, 1_000.0)}),
        Loans("three", "BTC", "USD", {"c": (4.0, 1_000.0)}),
        Loans("four", "rare", "USD", {"d": (4.0, 1.0)}),
    ),
    pairs=(Pair("ETH", "USD", 1e6), Pair("BTC", "USD", 3e6)),
)


@pytest.fixture(scope="module")
def graph() -> ExposureGraph:
    return ExposureGraph.of(snapshot_of(TOY))


def test_a_sale_costs_others_what_they_hold_of_it_over_depth(graph: ExposureGraph) -> None:
    table = fire_sales(graph, 0.1).set_index("market")
    depth = float(graph.pools.depth_usd[0])
    # one sells 20,000 dollars of ether, of which two holds 600,000 and one keeps 180,000
    one = table.loc["one"]
    assert (one["sold_usd"], one["token"]) == (pytest.approx(20_000.0), "ETH")
    assert one["largest_fall"] == pytest.approx(20_000.0 / depth)
    assert one["others_lose_usd"] == pytest.approx(600_000.0 * 20_000.0 / depth)
    assert one["own_kept_usd"] == pytest.approx(180_000.0 * 20_000.0 / depth)
    assert one["own_sold_usd"] == pytest.approx(0.5 * 20_000.0 * 20_000.0 / depth)
    # nobody else holds bitcoin, and no pool buys what four holds
    assert table.loc["three", "others_lose_usd"] == 0.0
    assert "four" not in table.index


def test_selling_all_of_it_is_the_liquidity_weighted_overlap(graph: ExposureGraph) -> None:
    pair = links(graph).set_index(["market", "other"]).loc[("one", "two")]
    small = fire_sales(graph, 0.001).set_index("market")
    assert pair["overlap_usd"] == pytest.approx(1_000.0 * small.loc["one", "others_lose_usd"])
    assert pair["overlap_usd"] == pytest.approx(1_000.0 * small.loc["two", "others_lose_usd"])
    assert collateral_usd(graph)[:, 0].tolist() == pytest.approx([200_000.0, 600_000.0, 0.0, 0.0])


def test_what_no_pool_could_take_is_counted_apart(graph: ExposureGraph) -> None:
    thin = Toy(TOY.coins, loans=TOY.loans, pairs=(Pair("ETH", "USD", 40_000.0), TOY.pairs[1]))
    table = fire_sales(ExposureGraph.of(snapshot_of(thin)), 0.5)
    # half of two's ether is more than would bring the price to nothing
    assert "two" not in table["market"].tolist()
    with pytest.raises(InputError, match="the share that is sold must be from 0 to 1"):
        fire_sales(graph, 1.5)
