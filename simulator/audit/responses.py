"""How borrowers answer to other parameters: four named rules.

A frozen book makes looser always look better, because nobody takes what is offered. Each rule is a bound or a custom
that is easy to state, and none is a forecast: a result that holds under all four holds whatever borrowers do between.

An account has collateral C (what counts as such), a limit L (collateral times liquidation threshold), a capacity M
(collateral times maximum LTV) and debt D, at the snapshot's oracle prices; 0 marks the snapshot's own parameters, 1 the
cell's. What an account owes, and what it pledges, keep their mix.

``static``
    Nobody does anything: balances stay. Accounts with D > L1 are liquidated at once.
``constant-health-factor``
    Every account keeps its health factor, D' = D L1 / L0. It repays freely, and borrows more as far as its capacity and
    the reserves allow: D' is not above max(D, M1). An account without a limit before stays as it is; one whose
    collateral no longer counts repays everything.
``re-lever-to-maximum``
    Every account with debt borrows, buys more of its collateral with that and pledges it, until it owes what the
    cell's maximum LTV m allows: D + x = m (C + x), so that x = (m C - D) / (1 - m), where C and m are those of the
    collateral that can be borrowed against. With equity E = C - D this is a book of E / (1 - m), the leverage limit.
    Who owes that much already stays.
``fill-to-cap``
    As with a constant health factor, and then others come who are like the accounts there are: each account's
    collateral and debt grow by one factor, the largest at which no cap of a reserve that it uses is exceeded, if all
    accounts that use the reserve grew by it. Lenders come as well: a reserve's debt is bounded by its borrow cap and
    its supply cap, and only where it has neither by the cash that is there. Who is above a cap already stays.

In the second and third rule reserves bound what is wanted: more debt by the borrow cap and by the cash there is now,
more collateral by the supply cap. Where a reserve has less room than is asked of it, all who ask are served alike, by
the same share, and an account by the smallest share among the reserves it needs. What is repaid makes no room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from protocols.lending.interface import Exposures, LendingMarket
from simulator.audit.room import Room
from simulator.book import Book, value

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Factors(NamedTuple):
    """What balances are multiplied by; arrays of shape (entries,)."""

    supplied: FloatArray
    debt: FloatArray


Rule = Callable[[Exposures, Exposures, FloatArray, Room], Factors]
"""Positions with the snapshot's parameters and with the cell's, oracle prices (reserves,), room; to what becomes of
them."""


class Responded:
    """A market whose accounts have answered, for whoever takes their balances from its arrays; else it is as it was.

    Interest goes on as before: balances are those of the market at its time, multiplied.
    """

    def __init__(self, market: LendingMarket, factors: Factors) -> None:
        self._market, self._factors = market, factors

    def exposures(self) -> Exposures:
        """The positions as arrays."""
        own, factors = self._market.exposures(), self._factors
        return own._replace(supplied=own.supplied * factors.supplied, debt=own.debt * factors.debt)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._market, name)


def respond(name: str, before: Book, after: Book, room: Sequence[Room]) -> Book:
    """The book after borrowers' response.

    Parameters
    ----------
    name
        One of `RESPONSES`.
    before, after
        The same positions with the snapshot's and with the cell's parameters.
    room
        Of each market, in the cell.

    Raises
    ------
    InputError
        If the rule has no end: re-levering with a maximum LTV of 1 or more.
    """
    rule = RESPONSES[name]
    if rule is static:
        return after
    markets = []
    for row, (was, market) in enumerate(zip(before.markets, after.markets, strict=True)):
        try:
            factors = rule(was.exposures(), market.exposures(), after.oracle_usd(row), room[row])
        except InputError as error:
            raise InputError(f"market {market.name}: {error}") from None
        markets.append(cast(LendingMarket, Responded(market, factors)))
    return replace(after, markets=markets)


def static(before: Exposures, after: Exposures, prices_usd: FloatArray, room: Room) -> Factors:
    """Nobody does anything."""
    return Factors(np.ones(len(after.reserve)), np.ones(len(after.reserve)))


def constant_health_factor(before: Exposures, after: Exposures, prices_usd: FloatArray, room: Room) -> Factors:
    """Debts follow the limit."""
    was, now, account = value(before, prices_usd), value(after, prices_usd), _accounts(after)
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where(was.limit_usd > 0, now.limit_usd / was.limit_usd, 1.0)
        # a debt above what may be borrowed is not called
        most = np.maximum(now.capacity_usd / now.debt_usd, 1.0)
    factor = np.where(now.debt_usd > 0, np.minimum(kept, most), 1.0)
    wanted = after.debt * np.maximum(factor - 1.0, 0.0)[account]
    served = _served(after, wanted, np.zeros_like(wanted), room)
    factor = np.where(factor > 1.0, 1.0 + (factor - 1.0) * served, factor)
    return Factors(np.ones(len(after.reserve)), factor[account])


def re_lever_to_maximum(before: Exposures, after: Exposures, prices_usd: FloatArray, room: Room) -> Factors:
    """Loops to the leverage limit."""
    now, account = value(after, prices_usd), _accounts(after)
    backs = after.ltv > 0
    pledged = np.where(backs, after.supplied, 0.0)
    backing = np.bincount(account, weights=pledged * prices_usd[after.reserve], minlength=len(after.offsets) - 1)
    levers = (now.debt_usd > 0) & (now.capacity_usd > now.debt_usd)
    if (now.capacity_usd >= backing)[levers].any():
        raise InputError("a maximum LTV of 1 or more lets borrowers lever without end; sweep values below 1")
    with np.errstate(divide="ignore", invalid="ignore"):
        more = (now.capacity_usd - now.debt_usd) / (1.0 - now.capacity_usd / backing)
        by_debt, by_collateral = np.where(levers, more / now.debt_usd, 0.0), np.where(levers, more / backing, 0.0)
    served = _served(after, after.debt * by_debt[account], pledged * by_collateral[account], room)
    return Factors(np.where(backs, 1.0 + (by_collateral * served)[account], 1.0), 1.0 + (by_debt * served)[account])


def fill_to_cap(before: Exposures, after: Exposures, prices_usd: FloatArray, room: Room) -> Factors:
    """More accounts of the same kind, until a reserve that they use is full."""
    kept = constant_health_factor(before, after, prices_usd, room).debt
    account, size, debt = _accounts(after), len(room.cash), after.debt * kept
    counts = after.threshold > 0
    held = np.bincount(after.reserve, weights=np.where(counts, after.supplied, 0.0), minlength=size)
    owed, had = (np.bincount(after.reserve, weights=each, minlength=size) for each in (debt, after.debt))
    bound = np.minimum(room.borrow_cap, room.supply_cap)
    bound = np.where(np.isfinite(bound), bound, room.borrowed + room.cash)
    with np.errstate(divide="ignore", invalid="ignore"):
        debts = np.where(owed > 0, 1.0 + np.maximum(bound - (room.borrowed + owed - had), 0.0) / owed, np.inf)
        supplies = np.where(held > 0, 1.0 + room.to_supply / held, np.inf)
    growth = np.full(len(after.offsets) - 1, np.inf)
    for entries, factor in ((debt > 0, debts), (counts & (after.supplied > 0), supplies)):
        np.minimum.at(growth, account[entries], factor[after.reserve[entries]])
    owes = np.bincount(account, weights=debt, minlength=len(growth)) > 0
    growth = np.where(owes & np.isfinite(growth), growth, 1.0)[account]
    return Factors(np.where(counts, growth, 1.0), kept * growth)


RESPONSES: Mapping[str, Rule] = {
    "static": static,
    "constant-health-factor": constant_health_factor,
    "re-lever-to-maximum": re_lever_to_maximum,
    "fill-to-cap": fill_to_cap,
}


def _accounts(exposures: Exposures) -> IntArray:
    """The account of each entry."""
    return np.repeat(np.arange(len(exposures.offsets) - 1), np.diff(exposures.offsets))


def _served(exposures: Exposures, debt: FloatArray, supplied: FloatArray, room: Room) -> FloatArray:
    """The share that each account gets of what it wants: more debt and more collateral, whole tokens by entry."""
    account = _accounts(exposures)
    served = np.ones(len(exposures.offsets) - 1)
    for wanted, there in ((debt, room.to_borrow), (supplied, room.to_supply)):
        total = np.bincount(exposures.reserve, weights=wanted, minlength=len(there))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(total > there, there / total, 1.0)
        asks = wanted > 0
        np.minimum.at(served, account[asks], share[exposures.reserve[asks]])
    return served
