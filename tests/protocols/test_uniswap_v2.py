"""What a Uniswap v2 pair does to those who trade with it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chain.errors import InputError
from protocols.amm.interface import Fill
from protocols.amm.revert import Revert
from protocols.amm.uniswap_v2 import rules
from protocols.amm.uniswap_v2.pool import UniswapV2Pair
from protocols.compiled import fast

WAD = 10**18
MAX_UINT112 = 2**112 - 1

quick = settings(max_examples=200, deadline=None)
reserves = st.tuples(st.integers(10**6, 10**30), st.integers(10**6, 10**30))
sides = st.sampled_from((0, 1))
shares = st.fractions(Fraction(1, 10**6), 100)


def pair_of(reserves_raw: tuple[int, int]) -> UniswapV2Pair:
    return UniswapV2Pair("0xpair", ("0xa", "0xb"), *reserves_raw)


def product(pair: UniswapV2Pair) -> int:
    reserve0, reserve1 = pair.reserves_raw()
    return reserve0 * reserve1


# UniswapV2Pair.spec.ts, getInputPrice
SPEC = [
    (1, 5, 10, 1662497915624478906),
    (1, 10, 5, 453305446940074565),
    (2, 5, 10, 2851015155847869602),
    (2, 10, 5, 831248957812239453),
    (1, 10, 10, 906610893880149131),
    (1, 100, 100, 987158034397061298),
    (1, 1000, 1000, 996006981039903216),
]


@pytest.mark.parametrize(("amount_in", "x", "y", "out"), SPEC)
def test_the_pair_pays_what_its_own_specification_says_and_not_one_unit_more(
    amount_in: int, x: int, y: int, out: int
) -> None:
    amount, reserve0, reserve1 = amount_in * WAD, x * WAD, y * WAD
    assert pair_of((reserve0, reserve1)).quote(0, 1, amount) == Fill(amount, out)
    assert rules.swap(reserve0, reserve1, reserve0 + amount, reserve1, 0, out) == (
        amount,
        0,
        reserve0 + amount,
        reserve1 - out,
    )
    with pytest.raises(Revert, match=r"^UniswapV2: K$"):
        rules.swap(reserve0, reserve1, reserve0 + amount, reserve1, 0, out + 1)


def test_each_condition_of_a_swap_fails_with_the_contract_s_reason_in_the_contract_s_order() -> None:
    def reason(balance0: int, balance1: int, out0: int, out1: int) -> str:
        with pytest.raises(Revert) as revert:
            rules.swap(1000, 1000, balance0, balance1, out0, out1)
        return str(revert.value)

    assert reason(2000, 1000, 0, 0) == "UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT"
    assert reason(2000, 1000, 0, 1000) == "UniswapV2: INSUFFICIENT_LIQUIDITY"
    assert reason(1000, 99, 0, 100) == "UniswapV2: TRANSFER_FAILED"
    assert reason(1000, 1000, 0, 1) == "UniswapV2: INSUFFICIENT_INPUT_AMOUNT"
    assert reason(1001, 1000, 0, 999) == "UniswapV2: K"
    assert reason(2**112, 1000, 0, 999) == "UniswapV2: OVERFLOW"
    assert reason(2**250, 1000, 0, 1) == "ds-math-mul-overflow"
    assert reason(2**130, 2**130, 0, 1) == "ds-math-mul-overflow"


def test_a_donation_counts_as_payment() -> None:
    assert rules.swap(1000, 1000, 1100, 1000, 0, 90).amount0_in == 100


def test_the_price_accumulator_grows_by_price_times_seconds_and_wraps() -> None:
    assert rules.price_cumulative(7, 2, 3, 100, 110) == 7 + 10 * (3 << 112) // 2
    assert rules.price_cumulative(7, 2, 3, 100, 100) == 7
    assert rules.price_cumulative(0, 1, 1, 2**32 - 4, 6) == 10 << 112
    assert rules.price_cumulative(2**256 - 1, 1, 1, 0, 1) == (1 << 112) - 1


@quick
@given(reserves, sides, shares)
def test_a_swap_gives_what_was_quoted_and_a_quote_changes_nothing(
    start: tuple[int, int], side: int, share: Fraction
) -> None:
    pair = pair_of(start)
    amount = int(start[side] * share)
    quoted = pair.quote(side, 1 - side, amount)
    assert pair.reserves_raw() == start
    if quoted.received_raw:
        assert pair.swap(side, 1 - side, amount) == quoted
        after = list(start)
        after[side] += quoted.paid_raw
        after[1 - side] -= quoted.received_raw
        assert pair.reserves_raw() == tuple(after)
        assert pair.state() == {"reserve0": after[0], "reserve1": after[1]}
    else:
        with pytest.raises(Revert):
            pair.swap(side, 1 - side, amount)


@quick
@given(reserves, sides, shares)
def test_the_range_that_a_pair_states_pays_what_it_quotes(start: tuple[int, int], side: int, share: Fraction) -> None:
    pair = pair_of(start)
    paid, dearness = pair.ranges(side, 1 - side)
    assert dearness[0] ** -2.0 == pytest.approx(0.997 * pair.price(side, 1 - side))
    assert paid.tolist() == [0.0, pytest.approx(MAX_UINT112 - start[side])]
    amount = int(start[side] * share)
    then = dearness[0] + (dearness[1] - dearness[0]) * amount / paid[1]
    quoted = pair.quote(side, 1 - side, amount).received_raw
    assert amount / (dearness[0] * then) == pytest.approx(quoted, rel=1e-9, abs=1.0)


@quick
@given(reserves, sides, shares)
def test_no_swap_lowers_the_product_of_the_reserves(start: tuple[int, int], side: int, share: Fraction) -> None:
    pair = pair_of(start)
    assume(pair.quote(side, 1 - side, int(start[side] * share)).received_raw)
    before = product(pair)
    pair.swap(side, 1 - side, int(start[side] * share))
    assert product(pair) >= before


@quick
@given(reserves, sides, shares, shares)
def test_selling_more_never_yields_less_and_never_empties_the_pair(
    start: tuple[int, int], side: int, share: Fraction, more: Fraction
) -> None:
    pair = pair_of(start)
    less = pair.quote(side, 1 - side, int(start[side] * share)).received_raw
    assert less <= pair.quote(side, 1 - side, int(start[side] * (share + more))).received_raw < start[1 - side]


@quick
@given(reserves, sides, shares)
def test_there_and_back_again_never_profits(start: tuple[int, int], side: int, share: Fraction) -> None:
    pair = pair_of(start)
    amount = int(start[side] * share)
    assume(pair.quote(side, 1 - side, amount).received_raw)
    received = pair.swap(side, 1 - side, amount).received_raw
    assert pair.quote(1 - side, side, received).received_raw < amount


@quick
@given(reserves, st.floats(1e-3, 1e3))
def test_arbitrage_ends_within_the_fee_of_the_outside_price_and_then_nobody_trades(
    start: tuple[int, int], ratio: float
) -> None:
    pair = pair_of(start)
    outside = pair.price(0, 1) * ratio
    trade = pair.trade_to(0, 1, outside)
    if trade is None:
        assert ratio >= 0.997 * (1 - 1e-12)
        assert ratio <= (1 + 1e-12) / 0.997
        return
    assume(pair.quote(trade.sold, trade.bought, trade.amount_raw).received_raw)
    pair.swap(trade.sold, trade.bought, trade.amount_raw)
    reserve0, reserve1 = pair.reserves_raw()
    price = Fraction(reserve1, reserve0)
    edge = Fraction(outside) * (Fraction(1000, 997) if trade.sold == 0 else Fraction(997, 1000))
    assert price <= edge if trade.sold == 0 else price >= edge
    # With one unit less paid in it would stand before the edge; that unit moves the reserve that it is paid into by
    # one, and the other by what the unit is worth and what was rounded away before, less than one.
    assert abs(price / edge - 1) <= Fraction(3, min(reserve0, reserve1))
    if min(reserve0, reserve1) > 1000:
        assert pair.trade_to(0, 1, outside) is None


@quick
@given(st.tuples(st.integers(10**4, 10**9), st.integers(10**4, 10**30)), st.floats(0.1, 10))
def test_the_arbitrage_is_the_smallest_that_reaches_the_edge(start: tuple[int, int], ratio: float) -> None:
    pair = pair_of(start)
    outside = pair.price(0, 1) * ratio
    trade = pair.trade_to(0, 1, outside)
    assume(trade is not None and pair.quote(trade.sold, trade.bought, trade.amount_raw - 1).received_raw)
    assert trade is not None
    pair.swap(trade.sold, trade.bought, trade.amount_raw - 1)
    reserve0, reserve1 = pair.reserves_raw()
    if trade.sold == 0:
        assert Fraction(reserve1, reserve0) > Fraction(outside) * Fraction(1000, 997)
    else:
        assert Fraction(reserve1, reserve0) < Fraction(outside) * Fraction(997, 1000)


@quick
@given(reserves, sides, shares)
def test_the_fast_form_quotes_what_the_contract_pays(start: tuple[int, int], side: int, share: Fraction) -> None:
    amount, reserve_in, reserve_out = int(start[side] * share), start[side], start[1 - side]
    exact = rules.amount_out(amount, reserve_in, reserve_out)
    found = fast(rules.amount_out)(float(amount), float(reserve_in), float(reserve_out))
    assert abs(found - exact) <= max(1e-12 * exact, 1)


def test_what_the_pair_would_refuse_is_quoted_as_nothing() -> None:
    pair = pair_of((WAD, 1000))
    assert pair.quote(0, 1, 0) == Fill(0, 0)
    assert pair.quote(0, 1, 1) == Fill(0, 0)
    assert pair.quote(0, 1, MAX_UINT112) == Fill(0, 0)
    assert pair_of((0, WAD)).quote(0, 1, WAD) == Fill(0, 0)
    with pytest.raises(Revert, match="UniswapV2: OVERFLOW"):
        pair.swap(0, 1, MAX_UINT112)
    with pytest.raises(Revert, match="INSUFFICIENT_LIQUIDITY"):
        pair_of((0, WAD)).swap(0, 1, WAD)


def test_an_empty_pair_has_no_price_and_no_arbitrage() -> None:
    pair = pair_of((0, 0))
    assert pair.price(0, 1) == 0
    assert pair.trade_to(0, 1, 1.0) is None


def test_reserves_beyond_uint112_and_price_limits_are_refused() -> None:
    with pytest.raises(InputError, match="uint112"):
        pair_of((2**112, 1))
    with pytest.raises(InputError, match="no price limit"):
        pair_of((WAD, WAD)).swap(0, 1, 1, 1)
