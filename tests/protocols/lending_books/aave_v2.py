"""Aave v2."""

from __future__ import annotations

import random
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from protocols.lending.aave_v2 import rates
from protocols.lending.aave_v2.market import AaveV2Market
from protocols.lending.aave_v2.rules import OWN, Constants, backs_debt, supplied_balance, variable_debt
from tests.protocols import aave_v2_pools
from tests.protocols.lending_books.book import (
    PLENTY,
    RAY,
    WAD,
    YEAR,
    Accrual,
    Amounts,
    Book,
    entries_of,
    less,
    linear,
    parts,
    third_order,
)


class AaveV2Book(Book):
    """Tokens go between liquidator and pool; no fee, and nothing is written off."""

    def __init__(self, seed: int, seconds: int = 0, flush: bool = False) -> None:
        pool = aave_v2_pools.random_pool(seed)
        if flush:
            pool.reserves.liquidity_raw[:] = [PLENTY] * len(pool.symbols)
            # Where suppliers earn nothing, interest is forgotten, and a repayment of it is refused.
            pool.reserves.liquidity_rate_ray[:] = [max(rate, 1) for rate in pool.reserves.liquidity_rate_ray]
        # the contracts' in every other book, else others that an audit may set
        draw = random.Random(seed)
        self.constants = OWN if draw.random() < 0.5 else Constants(draw.randint(30, 100) * 100)
        self.market: AaveV2Market = aave_v2_pools.market_of(pool, constants=self.constants)
        self.now = aave_v2_pools.NOW + seconds
        self.market.advance(self.now)

    def held(self) -> list[Any]:
        return list(self.market.state()[0].liquidity_raw)

    def supplies(self, account: int) -> Amounts:
        reserves, positions = self.market.state()
        return {
            (r := positions.reserve[entry]): supplied_balance(
                positions.supplied_scaled[entry], rates.normalized_income(reserves, r, self.now)
            )
            for entry in entries_of(positions, account)
        }

    def debts(self, account: int) -> Amounts:
        """At the index that the next transaction stores: where suppliers earn nothing, interest is forgotten then."""
        reserves, positions = self.market.state()
        return {
            (r := positions.reserve[entry]): variable_debt(
                positions.debt_scaled[entry], rates.next_borrow_index(reserves, r, self.now)
            )
            + rates.stable_balance(positions, entry, self.now)
            for entry in entries_of(positions, account)
        }

    def owed_adds_up(self, reserve: int) -> bool:
        """The contract has stable-rate debt as a total of its own at an average rate, and sets both to nothing where a
        repayment does not fit them."""
        return not self.market.state()[0].stable_principal_raw[reserve]

    def records(self) -> list[Any]:
        reserves, positions = self.market.state()
        size = len(self.market.tokens)
        debts, supplies = (
            parts(c, positions.reserve, size) for c in (positions.debt_scaled, positions.supplied_scaled)
        )
        return less(reserves.debt_scaled, debts) + less(reserves.supply_scaled, reserves.treasury_scaled, supplies)

    def claims(self) -> list[Any]:
        reserves, _ = self.market.state()
        return [rates.normalized_income(reserves, r, self.now) for r in range(len(self.market.tokens))]

    def is_healthy(self, account: int) -> bool:
        return bool(self.market.health_raw(account) >= WAD)

    def unit(self, reserve: int) -> int:
        return int(self.market.state()[0].unit[reserve])

    def seizable(self, account: int) -> Amounts:
        reserves, positions = self.market.state()
        counted = {positions.reserve[e] for e in entries_of(positions, account) if backs_debt(reserves, positions, e)}
        return {r: amount for r, amount in self.supplies(account).items() if r in counted}

    def bonus(self, account: int, reserve: int) -> Fraction:
        return Fraction(self.market.state()[0].bonus_bps[reserve], 10_000)

    def close_factor(self) -> Fraction:
        return Fraction(self.constants.close_factor_bps, 10_000)

    @classmethod
    def accruals(cls, seed: int, first: int, second: int) -> Iterable[Accrual]:
        once, twice = (aave_v2_pools.random_pool(seed).reserves for _ in range(2))
        for r in range(len(once.unit)):
            start = once.last_update[r]
            income, debt = once.liquidity_rate_ray[r], once.borrow_rate_ray[r]
            rates.update_state(once, r, start + first + second)
            for now in (start + first, start + first + second):
                rates.update_state(twice, r, now)
            yield linear("income", once.liquidity_index_ray[r], twice.liquidity_index_ray[r], income, first, second)
            # The rate a second and its powers are whole rays: half a ray each, as often as the terms count them.
            seconds = first + second
            rounding = Fraction(2 * (4 + seconds**2 // 4 + seconds**3 // 8))
            exponent = debt / RAY * seconds / YEAR
            yield third_order("debt", once.borrow_index_ray[r], twice.borrow_index_ray[r], exponent, rounding)
