"""What is written down of markets and pools at the end of every step, for the terms that are measured of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.book import Book

Row = dict[str, Any]


def liquidity_rows(book: Book, step: int) -> list[Row]:
    """Cash and loans of every reserve that is lent."""
    return [
        {"step": step, "market": market.name, "token": token, "cash_raw": cash, "lent_raw": lent}
        for market in book.markets
        for token, (cash, lent) in zip(market.tokens, market.cash_and_loans_raw(), strict=True)
        if cash or lent
    ]


def venue_rows(book: Book, step: int, swaps: Sequence[Mapping[str, Any]]) -> list[Row]:
    """What each pool's tokens are worth in its first, and how much of each liquidators have taken out.

    Parameters
    ----------
    swaps
        The step's swaps for liquidators, as rows of the run's table.
    """
    bought: dict[tuple[str, str], int] = {}
    paid: dict[tuple[str, str], int] = {}
    for swap in swaps:
        for sums, token, amount in ((bought, "token_out", "received_raw"), (paid, "token_in", "paid_raw")):
            key = (swap["venue"], swap[token])
            sums[key] = sums.get(key, 0) + swap[amount]
    rows = []
    for venue in book.venues:
        units = [book.unit[book.token_row[token]] for token in venue.tokens]
        for place, token in enumerate(venue.tokens):
            price = venue.price(place, 0) if place else 1.0
            key = (venue.name, token)
            consumed = 0.0
            if out := bought.get(key, 0):
                before = venue.reserves_raw()[place] + out - paid.get(key, 0)
                consumed = out / before if before > 0 else 1.0
            rows.append(
                {
                    "step": step,
                    "venue": venue.name,
                    "token": token,
                    "price": float(price * units[place] / units[0]),
                    "consumed": consumed,
                }
            )
    return rows
