"""One of every price model, made by hand, and series drawn from known laws."""

from __future__ import annotations

import numpy as np

from simulator.estimate.models.garch import GARCH
from simulator.estimate.models.gbm import GBM
from simulator.estimate.models.history import Bootstrap
from simulator.estimate.models.merton import Merton
from simulator.estimate.models.model import FloatArray, PriceModel
from simulator.estimate.models.pegged import DOLLAR, Gap, Pegged
from simulator.estimate.models.series import Series
from simulator.estimate.models.student import GroupedT

ASSETS = ("WETH", "CRV", "WBTC")
STEPS = 5
HOUR_S = 3600.0
CORRELATION = np.array([[1.0, 0.6, 0.8], [0.6, 1.0, 0.5], [0.8, 0.5, 1.0]])
SIGMA = np.array([0.010, 0.025, 0.008])
COVARIANCE = CORRELATION * np.outer(SIGMA, SIGMA)
GAP = Gap(
    start=-0.01, level=0.002, persistence=0.9, noise=0.001, fall_chance=0.02, fall=0.03, rise_chance=0.01, rise=0.02
)


def gbm(steps: int = STEPS) -> GBM:
    return GBM(ASSETS, steps, HOUR_S, COVARIANCE)


def student(steps: int = STEPS) -> GroupedT:
    return GroupedT(ASSETS, steps, HOUR_S, CORRELATION, SIGMA, np.array([4.0, 3.0, 4.0]))


def merton(steps: int = STEPS) -> Merton:
    return Merton(ASSETS, steps, HOUR_S, COVARIANCE, 0.1, np.array([-0.05, -0.1, -0.04]), 4.0 * COVARIANCE)


def garch(steps: int = STEPS) -> GARCH:
    variance = SIGMA**2
    return GARCH(
        ASSETS, steps, HOUR_S, 0.05 * variance, np.full(3, 0.1), np.full(3, 0.85), 2.0 * variance, CORRELATION, 5.0
    )


def bootstrap(steps: int = STEPS) -> Bootstrap:
    return Bootstrap(series_of(gbm(400)), steps, 3.0)


def pegged(steps: int = STEPS) -> Pegged:
    return Pegged(gbm(steps), {"stETH": "WETH", "USDC": DOLLAR}, {"stETH": GAP, "USDC": GAP})


def uniforms(paths: int, dimension: int, seed: int = 7) -> FloatArray:
    from simulator.estimate.models.draws import Independent

    return Independent(seed).uniforms(0, paths, dimension)


def series_of(model: PriceModel, seed: int = 11) -> Series:
    """One long path of a model, as a user's series would be."""
    path = model.prices(uniforms(1, model.dimension, seed))[0]
    return Series(model.assets, model.step_s, 100.0 * path)


ALL: list[PriceModel] = [gbm(), student(), merton(), garch(), bootstrap(), pegged()]
