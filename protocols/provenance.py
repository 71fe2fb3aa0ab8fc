"""Which rows of a snapshot a lending market's positions and reserves were made of.

Nothing here knows a protocol: the keys of its tables say what a row is about. A table keyed by market and account, and
by token or number of the reserve besides, holds positions; without an account in its key it holds reserves, or the
market itself. Rows are counted from 0 in the whole table, as ``table.frame().iloc`` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from chain.snapshot import Snapshot
from chain.tables import Schema, Table
from protocols import registry
from protocols.lending.interface import Exposures, IntArray, LendingMarket

_TOKEN, _RESERVE = "token", "reserve_id"


class Sources(NamedTuple):
    """Where each of some entries came from.

    Attributes
    ----------
    tables
        Names of tables.
    table
        Of each entry, which of `tables`; -1 where no row is known.
    row
        Of each entry, the row in that table.
    """

    tables: tuple[str, ...]
    table: IntArray
    row: IntArray


def positions(snapshot: Snapshot, market: LendingMarket, exposures: Exposures) -> Sources:
    """The row of each entry of a market's exposures: its account's row about that reserve, or else about the account
    (Comet's base token, both sides of a Morpho position)."""
    account = np.repeat(np.arange(len(market.accounts)), np.diff(exposures.offsets))
    return _found(snapshot, market, ("market", "account"), account, exposures.reserve)


def reserves(snapshot: Snapshot, market: LendingMarket) -> Sources:
    """The row of each of a market's reserves, or else of the market."""
    size = len(market.tokens)
    return _found(snapshot, market, ("market",), np.zeros(size, dtype=np.int64), np.arange(size))


def _found(
    snapshot: Snapshot, market: LendingMarket, about: tuple[str, ...], account: IntArray, reserve: IntArray
) -> Sources:
    found, row = np.full(len(reserve), -1, dtype=np.int64), np.full(len(reserve), -1, dtype=np.int64)
    names = []
    for number, (schema, by_reserve) in enumerate(_schemas(snapshot, market.protocol, about)):
        names.append(schema.name)
        table = snapshot.tables[schema.name]
        keys, rows = _keys(table, market, "account" in about, by_reserve)
        wanted = account * len(market.tokens) + (reserve if by_reserve else 0)
        order = np.argsort(keys, kind="stable")
        place = np.searchsorted(keys[order], wanted)
        place[place == len(keys)] = 0
        hit = (keys[order][place] == wanted) & (found < 0) if len(keys) else np.zeros(len(wanted), dtype=np.bool_)
        found[hit], row[hit] = number, rows[order][place[hit]]
    return Sources(tuple(names), found, row)


def _schemas(snapshot: Snapshot, protocol: str, about: tuple[str, ...]) -> Iterator[tuple[Schema, str]]:
    """Tables about this, the most precise first, each with the column that names the reserve (empty without one)."""
    schemas = list(registry.part("lending", protocol, "tables").SCHEMAS)
    for last in ((_TOKEN,), (_RESERVE,), ()):
        for schema in schemas:
            if schema.key == about + last and schema.name in snapshot.tables:
                yield schema, last[0] if last else ""


def _keys(table: Table, market: LendingMarket, by_account: bool, by_reserve: str) -> tuple[IntArray, IntArray]:
    """What each of a market's rows of a table is about, as account times reserves plus reserve; and which rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    here = np.flatnonzero(np.asarray(pc.equal(table.data.column("market"), market.name)))
    data = table.data.take(pa.array(here))
    account, reserve = np.zeros(len(here), dtype=np.int64), np.zeros(len(here), dtype=np.int64)
    if by_account:
        account = _index(data.column("account"), market.accounts)
    if by_reserve == _TOKEN:
        reserve = _index(data.column(_TOKEN), market.tokens)
    elif by_reserve == _RESERVE:
        reserve = np.asarray(data.column(_RESERVE))
    known = (account >= 0) & (reserve >= 0)
    return (account * len(market.tokens) + reserve)[known], here[known]


def _index(column: Any, among: Sequence[str]) -> IntArray:
    """The place of each value in a list; -1 where it is not there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(pc.index_in(column, value_set=pa.array(among, pa.string())), -1), dtype=np.int64)
