"""Nothing of a snapshot is lost or made up in its graph: amounts, sums, the rows they came from, and the order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chain.errors import InputError
from chain.snapshot import CLAIMS, ORACLES, Snapshot
from protocols.amm.uniswap_v2 import tables as v2
from protocols.amm.uniswap_v3 import tables as v3
from protocols.lending.aave_v3 import tables as aave
from simulator.book import open_book
from simulator.graph import command, exposure
from simulator.graph.edges import KINDS
from simulator.graph.exposure import ExposureGraph
from tests.simulator.books import ASSETS, DAI, ETH, MARKET, Account, make_snapshot
from tests.simulator.graph.toys import Claim, Coin, Loans, Toy, snapshot_of

ACCOUNTS = {
    "ann": Account({"ETH": 12.5, "BTC": 0.3}, {"USD": 20_001.0}),
    "bob": Account({"ETH": 7.25}, {"USD": 9_000.5}),
    "cid": Account({"ETH": 31.0}, {"USD": 40_000.25}),
    "dee": Account({"USD": 50_000.0}, {"BTC": 0.5, "DAI": 1_000.0}),
    "eve": Account({"ETH": 2.0}, {"ETH": 1.0}),
}


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return make_snapshot(ACCOUNTS)


@pytest.fixture(scope="module")
def each(snapshot: Snapshot) -> ExposureGraph:
    return ExposureGraph.of(snapshot, "each")


@pytest.fixture(scope="module")
def pattern(snapshot: Snapshot) -> ExposureGraph:
    return ExposureGraph.of(snapshot, "pattern")


def total(graph: ExposureGraph, kind: str) -> dict[str, float]:
    frame = graph.edge_frame()
    sums = frame[frame["kind"] == kind].groupby("token")["amount"].sum()
    return {str(token): float(amount) for token, amount in sums.items()}


@pytest.mark.parametrize("accounts", ["each", "pattern"])
def test_amounts_on_edges_sum_to_what_the_accounts_hold_and_owe(
    snapshot: Snapshot, accounts: exposure.Accounts
) -> None:
    graph = ExposureGraph.of(snapshot, accounts)
    for kind, side in (("supplies", "supplied"), ("pledges", "supplied"), ("borrows", "debt")):
        wanted: dict[str, float] = {}
        for account in ACCOUNTS.values():
            for symbol, amount in getattr(account, side).items():
                wanted[symbol] = wanted.get(symbol, 0.0) + amount
        # to a smallest unit of BTC, which has few
        assert total(graph, kind) == pytest.approx(wanted, rel=1e-7)


def test_what_suppliers_own_is_cash_and_loans(snapshot: Snapshot, each: ExposureGraph) -> None:
    book = open_book(snapshot)
    (market,) = book.markets
    cash = {a.symbol: c / a.unit for a, (c, _) in zip(ASSETS, market.cash_and_loans_raw(), strict=True)}
    loans = {a.symbol: lent / a.unit for a, (_, lent) in zip(ASSETS, market.cash_and_loans_raw(), strict=True)}
    frame = each.edge_frame()
    backs = frame[frame["kind"] == "backs"]
    inside = backs[backs["source"].str.startswith("reserve")].set_index("token")["amount"].to_dict()
    whole = backs[backs["source"].str.startswith("market")].set_index("token")["amount"].to_dict()
    assert inside == pytest.approx(cash, rel=1e-12)
    assert whole == pytest.approx({symbol: cash[symbol] + loans[symbol] for symbol in cash}, rel=1e-12)
    assert {k: v for k, v in loans.items() if v} == pytest.approx(total(each, "borrows"), rel=1e-7)


def test_pools_provide_what_they_could_pay_out(snapshot: Snapshot, each: ExposureGraph) -> None:
    book = open_book(snapshot)
    wanted: dict[str, float] = {}
    for venue in book.venues:
        for address, raw in zip(venue.tokens, venue.reserves_raw(), strict=True):
            token = book.tokens[book.token_row[address]]
            wanted[token.symbol] = wanted.get(token.symbol, 0.0) + raw / 10**token.decimals
    assert total(each, "provides-liquidity") == pytest.approx(wanted, rel=1e-12)


def test_dollars_are_amounts_at_outside_prices(each: ExposureGraph) -> None:
    price = {token.symbol: usd for token, usd in zip(each.tokens, each.price_usd, strict=True)}
    frame = each.edge_frame()
    assert frame["usd"].to_numpy() == pytest.approx((frame["amount"] * frame["token"].map(price)).to_numpy())
    assert (frame["amount"] > 0).all()


@pytest.mark.parametrize("accounts", ["each", "pattern"])
def test_every_edge_names_rows_that_hold_its_amount(snapshot: Snapshot, accounts: exposure.Accounts) -> None:
    graph = ExposureGraph.of(snapshot, accounts)
    asset = {a.symbol: a for a in ASSETS}
    checked = set()
    for edge in graph.edge_frame().to_dict("records"):
        rows = [snapshot.tables[edge["table"]].rows()[row] for row in edge["rows"]]
        assert rows
        token = asset[edge["token"]]
        if edge["table"] == aave.POSITIONS.name:
            index = token.debt_index if edge["kind"] == "borrows" else token.income_index
            column = "debt_scaled" if edge["kind"] == "borrows" else "supplied_scaled"
            assert {row["token"] for row in rows} == {token.address}
            # the sum of what is in the rows, with the interest of a minute at most
            held = sum(row[column] for row in rows) * index / 1e27 / token.unit
            assert edge["amount"] == pytest.approx(held, rel=1e-9)
            if accounts == "each":
                ends = {edge["source"], edge["target"]}
                assert {f"account:{row['account']}" for row in rows} <= ends
        elif edge["table"] == v2.POOLS.name:
            assert edge["amount"] * token.unit in [
                pytest.approx(rows[0][name]) for name in ("reserve0_raw", "reserve1_raw")
            ]
        elif edge["table"] == aave.RESERVES.name:
            (row,) = rows
            assert row["token"] == token.address
            if edge["source"].startswith("reserve"):
                assert edge["amount"] == pytest.approx(row["liquidity_raw"] / token.unit)
        else:
            assert edge["table"] in (ORACLES.name, v3.POOLS.name)
        checked.add(edge["table"])
    assert checked == {aave.POSITIONS.name, aave.RESERVES.name, v2.POOLS.name, v3.POOLS.name, ORACLES.name}


def test_a_pattern_is_the_accounts_that_hold_alike(pattern: ExposureGraph) -> None:
    frame = pattern.node_frame()
    drawn = {row["label"]: row["count"] for row in frame[frame["kind"] == "account"].to_dict("records")}
    assert drawn == {
        f"1 × {MARKET}: ETH+BTC / USD": 1,
        f"2 × {MARKET}: ETH / USD": 2,
        f"1 × {MARKET}: USD / BTC+DAI": 1,
        f"1 × {MARKET}: ETH / ETH": 1,
    }
    edges = pattern.edge_frame()
    assert not edges.duplicated(["source", "target", "kind", "table"]).any()
    assert edges["rows"].map(len).max() == 2


def test_every_measure_is_the_same_however_accounts_are_drawn(each: ExposureGraph, pattern: ExposureGraph) -> None:
    measures = [command.tables(graph, None, None) for graph in (each, pattern)]
    assert len(measures[0]["loops"]) == 1
    for name in measures[0]:
        pd.testing.assert_frame_equal(measures[0][name], measures[1][name])


def test_accounts_are_drawn_each_up_to_a_number_and_the_result_says_how(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ExposureGraph.of(snapshot).accounts == "each"
    monkeypatch.setattr(exposure, "MOST_ACCOUNTS", len(ACCOUNTS) - 1)
    drawn = ExposureGraph.of(snapshot)
    assert drawn.accounts == "pattern"
    assert drawn.network.graph["accounts"] == "pattern"
    with pytest.raises(InputError, match="each, by pattern or auto, not 'some'"):
        ExposureGraph.of(snapshot, "some")  # type: ignore[arg-type]


def test_networkx_has_the_same_nodes_edges_and_facts(each: ExposureGraph) -> None:
    network, frame = each.network, each.edge_frame()
    assert list(network) == each.nodes.ids
    assert network.number_of_edges() == len(frame)
    for row in frame.to_dict("records"):
        facts = network.edges[row["source"], row["target"], row["kind"]]
        assert (facts["kind"], facts["token"], facts["amount"], facts["usd"]) == (
            row["kind"], row["token"], row["amount"], row["usd"],
        )  # fmt: skip
        assert facts["rows"].startswith(f"{row['table']}:{row['rows'][0]}")


CLAIMED = Toy(
    coins=(Coin("ETH", 2_000.0), Coin("stETH"), Coin("aETH"), Coin("USD", 1.0, 6), Coin("fund", 1.0)),
    claims=(
        Claim("stETH", "ETH", 1.25, 40.0, "0xlido"),
        Claim("aETH", "ETH", 1.0, 9.0, "lend-eth"),
        Claim("fund", "", 0.0, 11.0, "0xmanager"),
    ),
    loans=(
        Loans("steth-usd", "stETH", "USD", {"ann": (3.0, 2_000.0)}),
        Loans("lend-eth", "fund", "ETH", {"bob": (9_000.0, 2.0)}, supplied=7.0),
    ),
)


def test_claims_wrap_what_they_are_on_and_their_issuers_back_them() -> None:
    snapshot = snapshot_of(CLAIMED)
    frame = ExposureGraph.of(snapshot).edge_frame()
    name = {coin.symbol: f"token:{coin.address}" for coin in CLAIMED.coins}
    wraps = frame[frame["kind"] == "wraps"].set_index(["source", "target"])["amount"].to_dict()
    assert wraps == {(name["stETH"], name["ETH"]): 50.0, (name["aETH"], name["ETH"]): 9.0}
    backs = frame[(frame["kind"] == "backs") & (frame["table"] == CLAIMS.name)]
    assert {(row["source"], row["target"], row["token"], row["amount"]) for row in backs.to_dict("records")} == {
        (name["stETH"], "issuer:0xlido", "ETH", 50.0),
        # a market of the snapshot backs by its reserve
        (name["aETH"], f"reserve:lend-eth/{CLAIMED.coin('ETH').address}", "ETH", 9.0),
        (name["fund"], "issuer:0xmanager", "fund", 11.0),
    }
    assert [list(rows) for rows in backs["rows"]] == [[0], [1], [2]]


def test_prices_come_from_feeds_and_are_in_the_tokens_that_the_oracles_say() -> None:
    frame = ExposureGraph.of(snapshot_of(CLAIMED)).edge_frame()
    quotes = frame[frame["kind"] == "quotes"].set_index(["source", "target"])
    steth, usd = CLAIMED.coin("stETH").address, CLAIMED.coin("USD").address
    assert quotes.loc[(f"reserve:steth-usd/{steth}", "issuer:0xoraclesteth-usd"), "amount"] == pytest.approx(3.0)
    assert quotes.loc[("issuer:0xoraclesteth-usd", f"token:{usd}"), "amount"] == pytest.approx(7_500.0)


def test_kinds_are_all_there_are(each: ExposureGraph) -> None:
    drawn = set(each.edge_frame()["kind"]) | set(ExposureGraph.of(snapshot_of(CLAIMED)).edge_frame()["kind"])
    assert drawn == set(KINDS)


def test_a_snapshot_can_be_given_as_its_folder(snapshot: Snapshot, each: ExposureGraph, tmp_path: Path) -> None:
    snapshot.write(tmp_path / "book")
    pd.testing.assert_frame_equal(ExposureGraph.of(tmp_path / "book").edge_frame(), each.edge_frame())


def test_interest_of_the_next_day_is_the_markets_own() -> None:
    toy = Toy(
        coins=(Coin("ETH", 2_000.0), Coin("USD", 1.0, 6)),
        loans=(Loans("m", "ETH", "USD", {"a": (9.0, 5.0e7)}, rate=0.07),),
    )
    holdings = ExposureGraph.of(snapshot_of(toy)).holdings
    assert holdings.debt_growth.sum() * 365 == pytest.approx(0.07, rel=1e-5)
    assert not np.any(holdings.supply_growth)


def test_reserves_that_are_not_used_have_no_edges_to_accounts(each: ExposureGraph) -> None:
    frame = each.edge_frame()
    assert not ((frame["kind"] == "supplies") & (frame["target"] == f"reserve:{MARKET}/{DAI.address}")).any()
    assert ((frame["kind"] == "borrows") & (frame["source"] == f"reserve:{MARKET}/{ETH.address}")).any()
