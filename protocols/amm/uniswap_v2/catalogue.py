"""What is modelled of Uniswap v2, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import LOCAL_CHAIN, Entry

_LIMITS = (
    "pairs between the tokens that lending markets list; tokens that take a fee on transfers are not told apart",
)
CATALOGUE = (Entry("Uniswap v2", "1.0.1", LOCAL_CHAIN, "test_aave_v3_reader", ("uniswap_v2",), _LIMITS),)
