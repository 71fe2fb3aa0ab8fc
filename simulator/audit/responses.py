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
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from protocols.lending.interface import Exposures, LendingMarket
from simulator.audit.room import Room
from simulator.book import Book, value

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Rule = Callable[[Exposures, Exposures, FloatArray, Room], Exposures]
"""Positions with the snapshot's parameters and with the cell's, oracle prices (reserves,), room; to positions after."""


class Positions:
    """A market whose accounts have other balances, for whoever takes them from its arrays; else it is as it was."""

    def __init__(self, market: LendingMarket, exposures: Exposures) -> None:
        self._market, self._exposures = market, exposures

    def exposures(self) -> Exposures:
        """The positions as arrays."""
        return self._exposures

    def __getattr__(self, name: str) -> Any:
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
            found = rule(was.exposures(), market.exposures(), after.oracle_usd(row), room[row])
        except InputError as error:
            raise InputError(f"market {market.name}: {error}") from None
        markets.append(cast(LendingMarket, Positions(market, found)))
    return replace(after, markets=markets)


def static(before: Exposures, after: Exposures, prices_usd: FloatArray, room: Room) -> Exposures:
    """Nobody does anything."""
    return after


def constant_health_factor(before: Exposures, after: Exposures, prices_usd: FloatArray, room: Room) -> Exposures:
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
    return after._replace(debt=after.debt * factor[account])


def re_lever_to_maximum(before: Exposures, after: Exposures, prices_usd: FloatArray, room: Room) -> Exposures:
    """Loops to the leverage limit."""
    now, account = value(after, prices_usd), _accounts(after)
    size = len(after.offsets) - 1
    pledged = np.where(after.ltv > 0, after.supplied, 0.0)
    backing = np.bincount(account, weights=pledged * prices_usd[after.reserve], minlength=size)
    levers = (now.debt_usd > 0) & (now.capacity_usd > now.debt_usd)
    if (now.capacity_usd >= backing)[levers].any():
        raise InputError("a maximum LTV of 1 or more lets borrowers lever without end; sweep values below 1")
    with np.errstate(divide="ignore", invalid="ignore"):
        more = (now.capacity_usd - now.debt_usd) / (1.0 - now.capacity_usd / backing)
        by_debt, by_collateral = np.where(levers, more / now.debt_usd, 0.0), np.where(levers, more / backing, 0.0)
    served = _served(after, after.debt * by_debt[account], pledged * by_collateral[account], room)
    return after._replace(
        debt=after.debt * (1.0 + by_debt * served)[account],
        supplied=after.supplied + pledged * (by_collateral * served)[account],
    )


def fill_to_cap(before: Exposures, after: Exposures, prices_usd: FloatArray, room: Room) -> Exposures:
    """More accounts of the same kind, until a reserve that they use is full."""
    kept = constant_health_factor(before, after, prices_usd, room)
    account, size = _accounts(kept), len(room.cash)
    counted = np.where(kept.threshold > 0, kept.supplied, 0.0)
    owed, held = (np.bincount(kept.reserve, weights=each, minlength=size) for each in (kept.debt, counted))
    borrowed = room.borrowed + owed - np.bincount(after.reserve, weights=after.debt, minlength=size)
    bound = np.minimum(room.borrow_cap, room.supply_cap)
    bound = np.where(np.isfinite(bound), bound, room.borrowed + room.cash)
    with np.errstate(divide="ignore", invalid="ignore"):
        debts = np.where(owed > 0, 1.0 + np.maximum(bound - borrowed, 0.0) / owed, np.inf)
        supplies = np.where(held > 0, 1.0 + room.to_supply / held, np.inf)
    growth = np.full(len(kept.offsets) - 1, np.inf)
    for entries, factor in ((kept.debt > 0, debts), (counted > 0, supplies)):
        np.minimum.at(growth, account[entries], factor[kept.reserve[entries]])
    owes = np.bincount(account, weights=kept.debt, minlength=len(growth)) > 0
    growth = np.where(owes & np.isfinite(growth), growth, 1.0)
    supplied = np.where(kept.threshold > 0, kept.supplied * growth[account], kept.supplied)
    return kept._replace(debt=kept.debt * growth[account], supplied=supplied)


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
