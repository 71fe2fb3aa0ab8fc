"""A Comet that is written to disk and read back is the same, and one that does not fit together is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chain.errors import InputError, UnsupportedError
from chain.snapshot import ORACLES, TOKENS, Market, Snapshot, read_snapshot
from chain.tables import Schema, Table
from protocols.lending.compound_v3 import tables
from protocols.lending.compound_v3.state import BASE
from tests.protocols.compound_v3_markets import Comet, random_comet

Rows = dict[Schema, list[dict[str, Any]]]
NAME = "comet"


def rows_of(comet: Comet) -> Rows:
    """The rows that a reader would bring of it."""
    market = comet.market()
    unread = {"borrow_min_raw": 1} | dict.fromkeys(("supply_paused", "transfer_paused", "withdraw_paused"), False)
    facts = comet.configuration._asdict() | comet.totals._asdict() | unread
    reserves = [
        {column: values[row] for column, values in comet.reserves._asdict().items()}
        | {"market": NAME, "token": token, "row": row, "supply_cap_raw": 0}
        for row, token in enumerate(market.tokens)
    ]
    positions = [
        {
            "market": NAME,
            "account": account,
            "token": market.tokens[comet.positions.reserve[entry]],
            "balance_raw": comet.positions.balance_raw[entry],
        }
        for row, account in enumerate(market.accounts)
        for entry in range(comet.positions.offsets[row], comet.positions.offsets[row + 1])
    ]
    accounts = zip(market.accounts, comet.positions.principal, strict=True)
    return {
        tables.MARKETS: [facts | {"market": NAME, "numeraire": ""}],
        tables.RESERVES: reserves,
        tables.ACCOUNTS: [{"market": NAME, "account": a, "principal": principal} for a, principal in accounts],
        tables.POSITIONS: positions,
    }


def snapshot_of(rows: Rows, comet: Comet, version: str = "CometWithExtendedAssetList") -> Snapshot:
    everything = {TOKENS: [], ORACLES: []} | rows
    return Snapshot(
        chain_id=1,
        block_number=1,
        block_hash="0x" + "0" * 64,
        timestamp=comet.totals.last_accrual,
        origin="node",
        markets=(Market(NAME, tables.PROTOCOL, version, {}),),
        adapters={tables.PROTOCOL: tables.ADAPTER},
        tables={schema.name: Table.from_rows(schema, some) for schema, some in everything.items()},
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_market_is_read_back_as_it_was(seed: int, tmp_path: Path) -> None:
    comet = random_comet(seed)
    snapshot_of(rows_of(comet), comet).write(tmp_path / "snapshot")
    (market,) = tables.load(read_snapshot(tmp_path / "snapshot", tables.SCHEMAS))
    assert market.state() == comet.market().state()
    assert market.numeraire is None
    for account in range(len(market.accounts)):
        assert market.health_raw(account) == comet.market().health_raw(account)


def test_a_market_that_counts_in_its_base_token_says_so() -> None:
    comet = random_comet(1)
    rows = rows_of(comet)
    rows[tables.MARKETS][0]["numeraire"] = "token 0"
    assert tables.load(snapshot_of(rows, comet))[0].numeraire == BASE


def _unknown_numeraire(rows: Rows) -> None:
    rows[tables.MARKETS][0]["numeraire"] = "gold"


def _two_markets(rows: Rows) -> None:
    rows[tables.MARKETS] *= 2


def _wrong_order(rows: Rows) -> None:
    rows[tables.RESERVES].reverse()


def _base_as_collateral(rows: Rows) -> None:
    rows[tables.POSITIONS][0]["token"] = "token 0"


def _stranger(rows: Rows) -> None:
    rows[tables.POSITIONS][0]["account"] = "stranger"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_unknown_numeraire, "prices in gold"),
        (_two_markets, "it has 2"),
        (_wrong_order, "in order of their rows"),
        (_base_as_collateral, "collateral token 0"),
        (_stranger, "account stranger"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_name(spoil: Callable[[Rows], None], message: str) -> None:
    comet = random_comet(1)
    rows = rows_of(comet)
    spoil(rows)
    with pytest.raises(InputError, match=message):
        tables.load(snapshot_of(rows, comet))


def test_a_missing_table_and_an_unknown_contract_are_refused() -> None:
    comet = random_comet(1)
    rows = rows_of(comet)
    with pytest.raises(UnsupportedError, match="CometHarness"):
        tables.load(snapshot_of(rows, comet, version="CometHarness"))
    del rows[tables.POSITIONS]
    with pytest.raises(InputError, match=r"compound_v3\.positions"):
        tables.load(snapshot_of(rows, comet))
