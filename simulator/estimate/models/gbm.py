"""Geometric Brownian motion, correlated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from protocols import compiled
from simulator.estimate.models.model import FloatArray, IntArray, repeated, root
from simulator.estimate.models.series import Series


@dataclass(frozen=True)
class GBM:
    """Logarithms of prices with independent, jointly normal steps (Samuelson 1965).

    Prices are martingales: what is estimated of a drift from a series says nothing about the next day.

    Parameters
    ----------
    assets, steps, step_s
        As `PriceModel` has them.
    covariance
        Shape (assets, assets): of one step's differences of logarithms.
    """

    assets: tuple[str, ...]
    steps: int
    step_s: float
    covariance: FloatArray

    @classmethod
    def fit(cls, series: Series, steps: int) -> GBM:
        """Covariance of the series' returns, at its own interval; raises InputError if a price never moves."""
        covariance = np.atleast_2d(np.cov(series.returns, rowvar=False))
        root(covariance, "the series")
        return cls(series.assets, steps, series.step_s, covariance)

    @property
    def dimension(self) -> int:
        """One number a step and asset."""
        return self.steps * len(self.assets)

    @property
    def labels(self) -> IntArray:
        """One label an asset."""
        return repeated(list(range(len(self.assets))), self.steps)

    @cached_property
    def _root(self) -> FloatArray:
        return root(self.covariance, "geometric Brownian motion")

    def prices(self, uniforms: FloatArray) -> FloatArray:
        """Prices relative to the start; see `PriceModel`."""
        from scipy.special import ndtri

        normals = ndtri(uniforms).reshape(len(uniforms), self.steps, len(self.assets))
        out = np.empty((len(uniforms), self.steps + 1, len(self.assets)))
        compiled.fast(_walk, nogil=True)(normals, self._root, -np.diag(self.covariance) / 2.0, out)
        return out


def _walk(normals: FloatArray, lower: FloatArray, drift: FloatArray, out: FloatArray) -> None:
    paths, steps, assets = normals.shape
    logs = np.empty(assets)
    for path in range(paths):
        logs[:] = 0.0
        out[path, 0, :] = 1.0
        for step in range(steps):
            for asset in range(assets):
                logs[asset] += drift[asset]
                for factor in range(asset + 1):
                    logs[asset] += lower[asset, factor] * normals[path, step, factor]
                out[path, step + 1, asset] = math.exp(logs[asset])
