"""Where a damage begins along rays that go out from no shock at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from operator import call

import numpy as np
import numpy.typing as npt

from simulator.estimate.importance import Losses
from simulator.estimate.models.model import FloatArray, IntArray
from simulator.scheduling import Pool, in_order

BoolArray = npt.NDArray[np.bool_]
LARGEST_LOG = math.log(1_000.0)
"""No price falls or rises further than to a thousandth, or by a factor of a thousand."""
SCAN = 64
"""Points at which a ray is looked at, and rounds that this takes."""


@dataclass
class Rays:
    """Looks for a damage along rays.

    Attributes
    ----------
    losses
        Of prices on the way to a shock, shape (shocks, steps + 1, assets); the damage is the first of them. Called by
        several threads at once.
    lower
        Shape (assets, assets): a point is a shock, in logarithms of relative prices, once this is applied to it.
    target_usd
        The damage.
    doers
        Who values shocks.
    progress
        Called with rounds done.
    steps
        In which prices get to a shock, each moving by the same share in every step.
    halvings
        Of the last step of a ray: how exactly the point is found.
    rounds
        That are done.
    most, most_at
        The largest damage of all points looked at, and where.
    """

    losses: Losses
    lower: FloatArray
    target_usd: float
    doers: Pool
    progress: Callable[[int], None] | None = None
    steps: int = 1
    halvings: int = 22
    rounds: int = 0
    most: float = 0.0

    def __post_init__(self) -> None:
        self.most_at = np.zeros(len(self.lower))

    def losses_at(self, points: FloatArray) -> FloatArray:
        """Shape (points, outputs)."""
        share = np.linspace(0.0, 1.0, self.steps + 1)
        prices = np.exp(share[:, None] * (points @ self.lower.T)[:, None, :])
        parts = np.array_split(prices, min(len(prices), self.doers.threads))
        return np.concatenate(in_order(self.doers.map(call, parts, self.losses)))

    def remembered(self, points: FloatArray) -> FloatArray:
        """Losses, of which the largest is kept; shape (points, outputs)."""
        found = self.losses_at(points)
        if found[:, 0].max() > self.most:
            largest = int(found[:, 0].argmax())
            self.most, self.most_at = float(found[largest, 0]), points[largest]
        return found

    def hit(self, points: FloatArray, bears: IntArray | None = None) -> BoolArray:
        """Whether points do the damage, and the market that is to bear most of it does; shape (points,)."""
        found = self.remembered(points)
        does = found[:, 0] >= self.target_usd
        return does if bears is None else does & (bearers(found) == bears)

    def ends(self, rays: FloatArray) -> FloatArray:
        """Where along each ray the first price gets to `LARGEST_LOG`."""
        return np.asarray(LARGEST_LOG / np.maximum(np.abs(rays @ self.lower.T).max(axis=1), 1e-300))

    def reach(self, rays: FloatArray, end: FloatArray | None = None, bears: IntArray | None = None) -> FloatArray:
        """How far along each ray, in its lengths, the first point is that does the damage; infinity if there is none.

        Parameters
        ----------
        rays
            Shape (rays, assets).
        end
            Where to stop, by ray; `ends` if absent.
        bears
            The market that is to bear most of it, by ray; any if absent.
        """
        if end is None:
            end = self.ends(rays)
        short, far = np.zeros(len(rays)), np.full(len(rays), np.inf)
        left = np.arange(len(rays))
        for step in range(1, SCAN + 1):
            self.tell()
            if len(left):
                at = end[left] * (step / SCAN) ** 2
                hit = self.hit(at[:, None] * rays[left], None if bears is None else bears[left])
                far[left[hit]] = at[hit]
                short[left[~hit]] = at[~hit]
                left = left[~hit]
        there = np.flatnonzero(np.isfinite(far))
        far[there] = self.halved(rays[there], short[there], far[there], None if bears is None else bears[there])
        return far

    def halved(self, rays: FloatArray, short: FloatArray, far: FloatArray, bears: IntArray | None = None) -> FloatArray:
        """A point between one that does not do the damage and one that does, and that does it just so."""
        for _ in range(self.halvings if len(rays) else 0):
            middle = (short + far) / 2.0
            hit = self.hit(middle[:, None] * rays, bears)
            short, far = np.where(hit, short, middle), np.where(hit, middle, far)
        return far

    def tell(self) -> None:
        """One more round is done."""
        self.rounds += 1
        if self.progress is not None:
            self.progress(self.rounds)


def bearers(losses: FloatArray) -> IntArray:
    """Which market bears most, by point; 0 if there are none but all together."""
    return losses[:, 1:].argmax(axis=1) if losses.shape[1] > 1 else np.zeros(len(losses), dtype=np.int64)
