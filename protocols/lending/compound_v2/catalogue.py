"""What is modelled of Compound v2, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import RECORDED, Entry, files
from protocols.lending.compound_v2.versions import VERSIONS

LIMITS = (
    "interest rate models: white paper, jump rate, two kinks; another is refused",
    "markets without a price, smaller markets in the same token, and accounts in either are left out, with a note",
    "only on a chain whose block time is known (chain/blocktime.py)",
    "every market is taken to accrue in every step",
    "a liquidation in a market of the chain's own currency is not verified on a fork",
)
"""Venus' too, whose reader is made of the same parts."""

CATALOGUE = tuple(
    Entry("Compound v2", version.name, RECORDED, "test_compound_v2_reader", files(version.verified_by), LIMITS)
    for version in VERSIONS.values()
)
