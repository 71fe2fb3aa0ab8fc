"""The state of Aave v4 as arrays, the same in both number systems: the hubs' assets, one spoke, its accounts."""

from __future__ import annotations

from typing import Any, NamedTuple

from protocols.lending.state import Column, State, arrays, copied

__all__ = [
    "NO_PREMIUM_THRESHOLD",
    "Assets",
    "Column",
    "Configs",
    "Liquidation",
    "Positions",
    "Reserves",
    "State",
    "account_part",
    "copied",
    "put_account",
    "to_fast",
]


class Assets(NamedTuple):
    """What hubs hold and lend (``IHub.Asset``), one row for each hub's asset; spokes of one hub share the rows.

    Amounts are in the token's smallest unit, ``_ray`` amounts in 1e-27 of it. Supply shares are claims on all the
    asset earns; drawn shares times the drawn index are debt; premium shares times the index, less the offset, are the
    premium owed on top for the risk of the collateral.

    Attributes
    ----------
    liquidity_raw
        Cash: what can be paid out.
    swept_raw
        Cash that is invested elsewhere.
    realized_fees_raw
        Interest due to the fee receiver, no shares minted for it yet.
    added_shares, drawn_shares, premium_shares, premium_offset_ray
        Of all spokes together. The offset may be negative.
    deficit_ray
        Debt written off and not covered since; it still counts as an asset of the suppliers.
    drawn_index_ray, drawn_rate_ray, last_update
        As stored: interest since `last_update` (unix seconds) is not in the index. The rate is a year's.
    liquidity_fee_bps
        Share of interest to the fee receiver.
    fee_receiver_shares
        Supply shares of the fee receiver, which gets the liquidation fee.
    optimal_usage_ray, base_rate_ray, slope1_ray, slope2_ray
        The interest rate strategy.
    """

    liquidity_raw: Column
    swept_raw: Column
    realized_fees_raw: Column
    added_shares: Column
    drawn_shares: Column
    premium_shares: Column
    premium_offset_ray: Column
    deficit_ray: Column
    drawn_index_ray: Column
    drawn_rate_ray: Column
    last_update: Column
    liquidity_fee_bps: Column
    fee_receiver_shares: Column
    optimal_usage_ray: Column
    base_rate_ray: Column
    slope1_ray: Column
    slope2_ray: Column


class Reserves(NamedTuple):
    """One spoke's reserves (``ISpoke.Reserve``) in the order of their ids, with the hub's record of the spoke
    (``IHub.SpokeData``) for each.

    Attributes
    ----------
    asset
        Row in `Assets`.
    unit
        10 ** decimals of the token, at most 1e18.
    price_raw
        Price of one whole token, 1e-8 US dollars.
    collateral_risk_bps
        What the reserve adds to the premium of debt that it backs.
    latest_config
        Row in `Configs` that an account gets with its next action (liquidation is none of its actions).
    paused, frozen, receive_shares
        Flags of the reserve; the last allows liquidators to take shares.
    added_shares, drawn_shares, premium_shares, premium_offset_ray, deficit_ray
        The spoke's part of the hub's asset.
    premium_threshold_bps
        The most premium shares for its drawn shares that the hub allows the spoke; `NO_PREMIUM_THRESHOLD` for any.
    active, halted
        The hub's flags of the spoke.
    """

    asset: Column
    unit: Column
    price_raw: Column
    collateral_risk_bps: Column
    latest_config: Column
    paused: Column
    frozen: Column
    receive_shares: Column
    added_shares: Column
    drawn_shares: Column
    premium_shares: Column
    premium_offset_ray: Column
    deficit_ray: Column
    premium_threshold_bps: Column
    active: Column
    halted: Column


NO_PREMIUM_THRESHOLD = 2**24 - 1
"""Hub.MAX_RISK_PREMIUM_THRESHOLD."""


class Configs(NamedTuple):
    """Dynamic configurations (``ISpoke.DynamicReserveConfig``) of all reserves; an account keeps the one it has until
    it acts again.

    Attributes
    ----------
    collateral_factor_bps
        Share of the collateral's value that counts against debt; 0: none of it.
    max_bonus_bps
        Liquidation bonus at its highest, 10500 = 5 %.
    fee_bps
        The protocol's share of the bonus.
    """

    collateral_factor_bps: Column
    max_bonus_bps: Column
    fee_bps: Column


class Liquidation(NamedTuple):
    """The spoke's ``ISpoke.LiquidationConfig``, numbers and not columns.

    Attributes
    ----------
    target_health_wad
        Health factor that a liquidation may restore, at least 1e18.
    max_bonus_health_wad
        Health factor at and below which the bonus is highest.
    bonus_factor_bps
        The bonus at a health factor of 1, as a share of the highest.
    """

    target_health_wad: Any
    max_bonus_health_wad: Any
    bonus_factor_bps: Any


class Positions(NamedTuple):
    """Balances by account (CSR): entries of account a are ``offsets[a]:offsets[a + 1]``, in order of `reserve`.

    Attributes
    ----------
    offsets
        One more than there are accounts.
    reserve
        Row in `Reserves`.
    supplied_shares, drawn_shares, premium_shares, premium_offset_ray
        ``ISpoke.UserPosition``.
    config
        Row in `Configs` that holds for the account.
    collateral, borrowing
        The account's flags for the reserve.
    risk_premium_bps
        For each account, the premium on its debt as last set.
    """

    offsets: Column
    reserve: Column
    supplied_shares: Column
    drawn_shares: Column
    premium_shares: Column
    premium_offset_ray: Column
    config: Column
    collateral: Column
    borrowing: Column
    risk_premium_bps: Column


_ROWS = ("asset", "latest_config", "offsets", "reserve", "config")


def to_fast(state: State) -> State:
    """A copy of exact state for compiled rules."""
    return arrays(state, _ROWS)


def account_part(positions: Positions, account: int) -> Positions:
    """A copy of one account's balances, as account 0."""
    start, end = positions.offsets[account], positions.offsets[account + 1]
    entries = {name: list(column[start:end]) for name, column in positions._asdict().items()}
    return Positions(
        **entries | {"offsets": [0, end - start], "risk_premium_bps": [positions.risk_premium_bps[account]]}
    )


def put_account(positions: Positions, account: int, part: Positions) -> None:
    """Put back what :func:`account_part` took out."""
    start, end = positions.offsets[account], positions.offsets[account + 1]
    for name, column in positions._asdict().items():
        if name not in ("offsets", "risk_premium_bps"):
            column[start:end] = getattr(part, name)
    positions.risk_premium_bps[account] = part.risk_premium_bps[0]
