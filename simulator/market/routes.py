"""Through which pools a token becomes another, and how much through each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import permutations

import numpy as np

from protocols import compiled
from protocols.amm.interface import Fill, FloatArray, Venue
from simulator.market.curves import Curve, curve, is_ranged
from simulator.market.network import Hop, Network, network
from simulator.market.optimum import best_rates
from simulator.market.sales import Leg, Sale, View, alone, divided

__all__ = ["Hop", "Leg", "Router", "Sale"]

_WIDER = 4
"""Curves are made up to the next power of 2 ** _WIDER, so that sales of nearly one size have them in common."""


class Router:
    """Sales between tokens over all pools.

    What it has learnt of a pool it keeps until the pool changes, so pools are to be changed through it alone.

    Parameters
    ----------
    venues
        All pools.
    token_row
        Row of each token's address.
    """

    def __init__(self, venues: Sequence[Venue], token_row: dict[str, int]) -> None:
        self.venues = venues
        self.sides = [tuple(token_row[token] for token in venue.tokens) for venue in venues]
        self._from: dict[int, list[tuple[int, Hop]]] = defaultdict(list)
        for row, sides in enumerate(self.sides):
            for sold, bought in permutations(range(len(sides)), 2):
                self._from[sides[sold]].append((sides[bought], Hop(row, sold, bought)))
        self._networks: dict[tuple[int, int], Network] = {}
        # of the pools' present state
        self._prices: dict[Hop, float] = {}
        self._curves: dict[int, dict[tuple[Hop, int], Curve]] = defaultdict(dict)
        self._ceilings: dict[tuple[int, int], FloatArray] = {}
        self._views: dict[tuple[int, int, int], View] = {}
        self._sales: dict[tuple[int, int, int], Sale] = {}

    # --- pools change -------------------------------------------------------------------------------------------

    def advance(self, timestamp: int) -> None:
        """Let time pass in every pool, unix seconds."""
        for row, venue in enumerate(self.venues):
            venue.advance(timestamp)
            self.forget(row)

    def swap(self, hop: Hop, amount_raw: int, limit_raw: int = 0) -> Fill:
        """Swap in one pool; raises Revert where its contract does."""
        self.forget(hop.venue)
        return self.venues[hop.venue].swap(hop.sold, hop.bought, amount_raw, limit_raw)

    def sell(self, sale: Sale) -> list[tuple[Leg, Fill]]:
        """Execute a sale that was planned at the pools' present state."""
        done = [(leg, self.swap(leg.hop, leg.amount_raw)) for leg in sale.legs]
        for leg, fill in done:
            if fill != Fill(leg.amount_raw, leg.received_raw):
                raise AssertionError(f"{self.venues[leg.hop.venue].name}: {fill} where the plan was {leg}")
        return done

    def forget(self, venue: int) -> None:
        """Forget what is known of a pool that has changed in another way than by these."""
        for sold, bought in permutations(range(len(self.sides[venue])), 2):
            self._prices.pop(Hop(venue, sold, bought), None)
        self._curves.pop(venue, None)
        self._ceilings.clear()
        self._views.clear()
        self._sales.clear()

    # --- sales --------------------------------------------------------------------------------------------------

    def ceiling(self, sold: int, bought: int) -> float:
        """What no smallest unit brings more than, however few are sold; 0 where no way leads."""
        return float(self._reached(sold, bought)[-1]) if self._network(sold, bought).hops else 0.0

    def most(self, sold: int, bought: int, amount_raw: int) -> float:
        """What the sale of an amount brings no more than, smallest units: close above it, and found much sooner."""
        if amount_raw <= 0 or self.ceiling(sold, bought) == 0.0:
            return 0.0
        return self._view(sold, bought, amount_raw).whole(amount_raw).most

    def sale(self, sold: int, bought: int, amount_raw: int) -> Sale:
        """The sale of an amount that brings most, over as many ways as it takes.

        Parameters
        ----------
        sold, bought
            Rows of the tokens.
        amount_raw
            Smallest units.

        Returns
        -------
        At least as much as the best single way brings. What the pools cannot take is left unsold.
        """
        key = (sold, bought, amount_raw)
        if key not in self._sales:
            self._sales[key] = self._plan(sold, bought, amount_raw)
        return self._sales[key]

    def _plan(self, sold: int, bought: int, amount_raw: int) -> Sale:
        if amount_raw <= 0 or self.ceiling(sold, bought) == 0.0:
            return Sale((), 0, amount_raw)
        view = self._view(sold, bought, amount_raw)
        best = divided(view, self._quote, amount_raw)
        return alone(view, self._quote, amount_raw, best.received_raw) or best

    def _quote(self, hop: Hop, amount_raw: int) -> Fill:
        return self.venues[hop.venue].quote(hop.sold, hop.bought, amount_raw)

    # --- what is kept of the present state ----------------------------------------------------------------------

    def _network(self, sold: int, bought: int) -> Network:
        if (sold, bought) not in self._networks:
            self._networks[sold, bought] = network(sold, bought, self._from)
        return self._networks[sold, bought]

    def _reached(self, sold: int, bought: int) -> FloatArray:
        """What one unit sold becomes at most of each token of the network, by prices alone."""
        if (sold, bought) not in self._ceilings:
            net = self._network(sold, bought)
            prices = np.array([self._price(hop) for hop in net.hops])
            self._ceilings[sold, bought] = np.empty(net.nodes)
            compiled.fast(best_rates)(net.head, net.tail, prices, 0, self._ceilings[sold, bought])
        return self._ceilings[sold, bought]

    def _price(self, hop: Hop) -> float:
        if hop not in self._prices:
            self._prices[hop] = self.venues[hop.venue].price(hop.sold, hop.bought)
        return self._prices[hop]

    def _view(self, sold: int, bought: int, amount_raw: int) -> View:
        power = _power(amount_raw)
        if (sold, bought, power) not in self._views:
            net = self._network(sold, bought)
            most = self._reached(sold, bought)[net.tail] * 2.0**power
            curves = [self._curve(hop, _power(int(m))) for hop, m in zip(net.hops, most, strict=True)]
            self._views[sold, bought, power] = View(net, curves)
        return self._views[sold, bought, power]

    def _curve(self, hop: Hop, power: int) -> Curve:
        venue, known = self.venues[hop.venue], self._curves[hop.venue]
        key = (hop, 0 if is_ranged(type(venue)) else power)
        if key not in known:
            known[key] = curve(venue, hop.sold, hop.bought, 2**power)
        return known[key]


def _power(amount: int) -> int:
    return -(-amount.bit_length() // _WIDER) * _WIDER
