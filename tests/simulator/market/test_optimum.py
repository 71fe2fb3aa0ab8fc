"""A sale is divided as the closed forms have it, and at the prices found nothing of any token is left over."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from protocols import compiled
from simulator.market.curves import FloatArray
from simulator.market.optimum import BALANCED, best_rates, divide, most_alone

FEE = 0.997


def constant_product(x: float, y: float, end: float = 1e30) -> tuple[FloatArray, FloatArray]:
    """Amounts and dearness of a pool with these reserves."""
    paid = np.array([0.0, end])
    return paid, (x + FEE * paid) / sqrt(FEE * x * y)


class Net:
    """Edges with their curves, given as (tail, head, (paid, dearness))."""

    def __init__(self, *edges: tuple[int, int, tuple[FloatArray, FloatArray]]) -> None:
        self.tail = np.array([tail for tail, _, _ in edges])
        self.head = np.array([head for _, head, _ in edges])
        self.nodes = int(self.head.max()) + 1
        curves = [points for _, _, points in edges]
        self.starts = np.cumsum([0, *(len(paid) for paid, _ in curves)])
        self.paid = np.concatenate([paid for paid, _ in curves])
        self.dearness = np.concatenate([dearness for _, dearness in curves])
        self.received = np.concatenate(
            [np.concatenate(([0.0], np.cumsum(np.diff(paid) / (d[1:] * d[:-1])))) for paid, d in curves]
        )
        self.rates = np.array([d[0] ** -2.0 for _, d in curves])

    @property
    def points(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return self.paid, self.dearness, self.received

    def divide(self, amount: float) -> tuple[FloatArray, FloatArray]:
        """The flows, and the prices."""
        prices, flows = np.empty(self.nodes), np.empty(len(self.tail))
        compiled.fast(best_rates)(self.tail, self.head, self.rates, self.nodes - 1, prices)
        usable = np.ones(len(self.tail), bool)
        compiled.fast(divide)(self.tail, self.head, self.starts, *self.points, usable, amount, prices, flows)
        return flows, prices

    def brought(self, edge: int, amount: float) -> float:
        part = slice(self.starts[edge], self.starts[edge + 1])
        paid = np.append(self.paid[part][self.paid[part] < amount], amount)
        d = np.interp(paid, self.paid[part], self.dearness[part])
        return float(np.sum(np.diff(paid) / (d[1:] * d[:-1])))


@pytest.mark.parametrize("amount", [1.0, 1e3, 1e6, 1e9])
def test_pools_side_by_side_share_a_sale_as_their_square_roots_say(amount: float) -> None:
    # at the optimum k Y X / (X + k x)^2 is the same in all: X + k x goes with sqrt(X Y)
    pools = [(1.1e6, 2.3e6), (3.7e6, 7.9e6), (0.2e6, 0.43e6)]
    flows, prices = Net(*((0, 1, constant_product(*pool)) for pool in pools)).divide(amount)
    roots = np.array([sqrt(x * y) for x, y in pools])
    used = np.ones(3, bool)
    for _ in pools:
        held = np.array([x for x, _ in pools])
        level = (held[used].sum() + FEE * amount) / roots[used].sum()
        expected = np.where(used, (level * roots - held) / FEE, 0.0)
        used &= expected > 0.0
    assert flows == pytest.approx(np.maximum(expected, 0.0), rel=1e-6, abs=amount * 1e-7)
    assert prices[0] == pytest.approx(FEE / level**2, rel=1e-6)


def test_two_equal_pools_are_one_of_both_reserves() -> None:
    two, one = (
        Net(*((0, 1, constant_product(x, 2.0 * x)) for x in reserves)).divide(7e5)[0]
        for reserves in ((1e6, 1e6), (2e6,))
    )
    assert two == pytest.approx([one[0] / 2] * 2, rel=1e-7)


def test_a_chain_takes_all_and_its_last_unit_brings_the_product_of_both_last_rates() -> None:
    net = Net((0, 1, constant_product(1e6, 5e8)), (1, 2, constant_product(3e8, 4e5)))
    flows, prices = net.divide(2e5)
    arrives = net.brought(0, 2e5)
    assert flows == pytest.approx([2e5, arrives], rel=1e-6)
    rates = [FEE * x * y / (x + FEE * paid) ** 2 for x, y, paid in ((1e6, 5e8, 2e5), (3e8, 4e5, arrives))]
    assert prices == pytest.approx([rates[0] * rates[1], rates[1], 1.0], rel=1e-6)


@pytest.mark.parametrize("amount", [1e2, 1e5, 1e8, 1e11])
def test_of_every_token_as_much_arrives_as_goes_on_and_no_pool_could_trade_to_gain(amount: float) -> None:
    random = np.random.default_rng(5)
    ends = [(0, 1), (0, 2), (0, 3), (1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2), (1, 4), (2, 4), (3, 4), (0, 4)]
    pools = [constant_product(*(1e6 * random.uniform(0.99, 1.01, 2) * 10 ** random.uniform(0, 3))) for _ in ends]
    net = Net(*((*end, pool) for end, pool in zip(ends, pools, strict=True)))
    flows, prices = net.divide(amount)
    brought = np.array([net.brought(e, x) for e, x in enumerate(flows)])
    for node in (1, 2, 3):
        arrives = brought[net.head == node].sum()
        assert flows[net.tail == node].sum() == pytest.approx(arrives, rel=10 * BALANCED, abs=1e-9 * amount)
    for e, x in enumerate(flows):
        dearness = np.interp(x, net.paid[2 * e : 2 * e + 2], net.dearness[2 * e : 2 * e + 2])
        rate, ratio = dearness**-2.0, prices[net.tail[e]] / prices[net.head[e]]
        assert rate == pytest.approx(ratio, rel=1e-6) if x > 0.0 else rate <= ratio * (1.0 + 1e-9)


def test_what_pools_cannot_take_is_left_at_the_start() -> None:
    net = Net((0, 1, constant_product(1e6, 1e6, end=2e5)), (0, 1, constant_product(3e6, 3e6, end=4e5)))
    flows, _ = net.divide(5e6)
    assert flows == pytest.approx([2e5, 4e5], rel=1e-9)


def test_what_pools_further_on_cannot_take_is_left_at_the_start_too() -> None:
    narrow = constant_product(1e6, 1e6, end=1e4)
    net = Net((0, 1, constant_product(1e9, 1e9)), (1, 2, narrow), (0, 2, constant_product(1e5, 1e5, end=1e3)))
    flows, _ = net.divide(1e8)
    assert net.brought(0, flows[0]) == pytest.approx(1e4, rel=1e-6)
    assert flows[1:] == pytest.approx([1e4, 1e3], rel=1e-6)


def test_a_price_that_jumps_is_waited_for() -> None:
    # 1,000 at 0.9 or better, then nothing until 0.5
    gap = (np.array([0.0, 1e3, 1e3, 1e30]), np.array([0.9, 0.8999, 0.5, 0.5e-30]) ** -0.5)
    other = constant_product(1e4, 1e4)
    flows, prices = Net((0, 1, gap), (0, 1, other)).divide(2e3)
    assert flows == pytest.approx([1e3, 1e3], rel=1e-6)
    assert 0.5 < prices[0] < 0.8999


def test_the_best_rates_go_by_ways_of_any_length() -> None:
    tail, head = np.array([0, 0, 1, 2, 3]), np.array([3, 1, 2, 3, 4])
    rates = np.empty(5)
    compiled.fast(best_rates)(tail, head, np.array([7.0, 2.0, 2.0, 2.0, 0.5]), 4, rates)
    assert rates.tolist() == [4.0, 2.0, 1.0, 0.5, 1.0]


def test_no_single_way_brings_more_than_the_best_of_them() -> None:
    net = Net(
        (0, 1, constant_product(1e6, 1e6)), (1, 2, constant_product(2e6, 2e6)), (0, 2, constant_product(4e5, 4e5))
    )
    args = (net.tail, net.head, net.starts, *net.points)
    for amount in (1e2, 1e5, 1e7):
        best = max(net.brought(1, net.brought(0, amount)), net.brought(2, amount))
        assert compiled.fast(most_alone)(*args, np.zeros(3), amount, 3) == pytest.approx(best, rel=1e-12)
    # each pool of a way can pay more than its curve has it
    slack = np.array([0.0, 0.0, 1e-3])
    assert compiled.fast(most_alone)(*args, slack, 1e2, 3) == pytest.approx(1.001 * net.brought(2, 1e2), rel=1e-12)
