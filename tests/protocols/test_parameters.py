"""What each protocol's governance sets: every declared parameter lies in a table, and a value is what it says."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from chain.errors import InputError
from chain.snapshot import TOKENS, Market, Snapshot
from chain.tables import Schema, Table
from protocols import registry
from protocols.lending.aave_v3.parameters import PARAMETERS as AAVE
from protocols.lending.parameters import BORROW_CAP, NO_LIMIT, SUPPLY_CAP, Parameter
from simulator.audit.settings import changed, chosen, settings
from tests.simulator.books import START, Account, make_snapshot
from tests.simulator.plain import compound_v2

every_protocol = pytest.mark.parametrize("protocol", registry.names("lending"))
SYMBOLS = {"0x1": "ETH", "0x2": "USD"}


def rows(schema: Schema) -> list[dict[str, Any]]:
    """Rows of two tokens in a market, every number different from every other."""
    empty = {"text": "", "bool": True}
    found = []
    for number, token in enumerate(SYMBOLS):
        row = {c.name: empty.get(c.kind, 1 + number + 2 * place) for place, c in enumerate(schema.columns)}
        named: dict[str, Any] = {"market": "m", "account": f"a{number}", "token": token, "hub": "0xhub", "scale": 10**6}
        counted = dict.fromkeys(("id", "reserve_id", "asset_id", "key", "category", "pool"), number) | {
            "row": number + 1
        }
        numbers = {c.name for c in schema.columns if c.kind == "int64"} & {*counted}
        found.append(row | {n: v for n, v in named.items() if n in row} | {n: counted[n] for n in numbers})
    return found if {"token", "reserve_id", "asset_id", "category"} & {*schema.key} else found[:1]


def tables_of(protocol: str) -> Snapshot:
    """A snapshot with made-up rows in each of a protocol's tables."""
    tokens = [{"token": token, "symbol": symbol, "decimals": 6} for token, symbol in SYMBOLS.items()]
    content = {schema: rows(schema) for schema in registry.part("lending", protocol, "tables").SCHEMAS}
    return Snapshot(
        1, 17, "0x11", START, "sample", (Market("m", protocol, "1"),), {},
        {schema.name: Table.from_rows(schema, found) for schema, found in (content | {TOKENS: tokens}).items()},
    )  # fmt: skip


@every_protocol
def test_every_protocol_says_what_its_governance_sets(protocol: str) -> None:
    found = registry.parameters(protocol)
    assert found
    for parameter in found:
        assert parameter.table in registry.part("lending", protocol, "tables").SCHEMAS
        assert parameter.table.column(parameter.column).kind in ("int64", "uint256", "int256")
        assert parameter.least < parameter.most
    snapshot = tables_of(protocol)
    known = settings(snapshot)
    assert len(known) >= len(found)
    assert {setting.parameter for setting in known.values()} == set(found)
    assert all(key.startswith(("m.", "m/", "0xhub/")) for key in known)


@every_protocol
def test_another_value_changes_its_own_column_and_nothing_else(protocol: str) -> None:
    snapshot = tables_of(protocol)
    known = settings(snapshot)
    for key, setting in known.items():
        parameter = setting.parameter
        raw = parameter.raw(Decimal(str(parameter.most)), setting.scale)
        now = changed(snapshot, known, {key: raw})
        for name, table in snapshot.tables.items():
            for column in table.schema.columns:
                was, is_now = table.values(column.name), now.tables[name].values(column.name)
                if (name, column.name) == (parameter.table.name, parameter.column):
                    assert is_now == [raw if row in setting.rows else old for row, old in enumerate(was)]
                else:
                    assert was == is_now
        assert settings(now)[key].raw == raw


def test_a_value_is_in_the_fields_own_unit() -> None:
    known = settings(make_snapshot({"a": Account({"ETH": 1.0}, {"USD": 100.0})}))
    assert known["pool/ETH.liquidation_threshold"].value == Decimal("0.83")
    assert known["pool/ETH.liquidation_bonus"].value == Decimal("1.05")
    assert known["pool/USD.optimal_usage"].value == Decimal("0.82")
    assert known["pool/ETH.supply_cap"].value == NO_LIMIT
    compound = settings(compound_v2({"a": (100.0, 50.0)}, close_factor=0.45))
    assert compound["comptroller.close_factor"].value == Decimal("0.45")
    assert compound["comptroller/COL.collateral_factor"].value == Decimal("0.75")
    assert compound["comptroller/COL.kink1"].value == NO_LIMIT


