"""What became of one recorded case, in both number systems."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

RELATIVE_TOLERANCE = 1e-9
UNIT_TOLERANCE = 2


@dataclass(frozen=True)
class Outcome:
    """One case of a vector file.

    Attributes
    ----------
    case
        The case's id.
    mismatch
        Empty when the exact form gave every recorded integer and revert reason; else what differed.
    fast_error
        Largest error of the fast form, as a share of the amount or of the balance it is taken from, whichever is
        larger; 0 where it is within two of the smallest units.
    branch_margin
        Set when the fast form took another branch than the contract: the smallest relative distance between the two
        sides of a comparison that the exact form made. None when both took the same branches.
    """

    case: str
    mismatch: str = ""
    fast_error: float = 0.0
    branch_margin: float | None = None

    @property
    def passed(self) -> bool:
        """Exact to the unit, and the fast form as near as it has to be."""
        if self.mismatch:
            return False
        if self.branch_margin is not None:
            return self.branch_margin <= RELATIVE_TOLERANCE
        return self.fast_error <= RELATIVE_TOLERANCE


Document = dict[str, Any]
Checker = Callable[[Document], Iterator[Outcome]]


def relative_error(fast: float, exact: int, scale: int = 0) -> float:
    """Error of a fast amount against the larger of the exact amount and the balance it is taken from."""
    difference = abs(fast - exact)
    if difference <= UNIT_TOLERANCE:
        return 0.0
    return float(difference / max(abs(exact), abs(scale), 1))
