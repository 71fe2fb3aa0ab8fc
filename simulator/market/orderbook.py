"""Order-book depth as a venue: a mid price that follows the outside, and a stated law of what selling does to it.

A book is declared in a scenario, because no contract holds one. Selling q of its token takes the price from S to
S (1 - Psi(q)), buying takes it to S (1 + Psi(q)). A trade pays the prices it passes through, unit by unit, so that a
sale and the purchase that undoes it cost nothing but the spread. What it moved the price by fades by a half-life.

Laws (`simulator.scenario.BookLaw`):

``linear``
    Psi = q / D (Kyle 1985; Cont and Schaanning 2017). The book is empty where the price would be 0.
``square_root``
    Psi = Y sigma sqrt(q / V) (Tóth et al. 2011); V is what trades in a day, sigma the volatility of a day.
``floored``
    Psi = (1 - B/S) (1 - exp(-q / delta)), delta = (1 - B/S) D (Cont and Schaanning 2017): buyers wait at B.

Depth in a crisis: Cont and Schaanning have D = c ADV sqrt(tau) / sigma, so depth is inverse to volatility. A book that
declares its calm volatility has D min(1, calm / realised); realised is the root of an exponentially weighted mean of
squared log returns of the mid (as RiskMetrics has it) with `VOLATILITY_HALF_LIFE_S`. The square-root law has sigma in
it, and takes the larger of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, expm1, inf, log, log1p, sqrt
from typing import TYPE_CHECKING

from protocols.amm.interface import Fill, Trade
from protocols.amm.revert import Revert
from simulator.scenario import BookLaw

if TYPE_CHECKING:
    from simulator.book import Book

PROTOCOL = "order_book"
VOLATILITY_HALF_LIFE_S = 3600.0
"""Memory of the realised volatility, seconds: long against a step, short against a crash."""

AT_FLOOR = 0.99
"""Share of the way to its floor at which a floored book stops: beyond it the law promises buyers without limit."""

_DAY_S = 86_400.0
_SHAVED = 1e-12
"""Share of an amount that rounding takes from whoever trades: more than a float64 formula can be wrong by."""

_NOTHING = Fill(0, 0)
_TOKEN, _QUOTE = 0, 1


class OrderBook:
    """Depth of one token against another.

    Parameters
    ----------
    name
        What it is called in a run's tables.
    tokens
        Addresses of the token and of what it is quoted in.
    units
        Smallest units of a whole token of each.
    law
        What the scenario declares.
    mid
        Price of one whole token in the other, whole tokens.
    timestamp
        Now, unix seconds.

    Examples
    --------
    >>> law = BookLaw(token="COL", quote="USD", law="linear", depth=1000.0)
    >>> book = OrderBook("book COL/USD", ("0xcol", "0xusd"), (10**6, 10**6), law, 1.0, 0)
    >>> book.swap(0, 1, 30 * 10**6), book.price(0, 1)
    (Fill(paid_raw=30000000, received_raw=29549999), 0.97)
    """

    protocol = PROTOCOL
    caveat = "an order book is an assumption of the scenario: no contract holds it"

    def __init__(
        self, name: str, tokens: Sequence[str], units: tuple[int, int], law: BookLaw, mid: float, timestamp: int
    ) -> None:
        self.name, self.tokens, self.law = name, tuple(tokens), law
        self.net_raw = [0, 0]
        """What came in less what went out of each token, smallest units: what other traders of the book hold."""
        self._units = units
        self._mid = mid
        self._floor = law.floor * mid
        self._timestamp = timestamp
        self._displaced = 0.0  # share of the mid by which the price is below it (negative: above)
        self._variance = (law.volatility or 0.0) ** 2 / _DAY_S  # of a second

    # --- what changes it ----------------------------------------------------------------------------------------

    def advance(self, timestamp: int) -> None:
        """Let the displacement of the price fade until then, unix seconds."""
        self._displaced *= 0.5 ** ((timestamp - self._timestamp) / self.law.half_life_s)
        self._timestamp = timestamp

    def follow(self, mid: float, elapsed_s: float) -> None:
        """Move the mid to the outside price, and let the book thin or recover by the volatility of that.

        Parameters
        ----------
        mid
            Outside price of one whole token in the other, whole tokens.
        elapsed_s
            Seconds since the last call.
        """
        if self.law.volatility is not None:
            kept = 0.5 ** (elapsed_s / VOLATILITY_HALF_LIFE_S)
            self._variance = kept * self._variance + (1.0 - kept) * log(mid / self._mid) ** 2 / elapsed_s
        self._mid = mid

    def absorb(self, log_move: float) -> None:
        """Take what the outside price has taken over out of the displacement: it is in the mid from now on.

        Parameters
        ----------
        log_move
            Logarithm of the outside price over what it was before, of the token in its quote.
        """
        gap = log1p(-self._displaced) if self._displaced < 1.0 else -inf
        left = gap - log_move
        self._displaced = -expm1(left) if left * gap > 0.0 else 0.0

    def swap(self, sold: int, bought: int, amount_raw: int, limit_raw: int = 0) -> Fill:
        """Trade, as far as the book goes; raises Revert where nothing at all can be traded."""
        fill, after = self._trade(sold, amount_raw)
        if not fill.received_raw:
            raise Revert("the book is empty")
        self._displaced = after
        self.net_raw[sold] += fill.paid_raw
        self.net_raw[bought] -= fill.received_raw
        return fill

    # --- what it answers ----------------------------------------------------------------------------------------

    @property
    def depth(self) -> float:
        """Depth now, whole tokens: D of the linear laws, and 1 / (Y sigma / sqrt(V)) ** 2 of the square root."""
        calm = self.law.volatility
        if calm is None:
            return self.law.depth
        sigma = max(calm, sqrt(self._variance * _DAY_S))
        if self.law.law == "square_root":
            return self.law.depth / (self.law.factor * sigma) ** 2
        return self.law.depth * calm / sigma

    def price(self, sold: int, bought: int) -> float:
        """Marginal price of one smallest unit of `sold` in smallest units of `bought`, before the spread."""
        price = self._mid * (1.0 - self._displaced) * self._units[_QUOTE] / self._units[_TOKEN]
        if sold == _TOKEN:
            return price
        return 1.0 / price if price else 0.0

    def fee(self, sold: int, bought: int) -> float:
        """Half the spread."""
        return self.law.half_spread

    def reserves_raw(self) -> tuple[int, int]:
        """What the book could pay out at most of each token, smallest units."""
        quote = self._mid * self._proceeds(self._sold, self._room)
        return int((self._room + self._sold) * self._units[_TOKEN]), int(quote * self._units[_QUOTE])

    def quote(self, sold: int, bought: int, amount_raw: int) -> Fill:
        """What a trade would do, state unchanged; less is paid than offered where the book runs out."""
        return self._trade(sold, amount_raw)[0]

    def trade_to(self, sold: int, bought: int, price: float) -> Trade | None:
        """None: the mid follows the outside price by itself."""
        return None

    # --- the law ------------------------------------------------------------------------------------------------

    @property
    def _span(self) -> float:
        """1 - B/S of the floored law; 0 where the mid is at the floor or below."""
        return max(1.0 - self._floor / self._mid, 0.0)

    @property
    def _room(self) -> float:
        """How much of the token the law takes from the mid on, either way, whole tokens."""
        if self.law.law == "floored":
            return -self._span * self.depth * log(1.0 - AT_FLOOR)
        return self.depth

    @property
    def _sold(self) -> float:
        """How much has been sold (bought: negative) into the book for the price to stand where it does."""
        share = abs(self._displaced)
        if self.law.law == "linear":
            sold = share * self.depth
        elif self.law.law == "square_root":
            sold = share**2 * self.depth
        else:
            span = self._span
            sold = -span * self.depth * log1p(-min(share / span, AT_FLOOR)) if span else 0.0
        return min(sold, self._room) if self._displaced >= 0.0 else -min(sold, self._room)

    def _moved(self, sold: float) -> float:
        """Psi: share of the mid by which the price is below it after so much was sold, whole tokens; odd in it."""
        if sold < 0.0:
            return -self._moved(-sold)
        if self.law.law == "linear":
            return sold / self.depth
        if self.law.law == "square_root":
            return sqrt(sold / self.depth)
        span = self._span
        return -span * expm1(-sold / (span * self.depth)) if span else 0.0

    def _lost(self, start: float, amount: float) -> float:
        """Integral of Psi over a sale of `amount` from `start` >= 0 on, whole tokens, without cancellation."""
        if self.law.law == "linear":
            return amount * (start + amount / 2) / self.depth
        if self.law.law == "square_root":
            low, high = sqrt(start), sqrt(start + amount)
            step = amount / (low + high) if amount else 0.0
            return 2 / 3 * step * (low * low + low * high + high * high) / sqrt(self.depth)
        span = self._span
        delta = span * self.depth
        return span * (amount + delta * exp(-start / delta) * expm1(-amount / delta)) if delta else 0.0

    def _proceeds(self, start: float, end: float) -> float:
        """What a sale from `start` to `end` gets (a purchase back costs), in mids: integral of 1 - Psi, odd on 0."""
        if start < 0.0 < end:
            return self._proceeds(start, 0.0) + self._proceeds(0.0, end)
        if start < 0.0:
            return (end - start) + self._lost(-end, end - start)
        return (end - start) - self._lost(start, end - start)

    def _trade(self, sold: int, amount_raw: int) -> tuple[Fill, float]:
        """A trade of at most so much, smallest units, and the displacement that it leaves."""
        if amount_raw <= 0:
            return _NOTHING, self._displaced
        token_unit, quote_unit = self._units
        start, kept = self._sold, 1.0 - self.law.half_spread
        if sold == _TOKEN:
            room_raw = int((self._room - start) * token_unit)
            paid_raw = min(amount_raw, room_raw)
            end = start + paid_raw / token_unit
            received_raw = int(kept * self._mid * self._proceeds(start, end) * (1.0 - _SHAVED) * quote_unit)
        else:
            room = self._room + start
            most = self._mid * self._proceeds(-self._room, start) / kept
            offered = amount_raw / quote_unit
            bought = room if offered >= most else self._bought(start, offered * kept / self._mid)
            paid_raw = amount_raw if offered < most else min(amount_raw, int(most * (1.0 + _SHAVED) * quote_unit) + 1)
            end = start - bought
            received_raw = int(bought * (1.0 - _SHAVED) * token_unit)
        if received_raw <= 0 or paid_raw <= 0:
            return _NOTHING, self._displaced
        return Fill(paid_raw, received_raw), self._moved(end)

    def _bought(self, start: float, cost: float) -> float:
        """How much a purchase for `cost` (in mids) gets: Newton's steps on a convex cost, from above.

        The price only rises, so the first guess is not too small and each step stays on its side of the root.
        """
        bought = cost / max(1.0 - self._moved(start), _SHAVED)
        bought = min(bought, self._room + start)
        for _ in range(64):
            over = self._proceeds(start - bought, start) - cost
            step = over / (1.0 - self._moved(start - bought))
            if step <= bought * 1e-15:
                break
            bought -= step
        return max(bought, 0.0)


def order_books(book: Book, laws: Sequence[BookLaw]) -> list[OrderBook]:
    """The books that a scenario declares, at the outside prices of now; raises InputError for a token not there."""
    from simulator.scenario import find

    names = [token.names for token in book.tokens]
    found = []
    for number, law in enumerate(laws):
        rows = [find(token, names, f"venues.books.{number}") for token in (law.token, law.quote)]
        first, second = (book.tokens[row] for row in rows)
        found.append(
            OrderBook(
                f"book {number} {first.symbol}/{second.symbol}",
                (first.address, second.address),
                (10**first.decimals, 10**second.decimals),
                law,
                float(book.outside_usd[rows[0]] / book.outside_usd[rows[1]]),
                book.timestamp,
            )
        )
    return found
