"""What is modelled of Morpho's Vault v2, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import Entry

_LIMITS = (
    "vaults whose shares lending markets list, with their adapters and these' own caps; none is stepped in a run",
    "an adapter's claim changes by exactly what goes in or out; gates and caps that adapters share are not read",
)
CATALOGUE = (Entry("Morpho Vault", "2.0", recorded=("vault_v2",), limits=_LIMITS),)
