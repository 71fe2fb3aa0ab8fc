"""What a shock does, and how much more of it does a damage, if liquidators act while prices get there.

What liquidators leave depends on the way and not on where it ends, so that prices take the horizon to get to a shock
here, each moving by the same share in every step. Where they are in time the damage is less than that of the book as it
stands; where what they sell moves prices it can be more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator.estimate.importance import Losses
from simulator.estimate.models.model import FloatArray
from simulator.estimate.rays import Rays
from simulator.scheduling import Pool

_HALVINGS = 12
"""To 8e-6 of the furthest multiple or better; a path with liquidators costs much more than a shock without."""


@dataclass(frozen=True)
class Liquidated:
    """What becomes of one shock.

    Attributes
    ----------
    losses_usd
        Shape (outputs,): bad debt at the shock.
    multiple
        The smallest multiple of the shock, in logarithms of prices, that does the damage; infinite where none does.
    furthest
        The multiple up to which was looked: the one at which the first price is a thousandth, or a thousand times, of
        what it was.
    """

    losses_usd: FloatArray
    multiple: float
    furthest: float

    def moves(self, shock: FloatArray) -> FloatArray | None:
        """Shares by which prices move at the multiple of a shock's; None where there is no multiple."""
        return np.expm1(self.multiple * np.log1p(shock)) if math.isfinite(self.multiple) else None


def liquidated(
    losses: Losses,
    shocks: FloatArray,
    outputs: int,
    target_usd: float,
    steps: int,
    doers: Pool,
    progress: Callable[[int], None] | None = None,
) -> list[Liquidated]:
    """What becomes of each shock.

    Parameters
    ----------
    losses
        With liquidators: such as `simulator.paths.losses.PathLosses`, at the end of paths.
    shocks
        Shape (shocks, assets): shares by which prices move.
    outputs
        How many of the losses, from the first, are wanted.
    target_usd
        The damage that a multiple is to do.
    steps
        Of the paths.
    doers
        Who runs them.
    progress
        Called with rounds done, of `rays.SCAN`.

    Notes
    -----
    The first multiple is looked for as `Rays.reach` does, in steps and then by halving, because damage need not rise
    with the multiple: a stretch that is thinner than a step can be missed.
    """
    rays = np.log1p(shocks)
    search = Rays(losses, np.eye(shocks.shape[1]), target_usd, doers, progress, steps, _HALVINGS)
    found, multiples, ends = search.losses_at(rays), search.reach(rays), search.ends(rays)
    return [Liquidated(found[i, :outputs], float(multiples[i]), float(ends[i])) for i in range(len(shocks))]
