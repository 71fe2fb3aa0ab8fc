"""Who is liquidatable under each of many price vectors, and for how much: one compiled pass over a book as it stands.

Nothing is sold and no price follows from another: a vector has the price of every token, and oracles answer it at once.
The pass is in float64, so an account whose health factor is 1 to within rounding may fall on either side; the exact
rules decide such an account (`simulator.scans.screen` says how near that is).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import prange

from chain.errors import InputError
from protocols import compiled
from protocols.lending.interface import Exposures
from simulator.book import Book
from simulator.scans.screen import workers

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

LANES = 128
"""Price vectors that are looked at together: their prices of 40 assets stay in a core's nearest cache."""

CHUNKS = 64
"""Parts that a book's accounts are divided into. Each has sums of its own, which are added in one order, so that the
result does not depend on how many threads there are."""

MANY = 1_000_000
"""Accounts times vectors from which on waking threads costs less than it saves."""

CERTAIN = 1e-12
"""Share of all that an account has and owes by which a bound must be on one side to be trusted; rounding is less."""


class AtRisk(NamedTuple):
    """What is liquidatable under each price vector, all at the vector's own prices; arrays of shape (vectors,).

    Attributes
    ----------
    liquidatable
        Accounts whose debt is above their limit, collateral times liquidation threshold. At the limit exactly an
        account is healthy, as every protocol here has it.
    collateral_usd, debt_usd
        What those accounts have as collateral and owe.
    bad_debt_usd
        *Economic* bad debt of all accounts: what a full liquidation at these prices could not recover, as
        :attr:`simulator.book.Valuation.bad_debt_usd` has it.
    """

    liquidatable: IntArray
    collateral_usd: FloatArray
    debt_usd: FloatArray
    bad_debt_usd: FloatArray


class Weights(NamedTuple):
    """What one dollar of price of an entry's reserve adds to its account; arrays of shape (entries,).

    Every figure of an account is a sum of these times prices, so whatever is asked of many prices starts from them.

    Attributes
    ----------
    margin
        To its limit less its debt: below zero, the account is liquidatable.
    collateral, debt
        To its collateral and its debt, whole tokens.
    shortfall
        To its debt less what a full liquidation would repay; above zero, it is economic bad debt.
    """

    margin: FloatArray
    collateral: FloatArray
    debt: FloatArray
    shortfall: FloatArray

    @classmethod
    def of(cls, exposures: Exposures) -> Weights:
        """The weights of a market's positions."""
        collateral = np.where(exposures.threshold > 0, exposures.supplied, 0.0)
        # an entry that is no collateral has no bonus
        recoverable = collateral / np.where(collateral > 0, exposures.bonus, 1.0)
        margin = exposures.supplied * exposures.threshold - exposures.debt
        return cls(margin, collateral, exposures.debt, exposures.debt - recoverable)


@dataclass(frozen=True)
class Sweep:
    """The answer of :func:`sweep_of`.

    Attributes
    ----------
    markets
        Names.
    at_risk
        For each market, by price vector.
    """

    markets: list[str]
    at_risk: list[AtRisk]

    def frame(self) -> pd.DataFrame:
        """One row a price vector and market: scenario (row of the vectors), market, and the fields of `AtRisk`."""
        import pandas as pd

        frames = [
            pd.DataFrame({"scenario": np.arange(len(found.liquidatable)), "market": name} | found._asdict())
            for name, found in zip(self.markets, self.at_risk, strict=True)
        ]
        return pd.concat(frames).sort_values("scenario", kind="stable", ignore_index=True)


