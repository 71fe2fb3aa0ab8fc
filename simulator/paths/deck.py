"""All that paths have in common, as arrays: made once from a book, read by every path, changed by none.

Amounts are whole tokens at the start; `Reserves.supply_growth` and `debt_growth` say what interest makes of them. Rows
of markets, reserves, accounts and tokens run through the whole book.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

NONE = -1
"""In the place of a row: none."""


class Accounts(NamedTuple):
    """Positions, account by account (CSR), in the order of markets and within a market of kinds.

    Attributes
    ----------
    row
        Shape (accounts,): which of the book's accounts it is, those of the first market first.
    market, offsets
        Shape (accounts,) and (accounts + 1,).
    reserve, supplied, debt
        Shape (entries,): the reserve, and whole tokens at the start.
    threshold, bonus
        Of the entry as collateral, as `Exposures` has them.
    recovers
        What a full liquidation repays for one of its worth: 1 / bonus, 0 where it is no collateral.
    pledged
        Its share of the account's collateral at the start, in outside prices: of the account's bad debt, what is laid
        to this collateral.
    """

    row: IntArray
    market: IntArray
    offsets: IntArray
    reserve: IntArray
    supplied: FloatArray
    debt: FloatArray
    threshold: FloatArray
    bonus: FloatArray
    recovers: FloatArray
    pledged: FloatArray


class Kinds(NamedTuple):
    """Accounts of one market that pledge the same reserves and owe the same; those that owe nothing are of one kind.

    Attributes
    ----------
    accounts
        Shape (kinds + 1,): where the accounts of each begin.
    held_from, owed_from
        Shape (kinds + 1,): where what each pledges begins in `held`, and what each owes in `owed`.
    held, owed
        Reserves.
    """

    accounts: IntArray
    held_from: IntArray
    held: IntArray
    owed_from: IntArray
    owed: IntArray


class Reserves(NamedTuple):
    """What belongs to a reserve.

    Attributes
    ----------
    market, token, numeraire
        Shape (reserves,). The numeraire is the token that the market's prices are in, `NONE` for US dollars.
    oracle
        What the market believes one whole token is worth at the start, in the numeraire.
    fee
        What the protocol keeps when it is collateral, as `ClosingTerms` has it.
    supply_growth, debt_growth
        Shape (steps + 1, reserves): balances over those at the start.
    is_collateral, is_debt
        Whether anybody has it so.
    """

    market: IntArray
    token: IntArray
    numeraire: IntArray
    oracle: FloatArray
    fee: FloatArray
    supply_growth: FloatArray
    debt_growth: FloatArray
    is_collateral: BoolArray
    is_debt: BoolArray


class Markets(NamedTuple):
    """What belongs to a market.

    Attributes
    ----------
    code, parameters
        Its rule of liquidation, as `ClosingTerms` has it; parameters filled up with zeros, shape (markets, most).
    no_slippage
        Whether its collateral fetches the outside price, whatever its amount.
    """

    code: IntArray
    parameters: FloatArray
    no_slippage: BoolArray


class Feeds(NamedTuple):
    """Feeds, by reserve: the oracle price of a reserve is that at the start times the answers of its feeds over their
    first, each to a power.

    Attributes
    ----------
    reserve, base, quote
        Shape (feeds,): whose price it is in; the tokens it watches, the quote being `NONE` for US dollars.
    power
        What the oracle price moves by in logarithms when the answer moves by one.
    deviation, heartbeat_s
        When it speaks.
    lag
        Steps from seeing a price to publishing it.
    answered_s
        When it last answered, seconds after the start (not above 0).
    low, high
        Answers over the first outside which none is taken.
    """

    reserve: IntArray
    base: IntArray
    quote: IntArray
    power: FloatArray
    deviation: FloatArray
    heartbeat_s: FloatArray
    lag: IntArray
    answered_s: FloatArray
    low: FloatArray
    high: FloatArray


class Pools(NamedTuple):
    """Pairs of tokens of pools, each as liquidity over the root of its price.

    Between two roots of the price of `first` in `second`, whole tokens, the pair is x y = k for some reserves: with
    liquidity L, as Uniswap v3 has it, first tokens that go in move 1 / root by their amount over L, second tokens move
    the root by theirs. That is exact for Uniswap v3, and for v2 but for fees that stay in the pool. Other pools have
    their dearness as `simulator.market.curves` asks it at the start, at prices that stay where they are; pairs of one
    pool do not know of each other.

    Attributes
    ----------
    first, second
        Shape (pools,): tokens.
    fee
        Shape (pools, 2): share that is kept of what goes in, first tokens and second.
    start
        Root of the price at the start.
    offsets, edges, liquidity
        Of each pool the roots between which liquidity is even, ascending, and the liquidity from each to the next.
    weight
        Shape (pools, 2): its part of all that is traded of each of its tokens, by depth at the start.
    leaves
        Whether its liquidity providers can leave.
    """

    first: IntArray
    second: IntArray
    fee: FloatArray
    start: FloatArray
    offsets: IntArray
    edges: FloatArray
    liquidity: FloatArray
    weight: FloatArray
    leaves: BoolArray


class Ways(NamedTuple):
    """How a token becomes another: for each pair of tokens that liquidators trade, ways through pools.

    Attributes
    ----------
    pair
        Shape (tokens, tokens): token sold, token bought; `NONE` where no way leads.
    ways, legs
        Where the ways of each pair and the legs of each way begin.
    pool, side
        Shape (legs,): the pool, and whether its first (0) or second (1) token goes in.
    kept
        Of each way, what its fees leave.
    """

    pair: IntArray
    ways: IntArray
    legs: IntArray
    pool: IntArray
    side: IntArray
    kept: FloatArray


class Rules(NamedTuple):
    """How liquidators and prices behave: `Liquidators` and `Venues` of `simulator.scenario`, infinite where they set no
    limit."""

    step_s: float
    gas_usd: float
    congestion: float
    flash_fee: float
    minimum_profit_usd: float
    capital_usd: float
    inventory_usd: float
    turnover_s: float
    haircut: float
    latency_s: float
    per_step: float
    in_pools: bool
    outside: bool
    impact: float
    permanent: float
    arbitrage: float
    """Share of a pool's gap that is closed in a step."""
    withdrawal: float


class Tokens(NamedTuple):
    """What belongs to a token.

    Attributes
    ----------
    outside_usd
        Shape (tokens,): at the start.
    column
        Which asset of the paths it moves with, from 1; 0 stands still.
    anchored
        Whether selling cannot move its outside price.
    held
        Whole tokens that accounts in debt have pledged at the start.
    """

    outside_usd: FloatArray
    column: IntArray
    anchored: BoolArray
    held: FloatArray


class Groups(NamedTuple):
    """By what results are told apart: group 0 is the whole book, then markets, then reserves that are owed, then those
    that are pledged, then protocols with several markets.

    Attributes
    ----------
    size
        How many groups.
    debt, collateral
        Shape (reserves,): group of the reserve as such.
    protocol
        Shape (markets,): group of the market's protocol; `NONE` where it has no other market.
    """

    size: int
    debt: IntArray
    collateral: IntArray
    protocol: IntArray


class Deck(NamedTuple):
    """A book and how it behaves."""

    accounts: Accounts
    kinds: Kinds
    reserves: Reserves
    markets: Markets
    feeds: Feeds
    pools: Pools
    ways: Ways
    rules: Rules
    tokens: Tokens
    groups: Groups
