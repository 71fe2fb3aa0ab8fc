"""Positions as float64 arrays, kept in step with the exact ones entry by entry."""

from __future__ import annotations

import numpy as np

from protocols.lending.compound_v2.balances import exchange_rate
from protocols.lending.compound_v2.state import Markets, Pools, Positions
from protocols.lending.interface import Exposures


class View:
    """A market's positions; what time changes is taken from the markets when asked.

    Parameters
    ----------
    markets, pools, positions
        Exact state; balances are taken over, and again by :meth:`refresh`.
    """

    def __init__(self, markets: Markets, pools: Pools, positions: Positions) -> None:
        self._positions = positions
        self._offsets = np.array(positions.offsets, dtype=np.int64)
        self._market = np.array(positions.market, dtype=np.int64)
        self._unit = np.array([float(unit) for unit in markets.unit])
        pool = np.repeat(np.array(positions.pool, dtype=np.int64), np.diff(self._offsets))
        entered = np.array(positions.entered, dtype=np.float64)
        threshold, ltv, incentive = (
            np.array([[float(value) for value in row] for row in table]).reshape(len(table), -1) / 1e18
            for table in (pools.threshold_wad, pools.ltv_wad, pools.incentive_wad)
        )
        self._threshold = threshold[pool, self._market] * entered
        self._ltv = ltv[pool, self._market] * entered
        self._bonus = incentive[pool, self._market]
        self._claims = np.array([float(claims) for claims in positions.claims])
        self._principal = np.zeros(len(self._market))
        for entry in range(len(self._market)):
            self.refresh(entry)

    def refresh(self, entry: int) -> None:
        """Take over an entry that has changed."""
        self._claims[entry] = float(self._positions.claims[entry])
        principal = self._positions.principal_raw[entry]
        self._principal[entry] = principal / self._positions.snapshot_index_wad[entry] if principal else 0.0

    def exposures(self, markets: Markets) -> Exposures:
        """The positions as the markets' numbers have them."""
        rate = np.array([exchange_rate(markets, m) / 10**18 for m in range(len(self._unit))]) / self._unit
        index = np.array([float(index) for index in markets.index_wad]) / self._unit
        return Exposures(
            self._offsets,
            self._market,
            self._claims * rate[self._market],
            self._principal * index[self._market],
            self._threshold,
            self._ltv,
            self._bonus,
        )
