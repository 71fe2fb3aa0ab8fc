"""A made-up book and a bad day, for measuring how fast a path is: see `simulator.bench`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from protocols.amm.uniswap_v2.pool import UniswapV2Pair
from protocols.lending.aave_v3.rules import OWN
from protocols.lending.closing import code_of
from protocols.lending.interface import ClosingTerms, Exposures, UsualMarket
from simulator.book import Book, Token
from simulator.paths import kernel
from simulator.paths.build import build
from simulator.paths.deck import Deck, FloatArray
from simulator.scenario import Scenario

POOLS = 60
STEP_S = 60.0
DEPTH_USD = 1e8
"""Worth of one side of a pool."""
_V3_6 = 36
_UNIT = 10**18


@dataclass
class _Market(UsualMarket):
    """A market of given positions under the rules of Aave v3.6, without interest."""

    positions: Exposures
    prices: FloatArray
    tokens: Sequence[str]
    name: str = "made up"
    protocol: str = "made up"
    numeraire: None = None
    accounts: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        self.accounts = range(len(self.positions.offsets) - 1)  # type: ignore[assignment]

    def exposures(self) -> Exposures:
        return self.positions

    def advance(self, _: int) -> None:
        """Balances stay."""

    def price_raw(self, reserve: int) -> int:
        return round(float(self.prices[reserve]) * _UNIT)

    def price_unit(self, _: int) -> int:
        return _UNIT

    def closing_terms(self) -> ClosingTerms:
        parameters = np.array([_V3_6, *OWN], dtype=np.float64)
        return ClosingTerms(code_of("aave_v3"), parameters, np.full(len(self.tokens), 0.1))


def deck(positions: Exposures, prices: FloatArray, steps: int) -> Deck:
    """The deck of some positions and `POOLS` pools: of each asset with the first, and of the next with the second.

    Parameters
    ----------
    positions, prices
        Of one market; prices of one whole token of each reserve, US dollars.
    steps
        Of `STEP_S` each.
    """
    names = [f"0x{number:02x}" for number in range(len(prices))]
    sides = [(0, other) for other in range(1, len(prices))]
    sides += [(1, other) for other in range(2, POOLS - len(sides) + 2)]
    amounts = [round(DEPTH_USD / price * _UNIT) for price in prices]
    book = Book(
        tokens=[Token(name, name, 18) for name in names],
        markets=[_Market(positions, prices, names)],  # type: ignore[list-item]
        venues=[UniswapV2Pair(f"pool {a} {b}", (names[a], names[b]), amounts[a], amounts[b]) for a, b in sides],
        outside_usd=prices,
        timestamp=0,
        assumed=[],
    )
    scenario = Scenario(name="a bad day", steps=steps, step_s=STEP_S)
    return build(book, np.arange(1, len(prices) + 1), scenario)


def bad_day(assets: int, steps: int, seed: int = 3) -> FloatArray:
    """One path on which all prices fall by about a tenth: 5 % a day that assets share, 3 % of each one's own; shape (1,
    steps + 1, assets)."""
    draw = np.random.default_rng(seed)
    shared = draw.normal(0.0, 0.05, (steps, 1)) / steps**0.5
    moves = shared - shared.mean() + np.log(0.9) / steps + draw.normal(0.0, 0.03, (steps, assets)) / steps**0.5
    return np.asarray(np.exp(np.concatenate([np.zeros((1, assets)), np.cumsum(moves, axis=0)]))[None])


Run = Callable[[FloatArray, Deck, bool, FloatArray, FloatArray], None]


def outcome(run: Run, prices: FloatArray, made: Deck) -> FloatArray:
    """What a path comes to, by the kernel compiled or interpreted."""
    out = np.empty((len(prices), kernel.MEASURES * made.groups.size))
    run(prices, made, True, out, np.empty((0, len(made.accounts.market))))
    return out
