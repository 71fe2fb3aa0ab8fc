"""Which pools lie on the ways from one token to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hop:
    """One pool on the way: row of the venue, and which of its tokens goes in and which comes out."""

    venue: int
    sold: int
    bought: int


@dataclass(frozen=True)
class Network:
    """Every way from one token to another that passes neither twice: edges, which are swaps, between tokens.

    Attributes
    ----------
    nodes
        How many tokens: 0 is the token sold, the last is the token bought.
    hops
        The swap of each edge.
    ends
        The tokens that each edge leads from and to.
    tail, head
        The same as arrays, shape (edges,).
    """

    nodes: int
    hops: tuple[Hop, ...]
    ends: tuple[tuple[int, int], ...]
    tail: IntArray
    head: IntArray


def network(sold: int, bought: int, hops: Mapping[int, Sequence[tuple[int, Hop]]]) -> Network:
    """The network from one token to another.

    Parameters
    ----------
    sold, bought
        Rows of the tokens.
    hops
        For each token, what it can be swapped for, and how.
    """
    onward = {token: {to for to, _ in ways} for token, ways in hops.items()}
    back: dict[int, set[int]] = {}
    for token, heads in onward.items():
        for to in heads:
            back.setdefault(to, set()).add(token)
    between = (_reached(sold, onward, bought) & _reached(bought, back, sold)) - {sold, bought}
    node = {token: n for n, token in enumerate([sold, *sorted(between), bought])}
    edges = [
        (hop, node[token], node[to])
        for token in node
        if token != bought
        for to, hop in hops.get(token, ())
        if to in node and to != sold
    ]
    return Network(
        nodes=len(node),
        hops=tuple(hop for hop, _, _ in edges),
        ends=tuple((tail, head) for _, tail, head in edges),
        tail=np.array([tail for _, tail, _ in edges], np.int64),
        head=np.array([head for _, _, head in edges], np.int64),
    )


def _reached(start: int, ways: Mapping[int, set[int]], end: int) -> set[int]:
    """The tokens that can be reached from one without passing another."""
    found, new = {start}, {start}
    while new:
        new = {to for token in new if token != end for to in ways.get(token, ())} - found
        found |= new
    return found
