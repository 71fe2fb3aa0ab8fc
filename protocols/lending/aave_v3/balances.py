"""Between scaled balances, amounts and their value in the base currency: each version rounds in its own way.

Sources: TokenMath and MathUtils.mulDivCeil of aave-v3-origin 3.5 and later; ScaledBalanceTokenBase and GenericLogic
before.
"""

from __future__ import annotations

from protocols.arithmetic import (
    Number,
    ceiled,
    floored,
    mul_div_down,
    mul_div_up,
    ray_div,
    ray_div_down,
    ray_div_up,
    ray_mul,
    ray_mul_down,
    ray_mul_up,
    rounded,
    rule,
)
from protocols.lending.aave_v3.versions import V35


@rule
def supplied_balance(version: int, scaled: Number, index: Number) -> Number:
    """aToken balance of a scaled balance."""
    if version >= V35:
        return floored(ray_mul_down(scaled, index))
    return rounded(ray_mul(scaled, index))


@rule
def debt_balance(version: int, scaled: Number, index: Number) -> Number:
    """Variable debt of a scaled balance."""
    if version >= V35:
        return ceiled(ray_mul_up(scaled, index))
    return rounded(ray_mul(scaled, index))


@rule
def supply_removed(version: int, amount: Number, index: Number, balance: Number, scaled: Number) -> Number:
    """Scaled aTokens that a burn or transfer of `amount` takes from a balance of `scaled`, worth `balance`."""
    if amount == balance:
        # What the division gives for any index of at least one ray; no float need be trusted with it.
        return scaled
    if version >= V35:
        return ceiled(ray_div_up(amount, index))
    return rounded(ray_div(amount, index))


@rule
def debt_removed(version: int, amount: Number, index: Number, balance: Number, scaled: Number) -> Number:
    """Scaled debt that a burn of `amount` takes from a debt of `scaled`, worth `balance`."""
    if amount == balance:
        return scaled
    if version >= V35:
        return floored(ray_div_down(amount, index))
    return rounded(ray_div(amount, index))


@rule
def supply_value(amount: Number, price: Number, unit: Number) -> Number:
    """Value of a supplied amount in the base currency, rounded down."""
    return floored(mul_div_down(amount, price, unit))


@rule
def debt_value(version: int, amount: Number, price: Number, unit: Number) -> Number:
    """Value of a debt in the base currency; since 3.5 rounded up."""
    if version >= V35:
        return ceiled(mul_div_up(amount, price, unit))
    return floored(mul_div_down(amount, price, unit))
