"""Caps and what there is under them, and parameters of protocols that are not Aave's."""

from __future__ import annotations

import numpy as np
import pytest

from chain.snapshot import ORACLES, TOKENS, Market, Snapshot
from chain.tables import Schema, Table
from protocols.lending.compound_v3 import tables as comet
from protocols.lending.morpho_blue import tables as morpho
from simulator.audit.grid import Books, cells
from simulator.audit.paths import draw
from simulator.audit.room import rooms
from simulator.audit.run import audit
from simulator.audit.settings import Values, changed, chosen, settings
from simulator.estimate.models.gbm import GBM
from simulator.estimate.sampling import Experiment
from tests.simulator.books import START, Account, make_snapshot

WAD = 10**18
ROWS = dict[Schema, list[dict[str, object]]]


def snapshot_of(market: Market, adapter: int, rows: ROWS, prices: dict[str, float]) -> Snapshot:
    """COL with 6 decimals and LOAN with 6, at these prices in US dollars."""
    own = {"market": market.name}
    feed = {"numeraire": "", "feed": "0xfeed", "description": "", "unit_raw": 10**8, "published_at": START}
    tokens = [{"token": f"0x{name.lower()}", "symbol": name, "decimals": 6} for name in prices]
    oracles = [
        own | feed | {"token": f"0x{name.lower()}", "price_raw": round(price * 10**8)} for name, price in prices.items()
    ]
    content = {TOKENS: tokens, ORACLES: oracles, **rows}
    return Snapshot(
        1, 17, "0x11", START, "sample", (market,), {market.protocol: adapter},
        {schema.name: Table.from_rows(schema, found) for schema, found in content.items()},
    )  # fmt: skip


def morpho_market(lltv: float = 0.86) -> Snapshot:
    """One account with 1,000 COL at a dollar, which owes 700 LOAN; others have lent 300 more."""
    market = {"market": "morpho-blue/1"}
    listed = market | {
        "id": "0x01", "loan_token": "0xloan", "collateral_token": "0xcol", "oracle": "", "irm": "", "model": "none",
        "lltv_wad": round(lltv * 100) * WAD // 100, "fee_wad": 0, "supply_assets": 10**9, "supply_shares": 10**15,
        "borrow_assets": 7 * 10**8, "borrow_shares": 7 * 10**14, "last_update": START, "rate_wad": 0,
        "price_raw": 10**36,
    }  # fmt: skip
    position = market | {"account": "a", "borrow_shares": 7 * 10**14, "collateral": 10**9}
    return snapshot_of(
        Market("morpho-blue/1", "morpho_blue", "1.0"), morpho.ADAPTER,
        {morpho.MARKETS: [listed], morpho.POSITIONS: [position]}, {"COL": 1.0, "LOAN": 1.0},
    )  # fmt: skip


def comet_market() -> Snapshot:
    """One account with 100 COL at 10 dollars, which owes 500 LOAN; the contract holds 250 COL, of at most 400."""
    market = {"market": "comet"}
    zeros = {c.name: 0 for c in comet.MARKETS.columns if c.kind == "uint256"}
    flags = {c.name: False for c in comet.MARKETS.columns if c.kind == "bool"}
    facts = market | zeros | flags | {
        "numeraire": "", "supply_index": 10**15, "borrow_index": 10**15, "supply_principal": 800 * 10**6,
        "borrow_principal": 500 * 10**6, "last_accrual": START, "supply_kink": WAD, "borrow_kink": WAD,
        "store_front_factor": WAD // 2,
    }  # fmt: skip
    reserve = dict.fromkeys((c.name for c in comet.RESERVES.columns if c.kind == "uint256"), 0) | market
    reserves = [
        reserve | {"token": "0xloan", "row": 0, "scale": 10**6, "price_raw": 10**8, "balance_raw": 300 * 10**6},
        reserve | {
            "token": "0xcol", "row": 1, "scale": 10**6, "price_raw": 10**9, "borrow_factor": 70 * WAD // 100,
            "liquidate_factor": 80 * WAD // 100, "liquidation_factor": 93 * WAD // 100, "supply_cap_raw": 400 * 10**6,
            "supplied_raw": 250 * 10**6, "balance_raw": 250 * 10**6,
        },
    ]  # fmt: skip
    rows: ROWS = {
        comet.MARKETS: [facts],
        comet.RESERVES: reserves,
        comet.ACCOUNTS: [market | {"account": "a", "principal": -500 * 10**6}],
        comet.POSITIONS: [market | {"account": "a", "token": "0xcol", "balance_raw": 100 * 10**6}],
    }
    return snapshot_of(Market("comet", "compound_v3", "Comet"), comet.ADAPTER, rows, {"COL": 10.0, "LOAN": 1.0})


