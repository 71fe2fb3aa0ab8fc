"""How dear and how scarce block space becomes in a crash: everybody wants it at once.

On 2020-03-12 the congestion of Ethereum priced keepers out, which is how Maker's auctions came to end without a bid.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from simulator.book import Book

FloatArray = npt.NDArray[np.float64]

WINDOW_S = 6 * 3600.0
"""Over how long a fall counts, seconds. Of one, two, six and twenty-four hours, six are followed best by gas prices
(see `Liquidators.congestion`) but for twenty-four, over which a fall no longer says that now is a crash."""

DEEPEST = 1.62
"""Highest price over the lowest after it within `WINDOW_S` in the data (2020-03-12); deeper falls count as this."""


class Congestion:
    """Gas price over what it is at rest, as the book's collateral falls.

    The factor is ``min(highest / now, DEEPEST) ** elasticity``, with the value of the collateral that accounts in debt
    had at the start at today's prices, now and at its highest within `WINDOW_S`.

    Parameters
    ----------
    book
        At the start.
    elasticity
        See `Liquidators.congestion`.
    """

    def __init__(self, book: Book, elasticity: float) -> None:
        self._elasticity = elasticity
        self._held = np.zeros(len(book.tokens))
        for market, tokens in zip(book.markets, book.market_tokens, strict=True):
            exposures = market.exposures()
            pledged = np.where(exposures.threshold > 0, exposures.supplied, 0.0)
            np.add.at(self._held, tokens[exposures.reserve], pledged)
        self._peaks: deque[tuple[float, float]] = deque()
        self.watch(book.timestamp, book.outside_usd)

    def watch(self, timestamp: float, outside_usd: FloatArray) -> float:
        """The factor now, at least 1.

        Parameters
        ----------
        timestamp
            Unix seconds; must not decrease from call to call.
        outside_usd
            Shape (tokens,), US dollars.
        """
        now = float(self._held @ outside_usd)
        while self._peaks and self._peaks[0][0] < timestamp - WINDOW_S:
            self._peaks.popleft()
        # what lies before a higher value can never be the highest again
        while self._peaks and self._peaks[-1][1] <= now:
            self._peaks.pop()
        self._peaks.append((timestamp, now))
        highest = self._peaks[0][1]
        return float(min(highest / now, DEEPEST) ** self._elasticity) if now > 0.0 else 1.0
