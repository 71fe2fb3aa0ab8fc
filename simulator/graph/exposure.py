"""The graph of exposures of a snapshot, as columns and as a networkx MultiDiGraph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from chain.errors import InputError
from chain.snapshot import Snapshot
from simulator.book import Token, open_book, opened
from simulator.graph.arrays import FloatArray
from simulator.graph.claims import Claims, read_claims
from simulator.graph.draw import Draughtsman
from simulator.graph.edges import KINDS, Edges
from simulator.graph.holdings import Holdings, Pools, Reserves, take, take_pools
from simulator.graph.nodes import Nodes
from simulator.graph.owners import people
from simulator.graph.placements import Placements, take_placements

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

Accounts = Literal["auto", "each", "pattern"]

MOST_ACCOUNTS = 20_000
"""Above this many accounts, ``auto`` draws them by pattern: a node for each would fit in no picture, and barely in
networkx."""


@dataclass(frozen=True)
class ExposureGraph:
    """Who is exposed to whom in a snapshot, and by how much.

    Attributes
    ----------
    chain_id, block_number, timestamp
        Of the snapshot; the timestamp is the block's, unix seconds.
    tokens
        Every token of the snapshot; rows of tokens are rows of this.
    price_usd
        Shape (tokens,): outside price of one whole token.
    markets, protocols
        Name and protocol's folder of each market.
    claims, reserves, holdings, pools, placements
        The figures behind the graph, the same however accounts are drawn; measures are taken from these.
    owners
        Whom accounts count as that somebody else owns, as :func:`simulator.graph.owners.people` has it.
    accounts
        How accounts are drawn: ``each``, a node an account, or ``pattern``, a node for all accounts that supply, pledge
        and owe in the same reserves.
    nodes, edges
        The graph as columns; :mod:`simulator.graph.edges` has the table of its edges.

    Examples
    --------
    >>> graph = ExposureGraph.of("fixtures/snapshots/2024-08-05")
    >>> graph.accounts, graph.network.number_of_edges() == len(graph.edges)
    ('each', True)
    """

    chain_id: int
    block_number: int
    timestamp: int
    tokens: Sequence[Token]
    price_usd: FloatArray
    markets: Sequence[str]
    protocols: Sequence[str]
    claims: Claims
    reserves: Reserves
    holdings: Holdings
    pools: Pools
    placements: Placements
    owners: Mapping[str, str]
    accounts: Literal["each", "pattern"]
    nodes: Nodes
    edges: Edges

    @classmethod
    def of(cls, snapshot: Snapshot | Path | str, accounts: Accounts = "auto") -> ExposureGraph:
        """The graph of a snapshot.

        Parameters
        ----------
        snapshot
            Or its folder.
        accounts
            How accounts are drawn: ``each``, ``pattern``, or ``auto``: each up to :data:`MOST_ACCOUNTS` of them, above
            that by pattern. The attribute `accounts` of the result says which it was.

        Raises
        ------
        InputError
            If a token has no price, a claim is on a token that is not there, or `accounts` is none of these.
        UnsupportedError
            If the snapshot holds a market whose version has no rules.
        """
        if accounts not in ("auto", "each", "pattern"):
            raise InputError(f"accounts are drawn each, by pattern or auto, not {accounts!r}")
        snapshot = opened(snapshot)
        book = open_book(snapshot)
        claims = read_claims(snapshot, book.tokens, book.outside_usd)
        pools = take_pools(book)
        reserves, holdings = take(snapshot, book)
        if accounts == "auto":
            accounts = "each" if len(holdings.addresses) <= MOST_ACCOUNTS else "pattern"
        placements = take_placements(snapshot, book, reserves)
        nodes, edges = Draughtsman(snapshot, book, claims, reserves, holdings, pools, placements).draw(accounts)
        return cls(
            chain_id=snapshot.chain_id,
            block_number=snapshot.block_number,
            timestamp=snapshot.timestamp,
            tokens=book.tokens,
            price_usd=book.outside_usd,
            markets=[market.name for market in book.markets],
            protocols=[market.protocol for market in book.markets],
            claims=claims,
            reserves=reserves,
            holdings=holdings,
            pools=pools,
            placements=placements,
            owners=people(snapshot),
            accounts=accounts,
            nodes=nodes,
            edges=edges,
        )

    @cached_property
    def network(self) -> nx.MultiDiGraph[str]:
        """The graph in networkx. Nodes have what :meth:`node_frame` has; edges kind, token (symbol), amount (whole
        tokens), usd (at outside prices) and rows (table and rows of the snapshot). Keys of parallel edges are kinds,
        numbered from the second of a kind on."""
        import networkx as nx

        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(
            chain_id=self.chain_id, block_number=self.block_number, accounts=self.accounts
        )
        nodes, edges = self.nodes, self.edges
        for id_, *values in zip(*nodes.columns.values(), strict=True):
            graph.add_node(id_, **dict(zip(list(nodes.columns)[1:], values, strict=True)))
        symbols = [token.symbol for token in self.tokens]
        columns = (edges.source, edges.target, edges.kind, edges.token, edges.amount, edges.usd)
        for number, (source, target, kind, token, amount, usd) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        ):
            ends, name = (nodes.ids[source], nodes.ids[target]), KINDS[kind]
            key, count = name, 1
            while graph.has_edge(*ends, key):
                count += 1
                key = f"{name} {count}"
            facts = {"kind": name, "token": symbols[token], "amount": amount, "usd": usd, "rows": edges.origin(number)}
            graph.add_edge(*ends, key, **facts)
        return graph

    def node_frame(self) -> pd.DataFrame:
        """One row a node: id, kind, label, group, count, due_at (unix seconds; 0 for what is owed at any time)."""
        import pandas as pd

        return pd.DataFrame(self.nodes.columns)

    def edge_frame(self) -> pd.DataFrame:
        """One row an edge: source and target (ids), kind, token (symbol), amount (whole tokens), usd (at outside
        prices), table and rows of the snapshot (array of row numbers)."""
        import pandas as pd

        edges, ids = self.edges, np.array([*self.nodes.ids, ""], dtype=object)
        symbols = np.array([token.symbol for token in self.tokens], dtype=object)
        return pd.DataFrame(
            {
                "source": ids[edges.source],
                "target": ids[edges.target],
                "kind": np.array(KINDS, dtype=object)[edges.kind],
                "token": symbols[edges.token],
                "amount": edges.amount,
                "usd": edges.usd,
                "table": np.array([*edges.tables, ""], dtype=object)[edges.table],
                "rows": [edges.rows(edge) for edge in range(len(edges))],
            }
        )
