"""Aave v2 pools made for tests: every number in them is different from every other."""

from __future__ import annotations

import random

from protocols.lending.aave_v2.market import AaveV2Market
from protocols.lending.aave_v2.rules import OWN, Constants
from protocols.lending.aave_v2.state import Positions, Reserves
from tests.vectors.aave_v2 import Pool

RAY = 10**27
ETHER = 10**18
NOW = 1_650_000_000
ETH, USDC, DAI = 0, 1, 2


def simple_pool(
    supplied: int,
    debt: int,
    *,
    stable_debt: int = 0,
    threshold_bps: int = 8_000,
    collateral_price: int = ETHER,
    debt_price: int = 499_987_654_321_000,
) -> Pool:
    """One account with ETH (18 decimals, reserve 0) against USDC (6 decimals, reserve 1), beside DAI (18, reserve 2).

    Indices are 1 and no time has passed, so that scaled balances are balances.
    """
    reserves = Reserves(
        liquidity_index_ray=[RAY] * 3,
        borrow_index_ray=[RAY] * 3,
        liquidity_rate_ray=[RAY // 100, RAY // 50, RAY // 40],
        borrow_rate_ray=[RAY // 50, RAY // 25, RAY // 20],
        last_update=[NOW] * 3,
        supply_scaled=[supplied + 10**21, 10**13, 10**24],
        debt_scaled=[10**20, debt + 10**12, 10**23],
        stable_principal_raw=[0, stable_debt + 10**11, 0],
        stable_rate_ray=[0, RAY // 15, 0],
        stable_since=[0, NOW, 0],
        liquidity_raw=[supplied + 9 * 10**20, 9 * 10**12, 9 * 10**23],
        treasury_scaled=[0] * 3,
        unit=[10**18, 10**6, 10**18],
        price_raw=[collateral_price, debt_price, 500_012_345_678_000],
        ltv_bps=[threshold_bps - 500, 7_500, 7_400],
        threshold_bps=[threshold_bps, 7_800, 7_700],
        bonus_bps=[10_500, 10_450, 10_400],
        reserve_factor_bps=[1_500, 1_000, 2_000],
        active=[True] * 3,
        optimal_usage_ray=[8 * RAY // 10, 9 * RAY // 10, 85 * RAY // 100],
        base_rate_ray=[0, RAY // 200, 0],
        slope1_ray=[RAY // 30, RAY // 20, RAY // 25],
        slope2_ray=[RAY // 2, RAY, 3 * RAY // 4],
    )
    positions = Positions(
        offsets=[0, 2],
        reserve=[ETH, USDC],
        supplied_scaled=[supplied, 0],
        debt_scaled=[0, debt],
        stable_principal_raw=[0, stable_debt],
        stable_rate_ray=[0, RAY // 12 if stable_debt else 0],
        stable_since=[0, NOW if stable_debt else 0],
        collateral=[True, False],
        borrowing=[False, True],
    )
    return Pool(["ETH", "USDC", "DAI"], reserves, positions)


def random_pool(seed: int, accounts: int = 4) -> Pool:
    """A pool with accounts from safe to under water, dust and whales, interest due, and debt at both rates."""
    draw = random.Random(seed)
    size = draw.randint(2, 4)
    unit = [10 ** draw.choice([2, 6, 8, 12, 18]) for _ in range(size)]
    price = [ETHER, *(round(10 ** draw.uniform(12, 20)) for _ in range(size - 1))]
    threshold = [draw.randint(4_000, 8_800) for _ in range(size)]
    positions = Positions([0], [], [], [], [], [], [], [], [])
    supply, debts, fixed = [0] * size, [0] * size, [0] * size
    for _ in range(accounts):
        ether = 10 ** draw.uniform(-3, 4)
        for r in range(size):
            role = draw.choice(["both", "supply", "supply", "debt", "fixed", "debts", "none"])
            supplied = debt = stable = 0
            if role in ("both", "supply"):
                supplied = round(ether * draw.uniform(0.1, 1) * 1e18 / price[r] * unit[r])
            if role in ("both", "debt", "debts"):
                debt = round(ether * draw.uniform(0.02, 0.5) * 1e18 / price[r] * unit[r])
            if role in ("fixed", "debts"):
                stable = round(ether * draw.uniform(0.02, 0.5) * 1e18 / price[r] * unit[r])
            positions.reserve.append(r)
            positions.supplied_scaled.append(supplied)
            positions.debt_scaled.append(debt)
            positions.stable_principal_raw.append(stable)
            positions.stable_rate_ray.append(draw.randint(1, 200) * RAY // 1_000 if stable else 0)
            positions.stable_since.append(NOW - draw.randrange(10**7) if stable else 0)
            positions.collateral.append(supplied > 0 and draw.random() < 0.9)
            positions.borrowing.append(debt > 0 or stable > 0)
            supply[r] += supplied
            debts[r] += debt
            fixed[r] += stable
        positions.offsets.append(len(positions.reserve))
    reserves = Reserves(
        liquidity_index_ray=[RAY + draw.randrange(RAY // 10) for _ in range(size)],
        borrow_index_ray=[RAY + draw.randrange(RAY // 2) for _ in range(size)],
        liquidity_rate_ray=[draw.choice([0, 1, 1, 1]) * draw.randrange(RAY // 20) for _ in range(size)],
        borrow_rate_ray=[draw.randrange(RAY // 5) for _ in range(size)],
        last_update=[NOW - draw.choice([0, 12, 10**5, 10**7]) for _ in range(size)],
        supply_scaled=[amount * 3 + unit[r] for r, amount in enumerate(supply)],
        debt_scaled=[amount * 2 + 1 for amount in debts],
        stable_principal_raw=[amount * 3 for amount in fixed],
        stable_rate_ray=[draw.randint(1, 150) * RAY // 1_000 if amount else 0 for amount in fixed],
        stable_since=[NOW - 10**7 - draw.randrange(10**7) if amount else 0 for amount in fixed],
        liquidity_raw=[draw.choice([0, 1, 4]) * amount + unit[r] for r, amount in enumerate(supply)],
        treasury_scaled=[draw.randrange(10**6) for _ in range(size)],
        unit=unit,
        price_raw=price,
        ltv_bps=[t - draw.randint(100, 1_000) for t in threshold],
        threshold_bps=threshold,
        bonus_bps=[draw.randint(10_100, 11_200) for _ in range(size)],
        reserve_factor_bps=[draw.choice([0, 1_000, 1_500, 5_000]) for _ in range(size)],
        active=[True] * size,
        optimal_usage_ray=[draw.randint(4_000, 9_500) * 10**23 for _ in range(size)],
        base_rate_ray=[draw.randrange(200) * 10**23 for _ in range(size)],
        slope1_ray=[draw.randrange(1_000) * 10**23 for _ in range(size)],
        slope2_ray=[draw.randint(1_000, 20_000) * 10**23 for _ in range(size)],
    )
    return Pool([f"T{r}" for r in range(size)], reserves, positions)


def market_of(pool: Pool, version: str = "2.0", constants: Constants = OWN) -> AaveV2Market:
    """The market of a pool, priced in its first token."""
    accounts = [f"account {number}" for number in range(len(pool.positions.offsets) - 1)]
    state = pool.symbols, pool.reserves, pool.positions, ETHER, ETH, NOW
    return AaveV2Market("pool", version, accounts, *state, constants)
