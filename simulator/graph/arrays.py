"""Array types and the few operations that every part of the graph uses."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def sums(group: IntArray, values: FloatArray, groups: int) -> FloatArray:
    """Shape (groups,): the sum of the values of each group."""
    return np.bincount(group, weights=values, minlength=groups).astype(np.float64)


def joined(parts: Iterable[FloatArray]) -> FloatArray:
    """One array after the other; empty for none."""
    return np.concatenate([np.zeros(0), *parts])


def joined_rows(parts: Iterable[IntArray]) -> IntArray:
    """The same for row numbers."""
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Element by element; infinite over nothing, 0 for nothing over nothing."""
    otherwise = np.where(above > 0, np.inf, 0.0)
    return np.divide(above, below, out=otherwise, where=below > 0)