def sweep_of(book: Book, prices_usd: FloatArray) -> Sweep:
    """Everything that is liquidatable under each of many price vectors, market by market.

    Parameters
    ----------
    book
        Positions, with interest to the book's time.
    prices_usd
        Shape (vectors, tokens): the price of one whole token of each of the book's tokens, US dollars. A market whose
        oracle is off the outside price now stays off in proportion, so that today's outside prices give today's state.

    Raises
    ------
    InputError
        If the shape is another, or a price is not a positive number.
    """
    size = len(book.tokens)
    if prices_usd.ndim != 2 or prices_usd.shape[1] != size:
        raise InputError(f"price vectors must be of shape (vectors, {size}), a price for each token of the book; "
                         f"these are of shape {prices_usd.shape}")  # fmt: skip
    if not (np.isfinite(prices_usd) & (prices_usd > 0.0)).all():
        raise InputError("a price in the price vectors is not a positive number")
    factors = prices_usd / book.outside_usd
    found = [
        at_risk(market.exposures(), factors[:, book.market_tokens[number]] * book.oracle_usd(number))
        for number, market in enumerate(book.markets)
    ]
    return Sweep([market.name for market in book.markets], found)


def at_risk(exposures: Exposures, prices_usd: FloatArray) -> AtRisk:
    """What is liquidatable in one market under each of many price vectors.

    Parameters
    ----------
    exposures
        The market's positions.
    prices_usd
        Shape (vectors, reserves): the market's oracle prices.

    Raises
    ------
    InputError
        If a price is negative or no number.
    """
    weights = Weights.of(exposures)
    # vectors that are alike stand side by side, where one bound holds for all of them
    order = np.argsort(np.log1p(_checked(prices_usd)).sum(axis=1), kind="stable")
    lanes = _lanes(prices_usd[order])
    sums = np.zeros((CHUNKS, len(lanes), len(AtRisk._fields), LANES))
    arguments = (exposures.offsets, exposures.reserve, *weights, lanes, lanes.min(axis=2), lanes.max(axis=2), sums)
    with _threads(exposures, prices_usd):
        compiled.fast(_at_risk, parallel=True)(*arguments)
    # one chunk after the other, whatever the number of threads was
    found = np.empty((len(AtRisk._fields), len(order)))
    found[:, order] = np.add.reduce(sums, axis=0).transpose(1, 0, 2).reshape(len(found), -1)[:, : len(order)]
    return AtRisk(np.rint(found[0]).astype(np.int64), *found[1:])


def which(exposures: Exposures, prices_usd: FloatArray) -> BoolArray:
    """Which accounts of one market are liquidatable under each price vector; the accounts that :func:`at_risk` counts.

    Parameters
    ----------
    exposures, prices_usd
        As `at_risk` takes them.

    Returns
    -------
    Shape (vectors, accounts).

    Raises
    ------
    InputError
        If a price is negative or no number.
    """
    found = np.empty((len(_checked(prices_usd)), len(exposures.offsets) - 1), dtype=np.bool_)
    arguments = (exposures.offsets, exposures.reserve, Weights.of(exposures).margin, prices_usd, found)
    with _threads(exposures, prices_usd):
        compiled.fast(_which, parallel=True)(*arguments)
    return found


def _threads(exposures: Exposures, prices_usd: FloatArray) -> AbstractContextManager[None]:
    return workers(None if len(prices_usd) * (len(exposures.offsets) - 1) >= MANY else 1)


def _checked(prices_usd: FloatArray) -> FloatArray:
    # an oracle without an answer says 0
    if not (np.isfinite(prices_usd) & (prices_usd >= 0.0)).all():
        raise InputError("an oracle price in the price vectors is no number from 0 on")
    return prices_usd


