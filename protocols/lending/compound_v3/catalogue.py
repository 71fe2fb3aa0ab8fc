"""What is modelled of Compound v3, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import RECORDED, Entry, files
from protocols.lending.compound_v3.versions import VERSIONS

_LIMITS = ("a market whose prices are neither in US dollars nor in its base token is refused",)
CATALOGUE = tuple(
    Entry("Compound v3", version.name, RECORDED, "test_compound_v3_reader", files(version.verified_by), _LIMITS)
    for version in VERSIONS.values()
)
