"""How much of a sale goes through which pool of a network, in float64.

At any prices of the tokens, a sale brings at most what its amount is worth, plus for each pool the most that could be
made by trading between it and those prices. The least of that over all prices is what the best division brings, and at
the prices where it is least, what the pools trade is that division: of every token as much arrives as goes on (the dual
of the routing problem: Angeris, Evans, Chitra and Boyd, "Optimal Routing for Constant Function Market Makers", 2022).

Newton's method finds it in the logarithms of the prices. Its gradient is what is left over of each token, in terms of
the token bought; its second derivatives are those of a network of conductors, where more flows through a pool as the
prices at its ends move apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from protocols.amm.interface import FloatArray
from protocols.arithmetic import rule
from simulator.market.curves import SPARE
from simulator.market.network import IntArray

BoolArray = npt.NDArray[np.bool_]

BALANCED = 1e-8
"""Share of a token that arrives which may be left over, or be missing, in a division."""
LONGEST = 2.0
"""How far the logarithm of a price moves in one step."""
KEPT = 1e-12
"""Share of the first unit's price below which more and more is kept rather than sold."""

_STEPS = 200
_TRIALS = 40
_FLATTER = 0.3
_BLURRED = 4e-7  # of what one more e-fold of a price would move, float64 cannot see 4e-15


@rule
def best_rates(tail: IntArray, head: IntArray, rate: FloatArray, end: int, rates: FloatArray) -> None:
    """What one unit at each node can become at one of them, over ways of any length (Bellman and Ford).

    Parameters
    ----------
    tail, head, rate
        Shape (edges,): where an edge leads from and to, and what one unit becomes on it.
    end
        The node where it is to arrive.
    rates
        Shape (nodes,), written; 0 where no way leads. Where a round trip makes more of a unit, no more rounds are made
        than there are nodes.
    """
    rates[:] = 0.0
    rates[end] = 1.0
    for _ in range(len(rates) - 1):
        changed = False
        for e in range(len(tail)):
            through = rate[e] * rates[head[e]]
            if through > rates[tail[e]] and tail[e] != end:
                rates[tail[e]] = through
                changed = True
        if not changed:
            break


@rule
def most_alone(
    tail: IntArray,
    head: IntArray,
    starts: IntArray,
    paid: FloatArray,
    dearness: FloatArray,
    received: FloatArray,
    slack: FloatArray,
    amount: float,
    nodes: int,
) -> float:
    """What no single way brings more of than, from the first node to the last; other parameters as for :func:`divide`.

    Parameters
    ----------
    slack
        Shape (edges,): share by which a pool may pay more than its curve has it.
    """
    most = np.zeros(nodes)
    most[0] = amount
    for _ in range(nodes - 1):
        changed = False
        for e in range(len(tail)):
            brought = (1.0 + slack[e]) * _brought(paid, dearness, received, starts[e], starts[e + 1] - 1, most[tail[e]])
            if brought > most[head[e]]:
                most[head[e]] = brought
                changed = True
        if not changed:
            break
    return most[nodes - 1]  # type: ignore[no-any-return]


@rule
def divide(
    tail: IntArray,
    head: IntArray,
    starts: IntArray,
    paid: FloatArray,
    dearness: FloatArray,
    received: FloatArray,
    usable: BoolArray,
    amount: float,
    prices: FloatArray,
    flows: FloatArray,
) -> float:
    """Divide an amount held at the first node so that most arrives at the last.

    Parameters
    ----------
    tail, head
        Shape (edges,): the nodes that an edge leads from and to.
    starts, paid, dearness, received
        Shapes (edges + 1,) and (points of all edges,): the curves of the edges, one after another, and where in these
        arrays that of an edge starts.
    usable
        Shape (edges,): whether an edge may be used.
    amount
        What is held, smallest units. What the edges cannot take is left.
    prices
        Shape (nodes,): what a unit at each node becomes, for the first; overwritten by that for the last.
    flows
        Shape (edges,), written: what goes into each edge, smallest units of its token.

    Returns
    -------
    What no division brings more than, smallest units of the last: what the amount is worth at `prices`, and what all
    edges make by trading at them.
    """
    nodes = len(prices) - 1
    logs = np.log(prices)
    kept = prices[0] * KEPT
    conductance, left, step = np.empty(len(tail)), np.empty(nodes + 1), np.empty(nodes)
    matrix = np.empty((nodes, nodes))
    pools = (tail, head, starts, paid, dearness, received, usable, amount, kept)
    unbalanced = _trade(*pools, logs, flows, conductance, left)
    for _ in range(_STEPS):
        if unbalanced <= BALANCED:
            break
        matrix[:] = 0.0
        price = np.exp(logs[0])
        matrix[0, 0] = amount * kept * (price / (price + kept)) ** 2
        for e in range(len(tail)):
            here, there = tail[e], head[e]
            matrix[here, here] += conductance[e]
            if there < nodes:
                matrix[there, there] += conductance[e]
                matrix[here, there] -= conductance[e]
                matrix[there, here] -= conductance[e]
        for n in range(nodes):
            # no price moves further than LONGEST, and all as Newton has it where little is left over
            matrix[n, n] = matrix[n, n] * (1.0 + 1e-12) + abs(left[n]) / LONGEST
            if matrix[n, n] == 0.0:
                matrix[n, n] = 1.0
            step[n] = -left[n]
        _solve(matrix, step)
        unbalanced = _descend(pools, logs, flows, conductance, left, step)
    prices[:] = np.exp(logs)
    return float(left.sum() + amount * prices[0] * (kept / (prices[0] + kept)))


