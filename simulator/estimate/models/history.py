"""Paths from the user's own series: as it was, or put together anew from stretches of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chain.errors import InputError
from protocols import compiled
from simulator.estimate.models.model import LARGEST_LOG, FloatArray, IntArray, repeated
from simulator.estimate.models.series import Series


def windows(series: Series, steps: int) -> FloatArray:
    """Every stretch of the series as a path: historical replay from each of its rows.

    Neighbours overlap, so that what they lose is no sample of independent paths; for those take `Bootstrap`.

    Returns
    -------
    Prices relative to the start, shape (rows - steps, steps + 1, assets).

    Raises
    ------
    InputError
        If the series is shorter than a path.
    """
    if steps >= len(series.prices):
        raise InputError(f"the series has {len(series.prices)} rows, and a path takes {steps + 1}")
    every = np.lib.stride_tricks.sliding_window_view(series.prices, steps + 1, axis=0).transpose(0, 2, 1)
    return np.asarray(every / every[:, :1])


@dataclass(frozen=True)
class Bootstrap:
    """The stationary bootstrap (Politis and Romano 1994, *JASA* 89): stretches of the series, one after the other, of
    geometrically distributed length. All assets move together as they did, drift included, and the series' end is
    followed by its start.

    Parameters
    ----------
    series, steps
        Paths have the series' assets and interval.
    block
        Mean length of a stretch, steps.
    """

    series: Series
    steps: int
    block: float

    def __post_init__(self) -> None:
        if not self.block >= 1.0:
            raise InputError(f"a stretch of the bootstrap has a mean length of 1 step or more, not {self.block}")

    @classmethod
    def fit(cls, series: Series, steps: int) -> Bootstrap:
        """The mean length that suits the clusters of volatility best: the longest that Politis and White (2004,
        *Econometric Reviews* 23; corrected 2009) choose for an asset's absolute returns, by the library `arch`.

        Raises
        ------
        InputError
            If `arch` is not installed; or a price never moves.
        """
        try:
            from arch.bootstrap import optimal_block_length
        except ImportError:
            raise InputError(
                "how long the stretches of a bootstrap should be is found by the library arch: "
                "pip install 'unwind-defi[garch]'"
            ) from None
        still = np.ptp(series.returns, axis=0) == 0.0
        if still.any():
            raise InputError(f"the price of {series.assets[int(still.argmax())]} never moves; leave the asset out")
        lengths = optimal_block_length(np.abs(series.returns))["stationary"].to_numpy()
        return cls(series, steps, max(1.0, float(lengths.max())))

    @property
    def assets(self) -> tuple[str, ...]:
        """Those of the series."""
        return self.series.assets

    @property
    def step_s(self) -> float:
        """The series' interval, seconds."""
        return self.series.step_s

    @property
    def dimension(self) -> int:
        """Two numbers a step: whether a new stretch starts, and where."""
        return 2 * self.steps

    @property
    def labels(self) -> IntArray:
        """None: where a stretch starts has no direction."""
        return repeated([-1, -1], self.steps)

    def prices(self, uniforms: FloatArray) -> FloatArray:
        """Prices relative to the start; see `PriceModel`."""
        numbers = np.ascontiguousarray(uniforms.reshape(len(uniforms), self.steps, 2))
        out = np.empty((len(uniforms), self.steps + 1, len(self.assets)))
        compiled.fast(_stretch, nogil=True)(numbers, self.series.returns, 1.0 / self.block, LARGEST_LOG, out)
        return out


def _stretch(numbers: FloatArray, returns: FloatArray, chance: float, most: float, out: FloatArray) -> None:
    paths, steps, _ = numbers.shape
    rows, assets = returns.shape
    logs = np.empty(assets)
    for path in range(paths):
        logs[:] = 0.0
        out[path, 0, :] = 1.0
        row = 0
        for step in range(steps):
            if step == 0 or numbers[path, step, 0] < chance:
                row = min(int(numbers[path, step, 1] * rows), rows - 1)
            else:
                row = (row + 1) % rows
            for asset in range(assets):
                logs[asset] += returns[row, asset]
                out[path, step + 1, asset] = math.exp(min(max(logs[asset], -most), most))
