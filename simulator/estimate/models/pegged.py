"""Assets that are held to a peg, and leave it: stablecoins, staked and wrapped tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from protocols import compiled
from simulator.estimate.models.model import LARGEST_LOG, FloatArray, IntArray, PriceModel, repeated
from simulator.estimate.models.series import Series

DOLLAR = "USD"
"""The peg of an asset that is to be worth a dollar."""
_THRESHOLD = 4.0
"""Robust standard deviations from which on a move of the gap is taken for a jump; normal moves get there once in
16,000 steps."""


@dataclass(frozen=True)
class Gap:
    """How the logarithm of an asset's price over its peg moves in a step: x_next = persistence x x + noise + jump.

    An Ornstein-Uhlenbeck process with jumps (Cartea and Figueroa 2005, *Applied Mathematical Finance* 12), whose jumps
    either way have exponential sizes (Kou 2002, *Management Science* 48), in its exact discrete form, with at most one
    jump in a step. A gap that opens closes again: what never comes back (a stablecoin that dies) is a matter for
    stress grids.

    Attributes
    ----------
    start
        The gap now.
    level
        The gap to which it returns; a claim that accrues has moved its peg by that.
    persistence
        Share of the distance from `level` that is left after a step, from 0 to 1.
    noise
        Standard deviation of a step's moves without jumps.
    fall_chance, fall, rise_chance, rise
        Chance of a jump down and up in a step, and their mean sizes.
    """

    start: float
    level: float
    persistence: float
    noise: float
    fall_chance: float
    fall: float
    rise_chance: float
    rise: float

    @classmethod
    def fit(cls, gaps: FloatArray, asset: str) -> Gap:
        """From a series of gaps, shape (rows,): a regression on the gap before, and a threshold for what is left
        (Mancini 2009, *Scandinavian J. of Statistics* 36).

        The distance between gaps and their median is regressed without the jumps.

        Raises
        ------
        InputError
            If the gap never moves.
        """
        level = float(np.median(gaps))
        before, after = gaps[:-1] - level, gaps[1:] - level
        if np.ptp(gaps) == 0.0:
            raise InputError(f"{asset} never leaves its peg in the series; let it follow the peg instead")
        jumps = np.zeros(len(before), dtype=bool)
        persistence = 0.0
        # the first round counts jumps in, and so has a worse slope
        for _ in range(3):
            calm = ~jumps
            persistence = float(np.clip((before[calm] @ after[calm]) / (before[calm] @ before[calm]), 0.0, 1.0))
            left = after - persistence * before
            spread = 1.4826 * float(np.median(np.abs(left)))
            # a gap that stands still most of the time has no median move
            spread = spread if spread > 0 else float(left.std())
            jumps = np.abs(left) > _THRESHOLD * spread
        falls, rises = -left[jumps & (left < 0)], left[jumps & (left > 0)]
        return cls(
            start=float(gaps[-1]),
            level=level,
            persistence=persistence,
            noise=float(left[~jumps].std()),
            fall_chance=len(falls) / len(left),
            fall=float(falls.mean()) if len(falls) else 0.0,
            rise_chance=len(rises) / len(left),
            rise=float(rises.mean()) if len(rises) else 0.0,
        )


@dataclass(frozen=True)
class Pegged:
    """Another model's assets, and assets that are pegged to one of them or to the dollar.

    Parameters
    ----------
    base
        Model of all assets that are not pegged. Its numbers come first in a path's.
    pegs
        Peg of each pegged asset: one of the base's assets, or `DOLLAR`.
    gaps
        Of each pegged asset.

    Raises
    ------
    InputError
        If a peg is no asset of the base, or an asset is in the base as well.
    """

    base: PriceModel
    pegs: Mapping[str, str]
    gaps: Mapping[str, Gap]

    def __post_init__(self) -> None:
        for asset, peg in self.pegs.items():
            if asset in self.base.assets:
                raise InputError(f"{asset} is pegged to {peg} and has a price of its own as well; keep one")
            if peg != DOLLAR and peg not in self.base.assets:
                known = ", ".join([*self.base.assets, DOLLAR])
                raise InputError(f"{asset} is pegged to {peg}, which is none of {known}")

    @classmethod
    def fit(cls, base: PriceModel, series: Series, pegs: Mapping[str, str]) -> Pegged:
        """Gaps from a series that has the pegged assets and their pegs.

        Raises
        ------
        InputError
            If the series' interval is not the base's, or it lacks an asset, or one never leaves its peg.
        """
        if series.step_s != base.step_s:
            raise InputError(
                f"the series has a row every {series.step_s:g} s, and the model steps of {base.step_s:g} s"
            )
        logs = np.log(series.prices)
        gaps = {}
        for asset, peg in pegs.items():
            against = np.zeros(len(logs)) if peg == DOLLAR else logs[:, series.column(peg)]
            gaps[asset] = Gap.fit(logs[:, series.column(asset)] - against, asset)
        return cls(base, pegs, gaps)

    @property
    def assets(self) -> tuple[str, ...]:
        """Those of the base, then the pegged."""
        return (*self.base.assets, *self.pegs)

    @property
    def steps(self) -> int:
        """Those of the base."""
        return self.base.steps

    @property
    def step_s(self) -> float:
        """That of the base."""
        return self.base.step_s

    @property
    def dimension(self) -> int:
        """The base's numbers, then in each step two for each pegged asset: its noise and its jump."""
        return self.base.dimension + 2 * self.steps * len(self.pegs)

    @property
    def labels(self) -> IntArray:
        """The base's, and one for each of the two numbers of a pegged asset."""
        own = int(self.base.labels.max(initial=-1)) + 1
        return np.concatenate([self.base.labels, own + repeated(list(range(2 * len(self.pegs))), self.steps)])

    def prices(self, uniforms: FloatArray) -> FloatArray:
        """Prices relative to the start; see `PriceModel`."""
        from scipy.special import ndtri

        count, free, pegged = len(uniforms), len(self.base.assets), len(self.pegs)
        out = np.empty((count, self.steps + 1, free + pegged))
        out[:, :, :free] = self.base.prices(np.ascontiguousarray(uniforms[:, : self.base.dimension]))
        numbers = uniforms[:, self.base.dimension :].reshape(count, self.steps, pegged, 2)
        peg = [-1 if name == DOLLAR else self.base.assets.index(name) for name in self.pegs.values()]
        names = ("start", "level", "persistence", "noise", "fall_chance", "fall", "rise_chance", "rise")
        compiled.fast(_open_gaps, nogil=True)(
            ndtri(numbers[..., 0]),
            np.ascontiguousarray(numbers[..., 1]),
            np.array(peg, dtype=np.int64),
            np.array([[getattr(self.gaps[asset], name) for name in names] for asset in self.pegs]).reshape(pegged, 8),
            LARGEST_LOG,
            out,
        )
        return out


def _open_gaps(
    normals: FloatArray,
    jumps: FloatArray,
    peg: npt.NDArray[np.int64],
    parameters: FloatArray,
    most: float,
    out: FloatArray,
) -> None:
    paths, steps, pegged = normals.shape
    free = out.shape[2] - pegged
    for path in range(paths):
        for asset in range(pegged):
            start, level, persistence, noise, fall_chance, fall, rise_chance, rise = parameters[asset]
            gap = start - level
            out[path, 0, free + asset] = 1.0
            for step in range(steps):
                gap = persistence * gap + noise * normals[path, step, asset]
                # the smallest numbers are the largest falls, and the largest the largest rises
                number = jumps[path, step, asset]
                if number < fall_chance:
                    gap += fall * math.log(number / fall_chance)
                elif 1.0 - number < rise_chance:
                    gap -= rise * math.log((1.0 - number) / rise_chance)
                value = math.exp(min(max(gap + level - start, -most), most))
                if peg[asset] >= 0:
                    value *= out[path, step + 1, peg[asset]]
                out[path, step + 1, free + asset] = value
