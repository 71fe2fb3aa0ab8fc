"""Liquidation in Venus' core pool: who can be, what changes hands, and what becomes of the markets.

Venus is Compound v2 with thresholds and incentives by market and pool, with liquidations that need no shortfall, and
with a Liquidator contract between liquidators and markets. :func:`liquidate` is VToken.liquidateBorrow, or
Liquidator.liquidateBorrow around it, in either number system.

Sources: PolicyFacet, MarketFacet.getLiquidationParams, VToken.liquidateBorrowFresh and Liquidator of venus-protocol
10.3. Not modelled: VAI debts and redemption fees, which the reader does not let in; flash loans, XVS and Prime, which
move nothing of the markets between two calls.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import Number, floored, mul_div_down, rule, zero
from protocols.lending.compound_v2 import interest
from protocols.lending.compound_v2.balances import (
    Redemption,
    debt_of,
    entry_of,
    exchange_rate,
    liquidity,
    most_repayable,
    redeem,
    repay,
    seize_ratio,
    seized_for,
)
from protocols.lending.compound_v2.interest import Accrual, store, stored
from protocols.lending.compound_v2.rules import Call
from protocols.lending.compound_v2.state import WAD, Column, Markets, Pools, Positions
from protocols.lending.venus_core.versions import (
    DIVISION_PANIC,
    INCENTIVE_PANIC,
    INSUFFICIENT_SHORTFALL,
    LIQUIDATE_PAUSED,
    MARKET_NOT_LISTED,
    NO_SEIZE_PRICE,
    NOT_COLLATERAL,
    NOTHING_REPAID,
    OK,
    PRICE_ERROR,
    RATE_TOO_HIGH,
    SEIZE_PAUSED,
    SEIZE_TOO_MUCH,
    SELF_LIQUIDATION,
    TOO_MUCH_REPAY,
    TOTAL_TOO_SMALL,
    UNAUTHORIZED,
)


class Settings(NamedTuple):
    """The settings for all markets.

    Attributes
    ----------
    close_factor_wad
        The comptroller's.
    treasury_share_wad
        What the Liquidator keeps of the bonus.
    liquidator_only
        The comptroller lets nobody but the Liquidator liquidate.
    skip_empty
        A market in which an account has nothing needs no price (since 10.3).
    """

    close_factor_wad: Number
    treasury_share_wad: Number
    liquidator_only: bool
    skip_empty: bool


class Guards(NamedTuple):
    """What Venus' markets have besides Compound's, one entry a market.

    Attributes
    ----------
    liquidate_paused, seize_paused
        The action is paused in the market.
    forced
        Liquidation of debts in this market needs no shortfall, and takes the whole.
    reduced_block, reduce_blocks
        An accrual `reduce_blocks` after `reduced_block` or later pays the reserves out, as far as there is cash.
    liquidator_claims
        vTokens of the Liquidator.
    pending
        The Liquidator could not redeem these yet, and tries again at every liquidation.
    """

    liquidate_paused: Column
    seize_paused: Column
    forced: Column
    reduced_block: Column
    reduce_blocks: Column
    liquidator_claims: Column
    pending: Column


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
        Claims of these that the Liquidator keeps.
    treasury_raw
        What it gets for them at once, in the collateral's token.
    """

    error: int
    repaid: Number
    seized: Number
    kept: Number
    treasury_raw: Number


class Held(NamedTuple):
    """What accruing interest changes in a market, reserves paid out included."""

    accrual: Accrual
    cash_raw: Number
    reduced_block: Number


@rule
def held(markets: Markets, guards: Guards, m: int) -> Held:
    """A market's numbers as they are."""
    return Held(stored(markets, m), markets.cash_raw[m], guards.reduced_block[m])


@rule
def put_back(markets: Markets, guards: Guards, m: int, before: Held) -> None:
    """Undo an accrual."""
    store(markets, m, before.accrual)
    markets.cash_raw[m] = before.cash_raw
    guards.reduced_block[m] = before.reduced_block


@rule
def refused(error: int) -> Liquidation:
    """A liquidation that moves nothing."""
    return Liquidation(error, zero(), zero(), zero(), zero())


@rule
def accrue(markets: Markets, guards: Guards, m: int, block: Number) -> bool:
    """VToken.accrueInterest up to `block`; false, and nothing is changed, if the rate is absurdly high."""
    if markets.accrued_block[m] == block:
        return True
    if not interest.accrue(markets, m, block):
        return False
    if block - guards.reduced_block[m] >= guards.reduce_blocks[m]:
        guards.reduced_block[m] = block
        paid_out = min(markets.cash_raw[m], markets.reserves_raw[m])
        markets.cash_raw[m] -= paid_out
        markets.reserves_raw[m] -= paid_out
    return True


@rule
def allowed(
    markets: Markets,
    guards: Guards,
    pools: Pools,
    positions: Positions,
    settings: Settings,
    call: Call,
    through_liquidator: bool,
    debt: Number,
) -> int:
    """PolicyFacet.liquidateBorrowAllowed."""
    if guards.liquidate_paused[call.debt]:
        return LIQUIDATE_PAUSED
    if settings.liquidator_only and not through_liquidator:
        return UNAUTHORIZED
    if not (markets.listed[call.collateral] and markets.listed[call.debt]):
        return MARKET_NOT_LISTED
    entry = entry_of(positions, call.account, call.debt)
    if guards.forced[call.debt] or (entry >= 0 and positions.forced[entry]):
        return TOO_MUCH_REPAY if call.repay_raw > debt else OK
    account = liquidity(markets, pools, positions, call.account, settings.skip_empty)
    if not account.priced:
        return PRICE_ERROR
    if not account.limit < account.debt:
        return INSUFFICIENT_SHORTFALL
    if call.repay_raw > most_repayable(settings.close_factor_wad, debt):
        return TOO_MUCH_REPAY
    return OK


