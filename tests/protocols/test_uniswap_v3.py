"""What a Uniswap v3 pool does to those who trade with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import isqrt

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chain.errors import InputError
from protocols.amm.interface import Fill
from protocols.amm.revert import Revert
from protocols.amm.uniswap_v3 import rules
from protocols.amm.uniswap_v3.pool import MAX_INT256, UniswapV3Pool
from protocols.amm.uniswap_v3.ticks import (
    MAX_SQRT_PRICE_X96,
    MAX_TICK,
    MIN_SQRT_PRICE_X96,
    MIN_TICK,
    fast_ticks,
    gap,
    shifted,
    split,
    sqrt_price_at_tick,
    tick_at_sqrt_price,
)
from protocols.compiled import fast
from tests.vectors.outcome import relative_error

WAD = 10**18
Q96 = 1 << 96
LOWEST, HIGHEST = MIN_SQRT_PRICE_X96 + 1, MAX_SQRT_PRICE_X96 - 1

quick = settings(max_examples=100, deadline=None)


@dataclass(frozen=True)
class Position:
    lower: int
    upper: int
    liquidity: int


def pool_of(
    positions: list[Position],
    price: int = Q96,
    fee_pips: int = 3000,
    tick_spacing: int = 60,
    fee_protocol: int = 0,
) -> UniswapV3Pool:
    net: Counter[int] = Counter()
    for position in positions:
        net[position.lower] += position.liquidity
        net[position.upper] -= position.liquidity
    tick = tick_at_sqrt_price(price)
    ticks = sorted(net)
    return UniswapV3Pool(
        "0xpool",
        ("0xa", "0xb"),
        fee_pips=fee_pips,
        tick_spacing=tick_spacing,
        sqrt_price_x96=price,
        tick=tick,
        liquidity=sum(p.liquidity for p in positions if p.lower <= tick < p.upper),
        ticks=ticks,
        liquidity_net=[net[t] for t in ticks],
        fee_protocol=fee_protocol,
    )


@st.composite
def pools(draw: Callable[..., int], lowest: int = 10**10, highest: int = 10**26) -> UniswapV3Pool:
    """A pool around any price, with up to eight positions that overlap, touch or leave gaps."""
    fee_pips, spacing = draw(st.sampled_from(((100, 1), (500, 10), (3000, 60), (10000, 200))))
    middle = draw(st.integers(-200_000, 200_000)) // spacing
    positions = []
    for _ in range(draw(st.integers(1, 8))):
        lower = (middle + draw(st.integers(-400, 399))) * spacing
        upper = lower + draw(st.integers(1, 400)) * spacing
        positions.append(Position(lower, upper, draw(st.integers(lowest, highest))))
    price = sqrt_price_at_tick(middle * spacing) + draw(st.integers(-(10**9), 10**9))
    fee_protocol = draw(st.sampled_from((0, 4, 10))) + 16 * draw(st.sampled_from((0, 5)))
    return pool_of(positions, price, fee_pips, spacing, fee_protocol)


sides = st.sampled_from((0, 1))
amounts = st.integers(1, 10**30) | st.integers(0, 40).map(lambda bits: 10**9 + (1 << 2 * bits))


# --- fixtures of the protocol's own tests -----------------------------------------------------------------------

# TickMath.spec.ts
TICKS = {
    MIN_TICK: MIN_SQRT_PRICE_X96,
    MAX_TICK: MAX_SQRT_PRICE_X96,
    -738203: 7409801140451,
    -500000: 1101692437043807371,
    -50000: 6504256538020985011912221507,
    -50: 79030349367926598376800521322,
    0: Q96,
    50: 79426470787362580746886972461,
    100: 79625275426524748796330556128,
    1000: 83290069058676223003182343270,
}


@pytest.mark.parametrize("tick", TICKS)
def test_a_tick_s_price_is_that_of_tick_math(tick: int) -> None:
    assert sqrt_price_at_tick(tick) == TICKS[tick]


def root(numerator: int, denominator: int) -> int:
    return isqrt((numerator << 192) // denominator)


# SwapMath.spec.ts: price, target, L, remaining, exact in, fee -> price, in, out, fee; None where it names no price
WIDE = 20282409603651670423947251286016
STEPS = {
    "exact in, stopped at the target": (
        (Q96, root(101, 100), 2 * WAD, WAD, True, 600),
        (root(101, 100), 9975124224178055, 9925619580021728, 5988667735148),
    ),
    "exact out, stopped at the target": (
        (Q96, root(101, 100), 2 * WAD, WAD, False, 600),
        (root(101, 100), 9975124224178055, 9925619580021728, 5988667735148),
    ),
    "exact in, all spent": (
        (Q96, root(1000, 100), 2 * WAD, WAD, True, 600),
        (None, 999400000000000000, 666399946655997866, 600000000000000),
    ),
    "exact out, all received": (
        (Q96, root(10000, 100), 2 * WAD, WAD, False, 600),
        (None, 2 * WAD, WAD, 1200720432259356),
    ),
    "the output is capped at what was asked": (
        (
            417332158212080721273783715441582,
            1452870262520218020823638996,
            159344665391607089467575320103,
            1,
            False,
            1,
        ),
        (417332158212080721273783715441581, 1, 1, 1),
    ),
    "part of the input moves the price from 2 to 1": (
        (2, 1, 1, 3915081100057732413702495386755767, True, 1),
        (1, 39614081257132168796771975168, 0, 39614120871253040049813),
    ),
    "all of the input is fee": (
        (2413, 79887613182836312, 1985041575832132834610021537970, 10, True, 1872),
        (2413, 0, 0, 10),
    ),
    "too little of token 0 for an exact output": (
        (WIDE, WIDE * 11 // 10, 1024, 4, False, 3000),
        (WIDE * 11 // 10, 26215, 0, 79),
    ),
    "too little of token 1 for an exact output": (
        (WIDE, WIDE * 9 // 10, 1024, 263000, False, 3000),
        (WIDE * 9 // 10, 1, 26214, 1),
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_that_of_swap_math(name: str) -> None:
    (price, target, liquidity, remaining, exact_in, fee), (end, *amounts_and_fee) = STEPS[name]
    step = rules.swap_step(price, target, liquidity, remaining, fee, price >= target, exact_in)
    assert list(step[1:]) == amounts_and_fee
    assert end is None or step.sqrt_price_x96 == end


def test_a_huge_amount_of_token0_takes_the_formula_that_does_not_overflow() -> None:
    # SqrtPriceMath.getNextSqrtPriceFromAmount0RoundingUp: L / (L / s + a), less precise by the floor of L / s
    liquidity, price, amount = 2**128 - 1, HIGHEST, 2**97
    numerator = liquidity << 96
    coarse = -(-numerator // (numerator // price + amount))
    assert rules.price_after_token0_in(price, liquidity, amount) == coarse
    assert coarse != -(-numerator * price // (numerator + amount * price))


# --- prices and ticks -------------------------------------------------------------------------------------------


@settings(max_examples=500, deadline=None)
@given(st.integers(MIN_SQRT_PRICE_X96, MAX_SQRT_PRICE_X96 - 1) | st.integers(1 << 60, 1 << 130))
def test_the_tick_of_a_price_is_the_greatest_whose_price_is_not_above(price: int) -> None:
    tick = tick_at_sqrt_price(price)
    assert sqrt_price_at_tick(tick) <= price < sqrt_price_at_tick(tick + 1)


@quick
@given(st.integers(MIN_TICK + 1, MAX_TICK - 1))
def test_a_price_one_below_a_tick_s_belongs_to_the_tick_below(tick: int) -> None:
    assert tick_at_sqrt_price(sqrt_price_at_tick(tick)) == tick
    assert tick_at_sqrt_price(sqrt_price_at_tick(tick) - 1) == tick - 1


@quick
@given(st.integers(MIN_SQRT_PRICE_X96, MAX_SQRT_PRICE_X96), st.integers(1, 1 << 50))
def test_the_fast_form_tells_prices_apart_that_a_float_cannot(price: int, change: int) -> None:
    moved = fast(_move_and_measure)(split(price), float(change))
    assert moved == pytest.approx(change, abs=max(price >> 100, 1))


def _move_and_measure(price: tuple[float, float], change: float) -> float:
    return gap(price, shifted(price, change))  # type: ignore[no-any-return]


# --- ticks crossed ----------------------------------------------------------------------------------------------


def test_a_falling_price_crosses_a_tick_and_leaves_its_liquidity() -> None:
    pool = pool_of([Position(-600, 600, WAD), Position(-60, 60, 9 * WAD)])
    assert pool.state()["liquidity"] == 10 * WAD
    pool.swap(0, 1, MAX_INT256, sqrt_price_at_tick(-60))
    assert pool.state() == {"sqrtPriceX96": sqrt_price_at_tick(-60), "tick": -61, "liquidity": WAD}
    growth, _ = pool.fee_growth_global_x128
    assert growth > 0
    assert pool.outside.fee_growth0_x128 == [0, growth, 0, 0]
    pool.swap(1, 0, MAX_INT256, sqrt_price_at_tick(-60) + 1)
    assert pool.state() == {"sqrtPriceX96": sqrt_price_at_tick(-60) + 1, "tick": -60, "liquidity": 10 * WAD}
    assert pool.outside.fee_growth0_x128 == [0, 0, 0, 0]


def test_a_quote_leaves_every_counter_as_it_was() -> None:
    pool = pool_of([Position(-600, 600, WAD), Position(-60, 60, 9 * WAD)], fee_protocol=0x44)
    before = deepcopy(vars(pool))
    assert pool.quote(0, 1, 10 * WAD).received_raw > 0
    assert vars(pool) == before


def test_the_protocol_takes_its_part_of_the_fee_in_the_token_paid_in() -> None:
    pool = pool_of([Position(-600, 600, WAD)], fee_protocol=4 + 16 * 5)
    pool.swap(0, 1, 10**15)
    pool.swap(1, 0, 10**15)
    assert pool.protocol_fees_raw == [10**15 * 3 // 1000 // 4, 10**15 * 3 // 1000 // 5]


def test_an_exhausted_range_fills_in_part_and_the_price_runs_to_the_bound() -> None:
    pool = pool_of([Position(-60, 60, WAD)])
    fill = pool.swap(0, 1, 10**30)
    assert fill.paid_raw < 10**30
    assert fill.received_raw == rules.amount1_down(sqrt_price_at_tick(-60), Q96, WAD)
    assert pool.state() == {"sqrtPriceX96": LOWEST, "tick": MIN_TICK, "liquidity": 0}
    assert pool.quote(0, 1, WAD) == Fill(0, 0)
    with pytest.raises(Revert, match=r"^SPL$"):
        pool.swap(0, 1, WAD)


def test_a_price_without_liquidity_moves_for_free() -> None:
    pool = pool_of([Position(600, 1200, WAD)])
    assert pool.reserves_raw()[1] == 0
    assert pool.swap(1, 0, WAD, sqrt_price_at_tick(300)) == Fill(0, 0)
    assert pool.state() == {"sqrtPriceX96": sqrt_price_at_tick(300), "tick": 300, "liquidity": 0}
    assert pool.quote(1, 0, 10**15).received_raw > 0


@pytest.mark.parametrize(("side", "edges"), [(0, (0, -256, -512, -768)), (1, (0, 255, 511, 767))])
def test_the_edge_of_a_bitmap_word_rounds_the_amounts_though_no_liquidity_changes_there(
    side: int, edges: tuple[int, ...]
) -> None:
    liquidity = 10**6 + 7
    prices = [sqrt_price_at_tick(60 * edge) for edge in edges]
    pool = pool_of([Position(min(60 * edges[-1], -60), max(60 * edges[-1], 60), liquidity)])
    fill = pool.quote(side, 1 - side, MAX_INT256)
    words = [rules.swap_step(a, b, liquidity, MAX_INT256, 3000, side == 0, True) for a, b in pairwise(prices)]
    assert fill == Fill(sum(w.amount_in + w.fee for w in words), sum(w.amount_out for w in words))
    at_once = rules.swap_step(prices[0], prices[-1], liquidity, MAX_INT256, 3000, side == 0, True)
    assert fill.received_raw < at_once.amount_out


@quick
@given(pools(), sides, st.integers(MIN_TICK + 1, MAX_TICK - 1), st.integers(-1, 1), st.booleans())
def test_words_without_liquidity_may_be_skipped(
    pool: UniswapV3Pool, side: int, tick: int, nudge: int, at_edge: bool
) -> None:
    if at_edge:  # the price at a word's edge is where skipping could go wrong
        tick = max(tick // (256 * pool.terms.tick_spacing) * 256 * pool.terms.tick_spacing, MIN_TICK + 1)
    limit = sqrt_price_at_tick(tick) + nudge
    assume((limit < pool.slot.sqrt_price_x96) == (side == 0) and limit != pool.slot.sqrt_price_x96)
    walker = deepcopy(pool)
    skipped = pool.swap_specified(side == 0, MAX_INT256, limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "skip_empty_words", lambda ticks, i, tick, limit, zero_for_one: tick)
        assert walker.swap_specified(side == 0, MAX_INT256, limit) == skipped
    assert vars(walker) == vars(pool)


# --- laws -------------------------------------------------------------------------------------------------------


@quick
@given(pools(), sides, amounts)
def test_a_swap_gives_what_was_quoted(pool: UniswapV3Pool, side: int, amount: int) -> None:
    assert pool.quote(side, 1 - side, amount) == pool.swap(side, 1 - side, amount)


@quick
@given(pools(), sides, amounts)
def test_no_more_comes_out_than_the_liquidity_held_and_what_goes_in_is_kept(
    pool: UniswapV3Pool, side: int, amount: int
) -> None:
    before = pool.reserves_raw()
    fill = pool.swap(side, 1 - side, amount)
    after = pool.reserves_raw()
    rounding = 2 * (len(pool.ticks.tick) + 1)  # reserves are rounded down twice in each range
    assert fill.paid_raw <= amount
    assert fill.received_raw <= before[1 - side]
    assert after[side] <= before[side] + fill.paid_raw + rounding
    assert after[1 - side] <= before[1 - side] - fill.received_raw + rounding


@quick
@given(pools(lowest=10**15), sides)
def test_the_ranges_that_a_pool_states_pay_what_it_quotes(pool: UniswapV3Pool, side: int) -> None:
    paid, dearness = pool.ranges(side, 1 - side)
    most = pool.quote(side, 1 - side, MAX_INT256)
    rounding = 2 * (len(paid) + 1)  # each range rounds what it takes up and what it pays down
    assert paid[0] == 0.0
    assert paid[-1] == pytest.approx(most.paid_raw, rel=1e-9, abs=rounding)
    brought = 0.0
    for (start, end), (before, after) in zip(pairwise(paid), pairwise(dearness), strict=True):
        brought += (end - start) / (before * after)
        quoted = pool.quote(side, 1 - side, int(end)).received_raw
        assert brought == pytest.approx(quoted, rel=1e-8, abs=rounding * (1.0 + before**-2.0))


@quick
@given(pools(), sides, amounts, amounts)
def test_selling_more_never_yields_less(pool: UniswapV3Pool, side: int, amount: int, more: int) -> None:
    assert pool.quote(side, 1 - side, amount).received_raw <= pool.quote(side, 1 - side, amount + more).received_raw


@quick
@given(pools(), sides, amounts, amounts)
def test_selling_in_two_parts_never_yields_more(pool: UniswapV3Pool, side: int, first: int, second: int) -> None:
    at_once = pool.quote(side, 1 - side, first + second)
    fills = [pool.swap(side, 1 - side, first), pool.quote(side, 1 - side, second)]
    assert sum(fill.received_raw for fill in fills) <= at_once.received_raw


@quick
@given(pools(), sides, amounts)
def test_there_and_back_again_never_profits(pool: UniswapV3Pool, side: int, amount: int) -> None:
    there = pool.swap(side, 1 - side, amount)
    assert pool.quote(1 - side, side, there.received_raw).received_raw <= there.paid_raw


@quick
@given(pools(), sides, amounts)
def test_what_an_exact_output_costs_buys_at_least_that_output(pool: UniswapV3Pool, side: int, amount: int) -> None:
    seller = deepcopy(pool)
    wanted = pool.swap_specified(side == 0, -amount, LOWEST if side == 0 else HIGHEST)
    assert wanted.received <= amount
    assume(wanted.paid)
    assert seller.quote(side, 1 - side, wanted.paid).received_raw >= wanted.received


@quick
@given(pools(), st.floats(0.01, 100))
def test_arbitrage_ends_within_the_fee_of_the_outside_price_and_then_nobody_trades(
    pool: UniswapV3Pool, ratio: float
) -> None:
    outside = pool.price(0, 1) * ratio
    trade = pool.trade_to(0, 1, outside)
    kept = 1 - pool.fee(0, 1)
    if trade is None:
        assert ratio >= kept * (1 - 1e-9)
        assert ratio <= (1 + 1e-9) / kept
        return
    pool.swap(trade.sold, trade.bought, trade.amount_raw, trade.limit_raw)
    price, fee = pool.state()["sqrtPriceX96"], Fraction(pool.terms.fee_pips, 10**6)
    if trade.sold == 0:
        assert Fraction(price**2, 2**192) <= Fraction(outside) / (1 - fee) < Fraction((price + 1) ** 2, 2**192)
    else:
        assert Fraction((price - 1) ** 2, 2**192) < Fraction(outside) * (1 - fee) <= Fraction(price**2, 2**192)
    assert pool.trade_to(0, 1, outside) is None


@pytest.mark.parametrize("outside", [1e-60, 1e60])
def test_arbitrage_stops_at_the_bounds_of_the_price(outside: float) -> None:
    pool = pool_of([Position(-60, 60, WAD)])
    trade = pool.trade_to(0, 1, outside)
    assert trade is not None
    pool.swap(trade.sold, trade.bought, trade.amount_raw, trade.limit_raw)
    assert pool.state()["sqrtPriceX96"] == (LOWEST if outside < 1 else HIGHEST)
    assert pool.trade_to(0, 1, outside) is None


@settings(max_examples=400, deadline=None, derandomize=True)
@given(pools(), sides, st.booleans(), amounts)
def test_the_fast_form_swaps_as_the_exact_one(pool: UniswapV3Pool, side: int, exact_in: bool, amount: int) -> None:
    specified = amount if exact_in else -amount
    limit = LOWEST if side == 0 else HIGHEST
    slot = rules.State(split(pool.slot.sqrt_price_x96), pool.slot.tick, pool.slot.ticks_below, 0.0, 0.0)
    found = fast(rules.swap)(pool.terms, slot, fast_ticks(pool.ticks), None, side == 0, float(specified), split(limit))
    before = pool.reserves_raw()
    exact = pool.swap_specified(side == 0, specified, limit)
    held = [max(pair) for pair in zip(before, pool.reserves_raw(), strict=True)]
    assert relative_error(found.paid, exact.paid, held[side]) <= 1e-9
    assert relative_error(found.received, exact.received, held[1 - side]) <= 1e-9
    assert relative_error(found.protocol_fee, exact.protocol_fee, held[side]) <= 1e-9


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zero_for_one", "limit"),
    [(True, Q96), (True, Q96 + 1), (True, MIN_SQRT_PRICE_X96), (False, Q96), (False, MAX_SQRT_PRICE_X96)],
)
def test_a_limit_behind_the_price_or_out_of_bounds_reverts(zero_for_one: bool, limit: int) -> None:
    with pytest.raises(Revert, match=r"^SPL$"):
        pool_of([Position(-60, 60, WAD)]).swap_specified(zero_for_one, 1, limit)


def test_a_swap_of_nothing_reverts_and_is_quoted_as_nothing() -> None:
    pool = pool_of([Position(-60, 60, WAD)])
    assert pool.quote(0, 1, 0) == Fill(0, 0)
    with pytest.raises(Revert, match=r"^AS$"):
        pool.swap(0, 1, 0)
    with pytest.raises(InputError, match="positive"):
        pool.swap(0, 1, -1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"liquidity": 1}, "same block"),
        ({"tick": 60}, "slot0"),
        ({"sqrt_price_x96": 0}, "not initialised"),
        ({"ticks": [60, -60]}, "ascending"),
        ({"ticks": [-60, 61]}, "spacing 60"),
        ({"ticks": [-60]}, "lengths"),
        ({"liquidity_net": [WAD, -WAD + 1]}, "missing"),
        ({"liquidity_net": [-WAD, WAD]}, "missing"),
    ],
)
def test_a_pool_whose_parts_do_not_fit_each_other_is_refused(change: dict[str, object], message: str) -> None:
    parts: dict[str, object] = {
        "fee_pips": 3000,
        "tick_spacing": 60,
        "sqrt_price_x96": Q96,
        "tick": 0,
        "liquidity": WAD,
        "ticks": [-60, 60],
        "liquidity_net": [WAD, -WAD],
    }
    UniswapV3Pool("0xpool", ("0xa", "0xb"), **parts)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        UniswapV3Pool("0xpool", ("0xa", "0xb"), **(parts | change))  # type: ignore[arg-type]
