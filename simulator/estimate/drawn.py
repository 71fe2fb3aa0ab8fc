"""Where the paths of an estimate came from."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.estimate.importance import Losses, Tilt, sample_paths
from simulator.estimate.models.draws import Draws
from simulator.estimate.models.model import FloatArray, PriceModel


@dataclass(frozen=True)
class Drawn:
    """How the paths of an estimate were drawn and what was lost on them: enough to do any of them again."""

    model: PriceModel
    losses: Losses
    draws: Draws
    tilt: Tilt | None

    def path(self, number: int) -> FloatArray:
        """Prices relative to the start, shape (1, steps + 1, assets)."""
        return sample_paths(self.model, self.draws, number, 1, self.tilt)[0]
