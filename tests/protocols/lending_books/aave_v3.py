"""Aave v3, all its versions."""

from __future__ import annotations

import random
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, ClassVar

from protocols.lending.aave_v3 import balances, rates
from protocols.lending.aave_v3.market import AaveV3Market
from protocols.lending.aave_v3.rules import OWN, Constants, backs_debt, bonus_of
from tests.protocols import aave_v3_pools
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


class AaveV3Book(Book):
    """The fee goes to the treasury as aTokens; since 3.3 what nothing is left for is written off as a deficit, which
    lenders go on counting as theirs."""

    writes_off = True
    versions: ClassVar[list[str]] = aave_v3_pools.ALL_VERSIONS

    def __init__(self, seed: int, seconds: int = 0, flush: bool = False) -> None:
        pool = aave_v3_pools.random_pool(seed, self.versions[seed % len(self.versions)])
        if flush:
            pool.reserves.liquidity_raw[:] = [PLENTY] * len(pool.symbols)
        accounts = [f"account {number}" for number in range(len(pool.positions.emode))]
        self.constants = random_constants(seed)
        state = pool.reserves, pool.emodes, pool.positions, aave_v3_pools.NOW, self.constants
        self.market = AaveV3Market("pool", pool.version.name, accounts, pool.symbols, *state)
        self.version, self.emodes = pool.version.code, pool.emodes
        self.now = aave_v3_pools.NOW + seconds
        self.market.advance(self.now)

    def held(self) -> list[Any]:
        return list(self.market.state()[0].liquidity_raw)

    def kept(self) -> list[Any]:
        reserves, _ = self.market.state()
        treasury = zip(reserves.treasury_scaled, self.claims(), strict=True)
        return [balances.supplied_balance(self.version, scaled, index) for scaled, index in treasury]

    def written_off(self) -> list[Any]:
        return list(self.market.deficits_raw())

    def supplies(self, account: int) -> Amounts:
        _, positions = self.market.state()
        index = self.claims()
        return {
            (r := positions.reserve[entry]): balances.supplied_balance(
                self.version, positions.supplied_scaled[entry], index[r]
            )
            for entry in entries_of(positions, account)
        }

    def debts(self, account: int) -> Amounts:
        reserves, positions = self.market.state()
        return {
            (r := positions.reserve[entry]): balances.debt_balance(
                self.version,
                positions.debt_scaled[entry],
                rates.normalized_debt(self.version, reserves, r, self.now),
            )
            for entry in entries_of(positions, account)
        }

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
        counted = {
            positions.reserve[entry]
            for entry in entries_of(positions, account)
            if backs_debt(self.version, reserves, positions, entry)
        }
        return {r: amount for r, amount in self.supplies(account).items() if r in counted}

    def bonus(self, account: int, reserve: int) -> Fraction:
        reserves, positions = self.market.state()
        return Fraction(bonus_of(reserves, self.emodes, positions.emode[account], reserve), 10_000)

    def close_factor(self) -> Fraction:
        return Fraction(self.constants.close_factor_bps, 10_000)

    @classmethod
    def accruals(cls, seed: int, first: int, second: int) -> Iterable[Accrual]:
        name = cls.versions[seed % len(cls.versions)]
        pools = [aave_v3_pools.random_pool(seed, name) for _ in range(2)]
        version, (once, twice) = pools[0].version.code, (pool.reserves for pool in pools)
        for r in range(len(once.unit)):
            start = once.last_update[r]
            income, debt = once.liquidity_rate_ray[r], once.borrow_rate_ray[r]
            rates.update_state(version, once, r, start + first + second)
            for now in (start + first, start + first + second):
                rates.update_state(version, twice, r, now)
            yield linear("income", once.liquidity_index_ray[r], twice.liquidity_index_ray[r], income, first, second)
            # Before 3.4 the powers of the rate are cut to whole rays, a ray each as often as the terms count them.
            seconds = first + second
            powers = 0 if name >= "3.4" else seconds**2 // 2 + seconds**3 // 3
            exponent = debt / RAY * seconds / YEAR
            rounding = Fraction(2 * (8 + powers))
            yield third_order("debt", once.borrow_index_ray[r], twice.borrow_index_ray[r], exponent, rounding)


def random_constants(seed: int) -> Constants:
    """The contracts' in every other book, else others that an audit may set; accounts beyond help can be closed."""
    draw = random.Random(seed)
    if draw.random() < 0.5:
        return OWN
    return Constants(draw.randint(20, 100) * 100, draw.choice([90, 100]) * WAD // 100)


class AaveV3BeforeDust(AaveV3Book):
    """Versions without a rule about what may be left."""

    versions = aave_v3_pools.ALL_VERSIONS[:3]
