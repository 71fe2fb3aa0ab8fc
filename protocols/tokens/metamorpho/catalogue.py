"""What is modelled of the vaults over Morpho, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import RECORDED, Entry

_LIMITS = (
    "vaults whose shares lending markets list, with their queues, caps and allocations; none is stepped in a run",
    "interest since the last interaction with a market is in the share's rate and not in the allocations",
)
CATALOGUE = (
    Entry("MetaMorpho", "1.0", RECORDED, "test_metamorpho_reader", ("metamorpho",), _LIMITS),
    Entry("MetaMorpho", "1.1", RECORDED, "test_metamorpho_reader", ("metamorpho",), _LIMITS),
)
