"""Compound v2."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, ClassVar

from protocols import arithmetic
from protocols.lending.compound_v2 import interest
from protocols.lending.compound_v2.balances import debt_of, exchange_rate, seize_ratio
from protocols.lending.interface import Offer, Terms
from tests.protocols import compound_books
from tests.protocols.lending_books.book import PLENTY, WAD, Accrual, Amounts, Book, entries_of, less, parts


class CompoundV2Book(Book):
    """Liquidators redeem the claims that they get; the protocol's share of these is burnt for the good of reserves."""

    protocol: ClassVar[str] = "compound_v2"
    compounds_alone = True

    def __init__(self, seed: int, seconds: int = 0, flush: bool = False) -> None:
        book = compound_books.random_book(seed)
        if flush:
            for column in (book.markets.cash_raw, book.markets.reserves_raw):
                column[:] = [amount + PLENTY for amount in column]
        if self.protocol == "compound_v2":
            # which has one pool
            book.positions.pool[:] = [0] * len(book.positions.pool)
        self.book = book
        self.market = book.market(self.protocol)
        self.now = compound_books.NOW + seconds
        self.market.advance(self.now)

    def held(self) -> list[Any]:
        return list(self.market.state()[0].cash_raw)

    def debt(self) -> list[Any]:
        return list(self.market.state()[0].borrows_raw)

    def kept(self) -> list[Any]:
        return list(self.market.state()[0].reserves_raw)

    def supplies(self, account: int) -> Amounts:
        markets, positions = self.market.state()
        return {
            (m := positions.market[entry]): arithmetic.mul_div_down(
                exchange_rate(markets, m), positions.claims[entry], WAD
            )
            for entry in entries_of(positions, account)
        }

    def debts(self, account: int) -> Amounts:
        markets, positions = self.market.state()
        return {positions.market[e]: debt_of(markets, positions, e) for e in entries_of(positions, account)}

    def records(self) -> list[Any]:
        markets, positions = self.market.state()
        return less(markets.claims, parts(positions.claims, positions.market, 3))

    def claims(self) -> list[Any]:
        markets, _ = self.market.state()
        return [exchange_rate(markets, m) for m in range(3)]

    def unit(self, reserve: int) -> int:
        return int(self.market.state()[0].unit[reserve])

    def seizable(self, account: int) -> Amounts:
        return self.supplies(account)

    def _pool(self, account: int) -> int:
        return 0

    def bonus(self, account: int, reserve: int) -> Fraction:
        return Fraction(self.book.pools.incentive_wad[self._pool(account)][reserve], WAD)

    def close_factor(self) -> Fraction:
        return Fraction(self.book.compound.close_factor_wad, WAD)

    def grain(self, offer: Offer, terms: Terms) -> Fraction:
        """A claim is worth many units, and the claims for one unit of debt are cut to 18 digits in steps."""
        markets, _ = self.market.state()
        rate = exchange_rate(markets, offer.collateral)
        incentive = self.book.pools.incentive_wad[self._pool(offer.account)][offer.collateral]
        steps = (
            seize_ratio(markets, offer.collateral, offer.debt, incentive),
            markets.price_raw[offer.collateral] * rate // WAD,
            markets.price_raw[offer.debt],
        )
        cut = sum((Fraction(2, max(step, 1)) for step in steps), Fraction(0)) * terms.claim_raw * 2
        return (2 + cut) * Fraction(rate, WAD) + 3

    @classmethod
    def accruals(cls, seed: int, first: int, second: int) -> Iterable[Accrual]:
        once, twice = (compound_books.random_book(seed) for _ in range(2))
        for m in range(3):
            start, before = once.markets.accrued_block[m], once.markets.index_wad[m]
            rate = interest.borrow_rate(once.markets, m)
            cls._accrue(once, m, start + first + second)
            cls._accrue(twice, m, start + first)
            between = interest.borrow_rate(twice.markets, m)
            cls._accrue(twice, m, start + first + second)
            # The index of two accruals is (1 + r first) (1 + r' second); r' is the rate that the first one led to.
            drift = Fraction(between - rate, WAD) * second
            compound = Fraction(rate * first, WAD) * Fraction(between * second, WAD)
            expected, slack = before * (drift + compound), 2 + before * Fraction(first, WAD)
            indices = once.markets.index_wad[m], twice.markets.index_wad[m]
            yield Accrual("debt", *indices, expected - slack, expected + slack)

    @classmethod
    def _accrue(cls, book: compound_books.Book, m: int, block: int) -> None:
        assert interest.accrue(book.markets, m, block)
