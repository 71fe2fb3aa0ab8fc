"""Random networks of pools, and a bound on what any way of selling through one could bring.

The bound knows nothing of the router. It is the dual of the routing problem (Angeris, Evans, Chitra and Boyd, 2022): at
any prices of the tokens a sale brings at most what its amount is worth, plus for each pool the most that could be made
by trading between it and those prices. The least of that over all prices is the optimum, over ways of any length, and
whatever prices the minimisation ends at, it is a bound. Pools are the real-valued formulas of their whitepapers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log, sqrt
from random import Random

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from protocols.amm.curve_stableswap.invariant import Ramp, classic_terms, ng_terms
from protocols.amm.curve_stableswap.pool import StableSwapPool
from protocols.amm.interface import Venue
from protocols.amm.uniswap_v2.pool import UniswapV2Pair
from protocols.amm.uniswap_v3.pool import UniswapV3Pool
from protocols.amm.uniswap_v3.ticks import sqrt_price_at_tick, tick_at_sqrt_price
from simulator.market.routes import Router


@dataclass(frozen=True)
class Coin:
    """A token of a network: its address, decimals and fair price, and the peg that it has in common with others."""

    address: str
    decimals: int
    price: float
    peg: int

    @property
    def unit_price(self) -> float:
        """Fair price of one smallest unit."""
        return self.price / 10.0**self.decimals


@dataclass(frozen=True)
class PoolNetwork:
    """Pools between tokens; the first is sold, the second bought."""

    coins: tuple[Coin, ...]
    pools: tuple[Venue, ...]

    def router(self) -> Router:
        return Router(self.pools, {coin.address: row for row, coin in enumerate(self.coins)})


FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
FEES = {100: 1, 500: 10, 3000: 60, 10000: 200}


def random_network(random: Random, *, dynamic: bool = False, most_coins: int = 2) -> PoolNetwork:
    """Two to seven tokens and up to 30 pools, each priced within its fee of fair.

    Parameters
    ----------
    dynamic
        Whether fees of stable pools grow far from the peg.
    most_coins
        Tokens that a stable pool can have.
    """
    pegs = [random.uniform(0.3, 60_000.0) for _ in range(3)]
    coins = []
    for row in range(random.randint(2, 7)):
        peg = random.randrange(3)
        decimals = random.choice((6, 8, 18) if pegs[peg] < 100.0 else (8, 18))
        coins.append(Coin(f"0x{row}", decimals, pegs[peg] * random.uniform(0.997, 1.003), peg))
    pools: list[Venue] = []
    for number in range(random.randint(1, 30)):
        first, second = random.sample(coins, 2)
        depth = 10 ** random.uniform(5.0, 8.0)
        if first.peg == second.peg and random.random() < 0.6:
            others = [c for c in coins if c.peg == first.peg and c not in (first, second)]
            more = random.sample(others, min(random.randint(0, most_coins - 2), len(others)))
            pools.append(stable_pool(random, number, (first, second, *more), depth, dynamic))
        elif random.random() < 0.5:
            pools.append(pair(random, number, first, second, depth))
        else:
            pools.append(v3_pool(random, number, first, second, depth))
    return PoolNetwork(tuple(coins), tuple(pools))


def pair(random: Random, number: int, first: Coin, second: Coin, depth: float) -> UniswapV2Pair:
    reserves = (
        depth / first.unit_price,
        depth / second.unit_price * random.uniform(0.9975, 1.0025),
    )
    return UniswapV2Pair(f"0xpair{number}", (first.address, second.address), *map(round, reserves))


def v3_pool(random: Random, number: int, first: Coin, second: Coin, depth: float) -> UniswapV3Pool:
    fee = random.choice(list(FEES))
    spacing = FEES[fee]
    price = first.unit_price / second.unit_price * (1.0 + random.uniform(-0.9, 0.9) * fee / 1e6)
    root = round(sqrt(price) * 2**96)
    tick = tick_at_sqrt_price(root)
    net: dict[int, int] = {}
    for _ in range(random.randint(1, 8)):
        low = (tick - round(10 ** random.uniform(1.5, 4.0))) // spacing * spacing
        high = (tick + round(10 ** random.uniform(1.5, 4.0))) // spacing * spacing + spacing
        if random.random() < 0.3:
            # beside the price
            low, high = (high, 2 * high - low) if random.random() < 0.5 else (2 * low - high, low)
        width = (sqrt_price_at_tick(high) - sqrt_price_at_tick(low)) / 2**96
        liquidity = round(random.uniform(0.2, 1.0) * depth / second.unit_price / width)
        net[low] = net.get(low, 0) + liquidity
        net[high] = net.get(high, 0) - liquidity
    ticks = sorted(t for t, change in net.items() if change)
    return UniswapV3Pool(
        f"0xv3-{number}",
        (first.address, second.address),
        fee_pips=fee,
        tick_spacing=spacing,
        sqrt_price_x96=root,
        tick=tick,
        liquidity=sum(net[t] for t in ticks if t <= tick),
        ticks=ticks,
        liquidity_net=[net[t] for t in ticks],
    )


def stable_pool(random: Random, number: int, coins: Sequence[Coin], depth: float, dynamic: bool) -> StableSwapPool:
    fee = round(10 ** random.uniform(6.0, 7.3))
    amp = round(10 ** (random.uniform(1.0, 3.3) + (1.5 if dynamic else 0.0)))
    terms = ng_terms(fee, random.randint(2, 20) * 10**10) if dynamic else classic_terms(fee, 5 * 10**9)
    # far from the peg, and where A is large, a dynamic fee falls on the way back by more than the price does
    tilt = random.uniform(-0.6, 0.6) * (2.0 if dynamic else 1.0)
    while True:
        amounts = [depth * 10**tilt, *[depth] * (len(coins) - 1)]
        made = StableSwapPool(
            f"0xstable{number}",
            [coin.address for coin in coins],
            terms=terms,
            ramp=Ramp(amp * terms.a_precision, amp * terms.a_precision, 0, 0),
            # a token counts for its fair price, so that the pool is at fair prices where it is balanced
            rates=[round(coin.unit_price / coins[0].price * 1e36) for coin in coins],
            balances_raw=[round(amount / coin.unit_price) for amount, coin in zip(amounts, coins, strict=True)],
            timestamp=0,
        )
        off = made.price(0, 1) / (coins[0].unit_price / coins[1].unit_price)
        if 1.0 - made.fee(0, 1) < off < 1.0 / (1.0 - made.fee(0, 1)):
            return made
        tilt /= 2.0


def sellable(seed: int, *, dynamic: bool = False, most_coins: int = 2) -> tuple[PoolNetwork, int]:
    """A random network through which something can be sold, and an amount: little or as much as is in its pools."""
    random = Random(seed)
    while True:
        made = random_network(random, dynamic=dynamic, most_coins=most_coins)
        held = sum(p.reserves_raw()[list(p.tokens).index("0x0")] for p in made.pools if "0x0" in p.tokens)
        amount = round(held * 10 ** random.uniform(-5.0, 0.0))
        if best_alone(made, amount // 1000):
            return made, amount


def best_alone(network: PoolNetwork, amount: int) -> int:
    """The most that a whole amount brings along a single way of three pools at most; every way is tried."""

    def follow(token: str, left: int, used: tuple[Venue, ...], passed: tuple[str, ...]) -> int:
        if token == network.coins[1].address:
            return left
        best = 0
        for pool in network.pools if len(used) < 3 else ():
            if pool in used or token not in pool.tokens:
                continue
            sold = list(pool.tokens).index(token)
            for bought, other in enumerate(pool.tokens):
                if other not in passed:
                    fill = pool.quote(sold, bought, left)
                    if fill.paid_raw == left and fill.received_raw:
                        best = max(best, follow(other, fill.received_raw, (*used, pool), (*passed, other)))
        return best

    first = network.coins[0].address
    return follow(first, amount, (), (first,))


# --- the bound ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One direction of a pool, a concave f: `first` is its slope at 0, `best(q)` the x with most f(x) - q x, and f."""

    tail: int
    head: int
    first: float
    best: Callable[[float], tuple[float, float]]


