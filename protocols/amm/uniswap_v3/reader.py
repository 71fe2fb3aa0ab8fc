"""Reads Uniswap v3 pools at a pinned block: price, liquidity, and every initialised tick (from the tick bitmap)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

from chain.calls import Call, read
from chain.deployments import Deployment
from chain.node import Block, Node, Progress
from protocols.amm.uniswap_v3.tables import POOLS, TICKS
from protocols.reading import Reading, Rows

FEES = (100, 200, 300, 400, 500, 3000, 10_000)
"""Fees of factories' pools, in hundredths of a basis point; 200 to 400 are enabled on some chains only."""

_MAX_TICK = 887_272
_NOBODY = "0x" + "0" * 40
_BUNDLE = 1000


def read_deployment(
    node: Node, block: Block, deployment: Deployment, tokens: Sequence[str], progress: Callable[[str], Progress]
) -> Reading:
    """The pools between some tokens that have liquidity anywhere; needs the address ``factory``."""
    factory = deployment.addresses["factory"]
    wanted = [(a, b, fee) for a, b in combinations(sorted(tokens), 2) for fee in FEES]
    calls = [Call(factory, "getPool(address,address,uint24)(address)", key) for key in wanted]
    pools = read(node, block, calls, bundle=_BUNDLE, progress=progress("looking for pools"))
    found = [(pool, key) for pool, key in zip(pools, wanted, strict=True) if pool != _NOBODY]

    def each(signature: str) -> list[Any]:
        return read(node, block, [Call(pool, signature) for pool, _ in found], bundle=_BUNDLE)

    slots = each("slot0()(uint160,int24,uint16,uint16,uint16,uint8,bool)")
    liquidity, spacing = each("liquidity()(uint128)"), each("tickSpacing()(int24)")
    ticks = _ticks(node, block, [(pool, step) for (pool, _), step in zip(found, spacing, strict=True)], progress)
    liquid = {row["pool"] for row in ticks}
    rows = [
        {
            "pool": pool,
            "token0": token0,
            "token1": token1,
            "fee_pips": fee,
            "tick_spacing": spacing[i],
            "sqrt_price_x96": slots[i][0],
            "tick": slots[i][1],
            "liquidity": liquidity[i],
            "fee_protocol": slots[i][5],
        }
        for i, (pool, (token0, token1, fee)) in enumerate(found)
        if pool in liquid
    ]
    return Reading((), {POOLS: rows, TICKS: ticks})


def _ticks(node: Node, block: Block, pools: Sequence[tuple[str, int]], progress: Callable[[str], Progress]) -> Rows:
    """Rows of every initialised tick."""
    words = []
    for pool, spacing in pools:
        last = _MAX_TICK // spacing
        words += [(pool, spacing, word) for word in range(-last - 1 >> 8, (last >> 8) + 1)]
    bitmaps = read(
        node,
        block,
        [Call(pool, "tickBitmap(int16)(uint256)", (word,)) for pool, _, word in words],
        bundle=_BUNDLE,
        progress=progress("reading ticks"),
    )
    ticks = [
        (pool, ((word << 8) + bit) * spacing)
        for (pool, spacing, word), bitmap in zip(words, bitmaps, strict=True)
        if bitmap
        for bit in range(256)
        if bitmap >> bit & 1
    ]
    signature = "ticks(int24)(uint128,int128,uint256,uint256,int56,uint160,uint32,bool)"
    details = read(node, block, [Call(pool, signature, (tick,)) for pool, tick in ticks], bundle=_BUNDLE)
    return [
        {"pool": pool, "tick": tick, "liquidity_net": detail[1]}
        for (pool, tick), detail in zip(ticks, details, strict=True)
    ]
