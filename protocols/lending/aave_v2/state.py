"""The state of an Aave v2 pool as arrays, the same in both number systems."""

from __future__ import annotations

from typing import NamedTuple

from protocols.lending.state import Column, State, arrays, copied

__all__ = ["Column", "Indices", "Positions", "Reserves", "State", "copied", "to_fast"]


class Reserves(NamedTuple):
    """One entry a reserve, in the order of the pool's reserves list.

    Indices and rates are in ray (rates a year), prices in the oracle's base currency for one whole token (on most
    chains wei of ether), amounts in the token's smallest unit, scaled amounts in that unit over the index.

    Attributes
    ----------
    liquidity_index_ray, borrow_index_ray, liquidity_rate_ray, borrow_rate_ray, last_update
        As stored: interest since `last_update` (unix seconds) is not in the indices.
    supply_scaled, debt_scaled
        Scaled total supply of the aToken and of the variable debt token.
    stable_principal_raw, stable_rate_ray, stable_since
        All stable-rate debt: what it was at `stable_since` (unix seconds), and its average rate.
    liquidity_raw
        What can be paid out: the token balance of the aToken.
    treasury_scaled
        aTokens of the treasury, to which its share of the interest is minted; scaled.
    unit
        10 ** decimals of the token.
    price_raw, ltv_bps, threshold_bps, bonus_bps, reserve_factor_bps
        `bonus_bps` is 10500 for a bonus of 5 %.
    active
        Flag of the reserve's configuration.
    optimal_usage_ray, base_rate_ray, slope1_ray, slope2_ray
        The interest rate strategy, for variable debt.
    """

    liquidity_index_ray: Column
    borrow_index_ray: Column
    liquidity_rate_ray: Column
    borrow_rate_ray: Column
    last_update: Column
    supply_scaled: Column
    debt_scaled: Column
    stable_principal_raw: Column
    stable_rate_ray: Column
    stable_since: Column
    liquidity_raw: Column
    treasury_scaled: Column
    unit: Column
    price_raw: Column
    ltv_bps: Column
    threshold_bps: Column
    bonus_bps: Column
    reserve_factor_bps: Column
    active: Column
    optimal_usage_ray: Column
    base_rate_ray: Column
    slope1_ray: Column
    slope2_ray: Column


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
    stable_principal_raw, stable_rate_ray, stable_since
        Stable-rate debt: what it was at `stable_since` (unix seconds), and the account's own rate.
    collateral, borrowing
        The account's flags for the reserve, which count and not the balances.
    """

    offsets: Column
    reserve: Column
    supplied_scaled: Column
    debt_scaled: Column
    stable_principal_raw: Column
    stable_rate_ray: Column
    stable_since: Column
    collateral: Column
    borrowing: Column


class Indices(NamedTuple):
    """Each reserve's indices with interest up to one moment (ray).

    Attributes
    ----------
    income
        What one scaled unit of supply is worth (``getReserveNormalizedIncome``).
    debt
        What one scaled unit of variable debt is worth (``getReserveNormalizedVariableDebt``).
    """

    income: Column
    debt: Column


_ROWS = ("offsets", "reserve")


def to_fast(state: State) -> State:
    """A copy of exact state for compiled rules."""
    return arrays(state, _ROWS)
