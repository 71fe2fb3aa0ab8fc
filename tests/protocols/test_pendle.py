"""What a Pendle market does to those who trade with it, and what time does to its price."""

from __future__ import annotations

from decimal import Decimal, localcontext
from math import exp
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chain.errors import InputError
from protocols.amm.interface import Fill
from protocols.amm.logarithm import LARGEST_EXPONENT
from protocols.amm.pendle import rules
from protocols.amm.pendle.pool import PT, TOKEN, PendleMarket
from protocols.amm.pendle.rules import YEAR, State, Terms
from protocols.amm.revert import Revert
from protocols.compiled import fast

WAD, DAY = 10**18, 86_400
START = 1_700_000_000

quick = settings(max_examples=60, deadline=None)
pt_shares = st.floats(0.1, 0.9)
rates = st.floats(0.005, 0.4)
days = st.floats(0.01, 900)
indices = st.integers(WAD, 2 * WAD)
sizes = st.floats(1e-6, 0.2)
sides = st.sampled_from((PT, TOKEN))


def market_of(
    pt_share: float = 0.5,
    rate: float = 0.08,
    left: float = 180,
    index: int = WAD,
    *,
    depth: int = 10**24,
    **terms: Any,
) -> PendleMarket:
    """A market of version 7 with so many PT and assets together, an implied rate of so much a year, and days to go."""
    total_pt = int(depth * pt_share)
    total_sy = (depth - total_pt) * WAD // index
    usual = {"scalar_root": 40 * WAD, "ln_fee_rate_root": 10**15, "reserve_fee_percent": 80, "asks_for_fee": True}
    given_terms = Terms(expiry=START + int(left * DAY), py_index=index, **(usual | terms))
    state = State(total_pt, total_sy, int(rate * WAD))
    return PendleMarket("0xmarket", ("0xpt", "0xtoken"), terms=given_terms, state=state, timestamp=START)


def amount_of(market: PendleMarket, sold: int, size: float) -> int:
    """A share of what the market holds of what is sold."""
    return int(size * market.reserves_raw()[sold])


# --- swaps --------------------------------------------------------------------------------------------------------


@quick
@given(pt_shares, rates, days, indices, sides, sizes)
def test_nobody_gains_by_going_there_and_back(
    share: float, rate: float, left: float, index: int, sold: int, size: float
) -> None:
    market = market_of(share, rate, left, index)
    paid = amount_of(market, sold, size)
    there = market.quote(sold, 1 - sold, paid)
    assume(there.received_raw)
    market.swap(sold, 1 - sold, paid)
    back = market.quote(1 - sold, sold, there.received_raw)
    assert back.received_raw < paid


@quick
@given(pt_shares, rates, days, sides, sizes)
def test_a_larger_swap_brings_more_but_less_for_each(
    share: float, rate: float, left: float, sold: int, size: float
) -> None:
    market = market_of(share, rate, left)
    paid = amount_of(market, sold, size)
    one, two = (market.quote(sold, 1 - sold, amount).received_raw for amount in (paid, 2 * paid))
    assume(one and two)
    assert one < two < 2 * one
    assert one < paid * market.price(sold, 1 - sold)


@quick
@given(pt_shares, rates, days, indices, sizes)
def test_what_leaves_the_trader_and_the_market_arrives_with_the_other_or_the_treasury(
    share: float, rate: float, left: float, index: int, size: float
) -> None:
    market = market_of(share, rate, left, index)
    amount = amount_of(market, PT, size)
    for trade_of, way in ((rules.sell_pt, 1), (rules.buy_pt, -1)):
        try:
            trade = trade_of(market.terms, market.state, START, amount)
        except Revert:
            continue
        assert trade.state.total_pt == market.state.total_pt + way * amount
        assert trade.state.total_sy == market.state.total_sy - way * trade.sy - trade.to_reserve
        assert 0 < trade.to_reserve < trade.fee < trade.sy
        assert trade.to_reserve == pytest.approx(0.8 * trade.fee, rel=1e-9, abs=2)


