"""Interest: how indices and stable-rate debt grow, what is minted to the treasury, and which rates follow.

Sources: MathUtils, ReserveLogic, StableDebtToken and DefaultReserveInterestRateStrategy of aave/protocol-v2.
"""

from __future__ import annotations

from protocols.arithmetic import (
    Number,
    div_down,
    floored,
    percent_mul,
    ray,
    ray_div,
    ray_mul,
    rounded,
    rule,
    zero,
)
from protocols.lending.aave_v2.state import Indices, Positions, Reserves

SECONDS_PER_YEAR = 365 * 24 * 3600


@rule
def linear_interest(rate: Number, seconds: Number) -> Number:
    """MathUtils.calculateLinearInterest: growth of the liquidity index, in ray."""
    return ray() + div_down(rate * seconds, SECONDS_PER_YEAR)


@rule
def compounded_interest(rate: Number, seconds: Number) -> Number:
    """MathUtils.calculateCompoundedInterest: growth of a debt, in ray.

    The rate is cut to a whole ray a second first, which no version of Aave v3 does.
    """
    if seconds == 0:
        return ray()
    a_second = floored(div_down(rate, SECONDS_PER_YEAR))
    # The powers of it are few units of a ray, so that what their rounding takes away can be seen.
    power_two = rounded(ray_mul(a_second, a_second))
    power_three = rounded(ray_mul(power_two, a_second))
    before_last = seconds - 2 if seconds > 2 else 0
    second_term = div_down(seconds * (seconds - 1) * power_two, 2)
    third_term = div_down(seconds * (seconds - 1) * before_last * power_three, 6)
    return ray() + a_second * seconds + second_term + third_term


# --- what is owed at a moment -----------------------------------------------------------------------------------


@rule
def normalized_income(reserves: Reserves, r: int, now: Number) -> Number:
    """ReserveLogic.getNormalizedIncome: the liquidity index with interest up to `now`."""
    seconds = now - reserves.last_update[r]
    if seconds == 0:
        return reserves.liquidity_index_ray[r]
    return ray_mul(linear_interest(reserves.liquidity_rate_ray[r], seconds), reserves.liquidity_index_ray[r])


@rule
def normalized_debt(reserves: Reserves, r: int, now: Number) -> Number:
    """ReserveLogic.getNormalizedDebt: the borrow index with interest up to `now`."""
    seconds = now - reserves.last_update[r]
    if seconds == 0:
        return reserves.borrow_index_ray[r]
    return ray_mul(compounded_interest(reserves.borrow_rate_ray[r], seconds), reserves.borrow_index_ray[r])


@rule
def bring_index(reserves: Reserves, indices: Indices, r: int, now: Number) -> None:
    """Set `indices` of one reserve to what they are at `now`."""
    indices.income[r] = normalized_income(reserves, r, now)
    indices.debt[r] = normalized_debt(reserves, r, now)


@rule
def bring_indices(reserves: Reserves, indices: Indices, now: Number) -> None:
    """Set `indices` to what every reserve's are at `now`."""
    for r in range(len(reserves.unit)):
        bring_index(reserves, indices, r, now)


@rule
def stable_balance(positions: Positions, entry: int, now: Number) -> Number:
    """StableDebtToken.balanceOf: an account's stable-rate debt at `now`."""
    principal = positions.stable_principal_raw[entry]
    if principal == 0:
        return zero()
    growth = compounded_interest(positions.stable_rate_ray[entry], now - positions.stable_since[entry])
    return rounded(ray_mul(principal, growth))


@rule
def stable_supply(reserves: Reserves, r: int, now: Number) -> Number:
    """StableDebtToken.totalSupply: all stable-rate debt at `now`, which grows at its average rate."""
    principal = reserves.stable_principal_raw[r]
    if principal == 0:
        return zero()
    growth = compounded_interest(reserves.stable_rate_ray[r], now - reserves.stable_since[r])
    return rounded(ray_mul(principal, growth))


# --- storing it -------------------------------------------------------------------------------------------------


