"""An Aave v2 pool as the engine steps it: exact state, and a float64 view of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chain.errors import InputError
from protocols.arithmetic import max_uint256
from protocols.lending.aave_v2.rates import bring_indices, next_borrow_index, stable_balance, stable_supply
from protocols.lending.aave_v2.rules import (
    HEALTH_FACTOR_LIQUIDATION_THRESHOLD,
    OWN,
    AccountData,
    Call,
    Constants,
    Quote,
    account_data,
    backs_debt,
    liquidate,
    quote,
    variable_debt,
)
from protocols.lending.aave_v2.state import Indices, Positions, Reserves, copied
from protocols.lending.aave_v2.versions import NOT_ENOUGH_LIQUIDITY, OK, REVERTS, version_of
from protocols.lending.closing import code_of
from protocols.lending.interface import ClosingTerms, Exposures, FloatArray, Offer, Settlement, Terms, UsualMarket
from protocols.lending.searching import most_worth_offering


class AaveV2Market(UsualMarket):
    """One pool.

    Liquidators are others than the account, take the token and not aTokens, and the pool is not paused.

    Parameters
    ----------
    name
        The market's name within its snapshot.
    version
        Of the contracts: ``2.0``.
    accounts, tokens
        Addresses, in the order of `positions` and of `reserves`.
    reserves, positions
        Exact state (lists of ints), as stored at or before `timestamp`; copied.
    base_unit
        Base units of the oracle's base currency in one of it: 1e18 for ether, 1e8 for US dollars.
    numeraire
        Row in `tokens` of the token that the oracle takes for its base currency (WETH); None where that is the US
        dollar.
    timestamp
        Time of the state, unix seconds.
    constants
        The contracts', unless an audit asks about others.

    Raises
    ------
    UnsupportedError
        If there are no rules for the version.
    InputError
        If the parts do not fit each other.
    """

    protocol = "aave_v2"
    lends_collateral = True
    caveat = ""

    def __init__(
        self,
        name: str,
        version: str,
        accounts: Sequence[str],
        tokens: Sequence[str],
        reserves: Reserves,
        positions: Positions,
        base_unit: int,
        numeraire: int | None,
        timestamp: int,
        constants: Constants = OWN,
    ) -> None:
        self.name = name
        self.version = version_of(version).name
        self.accounts = tuple(accounts)
        self.tokens = tuple(tokens)
        self.numeraire = numeraire
        self._base_unit = base_unit
        self._constants = constants
        self._reserves = copied(reserves)
        self._positions = copied(positions)
        self._check()
        self._now = timestamp
        size = len(self.tokens)
        self._indices = Indices([0] * size, [0] * size)
        bring_indices(self._reserves, self._indices, self._now)
        self._view = _View(self._reserves, self._positions)

    def _check(self) -> None:
        if any(len(column) != len(self.tokens) for column in self._reserves):
            raise InputError(f"market {self.name}: every column of its reserves should have {len(self.tokens)} rows")
        if len(self._positions.offsets) != len(self.accounts) + 1:
            raise InputError(f"market {self.name}: its positions are not those of {len(self.accounts)} accounts")
        if self.numeraire is not None and self._reserves.price_raw[self.numeraire] != self._base_unit:
            token = self.tokens[self.numeraire]
            raise InputError(
                f"market {self.name}: {token} is its unit of account, but its price is not {self._base_unit}"
            )

    # --- time and prices ----------------------------------------------------------------------------------------

    def advance(self, timestamp: int) -> None:
        """Let time pass: from now on balances carry interest up to `timestamp` (unix seconds)."""
        if timestamp < self._now:
            raise InputError(f"market {self.name} is at {self._now} and cannot go back to {timestamp}")
        self._now = timestamp
        bring_indices(self._reserves, self._indices, timestamp)

    def set_price(self, reserve: int, price_raw: int) -> None:
        """The oracle price of one whole token, in base units; InputError for the unit of account, which has none."""
        if reserve == self.numeraire:
            raise InputError(f"market {self.name}: {self.tokens[reserve]} is its unit of account and has no price")
        self._reserves.price_raw[reserve] = price_raw

    def price_raw(self, reserve: int) -> int:
        """The oracle price of one whole token now, in base units."""
        return int(self._reserves.price_raw[reserve])

    def price_unit(self, reserve: int) -> int:
        """What :meth:`price_raw` would be if one whole token were worth one of the base currency."""
        return self._base_unit

    # --- accounts -----------------------------------------------------------------------------------------------

    def exposures(self) -> Exposures:
        """All positions as arrays, for fast screening; relative error at most 1e-9, or one of the smallest units.

        The contract truncates the account's average threshold to basis points, which is no property of an entry: its
        health factor may be lower than these arrays give by up to one basis point of the threshold.
        """
        return self._view.exposures(self._indices, self._now)

    def account_data(self, account: int) -> AccountData:
        """Exactly what LendingPool.getUserAccountData answers."""
        return account_data(self._reserves, self._indices, self._positions, account, self._now)

    def health_raw(self, account: int) -> int:
        """The health factor of LendingPool.getUserAccountData, in wad; 2**256 - 1 without debt."""
        return int(self.account_data(account).health_factor)

    def is_liquidatable(self, account: int) -> bool:
        """Whether the health factor is below one."""
        return self.health_raw(account) < HEALTH_FACTOR_LIQUIDATION_THRESHOLD

    def closing_terms(self) -> ClosingTerms:
        """Half of a debt at once, and the whole bonus is the liquidator's."""
        return ClosingTerms(
            code_of(self.protocol), np.array(self._constants, dtype=np.float64), np.zeros(len(self.tokens))
        )

    def deficits_raw(self) -> Sequence[int]:
        """Nothing for any reserve: Aave v2 realises no bad debt, what cannot be recovered goes on as debt."""
        return (0,) * len(self.tokens)

    def cash_and_loans_raw(self) -> list[tuple[int, int]]:
        """Of each reserve, what could be paid out now and what is lent out with the interest that the next transaction
        stores, smallest units."""
        reserves, now = self._reserves, self._now

        def lent(r: int) -> int:
            variable = variable_debt(reserves.debt_scaled[r], next_borrow_index(reserves, r, now))
            return int(variable + stable_supply(reserves, r, now))

        return [(reserves.liquidity_raw[r], lent(r)) for r in range(len(self.tokens))]

    def state(self) -> tuple[Reserves, Positions]:
        """A copy of the pool's storage: indices as of each reserve's last update."""
        return copied(self._reserves), copied(self._positions)

    # --- liquidation --------------------------------------------------------------------------------------------

    def offers(self, account: int) -> list[Offer]:
        """Every pair of debt and collateral that may be liquidated now; empty for a healthy account.

        `most_raw` is half of the debt, or as much of it as the collateral pays for, or as the pool's cash in the
        collateral pays out. Where the collateral does not suffice, it can be a few units above what is repaid, because
        offering exactly that much may leave a unit of collateral behind.
        """
        data = self.account_data(account)
        entries = range(self._positions.offsets[account], self._positions.offsets[account + 1])
        found = []
        for debt_entry in entries:
            if not (self._positions.debt_scaled[debt_entry] or self._positions.stable_principal_raw[debt_entry]):
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
        return _terms(quoted)

    def settle(self, offer: Offer, amount_raw: int) -> Settlement:
        """Execute the liquidation and change the state as the contract does; nothing changes if it is refused."""
        call = _call(offer.account, offer.collateral, offer.debt, amount_raw)
        quoted = liquidate(self._constants, self._reserves, self._indices, self._positions, call, self._now)
        for entry in range(self._positions.offsets[offer.account], self._positions.offsets[offer.account + 1]):
            self._view.refresh(entry)
        return Settlement(_terms(quoted))

    def _quote(self, data: AccountData, account: int, collateral: int, debt: int, amount_raw: int) -> Quote:
        call = _call(account, collateral, debt, amount_raw)
        return quote(self._constants, self._reserves, self._indices, self._positions, data, call, self._now)

    def _most(self, data: AccountData, account: int, collateral: int, debt: int) -> int:
        """The largest repayment worth offering, 0 if every one is refused."""

        def ask(amount: int) -> Quote:
            return self._quote(data, account, collateral, debt, amount)

        return most_worth_offering(ask, (NOT_ENOUGH_LIQUIDITY,), max_uint256())


