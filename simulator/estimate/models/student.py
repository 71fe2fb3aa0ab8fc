"""Student's t with groups: assets that crash together, some groups with heavier tails than others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chain.errors import InputError
from protocols import compiled
from protocols.arithmetic import rule
from simulator.estimate.models.model import LARGEST_LOG, FloatArray, IntArray, repeated, root
from simulator.estimate.models.series import Series

_LIGHTEST = 100.0
"""Degrees of freedom from which on Student's t is taken for normal by no test of a few thousand returns."""


@dataclass(frozen=True)
class Innovating:
    """What models share whose moves are made of the numbers that :func:`innovations` takes.

    Parameters
    ----------
    assets, steps, step_s
        As `PriceModel` has them.
    """

    assets: tuple[str, ...]
    steps: int
    step_s: float

    @property
    def dimension(self) -> int:
        """A number an asset and step, and one for the scale that moves of the step have in common."""
        return self.steps * (len(self.assets) + 1)

    @property
    def labels(self) -> IntArray:
        """The scale, and one label an asset."""
        return repeated(list(range(len(self.assets) + 1)), self.steps)


@dataclass(frozen=True)
class GroupedT(Innovating):
    """Returns with a grouped t copula (Daul, De Giorgi, Lindskog and McNeil 2003, *Risk* 16; Demarta and McNeil 2005,
    *Int. Stat. Review* 73, section 4.2) and Student-t margins, independent from step to step.

    In a step, one uniform number gives every group its own scale sqrt(nu / chi2_nu), all large together; asset i moves
    by scale_i x z_i x that of its group. One group is the multivariate t distribution. Moves are those of
    `Series.moves`, with median nothing.

    Parameters
    ----------
    assets, steps, step_s
        As `PriceModel` has them.
    correlation
        Shape (assets, assets): of the normal numbers.
    scale
        Shape (assets,): of the moves. Not the standard deviation, which may be infinite.
    freedom
        Shape (assets,): degrees of freedom of the asset's group.
    """

    correlation: FloatArray
    scale: FloatArray
    freedom: FloatArray

    @classmethod
    def fit(cls, series: Series, steps: int, groups: Mapping[str, str] | None = None) -> GroupedT:
        """Tail indices, scales and correlations of a series' moves.

        Parameters
        ----------
        series, steps
            Paths have the series' interval.
        groups
            Group of each asset, such as ``{"stETH": "LST", "USDC": "stable"}``; those left out form one more.

        Notes
        -----
        Degrees of freedom by maximum likelihood, one for a group; correlations from Kendall's tau as sin(pi tau / 2),
        which heavy tails do not disturb (Demarta and McNeil 2005, section 3.2).

        Raises
        ------
        InputError
            If a group names an asset that the series has not, or a price never moves.
        """
        groups = groups or {}
        for asset in groups:
            series.column(asset)
        names = [groups.get(asset, "") for asset in series.assets]
        scale, freedom = np.empty(len(names)), np.empty(len(names))
        for name in sorted(set(names)):
            columns = [i for i, own in enumerate(names) if own == name]
            freedom[columns] = tail_index(series.moves[:, columns], series.assets[columns[0]])
            for i in columns:
                scale[i] = _scale(series.moves[:, i], freedom[i], series.assets[i])
        return cls(series.assets, steps, series.step_s, kendall(series.moves), scale, freedom)

    def prices(self, uniforms: FloatArray) -> FloatArray:
        """Prices relative to the start; see `PriceModel`."""
        moves = innovations(uniforms, self.steps, self._root, self.freedom)
        out = np.empty((len(uniforms), self.steps + 1, len(self.assets)))
        compiled.fast(_accumulate, nogil=True)(moves, self.scale, LARGEST_LOG, out)
        return out

    @cached_property
    def _root(self) -> FloatArray:
        return root(self.correlation, "Student's t")


def tail_index(returns: FloatArray, first: str) -> float:
    """Degrees of freedom that columns have in common, each brought to its own scale: maximum likelihood by SciPy.

    Parameters
    ----------
    returns
        Shape (rows, assets), centred about nothing.
    first
        What an error calls them.
    """
    from scipy.stats import t

    middle = np.median(np.abs(returns), axis=0)
    if (middle == 0).any():
        raise InputError(f"most returns in the group of {first} are zero; leave assets that hardly trade out")
    found = float(t.fit((returns / middle).ravel(), floc=0.0)[0])
    if not math.isfinite(found):
        raise InputError(f"no Student's t fits the returns in the group of {first}")
    return min(found, _LIGHTEST)


def _scale(returns: FloatArray, freedom: float, asset: str) -> float:
    from scipy.stats import t

    scale = float(t.fit(returns, fdf=freedom, floc=0.0)[2])
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"no Student's t fits the returns of {asset}")
    return scale


def kendall(returns: FloatArray) -> FloatArray:
    """Correlations by Kendall's tau, shape (assets, assets)."""
    from scipy.stats import kendalltau

    count = returns.shape[1]
    out = np.eye(count)
    for i in range(count):
        for j in range(i):
            out[i, j] = out[j, i] = math.sin(math.pi / 2 * kendalltau(returns[:, i], returns[:, j]).statistic)
    return out


def innovations(uniforms: FloatArray, steps: int, lower: FloatArray, freedom: FloatArray) -> FloatArray:
    """Moves of scale 1 with a grouped t copula, shape (paths, steps, assets).

    Parameters
    ----------
    uniforms
        Shape (paths, steps x (1 + assets)): in each step that of the scale, then one an asset.
    lower
        Root of the correlation.
    freedom
        Shape (assets,): degrees of freedom.
    """
    from scipy.special import gammaincinv, ndtri

    assets = len(freedom)
    numbers = uniforms.reshape(len(uniforms), steps, assets + 1)
    normals = ndtri(numbers[:, :, 1:])
    factors = np.empty((len(uniforms), steps, assets))
    for each in np.unique(freedom):
        # a small number is a small chi-squared, and so a large move
        chi_squared = 2.0 * gammaincinv(each / 2.0, numbers[:, :, 0])
        with np.errstate(divide="ignore"):
            factors[:, :, freedom == each] = np.sqrt(each / chi_squared)[:, :, None]
    out = np.empty((len(uniforms), steps, assets))
    compiled.fast(_mix, nogil=True)(normals, lower, np.minimum(factors, 1e150), out)
    return out


def _mix(normals: FloatArray, lower: FloatArray, factors: FloatArray, out: FloatArray) -> None:
    paths, steps, assets = normals.shape
    for path in range(paths):
        for step in range(steps):
            for asset in range(assets):
                move = 0.0
                for factor in range(asset + 1):
                    move += lower[asset, factor] * normals[path, step, factor]
                out[path, step, asset] = move * factors[path, step, asset]


def _accumulate(moves: FloatArray, scale: FloatArray, most: float, out: FloatArray) -> None:
    paths, steps, assets = moves.shape
    for path in range(paths):
        out[path, 0, :] = 1.0
        for step in range(steps):
            for asset in range(assets):
                out[path, step + 1, asset] = moved(
                    out[path, step, asset], moves[path, step, asset] * scale[asset], most
                )


@rule
def moved(price: float, move: float, most: float) -> float:
    """A relative price after a move as `Series.moves` has it, within a factor of exp(`most`)."""
    factor = math.exp(max(move, -most)) if move < 0.0 else 1.0 + min(move, math.exp(most))
    return min(max(price * factor, math.exp(-most)), math.exp(most))
