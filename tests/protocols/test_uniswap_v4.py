"""What a Uniswap v4 pool does to those who trade with it, and where that differs from v3."""

from __future__ import annotations

from copy import deepcopy
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from chain.errors import InputError
from chain.snapshot import Snapshot
from chain.tables import Table
from protocols.amm.interface import Fill
from protocols.amm.revert import Revert
from protocols.amm.uniswap_v3.pool import UniswapV3Pool
from protocols.amm.uniswap_v3.rules import State
from protocols.amm.uniswap_v3.ticks import MAX_SQRT_PRICE_X96, MIN_SQRT_PRICE_X96, fast_ticks, split
from protocols.amm.uniswap_v4 import rules
from protocols.amm.uniswap_v4.key import NATIVE, PoolKey, read_key
from protocols.amm.uniswap_v4.pool import UniswapV4Pool
from protocols.amm.uniswap_v4.tables import POOLS, TICKS, load
from protocols.compiled import fast
from tests.protocols.test_uniswap_v3 import HIGHEST, LOWEST, Q96, STEPS, WAD, Position, amounts, pools, sides
from tests.protocols.test_uniswap_v3 import pool_of as v3_pool_of
from tests.vectors.outcome import relative_error

ONE = 1_000_000
MOST = 2**127 - 1

quick = settings(max_examples=100, deadline=None)
protocol_fees = st.tuples(st.integers(0, 1000), st.integers(0, 1000))
lp_fees = st.sampled_from((0, 1, 100, 3_000, 250_000, ONE)) | st.integers(0, ONE)


def as_v4(pool: UniswapV3Pool, lp_fee: int | None = None, protocol: tuple[int, int] = (0, 0)) -> UniswapV4Pool:
    """A v4 pool with the price and the ranges of a v3 pool."""
    return UniswapV4Pool(
        pool.name,
        pool.tokens,
        lp_fee_pips=pool.terms.fee_pips if lp_fee is None else lp_fee,
        tick_spacing=pool.terms.tick_spacing,
        sqrt_price_x96=pool.slot.sqrt_price_x96,
        tick=pool.slot.tick,
        liquidity=pool.state()["liquidity"],
        ticks=pool.ticks.tick,
        liquidity_net=[b - a for a, b in zip(pool.ticks.liquidity, pool.ticks.liquidity[1:], strict=False)],
        protocol_fee=protocol[1] << 12 | protocol[0],
    )


def pool_of(positions: list[Position], lp_fee: int = 3_000, protocol: tuple[int, int] = (0, 0)) -> UniswapV4Pool:
    return as_v4(v3_pool_of(positions), lp_fee, protocol)


# --- fees -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "lp", "both"),
    [(1000, ONE, ONE), (1000, 3000, 3997), (1000, 0, 1000), (0, 0, 0), (0, 1000, 1000)],
)
def test_both_fees_are_one_as_in_protocol_fee_library(protocol: int, lp: int, both: int) -> None:
    # ProtocolFeeLibrary.t.sol
    assert rules.swap_fee(protocol, lp) == both


@quick
@given(st.integers(0, 1000), st.integers(0, ONE))
def test_the_liquidity_providers_fee_is_taken_from_what_the_protocol_leaves_and_both_are_rounded_up(
    protocol: int, lp: int
) -> None:
    kept = Fraction(ONE - protocol, ONE) * (ONE - lp)
    assert 0 <= kept - (ONE - rules.swap_fee(protocol, lp)) < 1


def test_each_direction_has_the_protocol_s_fee_of_its_own() -> None:
    pool = pool_of([Position(-600, 600, WAD)], 3_000, (1_000, 500))
    assert (pool.fee(0, 1), pool.fee(1, 0)) == (0.003997, 0.003499)
    pool.swap(0, 1, 10**12)
    pool.swap(1, 0, 10**13)
    assert pool.protocol_fees_raw == [10**9, 5 * 10**9]


