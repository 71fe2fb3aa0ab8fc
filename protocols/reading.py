"""What a reader brings back, and what several readers need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.calls import Call, CallFailed, read
from chain.node import Block, Node
from chain.snapshot import Market
from chain.tables import Schema
from protocols.asking import Source

Rows = list[dict[str, Any]]

FEED_COLUMNS = ("round", "text")
"""What :func:`ask_feeds` asks for, each of which a price feed need not answer."""


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


def token_rows(source: Source, tokens: Sequence[str], decimals: Sequence[int]) -> Rows:
    """Rows of tokens, with their symbols."""
    columns = zip(tokens, symbols(source.node, source.block, tokens), decimals, strict=True)
    return [{"token": token, "symbol": symbol, "decimals": places} for token, symbol, places in columns]


def ask_feeds(feeds: Sequence[str]) -> dict[str, list[Call]]:
    """What to ask price feeds (Chainlink's, and those that answer as they do)."""
    return {
        "round": [Call(feed, "latestRoundData()(uint80,int256,uint256,uint256,uint80)") for feed in feeds],
        "text": [Call(feed, "description()(string)") for feed in feeds],
    }


def description(answer: Any) -> str:
    """What a feed says it is; empty where it says nothing."""
    return "" if isinstance(answer, CallFailed) else str(answer)


def published_at(answer: Any) -> int:
    """Unix seconds of a feed's last answer; 0 where it does not say."""
    return 0 if isinstance(answer, CallFailed) else int(answer[3])


def oracle_rows(
    market: str,
    tokens: Sequence[str],
    feeds: Sequence[str],
    prices: Sequence[int],
    told: Mapping[str, Sequence[Any]],
    *,
    unit_raw: int,
    numeraire: str = "",
) -> Rows:
    """Rows of oracles whose prices are each a feed's.

    Parameters
    ----------
    tokens, feeds, prices
        One of each a token.
    told
        What the feeds answered to :func:`ask_feeds`.
    unit_raw, numeraire
        What all prices are in, as the table has it.
    """
    columns = zip(tokens, feeds, prices, told["text"], told["round"], strict=True)
    return [
        {
            "market": market,
            "token": token,
            "numeraire": numeraire,
            "feed": feed,
            "description": description(text),
            "price_raw": price,
            "unit_raw": unit_raw,
            "published_at": published_at(answer),
        }
        for token, feed, price, text, answer in columns
    ]
