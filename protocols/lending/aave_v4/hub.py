"""The hub: interest, what a supply share is worth, and what a spoke may have done to an asset.

Every action accrues first and recomputes the rate last. Sources: Hub, AssetLogic, SharesMath, Premium and
AssetInterestRateStrategy of aave-v4, tag v0.5.11.
"""

from __future__ import annotations

from protocols.arithmetic import (
    Number,
    ceiled,
    div_down,
    div_up,
    floored,
    mul_div_down,
    mul_div_up,
    percent_mul_down,
    percent_mul_up,
    primitive,
    ray,
    ray_div_up,
    ray_mul_up,
    rule,
    zero,
)
from protocols.lending.aave_v4.state import NO_PREMIUM_THRESHOLD, Assets, Reserves
from protocols.lending.aave_v4.versions import INVALID_PREMIUM_CHANGE, OK, SPOKE_NOT_ACTIVE

SECONDS_PER_YEAR = 365 * 24 * 3600
VIRTUAL = 10**6
"""Assets and shares that every conversion adds to the totals, so that the first supplier cannot move the rate."""


# --- debt -------------------------------------------------------------------------------------------------------


@primitive(
    lambda shares, offset, index: 0.0 if shares * index - offset <= 2e-15 * shares * index else shares * index - offset
)
def premium_ray(shares: Number, offset_ray: Number, index: Number) -> Number:
    """Premium.calculatePremiumRay. The fast form takes what cannot be told from rounding for nothing owed."""
    return shares * index - offset_ray


@rule
def from_ray_up(amount_ray: Number) -> Number:
    """WadRayMath.fromRayUp: whole units of an amount in ray."""
    return ceiled(div_up(amount_ray, ray()))


@rule
def drawn_index(assets: Assets, a: int, now: Number) -> Number:
    """AssetLogic.getDrawnIndex: what one drawn share owes at `now`, ray."""
    seconds = now - assets.last_update[a]
    if seconds == 0 or (assets.drawn_shares[a] == 0 and assets.premium_shares[a] == 0):
        return assets.drawn_index_ray[a]
    growth = ray() + div_down(assets.drawn_rate_ray[a] * seconds, SECONDS_PER_YEAR)
    return ray_mul_up(assets.drawn_index_ray[a], growth)


@rule
def owed_ray(assets: Assets, a: int, index: Number) -> Number:
    """AssetLogic._calculateAggregatedOwedRay: drawn, premium, and deficit, at a drawn index."""
    premium = premium_ray(assets.premium_shares[a], assets.premium_offset_ray[a], index)
    return assets.drawn_shares[a] * index + premium + assets.deficit_ray[a]


# --- supply -----------------------------------------------------------------------------------------------------


@rule
def unrealized_fees(assets: Assets, a: int, index: Number) -> Number:
    """AssetLogic.getUnrealizedFees: the fee receiver's share of what is owed more at `index` than as stored."""
    stored = assets.drawn_index_ray[a]
    if index == stored or assets.liquidity_fee_bps[a] == 0:
        return zero()
    earned = from_ray_up(owed_ray(assets, a, index)) - from_ray_up(owed_ray(assets, a, stored))
    return floored(percent_mul_down(earned, assets.liquidity_fee_bps[a]))


@rule
def total_added(assets: Assets, a: int, now: Number) -> Number:
    """AssetLogic.totalAddedAssets: all that supply shares are a claim on."""
    index = drawn_index(assets, a, now)
    held = assets.liquidity_raw[a] + assets.swept_raw[a] + from_ray_up(owed_ray(assets, a, index))
    return held - assets.realized_fees_raw[a] - unrealized_fees(assets, a, index)


@rule
def to_assets_down(shares: Number, total: Number, total_shares: Number) -> Number:
    """SharesMath.toAssetsDown: what can be had for shares (previewRemoveByShares)."""
    return floored(mul_div_down(shares, total + VIRTUAL, total_shares + VIRTUAL))


@rule
def to_assets_up(shares: Number, total: Number, total_shares: Number) -> Number:
    """SharesMath.toAssetsUp: what shares cost (previewAddByShares)."""
    return ceiled(mul_div_up(shares, total + VIRTUAL, total_shares + VIRTUAL))


@rule
def to_shares_down(amount: Number, total: Number, total_shares: Number) -> Number:
    """SharesMath.toSharesDown: shares to be had for an amount (previewAddByAssets)."""
    return floored(mul_div_down(amount, total_shares + VIRTUAL, total + VIRTUAL))


@rule
def to_shares_up(amount: Number, total: Number, total_shares: Number) -> Number:
    """SharesMath.toSharesUp: shares that an amount costs (previewRemoveByAssets)."""
    return ceiled(mul_div_up(amount, total_shares + VIRTUAL, total + VIRTUAL))


# --- rate and accrual -------------------------------------------------------------------------------------------