@rule
def next_borrow_index(reserves: Reserves, r: int, now: Number) -> Number:
    """The borrow index that ReserveLogic.updateState stores at `now`.

    Not always :func:`normalized_debt`: where suppliers earn nothing, the borrowers' interest is forgotten.
    """
    if reserves.liquidity_rate_ray[r] != 0 and reserves.debt_scaled[r] != 0:
        return normalized_debt(reserves, r, now)
    return reserves.borrow_index_ray[r]


@rule
def mint_to_treasury(reserves: Reserves, r: int, old_borrow_index: Number, now: Number) -> None:
    """ReserveLogic._mintToTreasury: the treasury's share of the interest since `old_borrow_index` was stored."""
    if reserves.reserve_factor_bps[r] == 0:
        return
    scaled = reserves.debt_scaled[r]
    variable = rounded(ray_mul(scaled, reserves.borrow_index_ray[r])) - rounded(ray_mul(scaled, old_borrow_index))
    stable = stable_supply(reserves, r, now) - stable_supply(reserves, r, reserves.last_update[r])
    due = rounded(percent_mul(variable + stable, reserves.reserve_factor_bps[r]))
    minted = rounded(ray_div(due, reserves.liquidity_index_ray[r]))
    reserves.treasury_scaled[r] += minted
    reserves.supply_scaled[r] += minted


@rule
def update_state(reserves: Reserves, r: int, now: Number) -> None:
    """ReserveLogic.updateState: store the indices at `now` and mint to the treasury."""
    old_borrow_index = reserves.borrow_index_ray[r]
    borrow_index = next_borrow_index(reserves, r, now)
    reserves.liquidity_index_ray[r] = normalized_income(reserves, r, now)
    reserves.borrow_index_ray[r] = borrow_index
    mint_to_treasury(reserves, r, old_borrow_index, now)
    reserves.last_update[r] = now


@rule
def interest_rates(
    reserves: Reserves, r: int, stable_debt: Number, variable_debt: Number, available: Number
) -> tuple[Number, Number]:
    """DefaultReserveInterestRateStrategy.calculateInterestRates.

    Parameters
    ----------
    stable_debt, variable_debt
        Of the reserve, in the token's smallest unit.
    available
        What can be paid out, in the same unit.

    Returns
    -------
    tuple
        Liquidity rate and variable borrow rate, in ray a year. The rate of new stable-rate debt is not modelled: a
        liquidation makes none.
    """
    total_debt = stable_debt + variable_debt
    base = reserves.base_rate_ray[r]
    if total_debt == 0:
        return zero(), base
    optimal = reserves.optimal_usage_ray[r]
    usage = ray_div(total_debt, available + total_debt)
    if usage > optimal:
        excess = ray_div(usage - optimal, ray() - optimal)
        borrow_rate = base + reserves.slope1_ray[r] + ray_mul(reserves.slope2_ray[r], excess)
    else:
        borrow_rate = base + ray_div(ray_mul(usage, reserves.slope1_ray[r]), optimal)
    # _getOverallBorrowRate: WadRayMath.wadToRay multiplies by 1e9.
    on_variable = rounded(ray_mul(variable_debt * 10**9, borrow_rate))
    on_stable = rounded(ray_mul(stable_debt * 10**9, reserves.stable_rate_ray[r]))
    overall_rate = ray_div(on_variable + on_stable, total_debt * 10**9)
    share_paid_on = 10_000 - reserves.reserve_factor_bps[r]
    return percent_mul(ray_mul(overall_rate, usage), share_paid_on), borrow_rate


@rule
def update_rates(reserves: Reserves, r: int, added: Number, taken: Number, now: Number) -> None:
    """ReserveLogic.updateInterestRates, before `added` comes in or `taken` is paid out."""
    variable_debt = rounded(ray_mul(reserves.debt_scaled[r], reserves.borrow_index_ray[r]))
    available = reserves.liquidity_raw[r] + added - taken
    rates = interest_rates(reserves, r, stable_supply(reserves, r, now), variable_debt, available)
    reserves.liquidity_rate_ray[r], reserves.borrow_rate_ray[r] = rates
