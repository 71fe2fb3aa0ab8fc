"""What tokens are claims on, as matrices over a snapshot's tokens: rates multiply along a path of claims.

A token that is a claim on no other token of the snapshot is a *base* asset. Where claims go round in a circle from
which nothing leads out, nothing stands behind them but each other, and each counts as a base of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from chain.errors import InputError
from chain.snapshot import CLAIMS, Snapshot
from simulator.book import Token
from simulator.graph.arrays import BoolArray, FloatArray, IntArray, sums

if TYPE_CHECKING:
    from scipy import sparse

OFF_CHAIN = -1
"""The underlying of a claim on what lies off the chain."""


@dataclass(frozen=True)
class Claims:
    """The table ``claims`` over a list of tokens; one entry a row of the table.

    Attributes
    ----------
    price_usd
        Shape (tokens,): outside price of one whole token.
    token, underlying
        Rows of tokens; `underlying` is :data:`OFF_CHAIN` for what lies off the chain.
    rate
        Whole underlying that one whole token is worth; NaN off the chain.
    supply, backing
        Whole tokens that there are, and whole underlying behind all of them (NaN off the chain).
    kind, issuer, losses
        As in the table.
    due_at
        Unix seconds from which it is owed; 0 for at any time.
    """

    price_usd: FloatArray
    token: IntArray
    underlying: IntArray
    rate: FloatArray
    supply: FloatArray
    backing: FloatArray
    kind: Sequence[str]
    issuer: Sequence[str]
    losses: Sequence[str]
    due_at: IntArray

    @cached_property
    def shares(self) -> sparse.csr_array:
        """Shape (tokens, tokens): the share of a token's worth that is a claim on another, by value at its rates.

        What a token owes in no other token (what it holds off the chain beside others) is what its price exceeds the
        worth of the others by. A base asset has an empty row, and so has every token of a closed circle.
        """
        from scipy import sparse

        size, here = len(self.price_usd), self.underlying != OFF_CHAIN
        token, underlying = self.token[here], self.underlying[here]
        worth = self.rate[here] * self.price_usd[underlying]
        whole = sums(token, worth, size)
        mixed = np.zeros(size, dtype=np.bool_)
        mixed[self.token[~here]] = True
        whole = np.where(mixed, np.maximum(whole, self.price_usd), whole)
        share = np.divide(worth, whole[token], out=np.zeros(len(worth)), where=whole[token] > 0)
        matrix = sparse.csr_array((share, (token, underlying)), shape=(size, size))
        matrix.sum_duplicates()
        return _without(matrix, _closed(matrix))

    @cached_property
    def bases(self) -> sparse.csr_array:
        """Shape (tokens, tokens): the share of each token's worth in each base asset, through every path of claims.

        Rows sum to 1. With S for :attr:`shares` and L for what is left of 1 in each row, it is (I - S)^-1 diag(L): the
        sum over all paths of the product of shares along them.
        """
        from scipy import sparse

        left = 1.0 - np.asarray(self.shares.sum(axis=1)).ravel()
        left[left < 1e-12] = 0.0
        return _through(self.shares, sparse.diags_array(left, format="csr"))

    @cached_property
    def amounts(self) -> sparse.csr_array:
        """Shape (tokens, tokens): whole units of each token that one whole unit of a token is worth, along all paths of
        claims; 1 of itself. The rates of a path multiply."""
        from scipy import sparse

        size = len(self.price_usd)
        live = (self.underlying != OFF_CHAIN) & (np.diff(self.shares.indptr)[self.token] > 0)
        rates = sparse.csr_array((self.rate[live], (self.token[live], self.underlying[live])), shape=(size, size))
        return _through(rates, sparse.eye_array(size, format="csr"))

    @cached_property
    def depth(self) -> IntArray:
        """Shape (tokens,): claims on the longest path down from a token; 0 for a base asset. Tokens of a circle count
        each other once."""
        import networkx as nx

        graph: Any = nx.DiGraph()
        graph.add_nodes_from(range(len(self.price_usd)))
        here = self.underlying != OFF_CHAIN
        graph.add_edges_from(zip(self.token[here].tolist(), self.underlying[here].tolist(), strict=True))
        whole = nx.condensation(graph)
        below: dict[int, int] = {}
        for part in reversed(list(nx.topological_sort(whole))):
            own = len(whole.nodes[part]["members"]) - 1
            below[part] = own + max((1 + below[next_] for next_ in whole.successors(part)), default=0)
        return np.array([below[whole.graph["mapping"][token]] for token in range(len(self.price_usd))], dtype=np.int64)


def read_claims(snapshot: Snapshot, tokens: Sequence[Token], price_usd: FloatArray) -> Claims:
    """The claims of a snapshot; none where it has no such table.

    Raises
    ------
    InputError
        If a row is about a token that the snapshot does not have.
    """
    if CLAIMS.name not in snapshot.tables:
        empty, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
        return Claims(price_usd, empty, empty, nothing, nothing, nothing, (), (), (), empty)
    table = snapshot.tables[CLAIMS.name]
    place = {token.address: row for row, token in enumerate(tokens)}
    names = table.texts("token"), table.texts("underlying")
    for row, pair in enumerate(zip(*names, strict=True)):
        if missing := [address for address in pair if address and address not in place]:
            raise InputError(
                f"table {CLAIMS.name}, row {row}: {missing[0]} is not in table tokens; read it with its claim"
            )
    token = np.array([place[address] for address in names[0]], dtype=np.int64)
    underlying = np.array([place[address] if address else OFF_CHAIN for address in names[1]], dtype=np.int64)
    unit = np.array([10.0**each.decimals for each in tokens] + [np.nan])
    return Claims(
        price_usd,
        token,
        underlying,
        rate=table.floats("amount_raw") / unit[underlying],
        supply=table.floats("supply_raw") / unit[token],
        backing=table.floats("backing_raw") / unit[underlying],
        kind=table.texts("kind"),
        issuer=table.texts("issuer"),
        losses=table.texts("losses"),
        due_at=np.array(table.ints("due_at"), dtype=np.int64),
    )


def _closed(matrix: sparse.csr_array) -> BoolArray:
    """Which tokens are in circles from which nothing leads out, neither to another token nor to what is their own."""
    from scipy.sparse import csgraph

    count, part = csgraph.connected_components(matrix, connection="strong")
    entries = matrix.tocoo()
    inside = part[entries.row] == part[entries.col]
    circles = np.zeros(count, dtype=np.bool_)
    circles[part[entries.row[inside]]] = True
    kept = sums(entries.row[inside], entries.data[inside], matrix.shape[0])
    open_ = np.zeros(count, dtype=np.bool_)
    open_[part[kept < 1.0 - 1e-9]] = True
    return np.asarray((circles & ~open_)[part])


def _without(matrix: sparse.csr_array, rows: BoolArray) -> sparse.csr_array:
    from scipy import sparse

    kept = sparse.csr_array(sparse.diags_array(np.where(rows, 0.0, 1.0)) @ matrix)
    kept.eliminate_zeros()
    return kept


def _through(step: sparse.csr_array, ends: sparse.csr_array) -> sparse.csr_array:
    """(I - step)^-1 ends, over the tokens that claims touch: the others reach nothing but themselves."""
    from scipy import sparse

    entries = step.tocoo()
    touched = np.unique(np.concatenate([entries.row, entries.col]))
    result = sparse.lil_array(ends)
    if len(touched):
        inner = np.eye(len(touched)) - step[touched][:, touched].toarray()
        solved = np.linalg.solve(inner, ends[touched][:, touched].toarray())
        # below what rounding leaves, there is no path
        solved[np.abs(solved) < 1e-15] = 0.0
        for place, row in enumerate(touched):
            result[row, touched] = solved[place]
    found = sparse.csr_array(result)
    found.eliminate_zeros()
    return found