@quick
@given(pt_shares, rates, days, indices, sizes)
def test_an_amount_buys_as_many_as_it_pays_for_and_one_more_costs_more(
    share: float, rate: float, left: float, index: int, size: float
) -> None:
    market = market_of(share, rate, left, index)
    paid = amount_of(market, TOKEN, size)
    bought = market.quote(TOKEN, PT, paid).received_raw
    assume(bought)
    cost, more = (rules.buy_pt(market.terms, market.state, START, pt).sy for pt in (bought, bought + 1))
    assert cost <= paid < more


@quick
@given(pt_shares, rates, days, sides)
def test_the_market_keeps_the_fee_of_a_small_swap(share: float, rate: float, left: float, sold: int) -> None:
    market = market_of(share, rate, left)
    fill = market.quote(sold, 1 - sold, 10**12)
    assume(fill.received_raw)
    assert 0 < market.fee(sold, 1 - sold) < 0.01
    kept = 1 - fill.received_raw / (fill.paid_raw * market.price(sold, 1 - sold))
    assert kept == pytest.approx(market.fee(sold, 1 - sold), rel=1e-3, abs=1e-9)


@quick
@given(pt_shares, rates, days, sizes)
def test_a_sale_of_principal_raises_the_implied_rate_and_a_purchase_lowers_it(
    share: float, rate: float, left: float, size: float
) -> None:
    market = market_of(share, rate, left)
    for sold, higher in ((PT, True), (TOKEN, False)):
        market = market_of(share, rate, left)
        before = market.state.last_ln_implied_rate
        if market.quote(sold, 1 - sold, amount := amount_of(market, sold, size)).received_raw:
            market.swap(sold, 1 - sold, amount)
            assert (market.state.last_ln_implied_rate > before) is higher


def test_a_quote_changes_nothing_and_the_swap_brings_what_it_said() -> None:
    market = market_of()
    before = market.state
    for sold in (PT, TOKEN):
        quoted = market.quote(sold, 1 - sold, 10**21)
        assert market.state == before
        assert market.swap(sold, 1 - sold, 10**21) == quoted
        before = market.state


def test_what_the_contract_refuses_is_refused_with_its_error_and_quoted_as_nothing() -> None:
    early = {"asks_for_fee": False}
    for market, sold, amount, reason in (
        (market_of(), PT, 10**24, "MarketProportionTooHigh"),
        (market_of(), TOKEN, 10**24, "MarketExchangeRateBelowOne"),
        (market_of(rate=2.0), TOKEN, 10**24, "out of bounds"),
        (market_of(rate=2.0, depth=10**12), TOKEN, 10**24, "MarketInsufficientPtForTrade"),
        (market_of(), PT, 10, "MarketZeroNetLPFee"),
        (market_of(), TOKEN, 10, "MarketZeroNetLPFee"),
        (market_of(left=0), PT, 10**20, "MarketExpired"),
        (market_of(left=0), TOKEN, 10**20, "MarketExpired"),
        (market_of(0), PT, 10**20, "MarketZeroTotalPtOrTotalAsset"),
        (market_of(1), PT, 10**20, "MarketZeroTotalPtOrTotalAsset"),
        (market_of(left=900, scalar_root=2), PT, 10**20, "MarketRateScalarBelowZero"),
        (market_of(1e-19), PT, 10**20, "out of bounds"),
        (market_of(rate=0, **early), PT, 0, "MarketZeroLnImpliedRate"),
        (market_of(rate=100, left=900), PT, 10**20, "Invalid exponent"),
    ):
        before = market.state
        with pytest.raises(Revert, match=f"^{reason}$"):
            market.swap(sold, 1 - sold, amount)
        assert market.quote(sold, 1 - sold, amount) == Fill(0, 0)
        assert market.state == before


def test_a_swap_too_small_to_leave_a_fee_was_taken_before_version_6() -> None:
    market = market_of(asks_for_fee=False)
    assert market.quote(PT, TOKEN, 10).received_raw == 9


# --- time ---------------------------------------------------------------------------------------------------------


