"""What a node depends on, and who is hit if it fails: all within reach, the way there, and how much it can carry.

An edge of the graph goes from what would lose to what it would lose by. What X depends on lies ahead of it, who is
hit if X fails behind it. Along a way no more can be lost than its smallest edge is worth; of all ways to a node the
one that carries most is given (the widest path), and of equally wide ones the shortest.
"""

from __future__ import annotations

import difflib
import heapq
from typing import TYPE_CHECKING, Literal

import numpy as np

from chain.errors import InputError
from simulator.graph.arrays import IntArray
from simulator.graph.edges import KINDS
from simulator.graph.exposure import ExposureGraph

if TYPE_CHECKING:
    import pandas as pd

Direction = Literal["upstream", "downstream"]
COLUMNS = ("id", "kind", "label", "usd", "hops", "path")


def upstream(graph: ExposureGraph, name: str) -> pd.DataFrame:
    """What something depends on.

    Parameters
    ----------
    name
        Id or label of a node, an address, or a symbol.

    Returns
    -------
    One row a node, those that most depends on first: id, kind, label, usd (the most that can be lost by it along one
    way, at outside prices), hops, path (labels and kinds of edges, from `name` to it).

    Raises
    ------
    InputError
        If nothing is called so, or several things are.
    """
    return _reach(graph, name, "upstream")


def downstream(graph: ExposureGraph, name: str) -> pd.DataFrame:
    """Who is hit if something fails: the same as :func:`upstream`, the other way round; `path` leads to `name`."""
    return _reach(graph, name, "downstream")


def find(graph: ExposureGraph, name: str) -> int:
    """The row of the node that a name means: its id, its label or its address.

    A symbol means the token before all else, and an address the token or account before its issuer.

    Raises
    ------
    InputError
        If nothing is called so, or several things are.
    """
    nodes, wanted = graph.nodes, name.lower()
    by_id = [row for row, id_ in enumerate(nodes.ids) if id_.lower() == wanted]
    found = by_id or [
        row
        for row, (id_, label) in enumerate(zip(nodes.ids, nodes.labels, strict=True))
        if label.lower() == wanted or id_.partition(":")[2].lower() == wanted
    ]
    kinds = [nodes.kinds[row] for row in found]
    for kind in ("token", "account", "pool"):
        if kinds.count(kind) == 1:
            return found[kinds.index(kind)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(nodes.ids[row] for row in found[:8])
        raise InputError(f"{name} can mean several things in the graph; give one of {listed}")
    if graph.accounts == "pattern" and any(address.lower() == wanted for address in graph.holdings.addresses):
        raise InputError(f"account {name} is drawn with others of its pattern; draw each account (--accounts each)")
    known = [label for label, kind in zip(nodes.labels, nodes.kinds, strict=True) if kind != "account"]
    close = difflib.get_close_matches(name, known, n=3) or known[:8]
    raise InputError(f"nothing in the graph is called {name}; there is {', '.join(close)}")


def _reach(graph: ExposureGraph, name: str, direction: Direction) -> pd.DataFrame:
    import pandas as pd

    start = find(graph, name)
    seeds = [start, *_parts(graph, start)]
    width, hops, before = _widest(graph, seeds, direction)
    rows = [row for row in np.flatnonzero(hops > 0).tolist() if row not in seeds]
    rows.sort(key=lambda row: (-width[row], hops[row], row))
    nodes = graph.nodes
    return pd.DataFrame(
        [
            (
                nodes.ids[row],
                nodes.kinds[row],
                nodes.labels[row],
                width[row],
                int(hops[row]),
                _path(graph, before, row, direction),
            )
            for row in rows
        ],
        columns=list(COLUMNS),
    )


def _parts(graph: ExposureGraph, node: int) -> list[int]:
    """What fails with a node: a market's reserves, an issuer's claims."""
    edges = graph.edges
    backs = edges.kind == KINDS.index("backs")
    if graph.nodes.kinds[node] == "market":
        return [int(row) for row in edges.target[backs & (edges.source == node)]]
    if graph.nodes.kinds[node] == "issuer":
        return [int(row) for row in np.unique(edges.source[backs & (edges.target == node)])]
    return []


def _widest(graph: ExposureGraph, seeds: list[int], direction: Direction) -> tuple[list[float], IntArray, IntArray]:
    """Dijkstra's search with the smallest edge of a way for its length, the largest first.

    Returns
    -------
    For each node how much the widest way from the seeds carries (0 without one), its hops, and its last edge (-1 at the
    seeds and where there is none).
    """
    edges, size = graph.edges, len(graph.nodes)
    tail, head = (edges.source, edges.target) if direction == "upstream" else (edges.target, edges.source)
    order = np.argsort(tail, kind="stable")
    bounds = np.searchsorted(tail[order], np.arange(size + 1)).tolist()
    heads, usd, number = head[order].tolist(), edges.usd[order].tolist(), order.tolist()
    width, hops, before = [0.0] * size, np.zeros(size, dtype=np.int64), np.full(size, -1, dtype=np.int64)
    done = [False] * size
    queue: list[tuple[float, int, int, int]] = [(-np.inf, 0, seed, -1) for seed in seeds]
    while queue:
        carried, steps, node, edge = heapq.heappop(queue)
        if done[node]:
            continue
        done[node] = True
        width[node], hops[node], before[node] = -carried, steps, edge
        for place in range(bounds[node], bounds[node + 1]):
            if not done[heads[place]]:
                heapq.heappush(queue, (max(carried, -usd[place]), steps + 1, heads[place], number[place]))
    return width, hops, before


def _path(graph: ExposureGraph, before: IntArray, node: int, direction: Direction) -> str:
    edges, labels = graph.edges, graph.nodes.labels
    words = [labels[node]]
    while (edge := int(before[node])) >= 0:
        node = int(edges.source[edge] if direction == "upstream" else edges.target[edge])
        words += [f"–{KINDS[int(edges.kind[edge])]}→", labels[node]]
    return " ".join(reversed(words) if direction == "upstream" else words)
