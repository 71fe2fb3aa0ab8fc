"""Sales and arbitrage in pools, as compiled code does them. Amounts are whole tokens."""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import rule
from simulator.paths.deck import NONE, FloatArray, IntArray, Pools, Ways

CHUNKS = 32
"""What is left of a sale when two ways pay alike goes by so many parts of the whole; what a division loses by it goes
with their square."""

EVEN = 1e-4
"""Share by which a way may come to pay less than the next best before a sale goes on along that; as much again where
liquidity is thinner further on."""

FULL = -1.0
"""In the place of what a sale brings: the pools cannot take it."""


class Standing(NamedTuple):
    """Where pools stand.

    Attributes
    ----------
    root, place
        Root of each pool's price, and the piece of its liquidity that it lies in.
    left
        Share of each pool's liquidity that its providers have left in it.
    kept_root, kept_place
        Room to remember where pools stood: for each leg before a sale first went along its way (see `_undo`), and again
        before the last part did.
    used
        How many ways a sale has gone along, and which, in their order.
    tried, tried_amount
        Shape (1,): the pair and amount of the sale that has been tried last, pools standing as they did then; no pair
        where they do not.
    closed, pays
        Room to mark ways that can take no more, and for what the next unit brings along each.
    """

    root: FloatArray
    place: IntArray
    left: FloatArray
    kept_root: FloatArray
    kept_place: IntArray
    used: IntArray
    tried: IntArray
    tried_amount: FloatArray
    closed: IntArray
    pays: FloatArray


@rule
def swap(pools: Pools, at: Standing, pool: int, side: int, amount: float) -> float:
    """Sell an amount in one pool; returns what it brings, or `FULL`, the pool then being at its end."""
    first, last = pools.offsets[pool], pools.offsets[pool + 1] - 2
    root, place, left = at.root[pool], at.place[pool], at.left[pool]
    unpaid, received = amount * (1.0 - pools.fee[pool, side]), 0.0
    while True:
        liquidity = pools.liquidity[place] * left
        end = pools.edges[place + side]
        takes = liquidity * (1.0 / end - 1.0 / root if side == 0 else end - root)
        if unpaid <= takes:
            if liquidity > 0.0:
                if side == 0:
                    after = 1.0 / (1.0 / root + unpaid / liquidity)
                    received += liquidity * (root - after)
                else:
                    after = root + unpaid / liquidity
                    received += liquidity * (1.0 / root - 1.0 / after)
                root = after
            break
        received += liquidity * (root - end if side == 0 else 1.0 / root - 1.0 / end)
        unpaid -= takes
        root = end
        if place == (first if side == 0 else last):
            received = FULL
            break
        place += -1 if side == 0 else 1
    at.root[pool], at.place[pool] = root, place
    return received


@rule
def move_to(pools: Pools, at: Standing, pool: int, root: float) -> None:
    """Bring a pool's price to a root, or as near as its liquidity goes."""
    first, last = pools.offsets[pool], pools.offsets[pool + 1] - 1
    root = min(max(root, pools.edges[first]), pools.edges[last])
    place = at.place[pool]
    while place > first and pools.edges[place] > root:
        place -= 1
    while place < last - 1 and pools.edges[place + 1] < root:
        place += 1
    at.root[pool], at.place[pool] = root, place


@rule
def reopen(pools: Pools, at: Standing) -> None:
    """Put pools back to where they stood at the start."""
    at.tried[0] = NONE
    for pool in range(len(pools.first)):
        at.place[pool], at.left[pool] = pools.offsets[pool], 1.0
        move_to(pools, at, pool, pools.start[pool])


@rule
def arbitrage(pools: Pools, at: Standing, outside: FloatArray, share: float) -> None:
    """Close a share of every pool's gap to the outside price in logarithms, up to the nearer edge of the band within
    which its fees let nobody gain."""
    at.tried[0] = NONE
    for pool in range(len(pools.first)):
        target = (outside[pools.first[pool]] / outside[pools.second[pool]]) ** 0.5
        if share < 1.0:
            target = at.root[pool] * (target / at.root[pool]) ** share
        highest = target / (1.0 - pools.fee[pool, 0]) ** 0.5
        lowest = target * (1.0 - pools.fee[pool, 1]) ** 0.5
        if at.root[pool] > highest:
            move_to(pools, at, pool, highest)
        elif at.root[pool] < lowest:
            move_to(pools, at, pool, lowest)


@rule
def _undo(ways: Ways, at: Standing) -> None:
    """Put pools back to where they stood before the last sale; `_redo` takes that back."""
    for place in range(at.used[0], 0, -1):
        _exchange(ways, at, at.used[place])


@rule
def _redo(ways: Ways, at: Standing) -> None:
    """Put pools to where the last sale had left them, it having been undone."""
    for place in range(1, at.used[0] + 1):
        _exchange(ways, at, at.used[place])


@rule
def _exchange(ways: Ways, at: Standing, way: int) -> None:
    """Put a way's pools to where it is remembered that they stood, and remember where they stand."""
    for leg in range(ways.legs[way], ways.legs[way + 1]):
        pool = ways.pool[leg]
        root, place = at.root[pool], at.place[pool]
        at.root[pool], at.place[pool] = at.kept_root[leg], at.kept_place[leg]
        at.kept_root[leg], at.kept_place[leg] = root, place


