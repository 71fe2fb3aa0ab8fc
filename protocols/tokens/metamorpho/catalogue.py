"""What is modelled of the vaults over Morpho, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import NONE, Entry

_LIMITS = ("rules only: no vault is read from a chain or stepped in a run",)
CATALOGUE = (
    Entry("MetaMorpho", "1.0", NONE, recorded=("metamorpho",), limits=_LIMITS),
    Entry("MetaMorpho", "1.1", NONE, recorded=("metamorpho",), limits=_LIMITS),
)
