"""The rules of Compound v3, in both number systems."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.compiled import fast
from protocols.lending.compound_v3 import rules
from protocols.lending.compound_v3.rates import accrued, protocol_reserves, rate_at, utilization
from protocols.lending.compound_v3.state import BASE, copied, to_fast
from protocols.lending.compound_v3.versions import BAD_PRICE, DIVISION_PANIC, OK
from tests.protocols.compound_v3_markets import NOW, YEAR, Comet, random_comet, simple_comet
from tests.vectors.outcome import RELATIVE_TOLERANCE, relative_error

ETH = 1
seeds = st.integers(0, 2**40)


def comp_market() -> Comet:
    """Comet's own example: COMP at 200 dollars, half of a penalty of 40 % to the buyer, USDC at one dollar."""
    comet = simple_comet(10**18, 10**6)
    comet.reserves.price_raw[:] = [10**8, 200 * 10**8]
    comet.reserves.liquidation_factor[ETH] = 6 * 10**17
    return replace(comet, configuration=comet.configuration._replace(store_front_factor=5 * 10**17))


def quoted(comet: Comet, amount: int) -> rules.Purchase:
    return rules.Purchase(*rules.quote_collateral(comet.configuration, comet.reserves, ETH, amount))


def test_200_dollars_buy_one_and_a_quarter_comp() -> None:
    assert quoted(comp_market(), 200 * 10**6) == (OK, 125 * 10**16)


def test_a_discounted_price_is_rounded_down_before_it_divides() -> None:
    comet = comp_market()
    comet.reserves.price_raw[ETH] = 3
    # 80 % of 3 is 2.4, which counts as 2
    assert quoted(comet, 1) == (OK, 10**8 * 10**18 // 2 // 10**6)
    comet.reserves.price_raw[ETH] = 1
    assert quoted(comet, 1).error == DIVISION_PANIC
    comet.reserves.price_raw[ETH] = 0
    assert quoted(comet, 1).error == BAD_PRICE


@settings(max_examples=80, deadline=None)
@given(seeds, st.integers(0, 10**24))
def test_what_an_amount_costs_is_the_least_that_buys_it(seed: int, amount: int) -> None:
    comet = random_comet(seed)
    cost = rules.cost_of_collateral(comet.configuration, comet.reserves, ETH, amount)
    assert quoted(comet, cost).received >= amount
    assert cost == 0 or quoted(comet, cost - 1).received < amount


def test_a_rate_bends_at_its_kink_and_not_before() -> None:
    kink, base, low, high = 8 * 10**17, 7, 10**9, 10**11
    assert rate_at(0, kink, base, low, high) == 7
    assert rate_at(kink, kink, base, low, high) == 7 + 8 * 10**8
    assert rate_at(kink + 10**16, kink, base, low, high) == 7 + 8 * 10**8 + 10**9
    assert rate_at(12 * 10**17, kink, base, low, high) == 7 + 8 * 10**8 + 4 * 10**10


def test_without_supply_nothing_is_used() -> None:
    comet = simple_comet(10**18, 10**9)
    assert utilization(comet.totals) == 10**15
    assert utilization(comet.totals._replace(supply_principal=0)) == 0


@settings(max_examples=150, deadline=None)
@given(seeds, st.sampled_from([0, 1, 86_400, YEAR]))
def test_the_fast_form_absorbs_and_sells_as_the_exact_one(seed: int, seconds: int) -> None:
    comet, now = random_comet(seed), NOW + seconds
    state = [copied(part) for part in (comet.configuration, comet.totals, comet.reserves, comet.positions)]
    quick = [to_fast(part) for part in state]
    for account in range(len(comet.positions.principal)):
        exact = rules.Absorption(*rules.absorb(*state, account, now))
        found = rules.Absorption(*fast(rules.absorb)(*quick, account, float(now)))
        assert found.error == exact.error
        near = {"rel": 1e-9, "abs": 2 + 1e-9 * exact.debt}
        assert found[1:5] == pytest.approx(tuple(map(float, exact[1:5])), **near)
        state[1], quick[1] = exact.totals, found.totals
    for columns in zip(quick[2], state[2], comet.reserves, strict=True):
        assert max(map(relative_error, *columns)) <= RELATIVE_TOLERANCE
    supply = float(state[1].supply_principal)
    own = fast(protocol_reserves)(fast(accrued)(*quick[:2], float(now)), quick[2])
    assert own == pytest.approx(protocol_reserves(accrued(*state[:2], now), state[2]), abs=2 + 1e-9 * supply)
    amount = 1_234 * comet.reserves.scale[BASE]
    arguments = (ETH, 0, amount, now)
    exact_sale = rules.buy_collateral(*state[:3], *arguments)
    fast_sale = fast(rules.buy_collateral)(*quick[:3], ETH, *map(float, arguments[1:]))
    assert fast_sale.error == exact_sale.error
    assert fast_sale.received == pytest.approx(exact_sale.received, rel=1e-9, abs=2)
