"""The price at which an account becomes liquidatable, when one token moves or several move together.

With the prices of everything else fixed, collateral times threshold less debt is a straight line in the factor f by
which those prices are multiplied, ``rest + slope * f``. It meets zero once at most, at ``-rest / slope``, whatever the
account has on either side: a token that it both supplies and owes counts with the difference. An account with a rising
line is liquidatable below that factor, one with a falling line above it.

So one sort of the accounts by their factors answers every shock: a binary search finds who is over the edge, and sums
up to there say for how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from protocols import compiled
from protocols.lending.interface import Exposures
from simulator.scans.sweep import AtRisk, Weights

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def critical_factors(rest: FloatArray, slope: FloatArray) -> FloatArray:
    """Where ``rest + slope * f`` is zero; NaN where no positive, finite f does it. All arrays have one shape."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        factor = -rest / slope
    return np.asarray(np.where((factor > 0.0) & (factor < np.inf), factor, np.nan))


def critical_prices(exposures: Exposures, prices_usd: FloatArray) -> FloatArray:
    """For each reserve, the oracle price at which its move alone makes each account liquidatable.

    Parameters
    ----------
    exposures
        A market's positions.
    prices_usd
        Shape (reserves,): the market's oracle prices now.

    Returns
    -------
    Shape (accounts, reserves), US dollars; NaN where no positive price of that reserve does it.
    """
    margin = Weights.of(exposures).margin
    found = np.empty((len(exposures.offsets) - 1, len(prices_usd)))
    for reserve in range(len(prices_usd)):
        moves = np.arange(len(prices_usd)) == reserve
        found[:, reserve] = critical_factors(*line(exposures, margin, prices_usd, moves)) * prices_usd[reserve]
    return found


def line(
    exposures: Exposures, weights: FloatArray, prices_usd: FloatArray, drives: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """The straight line that each account's sum of weights times prices is in the factor of the driven prices.

    Parameters
    ----------
    exposures
        A market's positions.
    weights
        Shape (entries,), one of those of :class:`simulator.scans.sweep.Weights`.
    prices_usd
        Shape (reserves,): prices at factor 1, US dollars.
    drives
        Shape (reserves,): whose prices are multiplied by the factor.

    Returns
    -------
    Rest and slope, shape (accounts,) each. What is driven is no part of the rest, so that an account with nothing else
    has a rest of exactly zero.
    """
    rest, slope = np.empty((2, len(exposures.offsets) - 1))
    compiled.fast(_line)(exposures.offsets, exposures.reserve, weights, prices_usd, drives, rest, slope)
    return rest, slope


def _line(
    offsets: IntArray,
    reserve: IntArray,
    weights: FloatArray,
    prices: FloatArray,
    drives: BoolArray,
    rest: FloatArray,
    slope: FloatArray,
) -> None:
    for account in range(len(rest)):
        still, driven = 0.0, 0.0
        for entry in range(offsets[account], offsets[account + 1]):
            worth = weights[entry] * prices[reserve[entry]]
            if drives[reserve[entry]]:
                driven += worth
            else:
                still += worth
        rest[account] = still
        slope[account] = driven


@dataclass(frozen=True)
class Below:
    """Straight lines in a factor f > 0, sorted by where they cross zero, with sums over those that are below it.

    Attributes
    ----------
    leaves, enters
        Ascending factors: a rising line is below zero for f < its crossing (infinite for one that always is), a
        falling line for f > its crossing. At the crossing itself neither is.
    leaving
        Shape (leaves + 1, figures): sums over the rising lines from each position on.
    entering
        Shape (enters + 1, figures): sums over the falling lines before each position.
    """

    leaves: FloatArray
    enters: FloatArray
    leaving: FloatArray
    entering: FloatArray

    @classmethod
    def of(cls, rest: FloatArray, slope: FloatArray, figures: Sequence[FloatArray]) -> Below:
        """Sort the lines ``rest + slope * f``; rest, slope and each of the figures have shape (lines,)."""
        crossing = critical_factors(rest, slope)
        crosses = ~np.isnan(crossing)
        # a line that does not cross is on one side for every f, so also for f = 1
        crossing[~crosses & (rest + slope < 0.0)] = np.inf
        rising = np.flatnonzero((crosses & (slope > 0.0)) | (crossing == np.inf))
        falling = np.flatnonzero(crosses & (slope < 0.0))
        rising = rising[np.argsort(crossing[rising], kind="stable")]
        falling = falling[np.argsort(crossing[falling], kind="stable")]
        return cls(
            leaves=crossing[rising],
            enters=crossing[falling],
            leaving=_running(figures, rising[::-1])[::-1],
            entering=_running(figures, falling),
        )

    def at(self, factors: FloatArray) -> FloatArray:
        """Sums over the lines below zero at each factor, shape (factors, figures)."""
        left = np.searchsorted(self.leaves, factors, side="right")
        entered = np.searchsorted(self.enters, factors, side="left")
        return np.asarray(self.leaving[left] + self.entering[entered])


def _running(figures: Sequence[FloatArray], rows: IntArray) -> FloatArray:
    """Sums over the first none, one, two … of the rows, shape (rows + 1, figures)."""
    sums = np.zeros((len(rows) + 1, len(figures)))
    for column, figure in enumerate(figures):
        np.cumsum(figure[rows], out=sums[1:, column])
    return sums


@dataclass(frozen=True)
class OneDriver:
    """One market when one token drives, or a basket that moves together: every shock at the cost of a binary search.

    It gives what :func:`simulator.scans.sweep.at_risk` gives for the same prices, sums to within rounding. An account
    at its critical factor is healthy, as there at its limit. Both are computed in float64: where a shock takes an
    account to within rounding of its limit, and only there, one may count it and the other not.
    """

    _margins: Below
    _shortfalls: Below

    @classmethod
    def of(cls, exposures: Exposures, prices_usd: FloatArray, drives: BoolArray) -> OneDriver:
        """Sort a market's accounts.

        Parameters
        ----------
        exposures
            The market's positions.
        prices_usd
            Shape (reserves,): its oracle prices now.
        drives
            Shape (reserves,): the reserves that move.
        """
        weights = Weights.of(exposures)
        margin, collateral, debt, shortfall = (line(exposures, each, prices_usd, drives) for each in weights)
        return cls(
            Below.of(*margin, [np.ones_like(margin[0]), *collateral, *debt]),
            Below.of(-shortfall[0], -shortfall[1], shortfall),
        )

    def at(self, factors: FloatArray) -> AtRisk:
        """What is at risk when the driven prices are multiplied by each of the factors.

        Raises
        ------
        InputError
            If a factor is not a positive number.
        """
        if not (np.isfinite(factors) & (factors > 0.0)).all():
            raise InputError("a factor of the driving price is not a positive number")
        count, collateral, driven_collateral, debt, driven_debt = self._margins.at(factors).T
        missing, driven_missing = self._shortfalls.at(factors).T
        return AtRisk(
            np.rint(count).astype(np.int64),
            collateral + driven_collateral * factors,
            debt + driven_debt * factors,
            np.maximum(missing + driven_missing * factors, 0.0),
        )
