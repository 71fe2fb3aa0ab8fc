"""What contracts have as constants: read from no node, and yet what an audit may ask about.

A protocol has a named tuple of them, whose defaults are the contracts' own, and a table with a column for each field
and a row for each market. No reader fills that table: a snapshot has it only where something else was asked for, and
where there is none every market has what the contracts have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from chain.snapshot import Market, Snapshot
from chain.tables import Schema, Table
from protocols.lending.parameters import Parameter
from protocols.lending.tables import one_row

Constants = TypeVar("Constants", bound=tuple[Any, ...])


def constants_of(snapshot: Snapshot, table: Schema, market: Market, own: Constants) -> Constants:
    """A market's constants.

    Parameters
    ----------
    table
        Where a snapshot has others than the contracts'.
    own
        The contracts'.

    Raises
    ------
    InputError
        If the snapshot has the table, and no row of the market in it.
    """
    if table.name not in snapshot.tables:
        return own
    row = one_row(snapshot.tables[table.name].where("market", market.name), market)
    return type(own)(*(row[name] for name in own._fields))  # type: ignore[attr-defined]


def tables_of_constants(snapshot: Snapshot, protocol: str, parameters: Iterable[Parameter]) -> dict[str, Table]:
    """The tables of a protocol's constants that a snapshot leaves out, with the contracts' values."""
    markets = [market.name for market in snapshot.markets_of(protocol)]
    columns: dict[Schema, dict[str, list[Any]]] = {}
    for parameter in parameters:
        if parameter.constant is not None and parameter.table.name not in snapshot.tables:
            of_table = columns.setdefault(parameter.table, {"market": markets})
            of_table[parameter.column] = [parameter.constant] * len(markets)
    return {table.name: Table.of(table, of_table) for table, of_table in columns.items()}
