"""A MetaMorpho vault: what its shares are worth, and what deposits and withdrawals do to it and to its markets.

The two versions differ in what a loss does. In 1.0 the share price falls with it at once. In 1.1 what the vault had
stays what its shares are worth, and the difference is kept as lost assets, which nobody owes: those who withdraw first
are paid in full, from what is there.

Sources: MetaMorpho.sol (1.0), MetaMorphoV1_1.sol (1.1), and MorphoBalancesLib for balances with interest to now.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import Number, rule, zero
from protocols.lending.morpho_blue.rules import accrue
from protocols.lending.morpho_blue.rules import withdraw as withdraw_from
from protocols.lending.morpho_blue.shares import (
    to_assets_down,
    to_assets_up,
    to_shares_down,
    wad_mul_down,
)
from protocols.lending.morpho_blue.state import Parameters, Totals
from protocols.tokens.metamorpho.state import Column, Markets, Vault
from protocols.tokens.shares import assets_down, assets_up, shares_down, shares_up

V10, V11 = 10, 11
"""Versions as rules know them."""

MAX_FEE = 5 * 10**17

OK, ALREADY_SET, MAX_FEE_EXCEEDED, ALL_CAPS_REACHED, NOT_ENOUGH_LIQUIDITY, INSUFFICIENT_BALANCE = range(6)
REVERTS = {
    OK: "",
    ALREADY_SET: "AlreadySet()",
    MAX_FEE_EXCEEDED: "MaxFeeExceeded()",
    ALL_CAPS_REACHED: "AllCapsReached()",
    NOT_ENOUGH_LIQUIDITY: "NotEnoughLiquidity()",
    INSUFFICIENT_BALANCE: "ERC20InsufficientBalance(address,uint256,uint256)",
}
"""What the contract reverts with, by error code."""


class Worth(NamedTuple):
    """What a vault has, with interest to now.

    Attributes
    ----------
    total_assets
        What its shares are worth together, lost assets included.
    lost_assets
        What of that is not there.
    fee_shares
        Shares that are due to the fee recipient since the last interaction.
    """

    total_assets: Number
    lost_assets: Number
    fee_shares: Number


class Done(NamedTuple):
    """What an interaction did.

    Attributes
    ----------
    error
        Why it reverts, 0 if it does not; otherwise the rest means nothing, and markets may have been changed.
    vault
        After it.
    assets, shares
        Moved between the caller and the vault.
    fee_shares
        New shares of the fee recipient.
    """

    error: int
    vault: Vault
    assets: Number
    shares: Number
    fee_shares: Number


# --- the markets ------------------------------------------------------------------------------------------------


@rule
def totals_of(markets: Markets, m: int) -> Totals:
    """A market's totals as stored."""
    return Totals(
        markets.supply_assets[m],
        markets.supply_shares[m],
        markets.borrow_assets[m],
        markets.borrow_shares[m],
        markets.last_update[m],
    )


@rule
def expected(markets: Markets, m: int, now: Number) -> Totals:
    """MorphoBalancesLib.expectedMarketBalances: a market's totals with interest to now."""
    parameters = Parameters(zero(), markets.fee_wad[m], markets.irm[m])
    return accrue(parameters, markets.rate_wad[m], totals_of(markets, m), now).totals


@rule
def put(markets: Markets, m: int, totals: Totals) -> None:
    """Store a market's totals."""
    markets.supply_assets[m] = totals.supply_assets
    markets.supply_shares[m] = totals.supply_shares
    markets.borrow_assets[m] = totals.borrow_assets
    markets.borrow_shares[m] = totals.borrow_shares
    markets.last_update[m] = totals.last_update


@rule
def bring(markets: Markets, m: int, now: Number) -> None:
    """Morpho.accrueInterest."""
    parameters = Parameters(zero(), markets.fee_wad[m], markets.irm[m])
    accrual = accrue(parameters, markets.rate_wad[m], totals_of(markets, m), now)
    markets.rate_wad[m] = accrual.stored_wad
    put(markets, m, accrual.totals)


@rule
def supplied(totals: Totals, shares: Number) -> Number:
    """What supply shares are worth, rounded down."""
    return to_assets_down(shares, totals.supply_assets, totals.supply_shares)


@rule
def withdrawable(totals: Totals, shares: Number, cash: Number) -> Number:
    """MetaMorpho._withdrawable: what supply shares can be turned into now; `cash` is Morpho's balance of the token."""
    available = min(totals.supply_assets - totals.borrow_assets, cash)
    return min(supplied(totals, shares), available)


# --- what shares are worth ----------------------------------------------------------------------------------------


@rule
def real_assets(markets: Markets, withdraw_queue: Column, now: Number) -> Number:
    """What the vault could claim from its markets at `now`."""
    total = zero()
    for m in withdraw_queue:
        total += supplied(expected(markets, m, now), markets.vault_shares[m])
    return total


@rule
def worth(version: int, vault: Vault, real: Number) -> Worth:
    """_accruedFeeShares (1.0) and _accruedFeeAndAssets (1.1); `real` is :func:`real_assets`."""
    lost = vault.lost_assets
    if version >= V11 and real < vault.last_total_assets - lost:
        lost = vault.last_total_assets - real
    total = real + lost
    interest = max(total - vault.last_total_assets, zero())
    fee_shares = zero()
    if interest != 0 and vault.fee_wad != 0:
        fee = wad_mul_down(interest, vault.fee_wad)
        fee_shares = shares_down(fee, vault.total_supply, total - fee, vault.virtual_shares)
    return Worth(total, lost, fee_shares)


