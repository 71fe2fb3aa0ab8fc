"""What the tables of lending protocols have in common, and how markets are made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Schema, Table

MARKET = Column("market", "text", "name of the market in the snapshot")
TOKEN = Column("token", "text", "address of the underlying token")
ACCOUNT = Column("account", "text", "address")


def tables_of(snapshot: Snapshot, schemas: Sequence[Schema], protocol: str) -> list[Table]:
    """The tables of a protocol that has markets in a snapshot; raises InputError if one is missing."""
    for schema in schemas:
        if schema.name not in snapshot.tables:
            raise InputError(f"the snapshot has {protocol} markets but no table {schema.name}")
    return [snapshot.tables[schema.name] for schema in schemas]


def rows_of(snapshot: Snapshot, schemas: Sequence[Schema], market: Market) -> list[Table]:
    """A market's rows of each table; raises InputError if a table is missing."""
    return [table.where("market", market.name) for table in tables_of(snapshot, schemas, market.protocol)]


def one_row(table: Table, market: Market) -> dict[str, Any]:
    """The row of a table that has one for each market; raises InputError if it has none, or several."""
    rows = table.rows()
    if len(rows) != 1:
        raise InputError(f"table {table.schema.name} should have one row of market {market.name}, it has {len(rows)}")
    return rows[0]


def balances(
    table: Table, accounts: Sequence[str], reserves: Mapping[str, int], columns: Sequence[str], what: str = "token"
) -> list[list[Any]]:
    """A table with a row for each account and token, by account (CSR).

    Parameters
    ----------
    accounts
        In the order that the result has.
    reserves
        The row of each token.
    columns
        What is wanted besides.
    what
        What its tokens are called where one is not there.

    Returns
    -------
    list of list
        As :func:`by_account`: offsets, rows of tokens, and then `columns`.

    Raises
    ------
    InputError
        If a row names an account or a token that is not there.
    """
    key = ("balances", *accounts, *reserves.items(), *columns)
    # books of one snapshot that differ in other tables have these in common, each its own copy
    found = table.kept(key, lambda: _balances(table, accounts, reserves, columns, what))
    return [list(column) for column in found]


def _balances(
    table: Table, accounts: Sequence[str], reserves: Mapping[str, int], columns: Sequence[str], what: str
) -> list[list[Any]]:
    known = set(accounts)
    entries: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    rows = zip(*(table.values(name) for name in ("account", "token", *columns)), strict=True)
    for number, (account, token, *values) in enumerate(rows, start=1):
        if account not in known or token not in reserves:
            raise InputError(
                f"table {table.schema.name}, row {number}: account {account} or {what} {token} is not there"
            )
        entries[account].append((reserves[token], *values))
    return by_account(entries, accounts, 1 + len(columns))


def by_account(
    entries: Mapping[str, Sequence[tuple[Any, ...]]], accounts: Sequence[str], width: int
) -> list[list[Any]]:
    """Entries of accounts as columns (CSR).

    Parameters
    ----------
    entries
        Of each account that has any, tuples that begin with the row that they are to be in order of.
    accounts
        In the order that the result has.
    width
        How long the tuples are.

    Returns
    -------
    list of list
        Offsets, one more than there are accounts: entries of account a are ``offsets[a]:offsets[a + 1]``. Then a
        column for each place of the tuples.
    """
    offsets, flat = [0], list[tuple[Any, ...]]()
    for account in accounts:
        flat += sorted(entries.get(account, ()))
        offsets.append(len(flat))
    return [offsets, *([entry[place] for entry in flat] for place in range(width))]
