"""The search for the sale that ends at an outside price: right where the price bends or jumps, and quick where not."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log

import pytest

from protocols.amm.arbitrage import TOLERANCE, sale_to

UNIT = 10**18
HELD = 10**6 * UNIT


class Asked:
    """An excess, and how often it was asked for."""

    def __init__(self, excess: Callable[[int], float]) -> None:
        self.excess, self.times = excess, 0

    def __call__(self, amount: int) -> float:
        self.times += 1
        return self.excess(amount)


def product(gap: float) -> Callable[[int], float]:
    """A pool with a constant product whose price is so far above the outside price."""
    return lambda amount: log(1 + gap) - 2 * log(1 + amount / HELD)


@pytest.mark.parametrize(("gap", "most"), [(1e-6, 8), (0.001, 8), (0.05, 8), (0.7, 8), (30.0, 12)])
def test_a_smooth_price_is_brought_down_in_a_few_steps(gap: float, most: int) -> None:
    asked = Asked(product(gap))
    amount = sale_to(asked, HELD // 100, 100 * HELD, 1)
    assert abs(asked.excess(amount)) <= TOLERANCE
    assert amount == pytest.approx(HELD * ((1 + gap) ** 0.5 - 1), rel=1e-3)
    # one at the start, one at the guess, and the rest to get there
    assert asked.times <= most


def test_a_price_that_bends_sharply_is_found_in_no_more_than_twice_the_halvings() -> None:
    def bent(amount: int) -> float:
        return 1e-4 - 1e-9 * amount / UNIT if amount < 90_000 * UNIT else 1e-5 - 0.3 * (amount / UNIT - 90_000) ** 3

    asked = Asked(bent)
    amount = sale_to(asked, HELD // 100, 100 * HELD, 1)
    assert abs(bent(amount)) <= TOLERANCE
    assert asked.times <= 2 * 86


@pytest.mark.parametrize("step", [1, 1_000, UNIT])
def test_where_the_price_jumps_the_sale_ends_within_a_step_past_the_jump(step: int) -> None:
    jump = 123_456_789 * 10**12

    def falls(amount: int) -> float:
        return product(0.05)(amount) - (1.0 if amount >= jump else 0.0)

    assert 0 <= sale_to(falls, HELD // 100, 100 * HELD, step) - jump <= step


def test_what_the_pool_refuses_is_not_sold() -> None:
    most = 345_678 * UNIT

    def refused(amount: int) -> float:
        return product(30.0)(amount) if amount <= most else -inf

    amount = sale_to(refused, HELD // 100, 100 * HELD, 1)
    assert most * (1 - 2**-19) <= amount <= most


def test_no_more_than_the_most_is_sold_and_nothing_where_nobody_would_sell() -> None:
    assert sale_to(product(30.0), HELD // 100, HELD // 2, 1) == HELD // 2
    assert sale_to(product(0.0), HELD // 100, HELD, 1) == 0
    assert sale_to(product(30.0), HELD // 100, 0, 1) == 0
