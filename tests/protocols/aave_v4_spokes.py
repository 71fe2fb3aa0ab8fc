"""Aave v4 spokes made for tests: every number in them is different from every other."""

from __future__ import annotations

import random

from protocols.lending.aave_v4.state import NO_PREMIUM_THRESHOLD, Assets, Configs, Liquidation, Positions, Reserves
from tests.vectors.aave_v4_spoke import Spoke

RAY = 10**27
WAD = 10**18
USD = 10**8
NOW = 1_780_000_000
ETH, USDC, DAI = 0, 1, 2


def simple_spoke(
    supplied: int, debt: int, *, eth_price: int = 200_012_345_678, others: dict[str, int] | None = None
) -> Spoke:
    """One account with ETH (18 decimals, reserve 0) against USDC (6 decimals, reserve 1), and DAI (18, reserve 2).

    The index is 1, a share is worth a unit, no premium is owed and no time has passed, so that shares are amounts.
    `others` may give the account ``dai_supplied`` and ``dai_debt`` too.
    """
    more = others or {}
    dai_supplied, dai_debt = more.get("dai_supplied", 0), more.get("dai_debt", 0)
    drawn = [0, debt, dai_debt]
    added = [supplied + 10**21, 10**13, dai_supplied + 10**24]
    assets = Assets(
        liquidity_raw=[a - d for a, d in zip(added, drawn, strict=True)],
        swept_raw=[0] * 3,
        realized_fees_raw=[0] * 3,
        added_shares=list(added),
        drawn_shares=list(drawn),
        premium_shares=[0] * 3,
        premium_offset_ray=[0] * 3,
        deficit_ray=[0] * 3,
        drawn_index_ray=[RAY] * 3,
        drawn_rate_ray=[RAY // 50, RAY // 25, RAY // 20],
        last_update=[NOW] * 3,
        liquidity_fee_bps=[1_000, 1_500, 500],
        fee_receiver_shares=[0] * 3,
        optimal_usage_ray=[8 * RAY // 10, 9 * RAY // 10, 85 * RAY // 100],
        base_rate_ray=[0, RAY // 200, 0],
        slope1_ray=[RAY // 30, RAY // 20, RAY // 25],
        slope2_ray=[RAY // 2, RAY, 3 * RAY // 4],
    )
    reserves = Reserves(
        asset=[0, 1, 2],
        unit=[10**18, 10**6, 10**18],
        price_raw=[eth_price, 99_998_765, 100_012_345],
        collateral_risk_bps=[0, 500, 1_500],
        latest_config=[0, 1, 2],
        paused=[False] * 3,
        frozen=[False] * 3,
        receive_shares=[True] * 3,
        added_shares=list(added),
        drawn_shares=list(drawn),
        premium_shares=[0] * 3,
        premium_offset_ray=[0] * 3,
        deficit_ray=[0] * 3,
        premium_threshold_bps=[NO_PREMIUM_THRESHOLD] * 3,
        active=[True] * 3,
        halted=[False] * 3,
    )
    positions = Positions(
        offsets=[0, 3],
        reserve=[0, 1, 2],
        supplied_shares=[supplied, 0, dai_supplied],
        drawn_shares=list(drawn),
        premium_shares=[0] * 3,
        premium_offset_ray=[0] * 3,
        config=[0, 1, 2],
        collateral=[supplied > 0, False, dai_supplied > 0],
        borrowing=[amount > 0 for amount in drawn],
        risk_premium_bps=[0],
    )
    configs = Configs([8_000, 7_800, 7_500], [10_500, 10_400, 10_600], [1_000, 2_000, 0])
    return Spoke(assets, reserves, configs, Liquidation(105 * WAD // 100, 95 * WAD // 100, 4_000), positions)


def random_spoke(seed: int, accounts: int = 3) -> Spoke:
    """A spoke with accounts from safe to under water, dust and whales, premium owed, interest due, and other spokes."""
    draw = random.Random(seed)
    size = draw.randint(2, 4)
    unit = [10 ** draw.choice([6, 8, 9, 12, 18]) for _ in range(size)]
    price = [round(10 ** draw.uniform(7, 13)) for _ in range(size)]
    index = [RAY + draw.randrange(RAY // 2) for _ in range(size)]
    configs = Configs([], [], [])
    for _ in range(2 * size):
        factor = draw.randint(3_000, 9_000)
        configs.collateral_factor_bps.append(factor)
        configs.max_bonus_bps.append(draw.randint(10_000, min(11_500, 9_990 * 10_000 // factor)))
        configs.fee_bps.append(draw.choice([0, 500, 1_000, 3_333, 10_000]))
    positions = Positions([0], [], [], [], [], [], [], [], [], [])
    for _ in range(accounts):
        usd, rate = 10 ** draw.uniform(1, 7), draw.choice([0, 0, draw.randint(1, 5_000)])
        for r in range(size):
            role = draw.choice(["both", "supply", "supply", "debt", "debt", "none"])
            supplied = drawn = 0
            if role in ("both", "supply"):
                supplied = round(usd * draw.uniform(0.1, 1) * 1e8 / price[r] * unit[r])
            if role in ("both", "debt"):
                drawn = round(usd * draw.uniform(0.05, 0.7) * 1e8 / price[r] * unit[r] * RAY / index[r])
            premium = -(-drawn * rate // 10_000)
            owed = draw.choice([0, draw.randrange(drawn * RAY // 50 + 1)]) if drawn else 0
            positions.reserve.append(r)
            positions.supplied_shares.append(supplied)
            positions.drawn_shares.append(drawn)
            positions.premium_shares.append(premium)
            positions.premium_offset_ray.append(premium * index[r] - owed)
            positions.config.append(2 * r + draw.randint(0, 1))
            positions.collateral.append(supplied > 0 and draw.random() < 0.9)
            positions.borrowing.append(drawn > 0)
        positions.offsets.append(len(positions.reserve))
        positions.risk_premium_bps.append(rate)

    def total(column: str, r: int) -> int:
        amounts = zip(positions.reserve, getattr(positions, column), strict=True)
        return sum(amount for reserve, amount in amounts if reserve == r)

    def spoke_and_hub(column: str) -> tuple[list[int], list[int]]:
        """Totals of the spoke's accounts, and with other spokes' on top."""
        own = [total(column, r) for r in range(size)]
        return own, [amount + abs(amount) // draw.randint(2, 9) for amount in own]

    supply, all_supply = spoke_and_hub("supplied_shares")
    drawn_own, all_drawn = spoke_and_hub("drawn_shares")
    premium_own = [total("premium_shares", r) for r in range(size)]
    offset_own = [total("premium_offset_ray", r) for r in range(size)]
    all_supply = [amount + unit[r] for r, amount in enumerate(all_supply)]
    debts = [d * i // RAY for d, i in zip(all_drawn, index, strict=True)]
    assets = Assets(
        liquidity_raw=[
            draw.choice([0, max(all_supply[r] - debts[r], 0), all_supply[r]]) + unit[r] for r in range(size)
        ],
        swept_raw=[draw.choice([0, draw.randrange(unit[r])]) for r in range(size)],
        realized_fees_raw=[draw.randrange(debts[r] // 1_000 + 1) for r in range(size)],
        added_shares=all_supply,
        drawn_shares=all_drawn,
        premium_shares=list(premium_own),
        premium_offset_ray=list(offset_own),
        deficit_ray=[draw.choice([0, draw.randrange(unit[r] * RAY)]) for r in range(size)],
        drawn_index_ray=index,
        drawn_rate_ray=[draw.randrange(RAY // 5) for _ in range(size)],
        last_update=[NOW - draw.choice([0, 12, 10**5, 10**7]) for _ in range(size)],
        liquidity_fee_bps=[draw.choice([0, 500, 1_000, 2_500]) for _ in range(size)],
        fee_receiver_shares=[draw.randrange(10**6) for _ in range(size)],
        optimal_usage_ray=[draw.randint(4_000, 9_500) * 10**23 for _ in range(size)],
        base_rate_ray=[draw.randrange(200) * 10**23 for _ in range(size)],
        slope1_ray=[draw.randrange(1_000) * 10**23 for _ in range(size)],
        slope2_ray=[draw.randint(1_000, 20_000) * 10**23 for _ in range(size)],
    )
    reserves = Reserves(
        asset=list(range(size)),
        unit=unit,
        price_raw=price,
        collateral_risk_bps=[draw.choice([0, 500, 500, 1_500, 40_000]) for _ in range(size)],
        latest_config=[2 * r + 1 for r in range(size)],
        paused=[False] * size,
        frozen=[draw.random() < 0.1 for _ in range(size)],
        receive_shares=[draw.random() < 0.9 for _ in range(size)],
        added_shares=supply,
        drawn_shares=drawn_own,
        premium_shares=premium_own,
        premium_offset_ray=offset_own,
        deficit_ray=[0] * size,
        premium_threshold_bps=[NO_PREMIUM_THRESHOLD] * size,
        active=[True] * size,
        halted=[False] * size,
    )
    terms = Liquidation(
        target_health_wad=draw.choice([100, 105, 124]) * WAD // 100,
        max_bonus_health_wad=draw.choice([0, 70, 90, 99]) * WAD // 100,
        bonus_factor_bps=draw.choice([0, 4_000, 10_000]),
    )
    return Spoke(assets, reserves, configs, terms, positions)
