"""The price paths of an audit: drawn once, and the same for every cell (common random numbers)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from operator import call

import numpy as np

from simulator.estimate.importance import Losses
from simulator.estimate.models.model import FloatArray
from simulator.estimate.sampling import Experiment
from simulator.estimate.statistics import Sample
from simulator.scheduling import Threads, in_order


@dataclass(frozen=True)
class Paths:
    """Paths, and how they were drawn.

    Attributes
    ----------
    prices
        Shape (paths, steps + 1, assets), relative to the start.
    weights
        Shape (paths,).
    cluster, replicate
        As `models.draws.Draws` has them.
    """

    prices: FloatArray
    weights: FloatArray
    cluster: int
    replicate: int

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it: names what every cell has seen."""
        digest = hashlib.sha256(f"{self.prices.shape} {self.cluster} {self.replicate}".encode())
        digest.update(self.prices.data)
        digest.update(self.weights.data)
        return digest.hexdigest()

    def losses(self, evaluate: Losses, threads: int = 1) -> FloatArray:
        """What each path loses, shape (paths, outputs), on so many threads."""
        parts = np.array_split(self.prices, min(len(self.prices), threads))
        return np.concatenate(in_order(Threads(threads).map(call, parts, evaluate)))

    def sample(self, losses: FloatArray) -> Sample:
        """The losses of one output, as a sample."""
        return Sample(np.ascontiguousarray(losses), self.weights, self.cluster, self.replicate)


def draw(experiment: Experiment, losses: Losses) -> Paths:
    """The paths on which `simulator.estimate.run.distribution` evaluates losses, to the bit.

    Parameters
    ----------
    experiment, losses
        As it takes them; the losses only say where importance sampling draws from.
    """
    source, model, paths = experiment.source(losses), experiment.model, experiment.paths
    prices, weights = np.empty((paths, model.steps + 1, len(model.assets))), np.empty(paths)
    for first in range(0, paths, source.at_once):
        end = min(first + source.at_once, paths)
        prices[first:end], weights[first:end] = source.paths(first, end - first)
    return Paths(prices, weights, source.draws.cluster, source.draws.replicate)
