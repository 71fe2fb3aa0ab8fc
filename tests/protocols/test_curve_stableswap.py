"""What a StableSwap pool does to those who trade with it, and to those who leave their coins there."""

from __future__ import annotations

from fractions import Fraction
from math import inf, log
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from chain.errors import InputError
from protocols.amm.curve_stableswap import liquidity, rules
from protocols.amm.curve_stableswap.invariant import Ramp, balance, classic_terms, ng_terms, slope
from protocols.amm.curve_stableswap.pool import StableSwapPool
from protocols.amm.interface import Fill
from protocols.amm.revert import Revert
from protocols.compiled import fast
from tests.protocols.stableswap_pools import d_of, pool_of, pools

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
shares = st.fractions(Fraction(1, 10**5), 20)
directions = st.sampled_from(((0, 1), (1, 0)))
WAD = 10**18


def sold_from(pool: StableSwapPool, coin: int, share: Fraction) -> int:
    return int(pool.reserves_raw()[coin] * share) + 1


# --- laws of a swap -----------------------------------------------------------------------------------------------


@quick
@given(pools(), directions, shares)
def test_a_swap_gives_what_was_quoted_and_every_unit_is_accounted_for(
    pool: StableSwapPool, way: tuple[int, int], share: Fraction
) -> None:
    sold, bought = way
    before, admin = list(pool.reserves_raw()), list(pool.admin_balances_raw)
    amount = sold_from(pool, sold, share)
    quoted = pool.quote(sold, bought, amount)
    assert list(pool.reserves_raw()) == before
    assert pool.swap(sold, bought, amount) == quoted
    assert quoted.paid_raw == amount
    for coin, held in enumerate(pool.reserves_raw()):
        paid = amount if coin == sold else 0
        received = quoted.received_raw if coin == bought else 0
        set_aside = pool.admin_balances_raw[coin] - admin[coin]
        assert held + set_aside == before[coin] + paid - received
        assert set_aside == 0 or coin == bought


@quick
@given(pools(), directions, shares)
def test_no_swap_lowers_the_invariant(pool: StableSwapPool, way: tuple[int, int], share: Fraction) -> None:
    before = d_of(pool)
    pool.swap(*way, sold_from(pool, way[0], share))
    assume(pool.price(*way))  # else the contract finds no D any more
    assert d_of(pool) >= before - 1  # D itself is found to within a unit


@quick
@given(pools(), directions, shares, shares)
def test_selling_more_never_yields_less_and_never_empties_the_pool(
    pool: StableSwapPool, way: tuple[int, int], share: Fraction, more: Fraction
) -> None:
    less = pool.quote(*way, sold_from(pool, way[0], share)).received_raw
    # A larger sale passes nearer to the peg or farther from it: only the dynamic fee may bend the curve.
    if pool.terms.offpeg_fee_multiplier == 0:
        assert less <= pool.quote(*way, sold_from(pool, way[0], share + more)).received_raw
    assert pool.quote(*way, sold_from(pool, way[0], share + more)).received_raw < pool.reserves_raw()[way[1]]


@quick
@given(pools(), directions, shares)
def test_there_and_back_again_never_profits(pool: StableSwapPool, way: tuple[int, int], share: Fraction) -> None:
    amount = sold_from(pool, way[0], share)
    received = pool.swap(*way, amount).received_raw
    assume(received > 0)
    assert pool.quote(*way[::-1], received).received_raw <= amount


@quick
@given(pools(), directions)
def test_a_small_swap_pays_the_marginal_price_less_the_fee(pool: StableSwapPool, way: tuple[int, int]) -> None:
    sold, bought = way
    amount = pool.reserves_raw()[sold] // 10**5
    assume(amount > 10**4)
    expected = amount * pool.price(sold, bought) * (1 - pool.fee(sold, bought))
    assert pool.quote(sold, bought, amount).received_raw == pytest.approx(expected, rel=1e-3, abs=2)
    assert pool.price(sold, bought) * pool.price(bought, sold) == pytest.approx(1, rel=1e-6)


# --- arbitrage ----------------------------------------------------------------------------------------------------