@quick
@given(pt_shares, rates, days, indices, st.lists(st.floats(0, 0.999), min_size=2, max_size=6))
def test_at_a_constant_rate_a_principal_token_rises_to_what_it_will_be_redeemed_for(
    share: float, rate: float, left: float, index: int, moments: list[float]
) -> None:
    market = market_of(share, rate, left, index)
    span = market.terms.expiry - START
    before = 0.0
    for moment in sorted(moments):
        market.advance(START + int(moment * span))
        years = (market.terms.expiry - market.now) / YEAR
        in_assets = market.price(PT, TOKEN) * index / WAD
        assert in_assets == pytest.approx(exp(-int(rate * WAD) / WAD * years), rel=1e-12)
        assert before <= market.price(PT, TOKEN)
        before = market.price(PT, TOKEN)
    assert market.state == market_of(share, rate, left, index).state
    market.advance(market.terms.expiry - 1)
    assert market.price(PT, TOKEN) * index / WAD == pytest.approx(1, abs=1.01 * rate / YEAR)


def test_the_fee_falls_as_the_expiry_comes_nearer() -> None:
    market = market_of(left=365, ln_fee_rate_root=3 * 10**15)
    fees = []
    for day in (0, 100, 200, 364):
        market.advance(START + day * DAY)
        fees.append(market.fee(PT, TOKEN))
    assert fees == sorted(fees, reverse=True)
    assert fees[0] == pytest.approx(1 - exp(-0.003))


def test_from_the_expiry_on_there_is_no_price_no_fee_and_no_trade() -> None:
    market = market_of(left=30)
    market.advance(market.terms.expiry - 1)
    assert market.quote(PT, TOKEN, 10**21).received_raw
    for later in (0, 1, YEAR):
        market.advance(market.terms.expiry + later)
        assert market.price(PT, TOKEN) == market.price(TOKEN, PT) == market.fee(PT, TOKEN) == 0
        assert market.trade_to(PT, TOKEN, 0.9) is None
        assert market.quote(PT, TOKEN, 10**21) == market.quote(TOKEN, PT, 10**21) == Fill(0, 0)


# --- mathematics --------------------------------------------------------------------------------------------------


@quick
@given(st.integers(1, 10**40), st.integers(0, 40 * WAD))
def test_logarithms_and_exponentials_are_right_but_for_their_last_digits(x: int, power: int) -> None:
    with localcontext() as context:
        context.prec = 70
        logarithm = (Decimal(x) / WAD).ln() * WAD
        grown = (Decimal(power) / WAD).exp() * WAD
    # below one the contract takes the logarithm of 1 / x, of which it has 18 digits
    assert abs(rules.ln(x) - logarithm) <= 100 + (x / WAD if x < WAD else 0)
    assert abs(rules.exp(power) - grown) <= 2 + grown * Decimal("1e-17")


def test_what_has_no_logarithm_or_too_large_an_exponential_is_refused() -> None:
    assert rules.ln(WAD) == 0
    assert rules.exp(0) == WAD
    assert rules.exp(LARGEST_EXPONENT) > 10**74
    with pytest.raises(Revert, match="out of bounds"):
        rules.ln(0)
    with pytest.raises(Revert, match="Invalid exponent"):
        rules.exp(LARGEST_EXPONENT + 1)


# --- arbitrage ----------------------------------------------------------------------------------------------------