@rule
def quote_accrued(
    markets: Markets,
    guards: Guards,
    pools: Pools,
    positions: Positions,
    settings: Settings,
    call: Call,
    through_liquidator: bool,
) -> Liquidation:
    """What VToken.liquidateBorrowFresh would do, once the two markets have accrued; nothing is changed."""
    c, d, repaid = call.collateral, call.debt, call.repay_raw
    debt = debt_of(markets, positions, entry_of(positions, call.account, d))
    error = allowed(markets, guards, pools, positions, settings, call, through_liquidator, debt)
    if error != OK:
        return refused(error)
    if call.self_liquidation and not through_liquidator:
        return refused(SELF_LIQUIDATION)
    if repaid == 0:
        return refused(NOTHING_REPAID)
    if repaid > markets.borrows_raw[d]:
        # Roundings can leave the total below what its last borrower owes.
        return refused(TOTAL_TOO_SMALL)
    if markets.price_raw[d] == 0 or markets.price_raw[c] == 0:
        return refused(NO_SEIZE_PRICE)
    if mul_div_down(markets.price_raw[c], exchange_rate(markets, c), WAD) == 0:
        return refused(DIVISION_PANIC)
    incentive = pools.incentive_wad[positions.pool[call.account]][c]
    seized = seized_for(seize_ratio(markets, c, d, incentive), repaid)
    entry = entry_of(positions, call.account, c)
    if seized > (positions.claims[entry] if entry >= 0 else zero()):
        return refused(SEIZE_TOO_MUCH)
    if guards.seize_paused[c]:
        return refused(SEIZE_PAUSED)
    if entry < 0 or not positions.entered[entry]:
        return refused(NOT_COLLATERAL)
    if not through_liquidator:
        return Liquidation(OK, repaid, seized, zero(), zero())
    # Liquidator._splitLiquidationIncentive; in a pool that lacks the market and falls back on nothing, it is 0.
    if incentive < WAD:
        return refused(INCENTIVE_PANIC)
    bonus = floored(mul_div_down(seized, incentive - WAD, incentive))
    return Liquidation(OK, repaid, seized, floored(mul_div_down(bonus, settings.treasury_share_wad, WAD)), zero())


@rule
def liquidate(
    markets: Markets,
    guards: Guards,
    pools: Pools,
    positions: Positions,
    settings: Settings,
    call: Call,
    through_liquidator: bool,
    block: Number,
) -> Liquidation:
    """VToken.liquidateBorrow in `block`, or Liquidator.liquidateBorrow.

    With an error nothing is changed, but for the interest in the two markets where a vToken is called directly and
    returns the error instead of reverting (see :func:`is_returned`).
    """
    c, d = call.collateral, call.debt
    before_d, before_c = held(markets, guards, d), held(markets, guards, c)
    done = refused(RATE_TOO_HIGH)
    if accrue(markets, guards, d, block) and accrue(markets, guards, c, block):
        done = quote_accrued(markets, guards, pools, positions, settings, call, through_liquidator)
    if done.error != OK:
        if through_liquidator or not is_returned(done.error):
            put_back(markets, guards, c, before_c)
            put_back(markets, guards, d, before_d)
        return done
    repay(markets, positions, entry_of(positions, call.account, d), done.repaid)
    entry = entry_of(positions, call.account, c)
    positions.claims[entry] -= done.seized
    if not through_liquidator:
        return done
    if call.self_liquidation:
        positions.claims[entry] += done.seized - done.kept
    treasury_raw = collect(markets, guards, c, done.kept, block)
    return Liquidation(OK, done.repaid, done.seized, done.kept, treasury_raw)


@rule
def is_returned(error: int) -> bool:
    """Whether a vToken returns this error (one of :data:`versions.FAILURES`) instead of reverting."""
    return UNAUTHORIZED <= error <= NOTHING_REPAID


@rule
def collect(markets: Markets, guards: Guards, c: int, kept: Number, block: Number) -> Number:
    """Liquidator._distributeLiquidationIncentive and _reduceReservesInternal: redeem what is kept, and what was left.

    Where the cash does not suffice the claims stay, and are tried again at every liquidation; of several such markets
    the contract tries no more than ten at a time, which is not modelled.

    Returns
    -------
    Number
        What the claims kept now brought at once.
    """
    guards.liquidator_claims[c] += kept
    treasury = zero()
    if kept > 0:
        redeemed = redeem(markets, c, kept)
        if redeemed.paid:
            guards.liquidator_claims[c] -= kept
            treasury = redeemed.amount_raw
        else:
            guards.pending[c] = True
    for m in range(len(guards.pending)):
        if guards.pending[m]:
            redeem_pending(markets, guards, m, block)
    return treasury


@rule
def redeem_pending(markets: Markets, guards: Guards, m: int, block: Number) -> None:
    """Liquidator._redeemUnderlying of all its claims on a market; if it fails, nothing has happened."""
    before = held(markets, guards, m)
    redeemed = Redemption(False, zero())
    if accrue(markets, guards, m, block):
        redeemed = redeem(markets, m, guards.liquidator_claims[m])
    if redeemed.paid:
        guards.liquidator_claims[m] = zero()
        guards.pending[m] = False
    else:
        put_back(markets, guards, m, before)