def constant_product(sold: float, bought: float) -> Callable[[float], tuple[float, float]]:
    """f(x) = 0.997 x Y / (X + 0.997 x)."""

    def best(q: float) -> tuple[float, float]:
        kept = max(sqrt(0.997 * sold * bought / q) - sold, 0.0)
        return kept / 0.997, kept * bought / (sold + kept)

    return best


def concentrated(pool: UniswapV3Pool, zero_for_one: bool) -> Callable[[float], tuple[float, float]]:
    """Range by range, with L and the root s of the price: L (1 / s - 1 / s') of token 0 for L (s - s') of token 1."""
    ticks = pool.ticks
    roots = [tick / 2**96 for tick in ticks.sqrt_price_x96]
    ranges = [(low, high, float(ticks.liquidity[k + 1])) for k, (low, high) in enumerate(pairwise(roots))]
    now, kept = pool.slot.sqrt_price_x96 / 2**96, 1.0 - pool.terms.fee_pips / 1e6
    if not zero_for_one:
        # the same from the other token's side
        ranges, now = [(1.0 / high, 1.0 / low, liquidity) for low, high, liquidity in ranges], 1.0 / now

    def best(q: float) -> tuple[float, float]:
        until = sqrt(q / kept)
        paid = received = 0.0
        for low, high, liquidity in ranges:
            start, end = min(high, now), max(low, until)
            if start > end:
                paid += liquidity * (1.0 / end - 1.0 / start)
                received += liquidity * (start - end)
        return paid / kept, received

    return best


