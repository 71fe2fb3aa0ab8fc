"""What is modelled of Curve StableSwap, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import RECORDED, Entry

_LIMITS = (
    "pools all of whose coins lending markets list; another that the deployment lists is refused",
    "a pool whose get_dy is not what the rules say is refused or left out, with a note",
    "rates that a pool reads from an oracle or a vault stay as they were at the block",
)
CATALOGUE = (
    Entry(
        "Curve StableSwap-NG, plain pools",
        "v7.0.0",
        RECORDED,
        "test_curve_stableswap_reader",
        ("curve_stableswap",),
        (*_LIMITS, "of another version than v7.0.0 only get_dy is compared, and the pool has a caveat"),
    ),
    Entry(
        "Curve StableSwap, 3pool and its kind",
        "2020",
        RECORDED,
        "test_curve_stableswap_reader",
        ("curve_3pool_classic",),
        _LIMITS,
    ),
)
