"""Which parameters an account's pool gives each market."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from protocols.lending.compound_v2.state import Pools

CORE = 0


class Listing(NamedTuple):
    """A market's parameters in one pool, wad; all 0 where it is not listed."""

    listed: bool
    ltv_wad: int
    threshold_wad: int
    incentive_wad: int


class Pool(NamedTuple):
    """A pool: the core (pool 0, always active), or one that accounts choose for better terms on fewer markets.

    Attributes
    ----------
    active
        An inactive pool's accounts have the core's parameters.
    fallback
        Markets that are not listed in it have the core's; without this they have none, and count for nothing.
    listings
        One a market.
    """

    active: bool
    fallback: bool
    listings: Sequence[Listing]


def effective(pools: Sequence[Pool]) -> Pools:
    """MarketFacet.getLiquidationParams for every pool and market."""
    core = pools[CORE].listings

    def of(number: int, m: int) -> Listing:
        pool = pools[number]
        if number == CORE or not pool.active or (not pool.listings[m].listed and pool.fallback):
            return core[m]
        return pool.listings[m]

    table = [[of(number, m) for m in range(len(core))] for number in range(len(pools))]
    return Pools(
        [[listing.ltv_wad for listing in row] for row in table],
        [[listing.threshold_wad for listing in row] for row in table],
        [[listing.incentive_wad for listing in row] for row in table],
    )
