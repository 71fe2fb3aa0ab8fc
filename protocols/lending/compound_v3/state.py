"""The state of a Comet, the same in both number systems.

Rules change columns in place and give back what is not a column.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import Number
from protocols.lending.state import Column, State, arrays, copied

__all__ = ["BASE", "Column", "Configuration", "Positions", "Reserves", "State", "Totals", "copied", "to_fast"]

BASE = 0
"""Row of the base token, the only one that can be borrowed; the collateral assets follow in the order of offsets."""


class Configuration(NamedTuple):
    """What governance sets, of the whole market.

    Attributes
    ----------
    supply_kink, borrow_kink
        Utilization at which a rate's slope changes (1e18 is all).
    supply_slope_low, supply_slope_high, supply_base, borrow_slope_low, borrow_slope_high, borrow_base
        Rates a second at utilization 1e18, 1e18 being 100 %.
    store_front_factor
        The share of an asset's liquidation penalty that buyers of it get as a discount (1e18 is all).
    target_reserves_raw
        Collateral is for sale while reserves are below this; base token.
    absorb_paused, buy_paused
        Flags of the pause guardian.
    """

    supply_kink: Number
    supply_slope_low: Number
    supply_slope_high: Number
    supply_base: Number
    borrow_kink: Number
    borrow_slope_low: Number
    borrow_slope_high: Number
    borrow_base: Number
    store_front_factor: Number
    target_reserves_raw: Number
    absorb_paused: bool
    buy_paused: bool


class Totals(NamedTuple):
    """``totalsBasic``: indices and sums as of `last_accrual`; interest since then is not in them.

    Attributes
    ----------
    supply_index, borrow_index
        What one unit of principal is worth (1e15 at first).
    supply_principal, borrow_principal
        Sums of the accounts' positive and negative principals.
    last_accrual
        Unix seconds.
    """

    supply_index: Number
    borrow_index: Number
    supply_principal: Number
    borrow_principal: Number
    last_accrual: Number


class Reserves(NamedTuple):
    """One entry a token: the base token, then the collateral assets.

    Attributes
    ----------
    scale
        Smallest units of one token.
    price_raw
        The feed's price of one whole token, 8 decimals; 0 where the feed gives none (the contract: ``BadPrice``).
    borrow_factor, liquidate_factor, liquidation_factor
        ``borrowCollateralFactor``, ``liquidateCollateralFactor``, and the share of its value that absorbed collateral
        is credited with; 1e18 is all. 0 for the base token.
    supplied_raw
        ``totalSupplyAsset``: what accounts have as collateral. 0 for the base token.
    balance_raw
        Tokens that the contract holds: of the base token its cash, of an asset the accounts' collateral and its own.
    """

    scale: Column
    price_raw: Column
    borrow_factor: Column
    liquidate_factor: Column
    liquidation_factor: Column
    supplied_raw: Column
    balance_raw: Column


class Positions(NamedTuple):
    """Accounts, and their collateral (CSR): entries of account a are ``offsets[a]:offsets[a + 1]``, in order of
    `reserve`.

    The account's bit of an asset (``assetsIn``) is set exactly while its balance is not 0, so it is not kept.

    Attributes
    ----------
    principal
        Of each account: negative if it owes base token, positive if it supplied it.
    offsets
        One more than there are accounts.
    reserve
        Row in `Reserves`.
    balance_raw
        Collateral.
    """

    principal: Column
    offsets: Column
    reserve: Column
    balance_raw: Column


_ROWS = ("offsets", "reserve")


def to_fast(state: State) -> State:
    """A copy of exact state for compiled rules."""
    return arrays(state, _ROWS)
