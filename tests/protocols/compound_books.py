"""Books of Compound v2 and of Venus' core pool made for tests: every number in them is different from every other."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from protocols.arithmetic import max_uint256
from protocols.lending.compound_v2 import rules as compound_v2
from protocols.lending.compound_v2.market import Clock, CompoundV2Market
from protocols.lending.compound_v2.state import WAD, Markets, Pools, Positions, copied
from protocols.lending.venus_core import rules as venus_core
from protocols.lending.venus_core.market import VenusCoreMarket
from protocols.lending.venus_core.pools import Listing, Pool, effective
from protocols.lending.venus_core.rules import Guards

BLOCK, NOW, BLOCK_MS = 20_000_000, 1_750_000_000, 12_000
CLOCK = Clock(BLOCK, NOW, BLOCK_MS)
ETH, USDC, WBTC = 0, 1, 2
TOKENS = ("0x" + "e1" * 20, "0x" + "c2" * 20, "0x" + "b3" * 20)
NAMES = ("compound_v2", "venus_core")


@dataclass
class Book:
    """Parts that a market of either protocol is made of."""

    markets: Markets
    pools: Pools
    positions: Positions
    guards: Guards
    compound: compound_v2.Settings
    venus: venus_core.Settings

    def market(self, protocol: str = "compound_v2") -> CompoundV2Market:
        """The market that the engine steps."""
        accounts = [f"0x{number:040x}" for number in range(len(self.positions.pool))]
        clock = CLOCK
        if protocol == "compound_v2":
            state = self.markets, self.pools, self.positions
            return CompoundV2Market("compound", "2", accounts, TOKENS, *state, self.compound, clock)
        parts = self.markets, self.guards, self.pools, self.positions
        return VenusCoreMarket("venus", "10.3", accounts, TOKENS, *parts, self.venus, clock)

    def copy(self) -> Book:
        """The same parts, to be changed without changing these."""
        return replace(self, markets=copied(self.markets), positions=copied(self.positions), guards=copied(self.guards))


def simple_book(claims_eth: int, debt_usdc: int, **markets: list[Any]) -> Book:
    """One account with claims on ETH (8 decimals, worth 0.02 ETH each and a little) against USDC (6 decimals).

    Nothing has accrued since the block of the book. `markets` replaces columns.
    """
    columns: dict[str, Any] = {
        "unit": [10**18, 10**6, 10**8],
        "price_raw": [2_000 * WAD, 10**30, 60_000 * 10**28],
        "cash_raw": [9_000 * WAD, 8 * 10**12, 70 * 10**8],
        "borrows_raw": [1_100 * WAD, 2 * 10**12 + debt_usdc, 3 * 10**8],
        "reserves_raw": [7 * WAD, 5 * 10**9, 10**6],
        "claims": [50_000_000_000_000, 49 * 10**15, 36 * 10**10],
        "index_wad": [1_010 * 10**15, 1_020 * 10**15, 1_030 * 10**15],
        "accrued_block": [BLOCK] * 3,
        "initial_rate_wad": [2 * 10**26, 2 * 10**14, 2 * 10**16],
        "reserve_factor_wad": [20 * 10**16, 75 * 10**15, 18 * 10**16],
        "seize_share_wad": [28 * 10**15] * 3,
        "listed": [True] * 3,
        "borrow_paused": [False] * 3,
        "base_wad": [10**9, 2 * 10**9, 3 * 10**9],
        "slope1_wad": [2 * 10**10, 3 * 10**10, 4 * 10**10],
        "kink1_wad": [8 * 10**17, 9 * 10**17, 7 * 10**17],
        "base2_wad": [0, 10**8, 0],
        "slope2_wad": [5 * 10**11, -(10**9), 6 * 10**11],
        "kink2_wad": [max_uint256(), 95 * 10**16, max_uint256()],
        "slope3_wad": [0, 7 * 10**11, 0],
        "most_usage_wad": [max_uint256(), WAD, max_uint256()],
    }
    factors = [75 * 10**16, 80 * 10**16, 70 * 10**16]
    return Book(
        markets=Markets(**columns | markets),
        pools=Pools([factors], [factors], [[108 * 10**16, 106 * 10**16, 107 * 10**16]]),
        positions=Positions([0, 2], [ETH, USDC], [claims_eth, 0], [0, debt_usdc], [0, 1_020 * 10**15], [True, True],
                            [False, False], [0]),
        guards=Guards([False] * 3, [False] * 3, [False] * 3, [BLOCK] * 3, [10**6, 400, 10**7], [0] * 3, [False] * 3),
        compound=compound_v2.Settings(5 * 10**17, False),
        venus=venus_core.Settings(5 * 10**17, 3 * 10**17, True, True),
    )  # fmt: skip


def random_book(seed: int, accounts: int = 8) -> Book:
    """A book in which about half of the accounts can be liquidated, stale by up to some thousand blocks, two pools."""
    draw = random.Random(seed)
    book = simple_book(10**9, 10**9)
    markets = book.markets
    for m in range(3):
        markets.price_raw[m] = markets.price_raw[m] * draw.randint(700, 1_300) // 1_000
        markets.accrued_block[m] = BLOCK - draw.choice((0, 1, 7, 3_000))
        markets.index_wad[m] = draw.randint(WAD, 2 * WAD)
    thresholds = [[draw.randint(50, 85) * 10**16 for _ in range(3)] for _ in range(2)]
    listings = [[Listing(True, t - 5 * 10**16, t, draw.randint(102, 114) * 10**16) for t in row] for row in thresholds]
    listings[1][draw.randrange(3)] = Listing(False, 0, 0, 0)
    pools = effective([Pool(True, False, listings[0]), Pool(True, draw.random() < 0.5, listings[1])])
    positions = Positions([0], [], [], [], [], [], [], [])
    for _ in range(accounts):
        held, owed = draw.sample(range(3), 2)
        usd = 10 ** draw.uniform(1, 5)
        for m in sorted({held, owed, draw.randrange(3)}):
            worth = markets.price_raw[m] / 10**36
            rate = markets.initial_rate_wad[m] / WAD
            claims = int(usd / worth / rate) if m == held or draw.random() < 0.1 else 0
            index = draw.randint(WAD, markets.index_wad[m])
            principal = int(usd / worth * draw.uniform(0.4, 1.0)) if m == owed else 0
            positions.market.append(m)
            positions.claims.append(claims)
            positions.principal_raw.append(principal)
            positions.snapshot_index_wad.append(index if principal else 0)
            positions.entered.append(bool(principal) or draw.random() < 0.9)
            positions.forced.append(False)
            markets.claims[m] += claims
            markets.cash_raw[m] += int(claims * rate)
            markets.borrows_raw[m] += 2 * principal
        positions.offsets.append(len(positions.market))
        positions.pool.append(draw.randrange(2))
    return replace(book, pools=pools, positions=positions)
