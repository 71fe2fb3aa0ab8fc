"""How one sale is planned: divided in float64, then carried out in whole units as the pools answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from protocols import compiled
from protocols.amm.interface import Fill, FloatArray
from simulator.market.curves import NEAR, SPARE, Curve
from simulator.market.network import Hop, IntArray, Network
from simulator.market.optimum import BoolArray, best_rates, divide, most_alone

DUST = 1e-5
"""Share of a sale below which a pool is not worth a swap."""
_CORRECTIONS = 20

Quote = Callable[[Hop, int], Fill]


@dataclass(frozen=True, slots=True)
class Leg:
    """One swap of a sale, and what it brings."""

    hop: Hop
    amount_raw: int
    received_raw: int


@dataclass(frozen=True, slots=True)
class Sale:
    """How an amount of one token is sold for another, in as many pools as it takes.

    Attributes
    ----------
    legs
        The swaps in their order, no pool twice; what they need is there when their turn comes, and all of it is used.
    received_raw
        What they bring of the token bought, smallest units.
    unsold_raw
        What is left of the token sold, because the pools cannot take more of it (or so little brings no unit).
    """

    legs: tuple[Leg, ...]
    received_raw: int
    unsold_raw: int

    @property
    def exhausted(self) -> bool:
        """Whether the pools cannot take the whole amount."""
        return self.unsold_raw > 0


@dataclass(frozen=True, slots=True)
class Division:
    """How an amount is divided over the edges of a network.

    Attributes
    ----------
    flows
        What is to go into each edge, smallest units.
    shares
        What that is worth, as a share of all that arrives.
    most
        What no sale of the amount over these edges brings more than, smallest units.
    """

    flows: Sequence[float]
    shares: Sequence[float]
    most: float


class View:
    """A network at the pools' present state.

    Parameters
    ----------
    net, curves
        The network, and the curve of each edge.
    """

    def __init__(self, net: Network, curves: Sequence[Curve]) -> None:
        self.net = net
        self.most = [int(curve.paid[-1]) for curve in curves]
        self._starts: IntArray = np.cumsum([0, *(len(curve.paid) for curve in curves)])
        self._points = [
            np.concatenate([getattr(curve, name) for curve in curves]) for name in ("paid", "dearness", "received")
        ]
        self._slack: FloatArray = np.array([curve.slack for curve in curves])
        self._whole: dict[int, Division] = {}
        rates: FloatArray = np.array([curve.rate for curve in curves])
        self._worth: FloatArray = np.empty(net.nodes)
        compiled.fast(best_rates)(net.tail, net.head, rates, net.nodes - 1, self._worth)
        best = rates * self._worth[net.head]
        self.usable: BoolArray = best > 0.0
        self.best: list[float] = best.tolist()
        """What a unit in each edge becomes at most."""
        self.onward: list[list[int]] = [[] for _ in range(net.nodes)]
        """For each token, the edges that lead on from it, the best first."""
        for e in np.argsort(-best, kind="stable").tolist():
            if best[e] > 0.0:
                self.onward[net.tail[e]].append(e)

    def most_alone(self, amount_raw: int) -> float:
        """What no single way brings more of than."""
        net = self.net
        return compiled.fast(most_alone)(  # type: ignore[no-any-return]
            net.tail, net.head, self._starts, *self._points, self._slack, float(amount_raw), net.nodes
        )

    def divide(self, amount_raw: int, usable: BoolArray) -> Division:
        """The best division over the edges that may be used."""
        net = self.net
        prices, flows = np.where(self._worth > 0.0, self._worth, 1.0), np.empty(len(net.hops))
        pools = net.tail, net.head, self._starts, *self._points, usable
        most = compiled.fast(divide)(*pools, float(amount_raw), prices, flows)
        value = flows * prices[net.tail]
        shares = value / (value[net.tail == 0].sum() or 1.0)
        return Division(flows.tolist(), shares.tolist(), most * (1.0 + float(self._slack.max(initial=0.0))))

    def whole(self, amount_raw: int) -> Division:
        """The best division over all edges."""
        if amount_raw not in self._whole:
            self._whole[amount_raw] = self.divide(amount_raw, self.usable)
        return self._whole[amount_raw]


def divided(view: View, quote: Quote, amount_raw: int) -> Sale:
    """The sale of an amount over all pools at once.

    An edge is closed where a plan cannot have it, and the sale is divided anew: where it goes round in a circle, which
    pays only while pools disagree; where its pool is used already, since two edges of one pool do not know of each
    other; where so little goes in that no unit comes out.
    """
    usable, division = view.usable.copy(), view.whole(amount_raw)
    while True:
        used = _worthwhile(view.net, division.shares)
        if not used:
            return Sale((), 0, amount_raw)
        order, circle = _in_order(view.net, used)
        spare = circle or _twice(view.net, used)
        if not spare:
            sale = _carried_out(view, quote, order, division.flows, used, amount_raw)
            if isinstance(sale, Sale):
                return sale
            spare = [sale]
        usable[spare[-1]] = False
        division = view.divide(amount_raw, usable)


def _worthwhile(net: Network, shares: Sequence[float]) -> list[int]:
    """The edges that more than dust goes into, and that still lead from the token sold to the token bought."""
    used = [e for e, share in enumerate(shares) if share > DUST]
    while True:
        tails, heads = {net.ends[e][0] for e in used} | {net.nodes - 1}, {net.ends[e][1] for e in used} | {0}
        kept = [e for e in used if net.ends[e][0] in heads and net.ends[e][1] in tails]
        if len(kept) == len(used):
            return sorted(used, key=lambda e: -shares[e])
        used = kept


def _twice(net: Network, used: Sequence[int]) -> list[int]:
    """Edges in pools that earlier ones are in too."""
    first: dict[int, int] = {}
    return [e for e in used if first.setdefault(net.hops[e].venue, e) != e]


def _in_order(net: Network, used: Sequence[int]) -> tuple[list[int], list[int]]:
    """The tokens in an order in which all edges lead on, and the edges of circles, which prevent that."""
    order: list[int] = []
    left, nodes = list(used), set(range(net.nodes))
    while free := sorted(nodes - {net.ends[e][1] for e in left}):
        order += free
        nodes -= set(free)
        left = [e for e in left if net.ends[e][0] in nodes]
    while dead := nodes - {net.ends[e][0] for e in left}:
        nodes -= dead
        left = [e for e in left if net.ends[e][1] in nodes]
    return order, left


def _carried_out(
    view: View, quote: Quote, order: Sequence[int], flows: Sequence[float], used: Sequence[int], amount_raw: int
) -> Sale | int:
    """The sale that is divided in these proportions, or an edge without which it is to be divided anew."""
    ends, most = view.net.ends, list(view.most)
    # less than all is divided where the pools further on cannot take more
    sold_raw = min(amount_raw, int(sum(flows[e] for e, (tail, _) in enumerate(ends) if tail == 0) * (1.0 + SPARE)) + 1)
    for _ in range(_CORRECTIONS):
        held = [0] * view.net.nodes
        held[0] = sold_raw
        legs: dict[int, Leg] = {}
        for node in order[:-1]:
            # the fullest first, so that others get what it cannot take
            ways = sorted(
                (e for e in used if ends[e][0] == node), key=lambda e: flows[e] / (most[e] or 1), reverse=True
            )
            arrived, total = held[node], sum(flows[e] for e in ways)
            for e in ways:
                part = held[node] if e == ways[-1] else int(held[node] * (flows[e] / total))
                fill = quote(view.net.hops[e], min(part, most[e]))
                if fill.received_raw == 0:
                    return e
                legs[e] = Leg(view.net.hops[e], fill.paid_raw, fill.received_raw)
                held[node] -= fill.paid_raw
                held[ends[e][1]] += fill.received_raw
                total -= flows[e]
            if node and held[node]:
                # what cannot go on is not to arrive; twice as much, since the last units bring less than others
                for e in (e for e in legs if ends[e][1] == node):
                    most[e] = max(legs[e].amount_raw - 2 * legs[e].amount_raw * held[node] // arrived - 1, 0)
                break
        else:
            return Sale(tuple(legs.values()), held[-1], amount_raw - sold_raw + held[0])
    return used[-1]


def alone(view: View, quote: Quote, amount_raw: int, least_raw: int) -> Sale | None:
    """The sale of a whole amount along the single way that brings most, if it brings more than so much.

    A way is not followed where the rest of it could not bring that at the best prices (branch and bound).
    """
    net = view.net
    best: Sale | None = None
    if view.most_alone(amount_raw) <= least_raw:
        return best

    def follow(node: int, amount: int, legs: tuple[Leg, ...], passed: frozenset[int]) -> None:
        nonlocal best, least_raw
        for e in view.onward[node]:
            if amount * view.best[e] * (1.0 + NEAR) <= least_raw:
                break
            hop, head = net.hops[e], net.ends[e][1]
            if head in passed or any(leg.hop.venue == hop.venue for leg in legs):
                continue
            fill = quote(hop, amount)
            if fill.paid_raw < amount or fill.received_raw == 0:
                continue
            further = (*legs, Leg(hop, amount, fill.received_raw))
            if head < net.nodes - 1:
                follow(head, fill.received_raw, further, passed | {head})
            elif fill.received_raw > least_raw:
                least_raw = fill.received_raw
                best = Sale(further, least_raw, 0)

    follow(0, amount_raw, (), frozenset((0,)))
    return best
