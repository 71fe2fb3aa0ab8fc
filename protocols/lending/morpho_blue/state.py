"""The state of one Morpho market, the same in both number systems: ints in the exact form, floats in the fast one.

A market lends one token against one other, and keeps debts and claims as shares of totals.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import Number


class Totals(NamedTuple):
    """What ``Morpho.market(id)`` stores: interest since `last_update` is not in it.

    Attributes
    ----------
    supply_assets, borrow_assets
        Lent and owed in all, smallest units of the loan token.
    supply_shares, borrow_shares
        Shares of the two (a share is about a millionth of a smallest unit).
    last_update
        Unix seconds.
    """

    supply_assets: Number
    supply_shares: Number
    borrow_assets: Number
    borrow_shares: Number
    last_update: Number


class Position(NamedTuple):
    """A borrower in ``Morpho.position(id, user)``.

    Attributes
    ----------
    borrow_shares
        Its share of the debt.
    collateral
        Smallest units of the collateral token.
    """

    borrow_shares: Number
    collateral: Number


class Parameters(NamedTuple):
    """What is fixed for a market, but for its fee and its interest rate model's memory.

    Attributes
    ----------
    lltv_wad
        Liquidation loan-to-value.
    fee_wad
        Share of the interest that the fee recipient gets, in supply shares.
    irm
        Kind of interest rate model, a number of :mod:`protocols.lending.morpho_blue.irm`.
    """

    lltv_wad: Number
    fee_wad: Number
    irm: int
