"""What a caller hands over, checked and brought to one form: float64, dense or compressed by rows."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from chain.errors import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Matrix: TypeAlias = Any
"""A dense float64 array or a `scipy.sparse.csr_array`, for which SciPy declares no types."""


def amounts(name: str, given: Any) -> Matrix:
    """A matrix of finite amounts, none negative.

    Parameters
    ----------
    name
        What messages call it.
    given
        Shape (rows, columns): anything NumPy takes, or a SciPy sparse matrix or array of any format.

    Raises
    ------
    InputError
        If it has another shape, or an entry that is negative or not finite.
    """
    matrix: Matrix
    if sparse.issparse(given):
        matrix = sparse.csr_array(given, dtype=np.float64, copy=True)
        matrix.sum_duplicates()
        entries = matrix.data
    else:
        entries = matrix = np.array(given, dtype=np.float64)
    if matrix.ndim != 2:
        raise InputError(f"{name} must have rows and columns, not shape {matrix.shape}")
    _refuse_bad(name, entries)
    return matrix


def among(name: str, given: Any) -> Matrix:
    """Amounts between the nodes of one network: square, and nothing between a node and itself.

    Raises
    ------
    InputError
        See `amounts`; or if it is not square, or its diagonal is not zero.
    """
    matrix = amounts(name, given)
    if matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"{name} must have a row and a column for each node, not shape {matrix.shape}")
    own = np.flatnonzero(matrix.diagonal())
    if len(own):
        raise InputError(f"{name}: node {own[0]} has an entry with itself; leave claims on oneself out")
    return matrix


def vector(name: str, given: Any, size: int) -> FloatArray:
    """One finite number for each node, none negative; a scalar counts for all.

    Raises
    ------
    InputError
        If it has another length, or an entry that is negative or not finite.
    """
    values = np.array(given, dtype=np.float64)
    if values.ndim == 0:
        values = np.full(size, values)
    if values.shape != (size,):
        raise InputError(f"{name} must have {size} entries, one for each row of the matrix, not shape {values.shape}")
    _refuse_bad(name, values)
    return values


def fraction(name: str, given: float) -> float:
    """A number from 0 to 1.

    Raises
    ------
    InputError
        If it is not.
    """
    if not 0.0 <= given <= 1.0:
        raise InputError(f"{name} must be from 0 to 1, not {given}")
    return float(given)


def scaled_rows(matrix: Matrix, factors: FloatArray) -> Matrix:
    """The matrix with each row times its factor."""
    return sparse.diags_array(factors) @ matrix if sparse.issparse(matrix) else factors[:, None] * matrix


def _refuse_bad(name: str, entries: FloatArray) -> None:
    bad = entries[~(np.isfinite(entries) & (entries >= 0.0))]
    if bad.size:
        raise InputError(f"{name} must hold finite numbers of at least 0, not {bad.flat[0]}")
