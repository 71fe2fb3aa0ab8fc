"""A Morpho Vault v2: what its shares are worth, and what deposits and withdrawals do to it and its liquidity adapter.

A loss is in the share price at once. A gain is let in only as fast as the vault's maximum rate: what comes above it
stays outside the price until later. Money is lent through adapters, each of which says what it could claim (shares of
a MetaMorpho vault, positions in Morpho markets) and is bounded by caps that only allocating checks.

Sources: VaultV2.sol of vault-v2 (accrueInterestView, enter, exit, allocateInternal, deallocateInternal). An adapter's
claim is taken to change by exactly what goes in or out, where Morpho rounds by up to a unit. Gates are not modelled.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import Number, floored, mul_div_down, rule, zero
from protocols.lending.morpho_blue.shares import WAD, wad_mul_down
from protocols.tokens.shares import assets_down, assets_up, shares_down, shares_up
from protocols.tokens.vault_v2.state import Caps, Vault

(
    OK,
    ZERO_ABSOLUTE_CAP,
    ABSOLUTE_CAP_EXCEEDED,
    RELATIVE_CAP_EXCEEDED,
    ZERO_ALLOCATION,
    CAST_OVERFLOW,
    ARITHMETIC_PANIC,
    TRANSFER_REVERTED,
) = range(8)
REVERTS = {
    OK: "",
    ZERO_ABSOLUTE_CAP: "ZeroAbsoluteCap()",
    ABSOLUTE_CAP_EXCEEDED: "AbsoluteCapExceeded()",
    RELATIVE_CAP_EXCEEDED: "RelativeCapExceeded()",
    ZERO_ALLOCATION: "ZeroAllocation()",
    CAST_OVERFLOW: "CastOverflow()",
    ARITHMETIC_PANIC: "Panic(0x11)",
    TRANSFER_REVERTED: "TransferReverted()",
}
"""What the contract reverts with, by error code."""


class Worth(NamedTuple):
    """What a vault has, with interest to now.

    Attributes
    ----------
    total_assets
        What its shares are worth together.
    performance_shares, management_shares
        Shares that are due to the two fee recipients.
    """

    total_assets: Number
    performance_shares: Number
    management_shares: Number


class Done(NamedTuple):
    """What an interaction did.

    Attributes
    ----------
    error
        Why it reverts, 0 if it does not; otherwise the rest means nothing, and caps may have been changed.
    vault
        After it.
    claimed
        What the adapter could claim after it.
    assets, shares
        Moved between the caller and the vault.
    performance_shares, management_shares
        New shares of the fee recipients.
    """

    error: int
    vault: Vault
    claimed: Number
    assets: Number
    shares: Number
    performance_shares: Number
    management_shares: Number


# --- what shares are worth ----------------------------------------------------------------------------------------


@rule
def worth(vault: Vault, claimed: Number, now: Number) -> Worth:
    """accrueInterestView, first in its transaction; `claimed` is what the adapters could claim."""
    elapsed = now - vault.last_update
    most = vault.total_assets + wad_mul_down(vault.total_assets * elapsed, vault.max_rate_wad)
    total = min(vault.idle + claimed, most)
    interest = max(total - vault.total_assets, zero())
    performance = wad_mul_down(interest, vault.performance_fee_wad)
    management = wad_mul_down(total * elapsed, vault.management_fee_wad)
    without_fees = total - performance - management
    return Worth(
        total,
        shares_down(performance, vault.total_supply, without_fees, vault.virtual_shares),
        shares_down(management, vault.total_supply, without_fees, vault.virtual_shares),
    )


@rule
def convert_to_assets(vault: Vault, claimed: Number, shares: Number, now: Number) -> Number:
    """convertToAssets: what `shares` are worth now, fees taken off."""
    found = worth(vault, claimed, now)
    supply = vault.total_supply + found.performance_shares + found.management_shares
    return assets_down(shares, supply, found.total_assets, vault.virtual_shares)


# --- interactions -------------------------------------------------------------------------------------------------


@rule
def changed(vault: Vault, assets: Number, shares: Number, idle: Number) -> Vault:
    """The vault with so much more assets, shares and idle balance."""
    return Vault(
        vault.total_supply + shares,
        vault.total_assets + assets,
        vault.last_update,
        vault.max_rate_wad,
        vault.performance_fee_wad,
        vault.management_fee_wad,
        vault.virtual_shares,
        vault.idle + idle,
    )


@rule
def brought(vault: Vault, found: Worth, now: Number) -> Vault:
    """accrueInterest: the vault with what :func:`worth` found stored."""
    return Vault(
        vault.total_supply + found.performance_shares + found.management_shares,
        found.total_assets,
        now,
        vault.max_rate_wad,
        vault.performance_fee_wad,
        vault.management_fee_wad,
        vault.virtual_shares,
        vault.idle,
    )


@rule
def allocated(caps: Caps, claimed: Number, total_assets: Number) -> int:
    """The end of allocateInternal: the caps take over what the adapter claims now, and are checked; the error."""
    change = claimed - caps.allocation[0]
    for i in range(len(caps.allocation)):
        caps.allocation[i] += change
        if caps.allocation[i] < 0:
            return CAST_OVERFLOW
        if caps.absolute[i] == 0:
            return ZERO_ABSOLUTE_CAP
        if caps.allocation[i] > caps.absolute[i]:
            return ABSOLUTE_CAP_EXCEEDED
        if caps.relative_wad[i] != WAD and caps.allocation[i] > floored(
            mul_div_down(total_assets, caps.relative_wad[i], WAD)
        ):
            return RELATIVE_CAP_EXCEEDED
    return OK


@rule
def deallocated(caps: Caps, claimed: Number) -> int:
    """The end of deallocateInternal: the caps take over what the adapter claims now; the error."""
    change = claimed - caps.allocation[0]
    for i in range(len(caps.allocation)):
        if caps.allocation[i] == 0:
            return ZERO_ALLOCATION
        caps.allocation[i] += change
        if caps.allocation[i] < 0:
            return CAST_OVERFLOW
    return OK


@rule
def allocate(vault: Vault, caps: Caps, claimed: Number, assets: Number, now: Number) -> Done:
    """``allocate``: lend idle assets through the adapter."""
    nothing = zero()
    found = worth(vault, claimed, now)
    vault = brought(vault, found, now)
    error = TRANSFER_REVERTED if assets > vault.idle else allocated(caps, claimed + assets, found.total_assets)
    fees = (found.performance_shares, found.management_shares)
    return Done(error, changed(vault, nothing, nothing, -assets), claimed + assets, nothing, nothing, fees[0], fees[1])


@rule
def deallocate(vault: Vault, caps: Caps, claimed: Number, assets: Number) -> Done:
    """``deallocate``: call assets back from the adapter, whose own error for too much is one of arithmetic here."""
    nothing = zero()
    error = ARITHMETIC_PANIC if assets > claimed else deallocated(caps, claimed - assets)
    left = claimed - assets
    return Done(error, changed(vault, nothing, nothing, assets), left, nothing, nothing, nothing, nothing)


@rule
def deposit(
    vault: Vault, caps: Caps, liquid: bool, claimed: Number, assets: Number, shares: Number, now: Number
) -> Done:
    """``deposit`` of `assets`, or ``mint`` of `shares` where `assets` is 0; into the adapter if `liquid`."""
    found = worth(vault, claimed, now)
    vault = brought(vault, found, now)
    if assets != 0:
        shares = shares_down(assets, vault.total_supply, vault.total_assets, vault.virtual_shares)
    else:
        assets = assets_up(shares, vault.total_supply, vault.total_assets, vault.virtual_shares)
    vault = changed(vault, assets, shares, assets)
    error = OK
    if liquid:
        # relative caps are of what there was before; of an empty vault, of what has just come
        measure = found.total_assets if found.total_assets != 0 else assets
        claimed = claimed + assets
        error = allocated(caps, claimed, measure)
        vault = changed(vault, zero(), zero(), -assets)
    return Done(error, vault, claimed, assets, shares, found.performance_shares, found.management_shares)


@rule
def withdraw(
    vault: Vault,
    caps: Caps,
    liquid: bool,
    claimed: Number,
    owned: Number,
    assets: Number,
    shares: Number,
    now: Number,
) -> Done:
    """``withdraw`` of `assets`, or ``redeem`` of `shares` where `assets` is 0, by the owner of `owned` shares; what is
    not idle comes out of the adapter if `liquid`."""
    found = worth(vault, claimed, now)
    vault = brought(vault, found, now)
    if assets != 0:
        shares = shares_up(assets, vault.total_supply, vault.total_assets, vault.virtual_shares)
    else:
        assets = assets_down(shares, vault.total_supply, vault.total_assets, vault.virtual_shares)
    error = OK
    if assets > vault.idle and liquid:
        called = assets - vault.idle
        error = ARITHMETIC_PANIC if called > claimed else deallocated(caps, claimed - called)
        claimed = claimed - called
        vault = changed(vault, zero(), zero(), called)
    if error == OK:
        if shares > owned or assets > vault.total_assets:
            error = ARITHMETIC_PANIC
        elif assets > vault.idle:
            error = TRANSFER_REVERTED
    vault = changed(vault, -assets, -shares, -assets)
    return Done(error, vault, claimed, assets, shares, found.performance_shares, found.management_shares)