def stable(pool: StableSwapPool, sold: int) -> Callable[[float], tuple[float, float]]:
    """4 A (x + y) + D = 4 A D + D^3 / (4 x y), with balances x and y in a common unit and the whitepaper's A."""
    scale = [rate / 1e18 for rate in pool.rates]
    x0, y0 = (pool.reserves_raw()[k] * scale[k] for k in (sold, 1 - sold))
    ann = 2.0 * pool.amp / pool.terms.a_precision
    fee = pool.terms.fee / 1e10
    low, high = 0.0, x0 + y0 + 1.0
    for _ in range(200):
        d = (low + high) / 2.0
        low, high = (d, high) if ann * (x0 + y0) + d - ann * d - d**3 / (4.0 * x0 * y0) > 0.0 else (low, d)

    def left(x: float) -> float:
        b, c = x + d / ann - d, d**3 / (4.0 * x * ann)
        return c / (b / 2.0 + sqrt(b * b / 4.0 + c)) if b > 0 else sqrt(b * b / 4.0 + c) - b / 2.0

    def price(x: float) -> float:
        y = left(x)
        return (ann + d**3 / (4.0 * x * x * y)) / (ann + d**3 / (4.0 * x * y * y))

    def best(q: float) -> tuple[float, float]:
        wanted = q * scale[1 - sold] / scale[sold] / (1.0 - fee)
        if price(x0) <= wanted:
            return 0.0, 0.0
        low, high = log(x0), log(x0) + 1.0
        while price(exp(high)) > wanted:
            high += 1.0
        for _ in range(50):
            middle = (low + high) / 2.0
            low, high = (middle, high) if price(exp(middle)) > wanted else (low, middle)
        x = exp(low)
        return (x - x0) / scale[sold], (y0 - left(x)) * (1.0 - fee) / scale[1 - sold]

    return best


def sides(network: PoolNetwork) -> list[Side]:
    """Every direction of every pool that leads neither back to the first token nor away from the second."""
    row = {coin.address: n for n, coin in enumerate(network.coins)}
    found = []
    for pool in network.pools:
        for sold in (0, 1):
            tail, head = row[pool.tokens[sold]], row[pool.tokens[1 - sold]]
            if head == 0 or tail == 1:
                continue
            if isinstance(pool, UniswapV2Pair):
                best = constant_product(*(float(pool.reserves_raw()[k]) for k in (sold, 1 - sold)))
            elif isinstance(pool, UniswapV3Pool):
                best = concentrated(pool, sold == 0)
            else:
                assert isinstance(pool, StableSwapPool)
                best = stable(pool, sold)
            first = pool.price(sold, 1 - sold) * (1.0 - pool.fee(sold, 1 - sold))
            found.append(Side(tail, head, first, best))
    return found


def bound(network: PoolNetwork, amount: int) -> float:
    """What no way of selling `amount` of the first token brings more than, in the second's smallest units."""
    edges = sides(network)
    prices = np.zeros(len(network.coins))
    prices[1] = 1.0
    for _ in network.coins:
        for edge in edges:
            prices[edge.tail] = max(prices[edge.tail], edge.first * prices[edge.head])
    edges = [edge for edge in edges if prices[edge.tail] > 0.0 and prices[edge.head] > 0.0]
    moved = np.flatnonzero(prices)
    moved = moved[moved != 1]
    # what next to nothing is worth is exact at these prices; from there to the whole amount in steps
    for part in (0.001, 0.03, 1.0):
        prices, least = _least(edges, prices, moved, amount * part)
    return least


def _least(edges: Sequence[Side], prices: FloatArray, moved: IntArray, amount: float) -> tuple[FloatArray, float]:
    """The prices of the least bound near some prices, and the bound."""
    scale = prices[0] * amount

    def at(logs: FloatArray) -> FloatArray:
        new = prices.copy()
        new[moved] *= np.exp(logs)
        return new

    def dual(logs: FloatArray) -> tuple[float, FloatArray]:
        now = at(logs)
        total, slopes = now[0] * amount, np.zeros(len(now))
        slopes[0] = amount
        for edge in edges:
            paid, received = edge.best(now[edge.tail] / now[edge.head])
            total += now[edge.head] * received - now[edge.tail] * paid
            slopes[edge.head] += received
            slopes[edge.tail] -= paid
        return total / scale, (slopes * now)[moved] / scale

    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 300, "maxls": 50}
    logs = np.zeros(len(moved))
    for _ in range(2):
        found = minimize(dual, logs, jac=True, method="L-BFGS-B", options=options)
        logs = found.x
    return at(logs), float(found.fun) * scale
