"""Tokens behind which nothing lies that is read here: bridged, backed off the chain, or minted against collateral.

A bridged token is its bridge's debt, whatever it is called. Dollars and bitcoin that a company keeps, and dollars that
a protocol mints against collateral, are known by address. GHO says itself who mints it: what an Aave pool lends out of
nothing stands in the pool's own book, against its borrowers' collateral. What others mint of it is no claim here.

Sources: GhoToken.getFacilitatorsList and getFacilitatorBucket (capacity, level); POOL of the facilitator, which is the
pool's aToken of GHO, and since v3.4 a GhoDirectMinter.
"""

from __future__ import annotations

from chain.calls import Call
from protocols.tokens.kind import MOST_LISTED, Claim, Found, Kind, Looking, Token, addresses, failed

MINTED = "minted"
"""Name of the kind of what a protocol mints against collateral."""
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
        }
    )
}


def _look_at_a_bridged_token(token: Token) -> Looking:
    yield from ()
    return Found(token.told["bridge"], _ELSEWHERE)


def _look_at_gho(token: Token) -> Looking:
    facilitators = token.told["facilitators"]
    if len(facilitators) > MOST_LISTED:
        return None
    answers = yield [
        call
        for each in facilitators
        for call in (
            Call(token.address, "getFacilitatorBucket(address)(uint256,uint256)", (each,)),
            Call(each, "POOL()(address)"),
        )
    ]
    minted: dict[str, int] = {}
    for bucket, pool in zip(answers[::2], answers[1::2], strict=True):
        if not failed([bucket, pool]) and pool in token.issuers:
            minted[token.issuers[pool]] = minted.get(token.issuers[pool], 0) + bucket[1]
    if not any(minted.values()):
        return Found(token.address, _ELSEWHERE)
    # a token has one issuer: of several pools the one that has minted most
    issuer = max(minted, key=lambda name: (minted[name], name))
    return Found(issuer, _ELSEWHERE, supply_raw=minted[issuer])


def _look_at_a_leaf(token: Token) -> Looking:
    yield from ()
    return Found(token.address, _ELSEWHERE)


KINDS = (
    Kind("off_chain", "at withdrawal", {}, _look_at_a_leaf, at=_OFF_CHAIN),
    Kind(MINTED, "at withdrawal", {"facilitators": "getFacilitatorsList()(address[])"}, _look_at_gho),
    Kind(MINTED, "at withdrawal", {}, _look_at_a_leaf, at=_MINTED),
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
