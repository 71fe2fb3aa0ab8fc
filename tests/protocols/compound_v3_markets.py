"""Comets made for tests: every number in them is different from every other."""

from __future__ import annotations

import random
from dataclasses import dataclass

from protocols.lending.compound_v3.market import CompoundV3Market
from protocols.lending.compound_v3.state import BASE, Configuration, Positions, Reserves, Totals

NOW = 1_700_000_000
FACTOR = 10**18
INDEX = 10**15
PRICE = 10**8
YEAR = 31_536_000


@dataclass
class Comet:
    """The parts that a market is made of."""

    configuration: Configuration
    totals: Totals
    reserves: Reserves
    positions: Positions

    def market(self, version: str = "CometWithExtendedAssetList") -> CompoundV3Market:
        """The market as the engine steps it, at its last accrual."""
        accounts = [f"account {number}" for number in range(len(self.positions.principal))]
        tokens = [f"token {row}" for row in range(len(self.reserves.scale))]
        state = self.configuration, self.totals, self.reserves, self.positions
        return CompoundV3Market("comet", version, accounts, tokens, *state, self.totals.last_accrual)


def simple_comet(collateral_raw: int, debt_raw: int) -> Comet:
    """One account with ETH at 2,003 dollars against USDC at 0.999; 90 % is the limit, 95 % is credited.

    There is no interest, and half of the penalty goes to buyers.
    """
    return Comet(
        Configuration(8 * 10**17, 0, 0, 0, 81 * 10**16, 0, 0, 0, 5 * 10**17, 100_000 * 10**6, False, False),
        Totals(INDEX, INDEX, 1_000_000 * 10**6, debt_raw, NOW),
        Reserves(
            scale=[10**6, 10**18],
            price_raw=[99_900_000, 2_003 * PRICE],
            borrow_factor=[0, 85 * 10**16],
            liquidate_factor=[0, 90 * 10**16],
            liquidation_factor=[0, 95 * 10**16],
            supplied_raw=[0, collateral_raw],
            balance_raw=[1_010_000 * 10**6 - debt_raw, collateral_raw],
        ),
        Positions([-debt_raw], [0, 1], [1], [collateral_raw]),
    )


def random_comet(seed: int) -> Comet:
    """A market with accounts around the edge, and collateral in the shop window."""
    draw = random.Random(seed)
    assets, count = draw.randint(1, 5), draw.randint(1, 8)
    scale = [10 ** draw.choice([6, 8, 18]), *(10 ** draw.choice([6, 8, 18]) for _ in range(assets))]
    price = [draw.randint(9 * 10**7, 12 * 10**7), *(draw.randint(10**7, 10**13) for _ in range(assets))]
    liquidate = [draw.randint(7_000, 9_500) * 10**14 for _ in range(assets)]
    totals = Totals(INDEX + draw.randrange(10**14), INDEX + draw.randrange(10**14, 2 * 10**14), 0, 0, NOW)
    positions = Positions([], [0], [], [])
    for _ in range(count):
        held = sorted(draw.sample(range(1, assets + 1), draw.randint(1, assets)))
        worth = {r: draw.uniform(10**2, 10**6) for r in held}
        for r in held:
            positions.reserve.append(r)
            positions.balance_raw.append(int(worth[r] * PRICE * scale[r] / price[r]) + 1)
        limit = sum(worth[r] * liquidate[r - 1] / FACTOR for r in held)
        debt = limit * draw.uniform(0.6, 1.5) * PRICE * scale[BASE] / price[BASE]
        positions.principal.append(-int(debt * INDEX / totals.borrow_index) - 1)
        positions.offsets.append(len(positions.reserve))
    owed = -sum(positions.principal)
    lent = int(owed * draw.uniform(1.05, 3))
    supplied = [0] * (assets + 1)
    for r, balance in zip(positions.reserve, positions.balance_raw, strict=True):
        supplied[r] += balance
    rates = [draw.randrange(10**8, 10**11) for _ in range(6)]
    return Comet(
        Configuration(
            supply_kink=draw.randint(5_000, 9_500) * 10**14,
            supply_slope_low=rates[0] // 10,
            supply_slope_high=rates[1],
            supply_base=rates[2] // 100,
            borrow_kink=draw.randint(5_000, 9_500) * 10**14,
            borrow_slope_low=rates[3] // 10,
            borrow_slope_high=rates[4],
            borrow_base=rates[5] // 100,
            store_front_factor=draw.randint(3_000, 9_000) * 10**14,
            target_reserves_raw=draw.choice([0, 10**6, 10**12]) * scale[BASE],
            absorb_paused=False,
            buy_paused=False,
        ),
        totals._replace(supply_principal=lent, borrow_principal=owed),
        Reserves(
            scale=scale,
            price_raw=price,
            borrow_factor=[0, *(factor - 5 * 10**16 for factor in liquidate)],
            liquidate_factor=[0, *liquidate],
            liquidation_factor=[0, *(draw.randint(8_500, 9_900) * 10**14 for _ in range(assets))],
            supplied_raw=supplied,
            balance_raw=[
                int(lent * draw.uniform(0.9, 1.2)) - owed + owed // 3,
                *(amount + draw.choice([0, amount // 7]) for amount in supplied[1:]),
            ],
        ),
        positions,
    )
