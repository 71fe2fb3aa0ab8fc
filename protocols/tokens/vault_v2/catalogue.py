"""What is modelled of Morpho's Vault v2, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import NONE, Entry

_LIMITS = (
    "rules only: no vault is read from a chain or stepped in a run",
    "an adapter's claim changes by exactly what goes in or out; gates are not modelled",
)
CATALOGUE = (Entry("Morpho Vault", "2.0", NONE, recorded=("vault_v2",), limits=_LIMITS),)