def _lanes(prices_usd: FloatArray) -> FloatArray:
    """Price vectors side by side, shape (blocks, reserves, LANES); the last vector fills the last block up."""
    number, reserves = prices_usd.shape
    blocks = -(-number // LANES)
    rows = np.minimum(np.arange(blocks * LANES), number - 1)
    return np.ascontiguousarray(prices_usd[rows].reshape(blocks, LANES, reserves).transpose(0, 2, 1))


def _at_risk(
    offsets: IntArray,
    reserve: IntArray,
    margin: FloatArray,
    collateral: FloatArray,
    debt: FloatArray,
    shortfall: FloatArray,
    lanes: FloatArray,
    lowest: FloatArray,
    highest: FloatArray,
    sums: FloatArray,
) -> None:
    """Add to `sums` (chunks, blocks, fields of AtRisk, LANES) what each account puts at risk under each vector.

    What the lowest and highest prices of a block show to be safe is not looked at further, and what is at risk is
    summed only where a margin is below zero. Both are the same in all lanes, so that the processor takes several lanes
    at once.
    """
    accounts = len(offsets) - 1
    chunks = len(sums)
    for chunk in prange(chunks):
        margins, missing, owned, owed = np.empty(LANES), np.empty(LANES), np.empty(LANES), np.empty(LANES)
        for block in range(len(lanes)):
            prices, low, high, total = lanes[block], lowest[block], highest[block], sums[chunk, block]
            for account in range(accounts * chunk // chunks, accounts * (chunk + 1) // chunks):
                first, end = offsets[account], offsets[account + 1]
                if first == end:
                    continue
                least, most, gross = 0.0, 0.0, 0.0
                for entry in range(first, end):
                    row = reserve[entry]
                    above, short = margin[entry], shortfall[entry]
                    least += above * (low[row] if above > 0.0 else high[row])
                    most += short * (high[row] if short > 0.0 else low[row])
                    gross += (abs(above) + abs(short)) * high[row]
                healthy = least > CERTAIN * gross
                if healthy and most < -CERTAIN * gross:
                    continue
                hits = 0
                if not healthy:
                    # four balances at a time stay in registers
                    for entry in range(first, end, 4):
                        a, b, c, d = entry, min(entry + 1, end - 1), min(entry + 2, end - 1), min(entry + 3, end - 1)
                        wa, pa = margin[a], prices[reserve[a]]
                        wb, pb = margin[b] if entry + 1 < end else 0.0, prices[reserve[b]]
                        wc, pc = margin[c] if entry + 2 < end else 0.0, prices[reserve[c]]
                        wd, pd = margin[d] if entry + 3 < end else 0.0, prices[reserve[d]]
                        if entry == first:
                            for lane in range(LANES):
                                margins[lane] = wa * pa[lane] + wb * pb[lane] + wc * pc[lane] + wd * pd[lane]
                        else:
                            for lane in range(LANES):
                                before = margins[lane]
                                margins[lane] = before + wa * pa[lane] + wb * pb[lane] + wc * pc[lane] + wd * pd[lane]
                    for lane in range(LANES):
                        hits += margins[lane] < 0.0
                if hits > 0:
                    for lane in range(LANES):
                        owned[lane] = 0.0
                        owed[lane] = 0.0
                    for entry in range(first, end):
                        price, has, owes = prices[reserve[entry]], collateral[entry], debt[entry]
                        for lane in range(LANES):
                            owned[lane] += has * price[lane]
                            owed[lane] += owes * price[lane]
                    for lane in range(LANES):
                        below = margins[lane] < 0.0
                        total[0, lane] += 1.0 if below else 0.0
                        total[1, lane] += owned[lane] if below else 0.0
                        total[2, lane] += owed[lane] if below else 0.0
                if most >= -CERTAIN * gross:
                    for lane in range(LANES):
                        missing[lane] = 0.0
                    for entry in range(first, end):
                        price, short = prices[reserve[entry]], shortfall[entry]
                        for lane in range(LANES):
                            missing[lane] += short * price[lane]
                    for lane in range(LANES):
                        total[3, lane] += max(missing[lane], 0.0)


def _which(offsets: IntArray, reserve: IntArray, margin: FloatArray, prices: FloatArray, found: BoolArray) -> None:
    """Fill `found` (vectors, accounts); balances are added in the order in which `_at_risk` adds them."""
    for vector in prange(len(found)):
        for account in range(len(offsets) - 1):
            above = 0.0
            for entry in range(offsets[account], offsets[account + 1]):
                above += margin[entry] * prices[vector, reserve[entry]]
            found[vector, account] = above < 0.0