def test_a_cap_is_in_whole_tokens_and_can_be_taken_away() -> None:
    for protocol in registry.names("lending"):
        known = settings(tables_of(protocol))
        for key, setting in known.items():
            if setting.parameter.name in (SUPPLY_CAP, BORROW_CAP):
                assert setting.raw_of(Decimal(1000)) == 1000 * setting.scale
                assert setting.scale == (10**6 if protocol == "compound_v3" else 1)
                if setting.parameter.none is not None:
                    assert setting.raw_of(NO_LIMIT) == setting.parameter.none
                    with pytest.raises(InputError, match=f"{key}: .* cannot be"):
                        setting.raw_of(Decimal("1000.5"))


def test_a_spoke_of_aave_v4_uses_of_its_cap_what_is_its_own_of_the_hub() -> None:
    snapshot = tables_of("aave_v4")
    assets, reserves = snapshot.tables["aave_v4.assets"], snapshot.tables["aave_v4.reserves"]
    for parameter in registry.parameters("aave_v4"):
        if parameter.name in (SUPPLY_CAP, BORROW_CAP):
            shares = {SUPPLY_CAP: "added_shares", BORROW_CAP: "drawn_shares"}[parameter.name]
            assert parameter.part is not None
            own, all_shares = reserves.ints(shares), assets.ints(shares)
            assert parameter.part(snapshot, reserves) == [one / of for one, of in zip(own, all_shares, strict=True)]


def test_what_the_contract_cannot_hold_is_refused_by_name() -> None:
    threshold = next(one for one in AAVE if one.name == "liquidation_threshold")
    assert threshold.raw(Decimal("0.7812"), 10_000) == 7812
    with pytest.raises(InputError, match=r"liquidation_threshold cannot be 0\.78125: .* whole units of 1/10000"):
        threshold.raw(Decimal("0.78125"), 10_000)
    with pytest.raises(InputError, match="liquidation_threshold is from 0 to 1, not 78"):
        threshold.raw(Decimal(78), 10_000)
    cap = next(one for one in AAVE if one.name == SUPPLY_CAP)
    with pytest.raises(InputError, match="supply_cap cannot be 0"):
        cap.raw(Decimal(0), 1)


def test_rows_about_one_thing_that_differ_are_refused() -> None:
    snapshot = tables_of("aave_v4")
    assets = snapshot.tables["aave_v4.assets"]
    other = [assets.rows()[0] | {"market": "other", "slope1_ray": 999}]
    torn = Table.from_rows(assets.schema, [*assets.rows(), *other])
    with pytest.raises(InputError, match="slope1_ray of 0xhub/ETH#0 differs from row to row"):
        settings(replace(snapshot, tables={**snapshot.tables, assets.schema.name: torn}))
    alike = Table.from_rows(assets.schema, [*assets.rows(), assets.rows()[0] | {"market": "other"}])
    known = settings(replace(snapshot, tables={**snapshot.tables, assets.schema.name: alike}))
    assert known["0xhub/ETH#0.slope1"].rows == (0, len(alike) - 1)


def test_a_token_that_a_spoke_lists_twice_is_told_apart() -> None:
    snapshot = tables_of("aave_v4")
    reserves = snapshot.tables["aave_v4.reserves"]
    twice = Table.from_rows(reserves.schema, [row | {"token": "0x1"} for row in reserves.rows()])
    known = settings(replace(snapshot, tables={**snapshot.tables, reserves.schema.name: twice}))
    assert {key for key in known if key.endswith("supply_cap")} == {"m/ETH#0.supply_cap", "m/ETH#1.supply_cap"}
    assert "m/ETH#1@1.collateral_factor" in known


def test_a_market_that_is_opened_with_other_values_counts_with_them() -> None:
    snapshot = compound_v2({"a": (100.0, 50.0)})
    known = settings(snapshot)
    wanted = chosen(known, {"comptroller/COL.collateral_factor": 0.6, "comptroller.liquidation_incentive": 1.15})
    market = registry.markets(changed(snapshot, known, {key: raws[0] for key, raws in wanted.items()}))[0]
    exposures = market.exposures()
    assert exposures.threshold[exposures.reserve == 0] == [0.6]
    assert exposures.bonus[0] == 1.15


def test_a_protocol_that_says_nothing_of_parameters_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name.endswith(".parameters") else object())
    assert registry.parameters("aave_v3") == ()


def test_parameters_are_told_from_each_other_by_name_and_table() -> None:
    for protocol in registry.names("lending"):
        found: list[Parameter] = [*registry.parameters(protocol)]
        assert len({(one.name, one.table.name, one.column) for one in found}) == len(found)