@quick
@given(pools(), directions, st.one_of(st.floats(0.9, 1.1), st.floats(0.1, 10), st.floats(0.999, 1.001)))
def test_arbitrage_ends_at_the_edge_of_the_band_and_then_nobody_trades(
    pool: StableSwapPool, way: tuple[int, int], ratio: float
) -> None:
    sold, bought = way
    outside = pool.price(sold, bought) * ratio
    trade = pool.trade_to(sold, bought, outside)
    assert trade == pool.trade_to(sold, bought, outside)
    if trade is None:
        assert abs(log(ratio)) <= -log(1 - pool.fee(sold, bought)) + 2e-9
        return
    assert (trade.sold, trade.bought) == (way if ratio < 1 else way[::-1])
    pool.swap(trade.sold, trade.bought, trade.amount_raw)
    target = outside if trade.sold == sold else 1 / outside
    got = pool.price(trade.sold, trade.bought) * (1 - pool.fee(trade.sold, trade.bought))
    # a unit of a coarse coin moves the price, and the more the fewer there are of it
    coarse = 20 / min(pool.reserves_raw()) + 4 / trade.amount_raw
    assert -coarse - 2e-9 <= log(got / target) <= 2e-9
    if pool.fee(sold, bought) > coarse + 4e-9:
        assert pool.trade_to(sold, bought, outside) is None


def test_no_outside_price_that_is_none_moves_the_pool() -> None:
    pool = pool_of(1e6, 1e6)
    for price in (0.0, -1.0, inf, 5e-324):
        assert pool.trade_to(0, 1, price) is None
    assert pool_of(0, 0).trade_to(0, 1, 1.0) is None


def test_a_worthless_coin_is_sold_to_the_pool_for_all_that_it_has_but_the_fees() -> None:
    pool = pool_of(1e6, 1e6, decimals=(18, 6))
    trade = pool.trade_to(0, 1, 1e-60)
    assert trade is not None
    assert pool.swap(0, 1, trade.amount_raw).received_raw > 0.999 * 10**12
    assert pool.price(0, 1) > 0


def test_where_the_contract_finds_no_invariant_there_is_no_price_and_no_trade() -> None:
    # what a recorded swap left, after which get_virtual_price reverted: D comes back to where it was, never at rest
    pool = StableSwapPool(
        "0xpool",
        ("0xa", "0xb"),
        terms=ng_terms(1_000_000, 10_000_000_000),
        ramp=Ramp(5_000, 5_000, 0, 0),
        rates=(10**18, 1029894283866671104),
        balances_raw=(243934791351650055580152, 330182110536058889),
        timestamp=0,
    )
    assert pool.price(0, 1) == 0
    assert pool.trade_to(0, 1, 1e-3) is None
    for way in ((0, 1), (1, 0)):
        assert pool.quote(*way, WAD) == Fill(0, 0)
        with pytest.raises(Revert):
            pool.swap(*way, WAD)


# --- the shape of the curve ---------------------------------------------------------------------------------------


def test_a_balanced_pool_holds_as_much_as_the_sum_of_its_coins_and_trades_at_par() -> None:
    pool = pool_of(1e6, 1e6, 1e6, decimals=(18, 6, 8))
    assert d_of(pool) == pytest.approx(3 * 10**24, rel=1e-15)
    assert pool.price(0, 1) == pytest.approx(1e-12, rel=1e-12)
    assert pool.fee(0, 2) == 0.0004


def test_a_high_amplification_trades_at_par_where_a_low_one_slips() -> None:
    high, low = (pool_of(1e6, 1e6, a=a) for a in (2_000, 5))
    sale = 400_000 * WAD
    assert high.quote(0, 1, sale).received_raw > 0.999 * sale
    assert low.quote(0, 1, sale).received_raw < 0.97 * sale


def test_a_coin_that_counts_for_more_is_worth_more() -> None:
    pool = pool_of(1e6, 1.15e6, worth=(1.15, 1.0))
    assert pool.price(0, 1) == pytest.approx(1.15, rel=1e-9)
    pool.rates = (12 * 10**17, 10**18)
    assert pool.price(0, 1) == pytest.approx(1.2, rel=1e-3)
    with pytest.raises(InputError, match="positive rates"):
        pool.rates = (10**18,)


