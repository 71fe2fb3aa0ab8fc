"""What a tricrypto pool does to those who trade with it, and what trading does to its price scale."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chain.errors import InputError
from protocols.amm.curve_tricrypto import rules
from protocols.amm.curve_tricrypto.invariant import get_p, get_y, newton_d, newton_y, solve
from protocols.amm.curve_tricrypto.pool import TricryptoPool
from protocols.amm.curve_tricrypto.roots import cube_root, exponential, square_root
from protocols.amm.curve_tricrypto.rules import Ramp, State, Terms
from protocols.amm.interface import Fill
from protocols.amm.revert import Revert
from protocols.compiled import fast

WAD = 10**18
TERMS = Terms((10**12, 10**10, 1), 3_000_000, 30_000_000, 5 * 10**14, 2 * 10**12, 49 * 10**13, 866)
PRICES = (60_000 * WAD, 3_000 * WAD)
A, GAMMA = 1_707_629, 11_809_167_828_997
STEADY = Ramp(A, GAMMA, 0, A, GAMMA, 0)
BALANCES = (3_000_000 * 10**6, 50 * 10**8, 1_000 * WAD)
START = 1_700_000_000

quick = settings(max_examples=50, deadline=None)
skews = st.tuples(*(st.floats(0.7, 1.4) for _ in range(3)))
pairs = st.sampled_from(((0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)))
shares = st.floats(1e-6, 0.5)
parameters = st.sampled_from(((A, GAMMA), (540_000, 80_500_000_000_000), (270_000_000, 10**10), (2_700, 5 * 10**16)))


def pool_of(
    skew: tuple[float, ...] = (1, 1, 1),
    ramp: Ramp = STEADY,
    *,
    now: int = START,
    price_oracle: tuple[int, int] = PRICES,
    terms: Terms = TERMS,
) -> TricryptoPool:
    """A pool of dollars, bitcoin and ether, each worth about three million, that has earned nothing yet."""
    balances = tuple(int(b * s) for b, s in zip(BALANCES, skew, strict=True))
    ann, gamma = rules.a_gamma(ramp, now)
    x = rules.scaled(terms, PRICES, balances)  # type: ignore[arg-type]
    d = newton_d(ann, gamma, x, 0)
    last = tuple(p * scale // WAD for p, scale in zip(get_p(x, d, ann, gamma), PRICES, strict=True))
    supply = rules.get_xcp(d, PRICES)
    state = State(balances, d, PRICES, price_oracle, last, now, WAD, WAD, supply)  # type: ignore[arg-type]
    return TricryptoPool("0xpool", ("0xa", "0xb", "0xc"), terms=terms, ramp=ramp, state=state, timestamp=now)


def steady(parameters: tuple[int, int]) -> Ramp:
    return Ramp(*parameters, 0, *parameters, 0)


# --- swaps --------------------------------------------------------------------------------------------------------


@quick
@given(skews, pairs, shares, parameters)
def test_a_swap_gives_what_was_quoted_and_every_token_is_accounted_for(
    skew: tuple[float, ...], pair: tuple[int, int], share: float, chosen: tuple[int, int]
) -> None:
    pool = pool_of(skew, steady(chosen))
    sold, bought = pair
    before = pool.state
    amount = int(share * before.balances[sold])
    quoted = pool.quote(sold, bought, amount)
    assert pool.state == before
    if quoted == Fill(0, 0):
        with pytest.raises(Revert):
            pool.swap(sold, bought, amount)
        return
    assert pool.swap(sold, bought, amount) == quoted
    after = list(before.balances)
    after[sold] += amount
    after[bought] -= quoted.received_raw
    assert pool.reserves_raw() == tuple(after)
    assert pool.state.total_supply == before.total_supply


@quick
@given(skews, st.lists(st.tuples(pairs, st.floats(1e-5, 0.2), st.integers(0, 3_600)), min_size=1, max_size=5))
def test_trading_never_lowers_profit_and_following_the_market_spends_at_most_half_of_it(
    skew: tuple[float, ...], trades: list[tuple[tuple[int, int], float, int]]
) -> None:
    pool = pool_of(skew)
    now = START
    for (sold, bought), share, wait in trades:
        pool.advance(now := now + wait)
        before = pool.state
        if pool.quote(sold, bought, int(share * before.balances[sold])) == Fill(0, 0):
            continue
        pool.swap(sold, bought, int(share * before.balances[sold]))
        after = pool.state
        assert after.xcp_profit > before.xcp_profit
        if after.price_scale == before.price_scale:
            assert after.d > before.d
            assert after.virtual_price > before.virtual_price
        assert 2 * after.virtual_price - WAD >= after.xcp_profit - 2
        assert after.virtual_price >= WAD


@quick
@given(skews, pairs, shares)
def test_selling_more_never_yields_less(skew: tuple[float, ...], pair: tuple[int, int], share: float) -> None:
    pool = pool_of(skew)
    sold, bought = pair
    amount = int(share * pool.reserves_raw()[sold])
    less, more = (pool.quote(sold, bought, n).received_raw for n in (amount, amount + amount // 1000 + 1))
    assert less <= more < pool.reserves_raw()[bought]


@quick
@given(skews, pairs, st.floats(1e-6, 0.2))
def test_there_and_back_again_never_profits(skew: tuple[float, ...], pair: tuple[int, int], share: float) -> None:
    pool = pool_of(skew)
    sold, bought = pair
    amount = int(share * pool.reserves_raw()[sold])
    received = pool.swap(sold, bought, amount).received_raw
    assert pool.quote(bought, sold, received).received_raw < amount


def test_a_small_trade_pays_the_price_less_the_fee() -> None:
    pool = pool_of((1, 0.9, 1.1))
    for sold, bought in ((0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)):
        amount = BALANCES[sold] // 10**5
        net = pool.price(sold, bought) * (1 - pool.fee(sold, bought))
        assert pool.quote(sold, bought, amount).received_raw == pytest.approx(amount * net, rel=3e-4)
    assert pool.price(0, 1) * pool.price(1, 2) == pytest.approx(pool.price(0, 2))


def test_in_balance_the_pool_pays_the_price_scale_and_far_from_it_the_higher_fee() -> None:
    pool = pool_of()
    assert pool.price(1, 0) == pytest.approx(60_000 * 1e6 / 1e8)
    assert pool.price(2, 0) == pytest.approx(3_000 * 1e6 / 1e18)
    assert pool.fee(0, 1) == 3e-4
    assert 2.9e-3 < pool_of((3, 1, 1)).fee(0, 1) <= 3e-3


def test_the_fee_is_that_of_the_balances_after_the_trade() -> None:
    skewed = pool_of((1.3, 1, 1))
    toward, away = skewed.quote(1, 0, 5 * 10**7).received_raw, skewed.quote(0, 1, 3 * 10**10).received_raw
    flat = pool_of((1.3, 1, 1), terms=TERMS._replace(out_fee=TERMS.mid_fee))
    gross_toward, gross_away = flat.quote(1, 0, 5 * 10**7).received_raw, flat.quote(0, 1, 3 * 10**10).received_raw
    fee_toward, fee_away = 1 - toward / gross_toward * (1 - 3e-4), 1 - away / gross_away * (1 - 3e-4)
    assert fee_toward < skewed.fee(0, 1) < fee_away


# --- what the contract refuses ------------------------------------------------------------------------------------


def test_each_refusal_has_the_contract_s_own_reason_and_is_quoted_as_nothing() -> None:
    pool = pool_of()

    def reason(sold: int, bought: int, amount: int) -> str:
        assert pool.quote(sold, bought, amount) == Fill(0, 0)
        with pytest.raises(Revert) as revert:
            pool.swap(sold, bought, amount)
        return str(revert.value)

    assert reason(0, 0, 10**6) == ""
    assert reason(0, 1, 0) == ""
    assert reason(0, 1, 10**80) == ""
    assert reason(0, 1, 99 * BALANCES[0]) == "Unsafe value for y"
    assert reason(0, 1, 301 * BALANCES[0]) == "Unsafe values x[i]"
    with pytest.raises(Revert, match=r"^Slippage$"):
        rules.exchange(TERMS, STEADY, pool.state, START, 0, 1, 10**6, 10**8)


def test_a_trade_that_brings_the_pool_nothing_is_a_loss_unless_a_and_gamma_ramp() -> None:
    pool = pool_of()
    state = pool.state._replace(virtual_price=WAD + 10**12)
    with pytest.raises(Revert, match=r"^Loss$"):
        rules.exchange(TERMS, STEADY, state, START, 0, 1, 10**6, 0)
    ramping = STEADY._replace(initial_time=START - 100, future_time=START + 100)
    assert rules.exchange(TERMS, ramping, state, START, 0, 1, 10**6, 0).received > 0
    assert rules.exchange(TERMS, ramping, state, START + 100, 0, 1, 10**6, 0).received > 0
    with pytest.raises(Revert, match=r"^Loss$"):
        rules.exchange(TERMS, ramping, state, START + 101, 0, 1, 10**6, 0)


def test_an_empty_pool_has_no_price_and_no_arbitrage() -> None:
    empty = replace(pool_of()._now, state=pool_of().state._replace(balances=(0, 0, 0), d=0))
    pool = TricryptoPool("0xpool", ("0xa", "0xb", "0xc"), terms=TERMS, ramp=STEADY, state=empty.state, timestamp=START)
    assert pool.price(0, 1) == 0
    assert pool.fee(0, 1) == 3e-4
    assert pool.trade_to(0, 1, 1.0) is None
    assert pool.quote(0, 1, 10**6) == Fill(0, 0)


# --- time ---------------------------------------------------------------------------------------------------------


def test_the_moving_average_goes_half_way_to_the_last_price_in_its_half_life() -> None:
    state = pool_of((1.1, 1, 1)).state
    assert rules.moving_average(TERMS, state, START) == PRICES
    for found, old, last in zip(
        rules.moving_average(TERMS, state, START + 600), PRICES, state.last_prices, strict=True
    ):
        assert found == pytest.approx(old + (last - old) * (1 - 0.5 ** (600 / 866 / 0.693147)), rel=1e-6)
    later = rules.moving_average(TERMS, state, START + 10**6)
    assert later == pytest.approx(state.last_prices, rel=1e-9)


def test_a_price_counts_for_the_moving_average_up_to_twice_the_price_scale() -> None:
    state = pool_of().state._replace(last_prices=(5 * PRICES[0], PRICES[1] // 5))
    one, other = rules.moving_average(TERMS, state, START + 10**6)
    assert one == pytest.approx(2 * PRICES[0])
    assert other == pytest.approx(PRICES[1] / 5)


def test_the_price_scale_follows_the_market_once_the_pool_has_earned_enough() -> None:
    pool = pool_of()
    now, market = START, 1.1 * pool.price(2, 0)
    for _ in range(60):
        pool.advance(now := now + 600)
        if (trade := pool.trade_to(2, 0, market)) is not None:
            pool.swap(trade.sold, trade.bought, trade.amount_raw)
        pool.swap(0, 2, pool.swap(2, 0, 100 * WAD).received_raw)
    assert PRICES[1] * 1.02 < pool.state.price_scale[1] < PRICES[1] * 1.11
    assert pool.state.virtual_price > WAD


def test_the_price_scale_stays_without_profit_or_distance() -> None:
    near = pool_of(price_oracle=(PRICES[0] + PRICES[0] // 10**5, PRICES[1]))
    rich = near.state._replace(virtual_price=WAD + 10**16 - 10**12, total_supply=near.state.total_supply * 99 // 100)
    exchanged = rules.exchange(TERMS, STEADY, rich, START, 0, 1, 10**8, 0)
    assert exchanged.state.price_scale == PRICES
    far = (PRICES[0] * 102 // 100, PRICES[1])
    poor = pool_of(price_oracle=far)
    poor.swap(0, 1, 10**6)
    assert poor.state.price_scale == PRICES
    exchanged = rules.exchange(TERMS, STEADY, rich._replace(price_oracle=far), START, 0, 1, 10**8, 0)
    # a fifth of the way there, since that is more than the least step
    assert exchanged.state.price_scale[0] == pytest.approx(PRICES[0] * 1.004, rel=1e-9)
    assert exchanged.state.price_scale[1] == PRICES[1]


def test_a_and_gamma_ramp_in_a_line_and_move_what_the_pool_quotes() -> None:
    ramp = Ramp(540_000, 8 * 10**13, START, 1_080_000, 4 * 10**13, START + 1000)
    assert rules.a_gamma(ramp, START) == (540_000, 8 * 10**13)
    assert rules.a_gamma(ramp, START + 250) == (675_000, 7 * 10**13)
    assert rules.a_gamma(ramp, START + 1000) == (1_080_000, 4 * 10**13)
    assert rules.a_gamma(ramp, START + 9000) == (1_080_000, 4 * 10**13)
    pool = pool_of((1.2, 1, 1), ramp)
    first = pool.quote(0, 1, 10**11)
    pool.advance(START + 500)
    second = pool.quote(0, 1, 10**11)
    assert first != second
    assert pool.swap(0, 1, 10**11) == second


# --- mathematics --------------------------------------------------------------------------------------------------


@quick
@given(skews, parameters, st.sampled_from((0, 1, 2)))
def test_the_balance_that_is_found_from_d_is_the_one_that_d_was_found_from(
    skew: tuple[float, ...], chosen: tuple[int, int], i: int
) -> None:
    x = tuple(int(3e24 * s) for s in skew)
    d = newton_d(*chosen, x, 0)  # type: ignore[arg-type]
    y, k0 = get_y(*chosen, x, d, i)  # type: ignore[arg-type]
    assert abs(y - x[i]) <= x[i] * 1e-12
    assert newton_y(*chosen, x, d, i) == pytest.approx(y, rel=1e-13)  # type: ignore[arg-type]
    assert k0 <= WAD + 10**6  # in balance it is one, but for rounding
    assert abs(newton_d(*chosen, x, k0) - d) <= d * 1e-13  # type: ignore[arg-type]


def test_parameters_and_balances_out_of_bounds_are_refused() -> None:
    x = (10**24, 10**24, 10**24)
    d = 3 * 10**24
    for arguments, reason in (
        ((2_699, GAMMA, x, d, 0), ""),
        ((A, 10**10 - 1, x, d, 0), ""),
        ((A, GAMMA, x, 10**17 - 1, 0), ""),
        ((A, GAMMA, x, 10**33 + 1, 0), ""),
        ((A, GAMMA, (0, d // 101, 10**24), d, 0), r"Unsafe values x\[i\]"),
        ((A, GAMMA, (0, 101 * d, 10**24), d, 0), r"Unsafe values x\[i\]"),
        ((A, GAMMA, (0, 50 * d, 50 * d), d, 0), "Unsafe value for y"),
    ):
        with pytest.raises(Revert, match=f"^{reason}$"):
            get_y(*arguments)
    with pytest.raises(Revert, match=r"^$"):
        newton_d(A, GAMMA, (0, 0, 0), 0)
    with pytest.raises(Revert, match=r"^$"):
        get_p(x, 10**17 - 1, A, GAMMA)


@quick
@given(st.integers(1, 10**70), st.integers(-42 * WAD, 0))
def test_roots_and_exponentials_are_right_but_for_their_last_digits(x: int, power: int) -> None:
    with localcontext() as context:
        context.prec = 60
        root = (Decimal(x) * Decimal(10) ** 36) ** (Decimal(1) / 3)
        grown = (Decimal(power) / WAD).exp() * WAD
    # of the largest numbers the contract takes the root with fewer digits
    digits = 1 if x < 2**256 // 10**36 else 10**6 if x < 2**256 // 10**18 else 10**12
    assert abs(cube_root(x) - root) <= digits
    assert abs(exponential(power) - grown) <= 1
    assert square_root(x) ** 2 <= x < (square_root(x) + 1) ** 2


def test_where_the_equation_has_more_than_one_root_newton_s_method_finds_the_balance() -> None:
    ann, gamma, d = 7_001_146, 30_506_940_052_685_012, 286_861_312_892_704_882_455_216_128
    x = (0, 3_744_768_059_705_293_059_129_344, 6_076_271_292_316_724_800_520_192)
    y, k0 = solve(ann, gamma, x, d, 0)
    assert k0 == 0
    assert y == newton_y(ann, gamma, x, d, 0)
    assert newton_d(ann, gamma, (y, *x[1:]), 0) == pytest.approx(d, rel=1e-12)


def test_the_root_and_the_exponential_of_nothing_are_nothing_and_one() -> None:
    assert cube_root(0) == 0
    assert exponential(0) == WAD
    assert exponential(-50 * WAD) == 0


# --- arbitrage ----------------------------------------------------------------------------------------------------


@quick
@given(skews, pairs, st.floats(0.85, 1.15), st.sampled_from((0, 12, 3_600)))
def test_arbitrage_ends_within_the_fee_of_the_outside_price_and_then_nobody_trades(
    skew: tuple[float, ...], pair: tuple[int, int], ratio: float, wait: int
) -> None:
    pool = pool_of(skew)
    pool.advance(START + wait)
    sold, bought = pair
    outside = pool.price(sold, bought) * ratio
    trade = pool.trade_to(sold, bought, outside)
    if trade is None:
        assert 1 - pool.fee(0, 1) - 1e-8 <= ratio <= 1 / (1 - pool.fee(0, 1)) + 1e-8
        return
    assume(pool.quote(trade.sold, trade.bought, trade.amount_raw).received_raw)
    pool.swap(trade.sold, trade.bought, trade.amount_raw)
    kept = 1 - pool.fee(0, 1)
    assert outside * kept * (1 - 1e-7) <= pool.price(sold, bought) <= outside / kept * (1 + 1e-7)
    assert pool.trade_to(sold, bought, outside) is None


# --- fast ---------------------------------------------------------------------------------------------------------


def floats(record: Any) -> Any:
    return record._make(tuple(map(float, v)) if isinstance(v, tuple) else float(v) for v in record)


@quick
@given(skews, pairs, shares, parameters, st.integers(0, 10_000))
def test_the_fast_form_pays_what_the_contract_pays_and_leaves_the_same_state(
    skew: tuple[float, ...], pair: tuple[int, int], share: float, chosen: tuple[int, int], wait: int
) -> None:
    state, now = pool_of(skew, steady(chosen)).state, START + wait
    ramp = steady(chosen)
    amount = int(share * state.balances[pair[0]])
    arguments = floats(TERMS), floats(ramp), floats(state), float(now), *pair, float(amount), 0.0
    try:
        exact = rules.exchange(TERMS, ramp, state, now, *pair, amount, 0)
    except Revert as revert:
        with pytest.raises(Revert, match=f"^{str(revert).replace('[', '.')[:10]}"):
            fast(rules.exchange)(*arguments)
        return
    found = fast(rules.exchange)(*arguments)
    assert abs(found.received - exact.received) <= 1e-11 * state.balances[pair[1]] + 2
    assert found.state.d == pytest.approx(exact.state.d, rel=1e-11)
    assert found.state.virtual_price == pytest.approx(exact.state.virtual_price, rel=1e-11)
    assert found.state.price_scale == pytest.approx(exact.state.price_scale, rel=1e-11)
    assert found.state.last_prices == pytest.approx(exact.state.last_prices, rel=1e-9)


# --- input --------------------------------------------------------------------------------------------------------


def test_what_makes_no_pool_is_refused_by_name() -> None:
    state = pool_of().state
    good = {"terms": TERMS, "ramp": STEADY, "state": state, "timestamp": START}
    for changed, words in (
        ({"state": state._replace(balances=(1, -1, 1))}, "negative"),
        ({"state": state._replace(total_supply=0)}, "supply"),
        ({"terms": TERMS._replace(mid_fee=4 * 10**7)}, "shares in order"),
        ({"terms": TERMS._replace(ma_time=0)}, "time constant"),
        ({"ramp": STEADY._replace(future_a=100)}, "out of bounds"),
        ({"ramp": STEADY._replace(initial_gamma=10**18)}, "out of bounds"),
        ({"timestamp": START - 1}, "later than"),
    ):
        with pytest.raises(InputError, match=words):
            TricryptoPool("0xpool", ("0xa", "0xb", "0xc"), **(good | changed))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="three coins"):
        TricryptoPool("0xpool", ("0xa", "0xb"), **good)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no price limit"):
        pool_of().swap(0, 1, 1, 1)
    with pytest.raises(InputError, match="positive amount"):
        pool_of().swap(0, 1, -1)