def test_without_a_fee_for_providers_all_of_the_fee_is_the_protocol_s() -> None:
    pool = pool_of([Position(-600, 600, WAD)], 0, (1_000, 0))
    pool.swap(0, 1, 10**12 + 1)
    assert pool.protocol_fees_raw == [10**9 + 1, 0], "what rounding leaves is its too"
    assert pool.fee_growth_global_x128 == (0, 0)


def test_a_fee_of_everything_takes_everything_and_moves_nothing() -> None:
    pool = pool_of([Position(-600, 600, WAD)], ONE)
    assert pool.swap(0, 1, 10**12) == Fill(10**12, 0)
    assert pool.state()["sqrtPriceX96"] == Q96
    assert pool.trade_to(0, 1, 1e-3) is pool.trade_to(0, 1, 1e3) is None, "nobody would trade"
    with pytest.raises(Revert, match=r"^InvalidFeeForExactOut$"):
        pool.swap_specified(True, 1, LOWEST)


# --- v3 and v4 --------------------------------------------------------------------------------------------------

OTHERWISE = {"all of the input is fee": (2413, 9, 0, 1)}
"""SwapMath.t.sol, where it differs from v3's SwapMath.spec.ts."""


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_that_of_swap_math(name: str) -> None:
    (price, target, liquidity, remaining, exact_in, fee), expected = STEPS[name]
    end, *amounts_and_fee = OTHERWISE.get(name, expected)
    step = rules.swap_step(price, target, liquidity, remaining, fee, price >= target, exact_in)
    assert list(step[1:]) == amounts_and_fee
    assert end is None or step.sqrt_price_x96 == end


@quick
@given(pools(), sides, amounts)
def test_without_the_protocol_s_fee_a_pool_gives_what_v3_gives_and_ends_where_v3_ends(
    pool: UniswapV3Pool, side: int, amount: int
) -> None:
    newer = as_v4(pool)
    assert newer.swap(side, 1 - side, amount) == pool.swap(side, 1 - side, amount)
    assert newer.state() == pool.state()
    assert newer.reserves_raw() == pool.reserves_raw()


# --- laws -------------------------------------------------------------------------------------------------------


@quick
@given(pools(), lp_fees, protocol_fees, sides, amounts)
def test_a_swap_gives_what_was_quoted_and_a_quote_changes_nothing(
    pool: UniswapV3Pool, lp_fee: int, protocol: tuple[int, int], side: int, amount: int
) -> None:
    venue = as_v4(pool, lp_fee, protocol)
    before = deepcopy(vars(venue))
    quoted = venue.quote(side, 1 - side, amount)
    assert vars(venue) == before
    assert quoted == venue.swap(side, 1 - side, amount)


@quick
@given(pools(), lp_fees, protocol_fees, sides, amounts)
def test_there_and_back_again_never_profits(
    pool: UniswapV3Pool, lp_fee: int, protocol: tuple[int, int], side: int, amount: int
) -> None:
    venue = as_v4(pool, lp_fee, protocol)
    there = venue.swap(side, 1 - side, amount)
    assert venue.quote(1 - side, side, there.received_raw).received_raw <= there.paid_raw


@quick
@given(pools(), lp_fees, protocol_fees, sides, amounts)
def test_the_protocol_gets_its_share_of_what_is_paid_in_but_for_a_unit_in_each_part(
    pool: UniswapV3Pool, lp_fee: int, protocol: tuple[int, int], side: int, amount: int
) -> None:
    assume(lp_fee > 0)
    venue = as_v4(pool, lp_fee, protocol)
    began = venue.slot
    paid = venue.swap(side, 1 - side, amount).paid_raw
    words = 2 + abs(venue.slot.tick - began.tick) // (256 * venue.terms.tick_spacing)
    share = Fraction(paid * protocol[side], ONE)
    assert share - words - len(venue.ticks.tick) <= venue.protocol_fees_raw[side] <= share
    assert venue.protocol_fees_raw[1 - side] == 0


