"""A ledger beside a run: what leaves one place arrives at another, to the unit.

The ledger listens to what markets settle and pools swap, not to what the run writes down, and compares three things:
the entries it made, what the states of markets and pools hold before and after, and what the run's tables say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from protocols.lending.aave_v3.balances import debt_balance, supplied_balance
from protocols.lending.compound_v2.balances import debt_of, exchange_rate
from protocols.lending.interface import LendingMarket, Offer, Settlement
from simulator.book import Book
from simulator.cascade import Record
from simulator.market.orderbook import OrderBook

ROUNDED = 3
"""Units that one liquidation may round a scaled balance by: to scaled and back, for the liquidator and the treasury."""

FEES_STAY = {"uniswap_v2", "balancer_weighted", "curve_tricrypto"}
"""Pools whose reserves hold all fees, until somebody asks for a share of them."""


class Balance(NamedTuple):
    """A reserve's balance sheet, smallest units: cash, what is lent and what was written off are owed to suppliers and
    to the protocol's own reserves.

    `shares` are what claims and debts are counted in, all but the treasury's: what accounts have is part of them.
    """

    cash: int
    lent: int
    written_off: int
    suppliers: int
    reserves: int
    shares: tuple[int, int]

    @property
    def surplus(self) -> int:
        """What there is beyond what is owed: what rounding has left over, and what a snapshot began with."""
        return self.cash + self.lent + self.written_off - self.suppliers - self.reserves


class Holding(NamedTuple):
    """What an account supplies and owes in a reserve, smallest units, and in shares."""

    supplied: int
    owed: int
    shares: tuple[int, int]


class Ledger:
    """Entries of one run; make it before the run, :meth:`watch` during it and :meth:`check` it after.

    Parameters
    ----------
    book
        What is run.
    """

    def __init__(self, book: Book) -> None:
        self.book = book
        self.entries: dict[tuple[str, str], int] = defaultdict(int)
        """By (place, token): what came there less what left, smallest units."""
        self.swaps = 0
        self.settlements = 0
        self.withdrawn: dict[tuple[str, str], int] = defaultdict(int)
        """By (pool, token), smallest units."""
        self.paid_out: dict[tuple[str, str], int] = defaultdict(int)
        """To suppliers who left, by (market, token), smallest units."""
        self._fees: dict[tuple[str, str], float] = defaultdict(float)
        self._admin: dict[tuple[str, str], float] = defaultdict(float)
        """At most, by (pool, token), smallest units."""
        self._rounded: dict[str, int] = defaultdict(int)
        self._written_off: dict[tuple[str, str], int] = defaultdict(int)
        self._opening = {
            market.name: [sheet.cash for sheet in balances(market)]
            for market in book.markets
            if market.protocol in READ
        }
        self._deficits = {market.name: list(market.deficits_raw()) for market in book.markets}
        self._reserves = {venue.name: list(venue.reserves_raw()) for venue in book.venues}

    def move(self, token: str, amount: int, source: str, target: str) -> None:
        """An amount of a token goes from one place to another."""
        assert amount >= 0
        self.entries[source, token] -= amount
        self.entries[target, token] += amount

    # --- during the run -----------------------------------------------------------------------------------------

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Listen to the book's markets and pools inside the block."""
        with pytest.MonkeyPatch.context() as patch:
            for market in {type(market) for market in self.book.markets}:
                patch.setattr(market, "settle", self._listened_settle(market.settle))
                if hasattr(market, "pay_out"):
                    patch.setattr(market, "pay_out", self._listened_pay_out(market.pay_out))
            for venue in {type(venue) for venue in self.book.venues}:
                patch.setattr(venue, "swap", self._listened_swap(venue.swap))
                if hasattr(venue, "withdraw"):
                    patch.setattr(venue, "withdraw", self._listened_withdraw(venue.withdraw))
            yield

    def _listened_settle(self, original: Any) -> Any:
        ours = {id(market) for market in self.book.markets}

        def settle(market: LendingMarket, offer: Offer, amount_raw: int) -> Settlement:
            if id(market) not in ours:
                return original(market, offer, amount_raw)  # type: ignore[no-any-return]
            known = market.protocol in READ
            before = (balances(market), holdings(market, offer.account)) if known else None
            settlement: Settlement = original(market, offer, amount_raw)
            self._post(market, offer, settlement)
            if before:
                check_settlement(offer, settlement, before, (balances(market), holdings(market, offer.account)))
            return settlement

        return settle

    def _post(self, market: LendingMarket, offer: Offer, settlement: Settlement) -> None:
        terms = settlement.terms
        self.settlements += 1
        self.move(market.tokens[offer.debt], terms.repaid_raw, "traders", market.name)
        self.move(market.tokens[offer.collateral], terms.received_raw, market.name, "traders")
        for reserve, amount in settlement.deficits_raw:
            self._written_off[market.name, market.tokens[reserve]] += amount

    def _listened_pay_out(self, original: Any) -> Any:
        ours = {id(market) for market in self.book.markets}

        def pay_out(market: Any, reserve: int, amount_raw: int) -> Any:
            known = market.protocol in READ
            before = balances(market)[reserve] if known else None
            paid = original(market, reserve, amount_raw)
            if id(market) in ours:
                assert 0 <= paid <= amount_raw
                if before is not None:
                    # what suppliers have less is what they were paid, and nobody else has more or less
                    assert abs(balances(market)[reserve].surplus - before.surplus) <= ROUNDED
                self.paid_out[market.name, market.tokens[reserve]] += paid
                self.move(market.tokens[reserve], paid, market.name, "suppliers")
            return paid

        return pay_out

    def _listened_swap(self, original: Any) -> Any:
        ours = {id(venue) for venue in self.book.venues}

        def swap(venue: Any, sold: int, bought: int, amount_raw: int, limit_raw: int = 0) -> Any:
            if id(venue) not in ours:
                return original(venue, sold, bought, amount_raw, limit_raw)
            fee, began = venue.fee(sold, bought), getattr(venue, "slot", None)
            fill = original(venue, sold, bought, amount_raw, limit_raw)
            self.swaps += 1
            self._rounded[venue.name] += 2 * _parts(venue, began)
            self._fees[venue.name, venue.tokens[sold]] += fill.paid_raw * fee
            if venue.protocol == "curve_stableswap":
                terms = venue.terms
                highest = terms.fee * max(1.0, terms.offpeg_fee_multiplier / 10**10) / 10**10
                self._admin[venue.name, venue.tokens[bought]] += 0.5 * fill.received_raw * highest / (1 - highest) + 1
            self.move(venue.tokens[sold], fill.paid_raw, "traders", venue.name)
            self.move(venue.tokens[bought], fill.received_raw, venue.name, "traders")
            return fill

        return swap

    def _listened_withdraw(self, original: Any) -> Any:
        ours = {id(venue) for venue in self.book.venues}

        def withdraw(venue: Any, share_wad: int) -> Any:
            amounts = original(venue, share_wad)
            if id(venue) in ours:
                self._rounded[venue.name] += 2
                for token, amount in zip(venue.tokens, amounts, strict=True):
                    self.withdrawn[venue.name, token] += amount
                    self.move(token, amount, venue.name, "providers")
            return amounts

        return withdraw

    # --- after it -----------------------------------------------------------------------------------------------

    def check(self, record: Record) -> None:
        """Compare with the states of markets and pools as they are now, and with what the run wrote down."""
        self._check_markets(record.deficits)
        self._check_pools()
        self._check_providers(record.withdrawals)
        self._check_suppliers(record.exits)
        self._check_traders(record.liquidations, record.swaps)
        for token in {token for _, token in self.entries}:
            assert sum(amount for (_, t), amount in self.entries.items() if t == token) == 0

    def _check_markets(self, deficits: Sequence[Mapping[str, Any]]) -> None:
        for market in self.book.markets:
            for token, was, now in zip(market.tokens, self._deficits[market.name], market.deficits_raw(), strict=True):
                told = sum(
                    row["amount_raw"] for row in deficits if (row["market"], row["token"]) == (market.name, token)
                )
                assert now - was == told == self._written_off[market.name, token]
            if market.name not in self._opening:
                continue
            for token, was, sheet in zip(market.tokens, self._opening[market.name], balances(market), strict=True):
                assert sheet.cash - was == self.entries[market.name, token]
                assert sheet.cash >= 0

    def _check_pools(self) -> None:
        for venue in self.book.venues:
            if isinstance(venue, OrderBook):
                # nobody's reserves: other traders pay and receive, and the book keeps their account
                assert venue.net_raw == [self.entries[venue.name, token] for token in venue.tokens]
                continue
            for token, was, now in zip(venue.tokens, self._reserves[venue.name], venue.reserves_raw(), strict=True):
                kept = self.entries[venue.name, token] - (now - was)
                if venue.protocol in FEES_STAY:
                    assert kept == 0
                    continue
                if venue.protocol == "curve_stableswap":
                    # half of the fee, which is of what was bought, is the admin's
                    assert 0 <= kept <= self._admin[venue.name, token]
                    continue
                # what came in and is not in the reserves is fees; a pool rounds in its own favour, so never less
                units = self._rounded[venue.name] + 1
                fees = self._fees[venue.name, token]
                assert kept >= -1
                assert kept <= fees * (1 + 1e-9) + units
                if venue.protocol == "uniswap_v3":
                    assert kept >= fees * (1 - 1e-9) - units

    def _check_providers(self, withdrawals: Sequence[Mapping[str, Any]]) -> None:
        told: dict[tuple[str, str], int] = defaultdict(int)
        for row in withdrawals:
            told[row["venue"], row["token"]] += row["amount_raw"]
        assert told == {key: amount for key, amount in self.withdrawn.items() if key in told or amount}

    def _check_suppliers(self, exits: Sequence[Mapping[str, Any]]) -> None:
        """What suppliers were paid is what they asked for less what waits, and what the run says."""
        served: dict[tuple[str, str], int] = defaultdict(int)
        for row in exits:
            served[row["market"], row["token"]] += row["served_raw"]
        assert {key: paid for key, paid in served.items() if paid} == {k: v for k, v in self.paid_out.items() if v}

    def _check_traders(self, liquidations: Sequence[Mapping[str, Any]], swaps: Sequence[Mapping[str, Any]]) -> None:
        """What traders are left with is what the tables say that arbitrage and liquidators made."""
        assert len(swaps) == self.swaps
        left: dict[str, int] = defaultdict(int)
        sold = {row["liquidation"] for row in swaps}
        for row in swaps:
            if row["liquidation"] < 0:
                left[row["token_in"]] -= row["paid_raw"]
                left[row["token_out"]] += row["received_raw"]
        for row in liquidations:
            left[row["debt"]] -= row["repaid_raw"]
            if row["liquidation"] in sold:
                left[row["debt"]] += row["proceeds_raw"]
            else:
                # sold outside, or in the token that was owed: the collateral itself came to traders
                left[row["collateral"]] += row["received_raw"]
        tokens = {token for _, token in self.entries} | set(left)
        assert {t: left[t] for t in tokens} == {t: self.entries["traders", t] for t in tokens}


