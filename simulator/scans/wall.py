"""The liquidation wall of a token: what becomes liquidatable as its price falls, and as it rises.

Each account stands at the price at which it becomes liquidatable, found as in `simulator.scans.critical`. Whatever the
level, it counts with what it has and owes at today's oracle prices, so that a wall only grows: valued at the level
itself, the same collateral would be worth less the further the price has fallen.

A wall is drawn twice. *Net*: what moves is multiplied wherever it stands, so an account that holds and owes it counts
with the difference, as pairs in e-mode do. *Gross*: as the price falls only collateral moves, and as it rises only
debt. The difference is what rests on the two sides of such pairs staying together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from protocols.lending.interface import Exposures
from simulator.book import Book, open_book, opened
from simulator.oracles.pricing import Oracle
from simulator.scans.critical import Below, line
from simulator.scans.sweep import Weights
from simulator.scenario import Oracles, find

if TYPE_CHECKING:
    import pandas as pd

    from chain.snapshot import Snapshot

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

LEVELS: dict[str, FloatArray] = {
    "falls": np.round(1.0 - 0.05 * np.arange(1, 19), 2),
    "rises": np.round(1.0 + 0.05 * np.arange(1, 21), 2),
}
"""Factors of today's price, the nearest first: down by 90 %, and up by 100 %."""

_PROBE, _NEAR = 0.9, 0.01
"""A price follows others if, when they fall to the first, it does so too, to within the second: feeds round."""

_FIGURES = ("accounts", "collateral_usd", "debt_usd", "moving_usd")


@dataclass(frozen=True)
class Wall:
    """The wall of one token, or of several that move together.

    Attributes
    ----------
    tokens
        Symbols of what was asked for.
    moving
        For each market by name, the symbols of all that moves with it there.
    unread
        Markets of which the snapshot does not say what their prices are made of: there nothing is known to follow.
    now
        What is liquidatable at today's prices, one row a market: market, accounts, collateral_usd, debt_usd. It is no
        part of the wall.
    levels
        One row a market, direction ("falls", "rises"), way of counting ("net", "gross") and level: market, direction,
        pairs, move (relative to today), price_usd (of the first token asked for, on the outside); accounts,
        collateral_usd, debt_usd and moving_usd between this level and the last; and the same up to here, as
        cumulative_accounts and so on. `moving_usd` is the part that moves: of the collateral where it falls, of the
        debt where it rises. Dollars are at today's oracle prices.
    """

    tokens: list[str]
    moving: dict[str, list[str]]
    unread: list[str]
    now: pd.DataFrame
    levels: pd.DataFrame

    def system(self) -> pd.DataFrame:
        """All markets together, net beside gross, one row a direction and level: direction, move, price_usd, accounts,
        collateral_usd, debt_usd, cumulative_collateral_usd, cumulative_debt_usd, and the latter two gross as
        gross_collateral_usd and gross_debt_usd."""
        totals = ["cumulative_collateral_usd", "cumulative_debt_usd"]
        shown = ["accounts", "collateral_usd", "debt_usd", *totals]

        def summed(pairs: str) -> pd.DataFrame:
            # as they stand in `levels`: falls before rises, the nearest level first
            rows = self.levels[self.levels["pairs"] == pairs]
            return rows.groupby(["direction", "move", "price_usd"], sort=False)[shown].sum()

        gross = summed("gross")[totals].rename(columns=lambda name: name.replace("cumulative", "gross"))
        return summed("net").join(gross).reset_index()


def wall(snapshot: Snapshot | Path | str, tokens: Sequence[str]) -> Wall:
    """The liquidation wall on a snapshot, given itself or as its folder; otherwise as :func:`wall_of`."""
    return wall_of(open_book(opened(snapshot)), tokens)


def wall_of(book: Book, tokens: Sequence[str]) -> Wall:
    """The liquidation wall of a token, or of several that move together.

    Parameters
    ----------
    book
        Positions, with interest to the book's time.
    tokens
        Symbols or addresses. What a market prices by them moves too (see :func:`moving`).

    Raises
    ------
    InputError
        If there is no token, or the book does not have one that is named.
    """
    import pandas as pd

    if not tokens:
        raise InputError("name at least one token, such as WETH")
    names = [token.names for token in book.tokens]
    asked = [find(token, names, "wall") for token in tokens]
    moved = moving(book, asked)
    price = float(book.outside_usd[asked[0]])
    now: list[dict[str, Any]] = []
    levels: list[dict[str, Any]] = []
    for number, market in enumerate(book.markets):
        sides = _Sides.of(market.exposures(), book.oracle_usd(number), moved[number])
        over = sides.margin < 0.0
        accounts, collateral, debt, _ = (float(figure[over].sum()) for figure in sides.figures["falls"])
        standing = {"accounts": round(accounts), "collateral_usd": collateral, "debt_usd": debt}
        now.append({"market": market.name} | standing)
        levels += ({"market": market.name} | row for row in _levels(sides, price))
    symbols = {
        market.name: [book.tokens[int(token)].symbol for token in rows[drives]]
        for market, rows, drives in zip(book.markets, book.market_tokens, moved, strict=True)
    }
    told = {market for market, _ in book.trees}
    unread = [market.name for market in book.markets if market.name not in told]
    return Wall([book.tokens[row].symbol for row in asked], symbols, unread, pd.DataFrame(now), pd.DataFrame(levels))


