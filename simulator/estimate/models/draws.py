"""The uniform numbers that paths are made of; those of a path depend on nothing but the seed and the path's index.

Any chunk of paths can so be made anywhere, in any order, and is the same to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from chain.errors import InputError

FloatArray = npt.NDArray[np.float64]

_WORDS = 4
"""64-bit numbers that Philox makes of one value of its counter."""
_SOBOL_BITS = 30
_HALF_CELL = 2.0 ** -(_SOBOL_BITS + 1)
"""Points are moved to the middle of their cells, since a corner may be 0."""
_SOBOL_DIMENSIONS = 21_201
"""As many directions as Joe and Kuo (2008) have tabulated and SciPy holds."""


class Draws(Protocol):
    """Uniform numbers by path.

    Attributes
    ----------
    cluster
        Paths in a row, from a multiple of it on, that depend on one another; 1 if none do.
    replicate
        Paths in a row that form one randomised point set, of which several are independent; 0 if paths are drawn at
        random.
    """

    @property
    def cluster(self) -> int: ...

    @property
    def replicate(self) -> int: ...

    def uniforms(self, first: int, count: int, dimension: int) -> FloatArray:
        """Numbers of paths `first` to `first + count - 1`: shape (count, dimension), strictly between 0 and 1."""


@dataclass(frozen=True)
class Independent:
    """Independent paths: Philox (Salmon et al. 2011), its counter set to the path's place."""

    seed: int
    cluster: int = 1
    replicate: int = 0

    def uniforms(self, first: int, count: int, dimension: int) -> FloatArray:
        """Numbers of paths; see `Draws`."""
        blocks = -(-dimension // _WORDS)
        key = np.random.SeedSequence(self.seed).generate_state(2, np.uint64)
        raw = np.random.Philox(key=key, counter=first * blocks).random_raw(count * blocks * _WORDS)
        # 52 bits and a half, so that neither 0 nor 1 comes up and one less a number is exact
        numbers = ((raw >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
        return np.ascontiguousarray(numbers.reshape(count, blocks * _WORDS)[:, :dimension])


@dataclass(frozen=True)
class Antithetic:
    """Pairs of paths: the second of a pair has one less each number of the first (Hammersley and Morton 1956)."""

    seed: int
    cluster: int = 2
    replicate: int = 0

    def uniforms(self, first: int, count: int, dimension: int) -> FloatArray:
        """Numbers of paths; see `Draws`."""
        pair, end = first // 2, (first + count + 1) // 2
        numbers = Independent(self.seed).uniforms(pair, end - pair, dimension)
        both = np.stack([numbers, 1.0 - numbers], axis=1).reshape(-1, dimension)
        return both[first - 2 * pair :][:count]


@dataclass(frozen=True)
class Sobol:
    """Scrambled Sobol points (Owen's randomisation by `scipy.stats.qmc`), in independent replicates.

    Parameters
    ----------
    seed
        Each replicate has a scrambling of its own, by the seed and the replicate's number.
    replicate
        Points in one replicate, a power of two; the sequence is balanced at no other size.

    Raises
    ------
    InputError
        If the number of points is not a power of two, or paths need more numbers than there are directions.
    """

    seed: int
    replicate: int
    cluster: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.replicate <= 2**_SOBOL_BITS or self.replicate & (self.replicate - 1):
            raise InputError(f"a replicate of Sobol points has a power of two of them, not {self.replicate}")

    def uniforms(self, first: int, count: int, dimension: int) -> FloatArray:
        """Numbers of paths; see `Draws`."""
        from scipy.stats import qmc

        if dimension > _SOBOL_DIMENSIONS:
            raise InputError(
                f"a path of this model needs {dimension:,} numbers, and Sobol points have {_SOBOL_DIMENSIONS:,}; "
                "take fewer steps or independent paths"
            )
        parts = []
        while count > 0:
            number, place = divmod(first, self.replicate)
            taken = min(count, self.replicate - place)
            rng = np.random.default_rng(np.random.SeedSequence([self.seed, number]))
            engine = qmc.Sobol(dimension, scramble=True, bits=_SOBOL_BITS, rng=rng)
            if place:
                engine.fast_forward(place)
            # the first by itself, or SciPy asks for a power of two of points in the first chunk; a replicate has that
            parts += [engine.random(points) + _HALF_CELL for points in ((taken,) if place else (1, taken - 1))]
            first, count = first + taken, count - taken
        return np.concatenate(parts) if parts else np.empty((0, dimension))
