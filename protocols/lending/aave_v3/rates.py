"""Interest: how indices grow, what the treasury accrues, and which rates follow.

Sources: ReserveLogic, MathUtils and DefaultReserveInterestRateStrategyV2 of aave-v3-origin;
DefaultReserveInterestRateStrategy of aave-v3-core for 3.0. Nobody has stable-rate debt, and nothing is unbacked.
"""

from __future__ import annotations

from protocols.arithmetic import (
    Number,
    div_down,
    floored,
    percent_mul,
    ray,
    ray_div,
    ray_div_down,
    ray_mul,
    ray_mul_down,
    rounded,
    rule,
    zero,
)
from protocols.lending.aave_v3.balances import debt_balance
from protocols.lending.aave_v3.state import Indices, Reserves
from protocols.lending.aave_v3.versions import V31, V32, V34, V35

SECONDS_PER_YEAR = 365 * 24 * 3600


@rule
def linear_interest(rate: Number, seconds: Number) -> Number:
    """MathUtils.calculateLinearInterest: growth of the liquidity index, in ray."""
    return ray() + div_down(rate * seconds, SECONDS_PER_YEAR)


@rule
def compounded_interest(version: int, rate: Number, seconds: Number) -> Number:
    """MathUtils.calculateCompoundedInterest: growth of the borrow index, in ray."""
    if seconds == 0:
        return ray()
    if version >= V34:
        x = div_down(rate * seconds, SECONDS_PER_YEAR)
        return ray() + x + ray_mul(x, div_down(x, 2) + ray_mul(x, div_down(x, 6)))
    # The powers of the rate a second are few units of a ray, so that what their rounding takes away can be seen.
    power_two = floored(div_down(rounded(ray_mul(rate, rate)), SECONDS_PER_YEAR * SECONDS_PER_YEAR))
    power_three = floored(div_down(rounded(ray_mul(power_two, rate)), SECONDS_PER_YEAR))
    before_last = seconds - 2 if seconds > 2 else 0
    second_term = div_down(seconds * (seconds - 1) * power_two, 2)
    third_term = div_down(seconds * (seconds - 1) * before_last * power_three, 6)
    return ray() + div_down(rate * seconds, SECONDS_PER_YEAR) + second_term + third_term


@rule
def normalized_income(reserves: Reserves, r: int, now: Number) -> Number:
    """ReserveLogic.getNormalizedIncome: the liquidity index with interest up to `now`."""
    seconds = now - reserves.last_update[r]
    if seconds == 0:
        return reserves.liquidity_index_ray[r]
    return ray_mul(linear_interest(reserves.liquidity_rate_ray[r], seconds), reserves.liquidity_index_ray[r])


@rule
def normalized_debt(version: int, reserves: Reserves, r: int, now: Number) -> Number:
    """ReserveLogic.getNormalizedDebt: the borrow index with interest up to `now`."""
    seconds = now - reserves.last_update[r]
    if seconds == 0:
        return reserves.borrow_index_ray[r]
    return ray_mul(compounded_interest(version, reserves.borrow_rate_ray[r], seconds), reserves.borrow_index_ray[r])


@rule
def bring_indices(version: int, reserves: Reserves, indices: Indices, now: Number) -> None:
    """Set `indices` to what every reserve's are at `now`."""
    for r in range(len(reserves.unit)):
        indices.income[r] = normalized_income(reserves, r, now)
        indices.debt[r] = normalized_debt(version, reserves, r, now)


@rule
def accrue_to_treasury(version: int, reserves: Reserves, r: int, old_borrow_index: Number) -> None:
    """ReserveLogic._accrueToTreasury: the treasury's share of the interest since `old_borrow_index`."""
    index = reserves.borrow_index_ray[r]
    scaled = reserves.debt_scaled[r]
    if version >= V35:
        accrued = floored(ray_mul_down(scaled, index - old_borrow_index))
    else:
        accrued = rounded(ray_mul(scaled, index)) - rounded(ray_mul(scaled, old_borrow_index))
    due = rounded(percent_mul(accrued, reserves.reserve_factor_bps[r]))
    if version >= V35:
        reserves.treasury_accrued_scaled[r] += floored(ray_div_down(due, reserves.liquidity_index_ray[r]))
    else:
        reserves.treasury_accrued_scaled[r] += rounded(ray_div(due, reserves.liquidity_index_ray[r]))


@rule
def update_state(version: int, reserves: Reserves, r: int, now: Number) -> None:
    """ReserveLogic.updateState: store the indices at `now` and accrue to the treasury."""
    if reserves.last_update[r] == now:
        return
    old_borrow_index = reserves.borrow_index_ray[r]
    if reserves.liquidity_rate_ray[r] != 0:
        reserves.liquidity_index_ray[r] = normalized_income(reserves, r, now)
    if reserves.debt_scaled[r] != 0:
        reserves.borrow_index_ray[r] = normalized_debt(version, reserves, r, now)
    accrue_to_treasury(version, reserves, r, old_borrow_index)
    reserves.last_update[r] = now


@rule
def interest_rates(
    version: int, reserves: Reserves, r: int, total_debt: Number, available: Number
) -> tuple[Number, Number]:
    """DefaultReserveInterestRateStrategyV2.calculateInterestRates.

    Parameters
    ----------
    total_debt
        Of the reserve, in the token's smallest unit.
    available
        What can be paid out, in the same unit.

    Returns
    -------
    tuple
        Liquidity rate and variable borrow rate, in ray a year.
    """
    base = reserves.base_rate_ray[r]
    if total_debt == 0:
        return zero(), base
    optimal = reserves.optimal_usage_ray[r]
    borrow_usage = ray_div(total_debt, available + total_debt)
    supply_usage = ray_div(total_debt, available + total_debt + reserves.deficit_raw[r])
    if borrow_usage > optimal:
        excess = ray_div(borrow_usage - optimal, ray() - optimal)
        borrow_rate = base + reserves.slope1_ray[r] + ray_mul(reserves.slope2_ray[r], excess)
    else:
        borrow_rate = base + ray_div(ray_mul(reserves.slope1_ray[r], borrow_usage), optimal)
    paid_rate = borrow_rate
    if version < V32:
        # _getOverallBorrowRate weighs stable and variable debt; with variable debt alone its rounding remains.
        weight = total_debt * 10**9
        paid_rate = ray_div(ray_mul(weight, borrow_rate), weight)
    share_paid_on = 10_000 - reserves.reserve_factor_bps[r]
    return percent_mul(ray_mul(paid_rate, supply_usage), share_paid_on), borrow_rate


@rule
def update_rates(version: int, reserves: Reserves, r: int, added: Number, taken: Number) -> None:
    """ReserveLogic.updateInterestRatesAndVirtualBalance, after `added` was repaid or `taken` paid out."""
    available = reserves.liquidity_raw[r] + added - taken
    total_debt = debt_balance(version, reserves.debt_scaled[r], reserves.borrow_index_ray[r])
    liquidity_rate, borrow_rate = interest_rates(version, reserves, r, total_debt, available)
    reserves.liquidity_rate_ray[r] = liquidity_rate
    reserves.borrow_rate_ray[r] = borrow_rate
    # Before 3.1 liquidity is the aToken's balance, into which a repayment comes only when the call ends.
    reserves.liquidity_raw[r] = available if version >= V31 else available - added
