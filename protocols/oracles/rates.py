"""Exchange rates between a token and what it wraps: leaves that no market moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain.calls import Call
from protocols.oracles.kind import Kind, addresses
from protocols.walking import Ask


def _assets(address: str, found: Mapping[str, Any]) -> dict[str, Ask]:
    return {"answer": Call(address, "convertToAssets(uint256)(uint256)", (int(found["sample_raw"]),))}


RATE = Kind(
    "exchange rate",
    "what one token is redeemed for, as its issuer's contract says",
    "blind to a market below redemption; a loss or a donation moves it at once",
)
VAULT = Kind(
    "ERC-4626 rate",
    "what a sample of a vault's shares is redeemed for",
    "blind to a market below redemption; a loss or a donation moves it at once",
    further=_assets,
)
STETH_RATE = Kind(
    "stETH rate",
    "stETH for one wstETH, as Lido's contract says (WstEthStEthExchangeRateChainlinkAdapter of morpho-blue-oracles)",
    "blind to a market below redemption; a loss of validators moves it at once",
    getters=addresses({"steth": "ST_ETH"}),
)
KINDS = (STETH_RATE, VAULT, RATE)
