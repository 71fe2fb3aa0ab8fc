"""Where the paths of an estimate come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.estimate.importance import Losses, Tilt
from simulator.estimate.models.draws import Draws
from simulator.estimate.models.model import FloatArray, PriceModel

HELD = 2**21
"""Uniform numbers of the paths that are held at once by a worker, 16 MiB."""


@dataclass(frozen=True)
class Source:
    """Where paths come from: any of them can be drawn at any time, anywhere, and is the same to the bit.

    Attributes
    ----------
    model
        Makes prices of uniform numbers.
    draws
        The numbers.
    tilt
        How they are moved by importance sampling; None otherwise.
    """

    model: PriceModel
    draws: Draws
    tilt: Tilt | None = None

    @property
    def at_once(self) -> int:
        """Paths that are best held at once, one or more."""
        return max(1, HELD // max(self.model.dimension, 1))

    def paths(self, first: int, count: int) -> tuple[FloatArray, FloatArray]:
        """Paths `first` to `first + count - 1` and their weights.

        Returns
        -------
        Prices relative to the start, shape (count, steps + 1, assets); weights, shape (count,), all 1 without a tilt.
        """
        dimension = self.model.dimension
        if self.tilt is None:
            return self.model.prices(self.draws.uniforms(first, count, dimension)), np.ones(count)
        uniforms, weights = self.tilt.moved(self.draws.uniforms(first, count, dimension + 1))
        return self.model.prices(uniforms), weights


@dataclass(frozen=True)
class Drawn:
    """Where the paths of an estimate came from and what is lost on them: enough to do any of them again."""

    source: Source
    losses: Losses
