"""What is modelled of Morpho Blue, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import LOCAL_CHAIN, Entry
from protocols.lending.morpho_blue.market import VERSIONS

_LIMITS = (
    "interest rate models: the adaptive curve, a fixed rate, none; another is refused",
    "a market whose oracle does not answer, or that lends a token against itself, is left out, with a note",
)
CATALOGUE = tuple(
    Entry(
        "Morpho Blue", version, LOCAL_CHAIN, "test_morpho_blue_reader", ("morpho_blue", "adaptive_curve_irm"), _LIMITS
    )
    for version in VERSIONS
)