def test_the_fee_of_ng_grows_off_the_peg_and_that_of_3pool_does_not() -> None:
    ng = [pool_of(1e6, x, terms=ng_terms(4_000_000, 50_000_000_000)).fee(0, 1) for x in (1e6, 1e5, 1e3)]
    assert ng[0] == 0.0004
    assert 0.0004 < ng[1] < ng[2] < 0.002
    assert {pool_of(1e6, x, terms=classic_terms(4_000_000, 0)).fee(0, 1) for x in (1e6, 1e5, 1e3)} == {0.0004}


def test_half_of_all_fees_of_ng_and_the_admins_share_of_3pool_leave_the_pool() -> None:
    for terms, share in ((ng_terms(4_000_000, 0), 0.5), (classic_terms(4_000_000, 2 * 10**9), 0.2)):
        pool = pool_of(1e6, 1e6, terms=terms)
        received = pool.swap(0, 1, 1000 * WAD).received_raw
        assert pool.admin_balances_raw == [0, pytest.approx(received * 0.0004 / 0.9996 * share, rel=1e-9)]


def test_the_marginal_price_is_the_slope_of_the_curve() -> None:
    pool = pool_of(1e6, 3e5, 5e4)
    xp, d = rules.scaled(pool.rates, pool.reserves_raw()), d_of(pool)
    step = 10**15
    y = balance(pool.terms, pool.amp, d, [xp[0] + step, *xp[1:]], 2)
    above, below = slope(pool.terms, pool.amp, d, xp, 0, 2)
    assert (xp[2] - y) / step == pytest.approx(above / below, rel=1e-6)


# --- time ---------------------------------------------------------------------------------------------------------


def test_a_ramps_up_or_down_from_one_time_to_another_and_then_stays() -> None:
    up, down = (pool_of(1e6, 1e6, ramp=Ramp(a, b, 1000, 2001)) for a, b in ((20_000, 30_000), (30_000, 20_000)))
    for time, rising, falling in (
        (1000, 20_000, 30_000),
        (1500, 24_995, 25_005),
        (2001, 30_000, 20_000),
        (9999, 30_000, 20_000),
    ):
        up.advance(time)
        down.advance(time)
        assert (up.amp, down.amp) == (rising, falling)


def test_while_a_ramps_the_view_of_ng_is_not_what_a_swap_pays() -> None:
    pool = pool_of(1e6, 2e5, ramp=Ramp(20_000, 30_000, 0, 100))
    pool.advance(37)
    amount = 50_000 * WAD
    view = rules.get_dy(pool.terms, pool.amp - pool.amp % 100 + 99, pool.rates, pool.reserves_raw(), 0, 1, amount)
    assert view == rules.get_dy(pool.terms, pool.amp - pool.amp % 100, pool.rates, pool.reserves_raw(), 0, 1, amount)
    pool = pool_of(1e6, 2e5, ramp=Ramp(20_099, 20_099, 0, 0))
    paid = pool.quote(0, 1, amount).received_raw
    promised = rules.get_dy(pool.terms, pool.amp, pool.rates, pool.reserves_raw(), 0, 1, amount)
    assert paid > promised + 10**6
    assert rules.get_dx(pool.terms, pool.amp, pool.rates, pool.reserves_raw(), 0, 1, promised) == pytest.approx(
        amount, rel=1e-4
    )


# --- what is refused ----------------------------------------------------------------------------------------------


def test_what_the_contract_would_refuse_is_quoted_as_nothing_and_swapped_with_its_reason() -> None:
    pool = pool_of(1e6, 1e6)
    assert pool.quote(0, 1, 0) == Fill(0, 0)
    assert pool.quote(0, 1, 2**255) == Fill(0, 0)
    assert pool.quote(0, 0, WAD) == Fill(0, 0)
    for sold, bought, amount in ((0, 1, 0), (0, 1, 2**255), (0, 0, WAD)):
        with pytest.raises(Revert, match=r"^$"):
            pool.swap(sold, bought, amount)
    with pytest.raises(Revert, match=r"^Exchange resulted in fewer coins than expected$"):
        pool.exchange(0, 1, WAD, WAD)
    assert pool.reserves_raw() == (10**24, 10**24)
    least = pool.quote(0, 1, WAD).received_raw
    assert pool.exchange(0, 1, WAD, least).received == least


