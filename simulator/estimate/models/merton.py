"""Jumps on top of geometric Brownian motion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chain.errors import InputError
from protocols import compiled
from simulator.estimate.models.model import LARGEST_LOG, FloatArray, IntArray, repeated, root
from simulator.estimate.models.series import Series

_RARE = 0.9999
"""A return this far out of a normal distribution is taken for a jump: one in ten thousand would be by chance."""
_FEWEST_JUMPS = 5
_MOST_JUMPS = 100
"""Jumps in one step; more have no probability that matters at any rate a series can show."""


@dataclass(frozen=True)
class Merton:
    """Jump diffusion (Merton 1976, *J. Financial Economics* 3) with jumps that all assets have at the same time.

    In a step, the number of jumps is Poisson, and each moves the logarithms of all prices by a normal vector. Prices
    are martingales.

    Parameters
    ----------
    assets, steps, step_s
        As `PriceModel` has them.
    covariance
        Shape (assets, assets): of one step's differences of logarithms without jumps.
    rate
        Expected jumps in a step.
    jump_mean, jump_covariance
        Shapes (assets,) and (assets, assets): of one jump.
    """

    assets: tuple[str, ...]
    steps: int
    step_s: float
    covariance: FloatArray
    rate: float
    jump_mean: FloatArray
    jump_covariance: FloatArray

    @classmethod
    def fit(cls, series: Series, steps: int) -> Merton:
        """Jumps and what is left, told apart by a threshold (Mancini 2009, *Scandinavian J. of Statistics* 36).

        A step has a jump if its returns are further out, in Mahalanobis distance, than normal returns with the
        covariance of the other steps would be in one of ten thousand; which is repeated until no more are found.

        Raises
        ------
        InputError
            If a price never moves, or the series shows fewer than five jumps.
        """
        from scipy.stats import chi2

        returns = series.returns
        limit = float(chi2.ppf(_RARE, returns.shape[1]))
        jumps = np.zeros(len(returns), dtype=bool)
        while True:
            covariance = np.atleast_2d(np.cov(returns[~jumps], rowvar=False))
            lower = root(covariance, "the series between its jumps")
            distance = (np.linalg.lstsq(lower, returns.T, rcond=None)[0] ** 2).sum(axis=0)
            found = jumps | (distance > limit)
            if (found == jumps).all():
                break
            jumps = found
        if jumps.sum() < _FEWEST_JUMPS:
            raise InputError(
                f"the series shows {jumps.sum()} jumps, too few to say how large they are; give a longer one, "
                "or take the model gbm"
            )
        spread = np.atleast_2d(np.cov(returns[jumps], rowvar=False))
        # the share of steps with a jump or more
        rate = -math.log1p(-float(jumps.mean()))
        return cls(series.assets, steps, series.step_s, covariance, rate, returns[jumps].mean(axis=0), spread)

    @property
    def dimension(self) -> int:
        """In a step the number of jumps, and for every asset its move without and with them."""
        return self.steps * (1 + 2 * len(self.assets))

    @property
    def labels(self) -> IntArray:
        """One label for each number of a step."""
        return repeated(list(range(1 + 2 * len(self.assets))), self.steps)

    @cached_property
    def _drift(self) -> FloatArray:
        growth = np.exp(self.jump_mean + np.diag(self.jump_covariance) / 2.0) - 1.0
        return np.asarray(-np.diag(self.covariance) / 2.0 - self.rate * growth)

    @cached_property
    def _roots(self) -> tuple[FloatArray, FloatArray]:
        return root(self.covariance, "the diffusion"), root(self.jump_covariance, "the jumps")

    def prices(self, uniforms: FloatArray) -> FloatArray:
        """Prices relative to the start; see `PriceModel`."""
        from scipy.special import ndtri

        numbers = uniforms.reshape(len(uniforms), self.steps, 1 + 2 * len(self.assets))
        out = np.empty((len(uniforms), self.steps + 1, len(self.assets)))
        compiled.fast(_jump, nogil=True)(
            np.ascontiguousarray(numbers[:, :, 0]),
            ndtri(numbers[:, :, 1:]),
            *self._roots,
            self._drift,
            self.rate,
            self.jump_mean,
            _MOST_JUMPS,
            LARGEST_LOG,
            out,
        )
        return out


def _jump(
    counts: FloatArray,
    normals: FloatArray,
    lower: FloatArray,
    jump_lower: FloatArray,
    drift: FloatArray,
    rate: float,
    jump_mean: FloatArray,
    most_jumps: int,
    most: float,
    out: FloatArray,
) -> None:
    paths, steps, _ = normals.shape
    assets = len(drift)
    logs = np.empty(assets)
    for path in range(paths):
        logs[:] = 0.0
        out[path, 0, :] = 1.0
        for step in range(steps):
            # a small number is many jumps
            left = 1.0 - counts[path, step]
            jumps, chance = 0, math.exp(-rate)
            while left > chance and jumps < most_jumps:
                left -= chance
                jumps += 1
                chance *= rate / jumps
            for asset in range(assets):
                logs[asset] += drift[asset] + jumps * jump_mean[asset]
                for factor in range(asset + 1):
                    logs[asset] += lower[asset, factor] * normals[path, step, factor]
                    if jumps > 0:
                        spread = jump_lower[asset, factor] * normals[path, step, assets + factor]
                        logs[asset] += math.sqrt(jumps) * spread
                out[path, step + 1, asset] = math.exp(min(max(logs[asset], -most), most))
