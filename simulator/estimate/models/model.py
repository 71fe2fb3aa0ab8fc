"""What every price model answers, and what several of them share."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from chain.errors import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LARGEST_LOG = 20.0
"""Logarithm of a relative price beyond which none is told from it: a factor of 5e8 either way. Student's t has moves
that no float holds."""


class PriceModel(Protocol):
    """A map from uniform numbers to price paths.

    Attributes
    ----------
    assets
        What has a price, in the order of the last axis of paths.
    steps, step_s
        Number and length (seconds) of a path's steps.
    dimension
        Uniform numbers that a path takes. The smaller a number, the lower prices are wherever it has a direction.
    labels
        Shape (dimension,): numbers with the same label mean the same at different steps, so that importance sampling
        moves them together; -1 where a number is not to be moved.
    """

    @property
    def assets(self) -> tuple[str, ...]: ...

    @property
    def steps(self) -> int: ...

    @property
    def step_s(self) -> float: ...

    @property
    def dimension(self) -> int: ...

    @property
    def labels(self) -> IntArray: ...

    def prices(self, uniforms: FloatArray) -> FloatArray:
        """Prices relative to the start.

        Parameters
        ----------
        uniforms
            Shape (paths, dimension), strictly between 0 and 1.

        Returns
        -------
        Shape (paths, steps + 1, assets); 1 at the start.
        """


def root(covariance: FloatArray, what: str) -> FloatArray:
    """A lower triangular matrix whose product with its transpose is a covariance.

    A covariance that has an eigenvalue below zero, as one put together from pairs may have, gets it raised to nothing
    (Rebonato and Jaeckel 1999), and the variances are restored.

    Raises
    ------
    InputError
        If a variance is nothing or not a number; `what` says of what.
    """
    covariance = np.asarray(covariance, dtype=np.float64)
    variances = np.diag(covariance)
    if not np.isfinite(covariance).all() or (variances <= 0).any():
        raise InputError(f"{what}: an asset's price never moves, or its moves are no numbers; leave the asset out")
    scale = np.sqrt(variances)
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    spread = vectors * np.sqrt(np.maximum(values, 0.0))
    spread /= np.sqrt((spread**2).sum(axis=1, keepdims=True))
    lower = np.linalg.qr((spread * scale[:, None]).T)[1].T
    return np.ascontiguousarray(lower * np.where(np.diag(lower) < 0, -1.0, 1.0))


def repeated(labels: list[int], steps: int) -> IntArray:
    """The labels of one step, for every step."""
    return np.tile(np.array(labels, dtype=np.int64), steps)
