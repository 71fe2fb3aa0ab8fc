"""What a reader brings back, and what several readers need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.calls import Call, CallFailed, read
from chain.node import Block, Node
from chain.snapshot import Market
from chain.tables import Schema

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Reading:
    """One deployment's state.

    Attributes
    ----------
    markets
        What was read: one for most lending protocols, several where markets are isolated, none for exchanges.
    rows
        For each table, the rows it adds to the snapshot.
    notes
        What a reader of any result must know.
    """

    markets: tuple[Market, ...]
    rows: Mapping[Schema, Rows]
    notes: Sequence[str] = ()


def symbols(node: Node, block: Block, tokens: Sequence[str]) -> list[str]:
    """Each token's symbol; its address where it has none, or shares it with another of them."""
    asked = read(node, block, [Call(token, "symbol()(string)") for token in tokens], require=False)
    failed = [token for token, symbol in zip(tokens, asked, strict=True) if isinstance(symbol, CallFailed)]
    # some early tokens (MKR) answer with 32 bytes instead of a string
    words = dict(
        zip(failed, read(node, block, [Call(t, "symbol()(bytes32)") for t in failed], require=False), strict=True)
    )
    found = []
    for token, symbol in zip(tokens, asked, strict=True):
        word = words.get(token)
        text = word.rstrip(b"\0").decode("utf-8", "replace") if isinstance(word, bytes) else symbol
        found.append(text if isinstance(text, str) and text else token)
    return [token if found.count(symbol) > 1 else symbol for token, symbol in zip(tokens, found, strict=True)]
