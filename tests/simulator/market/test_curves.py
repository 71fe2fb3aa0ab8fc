"""A curve says what a pool pays for any amount: exactly where the pool states it, nearly where it had to be asked."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from protocols.amm.balancer_weighted.pool import BalancerWeightedPool
from protocols.amm.interface import Ranged, Venue
from protocols.amm.uniswap_v2.pool import UniswapV2Pair
from protocols.amm.uniswap_v3.pool import UniswapV3Pool
from simulator.market.curves import NEAR, SPARE, Curve, curve
from tests.simulator.market.pool_networks import Coin, pair, stable_pool, v3_pool

FIRST, SECOND, THIRD = (Coin(f"0x{row}", decimals, 1.7, 0) for row, decimals in enumerate((18, 6, 8)))
DEPTH = 3.1e6


class Silent:
    """A pool that answers as another does, but does not state its ranges."""

    def __init__(self, pool: Venue) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        if name == "ranges":
            raise AttributeError(name)
        return getattr(self._pool, name)


def pays(found: Curve, amount: float) -> float:
    """What an amount brings by a curve."""
    if found.paid[-1] == 0.0:
        return 0.0
    k = min(int(np.searchsorted(found.paid, amount, side="right")), len(found.paid) - 1) - 1
    more = amount - found.paid[k]
    rise = (found.dearness[k + 1] - found.dearness[k]) / (found.paid[k + 1] - found.paid[k])
    return float(found.received[k] + more / (found.dearness[k] * (found.dearness[k] + rise * more)))


def weighted() -> BalancerWeightedPool:
    return BalancerWeightedPool(
        "0xweighted",
        (FIRST.address, SECOND.address),
        decimals=(18, 6),
        balances_raw=(round(0.8 * DEPTH * 1e18), round(0.2 * DEPTH * 1e6)),
        weights_wad=(8 * 10**17, 2 * 10**17),
        swap_fee_wad=3 * 10**15,
    )


def pools(seed: int) -> list[Venue]:
    random = Random(seed)
    return [
        pair(random, 0, FIRST, SECOND, DEPTH),
        v3_pool(random, 1, FIRST, SECOND, DEPTH),
        stable_pool(random, 2, (FIRST, SECOND), DEPTH, dynamic=False),
        stable_pool(random, 3, (FIRST, SECOND, THIRD), DEPTH, dynamic=False),
        weighted(),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_a_curve_pays_what_the_pool_quotes(seed: int) -> None:
    for pool in pools(seed):
        for sold, bought in ((0, 1), (1, 0)):
            most = round(20.0 * DEPTH / (FIRST, SECOND)[sold].unit_price)
            found = curve(pool, sold, bought, most)
            near = 1e-7 if isinstance(pool, Ranged) else 2.0 * NEAR
            for share in (1e-4, 0.003, 0.04, 0.5, 1.0):
                amount = int(min(most, found.paid[-1]) * share)
                quoted = pool.quote(sold, bought, amount).received_raw
                assert pays(found, amount) == pytest.approx(quoted, rel=near, abs=2.0)


@pytest.mark.parametrize("seed", range(8))
def test_what_a_pool_states_is_what_it_says_when_asked(seed: int) -> None:
    for pool in pools(seed)[:2]:
        for sold, bought in ((0, 1), (1, 0)):
            most = round(5.0 * DEPTH / (FIRST, SECOND)[sold].unit_price)
            stated, asked = curve(pool, sold, bought, most), curve(Silent(pool), sold, bought, most)
            assert stated.slack < asked.slack
            for share in (0.001, 0.03, 0.4, 0.99):
                amount = share * min(most, stated.paid[-1])
                assert pays(asked, amount) == pytest.approx(pays(stated, amount), rel=asked.slack)


@pytest.mark.parametrize("seed", range(20))
def test_the_next_unit_never_brings_more_and_the_first_most(seed: int) -> None:
    dynamic = stable_pool(Random(seed), 0, (FIRST, SECOND, THIRD), DEPTH, dynamic=True)
    for pool in (dynamic, *pools(seed)):
        for sold, bought in ((0, 1), (1, 0)):
            found = curve(pool, sold, bought, round(9.0 * DEPTH / (FIRST, SECOND)[sold].unit_price))
            assert (np.diff(found.dearness) >= 0.0).all()
            assert (np.diff(found.paid) >= 0.0).all()
            assert (np.diff(found.received) >= 0.0).all()
            if found.paid[-1] > 0.0:
                assert found.rate == pytest.approx(found.dearness[0] ** -2.0, rel=1e-12)


def test_where_the_fee_falls_the_curve_is_the_least_concave_one_above_the_pool() -> None:
    # far from the peg, so that the first units sold back toward it pay more of a fee than the next
    found_other_than_concave = 0
    for seed in range(20):
        pool = stable_pool(Random(seed), 0, (FIRST, SECOND), DEPTH, dynamic=True)
        for sold, bought in ((0, 1), (1, 0)):
            most = round(3.0 * DEPTH / (FIRST, SECOND)[sold].unit_price)
            found = curve(pool, sold, bought, most)
            first = pool.price(sold, bought) * (1.0 - pool.fee(sold, bought))
            found_other_than_concave += found.rate > first * (1.0 + 1e-6)
            amounts = [int(most * share) for share in (0.001, 0.01, 0.1, 0.3, 0.8)]
            for amount in amounts:
                quoted = pool.quote(sold, bought, amount).received_raw
                assert quoted * (1.0 - 2.0 * NEAR) <= pays(found, amount) <= quoted * 1.02
    assert found_other_than_concave > 5


def test_a_curve_ends_where_the_pool_does() -> None:
    pool = v3_pool(Random(4), 0, FIRST, SECOND, DEPTH)
    most = 10**40
    taken = pool.quote(0, 1, most).paid_raw
    for found in (curve(pool, 0, 1, most), curve(Silent(pool), 0, 1, most)):
        assert found.paid[-1] == pytest.approx(taken * (1.0 - SPARE), rel=1e-7)
    # a weighted pool takes 30 % of its balance after the fee, and refuses more
    found = curve(weighted(), 0, 1, most)
    assert found.paid[-1] == pytest.approx(0.3 / 0.997 * 0.8 * DEPTH * 1e18, rel=1e-5)


def test_a_gap_without_liquidity_is_a_jump_of_the_price() -> None:
    net = {-600: 10**18, -300: -(10**18), 300: 10**18, 600: -(10**18)}
    pool = UniswapV3Pool(
        "0xgap",
        ("0xa", "0xb"),
        fee_pips=3000,
        tick_spacing=60,
        sqrt_price_x96=1 << 96,
        tick=0,
        liquidity=0,
        ticks=list(net),
        liquidity_net=list(net.values()),
    )
    for sold in (0, 1):
        found = curve(pool, sold, 1 - sold, 10**18)
        # the price is amid the gap: the first unit sold is sold at its far end
        assert found.rate == pytest.approx(0.997 * 1.0001**-300, rel=1e-9)
        assert pays(found, 10**15) == pytest.approx(pool.quote(sold, 1 - sold, 10**15).received_raw, rel=1e-7)


@pytest.mark.parametrize("pool", [UniswapV2Pair("0xempty", ("0xa", "0xb"), 0, 0)])
def test_an_empty_pool_pays_nothing(pool: Venue) -> None:
    assert isinstance(pool, Ranged)
    for found in (curve(pool, 0, 1, 10**18), curve(Silent(pool), 0, 1, 10**18)):
        assert found.rate == 0.0
        assert found.paid[-1] == found.received[-1] == 0.0


def test_a_pool_is_asked_the_less_the_smaller_the_sale() -> None:
    def asked(most: int) -> int:
        count = 0
        pool = stable_pool(Random(1), 0, (FIRST, SECOND), DEPTH, dynamic=False)
        quote = pool.quote

        def counted(sold: int, bought: int, amount_raw: int) -> Any:
            nonlocal count
            count += 1
            return quote(sold, bought, amount_raw)

        pool.quote = counted  # type: ignore[method-assign]
        curve(pool, 0, 1, most)
        return count

    small, large = (asked(round(usd * 1e18)) for usd in (1e3, 1e7))
    assert small < 20 < large < 1_000
