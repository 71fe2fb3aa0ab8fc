"""Between the shares of a vault and its assets, with virtual shares and one virtual asset (ERC-4626).

Sources: ``_convertTo…WithTotals`` of MetaMorpho, and the previews of VaultV2, which are the same.
"""

from __future__ import annotations

from protocols.arithmetic import Number, ceiled, floored, mul_div_down, mul_div_up, rule


@rule
def shares_down(assets: Number, supply: Number, total_assets: Number, virtual_shares: Number) -> Number:
    """Shares for `assets` that are brought."""
    return floored(mul_div_down(assets, supply + virtual_shares, total_assets + 1))


@rule
def shares_up(assets: Number, supply: Number, total_assets: Number, virtual_shares: Number) -> Number:
    """Shares for `assets` that are taken."""
    return ceiled(mul_div_up(assets, supply + virtual_shares, total_assets + 1))


@rule
def assets_down(shares: Number, supply: Number, total_assets: Number, virtual_shares: Number) -> Number:
    """Assets for `shares` that are given back."""
    return floored(mul_div_down(shares, total_assets + 1, supply + virtual_shares))


@rule
def assets_up(shares: Number, supply: Number, total_assets: Number, virtual_shares: Number) -> Number:
    """Assets for `shares` that are wanted."""
    return ceiled(mul_div_up(shares, total_assets + 1, supply + virtual_shares))