@quick
@given(pt_shares, rates, days, indices, sides, st.floats(0.9, 1.1))
def test_arbitrage_ends_within_the_fee_of_the_outside_price_and_then_nobody_trades(
    share: float, rate: float, left: float, index: int, sold: int, ratio: float
) -> None:
    market = market_of(share, rate, left, index)
    outside = market.price(sold, 1 - sold) * ratio
    kept = 1 - market.fee(PT, TOKEN)
    trade = market.trade_to(sold, 1 - sold, outside)
    if trade is None:
        assert kept * (1 - 1e-8) <= ratio <= 1 / kept * (1 + 1e-8) or taken_up(
            market, ratio if sold == PT else 1 / ratio
        )
        return
    assert (trade.sold == sold) is (ratio < 1)
    is_largest = market.quote(trade.sold, trade.bought, trade.amount_raw * 1001 // 1000) == Fill(0, 0)
    market.swap(trade.sold, trade.bought, trade.amount_raw)
    found = market.price(trade.sold, trade.bought)
    edge = (outside if trade.sold == sold else 1 / outside) / kept
    if is_largest:
        assert found > edge * (1 - 1e-8)
    else:
        assert found == pytest.approx(edge, rel=1e-8)
        assert market.trade_to(sold, 1 - sold, outside) is None


def taken_up(market: PendleMarket, ratio: float) -> bool:
    """Whether a market refuses a swap of a thousandth of its PT toward a price below or above its own."""
    swap = rules.sell_pt if ratio < 1 else rules.buy_pt
    try:
        swap(market.terms, market.state, market.now, market.state.total_pt // 1000)
    except Revert:
        return True
    return False


def test_nobody_trades_toward_no_price_nor_in_a_market_without_tokens() -> None:
    market = market_of()
    for price in (0.0, float("inf"), float("nan")):
        assert market.trade_to(PT, TOKEN, price) is None
    assert market_of(0).trade_to(PT, TOKEN, 0.9) is None
    assert market_of(1e-20).trade_to(PT, TOKEN, 0.5) is None
    assert market_of(rate=100, left=900).trade_to(PT, TOKEN, 0.5) is None
    assert market_of(left=900, scalar_root=2).trade_to(PT, TOKEN, 0.5) is None


# --- fast ---------------------------------------------------------------------------------------------------------


@quick
@given(pt_shares, rates, days, indices, sizes, st.booleans())
def test_the_fast_form_trades_as_the_contract_does(
    share: float, rate: float, left: float, index: int, size: float, sells: bool
) -> None:
    market = market_of(share, rate, left, index)
    terms, state = market.terms, market.state
    swap, amount = rules.sell_pt if sells else rules.buy_pt, amount_of(market, PT, size)
    floats = terms._make((*map(float, terms[:-1]), True)), State(*map(float, state)), float(START), float(amount)
    try:
        exact = swap(terms, state, START, amount)
    except Revert as revert:
        with pytest.raises(Revert, match=f"^{revert}$"):
            fast(swap)(*floats)
        return
    found = fast(swap)(*floats)
    assert found.sy == pytest.approx(exact.sy, rel=1e-10)
    assert found.fee == pytest.approx(exact.fee, abs=1e-12 * exact.sy)
    assert found.state[:2] == pytest.approx(exact.state[:2], rel=1e-12)
    # what the exchange rate is off by, times the years that a rate for so short a time is a rate of
    noise = 1e-15 * WAD * YEAR / (terms.expiry - START)
    assert found.state.last_ln_implied_rate == pytest.approx(exact.state.last_ln_implied_rate, rel=1e-9, abs=noise)


# --- input --------------------------------------------------------------------------------------------------------


def test_what_makes_no_market_is_refused_by_name() -> None:
    good = market_of()
    for changed, words in (
        ({"state": good.state._replace(total_pt=-1)}, "state"),
        ({"state": good.state._replace(total_sy=2**127)}, "state"),
        ({"state": good.state._replace(last_ln_implied_rate=2**96)}, "state"),
        ({"terms": good.terms._replace(scalar_root=0)}, "above 0"),
        ({"terms": good.terms._replace(py_index=0)}, "above 0"),
        ({"terms": good.terms._replace(reserve_fee_percent=101)}, "no fee"),
        ({"terms": good.terms._replace(ln_fee_rate_root=WAD // 20)}, "no fee"),
    ):
        arguments: dict[str, Any] = {"terms": good.terms, "state": good.state, "timestamp": START} | changed
        with pytest.raises(InputError, match=words):
            PendleMarket("0xmarket", good.tokens, **arguments)
    with pytest.raises(InputError, match="3 tokens"):
        PendleMarket("0xmarket", ("0xa", "0xb", "0xc"), terms=good.terms, state=good.state, timestamp=START)
    with pytest.raises(InputError, match="no price limit"):
        market_of().swap(PT, TOKEN, 1, 1)
    with pytest.raises(InputError, match="positive amount"):
        market_of().swap(PT, TOKEN, -1)