@quick
@example(pool=v3_pool_of([Position(-60_000, 60_000, WAD)]), lp_fee=0, protocol=(0, 0), ratio=2.0)
@given(pools(), st.integers(0, ONE - 1), protocol_fees, st.floats(0.01, 100))
def test_arbitrage_ends_within_the_fee_of_that_direction_and_then_nobody_trades(
    pool: UniswapV3Pool, lp_fee: int, protocol: tuple[int, int], ratio: float
) -> None:
    venue = as_v4(pool, lp_fee, protocol)
    outside = venue.price(0, 1) * ratio
    trade = venue.trade_to(0, 1, outside)
    kept = [1 - venue.fee(side, 1 - side) for side in (0, 1)]
    if trade is None:
        assert kept[0] * (1 - 1e-9) <= ratio
        assert ratio * kept[1] <= 1 + 1e-9
        return
    assert trade.amount_raw == MOST
    venue.swap(trade.sold, trade.bought, trade.amount_raw, trade.limit_raw)
    price, fee = venue.slot.sqrt_price_x96, Fraction(venue.fee_pips(trade.sold), ONE)
    assume(price == trade.limit_raw)  # a fee near 100 % asks for more than a swap may pay
    if trade.sold == 0:
        edge = Fraction(outside) / (1 - fee)
        assert Fraction(price**2, 2**192) <= edge or price == LOWEST
        assert edge < Fraction((price + 1) ** 2, 2**192) or price == HIGHEST
    else:
        edge = Fraction(outside) * (1 - fee)
        assert Fraction((price - 1) ** 2, 2**192) < edge or price == LOWEST
        # without a fee either way there may be no price in the band: then it ends less than a unit below
        free = venue.fee_pips(0) == venue.fee_pips(1) == 0
        assert edge <= Fraction((price + free) ** 2, 2**192) or price == HIGHEST
    assert venue.trade_to(0, 1, outside) is None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(pools(), st.integers(0, 500_000), protocol_fees, sides, st.booleans(), amounts)
def test_the_fast_form_swaps_as_the_exact_one(
    pool: UniswapV3Pool, lp_fee: int, protocol: tuple[int, int], side: int, exact_in: bool, amount: int
) -> None:
    venue = as_v4(pool, lp_fee, protocol)
    specified, limit = -amount if exact_in else amount, LOWEST if side == 0 else HIGHEST
    slot = State(split(venue.slot.sqrt_price_x96), venue.slot.tick, venue.slot.ticks_below, 0.0, 0.0)
    ticks = fast_ticks(venue.ticks)
    found = fast(rules.swap)(venue.terms, slot, ticks, None, side == 0, float(specified), split(limit))
    before = venue.reserves_raw()
    exact = venue.swap_specified(side == 0, specified, limit)
    held = [max(pair) for pair in zip(before, venue.reserves_raw(), strict=True)]
    assert relative_error(found.paid, exact.paid, held[side]) <= 1e-9
    assert relative_error(found.received, exact.received, held[1 - side]) <= 1e-9
    assert relative_error(found.protocol_fee, exact.protocol_fee, held[side]) <= 1e-9


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zero_for_one", "limit", "error"),
    [
        (True, Q96, "PriceLimitAlreadyExceeded"),
        (True, MAX_SQRT_PRICE_X96, "PriceLimitAlreadyExceeded"),
        (True, MIN_SQRT_PRICE_X96, "PriceLimitOutOfBounds"),
        (False, Q96, "PriceLimitAlreadyExceeded"),
        (False, 0, "PriceLimitAlreadyExceeded"),
        (False, MAX_SQRT_PRICE_X96, "PriceLimitOutOfBounds"),
    ],
)
def test_a_limit_behind_the_price_or_out_of_bounds_reverts(zero_for_one: bool, limit: int, error: str) -> None:
    with pytest.raises(Revert, match=f"^{error}$"):
        pool_of([Position(-60, 60, WAD)]).swap_specified(zero_for_one, -1, limit)


