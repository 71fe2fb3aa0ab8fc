"""One Morpho market as the engine steps it: exact state, and a float64 view of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chain.errors import InputError, UnsupportedError
from protocols.lending.interface import Exposures, Offer, Settlement, Terms, UsualMarket
from protocols.lending.morpho_blue.irm import ADAPTIVE_CURVE, FIXED_RATE, NO_INTEREST
from protocols.lending.morpho_blue.rules import (
    OK,
    OWN,
    REVERTS,
    Constants,
    Liquidation,
    accrue,
    borrow_limit,
    incentive_factor,
    is_healthy,
    liquidate,
    owed,
    withdraw,
)
from protocols.lending.morpho_blue.shares import VIRTUAL_ASSETS, VIRTUAL_SHARES, WAD
from protocols.lending.morpho_blue.sizes import take_for, whole
from protocols.lending.morpho_blue.state import Parameters, Position, Totals

COLLATERAL, LOAN = 0, 1
"""Rows of a market's two tokens."""
VERSIONS = ("1.0",)
LENDERS = "lenders of the market"


class MorphoBlueMarket(UsualMarket):
    """One isolated market: one collateral token, one loan token, which is also the unit of account.

    Parameters
    ----------
    name
        The market's name within its snapshot.
    version
        Of the contracts, ``1.0``.
    accounts
        Addresses, in the order of `positions`.
    tokens, decimals
        Address and decimals of the collateral token and of the loan token.
    parameters
        What is fixed.
    rate_wad
        What the interest rate model remembers (:class:`protocols.lending.morpho_blue.irm.Rate`).
    totals
        As stored at or before `timestamp`.
    positions
        Borrowers.
    price_raw
        What the oracle says: smallest units of the loan token for 1e36 of the collateral's.
    timestamp
        Time of the state, unix seconds.
    constants
        The contract's, unless an audit asks about others.

    Raises
    ------
    UnsupportedError
        If there are no rules for the version or the interest rate model.
    InputError
        If the parts do not fit each other.
    """

    protocol = "morpho_blue"
    caveat = ""

    def __init__(
        self,
        name: str,
        version: str,
        accounts: Sequence[str],
        tokens: tuple[str, str],
        decimals: tuple[int, int],
        parameters: Parameters,
        rate_wad: int,
        totals: Totals,
        positions: Sequence[Position],
        price_raw: int,
        timestamp: int,
        constants: Constants = OWN,
    ) -> None:
        if version not in VERSIONS:
            raise UnsupportedError(
                f"no rules for Morpho Blue version {version!r}; there are rules for {', '.join(VERSIONS)}"
            )
        if parameters.irm not in (NO_INTEREST, FIXED_RATE, ADAPTIVE_CURVE):
            raise UnsupportedError(f"market {name}: no rules for interest rate model {parameters.irm}")
        if len(positions) != len(accounts):
            raise InputError(f"market {name}: {len(positions)} positions are not those of {len(accounts)} accounts")
        if timestamp < totals.last_update:
            raise InputError(f"market {name}: it was touched at {totals.last_update}, after {timestamp}")
        self.name = name
        self.version = version
        self.accounts = tuple(accounts)
        self.tokens = tokens
        self._parameters = parameters
        self._factor = incentive_factor(parameters.lltv_wad, constants)
        self._rate = rate_wad
        self._totals, self._now = totals, timestamp
        self._positions = list(positions)
        self._price = price_raw
        self._price_unit = 10 ** (36 + decimals[LOAN] - decimals[COLLATERAL])
        self._written_off = 0
        self._view = _View(self._positions, decimals, parameters.lltv_wad, self._factor)
        self.advance(timestamp)

    # --- time and prices ----------------------------------------------------------------------------------------

    def advance(self, timestamp: int) -> None:
        """Let time pass: from now on balances carry interest up to `timestamp` (unix seconds).

        The totals stay as they were stored until somebody is liquidated, because interest compounds only then.
        """
        if timestamp < self._now:
            raise InputError(f"market {self.name} is at {self._now} and cannot go back to {timestamp}")
        self._now = timestamp
        self._accrual = accrue(self._parameters, self._rate, self._totals, timestamp)

    @property
    def numeraire(self) -> int:
        """Prices are in the loan token."""
        return LOAN

    def set_price(self, reserve: int, price_raw: int) -> None:
        """What the collateral's oracle says; the loan token has no price but 1, and InputError is raised for it."""
        if reserve != COLLATERAL:
            raise InputError(f"market {self.name}: {self.tokens[reserve]} is its unit of account and has no price")
        self._price = price_raw

    def price_raw(self, reserve: int) -> int:
        """What the oracle says of the collateral; 1 for the loan token."""
        return self._price if reserve == COLLATERAL else 1

    def price_unit(self, reserve: int) -> int:
        """What :meth:`price_raw` would be if one whole token were worth one whole loan token."""
        return self._price_unit if reserve == COLLATERAL else 1

    # --- accounts -----------------------------------------------------------------------------------------------

    def exposures(self) -> Exposures:
        """All positions as arrays, for fast screening; relative error at most 1e-9, or one of the smallest units."""
        return self._view.exposures(self._accrual.totals)

    def is_liquidatable(self, account: int) -> bool:
        """Whether Morpho.liquidate would find the position unhealthy."""
        return not is_healthy(self._accrual.totals, self._positions[account], self._price, self._parameters.lltv_wad)

    def health_raw(self, account: int) -> int:
        """Morpho._isHealthy's maxBorrow - borrowed, smallest units of the loan token."""
        position = self._positions[account]
        limit = borrow_limit(position.collateral, self._price, self._parameters.lltv_wad)
        return int(limit - owed(self._accrual.totals, position.borrow_shares))

    def deficits_raw(self) -> Sequence[int]:
        """Debt written off since the market was opened here, collateral and loan token, smallest units."""
        return (0, self._written_off)

    def cash_and_loans_raw(self) -> list[tuple[int, int]]:
        """Of the loan token, what could be paid out now and what is lent out with interest, smallest units; two zeros
        for the collateral, which is never lent."""
        totals = self._accrual.totals
        return [(0, 0), (int(totals.supply_assets - totals.borrow_assets), int(totals.borrow_assets))]

    def state(self) -> tuple[Totals, list[Position]]:
        """The market's storage: totals without interest since they were last touched, and positions."""
        return self._totals, list(self._positions)

    # --- liquidation --------------------------------------------------------------------------------------------

    def offers(self, account: int) -> list[Offer]:
        """The one liquidation that an unhealthy position allows; nothing for a healthy one.

        All of it may be taken at once. `most_raw` is what that costs: the whole debt, or all the collateral at the
        incentive where the collateral does not suffice; at a price of 0, where it costs nothing, it is 1.
        Less leaves collateral behind, so that no debt is written off.
        """
        position = self._positions[account]
        if not position.collateral or not self.is_liquidatable(account):
            return []
        _, cost = whole(self._accrual.totals, position, self._price, self._factor)
        return [Offer(account, COLLATERAL, LOAN, max(cost, 1))]

    def terms(self, offer: Offer, amount_raw: int) -> Terms:
        """What a payment of at most `amount_raw` would give, state unchanged.

        The call is the one that :func:`protocols.lending.morpho_blue.sizes.take_for` makes of the amount.
        """
        return _terms(self._liquidation(offer.account, amount_raw))

    def settle(self, offer: Offer, amount_raw: int) -> Settlement:
        """Execute the liquidation and change the state as the contract does; nothing changes if it is refused."""
        done = self._liquidation(offer.account, amount_raw)
        if done.error != OK:
            return Settlement(_terms(done))
        self._totals, self._rate = done.totals, self._accrual.stored_wad
        self._positions[offer.account] = done.position
        self._written_off += done.bad_debt_assets
        self._view.refresh(offer.account, done.position)
        self.advance(done.totals.last_update)
        if not done.bad_debt_assets:
            return Settlement(_terms(done))
        return Settlement(_terms(done), ((LOAN, done.bad_debt_assets),), borne_by=LENDERS)

    def pay_out(self, reserve: int, amount_raw: int) -> int:
        """Let lenders withdraw as much of an amount of the loan token as is not lent; nothing of the collateral."""
        paid = min(amount_raw, self.cash_and_loans_raw()[reserve][0])
        if paid:
            self._totals, self._rate = withdraw(self._accrual.totals, paid), self._accrual.stored_wad
            self.advance(self._now)
        return paid

    def _liquidation(self, account: int, amount_raw: int) -> Liquidation:
        totals, position, lltv_wad = self._accrual.totals, self._positions[account], self._parameters.lltv_wad
        take = take_for(totals, position, self._price, self._factor, amount_raw)
        return liquidate(totals, position, self._price, lltv_wad, self._factor, take.seized, take.shares)


