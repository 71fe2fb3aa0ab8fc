"""A book whose distribution of bad debt is known: one account, one asset that follows geometric Brownian motion, and
nobody who liquidates.

The economic bad debt at the end is max(0, debt - collateral x price / bonus), a put option on the collateral. Its mean
is that of Black and Scholes (1973) without discounting, as Merton (1974) has it for a firm's debt; its quantiles follow
from those of the price, with which it falls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simulator.estimate.models.gbm import GBM
from simulator.estimate.models.model import FloatArray


@dataclass(frozen=True)
class OneAccount:
    """An account, in dollars at the start.

    Attributes
    ----------
    debt_usd, collateral_usd
        At the start; the debt stays as it is.
    bonus
        Liquidation bonus (1.05 = 5 %).
    volatility
        Standard deviation of the logarithm of the price at the end.
    """

    debt_usd: float
    collateral_usd: float
    bonus: float
    volatility: float

    def model(self) -> GBM:
        """The price, in one step of a day."""
        return GBM(("asset",), 1, 86_400.0, np.array([[self.volatility**2]]))

    def losses(self, prices: FloatArray) -> FloatArray:
        """Economic bad debt at the end of each path, shape (paths, 1)."""
        return np.asarray(np.maximum(0.0, self.debt_usd - self.recoverable_usd * prices[:, -1]))

    @property
    def recoverable_usd(self) -> float:
        """What a full liquidation at the start would repay."""
        return self.collateral_usd / self.bonus

    @property
    def mean(self) -> float:
        """Expected bad debt."""
        return self._below(math.log(self.debt_usd / self.recoverable_usd))

    def value_at_risk(self, level: float) -> float:
        """Quantile of the bad debt."""
        return max(0.0, self.debt_usd - self.recoverable_usd * math.exp(self._log_price(1.0 - level)))

    def expected_shortfall(self, level: float) -> float:
        """Mean of the worst bad debts."""
        edge = min(self._log_price(1.0 - level), math.log(self.debt_usd / self.recoverable_usd))
        return self._below(edge) / (1.0 - level)

    def standard_error(self, name: str, level: float, paths: int) -> float:
        """Asymptotic standard error of a statistic from independent paths, by its influence function; `name` as
        `statistics` has it."""
        from scipy.stats import norm

        if name == "mean":
            edge = math.log(self.debt_usd / self.recoverable_usd)
            variance = self._below_squared(edge) - self.mean**2
        elif name == "value at risk":
            z = float(norm.ppf(1.0 - level))
            # density of the loss at its quantile: the price's, over how fast the loss falls with the price's logarithm
            slope = self.recoverable_usd * math.exp(self._log_price(1.0 - level)) * self.volatility
            variance = level * (1.0 - level) * (slope / float(norm.pdf(z))) ** 2
        else:
            edge, quantile = self._log_price(1.0 - level), self.value_at_risk(level)
            first = self._below(edge) - quantile * (1.0 - level)
            second = self._below_squared(edge) - 2 * quantile * self._below(edge) + quantile**2 * (1.0 - level)
            variance = (second - first**2) / (1.0 - level) ** 2
        return math.sqrt(variance / paths)

    def _log_price(self, probability: float) -> float:
        from scipy.special import ndtri

        return float(self.volatility * ndtri(probability) - self.volatility**2 / 2)

    def _moment(self, edge: float, power: int) -> float:
        """E[price^power; log price < edge]."""
        from scipy.special import ndtr

        mean, spread = -(self.volatility**2) / 2, self.volatility
        scale = math.exp(power * mean + (power * spread) ** 2 / 2)
        return scale * float(ndtr((edge - mean) / spread - power * spread))

    def _below(self, edge: float) -> float:
        """E[debt - recoverable x price; log price < edge]."""
        return self.debt_usd * self._moment(edge, 0) - self.recoverable_usd * self._moment(edge, 1)

    def _below_squared(self, edge: float) -> float:
        """E[(debt - recoverable x price) squared; log price < edge]."""
        debt, worth = self.debt_usd, self.recoverable_usd
        moments = [self._moment(edge, power) for power in range(3)]
        return debt**2 * moments[0] - 2 * debt * worth * moments[1] + worth**2 * moments[2]