def test_a_cap_of_zero_is_none_and_what_is_lent_and_what_is_there_is_supplied() -> None:
    snapshot = make_snapshot({"a": Account({"ETH": 10.0}, {"USD": 20_000.0})}, lent_usd=1e6)
    known = settings(snapshot)
    wanted = chosen(known, {"pool/USD.borrow_cap": 25_000, "pool/ETH.supply_cap": 100})
    tables, book = Books(snapshot, known).of(cells(known, wanted)[-1])
    found = rooms(tables, book)[0]
    eth, usd = 0, 2
    assert np.isfinite(found.supply_cap).tolist() == [True, False, False, False]
    assert found.supplied[eth] == pytest.approx(10.0 + 1e6 / 2904.37)
    assert found.to_supply[eth] == 0.0
    assert found.borrowed[usd] == pytest.approx(20_000.0)
    assert found.to_borrow[usd] == pytest.approx(5_000.0)
    assert found.cash[usd] == pytest.approx(1e6 / 0.99993)


def test_collateral_that_is_never_lent_is_what_its_market_says_it_holds() -> None:
    snapshot = comet_market()
    known = settings(snapshot)
    assert "comet/LOAN.supply_cap" not in known
    assert float(known["comet/COL.supply_cap"].value) == 400.0
    books = Books(snapshot, known)
    found = rooms(snapshot, books.base)[0]
    assert found.supplied.tolist() == pytest.approx([800.0, 250.0])
    assert found.to_supply.tolist() == [np.inf, 150.0]
    assert found.cash[0] == pytest.approx(300.0)
    # of a market that does not say, what accounts with debt have
    assert rooms(morpho_market(), Books(morpho_market(), {}).base)[0].supplied.tolist() == [1_000.0, 1_000.0]


def test_a_comets_factors_are_its_own_words_for_ltv_and_threshold() -> None:
    snapshot = comet_market()
    known = settings(snapshot)
    wanted = chosen(known, {"comet/COL.liquidate_collateral_factor": 0.9, "comet/COL.liquidation_factor": 0.95})
    _, book = Books(snapshot, known).of(cells(known, wanted)[-1])
    before, after = (each.markets[0].exposures() for each in (Books(snapshot, known).base, book))
    assert before.threshold.max() == pytest.approx(0.8)
    assert after.threshold.max() == pytest.approx(0.9)
    assert after.ltv.max() == pytest.approx(0.7)
    # buyers get half of the penalty of 5 %
    assert after.bonus[after.threshold > 0] == pytest.approx(1 / (1 - 0.5 * 0.05))


def test_another_lltv_of_morpho_brings_its_own_incentive() -> None:
    """LIF = min(1.15, 1 / (1 - 0.3 (1 - LLTV))), and with the same accounts."""
    model = GBM(("COL",), 6, 3600.0, np.array([[0.06**2]]))
    values = {"morpho-blue/1.lltv": [0.77, 0.945]}
    found = audit(morpho_market(), values, model, 256, follow={"LOAN": "USD"}, liquidations=False)
    for cell, lltv in ((0, 0.86), (1, 0.77), (2, 0.945)):
        known = settings(morpho_market())
        raws = chosen(known, {"morpho-blue/1.lltv": lltv})
        book = Books(changed(morpho_market(), known, {key: raw[0] for key, raw in raws.items()}), known).base
        exposures = book.markets[0].exposures()
        assert exposures.bonus[0] == pytest.approx(min(1.15, 1 / (1 - 0.3 * (1 - lltv))))
        rows = found.frame("outcomes").set_index(["cell", "response"])
        assert rows["capacity_usd"][cell, "static"] == pytest.approx(1_000 * lltv)
        assert rows["debt_usd"][cell, "constant-health-factor"] == pytest.approx(700 * lltv / 0.86)
    # with 300 to borrow, of the equity of 300 at 0.945: all of it
    assert rows["debt_usd"][2, "re-lever-to-maximum"] == pytest.approx(1_000.0)


def test_a_higher_incentive_of_morpho_loses_what_the_collateral_repays_less() -> None:
    """Of collateral C and debt D, D - C / LIF: min(max, 1 / (1 - cursor (1 - LLTV))) is the factor."""
    model = GBM(("COL",), 1, 86_400.0, np.array([[0.3**2]]))
    cursor, most = "morpho-blue/1.liquidation_cursor", "morpho-blue/1.max_liquidation_incentive_factor"
    values: dict[str, Values] = {cursor: "0,0.3,0.9", most: "1.02,1.15,1.5"}
    found = audit(morpho_market(), values, model, 256, follow={"LOAN": "USD"}, responses=["static"], liquidations=False)
    cells_of = found.frame("cells").pivot_table(index="cell", columns="parameter", values="value")
    rows = found.frame("statistics").query("name == 'mean' and by == 'all'").set_index("cell")
    prices = draw(Experiment(model, 256), lambda paths: paths[:, -1]).prices[:, -1, 0]
    seen = set()
    for cell, row in cells_of.iterrows():
        factor = min(row[most], 1 / (1 - row[cursor] * 0.14))
        lost = np.maximum(0.0, 700.0 - 1_000.0 * prices / factor).mean()
        assert rows["value"][cell] == pytest.approx(lost, rel=1e-6)
        seen.add(round(factor, 6))
    assert seen == {1.0, 1.02, 1.043841, 1.144165}
