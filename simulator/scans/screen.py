"""Which accounts may be liquidatable: one compiled pass over all positions.

The pass is in float64 and decides nothing: what it lets through is asked of the protocol's exact rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from numba import prange

from chain.errors import InputError
from protocols import compiled
from protocols.lending.interface import Exposures

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MARGIN = 2e-3
"""How far above 1 a health factor may be and still be looked at exactly. Positions as floats are off by 1e-9, but
contracts round more: up to Aave v3.4 the average threshold loses up to a basis point, 2e-3 of a threshold of 5 %."""

SLACK_USD = 1.0
"""How much an account may be above its limit besides, so that dust, where one unit matters, is looked at exactly."""


MANY = 20_000
"""Accounts from which on waking threads costs less than it saves; any number of threads computes the same."""


def suspects(exposures: Exposures, prices_usd: FloatArray) -> IntArray:
    """Accounts whose health factor may be below 1.

    Parameters
    ----------
    exposures
        A market's positions.
    prices_usd
        Shape (reserves,): the market's oracle prices.

    Returns
    -------
    Rows of `exposures`, ascending.
    """
    headroom = np.empty(len(exposures.offsets) - 1)
    with workers(None if len(headroom) >= MANY else 1):
        compiled.fast(_headroom, parallel=True)(
            exposures.offsets,
            exposures.reserve,
            exposures.supplied,
            exposures.debt,
            exposures.threshold,
            prices_usd,
            headroom,
        )
    return np.flatnonzero(headroom < SLACK_USD)


@contextmanager
def workers(count: int | None) -> Iterator[None]:
    """Use so many threads inside the block; every count gives the same result.

    Raises
    ------
    InputError
        If there are not so many.
    """
    if count is None:
        yield
        return
    numba = compiled.numba()
    most = numba.config.NUMBA_NUM_THREADS
    if not 1 <= count <= most:
        raise InputError(f"--workers must be from 1 to {most} on this machine, not {count}")
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def _headroom(
    offsets: IntArray,
    reserve: IntArray,
    supplied: FloatArray,
    debt: FloatArray,
    threshold: FloatArray,
    prices: FloatArray,
    out: FloatArray,
) -> None:
    """Dollars by which each account is above its limit, the margin taken off."""
    for account in prange(len(out)):
        limit = 0.0
        owed = 0.0
        for entry in range(offsets[account], offsets[account + 1]):
            price = prices[reserve[entry]]
            limit += supplied[entry] * threshold[entry] * price
            owed += debt[entry] * price
        out[account] = limit - owed * (1.0 + MARGIN) if owed > 0.0 else np.inf