def _levels(sides: _Sides, price_usd: float) -> Iterator[dict[str, Any]]:
    """The rows of one market, as :class:`Wall` has them."""
    for direction, factors in LEVELS.items():
        for pairs in ("net", "gross"):
            cumulative = sides.cumulative(direction, pairs, factors)
            between = np.diff(cumulative, axis=0, prepend=0.0)
            for factor, step, total in zip(factors.tolist(), between, cumulative, strict=True):
                yield {
                    "direction": direction,
                    "pairs": pairs,
                    "move": round(factor - 1.0, 4),
                    "price_usd": price_usd * factor,
                    **dict(zip(_FIGURES, _plain(step), strict=True)),
                    **dict(zip((f"cumulative_{name}" for name in _FIGURES), _plain(total), strict=True)),
                }


def moving(book: Book, tokens: Sequence[int]) -> list[BoolArray]:
    """For each market, which of its reserves move in proportion when some tokens do: those tokens themselves, and what
    the market prices by them, as wstETH by ETH / USD and an exchange rate.

    Where the snapshot has the tree of a price, it is computed at outside prices that have moved.

    Parameters
    ----------
    tokens
        Rows of the book's tokens.
    """
    probed = replace(book, outside_usd=book.outside_usd.copy())
    at_once = Oracles(deviation=0.0, delay_s=0.0)
    sources = [
        [
            Oracle(probed, at_once, number, reserve, book.timestamp)
            if reserve != market.numeraire and (market.name, book.tokens[int(token)].address) in book.trees
            else None
            for reserve, token in enumerate(rows)
        ]
        for number, (market, rows) in enumerate(zip(book.markets, book.market_tokens, strict=True))
    ]
    probed.outside_usd = np.where(np.isin(np.arange(len(book.tokens)), tokens), _PROBE, 1.0) * book.outside_usd
    found = []
    for number, (market, rows) in enumerate(zip(book.markets, book.market_tokens, strict=True)):
        before, exchange = book.oracle_usd(number), probed.numeraire_usd(number)
        moves = np.isin(rows, tokens)
        for reserve, source in enumerate(sources[number]):
            if source is not None and not moves[reserve]:
                said = source.report(book.timestamp)
                # a rate says nothing new, but what it is a rate of may have moved
                believed = market.price_raw(reserve) if said is None else said
                now = believed / market.price_unit(reserve) * exchange
                moves[reserve] = abs(now - _PROBE * before[reserve]) < _NEAR * before[reserve]
        found.append(moves)
    return found


@dataclass(frozen=True)
class _Sides:
    """One market's accounts today: limit and debt, US dollars, of what moves and of the rest; arrays (accounts,).

    `figures` are what an account counts with, by direction, in the order of `_FIGURES`.
    """

    limit: tuple[FloatArray, FloatArray]
    debt: tuple[FloatArray, FloatArray]
    figures: dict[str, list[FloatArray]]

    @classmethod
    def of(cls, exposures: Exposures, prices_usd: FloatArray, moves: BoolArray) -> _Sides:
        weights = Weights.of(exposures)
        limit, collateral, debt = (
            line(exposures, each, prices_usd, moves)
            for each in (exposures.supplied * exposures.threshold, weights.collateral, weights.debt)
        )
        common = [np.ones_like(limit[0]), collateral[0] + collateral[1], debt[0] + debt[1]]
        figures = {"falls": [*common, collateral[1]], "rises": [*common, debt[1]]}
        return cls(limit, debt, figures)

    @property
    def margin(self) -> FloatArray:
        """Limit less debt at today's prices; below zero, an account is liquidatable now."""
        return (self.limit[0] - self.debt[0]) + (self.limit[1] - self.debt[1])

    def cumulative(self, direction: str, pairs: str, factors: FloatArray) -> FloatArray:
        """Sums of the figures over the accounts that are healthy today and not at each factor, shape (factors,
        figures)."""
        (limit_rest, limit_moves), (debt_rest, debt_moves) = self.limit, self.debt
        if pairs == "net":
            rest, slope = limit_rest - debt_rest, limit_moves - debt_moves
        elif direction == "falls":
            rest, slope = limit_rest - debt_rest - debt_moves, limit_moves
        else:
            rest, slope = limit_rest + limit_moves - debt_rest, -debt_moves
        healthy = self.margin >= 0.0
        return Below.of(rest[healthy], slope[healthy], [figure[healthy] for figure in self.figures[direction]]).at(
            factors
        )


def _plain(figures: FloatArray) -> list[int | float]:
    """A count of accounts, then dollars."""
    return [round(float(figures[0])), *(float(each) for each in figures[1:])]
