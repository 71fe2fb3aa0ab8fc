"""Liquidation in Compound v2: who can be, what changes hands, and what becomes of the markets.

:func:`liquidate` is CToken.liquidateBorrow, in either number system. Of all the markets that an account is in only the
two of the call accrue interest; the comptroller takes the others as they are stored. Nothing is clipped: a liquidator
who asks for too much gets nothing.

Sources: CToken.liquidateBorrowFresh and seizeInternal, Comptroller.liquidateBorrowAllowed and isDeprecated. Not
modelled: COMP distribution, which moves nothing of the markets.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import Number, floored, mul_div_down, rule, zero
from protocols.lending.compound_v2.balances import (
    debt_of,
    entry_of,
    exchange_rate,
    liquidity,
    most_repayable,
    repay,
    reserves_part,
    seize_ratio,
    seized_for,
)
from protocols.lending.compound_v2.interest import accrue, store, stored
from protocols.lending.compound_v2.state import WAD, Markets, Pools, Positions
from protocols.lending.compound_v2.versions import (
    ARITHMETIC_PANIC,
    DIVISION_PANIC,
    INSUFFICIENT_SHORTFALL,
    MARKET_NOT_LISTED,
    MORE_THAN_BORROWED,
    NO_SEIZE_PRICE,
    NOTHING_REPAID,
    OK,
    PRICE_ERROR,
    RATE_TOO_HIGH,
    SEIZE_PAUSED,
    SEIZE_TOO_MUCH,
    SELF_LIQUIDATION,
    TOO_MUCH_REPAY,
)


class Settings(NamedTuple):
    """The comptroller's settings for all markets: the close factor, and whether seizing is paused."""

    close_factor_wad: Number
    seize_paused: bool


class Call(NamedTuple):
    """Arguments of CToken.liquidateBorrow.

    Attributes
    ----------
    account
        Row in `Positions`.
    collateral, debt
        Rows in `Markets`.
    repay_raw
        What the liquidator offers to repay, in the debt token's smallest unit.
    self_liquidation
        The liquidator is the account itself.
    """

    account: int
    collateral: int
    debt: int
    repay_raw: Number
    self_liquidation: bool


class Liquidation(NamedTuple):
    """What a liquidation does.

    Attributes
    ----------
    error
        Why it is refused, 0 if it is not; otherwise the rest is 0.
    repaid
        What the liquidator pays.
    seized
        Claims taken from the borrower.
    kept
        Claims of these that go to reserves, and cease to be.
    kept_raw
        What reserves get for them, in the collateral's token.
    """

    error: int
    repaid: Number
    seized: Number
    kept: Number
    kept_raw: Number


@rule
def refused(error: int) -> Liquidation:
    """A liquidation that changes nothing."""
    return Liquidation(error, zero(), zero(), zero(), zero())


@rule
def is_deprecated(markets: Markets, pools: Pools, m: int) -> bool:
    """Comptroller.isDeprecated: debts in such a market can be liquidated without shortfall, and as a whole."""
    return bool(pools.threshold_wad[0][m] == 0 and markets.borrow_paused[m] and markets.reserve_factor_wad[m] == WAD)


@rule
def allowed(markets: Markets, pools: Pools, positions: Positions, settings: Settings, call: Call, debt: Number) -> int:
    """Comptroller.liquidateBorrowAllowed."""
    if not (markets.listed[call.debt] and markets.listed[call.collateral]):
        return MARKET_NOT_LISTED
    if is_deprecated(markets, pools, call.debt):
        return MORE_THAN_BORROWED if debt < call.repay_raw else OK
    account = liquidity(markets, pools, positions, call.account, False)
    if not account.priced:
        return PRICE_ERROR
    if not account.limit < account.debt:
        return INSUFFICIENT_SHORTFALL
    if call.repay_raw > most_repayable(settings.close_factor_wad, debt):
        return TOO_MUCH_REPAY
    return OK


@rule
def quote_accrued(markets: Markets, pools: Pools, positions: Positions, settings: Settings, call: Call) -> Liquidation:
    """What CToken.liquidateBorrowFresh would do, once the two markets have accrued; nothing is changed."""
    c, d, repaid = call.collateral, call.debt, call.repay_raw
    debt = debt_of(markets, positions, entry_of(positions, call.account, d))
    error = allowed(markets, pools, positions, settings, call, debt)
    if error != OK:
        return refused(error)
    if call.self_liquidation:
        return refused(SELF_LIQUIDATION)
    if repaid == 0:
        return refused(NOTHING_REPAID)
    if repaid > markets.borrows_raw[d]:
        # Roundings can leave the total below what its last borrower owes.
        return refused(ARITHMETIC_PANIC)
    if markets.price_raw[d] == 0 or markets.price_raw[c] == 0:
        return refused(NO_SEIZE_PRICE)
    rate = exchange_rate(markets, c)
    if mul_div_down(markets.price_raw[c], rate, WAD) == 0:
        return refused(DIVISION_PANIC)
    seized = seized_for(seize_ratio(markets, c, d, pools.incentive_wad[0][c]), repaid)
    entry = entry_of(positions, call.account, c)
    if seized > (positions.claims[entry] if entry >= 0 else zero()):
        return refused(SEIZE_TOO_MUCH)
    if settings.seize_paused:
        return refused(SEIZE_PAUSED)
    kept = reserves_part(markets.seize_share_wad[c], seized)
    return Liquidation(OK, repaid, seized, kept, floored(mul_div_down(rate, kept, WAD)))


@rule
def liquidate(
    markets: Markets, pools: Pools, positions: Positions, settings: Settings, call: Call, block: Number
) -> Liquidation:
    """CToken.liquidateBorrow in `block`; it reverts, and nothing is changed, if the answer has an error."""
    c, d = call.collateral, call.debt
    before_d, before_c = stored(markets, d), stored(markets, c)
    accrued = accrue(markets, d, block) and accrue(markets, c, block)
    done = quote_accrued(markets, pools, positions, settings, call) if accrued else refused(RATE_TOO_HIGH)
    if done.error != OK:
        store(markets, c, before_c)
        store(markets, d, before_d)
        return done
    repay(markets, positions, entry_of(positions, call.account, d), done.repaid)
    entry = entry_of(positions, call.account, c)
    if entry >= 0:
        positions.claims[entry] -= done.seized
    markets.claims[c] -= done.kept
    markets.reserves_raw[c] += done.kept_raw
    return done
