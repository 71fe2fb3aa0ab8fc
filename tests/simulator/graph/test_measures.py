"""Measures come out as they do by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from chain.snapshot import OWNERS
from chain.tables import Table
from simulator.graph import measures
from simulator.graph.exposure import ExposureGraph
from simulator.graph.links import links
from tests.simulator.books import MARKET, Account, make_snapshot
from tests.simulator.graph.toys import START, YEAR_S, Claim, Coin, Loans, Pair, Toy, snapshot_of


def graph_of(toy: Toy) -> ExposureGraph:
    return ExposureGraph.of(snapshot_of(toy))


def row(frame: pd.DataFrame, **wanted: str) -> pd.Series:
    (found,) = [each for _, each in frame.iterrows() if all(each[k] == v for k, v in wanted.items())]
    return found


def chain_of(share: float, links_: int) -> Toy:
    """One ETH is deposited for a claim, of which a share is deposited for another claim, and so on, at rates that are
    not 1; the last claim is pledged."""
    coins = [Coin("ETH", 2_000.0), *(Coin(f"c{n}", decimals=18 + n % 7) for n in range(1, links_)), Coin("USD", 1.0, 6)]
    claims, value, price = [], 2_000.0, 2_000.0
    for n in range(1, links_):
        rate = 1.25 if n % 3 else 0.64
        price *= rate
        claims.append(Claim(f"c{n}", "ETH" if n == 1 else f"c{n - 1}", rate, value / price, f"0xissuer{n}"))
        value *= share
    last = coins[links_ - 1].symbol
    return Toy(coins=coins, claims=claims, loans=(Loans("m", last, "USD", {"ann": (value / price, 0.0)}),))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("links_", [2, 5, 12])
def test_a_chain_multiplies_its_base_by_the_sum_of_the_powers_of_its_ratio(share: float, links_: int) -> None:
    found = measures.repledging(graph_of(chain_of(share, links_)))
    wanted = (1 - share**links_) / (1 - share)
    ether = row(found, token="ETH")
    assert ether["multiplier"] == pytest.approx(wanted, rel=1e-9)
    assert ether["primary_usd"] == pytest.approx(2_000.0)
    assert ether["pledged_usd"] == pytest.approx(2_000.0 * share ** (links_ - 1))
    assert ether["depth"] == links_ - 1
    assert row(found, token="all")["multiplier"] == pytest.approx(wanted, rel=1e-9)
    depths = sum(n * share**n for n in range(links_)) / sum(share**n for n in range(links_))
    assert ether["mean_depth"] == pytest.approx(depths)


def test_a_claim_that_falls_due_says_when_and_at_which_rate_its_discount_is_gone_by_then() -> None:
    half_a_year = START + YEAR_S // 2
    toy = Toy(
        (Coin("USDe", 0.99), Coin("PT", 0.99 * np.exp(-0.04)), Coin("sUSDe", 1.2), Coin("USD", 1.0, 6)),
        (
            Claim("PT", "USDe", 1.0, 5_000.0, "0xyt", due_at=half_a_year),
            Claim("sUSDe", "USDe", 1.2, 7_000.0, "0xvault"),
        ),
        (Loans("m", "PT", "USD", {"ann": (300.0, 0.0)}),),
    )
    graph = graph_of(toy)
    (found,) = measures.maturities(graph).to_dict("records")
    assert (found["token"], found["underlying"], found["issuer"]) == ("PT", "USDe", "0xyt")
    assert found["days"] == 182.5
    assert found["due"] == "2024-05-15 10:13"
    assert found["owed_usd"] == pytest.approx(5_000.0 * 0.99)
    assert found["discount"] == pytest.approx(1 - np.exp(-0.04), rel=1e-6)
    assert found["yearly"] == pytest.approx(0.08, rel=1e-6)
    assert found["pledged_usd"] == pytest.approx(300.0 * 0.99 * np.exp(-0.04), rel=1e-6)
    due = {node: facts["due_at"] for node, facts in graph.network.nodes(data=True) if facts["due_at"]}
    assert due == {f"token:{toy.coin('PT').address}": half_a_year}


def test_a_claim_that_is_due_has_no_rate_and_one_that_never_falls_due_is_not_listed() -> None:
    due = Toy((Coin("ETH", 2_000.0), Coin("PT", 1_900.0)), (Claim("PT", "ETH", 1.0, 9.0, "0xyt", due_at=START - 1),))
    (found,) = measures.maturities(graph_of(due)).to_dict("records")
    assert found["days"] < 0
    assert np.isnan(found["yearly"])
    assert found["discount"] == pytest.approx(0.05)
    assert measures.maturities(graph_of(chain_of(0.5, 3))).empty


def test_a_long_chain_comes_to_one_over_one_less_its_ratio() -> None:
    found = measures.repledging(graph_of(chain_of(0.5, 40)))
    assert row(found, token="ETH")["multiplier"] == pytest.approx(2.0, rel=1e-11)


def test_without_claims_nothing_is_pledged_twice() -> None:
    found = measures.repledging(ExposureGraph.of(make_snapshot({"a": Account({"ETH": 9.0}, {"USD": 7_000.0})})))
    assert (found["multiplier"] == 1.0).all()
    assert (found["depth"] == 0).all()


def test_what_backs_the_claims_of_a_market_is_counted_where_it_lies() -> None:
    coins = (Coin("ETH", 2_000.0), Coin("aETH"), Coin("USD", 1.0, 6), Coin("X", 5.0))
    lend = Loans("lend-eth", "X", "ETH", {"bob": (9_000.0, 2.0)}, supplied=6.0)
    pledge = Loans("aeth-usd", "aETH", "USD", {"ann": (3.0, 2_000.0)})
    toy = Toy(coins, (Claim("aETH", "ETH", 1.0, 8.0, "lend-eth"),), (lend, pledge))
    ether = row(measures.repledging(graph_of(toy)), token="ETH")
    # eight are owed to suppliers; three of the claims on them are pledged again
    assert ether["primary_usd"] == pytest.approx(16_000.0)
    assert ether["locked_usd"] == pytest.approx(22_000.0)


def test_aave_lends_out_collateral_and_morpho_does_not() -> None:
    accounts = {"a": Account({"ETH": 9.0}, {"USD": 7_000.0}), "b": Account({"USD": 90_000.0}, {"ETH": 8.0})}
    aave = measures.rehypothecation(ExposureGraph.of(make_snapshot(accounts, lent_usd=40_000.0)))
    book = make_snapshot(accounts, lent_usd=40_000.0)
    cash, loans = ExposureGraph.of(book).reserves.cash, ExposureGraph.of(book).reserves.loans
    ether = row(aave, market=MARKET, token="ETH")
    assert 0.1 < ether["share"] < 0.9
    assert ether["share"] == pytest.approx(loans[0] / (cash[0] + loans[0]))
    assert ether["rehypothecated_usd"] == pytest.approx(9.0 * 2904.37 * ether["share"])
    assert ether["multiplier"] == pytest.approx((cash[0] + loans[0]) / cash[0])
    graph = graph_of(
        Toy((Coin("ETH", 2_000.0), Coin("USD", 1.0, 6)), (), (Loans("m", "ETH", "USD", {"a": (9.0, 50.0)}),))
    )
    # dollars are lent there, but nobody has pledged them
    assert graph.reserves.loans.tolist() == pytest.approx([0.0, 50.0])
    assert not graph.reserves.rehypothecated.any()
    morpho = measures.rehypothecation(graph)
    assert row(morpho, market="all")["share"] == 0.0
    assert row(morpho, market="all")["pledged_usd"] == pytest.approx(18_000.0)


def test_leverage_is_assets_over_equity_and_net_of_what_is_locked_twice() -> None:
    coins = (Coin("ETH", 2_000.0), Coin("stETH"), Coin("USD", 1.0, 6))
    toy = Toy(
        coins, (Claim("stETH", "ETH", 1.0, 30.0, "0xlido"),), (Loans("m", "stETH", "USD", {"a": (10.0, 12_000.0)}),)
    )
    found = row(measures.leverage(graph_of(toy)), market="m")
    assert found["leverage_gross"] == pytest.approx(20_000 / 8_000)
    # 60,000 locked as ETH, 20,000 as stETH, 12,000 lent: of 92,000 locked 72,000 are primary
    assert found["leverage_net"] == pytest.approx(20_000 / 8_000 * 72 / 92)


def test_debt_beyond_assets_is_leverage_without_end() -> None:
    toy = Toy((Coin("ETH", 2_000.0), Coin("USD", 1.0, 6)), (), (Loans("m", "ETH", "USD", {"a": (1.0, 2_500.0)}),))
    assert row(measures.leverage(graph_of(toy)), market="all")["leverage_gross"] == np.inf


def test_equal_parts_are_as_concentrated_as_there_are_of_them() -> None:
    loans = Loans("m", "ETH", "USD", {f"a{n}": (1.0, 1_000.0) for n in range(8)})
    found = measures.concentration(graph_of(Toy((Coin("ETH", 2_000.0), Coin("USD", 1.0, 6)), (), (loans,))))
    for of in ("collateral", "debt"):
        accounts = row(found, of=of, over="accounts")
        assert accounts["hhi"] == pytest.approx(1 / 8)
        assert accounts["effective"] == pytest.approx(8.0)
        assert row(found, of=of, over="markets")["hhi"] == pytest.approx(1.0)


TWO = Toy(
    coins=(Coin("ETH", 2_000.0), Coin("stETH"), Coin("X", 5.0), Coin("USD", 1.0, 6)),
    claims=(Claim("stETH", "ETH", 1.0, 90.0, "0xlido"),),
    loans=(
        Loans("eth", "ETH", "USD", {"ann": (10.0, 9_000.0), "bob": (4.0, 3_000.0)}),
        Loans("steth", "stETH", "USD", {"ann": (5.0, 2_500.0), "proxy": (1.0, 700.0)}),
        Loans("eth-2", "ETH", "USD", {"cid": (2.0, 100.0)}),
        Loans("x", "X", "USD", {"dee": (1_000.0, 100.0)}),
        Loans("x-2", "X", "USD", {"eve": (600.0, 100.0)}),
    ),
    pairs=(Pair("ETH", "USD", 400_000.0),),
)


def test_links_are_accounts_assets_and_liquidity_in_common() -> None:
    found = links(graph_of(TWO))
    assert {(each.market, each.other) for each in found.itertuples()} == {
        ("eth", "steth"), ("eth", "eth-2"), ("steth", "eth-2"), ("x", "x-2"),
    }  # fmt: skip
    first = row(found, market="eth", other="steth")
    assert (first["accounts"], first["assets"], first["bases"]) == (1, 0, 1)
    assert first["accounts_usd"] == pytest.approx(11_500.0)
    assert first["common_usd"] == pytest.approx(12_000.0)
    assert first["overlap_usd"] == 0.0
    # a pool of constant product with 400,000 dollars a side falls by one percent for one two-hundredth of that
    second = row(found, market="eth", other="eth-2")
    assert (second["accounts"], second["assets"], second["bases"]) == (0, 1, 1)
    assert second["overlap_usd"] == pytest.approx(28_000 * 4_000 / 200_000, rel=0.01)
    assert row(found, market="x", other="x-2")["no_venue_usd"] == pytest.approx(3_000.0)


def test_proxies_count_as_their_owners() -> None:
    found = row(links(graph_of(TWO), {"proxy": "bob"}), market="eth", other="steth")
    assert found["accounts"] == 2
    assert found["accounts_usd"] == pytest.approx(15_200.0)


def test_who_owns_proxies_and_safes_stands_in_the_snapshot() -> None:
    def owned(*rows: tuple[str, str, int]) -> ExposureGraph:
        columns = ("account", "owner", "threshold")
        named = [dict(zip(columns, row_, strict=True)) | {"kind": "any"} for row_ in rows]
        snapshot = snapshot_of(TWO)
        tables = dict(snapshot.tables) | {OWNERS.name: Table.from_rows(OWNERS, named)}
        return ExposureGraph.of(replace(snapshot, tables=tables))

    assert row(links(owned(("proxy", "safe", 1), ("safe", "bob", 1))), market="eth", other="steth")["accounts"] == 2
    # one of bob's people is not bob
    apart = owned(("proxy", "bob", 2), ("proxy", "eve", 2))
    assert apart.owners == {"proxy": "2 of bob, eve"}
    assert row(links(apart), market="eth", other="steth")["accounts"] == 1
    # nor is anybody behind those who own each other
    assert owned(("a", "b", 1), ("b", "a", 1)).owners == {"a": "a", "b": "b"}
