"""Who pays a reserve's realised deficit before its suppliers do: a safety module, the surplus, insurance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from simulator.losses.shocks import Cushion


class Borne(NamedTuple):
    """One loss, by who bears it, US dollars."""

    module_usd: float
    surplus_usd: float
    insurance_usd: float
    holders_usd: float


@dataclass
class Waterfall:
    """What is left of the cushions of one reserve; each loss takes of them in their order.

    Attributes
    ----------
    module_usd, surplus_usd, insurance_usd
        What each can still pay.
    cooldown_s
        From the first loss to when the module's stakers are gone, seconds; None if they stay.
    noticed_at
        When stakers gave notice, seconds since the start; None before the first loss.
    """

    module_usd: float = 0.0
    surplus_usd: float = 0.0
    insurance_usd: float = 0.0
    cooldown_s: float | None = None
    noticed_at: float | None = None

    @classmethod
    def of(cls, cushion: Cushion) -> Waterfall:
        """The cushions as they are before any loss."""
        return cls(cushion.module_usd * cushion.slash, cushion.surplus_usd, cushion.insurance_usd, cushion.cooldown_s)

    def left_usd(self, elapsed_s: float) -> float:
        """What all could still pay, so many seconds after the start."""
        return (0.0 if self._left(elapsed_s) else self.module_usd) + self.surplus_usd + self.insurance_usd

    def _left(self, elapsed_s: float) -> bool:
        """Whether the module's stakers are gone."""
        if self.cooldown_s is None or self.noticed_at is None:
            return False
        return elapsed_s - self.noticed_at >= self.cooldown_s

    def bear(self, loss_usd: float, elapsed_s: float) -> Borne:
        """Take a loss out of the cushions, so many seconds after the start."""
        if self.noticed_at is None:
            self.noticed_at = elapsed_s
        if self._left(elapsed_s):
            self.module_usd = 0.0
        module = min(loss_usd, self.module_usd)
        surplus = min(loss_usd - module, self.surplus_usd)
        insurance = min(loss_usd - module - surplus, self.insurance_usd)
        self.module_usd -= module
        self.surplus_usd -= surplus
        self.insurance_usd -= insurance
        return Borne(module, surplus, insurance, loss_usd - module - surplus - insurance)
