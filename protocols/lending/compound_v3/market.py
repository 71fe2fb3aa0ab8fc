"""A Comet as the engine steps it: exact state, and a float64 view of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from protocols.lending.compound_v3.rates import (
    BASE_INDEX_SCALE,
    FACTOR_SCALE,
    accrued,
    present_value,
    protocol_reserves,
)
from protocols.lending.compound_v3.rules import (
    absorb,
    absorb_error,
    buy_collateral,
    cost_of_collateral,
    discount,
    health,
    mul_price,
    purchase,
    quote_collateral,
)
from protocols.lending.compound_v3.state import BASE, Configuration, Positions, Reserves, Totals, copied
from protocols.lending.compound_v3.versions import OK, UNVERIFIED, revert_name, version_of
from protocols.lending.interface import ClosingTerms, Exposures, IntArray, Offer, Settlement, Terms, UsualMarket

NOBODY = -1
"""The account of what the market itself sells."""
PRICE_SCALE = 10**8
BORNE_BY = "protocol reserves"


class CompoundV3Market(UsualMarket):
    """One Comet: a base token that can be borrowed, and assets that are collateral and never lent out.

    Liquidation is in two parts. To absorb an account is an offer that pays nobody; what the market sells is in
    :meth:`standing_offers`. Whoever buys takes what the sale gives and asks for no least amount.

    *Realised* bad debt is what the contract itself writes off when it absorbs: the debt that is left once the
    collateral is credited at the oracle's prices times its liquidation factor. Reserves bear it. They gain back what
    the later sale brings above that credit, and lose what it brings below, so that what liquidations have cost the
    protocol in all is told by :meth:`protocol_reserves_raw` alone.

    Parameters
    ----------
    name
        The market's name within its snapshot.
    version
        Name of the contract, e.g. ``CometWithExtendedAssetList``.
    accounts
        Addresses, in the order of `positions`.
    tokens
        Addresses, in the order of `reserves`: the base token first.
    configuration, totals, reserves, positions
        Exact state (ints, and lists of ints), as stored at or before `timestamp`; copied.
    timestamp
        Time of the state, unix seconds.
    numeraire
        None if prices are in US dollars; else :data:`BASE`, whose token then is the unit of every price.

    Raises
    ------
    UnsupportedError
        If there are no rules for the version.
    InputError
        If the parts do not fit each other.
    """

    protocol = "compound_v3"

    def __init__(
        self,
        name: str,
        version: str,
        accounts: Sequence[str],
        tokens: Sequence[str],
        configuration: Configuration,
        totals: Totals,
        reserves: Reserves,
        positions: Positions,
        timestamp: int,
        numeraire: int | None = None,
    ) -> None:
        self._version = version_of(version)
        self.name = name
        self.accounts = tuple(accounts)
        self.tokens = tuple(tokens)
        self.numeraire = numeraire
        self._configuration = configuration
        self._stored = totals
        self._reserves = copied(reserves)
        self._positions = copied(positions)
        self._check(timestamp)
        self._now = timestamp
        self._totals = accrued(configuration, totals, timestamp)
        self._written_off = 0
        self._view = _View(configuration, self._reserves, self._positions)

    def _check(self, timestamp: int) -> None:
        if any(len(column) != len(self.tokens) for column in self._reserves):
            raise InputError(f"market {self.name}: every column of its reserves should have {len(self.tokens)} rows")
        fitting = len(self._positions.offsets) == len(self.accounts) + 1
        if not fitting or len(self._positions.principal) != len(self.accounts):
            raise InputError(f"market {self.name}: its positions are not those of {len(self.accounts)} accounts")
        if self.numeraire not in (None, BASE):
            raise InputError(f"market {self.name}: prices are in US dollars or in the base token, row {BASE}")
        if timestamp < self._stored.last_accrual:
            raise InputError(f"market {self.name}: its state is of {self._stored.last_accrual}, not of {timestamp}")

    # --- what it is ---------------------------------------------------------------------------------------------

    @property
    def version(self) -> str:
        """Name of the contract, e.g. ``CometWithExtendedAssetList``."""
        return self._version.name

    @property
    def caveat(self) -> str:
        """Empty where the rules of this version agree with recorded contract answers; else what is unverified."""
        if self._version.verified_by == UNVERIFIED:
            return (
                f"Compound v3 {self.version} is {UNVERIFIED}: no vectors hold its answers; its rules are those of "
                "CometWithExtendedAssetList"
            )
        return ""

    # --- time and prices ----------------------------------------------------------------------------------------

    def advance(self, timestamp: int) -> None:
        """Let time pass: from now on balances carry interest up to `timestamp` (unix seconds)."""
        if timestamp < self._now:
            raise InputError(f"market {self.name} is at {self._now} and cannot go back to {timestamp}")
        self._now = timestamp
        self._totals = accrued(self._configuration, self._stored, timestamp)

    def set_price(self, reserve: int, price_raw: int) -> None:
        """The price of one whole token that its feed gives, 8 decimals; 0 where it gives none.

        Raises
        ------
        InputError
            For the base token where it is the numeraire: its price is 1.
        """
        if reserve == self.numeraire:
            raise InputError(f"market {self.name} counts in {self.tokens[reserve]}, whose price is always 1")
        self._reserves.price_raw[reserve] = price_raw

    def price_raw(self, reserve: int) -> int:
        """The price of one whole token now, 8 decimals."""
        return int(self._reserves.price_raw[reserve])

    def price_unit(self, reserve: int) -> int:
        """Base units in one unit of the numeraire for one whole token: 1e8 for every reserve."""
        return PRICE_SCALE

    # --- accounts -----------------------------------------------------------------------------------------------

    def exposures(self) -> Exposures:
        """All positions as arrays, for fast screening; relative error at most 1e-9, or one of the smallest units.

        The first entry of every account is its base token. `bonus` is what a buyer of the collateral gets for 1 paid;
        the account itself is credited with less, by its liquidation factor.
        """
        return self._view.exposures(self._totals)

    def is_liquidatable(self, account: int) -> bool:
        """Whether ``absorb`` would take the account now: ``isLiquidatable`` once interest has accrued.

        The view that the contract offers to callers is older: it uses the indices of the last transaction.
        """
        found = health(self._totals, self._reserves, self._positions, account, self._reserves.liquidate_factor)
        return found.error == OK and bool(found.liquidity < 0)

    def health_raw(self, account: int) -> int:
        """The account's liquidity as ``isLiquidatable`` sums it, with interest up to now: the value of its collateral
        times ``liquidateCollateralFactor`` less that of its debt, 1e8 of the numeraire; below 0 it can be absorbed.

        It is the whole sum, also where the contract stops because the rest cannot change the answer; 0 without debt.
        """
        factors = self._reserves.liquidate_factor
        return int(health(self._totals, self._reserves, self._positions, account, factors).liquidity)

    def closing_terms(self) -> ClosingTerms:
        """Absorbing an account and selling what was its, taken together: a repayment of its debt at the shop window's
        discount, which is the bonus of :meth:`exposures`.

        Where the collateral does not suffice this is what it comes to: buyers get all of it and pay its discounted
        value, and reserves lose the rest of the debt. Where it does suffice the contract would sell the remainder too
        and credit the account for it in base token, less a penalty; here the account keeps it as collateral, so that
        what is sold of an account just past its limit is less by what the limit and the discount leave of it. That
        nothing is for sale while reserves are at their target is not told.
        """
        return super().closing_terms()

    def deficits_raw(self) -> Sequence[int]:
        """Realised bad debt of each reserve so far, smallest units: the contract keeps no account of it, and it starts
        from 0 with the market."""
        return (self._written_off, *(0 for _ in self.tokens[1:]))

    def cash_and_loans_raw(self) -> list[tuple[int, int]]:
        """Of the base token, what could be paid out now and what is lent out with interest, smallest units; two zeros
        for collateral, which is never lent."""
        lent = present_value(self._totals.borrow_principal, self._totals.borrow_index)
        return [(self._reserves.balance_raw[BASE], int(lent)), *((0, 0) for _ in self.tokens[1:])]

    def protocol_reserves_raw(self) -> int:
        """``getReserves`` now: the protocol's own base token, negative where lenders are owed more than there is."""
        return int(protocol_reserves(self._totals, self._reserves))

    def collateral_reserves_raw(self, reserve: int) -> int:
        """``getCollateralReserves``: the collateral that the protocol has absorbed and not sold, smallest units."""
        return int(self._reserves.balance_raw[reserve] - self._reserves.supplied_raw[reserve])

    def state(self) -> tuple[Totals, Reserves, Positions]:
        """A copy of the market's storage: totals as of their last accrual."""
        return self._stored, copied(self._reserves), copied(self._positions)

    # --- liquidation --------------------------------------------------------------------------------------------

    def offers(self, account: int) -> list[Offer]:
        """That the account may be absorbed, whole, if it may; `collateral` is the row of its most valuable one."""
        if self._absorb_error(account) != OK:
            return []
        return [Offer(account, self._largest_collateral(account), BASE, 0, unpaid=True)]

    def standing_offers(self) -> list[Offer]:
        """The absorbed collateral that is for sale now: all of each asset, as long as reserves are below their target.

        `most_raw` is the base token that buys all of it, or all but what one unit of base token would buy.
        """
        return [
            Offer(NOBODY, r, BASE, most)
            for r in range(BASE + 1, len(self.tokens))
            if self.collateral_reserves_raw(r) > 0 and (most := self._most(r))
        ]

    def terms(self, offer: Offer, amount_raw: int) -> Terms:
        """What paying `amount_raw` would give, state unchanged; absorbing takes no payment."""
        if offer.unpaid:
            return Terms(0, 0, 0, revert_name(self._absorb_error(offer.account)))
        return self._purchase_terms(offer.collateral, amount_raw)

    def settle(self, offer: Offer, amount_raw: int) -> Settlement:
        """Absorb, or sell, and change the state as the contract does; nothing changes if it is refused."""
        if offer.unpaid:
            return self._absorb(offer.account)
        terms = self._purchase_terms(offer.collateral, amount_raw)
        if not terms.refusal:
            state = self._configuration, self._stored, self._reserves
            buy_collateral(*state, offer.collateral, 0, amount_raw, self._now)
        return Settlement(terms)

    def _absorb(self, account: int) -> Settlement:
        state = self._configuration, self._stored, self._reserves, self._positions
        done = absorb(*state, account, self._now)
        if done.error != OK:
            return Settlement(Terms(0, 0, 0, revert_name(done.error)))
        self._stored = self._totals = done.totals
        self._view.refresh(account)
        self._written_off += done.shortfall
        if not done.shortfall:
            return Settlement(Terms(0, 0, 0))
        return Settlement(Terms(0, 0, 0), ((BASE, done.shortfall),), borne_by=BORNE_BY)

    def _absorb_error(self, account: int) -> int:
        return absorb_error(self._configuration, self._totals, self._reserves, self._positions, account)

    def _purchase_terms(self, reserve: int, amount_raw: int) -> Terms:
        state = self._configuration, self._stored, self._reserves
        bought = purchase(*state, reserve, 0, amount_raw, self._now)
        if bought.error != OK:
            return Terms(0, 0, 0, revert_name(bought.error))
        return Terms(amount_raw, bought.received, 0)

    def _most(self, reserve: int) -> int:
        """The largest payment worth offering for an asset, 0 if none is accepted."""
        if self._purchase_terms(reserve, 0).refusal:
            return 0
        state, held = (self._configuration, self._reserves), self.collateral_reserves_raw(reserve)
        cost = int(cost_of_collateral(*state, reserve, held))
        # where a unit of base token buys many of the asset, what would buy all can ask for more than there is
        return cost if quote_collateral(*state, reserve, cost).received <= held else cost - 1

    def _largest_collateral(self, account: int) -> int:
        positions, reserves = self._positions, self._reserves
        values = {
            r: mul_price(positions.balance_raw[entry], reserves.price_raw[r], reserves.scale[r])
            for entry in range(positions.offsets[account], positions.offsets[account + 1])
            for r in (positions.reserve[entry],)
        }
        return max(values, key=values.__getitem__, default=BASE)


