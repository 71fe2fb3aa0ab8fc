"""Reads Uniswap v2 pairs at a pinned block (UniswapV2Factory.getPair, UniswapV2Pair.getReserves)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

from chain.calls import Call, read
from chain.deployments import Deployment
from chain.node import Block, Node, Progress
from protocols.amm.uniswap_v2.tables import POOLS
from protocols.reading import Reading

_NOBODY = "0x" + "0" * 40


def read_deployment(
    node: Node, block: Block, deployment: Deployment, tokens: Sequence[str], progress: Callable[[str], Progress]
) -> Reading:
    """The pairs between some tokens that have reserves; needs the address ``factory``."""
    sides = list(combinations(sorted(tokens), 2))
    factory = deployment.addresses["factory"]
    pairs = read(
        node,
        block,
        [Call(factory, "getPair(address,address)(address)", side) for side in sides],
        progress=progress("looking for pairs"),
    )
    found = [(pair, side) for pair, side in zip(pairs, sides, strict=True) if pair != _NOBODY]
    reserves = read(node, block, [Call(pair, "getReserves()(uint112,uint112,uint32)") for pair, _ in found])
    rows = [
        {"pool": pair, "token0": side[0], "token1": side[1], "reserve0_raw": amounts[0], "reserve1_raw": amounts[1]}
        for (pair, side), amounts in zip(found, reserves, strict=True)
        if amounts[0] and amounts[1]
    ]
    return Reading((), {POOLS: rows})
