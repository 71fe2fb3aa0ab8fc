"""What is modelled of Uniswap v4, and what it was held to."""

from __future__ import annotations

from protocols.catalogue import LOCAL_CHAIN, Entry

_LIMITS = (
    "pools without hooks, so of a fixed fee, between the tokens that lending markets list, that have liquidity at the "
    "price",
    "pools with hooks are left out, with a note that names them",
    "pools of the chain's own currency are taken for pools of the token that wraps it",
)
CATALOGUE = (Entry("Uniswap v4", "1.0.2", LOCAL_CHAIN, "test_uniswap_v4_reader", ("uniswap_v4",), _LIMITS),)