def test_a_swap_of_nothing_reverts_and_is_quoted_as_nothing() -> None:
    pool = pool_of([Position(-60, 60, WAD)])
    assert pool.quote(0, 1, 0) == Fill(0, 0)
    with pytest.raises(Revert, match=r"^SwapAmountCannotBeZero$"):
        pool.swap(0, 1, 0)
    with pytest.raises(InputError, match="positive"):
        pool.swap(0, 1, -1)


def test_a_swap_that_pays_more_than_an_int128_holds_reverts_and_leaves_the_pool_as_it_was() -> None:
    pool = pool_of([Position(-887_220, 887_220, 10**30), Position(60, 120, 10**20)])
    before = deepcopy(vars(pool))
    assert pool.quote(1, 0, 2**128) == Fill(0, 0)
    with pytest.raises(Revert, match=r"^SafeCastOverflow$"):
        pool.swap(1, 0, 2**128)
    assert vars(pool) == before, "not even the ticks that it had crossed"
    assert pool.swap(1, 0, MOST).paid_raw == MOST


@pytest.mark.parametrize(
    ("lp_fee", "protocol", "message"),
    [(0x800000, (0, 0), "set by hooks"), (ONE + 1, (0, 0), "100 %"), (0, (1001, 0), "0.1 %"), (0, (0, 1001), "0.1 %")],
)
def test_a_fee_that_the_contract_does_not_allow_is_refused(
    lp_fee: int, protocol: tuple[int, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pool_of([Position(-60, 60, WAD)], lp_fee, protocol)


# --- keys and tables ----------------------------------------------------------------------------------------------

KEY = PoolKey("0x" + "aa" * 20, NATIVE, "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", 500, 10)


def test_the_hash_of_a_key_is_the_id_by_which_the_pool_is_known() -> None:
    # Ethereum's pool of ETH and USDC at 0.05 %
    assert KEY.pool_id.hex() == "21c67e77068de97969ba93d4aab21826d33ca12bb9f565d8496e8fda8a82ca27"


@pytest.mark.parametrize("name", ["", "0xpool", KEY.name + "/0", KEY.name[1:], KEY.name.replace("/500/", "/-500/")])
def test_a_name_that_is_no_key_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no Uniswap v4 pool"):
        read_key(name)


def snapshot_of(pools: list[dict[str, Any]], ticks: list[dict[str, Any]] | None) -> Snapshot:
    tables = {POOLS.name: Table.from_rows(POOLS, pools)}
    if ticks is not None:
        tables[TICKS.name] = Table.from_rows(TICKS, ticks)
    return Snapshot(1, 1, "0x" + "ab" * 32, 1, "node", (), {}, tables)


def test_a_pool_comes_out_of_a_snapshot_as_it_went_in() -> None:
    row = {
        "pool": KEY.name,
        "pool_id": "0x" + KEY.pool_id.hex(),
        "token0": "0x" + "cc" * 20,
        "token1": KEY.currency1,
        "lp_fee_pips": 500,
        "tick_spacing": 10,
        "sqrt_price_x96": Q96,
        "tick": 0,
        "liquidity": WAD,
        "protocol_fee": 100 << 12 | 50,
    }
    ticks = [{"pool": KEY.name, "tick": t, "liquidity_net": net} for t, net in ((60, -WAD), (-60, WAD))]
    (pool,) = load(snapshot_of([row], ticks))
    assert pool.name == KEY.name
    assert pool.tokens == (row["token0"], row["token1"])
    assert pool.terms == rules.Terms(500, 10, 50, 100)
    assert (pool.ticks.tick, pool.ticks.liquidity) == ([-60, 60], [0, WAD, 0])
    with pytest.raises(InputError, match="but none uniswap_v4"):
        load(snapshot_of([row], None))
    with pytest.raises(InputError, match="is not there"):
        load(snapshot_of([], ticks))
    assert load(Snapshot(1, 1, "0x" + "ab" * 32, 1, "node", (), {}, {})) == []
