"""Claims, debts and what they are worth: what the comptroller and every market compute alike, in Compound and Venus.

Sources: CToken and Comptroller of compound-protocol; VToken and ComptrollerLens of Venus.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.arithmetic import Number, floored, mul_div_down, rule, zero
from protocols.lending.compound_v2.state import WAD, Markets, Pools, Positions


class Liquidity(NamedTuple):
    """What an account's claims allow it to owe, and what it owes: US dollars in wad.

    Attributes
    ----------
    priced
        Every price that is needed is there; if not the other two mean nothing.
    """

    priced: bool
    limit: Number
    debt: Number


class Redemption(NamedTuple):
    """What claims bring: whether the market can pay, and how much of the token."""

    paid: bool
    amount_raw: Number


@rule
def exchange_rate(markets: Markets, m: int) -> Number:
    """CToken.exchangeRateStored: smallest units of the token for one of the claim, in wad."""
    if markets.claims[m] == 0:
        return markets.initial_rate_wad[m]
    held = markets.cash_raw[m] + markets.borrows_raw[m] - markets.reserves_raw[m]
    return floored(mul_div_down(held, WAD, markets.claims[m]))


@rule
def debt_of(markets: Markets, positions: Positions, entry: int) -> Number:
    """CToken.borrowBalanceStored; 0 for an entry that is not there (-1)."""
    if entry < 0 or positions.principal_raw[entry] == 0:
        return zero()
    index = markets.index_wad[positions.market[entry]]
    return floored(mul_div_down(positions.principal_raw[entry], index, positions.snapshot_index_wad[entry]))


@rule
def entry_of(positions: Positions, account: int, m: int) -> int:
    """Where an account's balances in a market are, or -1."""
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        if positions.market[entry] == m:
            return entry
    return -1


@rule
def liquidity(markets: Markets, pools: Pools, positions: Positions, account: int, skip_empty: bool) -> Liquidity:
    """Comptroller.getAccountLiquidity, on the markets' numbers as stored.

    `skip_empty`: no price is needed where the account has nothing (Venus since 10.3).
    """
    thresholds = pools.threshold_wad[positions.pool[account]]
    limit = debt = zero()
    for entry in range(positions.offsets[account], positions.offsets[account + 1]):
        if not positions.entered[entry]:
            continue
        m = positions.market[entry]
        claims, owed = positions.claims[entry], debt_of(markets, positions, entry)
        if skip_empty and claims == 0 and owed == 0:
            continue
        price = markets.price_raw[m]
        if price == 0:
            return Liquidity(False, zero(), zero())
        counted = floored(mul_div_down(thresholds[m], exchange_rate(markets, m), WAD))
        limit += floored(mul_div_down(floored(mul_div_down(counted, price, WAD)), claims, WAD))
        debt += floored(mul_div_down(price, owed, WAD))
    return Liquidity(True, limit, debt)


@rule
def most_repayable(close_factor_wad: Number, debt: Number) -> Number:
    """Comptroller.liquidateBorrowAllowed's maxClose: how much of a debt may be repaid at once."""
    return floored(mul_div_down(close_factor_wad, debt, WAD))


@rule
def seize_ratio(markets: Markets, c: int, d: int, incentive: Number) -> Number:
    """Claims on market c for one smallest unit of debt in market d, in wad; 0 where c's claims are worth nothing.

    Comptroller.liquidateCalculateSeizeTokens, which divides by zero in that case. It has few digits where the debt's
    token has many decimals and the collateral's has few.
    """
    worth = floored(mul_div_down(markets.price_raw[c], exchange_rate(markets, c), WAD))
    if worth == 0:
        return zero()
    return floored(mul_div_down(floored(mul_div_down(incentive, markets.price_raw[d], WAD)), WAD, worth))


@rule
def seized_for(ratio: Number, repaid: Number) -> Number:
    """Claims taken from the borrower for a repayment, at :func:`seize_ratio`."""
    return floored(mul_div_down(ratio, repaid, WAD))


@rule
def reserves_part(seize_share_wad: Number, seized: Number) -> Number:
    """CToken.seizeInternal's protocolSeizeTokens: claims seized that go to the market's reserves."""
    return floored(mul_div_down(seized, seize_share_wad, WAD))


@rule
def repay(markets: Markets, positions: Positions, entry: int, repaid: Number) -> None:
    """CToken.repayBorrowFresh: the debt restarts from what is left of it."""
    m = positions.market[entry]
    positions.principal_raw[entry] = debt_of(markets, positions, entry) - repaid
    positions.snapshot_index_wad[entry] = markets.index_wad[m]
    markets.borrows_raw[m] -= repaid
    markets.cash_raw[m] += repaid


@rule
def redeem(markets: Markets, m: int, claims: Number) -> Redemption:
    """CToken.redeemFresh of claims whose holder owes nothing; nothing is changed if the market lacks the cash."""
    amount = floored(mul_div_down(exchange_rate(markets, m), claims, WAD))
    if markets.cash_raw[m] < amount:
        return Redemption(False, amount)
    markets.claims[m] -= claims
    markets.cash_raw[m] -= amount
    return Redemption(True, amount)
