"""When a model lets liquidity providers leave, a pool gets smaller and nothing else, whichever protocol it is of."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from protocols.amm.interface import ONE_SHARE, Fill, Withdrawable
from protocols.amm.uniswap_v2.pool import UniswapV2Pair
from tests.protocols.stableswap_pools import pool_of as stableswap
from tests.protocols.test_balancer_weighted import pool_of as weighted
from tests.protocols.test_curve_tricrypto import pool_of as tricrypto
from tests.protocols.test_uniswap_v3 import Position
from tests.protocols.test_uniswap_v3 import pool_of as concentrated

WAD = 10**18
POOLS: dict[str, Callable[[], Any]] = {
    "uniswap_v2": lambda: UniswapV2Pair("0xpair", ("0xa", "0xb"), 71 * WAD + 7, 190_000 * 10**6 + 11),
    "uniswap_v3": lambda: concentrated([Position(-6000, 1200, 3 * 10**20), Position(-600, 9000, 5 * 10**20 + 1)]),
    "curve_stableswap": lambda: stableswap(1_000_003.0, 2_300_001.0, 1_700_017.0, decimals=(18, 6, 6)),
    "curve_tricrypto": lambda: tricrypto((1.1, 0.9, 1.05)),
    "balancer_weighted": lambda: weighted((70 * WAD + 3, 1_300 * WAD + 1, 9 * WAD), (3, 1, 2)),
}
pools = pytest.mark.parametrize("kind", POOLS)
shares = pytest.mark.parametrize("share_wad", [1, ONE_SHARE // 7, ONE_SHARE // 2, ONE_SHARE * 999 // 1000])


@pools
@shares
def test_the_price_stays_and_what_leaves_is_the_share_rounded_for_those_who_stay(kind: str, share_wad: int) -> None:
    pool = POOLS[kind]()
    assert isinstance(pool, Withdrawable)
    before = pool.reserves_raw()
    pairs = list(permutations(range(len(before)), 2))
    prices = [pool.price(*pair) for pair in pairs]
    left = pool.withdraw(share_wad)
    for was, now, amount in zip(before, pool.reserves_raw(), left, strict=True):
        fair = was * share_wad // ONE_SHARE
        assert fair - 4 <= amount <= fair
        # nothing is lost: what is not paid out is there, but for the unit that a range rounds
        assert 0 <= was - now - amount <= 4
    assert [pool.price(*pair) for pair in pairs] == pytest.approx(prices, rel=1e-5)


@pools
def test_what_is_left_trades_like_the_whole_at_the_scale_of_what_is_left(kind: str) -> None:
    whole, half = POOLS[kind](), POOLS[kind]()
    half.withdraw(ONE_SHARE // 2)
    for sold, bought in permutations(range(len(whole.reserves_raw())), 2):
        amount = whole.reserves_raw()[sold] // 50
        full, part = whole.quote(sold, bought, amount), half.quote(sold, bought, amount // 2)
        assert part.received_raw > 0
        assert part.received_raw == pytest.approx(full.received_raw / 2, rel=1e-5)
        assert half.quote(sold, bought, amount).received_raw < full.received_raw


@pools
def test_leaving_in_two_parts_leaves_what_leaving_at_once_does(kind: str) -> None:
    once, twice = POOLS[kind](), POOLS[kind]()
    once.withdraw(ONE_SHARE * 3 // 4)
    twice.withdraw(ONE_SHARE // 2)
    twice.withdraw(ONE_SHARE // 2)
    assert twice.reserves_raw() == pytest.approx(once.reserves_raw(), rel=1e-9)


@pools
def test_when_all_have_left_nothing_can_be_traded(kind: str) -> None:
    pool = POOLS[kind]()
    before = pool.reserves_raw()
    assert pool.withdraw(ONE_SHARE) == pytest.approx(before, rel=1e-12, abs=4)
    assert max(pool.reserves_raw()) <= 1
    for sold, bought in permutations(range(len(before)), 2):
        assert pool.quote(sold, bought, before[sold] // 10).received_raw == 0


@pools
def test_when_nobody_leaves_nothing_changes(kind: str) -> None:
    one, other = POOLS[kind](), POOLS[kind]()
    assert not any(one.withdraw(0))
    amount = one.reserves_raw()[0] // 100
    assert one.quote(0, 1, amount) == other.quote(0, 1, amount) != Fill(0, 0)