def test_only_3pool_trades_nothing_for_something() -> None:
    classic = pool_of(1e6, 2e5, terms=classic_terms(4_000_000, 0))
    assert classic.exchange(0, 1, 0, 0).received >= 0


def test_an_empty_pool_has_no_price_and_a_drained_one_no_swap() -> None:
    empty, drained = pool_of(0, 0), pool_of(1e6, 0)
    for pool in (empty, drained):
        assert pool.price(0, 1) == 0
        assert pool.fee(0, 1) >= 0.0004
        assert pool.quote(1, 0, WAD) == Fill(0, 0)


def test_what_makes_no_pool_is_refused() -> None:
    good = pool_of(1e6, 1e6)
    parts: dict[str, Any] = {
        "terms": good.terms,
        "ramp": good.ramp,
        "rates": good.rates,
        "balances_raw": (1, 1),
        "timestamp": 0,
    }
    for message, change in (
        ("other numbers", {"balances_raw": (1, 1, 1)}),
        ("negative", {"balances_raw": (1, -1)}),
        ("rate is not positive", {"rates": (1, 0)}),
        ("not shares", {"terms": ng_terms(10**10, 0)}),
        ("A is below one", {"ramp": Ramp(99, 200, 0, 0)}),
    ):
        with pytest.raises(InputError, match=message):
            StableSwapPool("0xpool", ("0xa", "0xb"), **parts | change)
    with pytest.raises(InputError, match="no price limit"):
        good.swap(0, 1, WAD, 1)
    with pytest.raises(InputError, match="positive amount"):
        good.swap(0, 1, -1)


# --- liquidity ----------------------------------------------------------------------------------------------------


@quick
@given(pools(skew=5.0), st.fractions(Fraction(1, 1000), Fraction(1, 2)))
def test_who_adds_one_coin_and_takes_it_back_never_profits(pool: StableSwapPool, share: Fraction) -> None:
    standing = (pool.terms, pool.amp, pool.rates)
    amounts = [sold_from(pool, 0, share), *(0 for _ in pool.tokens[1:])]
    supply = d_of(pool)
    deposit = liquidity.add_liquidity(*standing, pool.reserves_raw(), amounts, supply)
    held = [b + a - f for b, a, f in zip(pool.reserves_raw(), amounts, deposit.admin_fees, strict=True)]
    back = liquidity.remove_liquidity_one_coin(*standing, held, deposit.minted, 0, supply + deposit.minted)
    assert back.received <= amounts[0]
    assert back.received >= amounts[0] * 0.8


def test_an_even_deposit_pays_no_fee_and_nothing_is_no_deposit() -> None:
    pool = pool_of(1e6, 2e6, 4e5)
    standing = (pool.terms, pool.amp, pool.rates, pool.reserves_raw())
    amounts = [balance // 100 for balance in pool.reserves_raw()]
    deposit = liquidity.add_liquidity(*standing, amounts, 3 * 10**24)
    assert max(deposit.fees) <= 10**4
    assert deposit.minted == pytest.approx(3 * 10**22, rel=1e-12)
    with pytest.raises(Revert):
        liquidity.add_liquidity(*standing, [0, 0, 0], 3 * 10**24)


# --- the fast form ------------------------------------------------------------------------------------------------


@quick
@given(pools(), directions, shares)
def test_the_fast_form_exchanges_what_the_exact_one_does(
    pool: StableSwapPool, way: tuple[int, int], share: Fraction
) -> None:
    amount = sold_from(pool, way[0], share)
    exact = rules.exchange(pool.terms, pool.amp, pool.rates, pool.reserves_raw(), *way, amount, 0)
    arrays = (np.array(pool.rates, np.float64), np.array(pool.reserves_raw(), np.float64))
    found = fast(rules.exchange)(pool.terms, float(pool.amp), *arrays, *way, float(amount), 0.0)
    for one, other in zip(found, exact, strict=True):
        assert abs(one - other) <= max(1e-9 * pool.reserves_raw()[way[1]], 2)
