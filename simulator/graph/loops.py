"""Loops: accounts that supply an asset and owe the same, or another that comes to the same through claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from chain.errors import InputError
from simulator.graph.arrays import BoolArray, FloatArray, IntArray, sums
from simulator.graph.exposure import ExposureGraph
from simulator.graph.holdings import DAY_S

if TYPE_CHECKING:
    import pandas as pd


LEAST_USD = 1.0
"""Less than this on either side is dust and no loop."""
_YEAR_DAYS = 365 * 24 * 3600 / DAY_S
_DOUBLINGS = 16
"""The horizon is 2**15 days, ninety years: what is not liquidated by then is not."""
_HALVINGS = 50

COLUMNS = (
    "account", "base", "markets", "supplied", "owed", "supplied_usd", "debt_usd", "leverage", "health_factor",
    "supply_rate", "borrow_rate", "days_to_liquidation",
)  # fmt: skip


def loops(graph: ExposureGraph, yields: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Every loop, the largest debt first.

    An account loops in a base asset where it has pledged the asset, or claims on it, and owes the asset, or claims
    on it, and has pledged more of it than it owes; balances count by the share of their worth that is a claim on the
    base asset. Whoever owes more of it than it has pledged is short of it. Neither side is dust (:data:`LEAST_USD`).

    Parameters
    ----------
    yields
        What tokens earn by themselves a year, by symbol or address (0.03: 3 %, compounded continuously), such as the
        staking yield of wstETH; it comes on top of what a market pays. A snapshot of one block does not hold it, and
        what is not given is 0.

    Returns
    -------
    account, base (symbol), markets (where it owes), supplied and owed (symbols), supplied_usd, debt_usd (of this base
    asset), leverage (supplied / (supplied - debt): 1 / (1 - l) in the limit of a loop at LTV l), health_factor (the
    lowest of the markets in which it owes the base asset, at their oracle prices), supply_rate and borrow_rate (a year,
    means by value, compounded continuously, own yields included), days_to_liquidation (until the health factor of
    one of these markets reaches 1 if prices stay and both sides grow at these rates; infinite where it does not
    within ninety years).

    Raises
    ------
    InputError
        If a token of `yields` is not in the snapshot.
    """
    import pandas as pd

    own_yield = _yields(graph, yields or {})
    account, base, assets, debts = _found(graph)
    order = np.lexsort((base, account, -debts))
    account, base, assets, debts = account[order], base[order], assets[order], debts[order]
    facts = _Facts(graph, own_yield, account, base)
    frame = pd.DataFrame(
        {
            "account": np.array(graph.holdings.addresses, dtype=object)[account],
            "base": np.array([token.symbol for token in graph.tokens], dtype=object)[base],
            "markets": facts.named(graph.markets, facts.market, facts.owes),
            "supplied": facts.named([token.symbol for token in graph.tokens], facts.token, facts.holds),
            "owed": facts.named([token.symbol for token in graph.tokens], facts.token, facts.owes),
            "supplied_usd": assets,
            "debt_usd": debts,
            "leverage": assets / (assets - debts),
        }
    )
    frame["health_factor"], frame["days_to_liquidation"] = facts.health_and_days()
    frame["supply_rate"], frame["borrow_rate"] = facts.rates()
    return frame[list(COLUMNS)]


def days_until(
    assets: FloatArray,
    asset_rates: FloatArray,
    debts: FloatArray,
    debt_rates: FloatArray,
    group: IntArray,
    groups: int,
) -> FloatArray:
    """Days until debts exceed assets, both growing continuously.

    Parameters
    ----------
    assets, debts
        Values now of each entry, in one unit; assets already times their liquidation thresholds.
    asset_rates, debt_rates
        A year.
    group, groups
        The account that each entry belongs to, and how many accounts there are.

    Returns
    -------
    Shape (groups,): 0 if they do now; infinite if they do not within ninety years. They are compared at doubling
    times, so that an excess that comes and goes between two of these is not seen.
    """

    def short(days: FloatArray) -> BoolArray:
        years = days[group] / _YEAR_DAYS
        excess = debts * np.exp(debt_rates * years) - assets * np.exp(asset_rates * years)
        return sums(group, excess, groups) > 0.0

    low, high = np.zeros(groups), np.ones(groups)
    at_once = short(low)
    for _ in range(_DOUBLINGS):
        go_on = ~short(high)
        low, high = np.where(go_on, high, low), np.where(go_on, 2.0 * high, high)
    never = high > 2.0 ** (_DOUBLINGS - 1)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        over = short(middle)
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return np.where(at_once, 0.0, np.where(never, np.inf, high))


