"""How far a price falls on random paths, and what would have become of loans on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.estimate.models.model import FloatArray
from simulator.estimate.statistics import Estimate, Sample, probability, value_at_risk


def fall_within(ratio: FloatArray, steps: int, level: float) -> Estimate:
    """The fall over a number of steps that is exceeded with probability 1 - `level`.

    Parameters
    ----------
    ratio
        Shape (paths, steps + 1): price of the collateral in the debt's token, 1 at the start.
    """
    return value_at_risk(Sample(1.0 - ratio[:, steps]), level)


def deepest(ratio: FloatArray, level: float) -> Estimate:
    """The fall to the lowest point of a path that is exceeded with probability 1 - `level`."""
    return value_at_risk(Sample(1.0 - ratio.min(axis=1)), level)


def noise(ratio: FloatArray, steps: int) -> float:
    """Standard deviation of the logarithm of the price over a number of steps."""
    return float(np.log(ratio[:, steps]).std())


class Loans(NamedTuple):
    """What became of one loan at the maximum LTV on each path.

    Attributes
    ----------
    of, liquidated, lost
        Paths, those on which it was liquidated, and those on which that left bad debt.
    chance, chance_lost
        That it is liquidated, and that it leaves bad debt.
    """

    of: int
    liquidated: int
    lost: int
    chance: Estimate
    chance_lost: Estimate


def loans(ratio: FloatArray, ltv: float, threshold: float, bonus: float, steps: int) -> Loans:
    """Loans that are liquidated as a whole, so many steps after the last at which they were healthy.

    Parameters
    ----------
    ratio
        As :func:`fall_within` takes it. A liquidation that would come after the end of a path comes at its end.
    ltv
        Debt over collateral at the start.
    threshold, bonus
        Liquidation threshold and bonus, shares.
    steps
        From a healthy loan to its liquidation, 1 or more.
    """
    unhealthy = ratio * threshold < ltv
    hit = unhealthy.any(axis=1)
    when = np.minimum(unhealthy.argmax(axis=1) + steps - 1, ratio.shape[1] - 1)
    short = ratio[np.arange(len(ratio)), when] < ltv * (1.0 + bonus)
    chances = [probability(Sample(np.asarray(event, dtype=np.float64))) for event in (hit, hit & short)]
    return Loans(len(ratio), int(hit.sum()), int((hit & short).sum()), *chances)
