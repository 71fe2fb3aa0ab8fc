"""Every kind of price source that is known, in the order in which a contract is tried against them."""

from __future__ import annotations

from protocols.oracles import capo, chainlink, composed, ema, fixed, morpho, osm, pendle, rates, twap
from protocols.oracles.kind import Kind

KINDS: tuple[Kind, ...] = (
    *(kind for module in (capo, pendle, composed, morpho, osm, twap, ema, fixed, rates) for kind in module.KINDS),
    *chainlink.KINDS,
)
"""The last is what a contract is that is none of the others."""

BY_NAME: dict[str, Kind] = {kind.name: kind for kind in KINDS}
"""Kinds of one name run alike and differ in how they are recognised only."""
