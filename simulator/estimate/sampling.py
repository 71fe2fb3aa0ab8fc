"""Which random paths are asked for: of what model, how many, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from chain.errors import InputError
from simulator.estimate.drawn import HELD, Source
from simulator.estimate.importance import Losses, choose_tilt
from simulator.estimate.models.draws import Antithetic, Draws, Independent, Sobol
from simulator.estimate.models.model import PriceModel
from simulator.estimate.statistics import LEVELS

Sampling = Literal["independent", "antithetic", "sobol", "importance"]
REPLICATES = 16
"""Of Sobol points, for the error; Student's t with 15 degrees of freedom is 9 % wider than the normal interval."""


@dataclass(frozen=True)
class Experiment:
    """Random paths as they are asked for.

    Parameters
    ----------
    model
        It says how many steps paths have, and how long.
    paths
        How many; for Sobol points 16 times a power of two.
    seed
        Of their numbers.
    sampling
        How they are drawn.
    """

    model: PriceModel
    paths: int
    seed: int = 0
    sampling: Sampling = "independent"

    @property
    def facts(self) -> dict[str, Any]:
        """All of it but the model's parameters, as JSON values."""
        return {
            "model": type(self.model).__name__,
            "assets": list(self.model.assets),
            "steps": self.model.steps,
            "step_s": self.model.step_s,
            "paths": self.paths,
            "seed": self.seed,
            "sampling": self.sampling,
        }

    def source(self, losses: Losses, level: float = max(LEVELS)) -> Source:
        """Where the paths come from.

        Parameters
        ----------
        losses, level
            Only for importance sampling, which serves the expected shortfall at that level of the first output.

        Raises
        ------
        InputError
            If paths are not drawn in that way, or not so many; or there is no loss for importance sampling to serve.
        """
        draws = self._draws()
        if self.sampling != "importance":
            return Source(self.model, draws)
        # pilot runs must not share their numbers with the estimate
        pilot = int(np.random.SeedSequence([self.seed, 1]).generate_state(1, np.uint64)[0])
        each = max(1_000, min(10_000, 4 * HELD // max(self.model.dimension, 1)))
        return Source(self.model, draws, choose_tilt(self.model, losses, pilot, level=level, paths=each))

    def _draws(self) -> Draws:
        if self.paths < 1:
            raise InputError(f"the number of paths must be 1 or more, not {self.paths}")
        if self.sampling not in get_args(Sampling):
            raise InputError(f"paths are drawn {', '.join(get_args(Sampling))}; not {self.sampling}")
        if self.sampling == "antithetic":
            if self.paths % 2:
                raise InputError(f"antithetic paths come in pairs; take {self.paths + 1} instead of {self.paths}")
            return Antithetic(self.seed)
        if self.sampling == "sobol":
            each = self.paths // REPLICATES
            if self.paths % REPLICATES or each & (each - 1):
                near = REPLICATES << max(each - 1, 0).bit_length()
                raise InputError(
                    f"Sobol paths are {REPLICATES} times a power of two; take {near} instead of {self.paths}"
                )
            return Sobol(self.seed, each)
        return Independent(self.seed)
