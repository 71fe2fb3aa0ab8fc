"""Networks that tests of contagion share: the published small ones, and random ones with many zeros and many ties."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

FloatArray = npt.NDArray[np.float64]

RING = np.array([[0.0, 4.0, 0.0], [0.0, 0.0, 3.0], [2.0, 0.0, 0.0]])
"""Liabilities of the three banks of a course by P. Barucca (eisenbergnoe, Exercise2.m on GitHub)."""
RING_ASSETS = np.array([20.0, 20.0, 10.0])
RING_SENIOR = np.array([17.0, 18.0, 8.0])
RING_EQUITIES = np.array([1.0, 3.0, 3.0])


class Network(NamedTuple):
    """Liabilities, external assets and senior liabilities."""

    liabilities: FloatArray
    assets: FloatArray
    senior: FloatArray


amounts = st.one_of(st.just(0.0), st.integers(0, 6).map(float), st.floats(0.0, 6.0))
"""Whole numbers often, so that sums are exact and nodes come to stand just at the edge of default."""


@st.composite
def matrices(draw: st.DrawFn, most: int = 5) -> FloatArray:
    """Amounts between two to `most` nodes."""
    size = draw(st.integers(2, most))
    rows = draw(st.lists(st.lists(amounts, min_size=size, max_size=size), min_size=size, max_size=size))
    matrix = np.array(rows)
    np.fill_diagonal(matrix, 0.0)
    return matrix


@st.composite
def networks(draw: st.DrawFn, most: int = 5) -> Network:
    """Two to `most` nodes that owe one another, and outsiders."""
    liabilities = draw(matrices(most))
    size = len(liabilities)
    vectors = st.lists(amounts, min_size=size, max_size=size).map(np.array)
    return Network(liabilities, draw(vectors), draw(st.one_of(st.just(np.zeros(size)), vectors)))
