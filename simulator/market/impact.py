"""How what liquidators do to venues comes back as the outside price, and how venues follow it: four parameters.

`impact`, `permanent`, `arbitrage_half_life_s` and `withdrawal` of `simulator.scenario.Venues`; what they mean, how they
were fitted and how sure that is stands in simulator/README.md, and the fit is `simulator.market.calibration`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from protocols.amm.interface import ONE_SHARE, Trade, Venue, Withdrawable
from simulator.book import Book
from simulator.market.orderbook import OrderBook
from simulator.scenario import Venues, find

FloatArray = npt.NDArray[np.float64]

RECOVERY_S = 7200.0
"""Half-life of the part of the outside price's move that does not stay, seconds: what is left of a large move of the
WBTC/WETH pool after minutes fades within hours (`simulator.market.calibration`), too noisily for a fifth parameter."""


RANGES: dict[str, tuple[float, float]] = {
    "impact": (0.0, 0.7),
    "permanent": (0.0, 1.0),
    "arbitrage_half_life_s": (12.0, 27.0),
    "withdrawal": (0.0, 1.5),
}
"""What the data leave of each parameter: the 95 % intervals of `simulator.market.calibration`."""


class Withdrawal(NamedTuple):
    """What liquidity providers took out of a venue (a row of the book), smallest units of each of its tokens."""

    venue: int
    amounts_raw: Sequence[int]


class PriceImpact:
    """The link between venues and the outside price.

    Parameters
    ----------
    book
        What is run; its `outside_usd` is set here and nowhere else.
    sides
        For each venue, the rows of its tokens in the book.
    rules
        The four parameters, and the tokens whose outside price selling cannot move.
    path
        Outside prices that nobody moved, US dollars; shape (steps + 1, tokens).
    step_s
        Length of a step, seconds.

    Raises
    ------
    InputError
        If an anchored token is not in the book.
    """

    def __init__(
        self, book: Book, sides: Sequence[tuple[int, ...]], rules: Venues, path: FloatArray, step_s: float
    ) -> None:
        self._book, self._rules, self._path, self._step_s = book, rules, path, step_s
        self._sides = [list(rows) for rows in sides]
        names = [token.names for token in book.tokens]
        self._anchored = np.zeros(len(book.tokens), dtype=bool)
        self._anchored[[find(token, names, "venues.anchored") for token in rules.anchored]] = True
        self._stays = np.zeros(len(book.tokens))
        self._fades = np.zeros(len(book.tokens))
        self._weights = depth_weights(book, self._sides)
        self._start = book.outside_usd.copy()
        self._worst = np.zeros(len(book.venues))

    # --- the parts of a step ------------------------------------------------------------------------------------

    def set_outside(self, step: int, marks: FloatArray | float = 1.0) -> None:
        """Set the outside prices of a step: the path, what claims are worth over the start, and what selling has done
        to it so far."""
        self._fades *= 0.5 ** (self._step_s / RECOVERY_S)
        self._book.outside_usd = self._path[step] * marks * np.exp(self._stays + self._fades)
        for venue, (token, quote, *_) in zip(self._book.venues, self._sides, strict=True):
            if isinstance(venue, OrderBook):
                venue.follow(float(self._book.outside_usd[token] / self._book.outside_usd[quote]), self._step_s)

    def arbitrages(self) -> Iterator[tuple[int, Trade]]:
        """The trades that bring venues toward the outside price, and the venue of each.

        A trade must be executed before the next is asked for. Of the gap in logarithms the half-life's share is
        closed, all of it where that is 0.
        """
        half_life = self._rules.arbitrage_half_life_s
        share = 1.0 - 0.5 ** (self._step_s / half_life) if half_life else 1.0
        value = self._book.outside_usd / self._book.unit
        for row, (venue, sides) in enumerate(zip(self._book.venues, self._sides, strict=True)):
            for sold, bought in combinations(range(len(sides)), 2):
                target = value[sides[sold]] / value[sides[bought]]
                now = venue.price(sold, bought)
                trade = venue.trade_to(sold, bought, float(now ** (1.0 - share) * target**share))
                if trade is not None:
                    yield row, trade

    def withdrawals(self) -> Iterator[Withdrawal]:
        """Let liquidity providers leave.

        The adverse move of a venue is the largest since the start of one of its tokens' outside price against
        another's, in logarithms and either way: who provides liquidity loses by both. As it grows by dm the share
        1 - exp(-withdrawal dm) of what is left goes, all ranges alike.
        """
        if self._rules.withdrawal == 0.0:
            return
        moved = np.log(self._book.outside_usd / self._start)
        for row, (venue, sides) in enumerate(zip(self._book.venues, self._sides, strict=True)):
            worst = float(np.ptp(moved[sides]))
            if isinstance(venue, Withdrawable) and worst > self._worst[row]:
                left = np.exp(-self._rules.withdrawal * (worst - self._worst[row]))
                self._worst[row] = worst
                amounts = venue.withdraw(round((1.0 - float(left)) * ONE_SHARE))
                if any(amounts):
                    yield Withdrawal(row, amounts)

    def watch(self) -> Callable[[], None]:
        """Remember where venues stand; the returned function hands what moved since on to the outside price.

        In each venue the tokens move against those that are anchored, or where none is, against their mean; a token
        takes the moves of its venues by their depth at the start, and `impact` of that. Of what it took, `permanent`
        stays and the rest fades.
        """
        before = [_values(venue) for venue in self._book.venues]
        return lambda: self._take_over(before)

    def _take_over(self, before: Sequence[FloatArray]) -> None:
        if self._rules.impact == 0.0:
            return
        taken = np.zeros(len(self._book.tokens))
        for venue, sides, was, weight in zip(self._book.venues, self._sides, before, self._weights, strict=True):
            move = _values(venue) - was
            if not move.any():
                continue
            anchors = self._anchored[sides]
            move -= move[anchors].mean() if anchors.any() else move.mean()
            taken[sides] += self._rules.impact * weight * np.where(anchors, 0.0, move)
        self._stays += self._rules.permanent * taken
        self._fades += (1.0 - self._rules.permanent) * taken
        for venue, (token, quote, *_) in zip(self._book.venues, self._sides, strict=True):
            if isinstance(venue, OrderBook):
                venue.absorb(float(taken[token] - taken[quote]))


def _values(venue: Venue) -> FloatArray:
    """Logarithm of what each token is worth in a venue's first, smallest units; zeros in an empty one."""
    prices = np.array([1.0, *(venue.price(0, other) for other in range(1, len(venue.tokens)))])
    return np.zeros(len(prices)) if (prices <= 0.0).any() else -np.log(prices)


def depth_weights(book: Book, sides: Sequence[list[int]]) -> list[FloatArray]:
    """For each venue, its part of all that is traded of each of its tokens, by depth at the start."""
    depth = [
        np.array([book.usd(token, amount) for token, amount in zip(rows, venue.reserves_raw(), strict=True)])
        for venue, rows in zip(book.venues, sides, strict=True)
    ]
    total = np.zeros(len(book.tokens))
    for rows, amounts in zip(sides, depth, strict=True):
        total[rows] += amounts
    return [
        np.divide(amounts, total[rows], out=np.zeros(len(amounts)), where=total[rows] > 0)
        for rows, amounts in zip(sides, depth, strict=True)
    ]
