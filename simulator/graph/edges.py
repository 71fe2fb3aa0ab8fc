"""Edges as columns: what is exposed to what, by how much, and the rows of the snapshot that say so.

An edge goes from what would lose to what it would lose by, so that what a node depends on lies ahead of it and who
is hit if it fails lies behind it:

====================  =========================================  ====================================================
kind                  from → to                                  amount
====================  =========================================  ====================================================
wraps                 token → token that it is a claim on        underlying owed to all holders at the claim's rate
backs                 token → issuer, or the issuing reserve     underlying that stands behind all claims; of what lies
                                                                 off the chain, or is minted (GHO), what is owed
backs                 reserve → token                            what lies in the reserve: cash, or unlent collateral
backs                 market → reserve                           all that the reserve's suppliers own
backs                 vault → token of another vault             what the vault has of it, in what both lend
backs                 bridge → token                             what lies in escrow for claims on other chains
supplies              account, vault → reserve                   all that accounts with debt, and vaults, have supplied
pledges               account → reserve                          the part of it that counts as collateral
borrows               reserve → account                          debt with interest: the reserve loses what is not
repaid quotes                reserve → issuer of its price (a feed)     what is in the reserve, which the feed values
quotes                feed → token that its prices are in        the same, in that token
provides-liquidity    pool → token                               what the pool could pay out
====================  =========================================  ====================================================

Supplies and pledges of one account are beside each other, not on top of each other. An issuer that holds or owes in a
market is the account there too, and one node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from simulator.graph.arrays import FloatArray, IntArray

KINDS = ("wraps", "supplies", "pledges", "borrows", "backs", "quotes", "provides-liquidity")


@dataclass(frozen=True)
class Edges:
    """Arrays of shape (edges,), ordered by kind, source, target and table.

    Attributes
    ----------
    source, target
        Rows of nodes.
    kind
        Rows of :data:`KINDS`.
    token
        Row of the token that `amount` counts, whole tokens.
    usd
        The amount at the outside price.
    tables, table
        Names of tables, and of each edge which of them; -1 where no row is known.
    first, row
        Rows of that table that the edge came from: ``row[first[e]:first[e + 1]]``, ascending.
    """

    source: IntArray
    target: IntArray
    kind: IntArray
    token: IntArray
    amount: FloatArray
    usd: FloatArray
    tables: tuple[str, ...]
    table: IntArray
    first: IntArray
    row: IntArray

    def __len__(self) -> int:
        return len(self.source)

    def rows(self, edge: int) -> IntArray:
        """The rows that an edge came from."""
        return self.row[self.first[edge] : self.first[edge + 1]]

    def origin(self, edge: int) -> str:
        """The same in words: the table and its rows, such as ``aave_v3.positions:3,9-12``."""
        table = int(self.table[edge])
        return f"{self.tables[table]}:{_ranges(self.rows(edge))}" if table >= 0 else ""


@dataclass
class Drawing:
    """Collects edges, block by block; amounts of nothing are left out.

    Parameters
    ----------
    price_usd
        Shape (tokens,).
    """

    price_usd: FloatArray
    _tables: list[str] = field(default_factory=list)
    _blocks: list[tuple[npt.NDArray[np.generic], ...]] = field(default_factory=list)

    def add(
        self,
        kind: str,
        source: IntArray,
        target: IntArray,
        token: IntArray,
        amount: FloatArray,
        tables: Sequence[str],
        table: IntArray,
        row: IntArray,
    ) -> None:
        """Add entries of one kind; `tables`, `table` and `row` as in :class:`protocols.provenance.Sources`."""
        some = np.flatnonzero(amount > 0)
        place = [self._place(name) for name in tables]
        numbers = np.array([*place, -1], dtype=np.int64)[table[some]]
        kinds = np.full(len(some), KINDS.index(kind), dtype=np.int64)
        self._blocks.append((kinds, source[some], target[some], numbers, row[some], token[some], amount[some]))

    def _place(self, name: str) -> int:
        if name not in self._tables:
            self._tables.append(name)
        return self._tables.index(name)

    def edges(self) -> Edges:
        """One edge for all entries that have kind, source, target and table in common."""
        whole = [np.zeros(0, dtype=np.int64)] * 6 + [np.zeros(0)]
        columns = [np.concatenate([part, *(block[i] for block in self._blocks)]) for i, part in enumerate(whole)]
        kind, source, target, table, row, *_ = columns
        order = np.lexsort((row, table, target, source, kind))
        kind, source, target, table, row, token = (column[order].astype(np.int64) for column in columns[:6])
        amount = columns[6][order].astype(np.float64)
        new = np.ones(len(order), dtype=np.bool_)
        for column in (kind, source, target, table):
            new[1:] &= column[1:] == column[:-1]
        new[1:] = ~new[1:]
        start = np.flatnonzero(new)
        total = np.add.reduceat(amount, start) if len(start) else np.zeros(0)
        return Edges(
            source=source[start],
            target=target[start],
            kind=kind[start],
            token=token[start],
            amount=total,
            usd=total * self.price_usd[token[start]],
            tables=tuple(self._tables),
            table=table[start],
            first=np.append(start, len(order)).astype(np.int64),
            row=row,
        )


def _ranges(rows: IntArray) -> str:
    """Ascending numbers with runs drawn together: 3,9-12."""
    if not len(rows):
        return ""
    breaks = np.flatnonzero(np.diff(rows) > 1)
    starts, ends = rows[np.append(0, breaks + 1)], rows[np.append(breaks, len(rows) - 1)]
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts.tolist(), ends.tolist(), strict=True))
