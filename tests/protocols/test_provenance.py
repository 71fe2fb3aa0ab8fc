"""The rows that a market's positions and reserves are said to come from are about just these."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chain.snapshot import Snapshot
from chain.tables import Table
from protocols import provenance, registry
from protocols.lending.compound_v3 import tables as comet_tables
from tests.protocols import test_aave_v2_tables as aave_v2
from tests.protocols import test_compound_v3_tables as comet
from tests.protocols.compound_v3_markets import random_comet
from tests.simulator.books import Account, make_snapshot


def snapshots() -> dict[str, Snapshot]:
    accounts = {"zed": Account({"ETH": 9.0, "BTC": 1.0}, {"USD": 7_000.0}), "ann": Account({"USD": 9.0}, {"DAI": 1.0})}
    return {
        "aave_v2": aave_v2.snapshot_of(aave_v2.rows_of_a_pool()),
        "aave_v3": make_snapshot(accounts),
        "compound_v3": comet.snapshot_of(comet.rows_of(random_comet(3)), random_comet(3)),
    }


@pytest.mark.parametrize("protocol", ["aave_v2", "aave_v3", "compound_v3"])
def test_every_entry_has_the_row_about_its_account_and_its_token(protocol: str) -> None:
    snapshot = snapshots()[protocol]
    (market,) = registry.markets(snapshot)
    exposures = market.exposures()
    found = provenance.positions(snapshot, market, exposures)
    account = np.repeat(np.arange(len(market.accounts)), np.diff(exposures.offsets))
    tables = set()
    for entry, (table, row) in enumerate(zip(found.table, found.row, strict=True)):
        facts = snapshot.tables[found.tables[table]].rows()[row]
        assert facts["account"] == market.accounts[account[entry]]
        assert facts.get("token", market.tokens[exposures.reserve[entry]]) == market.tokens[exposures.reserve[entry]]
        tables.add(found.tables[table])
    base = {comet_tables.ACCOUNTS.name} if protocol == "compound_v3" else set()
    assert tables == {f"{protocol}.positions"} | base


@pytest.mark.parametrize("protocol", ["aave_v2", "aave_v3", "compound_v3"])
def test_every_reserve_has_its_row(protocol: str) -> None:
    snapshot = snapshots()[protocol]
    (market,) = registry.markets(snapshot)
    found = provenance.reserves(snapshot, market)
    rows = snapshot.tables[f"{protocol}.reserves"].rows()
    assert [found.tables[table] for table in found.table] == [f"{protocol}.reserves"] * len(market.tokens)
    assert [rows[row]["token"] for row in found.row] == list(market.tokens)


def test_aave_and_compound_v2_lend_out_collateral_and_comet_and_morpho_do_not() -> None:
    markets = {name: registry.part("lending", name, "market") for name in registry.names("lending")}
    lend = {
        name: kind.lends_collateral
        for name, module in markets.items()
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and getattr(kind, "protocol", "") == name
    }
    known = {"aave_v2", "aave_v3", "aave_v4", "compound_v2", "compound_v3", "morpho_blue", "venus_core"}
    assert {name for name in known if lend[name]} == known - {"compound_v3", "morpho_blue"}


def test_rows_are_counted_in_the_whole_table_that_markets_share() -> None:
    snapshot = snapshots()["aave_v3"]
    (market,) = registry.markets(snapshot)
    alone = provenance.positions(snapshot, market, market.exposures())
    table = snapshot.tables["aave_v3.positions"]
    others = [row | {"market": "another"} for row in table.rows()]
    shared = Table.from_rows(table.schema, [*others, *table.rows()])
    both = replace(snapshot, tables={**snapshot.tables, table.schema.name: shared})
    assert provenance.positions(both, market, market.exposures()).row.tolist() == (alone.row + len(others)).tolist()


def test_what_no_row_is_about_has_none() -> None:
    snapshot = snapshots()["aave_v3"]
    (market,) = registry.markets(snapshot)
    table = snapshot.tables["aave_v3.positions"]
    fewer = replace(snapshot, tables={**snapshot.tables, table.schema.name: Table.from_rows(table.schema, [])})
    found = provenance.positions(fewer, market, market.exposures())
    assert set(found.row.tolist()) <= {-1, *range(len(market.accounts))}
    assert "aave_v3.positions" not in {found.tables[table] for table in found.table}
