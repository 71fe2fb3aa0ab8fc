"""Clearing vectors: the published small networks, the laws of clearing, and a plain iteration to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from scipy import sparse

from chain.errors import InputError
from simulator.contagion.clearing import Clearing, ClearingVector, clear
from tests.simulator.contagion.networks import RING, RING_ASSETS, RING_SENIOR, FloatArray, Network, networks

kept = st.sampled_from([1.0, 0.9, 0.5, 0.0])
"""Shares that bankruptcy leaves."""

MUTUAL = [[0.0, 1.0], [1.0, 0.0]]


def ring(shock: float) -> Clearing:
    return clear(RING, RING_ASSETS * (1.0 - shock), RING_SENIOR)


def both(clearing: Clearing) -> tuple[ClearingVector, ClearingVector]:
    return clearing.greatest, clearing.least


def image(network: Network, payments: FloatArray, alpha: float, beta: float) -> FloatArray:
    """What the banks pay if they receive their parts of these payments, written out bank by bank."""
    owed = [sum(row) for row in network.liabilities]
    paid = []
    for bank, due in enumerate(owed):
        received = sum(
            payments[other] * network.liabilities[other][bank] / owed[other]
            for other in range(len(owed))
            if owed[other] > 0
        )
        assets, senior = network.assets[bank], network.senior[bank]
        if assets + received >= (due + senior) * (1.0 - 1e-10):
            paid.append(due)
        else:
            paid.append(min(due, max(0.0, alpha * assets + beta * received - senior)))
    return np.array(paid)


def iterate(network: Network, start: FloatArray, alpha: float, beta: float) -> FloatArray:
    """The limit of `image` from here; what has moved by less than 1e-14 of a unit has arrived."""
    for _ in range(5_000):
        after = image(network, start, alpha, beta)
        if np.abs(after - start).max() < 1e-14:
            return after
        start = after
    return reject()  # a trickle that fills a cycle so slowly that the plain way is none


# --- published and hand-derived networks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shock", "before", "payments", "after"),
    [
        (0.05, [0, 2, 2.5], [4, 3, 2], [0, 2, 2.5]),
        (0.10, [-1, 1, 2], [3, 3, 2], [-1, 0, 2]),
        (0.15, [-2, 0, 1.5], [0.5, 0, 0.5], [-3.5, -3.5, -1.5]),
        (0.20, [-3, -1, 1], [0, 0, 0], [-5, -5, -2]),
    ],
)
def test_three_banks_clear_as_in_the_course(
    shock: float, before: list[float], payments: list[float], after: list[float]
) -> None:
    clearing = ring(shock)
    assert clearing.net_worths_before == pytest.approx(before, abs=1e-14)
    for solution in both(clearing):
        assert solution.payments == pytest.approx(payments, abs=1e-14)
        assert solution.net_worths == pytest.approx(after, abs=1e-14)
        assert solution.equities == pytest.approx(np.maximum(after, 0.0), abs=1e-14)
    assert clearing.unique


def test_without_a_shock_the_three_banks_have_the_equity_of_the_course() -> None:
    assert ring(0.0).greatest.equities.tolist() == [1.0, 3.0, 3.0]


def test_after_ten_percent_the_first_bank_pays_three_quarters() -> None:
    assert ring(0.10).greatest.recovery_rates == pytest.approx([0.75, 1.0, 1.0], abs=1e-15)


@pytest.mark.parametrize(
    ("shock", "rounds"), [(0.05, []), (0.10, [[0]]), (0.15, [[0], [1], [2]]), (0.20, [[0, 1], [2]])]
)
def test_defaults_of_the_three_banks_spread_round_by_round(shock: float, rounds: list[list[int]]) -> None:
    clearing = ring(shock)
    assert [nodes.tolist() for nodes in clearing.rounds] == rounds
    assert clearing.depth == len(rounds)
    assert clearing.fundamental_defaults.tolist() == [node for nodes in rounds[:1] for node in nodes]
    assert clearing.contagious_defaults.tolist() == [node for nodes in rounds[1:] for node in nodes]


def test_two_banks_with_nothing_but_mutual_debts_may_pay_all_or_nothing() -> None:
    clearing = clear(MUTUAL, [0.0, 0.0])
    assert clearing.greatest.payments.tolist() == [1.0, 1.0]
    assert clearing.least.payments.tolist() == [0.0, 0.0]
    assert not clearing.unique


def test_a_cent_makes_mutual_debts_clear_in_one_way() -> None:
    clearing = clear(MUTUAL, [0.01, 0.0])
    assert clearing.greatest.payments.tolist() == clearing.least.payments.tolist() == [1.0, 1.0]
    assert clearing.unique


def test_costs_of_bankruptcy_make_two_solutions_of_one() -> None:
    """Rogers & Veraart 2013, example 3.3: each bank has 1 and owes the other 2.2."""
    debts = [[0.0, 2.2], [2.2, 0.0]]
    costly = clear(debts, [1.0, 1.0], alpha=0.5, beta=0.5)
    assert costly.greatest.payments.tolist() == [2.2, 2.2]
    assert costly.least.payments.tolist() == [1.0, 1.0]
    assert costly.least.net_worths == pytest.approx([-1.2, -1.2])
    assert not costly.unique
    free = clear(debts, [1.0, 1.0])
    assert free.greatest.payments.tolist() == free.least.payments.tolist() == [2.2, 2.2]
    assert free.unique


def test_sweeps_from_nothing_that_end_below_a_solution_go_on_to_it() -> None:
    """As bankrupts both pay p = 0.5 + 0.5 p, which rises to 1; there each has 1 + 1 and owes 2: it is no bankrupt."""
    debts = [[0.0, 2.0], [2.0, 0.0]]
    clearing = clear(debts, [1.0, 1.0], alpha=0.5, beta=0.5)
    assert clearing.least.payments.tolist() == [2.0, 2.0]
    assert clearing.unique


def test_a_row_of_banks_takes_as_many_rounds_as_banks() -> None:
    """The bound of the fictitious default algorithm is reached."""
    banks = 7
    debts = np.diag(np.ones(banks - 1), 1)
    clearing = clear(debts, np.zeros(banks))
    assert [nodes.tolist() for nodes in clearing.rounds] == [[bank] for bank in range(banks - 1)]


# --- laws -----------------------------------------------------------------------------------------------------------


@given(networks(), kept, kept)
def test_payments_clear(network: Network, alpha: float, beta: float) -> None:
    for solution in both(clear(*network, alpha=alpha, beta=beta)):
        assert solution.payments == pytest.approx(image(network, solution.payments, alpha, beta), abs=1e-9)


@given(networks(), kept, kept)
@settings(max_examples=60)
def test_the_two_solutions_are_where_plain_iteration_from_all_and_from_nothing_ends(
    network: Network, alpha: float, beta: float
) -> None:
    clearing = clear(*network, alpha=alpha, beta=beta)
    owed = network.liabilities.sum(axis=1)
    assert clearing.greatest.payments == pytest.approx(iterate(network, owed, alpha, beta), abs=1e-8)
    assert clearing.least.payments == pytest.approx(iterate(network, 0.0 * owed, alpha, beta), abs=1e-8)


@given(networks(), kept, kept)
def test_the_least_solution_is_not_above_the_greatest(network: Network, alpha: float, beta: float) -> None:
    clearing = clear(*network, alpha=alpha, beta=beta)
    assert np.all(clearing.least.payments <= clearing.greatest.payments + 1e-12)
    assert set(np.flatnonzero(clearing.greatest.defaults)) <= set(np.flatnonzero(clearing.least.defaults))


@given(networks(), st.data(), kept, kept)
def test_more_assets_never_mean_less_paid(network: Network, data: st.DataObject, alpha: float, beta: float) -> None:
    size = len(network.assets)
    more = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)), dtype=float)
    poorer = clear(*network, alpha=alpha, beta=beta)
    richer = clear(network.liabilities, network.assets + more, network.senior, alpha=alpha, beta=beta)
    for less, most in zip(both(poorer), both(richer), strict=True):
        assert np.all(less.payments <= most.payments + 1e-9)
        assert np.all(less.equities <= most.equities + 1e-9)


@given(networks(), kept, kept, st.sampled_from([sparse.coo_array, sparse.csc_array, sparse.csr_matrix]))
def test_sparse_debts_clear_as_dense_ones(network: Network, alpha: float, beta: float, form: Any) -> None:
    dense = clear(*network, alpha=alpha, beta=beta)
    thin = clear(form(network.liabilities), network.assets, network.senior, alpha=alpha, beta=beta)
    for one, other in zip(both(dense), both(thin), strict=True):
        assert one.payments == pytest.approx(other.payments, abs=1e-9)
        assert one.net_worths == pytest.approx(other.net_worths, abs=1e-9)
    assert [nodes.tolist() for nodes in dense.rounds] == [nodes.tolist() for nodes in thin.rounds]


@given(networks(), kept, kept)
def test_owners_lose_no_more_than_all_and_keep_something_only_if_all_creditors_are_paid(
    network: Network, alpha: float, beta: float
) -> None:
    for solution in both(clear(*network, alpha=alpha, beta=beta)):
        assert np.all(solution.equities >= 0.0)
        assert np.all(solution.payments <= network.assets + solution.received + 1e-12)
        unpaid = (solution.payments < network.liabilities.sum(axis=1)) | (solution.senior_payments < network.senior)
        assert np.all(solution.equities[unpaid] <= 1e-9)
        assert np.all((solution.payments <= 1e-9) | (solution.senior_payments >= network.senior - 1e-9))


@given(networks(), kept, kept)
def test_creditors_of_one_bank_recover_the_same_share(network: Network, alpha: float, beta: float) -> None:
    for solution in both(clear(*network, alpha=alpha, beta=beta)):
        assert solution.received == pytest.approx(network.liabilities.T @ solution.recovery_rates, abs=1e-9)


@given(networks(), kept, kept)
def test_what_comes_in_goes_to_creditors_owners_or_costs_of_bankruptcy(
    network: Network, alpha: float, beta: float
) -> None:
    for solution in both(clear(*network, alpha=alpha, beta=beta)):
        lost = (1.0 - alpha) * network.assets + (1.0 - beta) * solution.received
        costs = np.where(solution.defaults, lost, 0.0)
        out = solution.payments + solution.senior_payments + solution.equities + costs
        assert out == pytest.approx(network.assets + solution.received, abs=1e-9)
        unpaid = network.liabilities.sum(axis=1) + network.senior - solution.payments - solution.senior_payments
        assert np.maximum(-solution.net_worths, 0.0) == pytest.approx(unpaid, abs=1e-9)


@given(networks(), kept, kept)
def test_each_default_happens_in_one_of_at_most_n_rounds(network: Network, alpha: float, beta: float) -> None:
    clearing = clear(*network, alpha=alpha, beta=beta)
    assert clearing.depth <= len(network.assets)
    defaulted = [node for nodes in clearing.rounds for node in nodes]
    assert sorted(defaulted) == np.flatnonzero(clearing.greatest.defaults).tolist()
    before = np.flatnonzero(clearing.net_worths_before < -1e-9).tolist()
    assert set(before) <= set(clearing.fundamental_defaults.tolist())
    assert len(clearing.contagious_defaults) == len(defaulted) - len(clearing.fundamental_defaults)


@given(networks(), kept)
def test_dearer_bankruptcy_never_raises_payments(network: Network, left: float) -> None:
    for cheap, dear in zip(both(clear(*network)), both(clear(*network, alpha=left, beta=left)), strict=True):
        assert np.all(dear.payments <= cheap.payments + 1e-9)


# --- large and slow networks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cash", [1.0, 1e-3])
def test_a_large_network_clears_even_where_almost_all_that_is_paid_comes_back(cash: float) -> None:
    """With little cash nearly all default, and what circulates leaks away by a thousandth of a part a sweep."""
    size, degree = 3_000, 10
    generator = np.random.default_rng(7)
    rows = np.repeat(np.arange(size), degree)
    columns = (rows + generator.integers(1, size, size * degree)) % size
    debts = sparse.coo_array((generator.lognormal(size=size * degree), (rows, columns)), shape=(size, size))
    assets = cash * generator.random(size)
    clearing = clear(debts, assets)
    solution = clearing.greatest
    assert clearing.unique
    assert solution.defaults.sum() > size / 3
    owed = debts.sum(axis=1)
    shares = sparse.csr_array(sparse.diags_array(1.0 / owed) @ debts).T
    assert solution.payments == pytest.approx(np.minimum(owed, assets + shares @ solution.payments), abs=1e-10)
    assert solution.equities.sum() == pytest.approx(assets.sum(), rel=1e-9)


def test_a_trickle_fills_mutual_debts_to_the_brim() -> None:
    """A thousand sweeps from nothing; with costs, so that the least solution is looked for."""
    clearing = clear(MUTUAL, [1e-3, 1e-3], alpha=0.999, beta=1.0)
    assert clearing.least.payments.tolist() == [1.0, 1.0]


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "shares", "message"),
    [
        (([1.0, 2.0], [1.0]), {}, "rows and columns"),
        (([[0.0, 1.0]], [1.0]), {}, "a row and a column for each node"),
        (([[1.0, 1.0], [0.0, 0.0]], [1.0, 1.0]), {}, "node 0 has an entry with itself"),
        (([[0.0, -1.0], [0.0, 0.0]], [1.0, 1.0]), {}, "liabilities must hold finite numbers of at least 0, not -1"),
        ((sparse.coo_array([[0.0, np.inf], [0.0, 0.0]]), [1.0, 1.0]), {}, "not inf"),
        ((MUTUAL, [1.0, 1.0, 1.0]), {}, "external assets must have 2 entries"),
        ((MUTUAL, [1.0, np.nan]), {}, "not nan"),
        ((MUTUAL, [1.0, 1.0], [1.0, -2.0]), {}, "senior liabilities"),
        ((MUTUAL, [1.0, 1.0]), {"alpha": 1.5}, "alpha must be from 0 to 1, not 1.5"),
        ((MUTUAL, [1.0, 1.0]), {"beta": -0.1}, "beta must be from 0 to 1, not -0.1"),
    ],
)
def test_what_cannot_be_a_network_of_debts_is_refused(arguments: Any, shares: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        clear(*arguments, **shares)


def test_what_is_handed_over_is_left_as_it_was() -> None:
    debts, assets = sparse.csr_array(RING), RING_ASSETS.copy()
    clear(debts, assets, RING_SENIOR)
    assert np.array_equal(debts.toarray(), RING)
    assert np.array_equal(assets, RING_ASSETS)
