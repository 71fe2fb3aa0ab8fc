"""What is modelled of Uniswap v3, and what it was held to."""

from __future__ import annotations

from protocols.amm.uniswap_v3.reader import FEES
from protocols.catalogue import LOCAL_CHAIN, Entry

_FEES = ", ".join(f"{fee / 10_000:g} %" for fee in FEES)
_LIMITS = (f"pools between the tokens that lending markets list, of the fees {_FEES}",)
CATALOGUE = (Entry("Uniswap v3", "1.0.1", LOCAL_CHAIN, "test_aave_v3_reader", ("uniswap_v3",), _LIMITS),)
