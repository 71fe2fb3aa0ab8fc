"""Aave v3 pools made for tests: every number in them is different from every other."""

from __future__ import annotations

import random

from protocols.lending.aave_v3.state import EModes, Positions, Reserves
from protocols.lending.aave_v3.versions import version_of
from tests.vectors.aave_v3_pool import Pool

RAY = 10**27
NOW = 1_750_000_000
ALL_VERSIONS = ["3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7"]


def simple_pool(
    version: str,
    supplied: int,
    debt: int,
    *,
    threshold_bps: int = 8_000,
    collateral_price: int = 200_012_345_678,
    debt_price: int = 99_998_765,
    others: dict[str, int] | None = None,
) -> Pool:
    """One account with ETH (18 decimals, reserve 0) against USDC (6 decimals, reserve 1), and DAI (18, reserve 2).

    Indices are 1 and no time has passed, so that scaled balances are balances. `others` may give the account
    ``dai_supplied`` and ``dai_debt`` too.
    """
    more = others or {}
    dai_supplied, dai_debt = more.get("dai_supplied", 0), more.get("dai_debt", 0)
    reserves = Reserves(
        liquidity_index_ray=[RAY] * 3,
        borrow_index_ray=[RAY] * 3,
        liquidity_rate_ray=[RAY // 100, RAY // 50, RAY // 40],
        borrow_rate_ray=[RAY // 50, RAY // 25, RAY // 20],
        last_update=[NOW] * 3,
        supply_scaled=[supplied + 10**21, 10**13, dai_supplied + 10**24],
        debt_scaled=[10**20, debt + 10**12, dai_debt + 10**23],
        liquidity_raw=[supplied + 9 * 10**20, 9 * 10**12 - debt, 9 * 10**23 + dai_supplied - dai_debt],
        treasury_accrued_scaled=[0] * 3,
        treasury_scaled=[0] * 3,
        deficit_raw=[0] * 3,
        isolated_debt=[0] * 3,
        unit=[10**18, 10**6, 10**18],
        price_raw=[collateral_price, debt_price, 100_012_345],
        ltv_bps=[threshold_bps - 500, 7_500, 7_400],
        threshold_bps=[threshold_bps, 7_800, 7_700],
        bonus_bps=[10_500, 10_450, 10_400],
        reserve_factor_bps=[1_500, 1_000, 2_000],
        fee_bps=[1_000, 2_000, 0],
        debt_ceiling=[0] * 3,
        grace_until=[0] * 3,
        active=[True] * 3,
        paused=[False] * 3,
        optimal_usage_ray=[8 * RAY // 10, 9 * RAY // 10, 85 * RAY // 100],
        base_rate_ray=[0, RAY // 200, 0],
        slope1_ray=[RAY // 30, RAY // 20, RAY // 25],
        slope2_ray=[RAY // 2, RAY, 3 * RAY // 4],
    )
    positions = Positions(
        offsets=[0, 3],
        reserve=[0, 1, 2],
        supplied_scaled=[supplied, 0, dai_supplied],
        debt_scaled=[0, debt, dai_debt],
        collateral=[supplied > 0, False, dai_supplied > 0],
        borrowing=[False, debt > 0, dai_debt > 0],
        emode=[0],
    )
    return Pool(version_of(version), ["ETH", "USDC", "DAI"], reserves, no_emodes(3), positions)


def no_emodes(reserves: int) -> EModes:
    """No category but the row that stands for none."""
    nobody = [[False] * reserves]
    return EModes(nobody, [[False] * reserves], [0], [0], [0], [0], [False])


def random_pool(seed: int, version: str, accounts: int = 4) -> Pool:
    """A pool with accounts from safe to under water, dust and whales, interest due, and an e-mode category."""
    draw = random.Random(seed)
    size = draw.randint(2, 4)
    unit = [10 ** draw.choice([2, 6, 8, 12, 18]) for _ in range(size)]
    price = [round(10 ** draw.uniform(7, 13)) for _ in range(size)]
    threshold = [draw.randint(4_000, 8_800) for _ in range(size)]
    income = [RAY + draw.randrange(RAY // 10) for _ in range(size)]
    borrow = [RAY + draw.randrange(RAY // 2) for _ in range(size)]
    positions = Positions([0], [], [], [], [], [], [])
    supply, debts = [0] * size, [0] * size
    for _ in range(accounts):
        category = draw.choice([0, 0, 1])
        usd = 10 ** draw.uniform(0, 7)
        for r in range(size):
            role = draw.choice(["both", "supply", "supply", "debt", "debt", "none"])
            supplied = debt = 0
            if role in ("both", "supply"):
                supplied = round(usd * draw.uniform(0.1, 1) * 1e8 / price[r] * unit[r])
            if role in ("both", "debt"):
                debt = round(usd * draw.uniform(0.05, 0.7) * 1e8 / price[r] * unit[r])
            positions.reserve.append(r)
            positions.supplied_scaled.append(supplied)
            positions.debt_scaled.append(debt)
            positions.collateral.append(supplied > 0 and draw.random() < 0.9)
            positions.borrowing.append(debt > 0)
            supply[r] += supplied
            debts[r] += debt
        positions.offsets.append(len(positions.reserve))
        positions.emode.append(category)
    reserves = Reserves(
        liquidity_index_ray=income,
        borrow_index_ray=borrow,
        liquidity_rate_ray=[draw.randrange(RAY // 20) for _ in range(size)],
        borrow_rate_ray=[draw.randrange(RAY // 5) for _ in range(size)],
        last_update=[NOW - draw.choice([0, 12, 10**5, 10**7]) for _ in range(size)],
        supply_scaled=[amount * 3 + unit[r] for r, amount in enumerate(supply)],
        debt_scaled=[amount * 2 + 1 for amount in debts],
        liquidity_raw=[draw.choice([0, 1, 4]) * amount + unit[r] for r, amount in enumerate(supply)],
        treasury_accrued_scaled=[draw.randrange(10**6) for _ in range(size)],
        treasury_scaled=[draw.randrange(10**6) for _ in range(size)],
        deficit_raw=[draw.randrange(10**6) for _ in range(size)],
        isolated_debt=[0] * size,
        unit=unit,
        price_raw=price,
        ltv_bps=[t - draw.randint(100, 1_000) for t in threshold],
        threshold_bps=threshold,
        bonus_bps=[draw.randint(10_100, 11_200) for _ in range(size)],
        reserve_factor_bps=[draw.choice([0, 1_000, 1_500, 5_000]) for _ in range(size)],
        fee_bps=[draw.choice([0, 1_000, 2_000, 3_333]) for _ in range(size)],
        debt_ceiling=[0] * size,
        grace_until=[0] * size,
        active=[True] * size,
        paused=[False] * size,
        optimal_usage_ray=[draw.randint(4_000, 9_500) * 10**23 for _ in range(size)],
        base_rate_ray=[draw.randrange(200) * 10**23 for _ in range(size)],
        slope1_ray=[draw.randrange(1_000) * 10**23 for _ in range(size)],
        slope2_ray=[draw.randint(1_000, 20_000) * 10**23 for _ in range(size)],
    )
    members = [draw.random() < 0.6 for _ in range(size)]
    nobody = [False] * size
    emodes = EModes([nobody, members], [nobody, nobody], [0, 9_200], [0, 9_400], [0, 10_150], [0, 0], [False, False])
    return Pool(version_of(version), [f"T{r}" for r in range(size)], reserves, emodes, positions)
