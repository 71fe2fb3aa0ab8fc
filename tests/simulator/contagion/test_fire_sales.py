"""Fire sales: clearing at a price that sales depress, and overlaps of portfolios."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

from chain.errors import InputError
from simulator.contagion.clearing import clear
from simulator.contagion.fire_sales import (
    FireSale,
    FireSales,
    clear_with_sales,
    first_round_losses,
    liquidity_weighted_overlaps,
)
from tests.simulator.contagion.networks import FloatArray, Network, networks

ratios = st.sampled_from([0.05, 0.07, 0.3, 1.0])
impacts = st.sampled_from([0.0, 0.01, 0.1, 0.5])


def alone(owed: float, ratio: float, impact: float, cash: float = 0.0) -> FireSales:
    """One bank with one unit of the asset, and debts to outsiders only."""
    return clear_with_sales([[0.0]], [1.0], [cash], [owed], capital_ratio=ratio, impact=impact)


# --- clearing with sales, by hand -----------------------------------------------------------------------------------


def test_a_bank_at_its_capital_ratio_may_keep_all_or_be_made_to_sell_all() -> None:
    """At price 1 its capital is 7 % of its one unit; at the price after selling that unit it has none.

    Proceeds of sales increase all the way, and yet there are two solutions: the condition under which sales for cash
    have one does not carry over to a capital ratio.
    """
    sales = alone(owed=0.93, ratio=0.07, impact=0.1)
    high, low = sales.greatest, sales.least
    assert (high.price, high.clearing.net_worths[0]) == pytest.approx((1.0, 0.07), abs=1e-14)
    assert high.sold == pytest.approx([0.0], abs=1e-14)
    assert (low.price, low.sold[0]) == pytest.approx((exp(-0.1), 1.0), abs=1e-15)
    assert low.clearing.net_worths == pytest.approx([exp(-0.1) - 0.93], abs=1e-15)
    assert low.clearing.senior_payments == pytest.approx([exp(-0.1)], abs=1e-15)
    assert sales.proceeds_increase
    assert not sales.unique


def test_the_bank_keeps_all_in_any_case_where_the_whole_sale_would_leave_it_its_capital_ratio() -> None:
    """With 0.93 owed the whole unit must be sold only if (1 - 0.07) exp(impact) >= 1."""
    edge = -log(1.0 - 0.07)
    assert alone(0.93, 0.07, edge * 0.99).unique
    assert not alone(0.93, 0.07, edge * 1.01).unique


def test_units_sold_restore_the_capital_ratio() -> None:
    """Without impact: capital 5 of 100 at a ratio of 7 % allows 5 / 0.07 units, so that the rest is sold."""
    sales = clear_with_sales([[0.0]], [100.0], [0.0], [95.0], capital_ratio=0.07, impact=0.0)
    assert sales.greatest.sold == pytest.approx([100.0 - 5.0 / 0.07])
    assert sales.unique


def test_cash_and_claims_on_sound_banks_count_as_in_the_ratio() -> None:
    """Bank 0 owes bank 1 ten and can pay; bank 1 has 10 receivable, 80 units and 10 cash, and owes 97: capital 3.

    A ratio of 5 % allows 60 of assets that weigh: 10 receivable and 50 units, so that 30 are sold.
    """
    sales = clear_with_sales(
        [[0.0, 10.0], [0.0, 0.0]], [0.0, 80.0], [10.0, 10.0], [0.0, 97.0], capital_ratio=0.05, impact=0.0
    )
    assert sales.greatest.sold == pytest.approx([0.0, 30.0])


@pytest.mark.parametrize(("impact", "increase"), [(0.0, True), (0.249, True), (0.25, False), (1.0, False)])
def test_proceeds_increase_while_all_units_are_fewer_than_one_over_the_impact(impact: float, increase: bool) -> None:
    sales = clear_with_sales(np.zeros((2, 2)), [3.0, 1.0], 0.0, capital_ratio=0.07, impact=impact)
    assert sales.proceeds_increase is increase


def defaults_after_one_failure(counterparties: int, impact: float) -> int:
    """Of ten identical banks in a circle, each indebted to the next so many, if one loses all but its claims on others.

    Each has 100 in assets, 40 of them claims on other banks, 20 cash, 40 units at price 1, and 10 of capital.
    """
    banks = 10
    debts = np.zeros((banks, banks))
    for bank in range(banks):
        for step in range(1, counterparties + 1):
            debts[bank, (bank + step) % banks] = 40.0 / counterparties
    units, cash = np.full(banks, 40.0), np.full(banks, 20.0)
    units[0] = cash[0] = 0.0
    sales = clear_with_sales(debts, units, cash, 50.0, capital_ratio=0.07, impact=impact)
    return int(sales.greatest.clearing.defaults.sum())


def test_contagion_is_worst_at_intermediate_connectivity() -> None:
    """As Cifuentes, Ferrucci & Shin found for ten identical banks at a ratio of 7 %; the balance sheets are our own."""
    defaults = [defaults_after_one_failure(counterparties, 4e-4) for counterparties in range(1, 10)]
    assert defaults[0] < max(defaults) > defaults[-1] == 1
    assert 2 <= 1 + int(np.argmax(defaults)) <= 8


def test_a_falling_price_spreads_what_debts_alone_would_not() -> None:
    assert defaults_after_one_failure(4, 4e-4) > defaults_after_one_failure(4, 0.0)


# --- laws -----------------------------------------------------------------------------------------------------------


def model(network: Network, cash: FloatArray, ratio: float, impact: float) -> tuple[FireSales, Any]:
    """Sales where what the network holds outside is illiquid; and the arguments."""
    arguments = (network.liabilities, network.assets, cash, network.senior)
    return clear_with_sales(*arguments, capital_ratio=ratio, impact=impact), arguments


def both(sales: FireSales) -> tuple[FireSale, FireSale]:
    return sales.greatest, sales.least


@given(networks(most=4), ratios, impacts)
def test_price_sales_and_payments_bring_one_another_about(network: Network, ratio: float, impact: float) -> None:
    cash = network.assets[::-1] / 2.0
    sales, _ = model(network, cash, ratio, impact)
    for solution in both(sales):
        price, sold, clearing = solution.price, solution.sold, solution.clearing
        assert price == pytest.approx(exp(-impact * sold.sum()), rel=1e-9)
        again = clear(network.liabilities, price * network.assets + cash, network.senior)
        assert np.all(clearing.payments <= again.greatest.payments + 1e-9)
        assert np.all(clearing.payments >= again.least.payments - 1e-9)
        capital = price * network.assets + cash + clearing.received - network.senior - network.liabilities.sum(axis=1)
        weighted = price * (network.assets - sold) + clearing.received
        # who keeps units holds the ratio, and who sells some but not all holds it with nothing to spare
        keeps = network.assets - sold > 1e-6
        assert np.all((capital - ratio * weighted)[keeps] >= -1e-7)
        partly = keeps & (sold > 1e-6)
        assert capital[partly] == pytest.approx(ratio * weighted[partly], abs=1e-7)


@given(networks(most=4), ratios, impacts)
def test_the_least_sale_solution_is_not_above_the_greatest(network: Network, ratio: float, impact: float) -> None:
    sales, _ = model(network, network.assets[::-1] / 2.0, ratio, impact)
    assert sales.least.price <= sales.greatest.price + 1e-12
    assert np.all(sales.least.clearing.payments <= sales.greatest.clearing.payments + 1e-9)
    assert np.all(sales.least.sold >= sales.greatest.sold - 1e-9)


@given(networks(most=4), ratios)
def test_without_impact_debts_clear_as_without_sales(network: Network, ratio: float) -> None:
    cash = network.assets[::-1] / 2.0
    sales, _ = model(network, cash, ratio, 0.0)
    clearing = clear(network.liabilities, network.assets + cash, network.senior)
    assert sales.greatest.clearing.payments == pytest.approx(clearing.greatest.payments, abs=1e-9)
    assert sales.least.clearing.payments == pytest.approx(clearing.least.payments, abs=1e-9)


@given(networks(most=4), ratios, impacts)
def test_more_cash_never_lowers_the_price(network: Network, ratio: float, impact: float) -> None:
    cash = network.assets[::-1] / 2.0
    poorer, _ = model(network, cash, ratio, impact)
    richer, _ = model(network, cash + 0.5, ratio, impact)
    for less, more in zip(both(poorer), both(richer), strict=True):
        assert less.price <= more.price + 1e-9


@given(st.sampled_from([0.07, 0.3, 1.0]), st.floats(0.0, 1.2), st.floats(0.0, 0.99))
@settings(max_examples=200)
def test_one_bank_that_sells_for_cash_has_one_solution_where_proceeds_increase(
    ratio: float, owed: float, share: float
) -> None:
    """A ratio of 1 is that case; below it, so much less impact suffices (the derivative of the ratio's condition)."""
    assume(abs(owed - 1.0) > 1e-3)
    sales = alone(owed, ratio, share * ratio)
    assert sales.proceeds_increase
    assert sales.unique


@given(networks(most=4), ratios, impacts)
def test_sparse_debts_sell_as_dense_ones(network: Network, ratio: float, impact: float) -> None:
    sales, arguments = model(network, network.assets[::-1] / 2.0, ratio, impact)
    thin = clear_with_sales(sparse.coo_array(arguments[0]), *arguments[1:], capital_ratio=ratio, impact=impact)
    for one, other in zip(both(sales), both(thin), strict=True):
        assert one.price == pytest.approx(other.price, rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"capital_ratio": 0.0}, "capital ratio must be above 0"),
        ({"capital_ratio": 1.1}, "capital ratio"),
        ({"impact": -0.1}, "impact times all illiquid units must be from 0"),
        ({"impact": 1e4}, "impact times all illiquid units must be from 0 to 700"),
        ({"illiquid": [1.0, 2.0]}, "illiquid must have 1 entries"),
        ({"cash": [-1.0]}, "cash must hold finite numbers of at least 0"),
    ],
)
def test_what_cannot_be_sold_is_refused(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"illiquid": [1.0], "cash": [0.0], "capital_ratio": 0.07, "impact": 0.1}
    with pytest.raises(InputError, match=message):
        clear_with_sales([[0.0]], **(arguments | changes))


