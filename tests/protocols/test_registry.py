"""A protocol is a folder: whatever lies under a family with tables is there, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chain.errors import UnsupportedError
from chain.snapshot import SHARED, Market
from chain.tables import Schema
from protocols import registry
from protocols.registry import Family
from tests.simulator.books import Account, make_snapshot

BOOK = {"a": Account({"ETH": 1.0}, {"USD": 100.0})}
FAMILIES: tuple[Family, Family] = ("lending", "amm")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_folder_that_can_lie_in_a_snapshot_is_a_protocol(family: Family) -> None:
    folder = Path(registry.__file__).parent / family
    assert registry.names(family) == sorted(path.parent.name for path in folder.glob("*/tables.py"))
    assert {"lending": "aave_v3", "amm": "uniswap_v3"}[family] in registry.names(family)


def test_every_protocol_has_tables_a_reader_and_a_version_of_both() -> None:
    for family in FAMILIES:
        for name in registry.names(family):
            tables = registry.part(family, name, "tables")
            assert tables.ADAPTER >= 1
            assert callable(tables.load)
            assert callable(registry.part(family, name, "reader").read_deployment)


def test_tables_are_named_after_their_protocol_and_no_name_is_used_twice() -> None:
    found: list[Schema] = registry.schemas()
    names = [schema.name for schema in found]
    folders = [name for family in (*FAMILIES, "tokens") for name in registry.names(family)]
    assert all(name.split(".")[0] in folders for name in names)
    assert len({*names, *(schema.name for schema in SHARED)}) == len(names) + len(SHARED)
    for schema in found:
        columns = [column.name for column in schema.columns]
        assert len(set(columns)) == len(columns)
        assert set(schema.key) <= set(columns)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_protocol_that_is_not_there_is_refused_by_name(family: Family) -> None:
    with pytest.raises(UnsupportedError, match=r"no \w+ protocol 'compound_v9' is modelled; there are .*_v"):
        registry.part(family, "compound_v9", "tables")


def test_a_snapshot_with_an_unknown_protocol_is_refused_and_not_run_without_it() -> None:
    snapshot = make_snapshot(BOOK)
    with pytest.raises(UnsupportedError, match="compound_v9"):
        registry.markets(replace(snapshot, markets=(*snapshot.markets, Market("other", "compound_v9", "9"))))


@pytest.mark.parametrize("version", ["2.0", "3", "3.8", "4.0", ""])
def test_a_version_without_rules_is_refused_by_name(version: str) -> None:
    with pytest.raises(UnsupportedError, match=f"no rules for Aave v3 version '{version}'; there are rules for 3.0"):
        registry.markets(make_snapshot(BOOK, version=version))


def test_a_version_that_nothing_was_compared_with_says_so() -> None:
    (unverified,) = registry.markets(make_snapshot(BOOK, version="3.5"))
    (verified,) = registry.markets(make_snapshot(BOOK, version="3.6"))
    assert "unverified" in unverified.caveat
    assert verified.caveat == ""


def test_markets_and_venues_are_those_of_the_snapshot() -> None:
    snapshot = make_snapshot(BOOK)
    assert [(m.name, m.protocol, m.version) for m in registry.markets(snapshot)] == [("pool", "aave_v3", "3.6")]
    venues = registry.venues(snapshot)
    assert sorted(venue.name for venue in venues) == [f"0xpool{n}" for n in range(6)]
    assert {venue.protocol for venue in venues} == {"uniswap_v2", "uniswap_v3"}


def test_each_loading_is_a_state_of_its_own() -> None:
    snapshot = make_snapshot(BOOK)
    one, other = registry.venues(snapshot)[0], registry.venues(snapshot)[0]
    before = other.reserves_raw()
    one.swap(0, 1, 10**9)
    assert one.reserves_raw() != before == other.reserves_raw()
