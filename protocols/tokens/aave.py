"""aTokens of Aave v2, v3 and their forks, and static aTokens.

An aToken is owed one for one: interest is in the balance (``balanceOf`` multiplies by the index). What the pool writes
off is a deficit of the reserve (``getReserveDeficit``, v3.3 on), which holders meet only when they withdraw and the
rest is gone. Older pools keep it as debt that nobody repays.

A static aToken's balance stays and its worth grows: StataTokenV2 (aave-v3-origin, ERC4626StataTokenUpgradeable) and
StaticATokenLM (bgd-labs/static-a-token-v3) give shares times the index, rounded down.
"""

from __future__ import annotations

from chain.calls import Call
from protocols.arithmetic import Number, ray_mul_down, rule
from protocols.tokens.kind import Claim, Found, Kind, Looking, Token, addresses, balance, failed, numbers, or_zero


@rule
def static_assets(shares: Number, index_ray: Number) -> Number:
    """ERC4626StataTokenUpgradeable._convertToAssets, rounded down; the index is getReserveNormalizedIncome."""
    return ray_mul_down(shares, index_ray)


def _look_at_a_token(token: Token) -> Looking:
    asset, pool = token.told["asset"], token.told["pool"]
    (deficit,) = yield [Call(pool, "getReserveDeficit(address)(uint256)", (asset,))]
    backing = max(0, token.supply_raw - or_zero(deficit))
    return Found(token.issuer(pool), (Claim(asset, token.unit_raw, backing),))


def _look_at_a_static_token(token: Token) -> Looking:
    wrapped, asset = token.told["a_token"], token.told["asset"]
    first = yield [
        Call(wrapped, "POOL()(address)"),
        balance(wrapped, token.address),
        Call(token.address, "convertToAssets(uint256)(uint256)", (token.unit_raw,)),
    ]
    if failed(first):
        return None
    pool, backing, worth = first
    (index,) = yield [Call(pool, "getReserveNormalizedIncome(address)(uint256)", (asset,))]
    if failed([index]) or static_assets(token.unit_raw, index) != worth:
        return None
    return Found(token.address, (Claim(wrapped, worth, backing),))


KINDS = (
    Kind(
        "aave",
        "at withdrawal",
        addresses(asset="UNDERLYING_ASSET_ADDRESS", pool="POOL", treasury="RESERVE_TREASURY_ADDRESS")
        | numbers(scaled="scaledTotalSupply"),
        _look_at_a_token,
    ),
    Kind("static_aave", "at withdrawal", addresses(a_token="aToken", asset="asset"), _look_at_a_static_token),
)