@rule
def convert_to_assets(version: int, vault: Vault, real: Number, shares: Number) -> Number:
    """convertToAssets: what `shares` are worth now, fees taken off."""
    now = worth(version, vault, real)
    return assets_down(shares, vault.total_supply + now.fee_shares, now.total_assets, vault.virtual_shares)


@rule
def max_withdraw(
    version: int, vault: Vault, markets: Markets, withdraw_queue: Column, cash: Number, shares: Number, now: Number
) -> Number:
    """maxWithdraw: what the owner of `shares` can have at once, given what the markets have not lent out."""
    assets = convert_to_assets(version, vault, real_assets(markets, withdraw_queue, now), shares)
    left = assets
    for m in withdraw_queue:
        left -= min(left, withdrawable(expected(markets, m, now), markets.vault_shares[m], cash))
    return assets - left


# --- interactions -------------------------------------------------------------------------------------------------


@rule
def brought(version: int, vault: Vault, markets: Markets, withdraw_queue: Column, now: Number) -> tuple[Vault, Number]:
    """_accrueFee (1.0), _accrueInterest (1.1): the vault with interest to now, and the new fee shares."""
    found = worth(version, vault, real_assets(markets, withdraw_queue, now))
    return (
        Vault(
            vault.total_supply + found.fee_shares,
            found.total_assets,
            found.lost_assets,
            vault.fee_wad,
            vault.virtual_shares,
        ),
        found.fee_shares,
    )


@rule
def moved(vault: Vault, assets: Number, shares: Number) -> Vault:
    """The vault after so much came in, or went out where it is negative."""
    return Vault(
        vault.total_supply + shares,
        max(vault.last_total_assets + assets, zero()),
        vault.lost_assets,
        vault.fee_wad,
        vault.virtual_shares,
    )


@rule
def supply_morpho(markets: Markets, supply_queue: Column, assets: Number, now: Number) -> Number:
    """_supplyMorpho: fill the markets up to their caps in the order of the queue; what is left then."""
    for m in supply_queue:
        if markets.cap[m] == 0:
            continue
        bring(markets, m, now)
        totals = totals_of(markets, m)
        there = to_assets_up(markets.vault_shares[m], totals.supply_assets, totals.supply_shares)
        part = min(max(markets.cap[m] - there, zero()), assets)
        if part > 0:
            shares = to_shares_down(part, totals.supply_assets, totals.supply_shares)
            markets.vault_shares[m] += shares
            markets.supply_shares[m] += shares
            markets.supply_assets[m] += part
            assets -= part
        if assets == 0:
            break
    return assets


@rule
def withdraw_morpho(markets: Markets, withdraw_queue: Column, cash: Number, assets: Number, now: Number) -> Number:
    """_withdrawMorpho: take from the markets in the order of the queue; what is still wanted then."""
    for m in withdraw_queue:
        bring(markets, m, now)
        totals = totals_of(markets, m)
        part = min(withdrawable(totals, markets.vault_shares[m], cash), assets)
        if part > 0:
            after = withdraw_from(totals, part)
            markets.vault_shares[m] -= totals.supply_shares - after.supply_shares
            put(markets, m, after)
            assets -= part
            cash -= part
        if assets == 0:
            break
    return assets


@rule
def deposit(
    version: int,
    vault: Vault,
    markets: Markets,
    supply_queue: Column,
    withdraw_queue: Column,
    assets: Number,
    shares: Number,
    now: Number,
) -> Done:
    """``deposit`` of `assets`, or ``mint`` of `shares` where `assets` is 0."""
    vault, fee_shares = brought(version, vault, markets, withdraw_queue, now)
    if assets != 0:
        shares = shares_down(assets, vault.total_supply, vault.last_total_assets, vault.virtual_shares)
    else:
        assets = assets_up(shares, vault.total_supply, vault.last_total_assets, vault.virtual_shares)
    left = supply_morpho(markets, supply_queue, assets, now)
    error = OK if left == 0 else ALL_CAPS_REACHED
    return Done(error, moved(vault, assets, shares), assets, shares, fee_shares)


@rule
def withdraw(
    version: int,
    vault: Vault,
    markets: Markets,
    withdraw_queue: Column,
    cash: Number,
    owned: Number,
    assets: Number,
    shares: Number,
    now: Number,
) -> Done:
    """``withdraw`` of `assets`, or ``redeem`` of `shares` where `assets` is 0, by the owner of `owned` shares.

    `cash` is Morpho's balance of the loan token, over all its markets.
    """
    vault, fee_shares = brought(version, vault, markets, withdraw_queue, now)
    if assets != 0:
        shares = shares_up(assets, vault.total_supply, vault.last_total_assets, vault.virtual_shares)
    else:
        assets = assets_down(shares, vault.total_supply, vault.last_total_assets, vault.virtual_shares)
    left = withdraw_morpho(markets, withdraw_queue, cash, assets, now)
    error = OK if left == 0 else NOT_ENOUGH_LIQUIDITY
    if error == OK and shares > owned:
        error = INSUFFICIENT_BALANCE
    return Done(error, moved(vault, -assets, -shares), assets, shares, fee_shares)


@rule
def set_fee(version: int, vault: Vault, markets: Markets, withdraw_queue: Column, fee_wad: Number, now: Number) -> Done:
    """``setFee``, where there is a fee recipient: interest up to now is at the old fee."""
    error = OK
    if fee_wad == vault.fee_wad:
        error = ALREADY_SET
    elif fee_wad > MAX_FEE:
        error = MAX_FEE_EXCEEDED
    vault, fee_shares = brought(version, vault, markets, withdraw_queue, now)
    vault = Vault(vault.total_supply, vault.last_total_assets, vault.lost_assets, fee_wad, vault.virtual_shares)
    return Done(error, vault, zero(), zero(), fee_shares)