def _parts(venue: Any, began: Any) -> int:
    """In how many parts a swap was made that rounds each: Uniswap v3 stops at every initialised tick, and at every
    256th of the others."""
    if began is None:
        return 1
    ended, spacing = venue.slot, venue.terms.tick_spacing
    parts: int = 2 + abs(ended.tick - began.tick) // (256 * spacing) + abs(ended.ticks_below - began.ticks_below)
    return parts


def check_settlement(
    offer: Offer,
    settlement: Settlement,
    before: tuple[list[Balance], list[Holding]],
    after: tuple[list[Balance], list[Holding]],
) -> None:
    """One liquidation: what the account and the market have less is what others got, reserve by reserve."""
    terms, written_off = settlement.terms, dict(settlement.deficits_raw)
    for reserve, (was, now) in enumerate(zip(*(balance for balance, _ in (before, after)), strict=True)):
        repaid = terms.repaid_raw if reserve == offer.debt else 0
        received = terms.received_raw if reserve == offer.collateral else 0
        assert now.cash - was.cash == repaid - received
        assert now.written_off - was.written_off == written_off.get(reserve, 0)
        # nothing appears, and nothing is lost but to rounding
        assert abs(now.surplus - was.surplus) <= ROUNDED
        if not repaid and not received and not written_off.get(reserve):
            assert now == was
    if offer.account < 0:
        return
    for was, now, held, left in zip(before[0], after[0], before[1], after[1], strict=True):
        # in shares nothing is rounded
        for side in range(2):
            assert now.shares[side] - was.shares[side] == left.shares[side] - held.shares[side]
    for reserve, (held, left) in enumerate(zip(*(holding for _, holding in (before, after)), strict=True)):
        repaid = terms.repaid_raw if reserve == offer.debt else 0
        taken = terms.received_raw + terms.fee_raw if reserve == offer.collateral else 0
        assert abs(held.owed - left.owed - repaid - written_off.get(reserve, 0)) <= ROUNDED
        assert abs(held.supplied - left.supplied - taken) <= ROUNDED


