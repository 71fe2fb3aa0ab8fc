"""How an Aave v2 pool lies in a snapshot: what is written is what is loaded, and what does not fit is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chain.errors import InputError, UnsupportedError
from chain.snapshot import ORACLES, TOKENS, Market, Snapshot, read_snapshot
from chain.tables import Schema, Table
from protocols.lending.aave_v2 import tables
from protocols.lending.aave_v2.state import Positions, Reserves
from tests.protocols.aave_v2_pools import ETH, ETHER, NOW, simple_pool

NAME = "aave-v2"
ADDRESSES = ["0x" + f"{number:02x}" * 20 for number in (1, 2, 3)]
ACCOUNT = "0x" + "aa" * 20


def snapshot_of(rows: dict[Schema, list[dict[str, Any]]], version: str = "2.0") -> Snapshot:
    empty: dict[Schema, list[dict[str, Any]]] = {TOKENS: [], ORACLES: []}
    return Snapshot(
        chain_id=1,
        block_number=1,
        block_hash="0x" + "00" * 32,
        timestamp=NOW,
        origin="node",
        markets=(Market(NAME, "aave_v2", version),),
        adapters={"aave_v2": tables.ADAPTER},
        tables={schema.name: Table.from_rows(schema, found) for schema, found in (empty | rows).items()},
    )


def rows_of_a_pool() -> dict[Schema, list[dict[str, Any]]]:
    """The rows of :func:`simple_pool`."""
    pool = simple_pool(10**18, 1_700 * 10**6, stable_debt=10**6)
    own = {"market": NAME}
    reserves = [
        own
        | {"token": token, "id": r, "frozen": False, "borrowing_enabled": True}
        | dict.fromkeys(("a_token", "stable_debt_token", "debt_token"), token)
        | {name: getattr(pool.reserves, name)[r] for name in Reserves._fields}
        for r, token in enumerate(ADDRESSES)
    ]
    positions = [
        own
        | {"account": ACCOUNT, "token": ADDRESSES[r]}
        | {name: getattr(pool.positions, name)[entry] for name in Positions._fields[2:]}
        for entry, r in enumerate(pool.positions.reserve)
    ]
    return {
        tables.POOLS: [own | {"base_token": ADDRESSES[ETH], "base_unit": ETHER}],
        tables.RESERVES: reserves,
        tables.ACCOUNTS: [own | {"account": ACCOUNT}],
        tables.POSITIONS: positions,
    }


def test_what_is_written_is_what_is_loaded(tmp_path: Path) -> None:
    snapshot_of(rows_of_a_pool()).write(tmp_path / "snapshot")
    (market,) = tables.load(read_snapshot(tmp_path / "snapshot", tables.SCHEMAS))
    pool = simple_pool(10**18, 1_700 * 10**6, stable_debt=10**6)
    assert market.state() == (pool.reserves, pool.positions)
    assert (market.name, market.accounts, market.numeraire) == (NAME, (ACCOUNT,), ETH)


def test_prices_in_us_dollars_need_no_unit_of_account() -> None:
    rows = rows_of_a_pool()
    rows[tables.POOLS][0] |= {"base_token": "", "base_unit": 10**8}
    (market,) = tables.load(snapshot_of(rows))
    assert market.numeraire is None
    assert market.price_unit(ETH) == 10**8


def test_a_snapshot_without_such_markets_has_none() -> None:
    assert tables.load(replace(snapshot_of({}), markets=())) == []


@pytest.mark.parametrize(
    ("table", "change", "complaint"),
    [
        (tables.POOLS, {"base_token": "0x" + "ee" * 20}, "no reserve of it"),
        (tables.POOLS, {"market": "another"}, "one row"),
        (tables.RESERVES, {"id": 7}, "in order of their ids"),
        (tables.POSITIONS, {"account": "0x" + "bb" * 20}, "row 1"),
        (tables.POSITIONS, {"token": "0x" + "bb" * 20}, "row 1"),
    ],
)
def test_rows_that_do_not_fit_are_refused(table: Schema, change: dict[str, Any], complaint: str) -> None:
    rows = rows_of_a_pool()
    rows[table][0] |= change
    with pytest.raises(InputError, match=complaint):
        tables.load(snapshot_of(rows))


def test_a_missing_table_and_an_unknown_version_are_refused_by_name() -> None:
    rows = rows_of_a_pool()
    with pytest.raises(UnsupportedError, match=r"1\.0"):
        tables.load(snapshot_of(rows, "1.0"))
    del rows[tables.POSITIONS]
    with pytest.raises(InputError, match=r"aave_v2\.positions"):
        tables.load(snapshot_of(rows))
