"""Random positions as arrays, of any size, in a market of many reserves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from protocols.lending.interface import Exposures

FloatArray = npt.NDArray[np.float64]
BONUS = (1.0, 1.05, 1.1, 1.25)


def random_positions(seed: int, accounts: int = 300, reserves: int = 7, most: int = 9) -> tuple[Exposures, FloatArray]:
    """Accounts with none to `most` balances, and prices at which some are over the edge and some under water.

    Among them are accounts without debt, without collateral, with both in one reserve, with collateral that does not
    count, and with thresholds so high that they are under water before they are liquidatable.
    """
    draw = np.random.default_rng(seed)
    prices = np.exp(draw.normal(3.0, 3.0, reserves))
    held = [np.sort(draw.permutation(reserves)[: draw.integers(0, min(most, reserves) + 1)]) for _ in range(accounts)]
    reserve = np.concatenate([*held, np.empty(0, dtype=np.int64)]).astype(np.int64)
    size = len(reserve)
    threshold = np.where(draw.random(size) < 0.2, 0.0, draw.uniform(0.4, 0.97, size))
    worth = np.exp(draw.normal(6.0, 2.0, (2, size))) / prices[reserve]
    exposures = Exposures(
        offsets=np.cumsum([0, *map(len, held)], dtype=np.int64),
        reserve=reserve,
        supplied=np.where(draw.random(size) < 0.7, worth[0], 0.0),
        debt=np.where(draw.random(size) < 0.5, worth[1] * draw.uniform(0.1, 1.0), 0.0),
        threshold=threshold,
        ltv=threshold * 0.95,
        bonus=draw.choice(BONUS, size),
    )
    return exposures, prices