# --- overlaps of portfolios -----------------------------------------------------------------------------------------


def test_two_funds_in_one_asset_lose_as_by_hand() -> None:
    """They hold 60 and 40, depth is 1000, and the first sells 30: the price falls by 3 %.

    The second loses 3 % of 40; the first 3 % of the 30 it keeps, and on the 30 it sells half of that, as it sells at
    the mean of the prices before and after.
    """
    losses = first_round_losses([[60.0], [40.0]], [1000.0], [0.5, 0.0])
    assert losses.price_falls == pytest.approx([0.03], abs=1e-15)
    assert losses.on_kept == pytest.approx([0.9, 1.2], abs=1e-15)
    assert losses.on_sold == pytest.approx([0.45, 0.0], abs=1e-15)


def test_overlaps_weigh_common_holdings_by_depth() -> None:
    overlaps = liquidity_weighted_overlaps([[60.0, 0.0], [40.0, 10.0]], [1000.0, 50.0])
    assert overlaps == pytest.approx(np.array([[3.6, 2.4], [2.4, 3.6]]), abs=1e-15)


@st.composite
def portfolios(draw: st.DrawFn) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Holdings, depths and shares that are sold."""
    funds, assets = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    worth = st.floats(0.0, 100.0)
    holdings = draw(st.lists(st.lists(worth, min_size=assets, max_size=assets), min_size=funds, max_size=funds))
    depths = draw(st.lists(st.floats(400.0, 5000.0), min_size=assets, max_size=assets))
    shares = draw(st.lists(st.floats(0.0, 1.0), min_size=funds, max_size=funds))
    return np.array(holdings), np.array(depths), np.array(shares)


@given(portfolios())
def test_losses_are_what_overlaps_with_sellers_say(book: Any) -> None:
    holdings, depths, shares = book
    losses = first_round_losses(*book)
    pressed = shares @ liquidity_weighted_overlaps(holdings, depths)
    assert losses.on_kept == pytest.approx((1.0 - shares) * pressed, abs=1e-9)
    assert losses.on_sold == pytest.approx(0.5 * shares * pressed, abs=1e-9)


@given(portfolios())
def test_overlaps_are_symmetric_and_the_same_for_sparse_holdings(book: Any) -> None:
    holdings, depths, shares = book
    overlaps = liquidity_weighted_overlaps(holdings, depths)
    assert overlaps == pytest.approx(overlaps.T)
    assert liquidity_weighted_overlaps(sparse.coo_array(holdings), depths).toarray() == pytest.approx(overlaps)
    thin = first_round_losses(sparse.coo_array(holdings), depths, shares)
    assert thin.on_kept == pytest.approx(first_round_losses(*book).on_kept)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[60.0]], [0.0], [0.5]), "asset 0 has none"),
        (([[60.0]], [10.0], [0.5]), "asset 0: 3 times its depth is sold"),
        (([[60.0]], [1000.0], [1.5]), "sold shares must be from 0 to 1, not 1.5"),
        (([[60.0, 1.0]], [1000.0], [0.5]), "depths must have 2 entries"),
    ],
)
def test_portfolios_without_a_price_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        first_round_losses(*arguments)
