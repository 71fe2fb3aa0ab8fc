"""Importance sampling: more paths where losses are, each with the weight that makes up for it.

In every model a path is a vector of uniform numbers, and so of independent normal ones. Their means are moved, which is
exponential tilting of the normal density, toward where the losses of the tail came from in pilot runs (cross entropy:
de Boer et al. 2005, *Annals of Operations Research* 134, section 5). Since the scale that assets have in common under
Student's t is one of these numbers, it is moved as well (Glasserman, Heidelberger and Shahabuddin 2002, *Mathematical
Finance* 12, tilt the same variable). A share of paths is drawn as before (defensive mixture: Hesterberg 1995,
*Technometrics* 37), so that no weight exceeds one over that share.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chain.errors import InputError
from protocols import compiled
from simulator.estimate.models.draws import Draws, Independent
from simulator.estimate.models.model import FloatArray, PriceModel
from simulator.estimate.statistics import Sample

Losses = Callable[[FloatArray], FloatArray]
"""Prices relative to the start, shape (paths, steps + 1, assets), to losses, shape (paths, outputs). A path's losses
depend on that path alone."""

PLAIN_SHARE = 0.1
"""Share of paths that stay as they are: weights are 10 at most, and the body of the distribution is still seen."""


TINY = 2.0**-53
"""How near uniform numbers get to 0 and 1."""


@dataclass(frozen=True)
class Tilt:
    """Means that normal numbers are moved by.

    Parameters
    ----------
    shift
        Shape (dimension,), in standard deviations.
    """

    shift: FloatArray

    def moved(self, uniforms: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Uniform numbers moved, and the weights of their paths.

        Parameters
        ----------
        uniforms
            Shape (paths, dimension + 1); the last says whether a path is moved at all.

        Returns
        -------
        Numbers, shape (paths, dimension), strictly between 0 and 1; weights, shape (paths,), of mean 1.
        """
        from scipy.special import ndtr, ndtri

        normals = ndtri(uniforms[:, :-1])
        weights = np.empty(len(uniforms))
        compiled.fast(_shift, nogil=True)(normals, uniforms[:, -1].copy(), self.shift, PLAIN_SHARE, weights)
        return np.clip(ndtr(normals), TINY, 1.0 - TINY), weights


def _shift(normals: FloatArray, choice: FloatArray, shift: FloatArray, plain: float, weights: FloatArray) -> None:
    half_square = 0.0
    for i in range(len(shift)):
        half_square += shift[i] * shift[i] / 2.0
    for path in range(len(weights)):
        dot = 0.0
        for i in range(len(shift)):
            if choice[path] >= plain:
                normals[path, i] += shift[i]
            dot += shift[i] * normals[path, i]
        weights[path] = 1.0 / (plain + (1.0 - plain) * math.exp(min(dot - half_square, 700.0)))


def sample_paths(
    model: PriceModel, draws: Draws, first: int, count: int, tilt: Tilt | None = None
) -> tuple[FloatArray, FloatArray]:
    """Paths `first` to `first + count - 1` and their weights.

    Returns
    -------
    Prices relative to the start, shape (count, steps + 1, assets); weights, shape (count,), all 1 without a tilt.
    """
    if tilt is None:
        return model.prices(draws.uniforms(first, count, model.dimension)), np.ones(count)
    uniforms, weights = tilt.moved(draws.uniforms(first, count, model.dimension + 1))
    return model.prices(uniforms), weights


def choose_tilt(
    model: PriceModel, losses: Losses, seed: int, *, level: float, output: int = 0, paths: int = 10_000, rounds: int = 4
) -> Tilt:
    """The tilt that serves the expected shortfall of one output, found in pilot runs.

    Parameters
    ----------
    model, losses
        What is to be estimated.
    seed
        Of the pilot runs; another than the estimate's own, whose paths must not have chosen their weights.
    level
        Of the expected shortfall, such as 0.999.
    output
        Column of the losses.
    paths, rounds
        Paths in a pilot run, and pilot runs.

    Notes
    -----
    The best density for E[(X - q)+] is in proportion to (x - q)+ times the model's, so these are the weights of the
    means. The first run has too few paths beyond q, and goes for the worst 2 % instead; it is made again with normal
    numbers 2, 4 and 8 times as large until some path has a loss, since it only has to say where to look next.

    Raises
    ------
    InputError
        If no pilot path has a loss.
    """
    numbers = Independent(seed)
    shift = _first_guess(model, losses, numbers.uniforms(0, paths, model.dimension), output)
    for number in range(1, rounds):
        uniforms, weights = Tilt(shift).moved(numbers.uniforms(number * paths, paths, model.dimension + 1))
        found = losses(model.prices(uniforms))[:, output]
        beyond = np.maximum(found - Sample(found, weights).edge(1.0 - level), 0.0) * weights
        if beyond.any():
            shift = _means(uniforms, beyond, model.labels)
    return Tilt(shift)


def _first_guess(model: PriceModel, losses: Losses, uniforms: FloatArray, output: int) -> FloatArray:
    from scipy.special import ndtr, ndtri

    for wider in (1.0, 2.0, 4.0, 8.0):
        widened = np.clip(ndtr(wider * ndtri(uniforms)), TINY, 1.0 - TINY)
        found = losses(model.prices(widened))[:, output]
        if (found > 0.0).any():
            beyond = np.maximum(found - Sample(found).edge(0.02), 0.0)
            return _means(widened, beyond if beyond.any() else found, model.labels)
    raise InputError(f"none of {len(uniforms):,} pilot paths has a loss, so there is no tail to draw from")


def _means(uniforms: FloatArray, weights: FloatArray, labels: np.ndarray) -> FloatArray:
    """Weighted mean of the normal numbers, one for all with the same label."""
    from scipy.special import ndtri

    rows = weights > 0
    means = np.average(ndtri(uniforms[rows]), axis=0, weights=weights[rows])
    shift = np.zeros(len(labels))
    for label in np.unique(labels[labels >= 0]):
        shift[labels == label] = means[labels == label].mean()
    return shift
