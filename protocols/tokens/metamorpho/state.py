"""The state of a MetaMorpho vault and of the Morpho markets it lends to, the same in both number systems."""

from __future__ import annotations

from typing import Any, NamedTuple

from protocols.arithmetic import Number

Column = Any
"""A list in the exact form, an array in the fast form; rules change it in place."""


class Vault(NamedTuple):
    """What the vault itself stores.

    Attributes
    ----------
    total_supply
        Vault shares, in their smallest unit.
    last_total_assets
        What the vault had at its last interaction, smallest units of the loan token.
    lost_assets
        Losses that the share price does not show (1.1), smallest units; 0 in 1.0.
    fee_wad
        Share of the interest that the fee recipient gets, in vault shares.
    virtual_shares
        10 ** DECIMALS_OFFSET.
    """

    total_supply: Number
    last_total_assets: Number
    lost_assets: Number
    fee_wad: Number
    virtual_shares: Number


class Markets(NamedTuple):
    """The Morpho markets of a vault, one entry each.

    Attributes
    ----------
    supply_assets, supply_shares, borrow_assets, borrow_shares, last_update
        As :class:`protocols.lending.morpho_blue.state.Totals`.
    fee_wad, irm
        As :class:`protocols.lending.morpho_blue.state.Parameters`.
    rate_wad
        What the interest rate model remembers.
    vault_shares
        Supply shares of the vault.
    cap
        Most that the vault supplies, smallest units of the loan token; 0: nothing is supplied.
    """

    supply_assets: Column
    supply_shares: Column
    borrow_assets: Column
    borrow_shares: Column
    last_update: Column
    fee_wad: Column
    irm: Column
    rate_wad: Column
    vault_shares: Column
    cap: Column
