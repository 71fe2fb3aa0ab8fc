"""Who pledges a token now, and how concentrated that is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.book import Book


class Holders(NamedTuple):
    """Accounts that pledge a token, over all markets.

    Attributes
    ----------
    accounts
        How many.
    pledged
        What they pledge together, whole tokens.
    largest
        The largest of them, whole tokens.
    concentration
        Herfindahl-Hirschman index: the sum of squared shares, 1 where there is only one; 0 where there is none.
    """

    accounts: int
    pledged: float
    largest: float
    concentration: float


def holders(book: Book, token: int) -> Holders:
    """Who pledges the token in a row of the book."""
    amounts: list[float] = []
    for market, tokens in zip(book.markets, book.market_tokens, strict=True):
        exposures = market.exposures()
        counts = (tokens[exposures.reserve] == token) & (exposures.threshold > 0) & (exposures.supplied > 0)
        amounts += exposures.supplied[counts].tolist()
    held = np.array(amounts)
    total = float(held.sum())
    squares = float(((held / total) ** 2).sum()) if total else 0.0
    return Holders(len(held), total, float(held.max(initial=0.0)), squares)
