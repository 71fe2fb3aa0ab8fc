"""Which liquidations earlier ones have brought about, by what their sales did to prices.

Beside the run, oracles are asked at prices that leave impact out. A liquidation is of generation 0 if the account could
be liquidated without any impact, and of generation n if it takes the impact of generation n - 1, and not only of those
before. An account is looked at as it was before its first liquidation of a later generation: what that has done to it
is impact, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from protocols.lending.interface import Exposures, LendingMarket
from simulator.book import Book
from simulator.oracles.pricing import Oracle

FloatArray = npt.NDArray[np.float64]
Oracles = Sequence[Sequence[Oracle | None]]


@dataclass
class _Level:
    """Prices as they would be with the impact of some generations only.

    Attributes
    ----------
    impact
        Logarithm of what that impact multiplies each token's outside price by.
    oracles
        For each market its reserves' oracles, which have seen these prices only.
    believed
        For each market, what it then believes of each reserve, in what its prices are in.
    """

    impact: FloatArray
    oracles: Oracles
    believed: list[FloatArray]


class Generations:
    """The generation of each liquidation of a run.

    Parameters
    ----------
    book
        The state that is stepped.
    oracles
        For each market its reserves' oracles, as the run asks them.
    """

    def __init__(self, book: Book, oracles: Oracles) -> None:
        self._book = book
        self._oracles = oracles
        self._levels: list[_Level] = []
        """Level g has the impact of generations below g; what is liquidatable at none of them is of the next one."""
        self._impact = np.zeros(len(book.tokens))
        self._acted: FloatArray = np.zeros(0)
        self._found: dict[tuple[int, int], tuple[int, _Position]] = {}
        self._untouched: dict[tuple[int, int, int], _Position] = {}
        """By market, account and level: the position before it was first liquidated in a later generation."""
        self._latest: dict[int, int] = {}

    def publish(self, path_usd: FloatArray) -> None:
        """Let the oracles of every level see a step's prices; to be called before the run's own see theirs.

        How far outside prices have moved from their path since the last step is laid to the liquidations of that step,
        by the worth of what they sold; where there were none, all impact has changed alike.

        Parameters
        ----------
        path_usd
            Outside price of each token in this step without any impact.
        """
        impact = np.log(self._book.outside_usd / path_usd)
        moved = impact - self._impact
        # what rounding leaves of no impact is none
        if np.abs(moved).max(initial=0.0) > 1e-12:
            if self._acted.any():
                self._fork(len(self._acted))
                below = np.cumsum(self._acted) - self._acted
                for level, share in zip(self._levels, below / self._acted.sum(), strict=False):
                    level.impact += moved * share
                for level in self._levels[len(self._acted) :]:
                    level.impact += moved
            else:
                change = np.divide(impact, self._impact, out=np.ones(len(impact)), where=self._impact != 0.0)
                for level in self._levels:
                    level.impact *= change
        self._impact, self._acted = impact, np.zeros(0)
        for level in self._levels:
            self._watch(level, path_usd * np.exp(level.impact))

    def find(self, accounts: Sequence[tuple[int, int]]) -> None:
        """Find the generation of accounts that can be liquidated now; (row of the market, account) each."""
        self._found = {}
        if not self._levels:
            return
        for row in sorted({row for row, _ in accounts}):
            exposures = self._book.markets[row].exposures()
            now = _believed(self._book.markets[row])
            for account in (account for at, account in accounts if at == row):
                position = _position(exposures, account)
                # contracts round more than floats: whatever they let through now, they let through at the same health
                limit = max(1.0, position.health(now))
                healths = (
                    self._untouched.get((row, account, number), position).health(level.believed[row])
                    for number, level in enumerate(self._levels)
                )
                generation = next((n for n, health in enumerate(healths) if health <= limit), len(self._levels))
                self._found[row, account] = (generation, position)

    def of(self, market: int, account: int) -> int:
        """The generation of a liquidation that is done now; what a market sells itself (-1) is of its latest one."""
        if account >= 0:
            self._latest[market] = 0
            if (market, account) in self._found:
                self._latest[market], position = self._found[market, account]
                for number in range(self._latest[market]):
                    self._untouched.setdefault((market, account, number), position)
        return self._latest.get(market, 0)

    def acted(self, liquidations: Sequence[Mapping[str, Any]]) -> None:
        """Take note of a step's liquidations, as rows of the run's table."""
        self._acted = np.zeros(1 + max((row["generation"] for row in liquidations), default=-1))
        for row in liquidations:
            self._acted[row["generation"]] += row["collateral_usd"]

    def _fork(self, count: int) -> None:
        """See to it that there are so many levels: until now the new ones have been as the run is."""
        while len(self._levels) < count:
            believed = [_believed(market) for market in self._book.markets]
            self._levels.append(_Level(self._impact.copy(), deepcopy(self._oracles), believed))

    def _watch(self, level: _Level, outside_usd: FloatArray) -> None:
        """Ask a level's oracles, which read the book's outside prices, at others."""
        actual, self._book.outside_usd = self._book.outside_usd, outside_usd
        try:
            for row, market in enumerate(self._book.markets):
                for reserve, oracle in enumerate(level.oracles[row]):
                    said = None if oracle is None else oracle.report(self._book.timestamp)
                    if said is not None:
                        level.believed[row][reserve] = said / market.price_unit(reserve)
        finally:
            self._book.outside_usd = actual


def _believed(market: LendingMarket) -> FloatArray:
    """What a market believes of each reserve now, in what its prices are in."""
    return np.array([market.price_raw(r) / market.price_unit(r) for r in range(len(market.tokens))])


@dataclass(frozen=True)
class _Position:
    """One account: entries of what counts toward its limit, and of what it owes, whole tokens."""

    reserve: npt.NDArray[np.int64]
    limit: FloatArray
    debt: FloatArray

    def health(self, prices: FloatArray) -> float:
        """Its health factor; infinite without debt."""
        worth = prices[self.reserve]
        debt = float(self.debt @ worth)
        return float(self.limit @ worth) / debt if debt > 0.0 else np.inf


def _position(exposures: Exposures, account: int) -> _Position:
    entries = slice(exposures.offsets[account], exposures.offsets[account + 1])
    limit = exposures.supplied[entries] * exposures.threshold[entries]
    return _Position(exposures.reserve[entries].copy(), limit, exposures.debt[entries].copy())
