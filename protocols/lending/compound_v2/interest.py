"""Interest: how debts and reserves grow with the blocks, and at which rate.

Interest is simple from one accrual to the next and compounds at each. A market accrues when somebody deals with it;
until then its stored numbers are stale, and the comptroller uses them as they are.

Sources: CToken.accrueInterest, WhitePaperInterestRateModel, BaseJumpRateModelV2 of compound-protocol;
TwoKinksInterestRateModel of Venus.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import Number, floored, mul_div_down, rule, zero
from protocols.lending.compound_v2.state import WAD, Markets

BORROW_RATE_MAX = 5 * 10**12
"""CTokenInterfaces.borrowRateMaxMantissa, a block: a market whose rate is higher cannot accrue."""


class Accrual(NamedTuple):
    """What accruing interest changes in a market."""

    borrows_raw: Number
    reserves_raw: Number
    index_wad: Number
    accrued_block: Number


@rule
def stored(markets: Markets, m: int) -> Accrual:
    """A market's numbers as they are."""
    return Accrual(markets.borrows_raw[m], markets.reserves_raw[m], markets.index_wad[m], markets.accrued_block[m])


@rule
def store(markets: Markets, m: int, accrual: Accrual) -> None:
    """Set a market's numbers, or set them back."""
    markets.borrows_raw[m] = accrual.borrows_raw
    markets.reserves_raw[m] = accrual.reserves_raw
    markets.index_wad[m] = accrual.index_wad
    markets.accrued_block[m] = accrual.accrued_block


@rule
def along(usage: Number, slope: Number) -> Number:
    """A slope's part of the rate, rounded toward zero as signed division is."""
    if slope < 0:
        return -mul_div_down(usage, -slope, WAD)
    return mul_div_down(usage, slope, WAD)


@rule
def borrow_rate(markets: Markets, m: int) -> Number:
    """The rate a block, in wad: piecewise linear in utilisation, with up to two kinks.

    ``TwoKinksInterestRateModel``; with `kink2_wad` out of reach and `base2_wad` 0 it is the jump rate model, with
    `kink1_wad` out of reach the white paper's. Only the first holds utilisation at 100 % (`most_usage_wad`).
    """
    borrows = markets.borrows_raw[m]
    usage = zero()
    if borrows > 0:
        usage = mul_div_down(borrows, WAD, markets.cash_raw[m] + borrows - markets.reserves_raw[m])
        usage = min(usage, markets.most_usage_wad[m])
    kink1, kink2 = markets.kink1_wad[m], markets.kink2_wad[m]
    if usage < kink1:
        rate = along(usage, markets.slope1_wad[m]) + markets.base_wad[m]
    else:
        rate = along(kink1, markets.slope1_wad[m]) + markets.base_wad[m] + markets.base2_wad[m]
        if usage < kink2:
            rate += along(usage - kink1, markets.slope2_wad[m])
        else:
            rate += along(kink2 - kink1, markets.slope2_wad[m]) + along(usage - kink2, markets.slope3_wad[m])
    return rate if rate > 0 else zero()


@rule
def accrue(markets: Markets, m: int, block: Number) -> bool:
    """CToken.accrueInterest up to `block`; false, and nothing is changed, if the rate is absurdly high."""
    blocks = block - markets.accrued_block[m]
    if blocks == 0:
        return True
    rate = borrow_rate(markets, m)
    if rate > BORROW_RATE_MAX:
        return False
    now = stored(markets, m)
    factor = rate * blocks
    interest = floored(mul_div_down(factor, now.borrows_raw, WAD))
    store(
        markets,
        m,
        Accrual(
            now.borrows_raw + interest,
            now.reserves_raw + floored(mul_div_down(markets.reserve_factor_wad[m], interest, WAD)),
            now.index_wad + mul_div_down(factor, now.index_wad, WAD),
            block,
        ),
    )
    return True
