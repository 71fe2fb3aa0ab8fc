"""The state of an Aave v3 pool as arrays, the same in both number systems."""

from __future__ import annotations

from typing import NamedTuple

from protocols.lending.state import Column, State, arrays, copied

__all__ = ["Column", "EModes", "Indices", "Positions", "Reserves", "State", "copied", "to_fast"]


class Reserves(NamedTuple):
    """One entry a reserve, in the order of the pool's reserves list.

    Indices and rates are in ray (rates a year), prices in the oracle's base currency for one whole token, amounts in
    the token's smallest unit, scaled amounts in that unit over the index.

    Attributes
    ----------
    liquidity_index_ray, borrow_index_ray, liquidity_rate_ray, borrow_rate_ray, last_update
        As stored: interest since `last_update` (unix seconds) is not in the indices.
    supply_scaled, debt_scaled
        Scaled total supply of the aToken and of the variable debt token.
    liquidity_raw
        What can be paid out: the virtual underlying balance, in 3.0 the token balance of the aToken.
    treasury_accrued_scaled
        Interest due to the treasury, not minted yet (``accruedToTreasury``).
    treasury_scaled
        aTokens of the treasury, which receives the protocol's share of the bonus; scaled.
    deficit_raw
        Debt written off and not covered since (0 before 3.3).
    isolated_debt
        ``isolationModeTotalDebt``, base currency with 2 decimals.
    unit
        10 ** decimals of the token.
    price_raw, ltv_bps, threshold_bps, bonus_bps, reserve_factor_bps
        `bonus_bps` is 10500 for a bonus of 5 %.
    fee_bps
        The protocol's share of the bonus.
    debt_ceiling
        Not 0: the reserve is collateral in isolation only (0 since 3.7).
    grace_until
        No liquidation up to and including this time (unix seconds).
    active, paused
        Flags of the reserve's configuration.
    optimal_usage_ray, base_rate_ray, slope1_ray, slope2_ray
        The interest rate strategy.
    """

    liquidity_index_ray: Column
    borrow_index_ray: Column
    liquidity_rate_ray: Column
    borrow_rate_ray: Column
    last_update: Column
    supply_scaled: Column
    debt_scaled: Column
    liquidity_raw: Column
    treasury_accrued_scaled: Column
    treasury_scaled: Column
    deficit_raw: Column
    isolated_debt: Column
    unit: Column
    price_raw: Column
    ltv_bps: Column
    threshold_bps: Column
    bonus_bps: Column
    reserve_factor_bps: Column
    fee_bps: Column
    debt_ceiling: Column
    grace_until: Column
    active: Column
    paused: Column
    optimal_usage_ray: Column
    base_rate_ray: Column
    slope1_ray: Column
    slope2_ray: Column


class EModes(NamedTuple):
    """One row an efficiency-mode category, the row being its id; row 0 is "no category" and has no members.

    Attributes
    ----------
    collateral
        ``collateral[c][r]``: reserve r counts with the category's parameters (before 3.2: is of category c).
    ltv_zero
        ``ltv_zero[c][r]``: reserve r has no borrowing power in it (since 3.6).
    ltv_bps, threshold_bps, bonus_bps
        The category's parameters.
    price_raw
        Price of the category's own source, 0 without one (there is none since 3.2).
    isolated
        Reserves outside `collateral` have no borrowing power (since 3.7).
    """

    collateral: Column
    ltv_zero: Column
    ltv_bps: Column
    threshold_bps: Column
    bonus_bps: Column
    price_raw: Column
    isolated: Column


class Positions(NamedTuple):
    """Balances by account (CSR): entries of account a are ``offsets[a]:offsets[a + 1]``, in order of `reserve`.

    Attributes
    ----------
    offsets
        One more than there are accounts.
    reserve
        Row in `Reserves`.
    supplied_scaled, debt_scaled
        Scaled aToken and variable debt balance.
    collateral, borrowing
        The account's flags for the reserve, which count and not the balances.
    emode
        Row in `EModes` for each account.
    """

    offsets: Column
    reserve: Column
    supplied_scaled: Column
    debt_scaled: Column
    collateral: Column
    borrowing: Column
    emode: Column


class Indices(NamedTuple):
    """Each reserve's indices with interest up to one moment (ray).

    Attributes
    ----------
    income
        What one scaled unit of supply is worth (``getNormalizedIncome``).
    debt
        What one scaled unit of debt is worth (``getNormalizedDebt``).
    """

    income: Column
    debt: Column


_ROWS = ("offsets", "reserve", "emode")


def to_fast(state: State) -> State:
    """A copy of exact state for compiled rules."""
    return arrays(state, _ROWS)
