"""An Aave v3 pool as the engine steps it: exact state, and a float64 view of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chain.errors import InputError, UnsupportedError
from protocols.lending.aave_v3.balances import debt_balance, supplied_balance
from protocols.lending.aave_v3.rates import bring_indices
from protocols.lending.aave_v3.rules import (
    MINIMUM_HEALTH_FACTOR_LIQUIDATION_THRESHOLD,
    OWN,
    AccountData,
    Call,
    Constants,
    Quote,
    account_data,
    backs_debt,
    bonus_of,
    entry_of,
    liquidate,
    ltv_of,
    quote,
    threshold_of,
    withdraw,
)
from protocols.lending.aave_v3.state import EModes, Indices, Positions, Reserves, copied
from protocols.lending.aave_v3.versions import (
    ARITHMETIC_PANIC,
    MUST_NOT_LEAVE_DUST,
    OK,
    UNVERIFIED,
    V37,
    revert_name,
    version_of,
)
from protocols.lending.closing import code_of
from protocols.lending.interface import ClosingTerms, Exposures, Offer, Settlement, Terms, UsualMarket
from protocols.lending.searching import most_worth_offering

_TOO_MUCH = (MUST_NOT_LEAVE_DUST, ARITHMETIC_PANIC)
"""Refusals that a smaller repayment may escape."""


class AaveV3Market(UsualMarket):
    """One pool.

    Liquidators are others than the account, and take the token and not aTokens. Whether a sentinel is in the way is
    asked apart (:meth:`is_open_in_grace`).

    Parameters
    ----------
    name
        The market's name within its snapshot.
    version
        Of the contracts, e.g. ``3.6`` or ``3.2.1``.
    accounts, tokens
        Addresses, in the order of `positions` and of `reserves`.
    reserves, emodes, positions
        Exact state (lists of ints), as stored at or before `timestamp`; copied.
    timestamp
        Time of the state, unix seconds.
    constants
        The contracts', unless an audit asks about others.

    Raises
    ------
    UnsupportedError
        If there are no rules for the version, or an e-mode category has a price of its own.
    InputError
        If the parts do not fit each other.
    """

    protocol = "aave_v3"
    lends_collateral = True

    def __init__(
        self,
        name: str,
        version: str,
        accounts: Sequence[str],
        tokens: Sequence[str],
        reserves: Reserves,
        emodes: EModes,
        positions: Positions,
        timestamp: int,
        constants: Constants = OWN,
    ) -> None:
        self._version, self._constants = version_of(version), constants
        self.name = name
        self.accounts = tuple(accounts)
        self.tokens = tuple(tokens)
        self._reserves = copied(reserves)
        self._emodes = emodes
        self._positions = copied(positions)
        self._check()
        self._now = timestamp
        size = len(self.tokens)
        self._indices = Indices([0] * size, [0] * size)
        bring_indices(self._version.code, self._reserves, self._indices, self._now)
        self._view = _View(self._version.code, self._reserves, self._emodes, self._positions)

    def _check(self) -> None:
        if any(len(column) != len(self.tokens) for column in self._reserves):
            raise InputError(f"market {self.name}: every column of its reserves should have {len(self.tokens)} rows")
        if len(self._positions.offsets) != len(self.accounts) + 1 or len(self._positions.emode) != len(self.accounts):
            raise InputError(f"market {self.name}: its positions are not those of {len(self.accounts)} accounts")
        if any(self._emodes.price_raw):
            category = next(c for c, price in enumerate(self._emodes.price_raw) if price)
            raise UnsupportedError(f"market {self.name}: e-mode category {category} has a price source of its own")

    # --- what it is ---------------------------------------------------------------------------------------------

    @property
    def numeraire(self) -> None:
        """Prices are in US dollars."""
        return None

    @property
    def version(self) -> str:
        """Version of the contracts, e.g. ``3.6``."""
        return self._version.name

    @property
    def caveat(self) -> str:
        """Empty where the rules of this version agree with recorded contract answers; else what is unverified."""
        if self._version.verified_by == UNVERIFIED:
            return f"Aave v{self.version} is {UNVERIFIED}: its rules were compared with no contract's answers"
        return ""

    # --- time and prices ----------------------------------------------------------------------------------------

    def advance(self, timestamp: int) -> None:
        """Let time pass: from now on balances carry interest up to `timestamp` (unix seconds)."""
        if timestamp < self._now:
            raise InputError(f"market {self.name} is at {self._now} and cannot go back to {timestamp}")
        self._now = timestamp
        bring_indices(self._version.code, self._reserves, self._indices, timestamp)

    def set_price(self, reserve: int, price_raw: int) -> None:
        """The oracle price of one whole token, in 1e-8 US dollars."""
        self._reserves.price_raw[reserve] = price_raw

    def price_raw(self, reserve: int) -> int:
        """The oracle price of one whole token now, in 1e-8 US dollars."""
        return int(self._reserves.price_raw[reserve])

    def price_unit(self, reserve: int) -> int:
        """Base units in one US dollar: 1e8 for every reserve."""
        return 10**8

    # --- accounts -----------------------------------------------------------------------------------------------

    def exposures(self) -> Exposures:
        """All positions as arrays, for fast screening; relative error at most 1e-9, or one of the smallest units.

        Up to 3.4 the contract truncates the account's average threshold to basis points, which is no property of an
        entry: its health factor may be lower than these arrays give by up to one basis point of the threshold.
        """
        return self._view.exposures(self._indices)

    def account_data(self, account: int) -> AccountData:
        """Exactly what Pool.getUserAccountData answers in this version."""
        return account_data(self._version.code, self._reserves, self._indices, self._emodes, self._positions, account)

    def is_liquidatable(self, account: int) -> bool:
        """Whether the health factor is below 1."""
        return self.health_raw(account) < 10**18

    def is_open_in_grace(self, account: int) -> bool:
        """Whether the sentinel lets it through: below a health factor of 0.95; 3.7 has no sentinel."""
        return self._version.code >= V37 or self.health_raw(account) < MINIMUM_HEALTH_FACTOR_LIQUIDATION_THRESHOLD

    def health_raw(self, account: int) -> int:
        """The health factor of ``getUserAccountData``, in wad; 2**256 - 1 without debt."""
        return int(self.account_data(account).health_factor)

    def closing_terms(self) -> ClosingTerms:
        """The close factor of its version and constants, and each reserve's liquidation protocol fee."""
        fee = np.array(self._reserves.fee_bps, dtype=np.float64) / 10_000
        parameters = np.array([self._version.code, *self._constants], dtype=np.float64)
        return ClosingTerms(code_of(self.protocol), parameters, fee)

    def deficits_raw(self) -> Sequence[int]:
        """Realised bad debt of each reserve so far, smallest units."""
        return tuple(self._reserves.deficit_raw)

    def cash_and_loans_raw(self) -> list[tuple[int, int]]:
        """Of each reserve, what could be paid out now and what is lent out with interest, smallest units."""
        reserves, version = self._reserves, self._version.code
        return [
            (reserves.liquidity_raw[r], int(debt_balance(version, reserves.debt_scaled[r], self._indices.debt[r])))
            for r in range(len(self.tokens))
        ]

    def state(self) -> tuple[Reserves, Positions]:
        """A copy of the pool's storage: indices as of each reserve's last update."""
        return copied(self._reserves), copied(self._positions)

    # --- liquidation --------------------------------------------------------------------------------------------

    def offers(self, account: int) -> list[Offer]:
        """Every pair of debt and collateral that may be liquidated now; empty for a healthy account.

        `most_raw` is the largest repayment that is worth offering: more is refused (since 3.3 a liquidation must take
        all of the debt, or all of the collateral, or leave 1,000 USD of both; and it cannot pay out more than the pool
        holds), or changes nothing. Where the collateral does not suffice, it can be a few units above what is repaid,
        because offering exactly that much may leave a unit of collateral behind, and be refused for it.
        A smaller repayment can be refused too; ask :meth:`terms`.
        """
        data = self.account_data(account)
        entries = range(self._positions.offsets[account], self._positions.offsets[account + 1])
        found = []
        for debt_entry in entries:
            if not self._positions.debt_scaled[debt_entry]:
                continue
            debt = self._positions.reserve[debt_entry]
            for collateral_entry in entries:
                if not self._positions.collateral[collateral_entry]:
                    continue
                collateral = self._positions.reserve[collateral_entry]
                most = self._most(data, account, collateral, debt)
                if most:
                    found.append(Offer(account, collateral, debt, most))
        return found

    def terms(self, offer: Offer, amount_raw: int) -> Terms:
        """What a repayment of at most `amount_raw` would give, state unchanged."""
        quoted = self._quote(self.account_data(offer.account), offer.account, offer.collateral, offer.debt, amount_raw)
        return self._terms(quoted)

    def settle(self, offer: Offer, amount_raw: int) -> Settlement:
        """Execute the liquidation and change the state as the contract does; nothing changes if it is refused."""
        version, reserves, positions = self._version.code, self._reserves, self._positions
        before = list(reserves.deficit_raw)
        call = _call(offer.account, offer.collateral, offer.debt, amount_raw)
        quoted = liquidate(version, self._constants, reserves, self._indices, self._emodes, positions, call, self._now)
        entries = range(positions.offsets[offer.account], positions.offsets[offer.account + 1])
        for entry in entries:
            self._view.refresh(entry)
        in_order = [offer.debt, *(r for r in (positions.reserve[entry] for entry in entries) if r != offer.debt)]
        written_off = ((r, reserves.deficit_raw[r] - before[r]) for r in in_order)
        return Settlement(self._terms(quoted), tuple((r, amount) for r, amount in written_off if amount))

    def pay_out(self, reserve: int, amount_raw: int) -> int:
        """Let suppliers withdraw as much of an amount as the pool has and they have; nothing while it is paused."""
        reserves, positions = self._reserves, self._positions
        others = sum(
            scaled for r, scaled in zip(positions.reserve, positions.supplied_scaled, strict=True) if r == reserve
        )
        theirs = reserves.supply_scaled[reserve] - reserves.treasury_scaled[reserve] - others
        # a unit less, because whoever leaves is rounded against
        most = supplied_balance(self._version.code, max(0, theirs), self._indices.income[reserve]) - 1
        paid = min(amount_raw, reserves.liquidity_raw[reserve], most)
        if reserves.paused[reserve] or not reserves.active[reserve] or paid <= 0:
            return 0
        withdraw(self._version.code, reserves, reserve, paid, self._now)
        return int(paid)

    def _terms(self, quoted: Quote) -> Terms:
        if quoted.error != OK:
            return Terms(0, 0, 0, revert_name(self._version.code, quoted.error))
        return Terms(quoted.repaid, quoted.received, quoted.fee)

    def _quote(self, data: AccountData, account: int, collateral: int, debt: int, amount_raw: int) -> Quote:
        return quote(
            self._version.code,
            self._constants,
            self._reserves,
            self._indices,
            self._emodes,
            self._positions,
            data,
            _call(account, collateral, debt, amount_raw),
            self._now,
        )

    def _most(self, data: AccountData, account: int, collateral: int, debt: int) -> int:
        """The largest repayment worth offering, 0 if every one is refused."""

        def ask(amount: int) -> Quote:
            return self._quote(data, account, collateral, debt, amount)

        return most_worth_offering(ask, _TOO_MUCH, self._owed(account, debt))

    def _owed(self, account: int, debt: int) -> int:
        entry = entry_of(self._positions, account, debt)
        return int(debt_balance(self._version.code, self._positions.debt_scaled[entry], self._indices.debt[debt]))


