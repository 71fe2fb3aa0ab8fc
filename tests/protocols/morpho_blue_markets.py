"""Morpho markets made for tests: every number in them is different from every other."""

from __future__ import annotations

import random

from protocols.lending.morpho_blue.irm import ADAPTIVE_CURVE, FIXED_RATE, INITIAL_RATE_AT_TARGET, NO_INTEREST
from protocols.lending.morpho_blue.market import MorphoBlueMarket
from protocols.lending.morpho_blue.rules import OWN, Constants
from protocols.lending.morpho_blue.shares import WAD
from protocols.lending.morpho_blue.state import Parameters, Position, Totals

NOW = 1_700_000_000
YEAR = 31_536_000
LLTVS = (385, 625, 770, 860, 915, 945, 965, 980)


def random_constants(seed: int) -> Constants:
    """The contract's for every other seed, else any that an audit may set."""
    draw = random.Random(seed)
    if draw.random() < 0.5:
        return OWN
    return Constants(draw.randint(0, 99) * WAD // 100, draw.randint(100, 200) * WAD // 100)


def random_market(seed: int, constants: Constants = OWN) -> MorphoBlueMarket:
    """A market with accounts from safe to under water, dust and whales, interest due, and shares that have grown."""
    draw = random.Random(seed)
    decimals = draw.choice([6, 8, 18]), draw.choice([6, 18])
    price = round(10 ** (draw.uniform(-3, 5) + 36 + decimals[1] - decimals[0]))
    growth = draw.randint(1_000, 3_000)
    positions, debts = [], 0
    for _ in range(draw.randint(1, 5)):
        worth = int(10 ** (draw.uniform(0, 7) + decimals[1]))
        debt = int(worth * draw.uniform(0.2, 1.6))
        positions.append(Position(debt * 10**9 // growth, worth * 10**36 // price + draw.randint(0, 3)))
        debts += debt
    others = draw.choice([0, debts // 3])
    lent = int((debts + others) * draw.uniform(1.02, 3)) + 1
    shares = sum(position.borrow_shares for position in positions) + others * 10**9 // growth
    irm, rate = draw.choice(
        [
            (NO_INTEREST, 0),
            (FIXED_RATE, draw.randrange(WAD // 5) // YEAR),
            (ADAPTIVE_CURVE, INITIAL_RATE_AT_TARGET * draw.randint(1, 20) // 5),
        ]
    )
    return MorphoBlueMarket(
        name="morpho-blue/1",
        version="1.0",
        accounts=[f"account {number}" for number in range(len(positions))],
        tokens=("collateral", "loan"),
        decimals=decimals,
        parameters=Parameters(draw.choice(LLTVS) * WAD // 1_000, draw.choice([0, WAD // 10]), irm),
        rate_wad=rate,
        totals=Totals(lent, lent * 10**9 // growth, debts + others, shares, NOW - draw.choice([0, 12, 10**5, 10**6])),
        positions=positions,
        price_raw=price,
        timestamp=NOW,
        constants=constants,
    )
