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
from protocols.arithmetic import rule
from simulator.estimate.models.draws import Independent
from simulator.estimate.models.model import FloatArray, IntArray, PriceModel
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
    """Means that normal numbers are moved by, in standard deviations: of half of the paths at every step, of the others
    at one step, drawn at random.

    Losses of a day come about in both ways: prices drift down, or under heavy tails one step does it all (the principle
    of the single big jump: Asmussen and Kroese 2006, *Advances in Applied Probability* 38). A path that was moved one
    way weighs as if it could have been moved the other (the balance heuristic: Veach and Guibas 1995).

    Parameters
    ----------
    even
        Shape (dimension,): for paths that are moved at every step.
    single
        Shape (dimension,): for paths that are moved at one step; of its numbers only those of that step count.
    step
        Shape (dimension,): to which step each number belongs, from 0; -1 for numbers that are never moved.
    """

    even: FloatArray
    single: FloatArray
    step: IntArray

    def moved(self, uniforms: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Uniform numbers moved, and the weights of their paths.

        Parameters
        ----------
        uniforms
            Shape (paths, dimension + 1); the last says how a path is moved.

        Returns
        -------
        Numbers, shape (paths, dimension), strictly between 0 and 1; weights, shape (paths,), of mean 1.
        """
        from scipy.special import ndtr, ndtri

        normals = ndtri(uniforms[:, :-1])
        weights = np.empty(len(uniforms))
        compiled.fast(_move, nogil=True)(normals, uniforms[:, -1].copy(), self._shifts, self.step, PLAIN_SHARE, weights)
        return np.clip(ndtr(normals), TINY, 1.0 - TINY), weights

    @property
    def _shifts(self) -> FloatArray:
        return np.where(self.step >= 0, np.stack([self.even, self.single]), 0.0)

    def chances(self, normals: FloatArray) -> FloatArray:
        """Density of normal numbers under each way of moving them over that of the model, times the way's share.

        Returns
        -------
        Shape (paths, 2 + steps): not at all, at every step, at each one step.
        """
        out = np.empty((len(normals), 3 + int(self.step.max(initial=0))))
        compiled.fast(_all_chances, nogil=True)(normals, self._shifts, self.step, PLAIN_SHARE, out)
        return out


@rule
def _chances(normals: FloatArray, shifts: FloatArray, step: IntArray, plain: float, out: FloatArray) -> None:
    out[:] = 0.0
    for i in range(len(step)):
        if step[i] >= 0:
            out[1] += shifts[0, i] * (normals[i] - shifts[0, i] / 2.0)
            out[2 + step[i]] += shifts[1, i] * (normals[i] - shifts[1, i] / 2.0)
    out[0] = plain
    out[1] = (1.0 - plain) / 2.0 * math.exp(min(out[1], 700.0))
    for k in range(2, len(out)):
        out[k] = (1.0 - plain) / (2.0 * (len(out) - 2)) * math.exp(min(out[k], 700.0))


def _all_chances(normals: FloatArray, shifts: FloatArray, step: IntArray, plain: float, out: FloatArray) -> None:
    for path in range(len(out)):
        _chances(normals[path], shifts, step, plain, out[path])


def _move(
    normals: FloatArray, choice: FloatArray, shifts: FloatArray, step: IntArray, plain: float, weights: FloatArray
) -> None:
    steps = max(step.max(), 0) + 1
    chances = np.empty(2 + steps)
    half = plain + (1.0 - plain) / 2.0
    for path in range(len(weights)):
        chosen = min(int((choice[path] - half) / (1.0 - half) * steps), steps - 1)
        for i in range(len(step)):
            if choice[path] >= half:
                if step[i] == chosen:
                    normals[path, i] += shifts[1, i]
            elif choice[path] >= plain:
                normals[path, i] += shifts[0, i]
        _chances(normals[path], shifts, step, plain, chances)
        weights[path] = 1.0 / chances.sum()


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
    tilt = _first_guess(model, losses, numbers.uniforms(0, paths, model.dimension), output)
    for number in range(1, rounds):
        uniforms, weights = tilt.moved(numbers.uniforms(number * paths, paths, model.dimension + 1))
        found = losses(model.prices(uniforms))[:, output]
        beyond = np.maximum(found - Sample(found, weights).edge(1.0 - level), 0.0) * weights
        if beyond.any():
            tilt = _improved(tilt, uniforms[beyond > 0], beyond[beyond > 0], model.labels)
    return tilt


def _first_guess(model: PriceModel, losses: Losses, uniforms: FloatArray, output: int) -> Tilt:
    from scipy.special import ndtr, ndtri

    for wider in (1.0, 2.0, 4.0, 8.0):
        normals = wider * ndtri(uniforms)
        found = losses(model.prices(np.clip(ndtr(normals), TINY, 1.0 - TINY)))[:, output]
        if (found > 0.0).any():
            break
    else:
        raise InputError(f"none of {len(uniforms):,} pilot paths has a loss, so there is no tail to draw from")
    beyond = np.maximum(found - Sample(found).edge(0.02), 0.0)
    beyond = beyond if beyond.any() else found
    normals, weights = normals[beyond > 0], beyond[beyond > 0]
    step = _steps(model.labels)
    even = _means(normals, np.tile(weights[:, None], (1, int(step.max(initial=0)) + 1)), model.labels, step)
    # what one step did is looked for in the one that went furthest that way
    along = np.stack([normals[:, step == k] @ even[step == k] for k in range(int(step.max(initial=0)) + 1)], axis=1)
    furthest = np.where(along == along.max(axis=1, keepdims=True), weights[:, None], 0.0)
    return Tilt(even, _means(normals, furthest, model.labels, step), step)


def _improved(tilt: Tilt, uniforms: FloatArray, weights: FloatArray, labels: IntArray) -> Tilt:
    """The tilt after a step of expectation and maximisation: which way each path of the tail is likely to have come,
    and the means of those that came each way."""
    from scipy.special import ndtri

    normals = ndtri(uniforms)
    ways = tilt.chances(normals)
    ways *= (weights / ways.sum(axis=1))[:, None]
    even, single = tilt.even, tilt.single
    if ways[:, 1].any():
        even = _means(normals, np.tile(ways[:, 1:2], (1, ways.shape[1] - 2)), labels, tilt.step)
    if ways[:, 2:].any():
        single = _means(normals, ways[:, 2:], labels, tilt.step)
    return Tilt(even, single, tilt.step)


def _steps(labels: IntArray) -> IntArray:
    """To which step each number belongs: a label comes once in every step."""
    out = np.full(len(labels), -1, dtype=np.int64)
    for label in np.unique(labels[labels >= 0]):
        out[labels == label] = np.arange((labels == label).sum())
    return out


def _means(normals: FloatArray, weights: FloatArray, labels: IntArray, step: IntArray) -> FloatArray:
    """Weighted mean of normal numbers, one for all with the same label; weights by path and step."""
    shift = np.zeros(len(labels))
    for label in np.unique(labels[labels >= 0]):
        columns = np.flatnonzero(labels == label)
        each = weights[:, step[columns]]
        shift[columns] = (each * normals[:, columns]).sum() / each.sum()
    return shift