@rule
def _descend(
    pools: tuple[IntArray, IntArray, IntArray, FloatArray, FloatArray, FloatArray, BoolArray, float, float],
    logs: FloatArray,
    flows: FloatArray,
    conductance: FloatArray,
    left: FloatArray,
    step: FloatArray,
) -> float:
    """Go along a step, or back from its end until the bound no longer rises much; returns as :func:`_trade` does."""
    nodes = len(step)
    start = logs.copy()
    before = 0.0
    for n in range(nodes):
        before += left[n] * step[n]
    share, low, slow, high, fast = 1.0, 0.0, before, 0.0, 0.0
    unbalanced = 0.0
    for _ in range(_TRIALS):
        logs[:nodes] = start[:nodes] + share * step
        unbalanced = _trade(*pools, logs, flows, conductance, left)
        rise = 0.0
        for n in range(nodes):
            rise += left[n] * step[n]
        if rise > -_FLATTER * before:
            high, fast = share, rise
        elif rise < _FLATTER * before and high > 0.0:
            low, slow = share, rise
        else:
            break
        share = low + (high - low) * min(max(slow / (slow - fast), 0.1), 0.9)
    return unbalanced


@rule
def _trade(
    tail: IntArray,
    head: IntArray,
    starts: IntArray,
    paid: FloatArray,
    dearness: FloatArray,
    received: FloatArray,
    usable: BoolArray,
    amount: float,
    kept: float,
    logs: FloatArray,
    flows: FloatArray,
    conductance: FloatArray,
    left: FloatArray,
) -> float:
    """What every edge trades at some prices, and what that leaves over.

    Parameters
    ----------
    conductance
        Shape (edges,), written: by what more the edge would take if the prices at its ends were one e-fold further
        apart, in terms of the token bought.
    left
        Shape (nodes,), written: what arrives less what goes on, in terms of the token bought.

    Returns
    -------
    The largest share of what passes a node that is left over or missing there.
    """
    end = len(logs) - 1
    price = np.exp(logs[0])
    left[:] = 0.0
    left[0] = amount * price * (price / (price + kept))
    passed = left.copy()
    for e in range(len(tail)):
        flows[e] = conductance[e] = 0.0
        if usable[e]:
            here, there = np.exp(logs[tail[e]]), np.exp(logs[head[e]])
            wanted = np.sqrt(there / here)
            x, y, more = _sold_until(paid, dearness, received, starts[e], starts[e + 1] - 1, wanted)
            flows[e] = x
            conductance[e] = 0.5 * wanted * more * here
            left[tail[e]] -= x * here
            left[head[e]] += y * there
            passed[tail[e]] += x * here + _BLURRED * conductance[e]
            passed[head[e]] += y * there + _BLURRED * conductance[e]
    worst = 0.0
    for n in range(end):
        if passed[n] > 0.0:
            worst = max(worst, abs(left[n]) / passed[n])
    return worst


@rule
def _sold_until(
    paid: FloatArray, dearness: FloatArray, received: FloatArray, first: int, last: int, wanted: float
) -> tuple[float, float, float]:
    """What is sold until a curve is as dear as wanted, what that brings, and what more is sold as it gets dearer."""
    if wanted <= dearness[first]:
        return 0.0, 0.0, 0.0
    if wanted >= dearness[last]:
        return paid[last], received[last], 0.0
    low, high = first, last
    while high - low > 1:
        middle = (low + high) // 2
        if dearness[middle] <= wanted:
            low = middle
        else:
            high = middle
    more = (paid[high] - paid[low]) / (dearness[high] - dearness[low])
    beyond = (wanted - dearness[low]) * more
    return paid[low] + beyond, received[low] + beyond / (dearness[low] * wanted), more


@rule
def _brought(
    paid: FloatArray, dearness: FloatArray, received: FloatArray, first: int, last: int, amount: float
) -> float:
    """What an amount brings; beyond the end of a curve, what the end brings."""
    if amount >= paid[last]:
        return received[last] * (1.0 + 2.0 * SPARE)  # type: ignore[no-any-return]
    low, high = first, last
    while high - low > 1:
        middle = (low + high) // 2
        if paid[middle] <= amount:
            low = middle
        else:
            high = middle
    more = amount - paid[low]
    dearer = dearness[low] + more * (dearness[high] - dearness[low]) / (paid[high] - paid[low])
    return received[low] + more / (dearness[low] * dearer)  # type: ignore[no-any-return]


@rule
def _solve(matrix: FloatArray, vector: FloatArray) -> None:
    """Solve a symmetric system whose diagonal outweighs the rest; both are overwritten, `vector` by the solution."""
    n = len(vector)
    for k in range(n):
        for i in range(k + 1, n):
            if matrix[i, k] != 0.0:
                factor = matrix[i, k] / matrix[k, k]
                matrix[i, k:] -= factor * matrix[k, k:]
                vector[i] -= factor * vector[k]
    for k in range(n - 1, -1, -1):
        for i in range(k + 1, n):
            vector[k] -= matrix[k, i] * vector[i]
        vector[k] /= matrix[k, k]
