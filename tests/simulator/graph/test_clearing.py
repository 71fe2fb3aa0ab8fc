"""Debts of a small graph clear as they do by hand: buffers first, and two ways where there are two."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chain.errors import InputError
from chain.tables import Table
from protocols.tokens.metamorpho.tables import ALLOCATIONS, VAULTS
from protocols.tokens.vault_v2 import tables as v2
from simulator.graph.clearing import NOBODY, cleared, clearing
from simulator.graph.debts import DebtNetwork, debt_network
from simulator.graph.exposure import ExposureGraph
from simulator.graph.matrix import exposure_matrix
from simulator.graph.measures import repledging
from tests.simulator.graph.test_reach import STACK
from tests.simulator.graph.toys import Claim, Coin, Loans, Toy, snapshot_of


@pytest.fixture(scope="module")
def graph() -> ExposureGraph:
    """A vault's shares over the claims on a market are pledged by ann (for 4,000) and cid (for 700) in another."""
    return ExposureGraph.of(snapshot_of(STACK))


def losses(network: DebtNetwork, failed: str, share: float = 1.0, **costs: float) -> dict[str, float]:
    """What those who hold claims on each institution lose, dollars."""
    paid = cleared(network, failed, share, **costs).greatest.payments
    return dict(zip(network.names, network.owed_usd - paid[: len(network.names)], strict=True))