def _call(account: int, collateral: int, debt: int, amount_raw: int) -> Call:
    return Call(account, collateral, debt, amount_raw, receive_atoken=False, self_liquidation=False, paused=False)


def _terms(quoted: Quote) -> Terms:
    if quoted.error != OK:
        return Terms(0, 0, 0, REVERTS[quoted.error])
    return Terms(quoted.repaid, quoted.received, 0)


class _View:
    """Positions as float64 arrays, kept in step with the exact ones entry by entry."""

    def __init__(self, reserves: Reserves, positions: Positions) -> None:
        self._reserves, self._positions = reserves, positions
        self._offsets = np.array(positions.offsets, dtype=np.int64)
        self._reserve = np.array(positions.reserve, dtype=np.int64)
        self._unit = np.array([float(unit) for unit in reserves.unit])
        size = len(self._reserve)
        self._supplied, self._debt = np.zeros(size), np.zeros(size)
        self._counts, self._owes = np.zeros(size), np.zeros(size)
        for entry in range(size):
            self.refresh(entry)
        self._threshold, self._ltv, self._bonus = (
            np.array(column, dtype=np.float64)[self._reserve] / 10_000
            for column in (reserves.threshold_bps, reserves.ltv_bps, reserves.bonus_bps)
        )
        # Few accounts have stable-rate debt; each has a rate of its own.
        self._stable = [entry for entry, principal in enumerate(positions.stable_principal_raw) if principal]

    def refresh(self, entry: int) -> None:
        """Take over an entry that has changed."""
        self._supplied[entry] = float(self._positions.supplied_scaled[entry])
        self._debt[entry] = float(self._positions.debt_scaled[entry])
        self._counts[entry] = backs_debt(self._reserves, self._positions, entry)
        self._owes[entry] = self._positions.borrowing[entry]

    def exposures(self, indices: Indices, now: int) -> Exposures:
        """The positions with interest up to `now`, the time of `indices`."""
        income, debt_index = self._whole_tokens(indices.income), self._whole_tokens(indices.debt)
        debt = self._debt * debt_index[self._reserve]
        for entry in self._stable:
            debt[entry] += stable_balance(self._positions, entry, now) / self._unit[self._reserve[entry]]
        return Exposures(
            self._offsets,
            self._reserve,
            self._supplied * income[self._reserve],
            debt * self._owes,
            self._threshold * self._counts,
            self._ltv * self._counts,
            self._bonus,
        )

    def _whole_tokens(self, indices_ray: Sequence[int]) -> FloatArray:
        """What one scaled unit is worth in whole tokens, for each reserve."""
        return np.array([float(index) for index in indices_ray]) / (1e27 * self._unit)
