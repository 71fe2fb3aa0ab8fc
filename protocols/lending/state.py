"""State as named tuples of columns, which rules change in place: the same in both number systems.

In the exact form a column is a list of ints (or bools), in the fast form a float64 (or bool, or int64) array.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Column = Any
"""A list in the exact form, an array in the fast form."""

State = TypeVar("State", bound=tuple[Any, ...])


def arrays(state: State, rows: Collection[str]) -> State:
    """A copy of exact state for compiled rules: columns as arrays, and numbers that stand alone as floats.

    Parameters
    ----------
    rows
        Fields that say where in a column to look, and so stay whole numbers.
    """

    def form(name: str, values: Any) -> Any:
        flags = np.array(values).dtype == np.bool_
        array: npt.NDArray[Any] = np.array(values, np.int64 if name in rows else np.bool_ if flags else np.float64)
        return array if array.ndim else array.item()

    fields = state._fields  # type: ignore[attr-defined]
    return type(state)(*(form(name, values) for name, values in zip(fields, state, strict=True)))


def copied(state: State) -> State:
    """A copy of exact state whose columns can be changed without changing these."""
    return type(state)(*(list(values) if isinstance(values, list) else values for values in state))