def test_the_network_is_who_owes_whom_and_what_each_has_besides(graph: ExposureGraph) -> None:
    network = debt_network(graph)
    assert network.names == ("lend-eth", "top", "0xvault")
    # lend-eth, top, the vault, ann, cid, the others
    assert network.liabilities_usd.toarray() == pytest.approx(
        np.array(
            [
                [0.0, 0.0, 12_000.0, 0.0, 0.0, 6_000.0],
                [0.0, 0.0, 0.0, 0.0, 0.0, 5_600.0],
                [0.0, 0.0, 0.0, 6_000.0, 1_500.0, 4_500.0],
                [0.0, 4_000.0, 0.0, 0.0, 0.0, 0.0],
                [0.0, 700.0, 0.0, 0.0, 0.0, 0.0],
                [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            ]
        ),
        rel=1e-6,
    )
    # bob pledges no claim: what he can pay is what his market has
    assert network.assets_usd.tolist() == pytest.approx([18_000.0, 900.0, 0.0, 0.0, 0.0, 0.0], rel=1e-6)


def test_a_whole_failure_costs_what_the_matrix_of_exposures_says(graph: ExposureGraph) -> None:
    table = clearing(graph).set_index("failed")
    assert table.index.tolist() == [NOBODY, "lend-eth", "0xvault", "top"]
    assert table["lost_usd"].tolist() == pytest.approx([0.0, 12_000.0 + 4_700.0, 4_700.0, 0.0], rel=1e-6)
    assert table["defaults"].tolist() == [0, 2, 1, 0]
    assert table["positions"].tolist() == [0, 2, 2, 0]
    assert table["rounds"].tolist() == [0, 4, 3, 1]
    assert table["most_lost_usd"].isna().all()


@pytest.mark.parametrize(
    ("share", "top"),
    [
        (0.25, 0.0),  # ann has 4,500 left for 4,000, and cid 1,125 for 700
        (0.5, 4_000.0 - 3_000.0),  # cid 750
        (0.75, 4_000.0 - 1_500.0 + 700.0 - 375.0),
    ],
)
def test_what_is_pledged_beyond_a_debt_is_lost_before_the_lenders_lose(
    graph: ExposureGraph, share: float, top: float
) -> None:
    found = losses(debt_network(graph), "lend-eth", share)
    assert found["0xvault"] == pytest.approx(12_000.0 * share, rel=1e-6)
    assert found["top"] == pytest.approx(top, abs=0.01)


def test_costs_of_bankruptcy_come_on_top(graph: ExposureGraph) -> None:
    found = losses(debt_network(graph), "lend-eth", 0.25, alpha=0.5, beta=0.8)
    # half of 18,000 is left, less the 4,500 that went elsewhere; two thirds of it go to the vault, which loses a fifth
    to_vault = (0.5 * 18_000.0 - 4_500.0) * 2 / 3
    assert found["lend-eth"] == pytest.approx(18_000.0 - 4_500.0, rel=1e-6)
    assert found["0xvault"] == pytest.approx(12_000.0 - 0.8 * to_vault, rel=1e-6)
    # ann and cid have five eighths of that, and lose a fifth again, and so does the market, with half of its cash
    paid = 0.8 * 0.8 * to_vault * (6_000.0 + 1_500.0) / 12_000.0
    assert found["top"] == pytest.approx(5_600.0 - 0.5 * 900.0 - 0.8 * paid, rel=1e-6)


def test_a_circle_with_nothing_else_behind_it_clears_in_two_ways() -> None:
    coins = (Coin("USD", 1.0, 6), Coin("one", 1.0), Coin("other", 1.0), Coin("X", 5.0))
    circle = (Claim("one", "other", 1.0, 100.0, "0xone"), Claim("other", "one", 1.0, 100.0, "0xother"))
    toy = Toy(coins, circle, (Loans("m", "X", "USD", {"ann": (50.0, 40.0)}),))
    nobody, *rest = clearing(ExposureGraph.of(snapshot_of(toy))).to_dict("records")
    assert nobody["lost_usd"] == pytest.approx(0.0, abs=1e-9)
    assert nobody["most_lost_usd"] == pytest.approx(100.0 + 100.0)
    # once one pays nothing there is one way
    assert {row["failed"]: row["lost_usd"] for row in rest}["0xone"] == pytest.approx(100.0)
    assert np.isnan({row["failed"]: row["most_lost_usd"] for row in rest}["0xone"])


def test_what_is_short_before_anybody_fails_is_nobodys_failure() -> None:
    toy = Toy(
        (Coin("USD", 1.0, 6), Coin("X", 5.0)), loans=(Loans("m", "X", "USD", {"a": (1.0, 9.0), "b": (9.0, 1.0)}),)
    )
    (nobody, market) = clearing(ExposureGraph.of(snapshot_of(toy))).to_dict("records")
    assert nobody["lost_usd"] == pytest.approx(4.0, rel=1e-6)
    assert (market["failed"], market["lost_usd"]) == ("m", 0.0)


def test_who_is_not_there_cannot_fail(graph: ExposureGraph) -> None:
    with pytest.raises(InputError, match="no market or issuer of claims is called bank; there are lend-eth, top"):
        cleared(debt_network(graph), "bank")
    with pytest.raises(InputError, match="the share that is lost must be from 0 to 1"):
        cleared(debt_network(graph), "top", 1.5)


# --- vaults that have supplied to markets -------------------------------------------------------------------------


def curated() -> ExposureGraph:
    """A vault with 700 of its 1,000 dollars in `first` and the rest idle, whose shares are pledged in `second`; another
    holds 250 of it."""
    coins = (Coin("USD", 1.0, 6), Coin("share"), Coin("X", 5.0))
    loans = (
        Loans("first", "X", "USD", {"bob": (300.0, 1_000.0)}, supplied=400.0),
        Loans("second", "share", "USD", {"ann": (500.0, 400.0)}, supplied=100.0),
    )
    coins += (Coin("outer"),)
    usd, share, outer = (coins[n].address for n in (0, 1, 3))
    claims = (Claim("share", "USD", 1.0, 1_000.0, share), Claim("outer", "USD", 1.0, 400.0, outer))
    snapshot = snapshot_of(Toy(coins, claims, loans))
    rows = {
        VAULTS: [{"vault": share, "version": "1.0", "asset": usd}],
        ALLOCATIONS: [{"vault": share, "id": "0xid", "market": "first", "supplied_raw": 700 * 10**6}],
        v2.VAULTS: [{"vault": outer, "asset": usd}],
        v2.ALLOCATIONS: [{"vault": outer, "adapter": "0xd", "target": share, "claimed_raw": 250 * 10**6}],
    }
    tables = dict(snapshot.tables)
    for schema, found in rows.items():
        blank = {c.name: "" if c.kind == "text" else 0 for c in schema.columns}
        tables[schema.name] = Table.from_rows(schema, [blank | {"enabled": True} | row for row in found])
    return ExposureGraph.of(replace(snapshot, tables=tables))


def test_a_vault_fails_with_the_market_that_it_supplied() -> None:
    graph = curated()
    vault, outer = (name for name in debt_network(graph).names if name not in ("first", "second"))
    found = losses(debt_network(graph), "first")
    # 300 are idle; ann has half of them, for a debt of 400, and the other vault a quarter, beside 150 of its own
    assert found[vault] == pytest.approx(700.0)
    assert found["second"] == pytest.approx(400.0 - 150.0)
    assert found[outer] == pytest.approx(0.7 * 250.0)
    matrix = exposure_matrix(graph, "issuer")
    place = {name: row for row, name in enumerate(matrix.labels)}
    exposures = matrix.exposures_usd.toarray()
    assert exposures[place[vault], place["first"]] == pytest.approx(700.0)
    assert exposures[place[outer], place[vault]] == pytest.approx(250.0)


def test_what_a_vault_has_supplied_is_drawn_with_its_row_and_counted_once() -> None:
    graph = curated()
    frame = graph.edge_frame()
    (edge,) = frame[frame["table"] == ALLOCATIONS.name].to_dict("records")
    assert edge["source"].startswith("issuer:")
    assert (edge["target"], edge["kind"], edge["usd"]) == (
        f"reserve:first/{graph.tokens[0].address}",
        "supplies",
        700.0,
    )
    (held,) = frame[frame["table"] == v2.ALLOCATIONS.name].to_dict("records")
    assert (held["target"], held["kind"], held["usd"]) == (f"token:{graph.tokens[1].address}", "backs", 250.0)
    # 1,400 in the first market, 500 in the second, and 300 and 150 idle in the vaults
    dollars = repledging(graph).set_index("token").loc["USD"]
    assert dollars["primary_usd"] == pytest.approx(1_400.0 + 500.0 + 300.0 + 150.0)
