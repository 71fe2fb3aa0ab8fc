"""What curated vaults lose in a run is their part of what their markets wrote off, by each vault's own rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.snapshot import Snapshot
from chain.tables import Table
from protocols.tokens.metamorpho.tables import ALLOCATIONS, VAULTS
from protocols.tokens.vault_v2 import tables as v2
from simulator.report import render
from simulator.run import Run, simulate
from simulator.summary import as_json, vaults
from tests.simulator.graph.toys import Coin, Toy, snapshot_of
from tests.simulator.losses.books import COL, FIRST, LOST, SECOND, UNIT, USD, VAULT, Held, address, scenario, with_held

OUTER = Coin("OUTER", 1.0)
HALVED = {"COL": 0.5}


def curated(version: str) -> Snapshot:
    """VAULT has 400 of the 1000 in `first` and 30 of the 100 in `second`; OUTER holds a fifth of VAULT."""
    vault, outer, usd = address("VAULT"), address("OUTER"), USD.address
    when = "at once" if version == "1.0" else "at withdrawal"
    held = [Held("VAULT", "USD", 500.0, "VAULT", when), Held("OUTER", "USD", 250.0, "OUTER")]
    book = with_held(snapshot_of(Toy((COL, USD, VAULT, OUTER), loans=(FIRST, SECOND))), held)
    places = [
        {"market": "first", "supplied_raw": 400 * UNIT, "supply_shares": 400 * UNIT * 10**6}
        | {"market_supply_assets": 1000 * UNIT, "market_supply_shares": 1000 * UNIT * 10**6, "cap_raw": 450 * UNIT},
        {"market": "second", "supplied_raw": 30 * UNIT, "supply_shares": 30 * UNIT * 10**6, "withdraw_place": 1}
        | {"market_supply_assets": 100 * UNIT, "market_supply_shares": 100 * UNIT * 10**6, "supply_place": -1},
    ]
    rows = {
        VAULTS: [{"vault": vault, "version": version, "asset": usd, "timelock_s": 86_400}],
        ALLOCATIONS: [{"vault": vault, "id": f"0x{place['market']}"} | place for place in places],
        v2.VAULTS: [{"vault": outer, "asset": usd, "liquidity_adapter": "0xd", "total_assets": 250 * UNIT}],
        v2.ALLOCATIONS: [{"vault": outer, "adapter": "0xd", "target": vault, "claimed_raw": 100 * UNIT}],
    }
    tables = dict(book.tables)
    for schema, found in rows.items():
        blank: dict[str, Any] = {c.name: "" if c.kind == "text" else 0 for c in schema.columns}
        tables[schema.name] = Table.from_rows(schema, [blank | {"enabled": True} | row for row in found])
    return replace(book, tables=tables)


def lost(run: Run, column: str = "lost_raw") -> dict[tuple[str, str], float]:
    """Whole dollars by symbol of the vault and place."""
    symbols = run.facts["symbols"]
    return {(symbols[row["vault"]], row["place"]): row[column] / UNIT for row in run.tables["vault_losses"].rows()}


def test_a_vault_loses_by_its_shares_of_each_market_and_who_holds_it_by_its_part() -> None:
    run = simulate(curated("1.0"), scenario(HALVED))
    found = lost(run)
    assert found["VAULT", "0xfirst"] == pytest.approx(0.4 * LOST, rel=1e-12)
    written_off = {row["market"]: row for row in run.tables["reserves"].rows() if row["token"] == USD.address}
    second = (written_off["second"]["deficit_after_raw"] - written_off["second"]["deficit_before_raw"]) / UNIT
    assert found["VAULT", "0xsecond"] == pytest.approx(0.3 * second, rel=1e-12)
    assert second > 0, "the vault's loss ruins who borrowed against its shares"
    # 100 of the 500 behind the vault's shares
    assert found["OUTER", "0xd"] == pytest.approx(0.2 * (0.4 * LOST + 0.3 * second), rel=1e-12)


def test_a_vault_that_keeps_losses_out_of_its_share_price_passes_none_on() -> None:
    found = lost(simulate(curated("1.1"), scenario(HALVED)))
    assert found["VAULT", "0xfirst"] == pytest.approx(0.4 * LOST, rel=1e-12)
    assert found["OUTER", "0xd"] == 0.0


def test_what_nobody_wrote_off_yet_is_at_risk() -> None:
    run = simulate(curated("1.0"), scenario(HALVED, contagion={"freezes": [{"market": "first"}]}))
    assert set(lost(run).values()) == {0.0}
    # what full liquidation could not recover is what it would have written off
    assert lost(run, "at_risk_raw")["VAULT", "0xfirst"] == pytest.approx(0.4 * LOST, rel=1e-9)


def test_terms_stand_beside_losses_in_the_summary_and_on_the_page() -> None:
    run = simulate(curated("1.0"), scenario(HALVED))
    first = vaults(run)[0]
    assert (first["vault"], first["into"], first["asset"], first["losses"]) == ("VAULT", "first", "USD", "at once")
    assert (first["supplied"], first["cap"], first["pending_cap"]) == (400.0, 450.0, 0.0)
    assert (first["supply_place"], first["withdraw_place"], first["timelock_hours"]) == (0, 0, 24.0)
    assert {row["vault"]: row["timelock_hours"] for row in vaults(run)}["OUTER"] is None
    assert as_json(run)["vaults"] == vaults(run)
    assert "<h2>By vault</h2>" in render(run)


def test_a_run_in_which_no_vault_loses_shows_none() -> None:
    run = simulate(curated("1.0"), scenario())
    assert len(run.tables["vault_losses"]) == 3
    assert vaults(run) == []
    assert "By vault" not in render(run)
