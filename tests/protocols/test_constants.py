"""What contracts have as constants: theirs, unless a snapshot says otherwise, as one does that an audit changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from chain.errors import InputError
from chain.snapshot import Snapshot
from chain.tables import Table
from protocols import registry
from protocols.lending.constants import tables_of_constants
from simulator.audit.settings import changed, chosen, settings
from simulator.book import read
from simulator.run import simulate
from simulator.verify import verify
from tests.protocols.test_aave_v2_tables import rows_of_a_pool, snapshot_of
from tests.simulator import plain
from tests.simulator.audit.test_room import morpho_market
from tests.simulator.books import make_scenario

BOOKS = {
    "aave_v2": snapshot_of(rows_of_a_pool()),
    "aave_v3": plain.aave({"a": (9_000.0, 7_100.0)}),
    "morpho_blue": morpho_market(),
}
VALUES = {
    "aave_v2": {"aave-v2.close_factor": "0.5"},
    "aave_v3": {"pool.close_factor": "0.5", "pool.close_factor_hf_threshold": "0.95"},
    "morpho_blue": {
        "morpho-blue/1.liquidation_cursor": "0.3",
        "morpho-blue/1.max_liquidation_incentive_factor": "1.15",
    },
}
"""As the contracts have them."""
OTHERS = {
    "aave_v2": {"aave-v2.close_factor": "0.8"},
    "aave_v3": {"pool.close_factor": "0.8", "pool.close_factor_hf_threshold": "0.9"},
    "morpho_blue": {
        "morpho-blue/1.liquidation_cursor": "0.6",
        "morpho-blue/1.max_liquidation_incentive_factor": "1.4",
    },
}
every_protocol = pytest.mark.parametrize("protocol", BOOKS)


def with_values(snapshot: Snapshot, values: Mapping[str, str]) -> Snapshot:
    known = settings(snapshot)
    return changed(snapshot, known, {key: raws[0] for key, raws in chosen(known, values).items()})


def terms(snapshot: Snapshot) -> tuple[list[float], list[float]]:
    """What a market's constants make of its liquidations."""
    (market,) = registry.markets(snapshot)
    return market.closing_terms().parameters.tolist(), market.exposures().bonus.tolist()


def constant_tables(snapshot: Snapshot) -> list[str]:
    return [name for name in snapshot.tables if name.endswith(".constants")]


def test_every_table_of_constants_has_a_parameter_and_a_value_of_the_contracts_for_each_column() -> None:
    found = {}
    for protocol in registry.names("lending"):
        for table in registry.part("lending", protocol, "tables").SCHEMAS:
            of_table = [one for one in registry.parameters(protocol) if one.table == table]
            if any(one.constant is not None for one in of_table):
                assert table.key == ("market",)
                assert [one.column for one in of_table] == [column.name for column in table.columns[1:]]
                assert all(one.constant is not None for one in of_table)
                found[protocol] = len(of_table)
    assert found.keys() == BOOKS.keys()


@every_protocol
def test_a_snapshot_without_the_table_has_what_the_contracts_have(protocol: str) -> None:
    snapshot = BOOKS[protocol]
    assert not constant_tables(snapshot)
    known = settings(snapshot)
    assert {key: known[key].value for key in VALUES[protocol]} == {
        key: Decimal(value) for key, value in VALUES[protocol].items()
    }
    stated = with_values(snapshot, VALUES[protocol])
    assert len(constant_tables(stated)) == 1
    assert terms(stated) == terms(snapshot)
    assert not tables_of_constants(stated, protocol, registry.parameters(protocol))


@every_protocol
def test_another_value_is_in_a_table_of_its_own_and_the_market_goes_by_it(protocol: str, tmp_path: Path) -> None:
    snapshot = BOOKS[protocol]
    digest = snapshot.digest
    other = with_values(snapshot, OTHERS[protocol])
    assert snapshot.digest == digest
    assert all(other.tables[name] is table for name, table in snapshot.tables.items())
    assert terms(other) != terms(snapshot)
    known = settings(other)
    assert {key: str(known[key].value) for key in OTHERS[protocol]} == OTHERS[protocol]
    other.write(tmp_path / "other")
    assert terms(read(tmp_path / "other")) == terms(other)


def test_morpho_s_incentive_follows_its_constants() -> None:
    (market,) = registry.markets(with_values(BOOKS["morpho_blue"], OTHERS["morpho_blue"]))
    assert market.exposures().bonus[0] == pytest.approx(1 / (1 - 0.6 * 0.14))
    (capped,) = registry.markets(
        with_values(BOOKS["morpho_blue"], {"morpho-blue/1.max_liquidation_incentive_factor": "1.01"})
    )
    assert capped.exposures().bonus[0] == pytest.approx(1.01)
    for one in (market, capped):
        one.set_price(0, 8 * 10**35)
        got = one.terms(one.offers(0)[0], 10**8).received_raw
        assert got == pytest.approx(1e8 / 0.8 * one.exposures().bonus[0], abs=2)


def test_a_close_factor_of_aave_is_what_may_be_repaid_at_once() -> None:
    # 9,000 at a threshold of 0.8 against 7,250: a health factor of 0.993
    snapshot = plain.aave({"a": (9_000.0, 7_250.0)})
    for value, share in (("0.5", 0.5), ("0.25", 0.25), ("0.8", 0.8), ("1", 1.0)):
        (market,) = registry.markets(with_values(snapshot, {"pool.close_factor": value}))
        assert market.offers(0)[0].most_raw == pytest.approx(share * 7_250 * 10**plain.DECIMALS, rel=1e-9)
    (market,) = registry.markets(with_values(snapshot, {"pool.close_factor": "0"}))
    assert not market.offers(0), "nobody above the threshold may be liquidated"
    (market,) = registry.markets(with_values(snapshot, {"pool.close_factor_hf_threshold": "1"}))
    assert market.offers(0)[0].most_raw == 7_250 * 10**plain.DECIMALS


def test_a_table_without_a_row_of_the_market_is_refused() -> None:
    snapshot = with_values(BOOKS["aave_v3"], OTHERS["aave_v3"])
    (name,) = constant_tables(snapshot)
    schema = snapshot.tables[name].schema
    torn = replace(snapshot, tables={**snapshot.tables, name: Table.from_rows(schema, [])})
    with pytest.raises(InputError, match=r"aave_v3\.constants should have one row of market pool, it has 0"):
        registry.markets(torn)


@pytest.mark.parametrize("protocol", ["aave_v3", "morpho_blue"])
def test_what_a_changed_snapshot_comes_to_is_held_to_no_contract(protocol: str) -> None:
    other = with_values(BOOKS[protocol], OTHERS[protocol])
    assert other.origin == "changed"
    run = simulate(other, make_scenario(liquidators=plain.FRICTIONLESS))
    with pytest.raises(InputError, match="origin 'changed': there are no contracts"):
        verify(run, "http://127.0.0.1:1")
    assert with_values(BOOKS[protocol], {}) is BOOKS[protocol]