# --- how protocols keep their books -------------------------------------------------------------------------------


def balances(market: LendingMarket) -> list[Balance]:
    """The balance sheet of each reserve now."""
    return READ[market.protocol][0](market)  # type: ignore[no-any-return]


def holdings(market: LendingMarket, account: int) -> list[Holding]:
    """What an account has in each reserve now; nothing where the market itself is the seller."""
    return [] if account < 0 else READ[market.protocol][1](market, account)


def _aave_balances(market: Any) -> list[Balance]:
    reserves, indices, version = market._reserves, market._indices, market._version.code
    return [
        Balance(
            cash=reserves.liquidity_raw[r],
            lent=debt_balance(version, reserves.debt_scaled[r], indices.debt[r]),
            written_off=reserves.deficit_raw[r],
            suppliers=supplied_balance(version, reserves.supply_scaled[r], indices.income[r]),
            reserves=0,
            shares=(reserves.supply_scaled[r] - reserves.treasury_scaled[r], reserves.debt_scaled[r]),
        )
        for r in range(len(market.tokens))
    ]


def _aave_holdings(market: Any, account: int) -> list[Holding]:
    positions, indices, version = market._positions, market._indices, market._version.code
    found = [Holding(0, 0, (0, 0))] * len(market.tokens)
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        r = positions.reserve[entry]
        found[r] = Holding(
            supplied_balance(version, positions.supplied_scaled[entry], indices.income[r]),
            debt_balance(version, positions.debt_scaled[entry], indices.debt[r]),
            (positions.supplied_scaled[entry], positions.debt_scaled[entry]),
        )
    return found


def _compound_balances(market: Any) -> list[Balance]:
    markets = market._markets
    return [
        Balance(
            cash=markets.cash_raw[m],
            lent=markets.borrows_raw[m],
            written_off=0,
            suppliers=exchange_rate(markets, m) * markets.claims[m] // 10**18,
            reserves=markets.reserves_raw[m],
            # a debt has no shares: each borrower's grows by an index of its own
            shares=(markets.claims[m], 0),
        )
        for m in range(len(market.tokens))
    ]


def _compound_holdings(market: Any, account: int) -> list[Holding]:
    markets, positions = market._markets, market._positions
    found = [Holding(0, 0, (0, 0))] * len(market.tokens)
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        m = positions.market[entry]
        worth = exchange_rate(markets, m) * positions.claims[entry] // 10**18
        found[m] = Holding(worth, debt_of(markets, positions, entry), (positions.claims[entry], 0))
    return found


READ: dict[str, tuple[Any, Any]] = {
    "aave_v3": (_aave_balances, _aave_holdings),
    "compound_v2": (_compound_balances, _compound_holdings),
}
"""Protocols whose markets are read, not only listened to."""
