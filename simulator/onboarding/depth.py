"""How much of a token the pools of a snapshot take at what loss."""

from __future__ import annotations

from simulator.book import Book
from simulator.market.routes import Router

_FIRST_USD = 1.0
_HALVINGS = 40


class Depth:
    """Sales of one token for another, over all pools at their present state.

    Parameters
    ----------
    book
        Its pools and outside prices.
    sold, bought
        Rows of the tokens.
    """

    def __init__(self, book: Book, sold: int, bought: int) -> None:
        self._router = Router(book.venues, book.token_row)
        self._book, self._sold, self._bought = book, sold, bought

    def brings(self, amount: float) -> float:
        """What selling so many whole tokens brings, whole tokens of the other; what the pools do not take, nothing."""
        raw = int(amount * self._book.unit[self._sold])
        sale = self._router.sale(self._sold, self._bought, raw)
        return float(sale.received_raw / self._book.unit[self._bought])

    def loss(self, amount: float) -> float:
        """The share of an amount's outside value that a sale of it loses to slippage and to pools' fees."""
        prices = self._book.outside_usd
        return float(1.0 - self.brings(amount) * prices[self._bought] / (amount * prices[self._sold]))

    def most(self, loss: float) -> float:
        """The largest amount whose sale loses no more than a share, whole tokens; 0 where even a dollar's does."""
        low = _FIRST_USD / float(self._book.outside_usd[self._sold])
        if self.loss(low) > loss:
            return 0.0
        high = 2.0 * low
        while self.loss(high) <= loss:
            low, high = high, 2.0 * high
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            low, high = (middle, high) if self.loss(middle) <= loss else (low, middle)
        return low
