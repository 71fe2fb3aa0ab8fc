"""The state of Compound v2's markets as arrays, the same in both number systems; Venus' core pool has the same.

A *claim* is what a lender holds: a cToken, a vToken.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.lending.state import Column, State, arrays, copied

__all__ = ["WAD", "Column", "Markets", "Pools", "Positions", "State", "copied", "to_fast"]

WAD = 10**18


class Markets(NamedTuple):
    """One entry a market (a cToken), in the order of ``Comptroller.getAllMarkets``.

    Amounts are in the token's smallest unit, claims in the cToken's, shares and rates in wad, rates a block.

    Attributes
    ----------
    unit
        10 ** decimals of the token.
    price_raw
        ``getUnderlyingPrice``: US dollars for one whole token times 10 ** (36 - decimals).
    cash_raw, borrows_raw, reserves_raw, claims, index_wad, accrued_block
        As stored: interest since block `accrued_block` is not in them. `claims` is the cToken's total supply,
        `index_wad` its ``borrowIndex``.
    initial_rate_wad
        Exchange rate while there are no claims.
    reserve_factor_wad
        Share of interest that goes to reserves.
    seize_share_wad
        Share of every seizure that goes to reserves (``protocolSeizeShareMantissa``; Venus has none).
    listed, borrow_paused
        Flags of the comptroller.
    base_wad, slope1_wad, kink1_wad, base2_wad, slope2_wad, kink2_wad, slope3_wad, most_usage_wad
        The interest rate model, see :func:`protocols.lending.compound_v2.interest.borrow_rate`.
    """

    unit: Column
    price_raw: Column
    cash_raw: Column
    borrows_raw: Column
    reserves_raw: Column
    claims: Column
    index_wad: Column
    accrued_block: Column
    initial_rate_wad: Column
    reserve_factor_wad: Column
    seize_share_wad: Column
    listed: Column
    borrow_paused: Column
    base_wad: Column
    slope1_wad: Column
    kink1_wad: Column
    base2_wad: Column
    slope2_wad: Column
    kink2_wad: Column
    slope3_wad: Column
    most_usage_wad: Column


class Pools(NamedTuple):
    """Risk parameters, ``[pool][market]`` in wad; Compound has one pool, Venus' accounts choose one each.

    Attributes
    ----------
    ltv_wad
        What an account may borrow against (collateral factor).
    threshold_wad
        What counts for liquidation: in Compound the same.
    incentive_wad
        Liquidation incentive, 1.08e18 for a bonus of 8 %; of the collateral's market.
    """

    ltv_wad: Column
    threshold_wad: Column
    incentive_wad: Column


class Positions(NamedTuple):
    """Balances by account (CSR): entries of account a are ``offsets[a]:offsets[a + 1]``, in order of `market`.

    Attributes
    ----------
    offsets
        One more than there are accounts.
    market
        Row in `Markets`.
    claims
        cTokens held.
    principal_raw, snapshot_index_wad
        The debt when it last changed, and the market's index then (``accountBorrows``).
    entered
        The account is in the market: only then do claims count as collateral, and debts at all.
    forced
        Liquidation of this account's debt in this market needs no shortfall (Venus only).
    pool
        Row in `Pools` for each account.
    """

    offsets: Column
    market: Column
    claims: Column
    principal_raw: Column
    snapshot_index_wad: Column
    entered: Column
    forced: Column
    pool: Column


_ROWS = ("offsets", "market", "pool")


def to_fast(state: State) -> State:
    """A copy of exact state for compiled rules."""
    return arrays(state, _ROWS)
