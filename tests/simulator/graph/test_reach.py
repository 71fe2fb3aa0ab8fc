"""What depends on what, along the way that carries most, in both directions."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from chain.errors import InputError
from chain.snapshot import ESCROWS
from chain.tables import Table
from simulator.graph.exposure import Accounts, ExposureGraph
from simulator.graph.reach import downstream, upstream
from tests.simulator.graph.toys import Claim, Coin, Loans, Toy, snapshot_of

STACK = Toy(
    coins=(Coin("ETH", 2_000.0), Coin("aETH"), Coin("share"), Coin("USD", 1.0, 6), Coin("X", 5.0), Coin("idle", 3.0)),
    claims=(Claim("aETH", "ETH", 1.0, 8.0, "lend-eth"), Claim("share", "aETH", 1.5, 4.0, "0xvault")),
    loans=(
        Loans("lend-eth", "X", "ETH", {"bob": (9_000.0, 3.0)}, supplied=6.0),
        Loans("top", "share", "USD", {"ann": (2.0, 4_000.0), "cid": (0.5, 700.0)}, supplied=900.0),
    ),
)


@pytest.fixture(scope="module")
def graph() -> ExposureGraph:
    return ExposureGraph.of(snapshot_of(STACK), "each")


def amounts(frame: pd.DataFrame) -> dict[str, float]:
    return dict(zip(frame["label"], frame["usd"], strict=True))


def test_a_failure_at_the_bottom_reaches_the_top_by_the_smallest_edge_of_the_way(graph: ExposureGraph) -> None:
    hit = amounts(downstream(graph, "X"))
    # X is bob's collateral, bob owes the lenders whose claims the vault holds, whose shares ann pledges for dollars
    assert hit["bob"] == pytest.approx(45_000.0)
    assert hit["lend-eth/ETH"] == pytest.approx(6_000.0)
    assert hit["aETH"] == pytest.approx(6_000.0)
    assert hit["share"] == pytest.approx(6_000.0)
    assert hit["ann"] == pytest.approx(6_000.0)
    assert hit["cid"] == pytest.approx(1_500.0)
    assert hit["top/USD"] == pytest.approx(4_000.0)
    assert "USD" not in hit
    assert "idle" not in hit


def test_paths_say_how(graph: ExposureGraph) -> None:
    found = downstream(graph, "X").set_index("label")
    assert found.loc["aETH", "path"] == "aETH –backs→ lend-eth/ETH –borrows→ bob –supplies→ lend-eth/X –backs→ X"
    assert found.loc["aETH", "hops"] == 4
    assert upstream(graph, "share").set_index("label").loc["ETH", "path"] == "share –wraps→ aETH –wraps→ ETH"


def test_what_one_depends_on_is_hit_by_nothing_that_it_does_not_depend_on(graph: ExposureGraph) -> None:
    for node in graph.nodes.ids:
        if graph.nodes.kinds[graph.nodes.ids.index(node)] in ("market", "issuer"):
            continue
        for below in upstream(graph, node)["id"]:
            if below.partition(":")[0] not in ("market", "issuer"):
                back = downstream(graph, below)
                assert node in back["id"].tolist()
                there = upstream(graph, node).set_index("id").loc[below, "usd"]
                assert back.set_index("id").loc[node, "usd"] == there


def test_a_market_fails_with_its_reserves_and_an_issuer_with_its_claims(graph: ExposureGraph) -> None:
    assert "aETH" in set(downstream(graph, "lend-eth")["label"])
    assert {"aETH", "ETH", "X"} <= set(upstream(graph, "0xvault")["label"])
    assert {"top/share", "top", "ann"} <= set(downstream(graph, "0xvault")["label"])


@pytest.mark.parametrize("accounts", ["each", "pattern"])
def test_what_an_issuer_has_borrowed_against_ties_its_claims_to_its_lenders(accounts: Accounts) -> None:
    toy = Toy(
        (Coin("USD", 1.0, 6), Coin("xUSD", 1.26), Coin("ETH", 2_000.0)),
        (Claim("xUSD", "", 0.0, 900.0, "0xissuer"),),
        (
            Loans("one", "ETH", "USD", {"0xissuer": (2.0, 3_000.0), "ann": (1.0, 9.0)}),
            Loans("two", "xUSD", "USD", {"bob": (800.0, 500.0)}),
        ),
    )
    drawn = ExposureGraph.of(snapshot_of(toy), accounts)
    assert "account:0xissuer" not in drawn.nodes.ids
    # ether is the issuer's collateral, and the issuer's claims are bob's
    assert amounts(downstream(drawn, "ETH"))["two/xUSD"] == pytest.approx(800 * 1.26)
    # the issuer owes the lenders of one
    assert amounts(downstream(drawn, "0xissuer"))["one/USD"] == pytest.approx(3_000.0)


def test_a_token_nobody_holds_hits_nobody(graph: ExposureGraph) -> None:
    found = downstream(graph, "idle")
    assert found.empty
    assert list(found.columns) == ["id", "kind", "label", "usd", "hops", "path"]


@pytest.mark.parametrize("name", ["eth", STACK.coin("ETH").address, f"token:{STACK.coin('ETH').address}"])
def test_a_token_goes_by_symbol_address_and_id(graph: ExposureGraph, name: str) -> None:
    assert downstream(graph, name).equals(downstream(graph, "ETH"))


def test_what_is_not_there_is_refused_with_what_is_meant_perhaps(graph: ExposureGraph) -> None:
    with pytest.raises(InputError, match=r"nothing in the graph is called shore; there is share"):
        upstream(graph, "shore")


def test_an_account_within_a_pattern_is_refused() -> None:
    drawn = ExposureGraph.of(snapshot_of(STACK), "pattern")
    with pytest.raises(InputError, match="account ann is drawn with others of its pattern"):
        upstream(drawn, "ann")


def test_two_things_of_one_name_are_refused_by_name() -> None:
    toy = Toy(
        (Coin("A", 2.0), Coin("B", 1.0), Coin("C", 4.0), Coin("D", 6.0)),
        (Claim("C", "A", 2.0, 1.0, "0x1"), Claim("C", "B", 0.0, 1.0, "0x2"), Claim("D", "C", 1.5, 1.0, "0x3")),
    )
    drawn = ExposureGraph.of(snapshot_of(toy))
    with pytest.raises(InputError, match="issuer of C can mean several things in the graph; give one of issuer:0x1"):
        upstream(drawn, "issuer of C")


def test_what_a_market_mints_is_backed_by_its_borrowers_collateral() -> None:
    coins = (Coin("GHO", 1.0), Coin("X", 5.0), Coin("fund", 1.0), Coin("USD", 1.0, 6))
    claims = (Claim("GHO", "", 0.0, 900.0, "mint"), Claim("fund", "GHO", 1.0, 500.0, "0xfund"))
    loans = (
        Loans("mint", "X", "GHO", {"bob": (300.0, 900.0)}),
        Loans("top", "fund", "USD", {"ann": (200.0, 100.0)}),
    )
    found = downstream(ExposureGraph.of(snapshot_of(Toy(coins, claims, loans))), "X").set_index("label")
    assert found.loc["GHO", "path"] == "GHO –backs→ mint/GHO –borrows→ bob –supplies→ mint/X –backs→ X"
    assert found.loc["GHO", "usd"] == pytest.approx(900.0)
    # who holds claims on it is hit through it
    assert found.loc["top/USD", "usd"] == pytest.approx(100.0)


def test_what_lies_in_a_bridge_is_hit_for_those_who_hold_claims_on_it_elsewhere() -> None:
    held = {"token": Coin("ETH").address, "escrow": "0xbase", "bridged_to": "Base", "held_raw": 3 * 10**18}
    snapshot = snapshot_of(STACK)
    tables = dict(snapshot.tables) | {ESCROWS.name: Table.from_rows(ESCROWS, [held])}
    graph = ExposureGraph.of(replace(snapshot, tables=tables))
    hit = downstream(graph, "ETH").set_index("id")
    assert hit.loc["issuer:0xbase", "label"] == "bridge to Base 0xbase"
    assert hit.loc["issuer:0xbase", "usd"] == pytest.approx(6_000.0)
    (edge,) = graph.edge_frame().query("table == 'escrows'").to_dict("records")
    assert (edge["kind"], edge["amount"], edge["rows"].tolist()) == ("backs", 3.0, [0])
