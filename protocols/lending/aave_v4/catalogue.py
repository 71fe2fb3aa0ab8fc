"""What is modelled of Aave v4, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import RECORDED, Entry, files
from protocols.lending.aave_v4.versions import VERSIONS

_LIMITS = (
    "another interest rate model, and contracts whose account data the rules do not give, are refused",
    "a spoke that lists one token from two hubs is refused",
)
CATALOGUE = tuple(
    Entry("Aave v4", version.name, RECORDED, "test_aave_v4_reader", files(version.verified_by), _LIMITS)
    for version in VERSIONS.values()
)
