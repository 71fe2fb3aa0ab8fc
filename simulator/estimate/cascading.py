"""A small book that cascades: five assets, accounts that borrow dollars against them, and sales that move prices.

Made by hand to try methods on, not after any market. Every account below its threshold is liquidated and its collateral
sold; what is sold moves its asset's price down, by an exponential law as Cifuentes, Ferrucci and Shin (2005) have it;
which takes more accounts below. What remains of debts at the final prices is economic bad debt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from protocols import compiled
from simulator.estimate.models.model import FloatArray
from simulator.estimate.models.student import GroupedT

IntArray = npt.NDArray[np.int64]
ASSETS = ("first", "second", "third", "fourth", "fifth")


@dataclass(frozen=True)
class CascadingBook:
    """Accounts with one collateral and dollars of debt each.

    Attributes
    ----------
    asset
        Shape (accounts,): which collateral.
    collateral_usd, debt_usd
        Shape (accounts,): at the start.
    threshold, bonus
        Liquidation threshold, and bonus (1.05 = 5 %), of every account.
    depth_usd
        Shape (assets,): dollars at starting prices whose sale moves a price by one in logarithms.
    """

    asset: IntArray
    collateral_usd: FloatArray
    debt_usd: FloatArray
    threshold: float
    bonus: float
    depth_usd: FloatArray

    @classmethod
    def by_hand(cls, accounts_each: int = 12) -> CascadingBook:
        """Loan-to-values from 40 to 76 % for every asset, large accounts the more careful ones."""
        loan_to_value = np.tile(np.linspace(0.40, 0.76, accounts_each), len(ASSETS))
        asset = np.repeat(np.arange(len(ASSETS)), accounts_each)
        collateral = np.array([5.0, 4.0, 3.0, 2.0, 1.0])[asset] * 1e6 * (1.2 - loan_to_value)
        depth = np.array([60.0, 40.0, 25.0, 15.0, 6.0]) * 1e6
        return cls(asset, collateral, collateral * loan_to_value, 0.80, 1.05, depth)

    def model(self, steps: int = 1) -> GroupedT:
        """One day in so many steps, each with four degrees of freedom; scales from 3 to 6 % a day, correlations of a
        half."""
        correlation = np.full((len(ASSETS), len(ASSETS)), 0.5) + 0.5 * np.eye(len(ASSETS))
        scale = np.array([0.03, 0.035, 0.04, 0.05, 0.06])
        freedom = np.full(len(ASSETS), 4.0)
        return GroupedT(ASSETS, steps, 86_400.0 / steps, correlation, scale / math.sqrt(steps), freedom)

    def losses(self, prices: FloatArray) -> FloatArray:
        """Economic bad debt at the end of each path after the cascade, shape (paths, 1)."""
        out = np.empty((len(prices), 1))
        compiled.fast(_cascade, nogil=True)(
            np.ascontiguousarray(prices[:, -1, :]),
            self.asset,
            self.collateral_usd,
            self.debt_usd,
            self.threshold,
            self.bonus,
            self.depth_usd,
            out[:, 0],
        )
        return out


def _cascade(
    prices: FloatArray,
    asset: IntArray,
    collateral: FloatArray,
    debt: FloatArray,
    threshold: float,
    bonus: float,
    depth: FloatArray,
    out: FloatArray,
) -> None:
    paths, assets = prices.shape
    accounts = len(asset)
    liquidated = np.empty(accounts, dtype=np.bool_)
    impact = np.empty(assets)
    for path in range(paths):
        liquidated[:] = False
        impact[:] = 0.0
        more = True
        while more:
            more = False
            for account in range(accounts):
                at = asset[account]
                price = prices[path, at] * math.exp(-impact[at])
                if not liquidated[account] and collateral[account] * price * threshold < debt[account]:
                    liquidated[account] = True
                    impact[at] += collateral[account] / depth[at]
                    more = True
        lost = 0.0
        for account in range(accounts):
            at = asset[account]
            price = prices[path, at] * math.exp(-impact[at])
            lost += max(0.0, debt[account] - collateral[account] * price / bonus)
        out[path] = lost