def _call(account: int, collateral: int, debt: int, amount_raw: int) -> Call:
    return Call(
        account, collateral, debt, amount_raw, receive_atoken=False, self_liquidation=False, sentinel_down=False
    )


class _View:
    """Positions as float64 arrays, kept in step with the exact ones entry by entry."""

    def __init__(self, version: int, reserves: Reserves, emodes: EModes, positions: Positions) -> None:
        self._version, self._reserves, self._emodes, self._positions = version, reserves, emodes, positions
        self._offsets = np.array(positions.offsets, dtype=np.int64)
        self._reserve = np.array(positions.reserve, dtype=np.int64)
        self._supplied = np.array([float(scaled) for scaled in positions.supplied_scaled])
        self._debt = np.array([float(scaled) for scaled in positions.debt_scaled])
        self._unit = np.array([float(unit) for unit in reserves.unit])
        self._category = np.repeat(np.array(positions.emode, dtype=np.int64), np.diff(self._offsets))
        size = len(emodes.ltv_bps), len(reserves.unit)
        # Parameters of every reserve in every category, so that an entry's are one look-up.
        self._thresholds, self._ltvs, self._bonuses = np.empty(size), np.empty(size), np.empty(size)
        for category, r in np.ndindex(size):
            self._thresholds[category, r] = threshold_of(reserves, emodes, category, r) / 10_000
            self._ltvs[category, r] = ltv_of(version, reserves, emodes, category, r) / 10_000
            self._bonuses[category, r] = bonus_of(reserves, emodes, category, r) / 10_000
        self._counts = np.zeros(len(self._reserve))
        self._owes = np.zeros(len(self._reserve))
        for entry in range(len(self._reserve)):
            self._flag(entry)

    def _flag(self, entry: int) -> None:
        self._counts[entry] = backs_debt(self._version, self._reserves, self._positions, entry)
        self._owes[entry] = self._positions.borrowing[entry]

    def refresh(self, entry: int) -> None:
        """Take over an entry that has changed."""
        self._supplied[entry] = float(self._positions.supplied_scaled[entry])
        self._debt[entry] = float(self._positions.debt_scaled[entry])
        self._flag(entry)

    def exposures(self, indices: Indices) -> Exposures:
        """The positions with interest up to the time of `indices`."""
        per_unit = 1e27 * self._unit
        income = np.array([float(index) for index in indices.income]) / per_unit
        debt = np.array([float(index) for index in indices.debt]) / per_unit
        entries = (self._category, self._reserve)
        return Exposures(
            self._offsets,
            self._reserve,
            self._supplied * income[self._reserve],
            self._debt * debt[self._reserve] * self._owes,
            self._thresholds[entries] * self._counts,
            self._ltvs[entries] * self._counts,
            self._bonuses[entries],
        )