@rule
def drawn_rate(assets: Assets, a: int) -> Number:
    """AssetInterestRateStrategy.calculateInterestRate at the stored index, ray a year; the deficit plays no part."""
    base = assets.base_rate_ray[a]
    drawn = ceiled(ray_mul_up(assets.drawn_shares[a], assets.drawn_index_ray[a]))
    if drawn == 0:
        return base
    usage = ray_div_up(drawn, assets.liquidity_raw[a] + drawn + assets.swept_raw[a])
    optimal = assets.optimal_usage_ray[a]
    if usage <= optimal:
        return base + ray_div_up(ray_mul_up(assets.slope1_ray[a], usage), optimal)
    excess = ray_div_up(ray_mul_up(assets.slope2_ray[a], usage - optimal), ray() - optimal)
    return base + assets.slope1_ray[a] + excess


@rule
def accrue(assets: Assets, a: int, now: Number) -> None:
    """AssetLogic.accrue: store the index at `now` and the fees on the interest up to it."""
    if assets.last_update[a] == now:
        return
    index = drawn_index(assets, a, now)
    assets.realized_fees_raw[a] += unrealized_fees(assets, a, index)
    assets.drawn_index_ray[a] = index
    assets.last_update[a] = now


# --- what a spoke does ------------------------------------------------------------------------------------------


@rule
def remove(assets: Assets, reserves: Reserves, r: int, amount: Number, now: Number) -> None:
    """Hub.remove: pay an amount out, burning the shares that it costs."""
    a = reserves.asset[r]
    accrue(assets, a, now)
    shares = to_shares_up(amount, total_added(assets, a, now), assets.added_shares[a])
    assets.added_shares[a] -= shares
    reserves.added_shares[r] -= shares
    assets.liquidity_raw[a] -= amount
    assets.drawn_rate_ray[a] = drawn_rate(assets, a)


@rule
def pay_fee_shares(assets: Assets, reserves: Reserves, r: int, shares: Number, now: Number) -> None:
    """Hub.payFeeShares: hand shares of the spoke to the fee receiver."""
    a = reserves.asset[r]
    accrue(assets, a, now)
    reserves.added_shares[r] -= shares
    assets.fee_receiver_shares[a] += shares
    assets.drawn_rate_ray[a] = drawn_rate(assets, a)


@rule
def restore(
    assets: Assets,
    reserves: Reserves,
    r: int,
    drawn_shares: Number,
    premium_shares: Number,
    premium_offset_ray: Number,
    paid: Number,
    now: Number,
) -> int:
    """Hub.restore: take a payment that clears `drawn_shares`; the spoke's premium changes by the other two."""
    a = reserves.asset[r]
    accrue(assets, a, now)
    assets.drawn_shares[a] -= drawn_shares
    reserves.drawn_shares[r] -= drawn_shares
    error = change_premium(assets, reserves, r, premium_shares, premium_offset_ray)
    assets.liquidity_raw[a] += paid
    assets.drawn_rate_ray[a] = drawn_rate(assets, a)
    return error


@rule
def report_deficit(
    assets: Assets,
    reserves: Reserves,
    r: int,
    drawn_shares: Number,
    premium_shares: Number,
    premium_offset_ray: Number,
    deficit_ray: Number,
    now: Number,
) -> int:
    """Hub.reportDeficit: write off debt, which stays on the books as a deficit."""
    if not reserves.active[r]:
        return SPOKE_NOT_ACTIVE
    a = reserves.asset[r]
    accrue(assets, a, now)
    assets.drawn_shares[a] -= drawn_shares
    reserves.drawn_shares[r] -= drawn_shares
    error = change_premium(assets, reserves, r, premium_shares, premium_offset_ray)
    assets.deficit_ray[a] += deficit_ray
    reserves.deficit_ray[r] += deficit_ray
    assets.drawn_rate_ray[a] = drawn_rate(assets, a)
    return error


@rule
def refresh_premium(
    assets: Assets, reserves: Reserves, r: int, premium_shares: Number, premium_offset_ray: Number, now: Number
) -> int:
    """Hub.refreshPremium: change the rate at which premium accrues, and not what is owed of it."""
    if not reserves.active[r]:
        return SPOKE_NOT_ACTIVE
    a = reserves.asset[r]
    accrue(assets, a, now)
    error = change_premium(assets, reserves, r, premium_shares, premium_offset_ray)
    assets.drawn_rate_ray[a] = drawn_rate(assets, a)
    return error


@rule
def change_premium(assets: Assets, reserves: Reserves, r: int, shares: Number, offset_ray: Number) -> int:
    """Hub._applyPremiumDelta, which refuses more premium than the spoke is allowed."""
    a = reserves.asset[r]
    assets.premium_shares[a] += shares
    assets.premium_offset_ray[a] += offset_ray
    reserves.premium_shares[r] += shares
    reserves.premium_offset_ray[r] += offset_ray
    threshold = reserves.premium_threshold_bps[r]
    if threshold != NO_PREMIUM_THRESHOLD and reserves.premium_shares[r] > ceiled(
        percent_mul_up(reserves.drawn_shares[r], threshold)
    ):
        return INVALID_PREMIUM_CHANGE
    return OK
