"""Volatility that clusters, with heavy tails."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chain.errors import InputError
from protocols import compiled
from simulator.estimate.models.model import LARGEST_LOG, FloatArray, root
from simulator.estimate.models.series import Series
from simulator.estimate.models.student import Innovating, innovations, kendall, moved, tail_index

_SPREAD = 10.0
"""Standard deviation to which moves are brought for the library's optimiser: it wants a variance from 1 to 1000, and
on hourly returns in per cent it ends where it started."""
_HEAVIEST = 2.05
"""Degrees of freedom below which Student's t has no variance to speak of."""


@dataclass(frozen=True)
class GARCH(Innovating):
    """GARCH(1, 1) for each asset (Bollerslev 1986, *J. Econometrics* 31) with innovations that are jointly Student's t
    and have constant correlations (Bollerslev 1990, *Rev. Economics and Statistics* 72).

    Paths start at the volatility with which the series ends. Moves are those of
    `Series.moves`, of mean zero.

    Parameters
    ----------
    assets, steps, step_s
        As `PriceModel` has them.
    omega, alpha, beta
        Shape (assets,): next variance = omega + alpha x move squared + beta x variance, of one step.
    variance
        Shape (assets,): of the first step.
    correlation
        Shape (assets, assets): of innovations.
    freedom
        Degrees of freedom of innovations, above 2.
    """

    omega: FloatArray
    alpha: FloatArray
    beta: FloatArray
    variance: FloatArray
    correlation: FloatArray
    freedom: float

    @classmethod
    def fit(cls, series: Series, steps: int) -> GARCH:
        """Each asset by maximum likelihood with the library `arch`; correlations and tail of what that leaves over.

        Raises
        ------
        InputError
            If `arch` is not installed, or no GARCH fits an asset.
        """
        try:
            from arch import arch_model
        except ImportError:
            raise InputError(
                "the model garch is fitted by the library arch: pip install 'unwind-defi[garch]'"
            ) from None
        count = len(series.assets)
        parameters, residuals = np.empty((count, 4)), np.empty_like(series.moves)
        for i, asset in enumerate(series.assets):
            if np.ptp(series.moves[:, i]) == 0.0:
                raise InputError(f"the price of {asset} never moves; leave the asset out")
            scale = _SPREAD / float(series.moves[:, i].std())
            returns = scale * series.moves[:, i]
            fitted = arch_model(returns, mean="Zero", vol="GARCH", p=1, q=1, dist="t", rescale=False).fit(
                disp="off", show_warning=False
            )
            if fitted.convergence_flag:
                raise InputError(f"no GARCH fits the returns of {asset}; give a longer series, or take the model t")
            level, reaction, memory = (float(fitted.params[name]) for name in ("omega", "alpha[1]", "beta[1]"))
            following = level + reaction * returns[-1] ** 2 + memory * float(fitted.conditional_volatility[-1]) ** 2
            parameters[i] = level / scale**2, reaction, memory, following / scale**2
            residuals[:, i] = fitted.std_resid
        freedom = max(tail_index(residuals, series.assets[0]), _HEAVIEST)
        omega, alpha, beta, variance = parameters.T.copy()
        return cls(series.assets, steps, series.step_s, omega, alpha, beta, variance, kendall(residuals), freedom)

    @cached_property
    def _root(self) -> FloatArray:
        return root(self.correlation, "GARCH")

    def prices(self, uniforms: FloatArray) -> FloatArray:
        """Prices relative to the start; see `PriceModel`."""
        moves = innovations(uniforms, self.steps, self._root, np.full(len(self.assets), self.freedom))
        # of variance 1
        moves *= math.sqrt((self.freedom - 2.0) / self.freedom)
        out = np.empty((len(uniforms), self.steps + 1, len(self.assets)))
        compiled.fast(_cluster, nogil=True)(moves, self.omega, self.alpha, self.beta, self.variance, LARGEST_LOG, out)
        return out


def _cluster(
    moves: FloatArray,
    omega: FloatArray,
    alpha: FloatArray,
    beta: FloatArray,
    first: FloatArray,
    most: float,
    out: FloatArray,
) -> None:
    paths, steps, assets = moves.shape
    for path in range(paths):
        for asset in range(assets):
            variance = first[asset]
            out[path, 0, asset] = 1.0
            for step in range(steps):
                move = math.sqrt(variance) * moves[path, step, asset]
                out[path, step + 1, asset] = moved(out[path, step, asset], move, most)
                # a variance that no float holds would make the next move no number
                variance = min(omega[asset] + alpha[asset] * move * move + beta[asset] * variance, 1e100)