@rule
def way_rate(ways: Ways, root: FloatArray, way: int) -> float:
    """What the next unit brings along a way, after fees."""
    product = 1.0
    for leg in range(ways.legs[way], ways.legs[way + 1]):
        product *= root[ways.pool[leg]] if ways.side[leg] == 0 else 1.0 / root[ways.pool[leg]]
    return float(ways.kept[way] * product * product)


@rule
def way_rates(ways: Ways, root: FloatArray, pair: int, out: FloatArray) -> float:
    """What the next unit brings along each way of a pair; returns the most."""
    best = 0.0
    for way in range(ways.ways[pair], ways.ways[pair + 1]):
        out[way] = way_rate(ways, root, way)
        best = max(best, out[way])
    return best


@rule
def until(pools: Pools, ways: Ways, at: Standing, way: int, target: float) -> float:
    """What is to be sold along a way for the next unit to bring no more than a target.

    Where x y = k each leg brings A x / (1 + B x), and so does the whole of them. Beyond the piece of liquidity that a
    pool is in, it is no more than near.
    """
    brings, slope = 1.0, 0.0
    for leg in range(ways.legs[way], ways.legs[way + 1]):
        pool, side = ways.pool[leg], ways.side[leg]
        liquidity = pools.liquidity[at.place[pool]] * at.left[pool]
        if liquidity <= 0.0:
            return 0.0
        root = at.root[pool] if side == 0 else 1.0 / at.root[pool]
        kept = 1.0 - pools.fee[pool, side]
        slope += brings * kept * root / liquidity
        brings *= kept * root * root
    return float(((brings / target) ** 0.5 - 1.0) / slope)


@rule
def sale(pools: Pools, ways: Ways, at: Standing, pair: int, amount: float, enough: float) -> float:
    """What selling an amount over the ways of a pair would bring, if that is more than enough; else enough or less, or
    `FULL`."""
    brings = _sell(pools, ways, at, pair, amount, enough)
    _undo(ways, at)
    at.tried[0], at.tried_amount[0] = pair if brings > enough else NONE, amount
    return brings


@rule
def sell(pools: Pools, ways: Ways, at: Standing, pair: int, amount: float) -> None:
    """Sell an amount over the ways of a pair, which its pools can take."""
    if at.tried[0] == pair and at.tried_amount[0] == amount:
        _redo(ways, at)
    else:
        _sell(pools, ways, at, pair, amount, 0.0)
    at.tried[0] = NONE


@rule
def _sell(pools: Pools, ways: Ways, at: Standing, pair: int, amount: float, enough: float) -> float:
    """Sell part by part, each along the way that pays most for the next unit and until the next best would pay more; at
    least one of `CHUNKS`. It stops where it can bring no more than enough.

    Returns
    -------
    What it brings, or what it brings at most if that is enough or less, or `FULL`; pools have moved all the same.
    """
    start, end = ways.ways[pair], ways.ways[pair + 1]
    for way in range(start, end):
        at.closed[way] = 0
    at.used[0] = 0
    left, received, least = amount, 0.0, amount / CHUNKS
    while left > 0.0:
        way_rates(ways, at.root, pair, at.pays)
        best, first, second = -1, 0.0, 0.0
        for way in range(start, end):
            if at.closed[way] == 0:
                pays = at.pays[way]
                if pays > first:
                    best, first, second = way, pays, first
                elif pays > second:
                    second = pays
        if best < 0:
            return FULL
        if received + left * first <= enough:
            return received + left * first
        aim = second * (1.0 - EVEN)
        part = left if second == 0.0 else min(left, max(until(pools, ways, at, best, aim), least))
        while True:
            got = _along(pools, ways, at, best, part)
            small = part <= least
            if got != FULL and (small or way_rate(ways, at.root, best) >= aim * (1.0 - EVEN)):
                _note(ways, at, best)
                break
            _back(ways, at, best)
            if small:
                at.closed[best] = 1
                got, part = 0.0, 0.0
                break
            part = max(part / 2.0, least)
        received += got
        left -= part
    return received


@rule
def _along(pools: Pools, ways: Ways, at: Standing, way: int, amount: float) -> float:
    """Sell an amount along one way, or `FULL`; where its pools stood is remembered behind all legs."""
    base = len(ways.pool)
    for leg in range(ways.legs[way], ways.legs[way + 1]):
        pool = ways.pool[leg]
        at.kept_root[base + leg], at.kept_place[base + leg] = at.root[pool], at.place[pool]
    for leg in range(ways.legs[way], ways.legs[way + 1]):
        amount = swap(pools, at, ways.pool[leg], ways.side[leg], amount)
        if amount == FULL:
            break
    return amount


@rule
def _back(ways: Ways, at: Standing, way: int) -> None:
    base = len(ways.pool)
    for leg in range(ways.legs[way], ways.legs[way + 1]):
        at.root[ways.pool[leg]], at.place[ways.pool[leg]] = at.kept_root[base + leg], at.kept_place[base + leg]


@rule
def _note(ways: Ways, at: Standing, way: int) -> None:
    """Take note that a sale has gone along a way, and where its pools stood before if it is the first time."""
    for place in range(1, at.used[0] + 1):
        if at.used[place] == way:
            return
    at.used[0] += 1
    at.used[at.used[0]] = way
    base = len(ways.pool)
    for leg in range(ways.legs[way], ways.legs[way + 1]):
        at.kept_root[leg], at.kept_place[leg] = at.kept_root[base + leg], at.kept_place[base + leg]
