"""What is modelled of Balancer v2 weighted pools, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import RECORDED, UNVERIFIED, Entry

_LIMITS = (
    "pools that hold at least two of the tokens that lending markets list",
    "a swap of more than 30 % of a balance is refused, as in the pool",
)
_HELD_BY = "test_balancer_weighted_reader"
CATALOGUE = (
    Entry(
        "Balancer v2 weighted pools",
        "1",
        RECORDED,
        _HELD_BY,
        limits=(*_LIMITS, "its rules were compared with the swaps of the reader's recording only"),
    ),
    Entry("Balancer v2 weighted pools", "2 and 3", UNVERIFIED, limits=_LIMITS),
    Entry("Balancer v2 weighted pools", "4", RECORDED, _HELD_BY, ("balancer_weighted",), _LIMITS),
)
