"""An Aave v4 spoke as the engine steps it: exact state, and a float64 view of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chain.errors import InputError
from protocols.arithmetic import max_uint256
from protocols.lending.aave_v4.account import AccountData, account_data, debt_ray
from protocols.lending.aave_v4.amounts import HEALTH_FACTOR_LIQUIDATION_THRESHOLD
from protocols.lending.aave_v4.hub import VIRTUAL, drawn_index, from_ray_up, owed_ray, total_added
from protocols.lending.aave_v4.rules import Call, Quote, entry_of, liquidate, quote
from protocols.lending.aave_v4.state import (
    Assets,
    Configs,
    Liquidation,
    Positions,
    Reserves,
    account_part,
    copied,
    put_account,
)
from protocols.lending.aave_v4.versions import (
    INSUFFICIENT_LIQUIDITY,
    MUST_NOT_LEAVE_DUST,
    OK,
    revert_name,
    version_of,
)
from protocols.lending.closing import code_of
from protocols.lending.interface import ClosingTerms, Exposures, Offer, Settlement, Terms, UsualMarket
from protocols.lending.searching import smallest

SUPPLIERS = "suppliers of the hub's asset, until its deficit is covered"
_RAY = 10**27
_TOO_MUCH = (MUST_NOT_LEAVE_DUST, INSUFFICIENT_LIQUIDITY)
"""Refusals that a smaller repayment may escape."""


class Hubs:
    """The assets of one or more hubs, and their time. Spokes made with the same object draw on the same cash, and each
    sees at once what liquidations in another did.

    Parameters
    ----------
    assets
        Exact state (lists of ints), as stored at or before `timestamp`; copied.
    timestamp
        Time of the state, unix seconds.
    """

    def __init__(self, assets: Assets, timestamp: int) -> None:
        if len({len(column) for column in assets}) > 1:
            raise InputError("every column of the hubs' assets should have the same number of rows")
        self.assets = copied(assets)
        self.now = timestamp

    def advance(self, timestamp: int) -> None:
        """Let time pass, for every spoke; raises InputError for a time that is past."""
        if timestamp < self.now:
            raise InputError(f"the hubs are at {self.now} and cannot go back to {timestamp}")
        self.now = timestamp


class AaveV4Market(UsualMarket):
    """One spoke.

    Liquidators are others than the account, and take the token and not supply shares.

    Parameters
    ----------
    name
        The market's name within its snapshot.
    version
        Of the contracts, ``0.5.11``.
    accounts, tokens
        Addresses, in the order of `positions` and of `reserves`. A token stands twice if two hubs offer it.
    hubs
        What the reserves draw on; not copied.
    reserves, configs, terms, positions
        Exact state (lists of ints) at the time of `hubs`; what changes is copied.

    Raises
    ------
    UnsupportedError
        If there are no rules for the version.
    InputError
        If the parts do not fit each other.
    """

    protocol = "aave_v4"
    lends_collateral = True
    caveat = ""
    numeraire = None

    def __init__(
        self,
        name: str,
        version: str,
        accounts: Sequence[str],
        tokens: Sequence[str],
        hubs: Hubs,
        reserves: Reserves,
        configs: Configs,
        terms: Liquidation,
        positions: Positions,
    ) -> None:
        self.version = version_of(version).name
        self.name = name
        self.accounts = tuple(accounts)
        self.tokens = tuple(tokens)
        self._hubs = hubs
        self._reserves = copied(reserves)
        self._configs = configs
        self._terms = terms
        self._positions = copied(positions)
        self._check()
        self._view = _View(self._reserves, configs, self._positions)

    def _check(self) -> None:
        size, count = len(self.tokens), len(self.accounts)
        if any(len(column) != size for column in self._reserves):
            raise InputError(f"market {self.name}: every column of its reserves should have {size} rows")
        if len(self._positions.offsets) != count + 1 or len(self._positions.risk_premium_bps) != count:
            raise InputError(f"market {self.name}: its positions are not those of {count} accounts")
        if any(not 0 <= row < len(self._hubs.assets.last_update) for row in self._reserves.asset):
            raise InputError(f"market {self.name}: a reserve is of an asset that its hubs do not have")
        if any(10**18 % unit for unit in self._reserves.unit):
            raise InputError(f"market {self.name}: a token has more than 18 decimals")

    # --- time and prices ----------------------------------------------------------------------------------------

    def advance(self, timestamp: int) -> None:
        """Let time pass: from now on balances carry interest up to `timestamp` (unix seconds)."""
        self._hubs.advance(timestamp)

    def set_price(self, reserve: int, price_raw: int) -> None:
        """The oracle price of one whole token, in 1e-8 US dollars."""
        self._reserves.price_raw[reserve] = price_raw

    def price_raw(self, reserve: int) -> int:
        """The oracle price of one whole token now, in 1e-8 US dollars."""
        return int(self._reserves.price_raw[reserve])

    def price_unit(self, reserve: int) -> int:
        """Base units in one US dollar for one whole token; the same for every reserve."""
        return 10**8

    # --- accounts -----------------------------------------------------------------------------------------------

    def exposures(self) -> Exposures:
        """All positions as arrays, for fast screening; relative error at most 1e-9, or one of the smallest units.

        `bonus` is the highest that the account's configuration allows. The contract grants it at the spoke's
        ``healthFactorForMaxBonus`` and below, where an account that cannot be made good always is in practice, and
        less above.
        """
        return self._view.exposures(self._hubs)

    def account_data(self, account: int) -> AccountData:
        """Exactly what Spoke.getUserAccountData answers."""
        state = self._hubs.assets, self._reserves, self._configs, self._positions
        return account_data(*state, account, self._hubs.now)

    def health_raw(self, account: int) -> int:
        """Health factor of Spoke.getUserAccountData, in wad; 2**256 - 1 without debt."""
        return int(self.account_data(account).health_wad)

    def is_liquidatable(self, account: int) -> bool:
        """Whether the health factor is below 1."""
        return self.health_raw(account) < HEALTH_FACTOR_LIQUIDATION_THRESHOLD

    def closing_terms(self) -> ClosingTerms:
        """The spoke's liquidation configuration, and the fee of each reserve's latest dynamic configuration."""
        fee = np.array([self._configs.fee_bps[config] for config in self._reserves.latest_config]) / 10_000
        return ClosingTerms(code_of(self.protocol), np.array(self._terms, dtype=np.float64), fee)

    def deficits_raw(self) -> Sequence[int]:
        """Realised bad debt of the spoke in each reserve so far, smallest units rounded up."""
        return tuple(-(-deficit // _RAY) for deficit in self._reserves.deficit_ray)

    def cash_and_loans_raw(self) -> list[tuple[int, int]]:
        """Of each reserve, what its hub could pay out now and has lent to all spokes, with interest and premium,
        smallest units."""
        assets, now = self._hubs.assets, self._hubs.now

        def lent(a: int) -> int:
            # what the hub counts as owed has in it what was written off
            return int(from_ray_up(owed_ray(assets, a, drawn_index(assets, a, now)) - assets.deficit_ray[a]))

        return [(assets.liquidity_raw[a], lent(a)) for a in self._reserves.asset]

    def state(self) -> tuple[Assets, Reserves, Positions]:
        """A copy of what the contracts store."""
        return copied(self._hubs.assets), copied(self._reserves), copied(self._positions)

    # --- liquidation --------------------------------------------------------------------------------------------

    def offers(self, account: int) -> list[Offer]:
        """Every pair of debt and collateral that may be liquidated now; empty for a healthy account.

        `most_raw` is what a liquidator repays who sets no limit, or the most that the hub's cash can be paid out for.
        Less can be refused too, because a liquidation must leave 1,000 US dollars of debt and collateral, or none of
        one of them; ask :meth:`terms`.
        """
        data = self.account_data(account)
        if data.health_wad >= HEALTH_FACTOR_LIQUIDATION_THRESHOLD:
            return []
        entries = range(self._positions.offsets[account], self._positions.offsets[account + 1])
        found = []
        for debt_entry in entries:
            if not self._positions.borrowing[debt_entry]:
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
        return _terms(self._tried(offer, amount_raw)[0])

    def settle(self, offer: Offer, amount_raw: int) -> Settlement:
        """Execute the liquidation and change the state as the contract does; nothing changes if it is refused."""
        quoted, assets, reserves, account = self._tried(offer, amount_raw)
        if quoted.error != OK:
            return Settlement(_terms(quoted))
        before = self.deficits_raw()
        _put(self._hubs.assets, assets)
        _put(self._reserves, reserves)
        put_account(self._positions, offer.account, account)
        for entry in range(self._positions.offsets[offer.account], self._positions.offsets[offer.account + 1]):
            self._view.refresh(entry)
        grown = ((r, now - was) for r, (was, now) in enumerate(zip(before, self.deficits_raw(), strict=True)))
        deficits = tuple((r, amount) for r, amount in grown if amount)
        return Settlement(_terms(quoted), deficits, SUPPLIERS if deficits else "")

    def _tried(self, offer: Offer, amount_raw: int) -> tuple[Quote, Assets, Reserves, Positions]:
        """A liquidation executed on copies."""
        assets, reserves = copied(self._hubs.assets), copied(self._reserves)
        account = account_part(self._positions, offer.account)
        call = _call(0, offer.collateral, offer.debt, amount_raw)
        quoted = liquidate(assets, reserves, self._configs, self._terms, account, call, self._hubs.now)
        return quoted, assets, reserves, account

    def _most(self, data: AccountData, account: int, collateral: int, debt: int) -> int:
        """The largest repayment worth offering, 0 if every one is refused."""

        def ask(amount: int) -> Quote:
            state = self._hubs.assets, self._reserves, self._configs, self._terms, self._positions
            return quote(*state, data, _call(account, collateral, debt, amount), self._hubs.now)

        everything = ask(max_uint256())
        most = int(everything.repaid)
        if everything.error == INSUFFICIENT_LIQUIDITY:
            # From some size on the cash does not suffice, or what would be left is dust and the cash does not suffice.
            most = smallest(0, self._owed(account, debt), lambda amount: ask(amount).error in _TOO_MUCH) - 1
        # What the hub refuses after the payment does not depend on its size.
        return most if most > 0 and not self.terms(Offer(account, collateral, debt, most), most).refusal else 0

    def _owed(self, account: int, debt: int) -> int:
        """What an account owes in a reserve, rounded up with a unit to spare."""
        entry = entry_of(self._positions, account, debt)
        owed_ray = debt_ray(self._hubs.assets, self._reserves, self._positions, entry, self._hubs.now)
        return int(owed_ray // _RAY) + 2


def _terms(quoted: Quote) -> Terms:
    if quoted.error != OK:
        return Terms(0, 0, 0, revert_name(quoted.error))
    return Terms(quoted.repaid, quoted.received, quoted.removed - quoted.received)


def _put(state: Assets | Reserves, changed: Assets | Reserves) -> None:
    """Take over changed columns in place, where others look."""
    for column, values in zip(state, changed, strict=True):
        column[:] = values


def _call(account: int, collateral: int, debt: int, amount_raw: int) -> Call:
    return Call(account, collateral, debt, amount_raw, receive_shares=False, self_liquidation=False)


class _View:
    """Positions as float64 arrays, kept in step with the exact ones entry by entry."""

    def __init__(self, reserves: Reserves, configs: Configs, positions: Positions) -> None:
        self._reserves, self._configs, self._positions = reserves, configs, positions
        self._offsets = np.array(positions.offsets, dtype=np.int64)
        self._reserve = np.array(positions.reserve, dtype=np.int64)
        self._unit = np.array([float(unit) for unit in reserves.unit])
        factor, bonus = (np.array(column, dtype=np.float64) / 10_000 for column in configs[:2])
        config = np.array(positions.config, dtype=np.int64)
        latest = np.array(reserves.latest_config, dtype=np.int64)
        self._threshold, self._bonus, self._ltv = factor[config], bonus[config], factor[latest][self._reserve]
        size = len(self._reserve)
        self._supplied, self._drawn, self._premium, self._offset_ray, self._counts = (np.zeros(size) for _ in range(5))
        for entry in range(size):
            self.refresh(entry)

    def refresh(self, entry: int) -> None:
        """Take over an entry that has changed."""
        positions = self._positions
        self._supplied[entry] = float(positions.supplied_shares[entry])
        self._drawn[entry] = float(positions.drawn_shares[entry])
        self._premium[entry] = float(positions.premium_shares[entry])
        self._offset_ray[entry] = float(positions.premium_offset_ray[entry])
        self._counts[entry] = positions.collateral[entry] and positions.supplied_shares[entry] > 0

    def exposures(self, hubs: Hubs) -> Exposures:
        """The positions with interest to now."""
        assets, now = hubs.assets, hubs.now
        totals = [(total_added(assets, a, now) + VIRTUAL) / (assets.added_shares[a] + VIRTUAL) for a in self._rows()]
        share = (np.array(totals) / self._unit)[self._reserve]
        index = np.array([float(drawn_index(assets, a, now)) for a in self._rows()])[self._reserve]
        premium_ray = np.maximum(self._premium * index - self._offset_ray, 0.0)
        return Exposures(
            self._offsets,
            self._reserve,
            self._supplied * share,
            (self._drawn * index + premium_ray) / (1e27 * self._unit)[self._reserve],
            self._threshold * self._counts,
            self._ltv * self._counts,
            self._bonus,
        )

    def _rows(self) -> Sequence[int]:
        return list(self._reserves.asset)
