"""What a Balancer weighted pool does to those who trade with it."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chain.errors import InputError
from protocols.amm.balancer_weighted import rules
from protocols.amm.balancer_weighted.pool import BalancerWeightedPool
from protocols.amm.balancer_weighted.power import power
from protocols.amm.interface import Fill
from protocols.amm.revert import Revert
from protocols.arithmetic import max_uint112
from protocols.compiled import fast

WAD = 10**18

quick = settings(max_examples=100, deadline=None)
balances = st.tuples(st.integers(10**9, 10**28), st.integers(10**9, 10**28))
weights = st.sampled_from(((1, 1), (4, 1), (1, 4), (2, 1), (3, 7), (1, 99), (99, 1)))
sides = st.sampled_from((0, 1))
shares = st.fractions(Fraction(1, 10**6), Fraction(29, 100))
fees = st.sampled_from((10**12, 3 * 10**15, 10**17))


def pool_of(
    held: tuple[int, ...], parts: tuple[int, ...] = (1, 1), fee: int = 3 * 10**15, *, exact_powers: bool = True
) -> BalancerWeightedPool:
    """A pool of tokens of 18 decimals whose weights are to each other as the parts."""
    rounded = [WAD * part // sum(parts) for part in parts]
    return BalancerWeightedPool(
        "0xpool",
        [f"0x{n}" for n in range(len(held))],
        decimals=[18] * len(held),
        balances_raw=held,
        weights_wad=[*rounded[:-1], WAD - sum(rounded[:-1])],
        swap_fee_wad=fee,
        exact_powers=exact_powers,
    )


def product(pool: BalancerWeightedPool, parts: tuple[int, int]) -> int:
    """What trading must not lower: the balances, each to the power of its part."""
    one, other = pool.reserves_raw()
    return int(one ** parts[0] * other ** parts[1])


# --- swaps --------------------------------------------------------------------------------------------------------


@quick
@given(balances, weights, fees, sides, shares)
def test_a_swap_gives_what_was_quoted_and_every_token_is_accounted_for(
    held: tuple[int, int], parts: tuple[int, int], fee: int, side: int, share: Fraction
) -> None:
    pool = pool_of(held, parts, fee)
    amount = max(int(held[side] * share), 1)
    quoted = pool.quote(side, 1 - side, amount)
    assert pool.reserves_raw() == held
    assert pool.swap(side, 1 - side, amount) == quoted
    after = list(held)
    after[side] += amount
    after[1 - side] -= quoted.received_raw
    assert pool.reserves_raw() == tuple(after)


@quick
@given(balances, weights, fees, sides, shares)
def test_no_swap_lowers_the_invariant(
    held: tuple[int, int], parts: tuple[int, int], fee: int, side: int, share: Fraction
) -> None:
    pool = pool_of(held, parts, fee)
    before = product(pool, parts)
    pool.swap(side, 1 - side, max(int(held[side] * share), 1))
    assert product(pool, parts) >= before


@quick
@given(balances, weights, fees, sides, shares)
def test_selling_a_thousandth_more_never_yields_less(
    held: tuple[int, int], parts: tuple[int, int], fee: int, side: int, share: Fraction
) -> None:
    # over less than that the rounding of the power can outweigh what is sold
    pool = pool_of(held, parts, fee)
    amount = max(int(held[side] * share), 1)
    less = pool.quote(side, 1 - side, amount).received_raw
    assert less <= pool.quote(side, 1 - side, amount + amount // 1000 + 1).received_raw < held[1 - side]


@quick
@given(balances, weights, fees, sides, shares)
def test_there_and_back_again_never_profits(
    held: tuple[int, int], parts: tuple[int, int], fee: int, side: int, share: Fraction
) -> None:
    pool = pool_of(held, parts, fee)
    amount = max(int(held[side] * share), 1)
    received = pool.swap(side, 1 - side, amount).received_raw
    assert pool.quote(1 - side, side, received).received_raw < amount


@quick
@given(balances, weights, fees, sides, shares)
def test_what_is_asked_for_an_amount_out_brings_that_amount(
    held: tuple[int, int], parts: tuple[int, int], fee: int, side: int, share: Fraction
) -> None:
    one, other = (rules.Token(b, WAD * part // sum(parts), 1) for b, part in zip(held, parts, strict=True))
    sold, bought = (one, other) if side == 0 else (other, one)
    amount = max(int(bought.balance * share / 2), 1)
    paid = rules.swap_given_out(sold, bought, fee, amount, True)
    assume(paid <= rules.most_given_in(sold, fee))
    # each way the power is rounded against the trader, by 1e-14 of itself
    found = rules.swap_given_in(sold, bought, fee, paid, True)
    assert amount - bought.balance * 3e-14 - 2 <= found
    price = bought.balance * sold.weight / (sold.balance * bought.weight)
    # what the rounding of the power adds to the payment, 1e-14 of the balance, buys as well
    assert found <= amount * (1 + 1e-9) + price * (3 + 3e-14 * sold.balance) + 2


def test_equal_weights_are_a_constant_product_after_the_fee() -> None:
    pool = pool_of((400 * WAD, 100 * WAD), (1, 1), 10**16)
    # 99 of 100 are kept: 100 * (1 - 400 / 499), rounded against the trader
    exact = 100 * WAD * 99 // 499
    assert exact - 101 <= pool.quote(0, 1, 100 * WAD).received_raw <= exact


def test_a_pool_from_before_2022_gives_a_little_less_where_exponents_are_multiplied_out_since() -> None:
    for parts in ((1, 1), (4, 1)):
        later = pool_of((400 * WAD, 100 * WAD), parts).quote(0, 1, WAD).received_raw
        earlier = pool_of((400 * WAD, 100 * WAD), parts, exact_powers=False).quote(0, 1, WAD).received_raw
        assert 0 < later - earlier < 100 * WAD * 2e-14
    assert pool_of((400, 100), (3, 7)).quote(0, 1, 9) == pool_of((400, 100), (3, 7), exact_powers=False).quote(0, 1, 9)


@quick
@given(balances, weights, fees, sides)
def test_thirty_percent_after_the_fee_is_the_most_that_a_swap_brings_in(
    held: tuple[int, int], parts: tuple[int, int], fee: int, side: int
) -> None:
    pool = pool_of(held, parts, fee)
    most = rules.most_given_in(rules.Token(held[side], WAD, 1), fee)
    assert most * (1 - fee / WAD) == pytest.approx(0.3 * held[side], rel=1e-8)
    assert pool.quote(side, 1 - side, most).paid_raw == most
    assert pool.quote(side, 1 - side, most + 1) == Fill(0, 0)
    with pytest.raises(Revert, match=r"^BAL#304$"):
        pool.swap(side, 1 - side, most + 1)


def test_each_refusal_has_the_contract_s_own_code() -> None:
    with pytest.raises(Revert, match=r"^BAL#509$"):
        pool_of((WAD, WAD)).swap(1, 1, 1)
    token = rules.Token(1000, WAD // 2, 1)
    full = rules.Token(max_uint112(), WAD // 2, 1)
    dusty = rules.Token(0, WAD // 2, 1)

    def reason(swap: object, *arguments: object) -> str:
        with pytest.raises(Revert) as revert:
            swap(*arguments)  # type: ignore[operator]
        return str(revert.value)

    assert reason(rules.swap_given_in, token, token, 10**16, 0, True) == "BAL#510"
    assert reason(rules.swap_given_out, token, token, 10**16, 0, True) == "BAL#510"
    assert reason(rules.swap_given_out, token, token, 10**16, 301, True) == "BAL#305"
    assert reason(rules.swap_given_in, full, token, 10**16, 1, True) == "BAL#526"
    assert reason(rules.swap_given_out, full, token, 10**16, 1, True) == "BAL#526"
    assert reason(rules.swap_given_in, dusty, token, 10**16, 1, True) == "BAL#004"
    assert reason(rules.swap_given_in, token, token, 10**16, 2**255, True) == "BAL#003"
    assert reason(rules.invariant, [WAD // 2] * 2, [0, 0], True) == "BAL#311"
    assert reason(power, 2**255, WAD) == "BAL#006"
    assert reason(power, WAD, 2**254) == "BAL#007"
    assert reason(power, 3 * WAD, 130 * WAD) == "BAL#008"
    assert reason(power, WAD // 3, 40 * WAD) == "BAL#008"


# --- powers -------------------------------------------------------------------------------------------------------


@quick
@given(st.integers(10**10, 10**30), st.integers(10**15, 10**20))
def test_a_power_is_off_by_no_more_than_the_error_that_the_pool_allows_for(x: int, y: int) -> None:
    with localcontext() as context:
        context.prec = 60
        exponent = Decimal(y) / WAD * (Decimal(x) / WAD).ln()
        assume(-41 < exponent < 130)
        exact = exponent.exp() * WAD
    error = exact * Decimal("1e-14") + 1
    assert abs(power(x, y) - exact) <= error
    assert rules.power_down(x, y, False) <= exact <= rules.power_up(x, y, False)


def test_nothing_to_any_power_is_nothing_and_anything_to_the_power_of_nothing_is_one() -> None:
    assert power(0, WAD) == 0
    assert power(0, 0) == WAD
    assert power(7 * WAD, 0) == WAD
    assert power(WAD, 5 * WAD) == WAD


# --- arbitrage ----------------------------------------------------------------------------------------------------


@quick
@given(balances, weights, fees, sides, st.floats(0.8, 1.25))
def test_arbitrage_ends_within_the_fee_of_the_outside_price_and_then_nobody_trades(
    held: tuple[int, int], parts: tuple[int, int], fee: int, side: int, ratio: float
) -> None:
    pool = pool_of(held, parts, fee)
    outside = pool.price(side, 1 - side) * ratio
    kept = 1 - pool.fee(0, 1)
    trade = pool.trade_to(side, 1 - side, outside)
    if trade is None:
        assert kept * (1 - 1e-8) <= ratio <= (1 + 1e-8) / kept
        return
    most = rules.most_given_in(rules.Token(held[trade.sold], WAD, 1), fee)
    assert pool.swap(trade.sold, trade.bought, trade.amount_raw).received_raw < held[trade.bought]
    if trade.amount_raw == most:
        return
    edge = outside / kept if trade.sold == side else outside * kept
    unit = 4 / min(*held, *pool.reserves_raw()) * max(parts)
    assert pool.price(side, 1 - side) == pytest.approx(edge, rel=2e-9 + unit)
    assert pool.trade_to(side, 1 - side, outside) is None


def test_a_price_too_far_for_one_swap_takes_several() -> None:
    pool = pool_of((10**24, 10**24))
    swaps = 0
    while (trade := pool.trade_to(0, 1, 0.2)) is not None:
        pool.swap(trade.sold, trade.bought, trade.amount_raw)
        swaps += 1
    assert swaps == 4  # 1.3 ** (2 * 3) < 5 < 1.3 ** (2 * 4)
    assert pool.price(0, 1) == pytest.approx(0.2 / 0.997, rel=1e-8)


def test_the_arbitrage_needs_few_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = pool_of((10**24, 10**27), (4, 1))
    swap, quotes = rules.swap_given_in, []

    def counted(*arguments: Any) -> int:
        quotes.append(arguments)
        return int(swap(*arguments))

    monkeypatch.setattr(rules, "swap_given_in", counted)
    assert pool.trade_to(0, 1, pool.price(0, 1) * 0.9) is not None
    assert len(quotes) < 10


def test_an_empty_pool_has_no_price_and_no_arbitrage() -> None:
    pool = pool_of((0, 0))
    assert pool.price(0, 1) == 0
    assert pool.trade_to(0, 1, 1.0) is None
    assert pool.quote(0, 1, 1) == Fill(0, 0)
    assert pool_of((10**20, 10**20)).trade_to(0, 1, float("inf")) is None


def test_every_pair_of_a_pool_of_many_tokens_trades_by_its_own_weights() -> None:
    pool = pool_of((10**24, 2 * 10**24, 3 * 10**24), (5, 3, 2))
    assert pool.price(0, 2) == pytest.approx(3 * 5 / 2)
    assert pool.price(0, 1) * pool.price(1, 2) == pytest.approx(pool.price(0, 2))
    assert pool.quote(0, 2, 10**18).received_raw == pytest.approx(7.5e18 * 0.997, rel=1e-5)


# --- fast ---------------------------------------------------------------------------------------------------------


@quick
@given(balances, weights, fees, sides, shares)
def test_the_fast_form_quotes_what_the_contract_pays(
    held: tuple[int, int], parts: tuple[int, int], fee: int, side: int, share: Fraction
) -> None:
    one, other = (rules.Token(b, WAD * part // sum(parts), 1) for b, part in zip(held, parts, strict=True))
    sold, bought = (one, other) if side == 0 else (other, one)
    amount = max(int(sold.balance * share), 1)
    floats = rules.Token(*map(float, sold)), rules.Token(*map(float, bought)), float(fee)
    exact = rules.swap_given_in(sold, bought, fee, amount, True)
    found = fast(rules.swap_given_in)(*floats, float(amount), True)
    assert abs(found - exact) <= 1e-13 * bought.balance + 2
    asked = max(int(bought.balance * share), 1)
    exact = rules.swap_given_out(sold, bought, fee, asked, True)
    found = fast(rules.swap_given_out)(*floats, float(asked), True)
    assert abs(found - exact) <= 1e-12 * max(exact, sold.balance) + 2


# --- input --------------------------------------------------------------------------------------------------------


def test_what_makes_no_pool_is_refused_by_name() -> None:
    good = {"decimals": (18, 6), "balances_raw": (1, 1), "weights_wad": (WAD // 2, WAD // 2), "swap_fee_wad": 10**16}
    for changed, words in (
        ({"decimals": (18, 19)}, "18 or fewer"),
        ({"balances_raw": (1, 2**112)}, "uint112"),
        ({"balances_raw": (1, 1, 1)}, "other numbers"),
        ({"weights_wad": (50, 50)}, "add up to 1e18"),
        ({"swap_fee_wad": WAD}, "no share"),
    ):
        with pytest.raises(InputError, match=words):
            BalancerWeightedPool("0xpool", ("0xa", "0xb"), **(good | changed))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no price limit"):
        pool_of((WAD, WAD)).swap(0, 1, 1, 1)
    with pytest.raises(InputError, match="positive amount"):
        pool_of((WAD, WAD)).swap(0, 1, -1)
