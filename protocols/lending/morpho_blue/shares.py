"""Between shares and assets, with the virtual share and asset that make inflation attacks pointless.

Sources: SharesMathLib and MathLib of morpho-blue.
"""

from __future__ import annotations

from protocols.arithmetic import Number, ceiled, floored, mul_div_down, mul_div_up, primitive, rule

WAD = 10**18
VIRTUAL_SHARES = 10**6
VIRTUAL_ASSETS = 1


@primitive(lambda: 1e36)
def oracle_price_scale() -> Number:
    """ConstantsLib.ORACLE_PRICE_SCALE: a price is in smallest units of the loan token for 1e36 of the collateral's."""
    return 10**36


@primitive(lambda: 2.0**128)
def max_uint128() -> Number:
    """type(uint128).max, the largest total and the largest position."""
    return (1 << 128) - 1


@primitive(lambda a, b: a * b >= 2.0**256)
def overflows(a: Number, b: Number) -> bool:
    """Whether the product does not fit uint256, so that checked arithmetic reverts."""
    return bool(a * b >= 1 << 256)


@rule
def wad_mul_down(a: Number, b: Number) -> Number:
    """MathLib.wMulDown."""
    return floored(mul_div_down(a, b, WAD))


@rule
def wad_div_down(a: Number, b: Number) -> Number:
    """MathLib.wDivDown."""
    return floored(mul_div_down(a, WAD, b))


@rule
def wad_div_up(a: Number, b: Number) -> Number:
    """MathLib.wDivUp."""
    return ceiled(mul_div_up(a, WAD, b))


@rule
def to_shares_down(assets: Number, total_assets: Number, total_shares: Number) -> Number:
    """SharesMathLib.toSharesDown."""
    return floored(mul_div_down(assets, total_shares + VIRTUAL_SHARES, total_assets + VIRTUAL_ASSETS))


@rule
def to_shares_up(assets: Number, total_assets: Number, total_shares: Number) -> Number:
    """SharesMathLib.toSharesUp."""
    return ceiled(mul_div_up(assets, total_shares + VIRTUAL_SHARES, total_assets + VIRTUAL_ASSETS))


@rule
def to_assets_down(shares: Number, total_assets: Number, total_shares: Number) -> Number:
    """SharesMathLib.toAssetsDown."""
    return floored(mul_div_down(shares, total_assets + VIRTUAL_ASSETS, total_shares + VIRTUAL_SHARES))


@rule
def to_assets_up(shares: Number, total_assets: Number, total_shares: Number) -> Number:
    """SharesMathLib.toAssetsUp."""
    return ceiled(mul_div_up(shares, total_assets + VIRTUAL_ASSETS, total_shares + VIRTUAL_SHARES))