def _found(graph: ExposureGraph) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Account, base asset, and dollars pledged and owed of every loop."""
    from scipy import sparse

    holdings = graph.holdings
    token = graph.reserves.token[holdings.reserve]
    shape = len(holdings.addresses), len(graph.tokens)

    def by_base(amounts: FloatArray) -> sparse.csr_array:
        usd = sparse.csr_array((amounts * graph.price_usd[token], (holdings.account, token)), shape=shape)
        through = sparse.csr_array(usd @ graph.claims.bases)
        through.data[through.data < LEAST_USD] = 0.0
        through.eliminate_zeros()
        return through

    pledged, owed = by_base(holdings.pledged), by_base(holdings.debt)
    both = [sparse.csr_array(pledged.multiply(owed > 0)), sparse.csr_array(owed.multiply(pledged > 0))]
    for matrix in both:
        matrix.sort_indices()
    assets, debts = both[0].tocoo(), both[1].data
    some = np.flatnonzero(assets.data > debts)
    account, base = assets.row[some].astype(np.int64), assets.col[some].astype(np.int64)
    return account, base, assets.data[some], debts[some]


def _yields(graph: ExposureGraph, given: Mapping[str, float]) -> FloatArray:
    rates = np.zeros(len(graph.tokens))
    for name, rate in given.items():
        rows = [row for row, token in enumerate(graph.tokens) if name.lower() in token.names]
        if not rows:
            raise InputError(f"yields: the snapshot has no token {name}")
        rates[rows] = rate
    return rates


class _Facts:
    """The entries of every loop's account, one after the other; those of an account with two loops are there twice."""

    def __init__(self, graph: ExposureGraph, own_yield: FloatArray, account: IntArray, base: IntArray) -> None:
        holdings, reserves = graph.holdings, graph.reserves
        order = np.argsort(holdings.account, kind="stable")
        bounds = np.searchsorted(holdings.account[order], np.arange(len(holdings.addresses) + 1))
        first, count = bounds[account], bounds[account + 1] - bounds[account]
        self._loops = len(account)
        self._loop = np.repeat(np.arange(len(account)), count)
        start = np.repeat(first - (np.cumsum(count) - count), count)
        entry = order[start + np.arange(len(self._loop))]
        reserve = holdings.reserve[entry]
        self.token, self.market = reserves.token[reserve], reserves.market[reserve]
        columns, column = np.unique(base, return_inverse=True)
        share = graph.claims.bases[:, columns].toarray()[self.token, column[self._loop]]
        pledged, owed = holdings.pledged[entry], holdings.debt[entry]
        oracle, price = reserves.oracle_usd[reserve], graph.price_usd[self.token] * share
        self.holds, self.owes = (pledged > 0) & (share > 0), (owed > 0) & (share > 0)
        self._earned = holdings.supply_growth[entry] * _YEAR_DAYS + own_yield[self.token]
        self._paid = holdings.debt_growth[entry] * _YEAR_DAYS + own_yield[self.token]
        self._limit, self._debt = pledged * holdings.threshold[entry] * oracle, owed * oracle
        self._pledged_usd, self._owed_usd = pledged * price, owed * price

    def named(self, names: Sequence[str], what: IntArray, where: BoolArray) -> list[str]:
        """For each loop, the names of what some of its entries are about, each once."""
        found: list[dict[str, None]] = [{} for _ in range(self._loops)]
        for loop, row in zip(self._loop[where].tolist(), what[where].tolist(), strict=True):
            found[loop][names[row]] = None
        return [", ".join(each) for each in found]

    def health_and_days(self) -> tuple[FloatArray, FloatArray]:
        """For each loop, the lowest health factor and the fewest days of the markets where it owes its base asset."""
        markets = int(self.market.max(initial=0)) + 1
        keys, group = np.unique(self._loop * markets + self.market, return_inverse=True)
        limit = sums(group, self._limit, len(keys))
        debt = sums(group, self._debt, len(keys))
        factor = np.divide(limit, debt, out=np.full(len(keys), np.inf), where=debt > 0)
        sides = self._limit, self._earned, self._debt, self._paid
        until = days_until(*sides, group, len(keys))
        health, days = np.full(self._loops, np.inf), np.full(self._loops, np.inf)
        for lowest, values in ((health, factor), (days, until)):
            np.minimum.at(lowest, self._loop[self.owes], values[group[self.owes]])
        return health, days

    def rates(self) -> tuple[FloatArray, FloatArray]:
        """For each loop, what it earns on what it has pledged of its base asset, and pays on what it owes of it."""
        found = []
        for rate, usd in ((self._earned, self._pledged_usd), (self._paid, self._owed_usd)):
            weighted = sums(self._loop, rate * usd, self._loops)
            found.append(weighted / sums(self._loop, usd, self._loops))
        return found[0], found[1]
