"""How much more accounts have and owe for interest alone, as far ahead as a path of prices goes."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple

import numpy as np

from protocols.lending.interface import FloatArray, LendingMarket


class Growth(NamedTuple):
    """Factors by which balances grow, shape (times, reserves); 1 where nobody has any.

    Attributes
    ----------
    supplied, debt
        Of what accounts have supplied, and of what they owe.
    """

    supplied: FloatArray
    debt: FloatArray


def growth(market: LendingMarket, timestamps: Sequence[int]) -> Growth:
    """By what factor each reserve's balances grow from now to each of some times, if nobody acts until then.

    The market's own rule lets time pass, on a copy: rates are those of the start, or go where the model takes them
    while what is lent out stays lent. Where accounts of one reserve have rates of their own (stable debts of Aave v2,
    premiums of Aave v4), the factor is that of all of them together.

    Parameters
    ----------
    market
        Stays as it is.
    timestamps
        Unix seconds, from the market's time on and not decreasing; a path of n steps has n + 1 of them.
    """
    ahead = deepcopy(market)
    supplied, debt = _balances(market)
    out = Growth(*(np.ones((len(timestamps), len(market.tokens))) for _ in range(2)))
    for row, timestamp in enumerate(timestamps):
        ahead.advance(timestamp)
        for factors, later, now in zip(out, _balances(ahead), (supplied, debt), strict=True):
            np.divide(later, now, out=factors[row], where=now > 0.0)
    return out


def _balances(market: LendingMarket) -> tuple[FloatArray, FloatArray]:
    """What all accounts together have supplied and owe of each reserve, whole tokens."""
    exposures, size = market.exposures(), len(market.tokens)
    supplied, debt = np.zeros(size), np.zeros(size)
    np.add.at(supplied, exposures.reserve, exposures.supplied)
    np.add.at(debt, exposures.reserve, exposures.debt)
    return supplied, debt
