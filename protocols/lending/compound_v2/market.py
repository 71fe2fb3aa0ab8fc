"""Compound v2 as the engine steps it: exact state, and a float64 view of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from chain.blocktime import blocks_in
from chain.errors import InputError
from protocols.lending.closing import code_of
from protocols.lending.compound_v2.balances import (
    Liquidity,
    debt_of,
    exchange_rate,
    liquidity,
    most_repayable,
    redeem,
    seize_ratio,
)
from protocols.lending.compound_v2.exposures import View
from protocols.lending.compound_v2.interest import accrue
from protocols.lending.compound_v2.rules import Call, Settings, is_deprecated, liquidate
from protocols.lending.compound_v2.state import WAD, Markets, Pools, Positions, copied
from protocols.lending.compound_v2.versions import NO_CASH, OK, REFUSALS, UNVERIFIED, Version, version_of
from protocols.lending.interface import ClosingTerms, Exposures, Offer, Settlement, Terms, UsualMarket


class Clock(NamedTuple):
    """What connects time with blocks: interest is a block's.

    Attributes
    ----------
    block, timestamp
        The block of the state, and its time in unix seconds.
    block_ms
        Milliseconds to the next one, and from then on.
    """

    block: int
    timestamp: int
    block_ms: int

    def block_at(self, timestamp: int) -> int:
        """The last block up to a time."""
        return self.block + blocks_in(timestamp - self.timestamp, self.block_ms)


class Done(NamedTuple):
    """A liquidation as liquidators see it: claims they get, what they receive for these once redeemed, and what the
    protocol got for those it keeps."""

    error: int
    repaid: int
    claims: int
    fee_raw: int
    received: int = 0


class CompoundV2Market(UsualMarket):
    """One comptroller's markets.

    Whenever time has passed every market accrues: on a live chain somebody deals with each of them within minutes, and
    a liquidator whom a stale market stands in the way of calls ``accrueInterest`` himself. Before time first passes the
    numbers are the chain's own, stale as they are there.

    Liquidators are others than the account, and redeem the claims that they get in the same transaction: what the
    market cannot pay in cash cannot be liquidated. Nothing is ever written off: bad debt stays with the account.

    Parameters
    ----------
    name
        The market's name within its snapshot.
    version
        Of the contracts, e.g. ``2``.
    accounts, tokens
        Addresses, in the order of `positions` and of `markets`; the tokens are the underlying ones.
    markets, pools, positions
        Exact state (lists of ints), as stored at the clock's block; copied.
    settings
        The comptroller's.
    clock
        Time and block of the state.

    Raises
    ------
    UnsupportedError
        If there are no rules for the version.
    InputError
        If the parts do not fit each other, or a market's reserves exceed all that it has.
    """

    protocol = "compound_v2"
    lends_collateral = True

    def __init__(
        self,
        name: str,
        version: str,
        accounts: Sequence[str],
        tokens: Sequence[str],
        markets: Markets,
        pools: Pools,
        positions: Positions,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._version = self._version_of(version)
        self.name = name
        self.accounts = tuple(accounts)
        self.tokens = tuple(tokens)
        self._markets = copied(markets)
        self._pools = pools
        self._positions = copied(positions)
        self._settings = settings
        self._clock = clock
        self._now, self._block = clock.timestamp, clock.block
        self._check()
        self._view = View(self._markets, pools, self._positions)

    def _check(self) -> None:
        size = len(self.tokens)
        tables = (row for table in self._pools for row in table)
        if any(len(column) != size for column in (*self._markets, *tables)):
            raise InputError(f"market {self.name}: every column of its markets should have {size} rows")
        if len(self._positions.offsets) != len(self.accounts) + 1 or len(self._positions.pool) != len(self.accounts):
            raise InputError(f"market {self.name}: its positions are not those of {len(self.accounts)} accounts")
        columns = (self._markets.cash_raw, self._markets.borrows_raw, self._markets.reserves_raw)
        for token, cash, borrows, reserves in zip(self.tokens, *columns, strict=True):
            if reserves > cash + borrows:
                raise InputError(f"market {self.name}: the reserves of {token} exceed its cash and its loans")

    # --- what the protocol decides, and a fork of it in its own way ---------------------------------------------

    def _version_of(self, name: str) -> Version:
        return version_of(name)

    def _accrue(self, m: int) -> bool:
        return accrue(self._markets, m, self._block)

    def _open(self, entry: int) -> bool:
        """Whether a debt can be liquidated whatever the account's liquidity, and as a whole."""
        return is_deprecated(self._markets, self._pools, self._positions.market[entry])

    def _liquidate(self, call: Call) -> Done:
        done = liquidate(self._markets, self._pools, self._positions, self._settings, call, self._block)
        return Done(done.error, done.repaid, done.seized - done.kept, done.kept_raw)

    def _refusal(self, error: int) -> str:
        return str(REFUSALS[error])

    _no_cash = NO_CASH
    _skip_empty = False

    def _save(self, account: int) -> Callable[[], None]:
        """Remember everything that a liquidation of an account can change; call the result to bring it back."""
        markets = copied(self._markets)
        span = slice(self._positions.offsets[account], self._positions.offsets[account + 1])
        columns = (self._positions.claims, self._positions.principal_raw, self._positions.snapshot_index_wad)
        entries = [column[span] for column in columns]

        def restore() -> None:
            self._markets = markets
            for column, values in zip(columns, entries, strict=True):
                column[span] = values

        return restore

    # --- what it is ---------------------------------------------------------------------------------------------

    @property
    def version(self) -> str:
        """Version of the contracts."""
        return self._version.name

    @property
    def caveat(self) -> str:
        """Empty where the rules of this version agree with recorded contract answers; else what is unverified."""
        if self._version.verified_by == UNVERIFIED:
            return f"{self.protocol} {self.version} is {UNVERIFIED}: its rules were compared with no contract's answers"
        return ""

    @property
    def numeraire(self) -> None:
        """Prices are in US dollars."""
        return

    # --- time and prices ----------------------------------------------------------------------------------------

    def advance(self, timestamp: int) -> None:
        """Let time pass up to `timestamp` (unix seconds), in whole blocks, and every market accrue.

        A market whose rate is absurdly high does not accrue, as its contract would not.
        """
        if timestamp < self._now:
            raise InputError(f"market {self.name} is at {self._now} and cannot go back to {timestamp}")
        self._now = timestamp
        self._block = self._clock.block_at(timestamp)
        for m in range(len(self.tokens)):
            self._accrue(m)

    def set_price(self, reserve: int, price_raw: int) -> None:
        """The oracle price of one whole token, as ``getUnderlyingPrice`` has it."""
        self._markets.price_raw[reserve] = price_raw

    def price_raw(self, reserve: int) -> int:
        """The oracle price of one whole token now, as ``getUnderlyingPrice`` has it."""
        return int(self._markets.price_raw[reserve])

    def price_unit(self, reserve: int) -> int:
        """What ``getUnderlyingPrice`` answers for a token of one US dollar: 10 ** (36 - decimals)."""
        return int(10**36 // self._markets.unit[reserve])

    # --- accounts -----------------------------------------------------------------------------------------------

    def exposures(self) -> Exposures:
        """All positions as arrays, for fast screening; relative error at most 1e-9, or one of the smallest units."""
        return self._view.exposures(self._markets)

    def liquidity(self, account: int) -> Liquidity:
        """What an account may owe and owes, as the comptroller sums it."""
        return liquidity(self._markets, self._pools, self._positions, account, self._skip_empty)

    def health_raw(self, account: int) -> int:
        """Liquidity less shortfall of ``Comptroller.getAccountLiquidity``, US dollars in wad; 0 without a price."""
        found = self.liquidity(account)
        return int(found.limit - found.debt)

    def is_liquidatable(self, account: int) -> bool:
        """Whether the account has a shortfall, or a debt that may be liquidated without one."""
        return self.health_raw(account) < 0 or any(self._open(entry) for entry in self._debts(account))

    def open_accounts(self) -> list[int]:
        """Accounts with a debt that may be liquidated without a shortfall, which no screen of values would find."""
        accounts = range(len(self.accounts))
        return [account for account in accounts if any(self._open(entry) for entry in self._debts(account))]

    def closing_terms(self) -> ClosingTerms:
        """The comptroller's close factor, and each market's share of what is seized."""
        fee = np.array(self._markets.seize_share_wad, dtype=np.float64) / WAD
        return ClosingTerms(code_of(self.protocol), np.array([float(self._settings.close_factor_wad)]), fee)

    def deficits_raw(self) -> Sequence[int]:
        """Realised bad debt of each market: none, the contracts write nothing off."""
        return (0,) * len(self.tokens)

    def cash_and_loans_raw(self) -> list[tuple[int, int]]:
        """Of each reserve, what could be paid out now and what is lent out with interest, smallest units."""
        return list(zip(self._markets.cash_raw, self._markets.borrows_raw, strict=True))

    def state(self) -> tuple[Markets, Positions]:
        """A copy of the storage."""
        return copied(self._markets), copied(self._positions)

    def _entries(self, account: int) -> range:
        return range(self._positions.offsets[account], self._positions.offsets[account + 1])

    def _debts(self, account: int) -> list[int]:
        return [entry for entry in self._entries(account) if self._positions.principal_raw[entry]]

    # --- liquidation --------------------------------------------------------------------------------------------

    def offers(self, account: int) -> list[Offer]:
        """Every pair of debt and collateral that may be liquidated now; empty for a healthy account.

        `most_raw` is the largest repayment that is accepted: the close factor, the account's claims and the market's
        cash bound it. Each smaller one is accepted too.
        """
        short = self.health_raw(account) < 0
        found = []
        for entry in self._debts(account):
            debt = debt_of(self._markets, self._positions, entry)
            if self._open(entry):
                most = debt
            elif short:
                most = most_repayable(self._settings.close_factor_wad, debt)
            else:
                continue
            d = self._positions.market[entry]
            for held in self._entries(account):
                offer = self._offer(account, held, d, min(most, self._markets.borrows_raw[d]))
                if offer is not None:
                    found.append(offer)
        return found

    def terms(self, offer: Offer, amount_raw: int) -> Terms:
        """What a repayment of `amount_raw` would give, state unchanged."""
        return self._terms(self._try(offer, amount_raw))

    def settle(self, offer: Offer, amount_raw: int) -> Settlement:
        """Liquidate, redeem, and change the state as the contracts do; nothing changes if any of it is refused."""
        restore = self._save(offer.account)
        done = self._execute(offer, amount_raw)
        if done.error != OK:
            restore()
        for entry in self._entries(offer.account):
            self._view.refresh(entry)
        return Settlement(self._terms(done))

    def pay_out(self, reserve: int, amount_raw: int) -> int:
        """Let suppliers redeem their claims (``redeem``) for as much of an amount as the market has."""
        markets, positions = self._markets, self._positions
        others = sum(n for m, n in zip(positions.market, positions.claims, strict=True) if m == reserve)
        wanted = min(amount_raw, markets.cash_raw[reserve])
        claims = min(wanted * WAD // exchange_rate(markets, reserve), markets.claims[reserve] - others)
        return int(redeem(markets, reserve, claims).amount_raw) if claims > 0 else 0

    def _execute(self, offer: Offer, amount_raw: int) -> Done:
        done = self._liquidate(Call(offer.account, offer.collateral, offer.debt, amount_raw, self_liquidation=False))
        if done.error != OK:
            return done
        redeemed = redeem(self._markets, offer.collateral, done.claims)
        return done._replace(error=OK if redeemed.paid else self._no_cash, received=redeemed.amount_raw)

    def _try(self, offer: Offer, amount_raw: int) -> Done:
        restore = self._save(offer.account)
        try:
            return self._execute(offer, amount_raw)
        finally:
            restore()

    def _terms(self, done: Done) -> Terms:
        if done.error != OK:
            return Terms(0, 0, 0, self._refusal(done.error))
        return Terms(done.repaid, done.received, done.fee_raw, claim_raw=done.claims)

    def _offer(self, account: int, entry: int, debt: int, most: int) -> Offer | None:
        """The offer of a collateral for at most so much of a debt; None if even less is refused, or brings nothing."""
        collateral, claims = self._positions.market[entry], self._positions.claims[entry]
        incentive = self._pools.incentive_wad[self._positions.pool[account]][collateral]
        ratio = seize_ratio(self._markets, collateral, debt, incentive)
        if not claims or not ratio:
            return None
        # The largest repayment for which no more than the account's claims are seized.
        most = min(most, ((claims + 1) * WAD - 1) // ratio)

        def error(amount: int) -> int:
            return self._try(Offer(account, collateral, debt, amount), amount).error

        if error(most) == self._no_cash:
            most = _largest(0, most, lambda amount: error(amount) != self._no_cash)
        return None if error(most) != OK else Offer(account, collateral, debt, most)


def _largest(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The largest number from `low`, for which a condition holds, up to below `high`, for which it no longer does."""
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
