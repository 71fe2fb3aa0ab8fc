"""What is modelled of Morpho's Vault v2, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import RECORDED, Entry

_LIMITS = (
    "vaults whose shares lending markets list, with their adapters and these' own caps; none is stepped in a run",
    "an adapter's claim changes by exactly what goes in or out; gates and caps that adapters share are not read",
)
CATALOGUE = (Entry("Morpho Vault", "2.0", RECORDED, "test_vault_v2_reader", ("vault_v2",), _LIMITS),)