def _terms(done: Liquidation) -> Terms:
    return Terms(done.repaid_assets, done.seized, 0, REVERTS[done.error])


class _View:
    """Positions as float64 arrays, kept in step with the exact ones: an account has two entries, one a token."""

    def __init__(
        self, positions: Sequence[Position], decimals: tuple[int, int], lltv_wad: int, factor_wad: int
    ) -> None:
        count = len(positions)
        self._unit = 10.0 ** decimals[LOAN]
        self._collateral_unit = 10.0 ** decimals[COLLATERAL]
        self._offsets = np.arange(count + 1, dtype=np.int64) * 2
        self._reserve = np.tile(np.array([COLLATERAL, LOAN], dtype=np.int64), count)
        self._supplied = np.zeros(2 * count)
        self._shares = np.zeros(2 * count)
        self._threshold = np.tile([lltv_wad / WAD, 0.0], count)
        self._bonus = np.tile([factor_wad / WAD, 1.0], count)
        for account, position in enumerate(positions):
            self.refresh(account, position)

    def refresh(self, account: int, position: Position) -> None:
        """Take over a position that has changed."""
        self._supplied[2 * account + COLLATERAL] = position.collateral / self._collateral_unit
        self._shares[2 * account + LOAN] = float(position.borrow_shares)

    def exposures(self, totals: Totals) -> Exposures:
        """The positions with what their shares of `totals` owe."""
        per_share = (totals.borrow_assets + VIRTUAL_ASSETS) / (totals.borrow_shares + VIRTUAL_SHARES) / self._unit
        return Exposures(
            self._offsets,
            self._reserve,
            self._supplied,
            self._shares * per_share,
            self._threshold,
            self._threshold,
            self._bonus,
        )
