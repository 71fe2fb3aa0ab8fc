"""What is modelled of Venus' core pool, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import LOCAL_CHAIN, UNVERIFIED, Entry, files
from protocols.lending.compound_v2.catalogue import LIMITS
from protocols.lending.venus_core.versions import VERSIONS

_READ = {"10.3": "test_venus_core_reader"}
"""Versions of which contracts are on the local chain, and the tests that compare the reader with them."""
_LIMITS = (
    *LIMITS,
    "accounts that owe VAI, or that some liquidators only may liquidate, are left out, with a note",
    "a fee on redemptions is refused",
)
CATALOGUE = tuple(
    Entry(
        "Venus core pool",
        version.name,
        LOCAL_CHAIN if version.name in _READ else UNVERIFIED,
        _READ.get(version.name, ""),
        files(version.verified_by),
        _LIMITS,
    )
    for version in VERSIONS.values()
)
