"""Through which pools a token becomes another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from protocols.amm.interface import Fill, Venue


@dataclass(frozen=True, slots=True)
class Hop:
    """One pool on the way: row of the venue, and which of its tokens goes in and which comes out."""

    venue: int
    sold: int
    bought: int


Route = tuple[Hop, ...]


class Router:
    """Routes of one or two hops between tokens.

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
        self._routes: dict[tuple[int, int], list[Route]] = {}

    def routes(self, sold: int, bought: int) -> list[Route]:
        """Every route of at most two hops, no pool twice; in a fixed order."""
        if sold == bought:
            return []
        key = (sold, bought)
        if key not in self._routes:
            found: list[Route] = [(hop,) for token, hop in self._from[sold] if token == bought]
            for middle, first in self._from[sold]:
                if middle not in (sold, bought):
                    found += [
                        (first, second)
                        for token, second in self._from[middle]
                        if token == bought and second.venue != first.venue
                    ]
            self._routes[key] = found
        return self._routes[key]

    def quote(self, route: Route, amount_raw: int) -> int:
        """What selling an amount along a route would bring, smallest units; 0 if a pool runs out on the way."""
        for hop in route:
            fill = self.venues[hop.venue].quote(hop.sold, hop.bought, amount_raw)
            if fill.paid_raw < amount_raw:
                return 0
            amount_raw = fill.received_raw
            if amount_raw == 0:
                return 0
        return amount_raw

    def best(self, sold: int, bought: int, amount_raw: int) -> tuple[int, Route | None]:
        """The route that brings most, and what it brings; (0, None) if none can take the whole amount."""
        best_raw, best_route = 0, None
        for route in self.routes(sold, bought):
            received = self.quote(route, amount_raw)
            if received > best_raw:
                best_raw, best_route = received, route
        return best_raw, best_route

    def sell(self, route: Route, amount_raw: int) -> list[tuple[Hop, Fill]]:
        """Sell along a route, pool by pool; the pools' states change."""
        fills = []
        for hop in route:
            fill = self.venues[hop.venue].swap(hop.sold, hop.bought, amount_raw)
            fills.append((hop, fill))
            amount_raw = fill.received_raw
        return fills
