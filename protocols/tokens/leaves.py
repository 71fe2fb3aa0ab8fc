"""Tokens behind which nothing lies that is read here: bridged, backed off the chain, or minted against collateral.

A bridged token is its bridge's debt, whatever it is called. Dollars and bitcoin that a company keeps, and dollars that
a protocol mints against collateral, are known by address.
"""

from __future__ import annotations

from protocols.tokens.kind import Claim, Found, Kind, Looking, Token, addresses

_ELSEWHERE = (Claim(""),)
_OFF_CHAIN = {
    1: frozenset(
        {
            "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",  # USDC
            "0xdac17f958d2ee523a2206206994597c13d831ec7",  # USDT
            "0x6c3ea9036406852006290770bedfcaba0e23a0e8",  # PYUSD
            "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599",  # WBTC
            "0xcbb7c0000ab88b473b1f5afd9ef808440eed33bf",  # cbBTC
            "0x4c9edd5852cd905f086c759e8383e09bff1e68b3",  # USDe
        }
    ),
    10: frozenset({"0x0b2c639c533813f4aa9d7837caf62653d097ff85"}),  # USDC
    137: frozenset({"0x3c499c542cef5e3811e1192ce70d8cc03d5c3359"}),  # USDC
    8453: frozenset({"0x833589fcd6edb6e08f4c7c32d4f71b54bda02913", "0xcbb7c0000ab88b473b1f5afd9ef808440eed33bf"}),
    42161: frozenset({"0xaf88d065e77c8cc2239327c5edb3a432268e5831"}),  # USDC
}
"""By chain, as their issuers publish them; 8453 has USDC and cbBTC."""
_MINTED = {
    1: frozenset(
        {
            "0x6b175474e89094c44da98b954eedeac495271d0f",  # DAI
            "0xdc035d45d973e3ec169d2276ddab16f1e407384f",  # USDS
            "0x5f98805a4e8be255a32880fdec7f6728c6568ba0",  # LUSD
            "0x6440f144b7e50d6a8439336510312d2f54beb01d",  # BOLD
            "0xf939e0a03fb07f59a73314e73794be0e57ac1b4e",  # crvUSD
            "0x40d16fc0246ad3160ccc09b8d0d3a2cd28ae6c2f",  # GHO
        }
    )
}


def _look_at_a_bridged_token(token: Token) -> Looking:
    yield from ()
    return Found(token.told["bridge"], _ELSEWHERE)


def _look_at_a_leaf(token: Token) -> Looking:
    yield from ()
    return Found(token.address, _ELSEWHERE)


KINDS = (
    Kind("off_chain", "at withdrawal", {}, _look_at_a_leaf, at=_OFF_CHAIN),
    Kind("minted", "at withdrawal", {}, _look_at_a_leaf, at=_MINTED),
    # OptimismMintableERC20, Lido's ERC20Bridged, and Arbitrum's StandardArbERC20
    *(
        Kind("bridged", "at withdrawal", getters, _look_at_a_bridged_token)
        for getters in (
            addresses(bridge="bridge", remote="remoteToken"),
            addresses(bridge="l2Bridge", remote="l1Token"),
            addresses(bridge="bridge", remote="l1Token"),
            addresses(bridge="l2Gateway", remote="l1Address"),
        )
    ),
)
"""What is owed is paid until it runs out."""
