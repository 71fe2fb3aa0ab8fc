"""Stress grids: every combination of given moves, each a path without a probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from chain.errors import InputError
from simulator.estimate.models.model import FloatArray


def stress_grid(moves: Mapping[str, Sequence[float]], steps: int = 1) -> FloatArray:
    """All combinations of the assets' moves, reached evenly in logarithms.

    Parameters
    ----------
    moves
        Of each asset, as shares: ``{"WETH": [0, -0.2, -0.4], "CRV": [0, -0.5]}`` gives 6 paths.
    steps
        In which prices get there.

    Returns
    -------
    Prices relative to the start, shape (combinations, steps + 1, assets); the last asset's moves change fastest.

    Raises
    ------
    InputError
        If an asset has no moves, or one of -100 % or below.

    Examples
    --------
    >>> stress_grid({"WETH": [0.0, -0.5]})[:, -1, 0].tolist()
    [1.0, 0.5]
    """
    for asset, each in moves.items():
        if not each or not all(-1.0 < move < np.inf for move in each):
            raise InputError(f"the moves of {asset} are {list(each)}; give one or more, each above -1 (-0.4 is -40 %)")
    ends = 1.0 + np.array(list(product(*moves.values())), dtype=np.float64)
    shares = np.linspace(0.0, 1.0, steps + 1)
    return np.asarray(ends[:, None, :] ** shares[None, :, None])