class _View:
    """Positions as float64 arrays, kept in step with the exact ones account by account: of each account its base
    token, then its collateral."""

    def __init__(self, configuration: Configuration, reserves: Reserves, positions: Positions) -> None:
        self._positions = positions
        accounts = len(positions.principal)
        self._offsets: IntArray = np.array(positions.offsets, dtype=np.int64) + np.arange(accounts + 1)
        self._base = self._offsets[:-1]
        rows = np.array(positions.reserve, dtype=np.int64)
        self._reserve: IntArray = np.full(len(rows) + accounts, BASE, dtype=np.int64)
        self._is_collateral = np.ones(len(self._reserve), dtype=np.bool_)
        self._is_collateral[self._base] = False
        self._reserve[self._is_collateral] = rows
        self._unit = np.array([float(scale) for scale in reserves.scale])
        self._collateral = np.zeros(len(self._reserve))
        self._collateral[self._is_collateral] = _floats(positions.balance_raw) / self._unit[rows]
        self._principal = _floats(positions.principal) / self._unit[BASE]
        self._threshold = (_floats(reserves.liquidate_factor) / FACTOR_SCALE)[self._reserve]
        self._ltv = (_floats(reserves.borrow_factor) / FACTOR_SCALE)[self._reserve]
        discounts = _floats([discount(configuration, reserves, r) for r in range(len(reserves.scale))]) / FACTOR_SCALE
        discounts[BASE] = 0.0
        with np.errstate(divide="ignore"):
            self._bonus = (1.0 / (1.0 - discounts))[self._reserve]

    def refresh(self, account: int) -> None:
        """Take over an account that has changed."""
        first = self._positions.offsets[account]
        balances = self._positions.balance_raw[first : self._positions.offsets[account + 1]]
        start, end = self._offsets[account] + 1, self._offsets[account + 1]
        self._collateral[start:end] = _floats(balances) / self._unit[self._reserve[start:end]]
        self._principal[account] = float(self._positions.principal[account]) / self._unit[BASE]

    def exposures(self, totals: Totals) -> Exposures:
        """The positions with interest up to the time of `totals`."""
        supplied, debt = self._collateral.copy(), np.zeros(len(self._reserve))
        supply_index, borrow_index = totals.supply_index / BASE_INDEX_SCALE, totals.borrow_index / BASE_INDEX_SCALE
        supplied[self._base] = np.maximum(self._principal, 0.0) * supply_index
        debt[self._base] = np.maximum(-self._principal, 0.0) * borrow_index
        return Exposures(self._offsets, self._reserve, supplied, debt, self._threshold, self._ltv, self._bonus)


def _floats(values: Sequence[int]) -> npt.NDArray[np.float64]:
    return np.array([float(value) for value in values], dtype=np.float64)
