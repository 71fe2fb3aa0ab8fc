"""What is modelled of Aave v2, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import LOCAL_CHAIN, Entry, files
from protocols.lending.aave_v2.versions import VERSIONS

_LIMITS = (
    "a paused pool is refused",
    "an oracle in another currency than the US dollar or one of the pool's reserves is refused",
    "accounts with tokens that rebase (AMPL) are left out, with a note",
)
CATALOGUE = tuple(
    Entry("Aave v2", version.name, LOCAL_CHAIN, "test_aave_v2_reader", files(version.verified_by), _LIMITS)
    for version in VERSIONS.values()
)
