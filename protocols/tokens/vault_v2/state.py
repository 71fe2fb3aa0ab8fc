"""The state of a Morpho Vault v2, the same in both number systems."""

from __future__ import annotations

from typing import Any, NamedTuple

from protocols.arithmetic import Number

Column = Any
"""A list in the exact form, an array in the fast form; rules change it in place."""


class Vault(NamedTuple):
    """What the vault stores.

    Attributes
    ----------
    total_supply
        Vault shares, in their smallest unit.
    total_assets
        ``_totalAssets``: what it had at `last_update`, smallest units of the asset.
    last_update
        Unix seconds.
    max_rate_wad
        How fast the share price may rise, a second.
    performance_fee_wad
        Share of the interest that goes to a fee recipient, in shares.
    management_fee_wad
        Share of all assets that goes to another one, a second.
    virtual_shares
        10 to the power of how many decimals the asset has less than 18.
    idle
        The vault's own balance of the asset.
    """

    total_supply: Number
    total_assets: Number
    last_update: Number
    max_rate_wad: Number
    performance_fee_wad: Number
    management_fee_wad: Number
    virtual_shares: Number
    idle: Number


class Caps(NamedTuple):
    """What bounds an adapter, one entry each of its ids; the first is its own, others it may share.

    Attributes
    ----------
    absolute
        Most that may be allocated, smallest units.
    relative_wad
        The same as a share of the vault's assets; one wad is no bound.
    allocation
        What is, as of the last time that money went in or out.
    """

    absolute: Column
    relative_wad: Column
    allocation: Column
