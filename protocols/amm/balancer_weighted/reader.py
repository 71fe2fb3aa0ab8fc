"""Reads Balancer v2 weighted pools at a pinned block: balances from the Vault, weights and fee from the pool.

Pools are found from the ``PoolCreated`` events of their factories.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from chain.calls import Call, CallFailed, read
from chain.deployments import Deployment
from chain.events import scan
from chain.node import Block, Node, Progress
from protocols.amm.balancer_weighted.tables import POOLS, TOKENS
from protocols.reading import Reading, Rows

# keccak256("PoolCreated(address)")
POOL_CREATED = "0x83a48fbcfc991335314e74d0496aab6a1987e992ddc85dddbcc4d6dd6ef2e9fc"
_POOL_TOKENS = "getPoolTokens(bytes32)(address[],uint256[],uint256)"


def read_deployment(
    node: Node, block: Block, deployment: Deployment, tokens: Sequence[str], progress: Callable[[str], Progress]
) -> Reading:
    """The pools that hold at least two of some tokens, that have balances, and that are not paused.

    Parameters
    ----------
    deployment
        Its address book entry; needs the address ``vault``, and one ``factory…`` for each version of the pools.
    """
    factories = [address for role, address in deployment.addresses.items() if role.startswith("factory")]
    vault = deployment.addresses["vault"]
    created = scan(
        node,
        block,
        factories,
        (POOL_CREATED,),
        from_block=deployment.from_block,
        progress=progress("looking for weighted pools"),
    )
    pools = ["0x" + log.topics[1][-40:] for log in created]
    ids = read(node, block, [Call(pool, "getPoolId()(bytes32)") for pool in pools])
    holdings = read(
        node,
        block,
        [Call(vault, _POOL_TOKENS, (identity,)) for identity in ids],
        progress=progress("reading weighted pools"),
    )
    wanted = set(tokens)
    held = {
        pool: (listed, balances)
        for pool, (listed, balances, _) in zip(pools, holdings, strict=True)
        if len(wanted.intersection(listed)) > 1 and all(balances)
    }
    return Reading((), _rows(node, block, held))


def _rows(node: Node, block: Block, held: dict[str, tuple[Sequence[str], Sequence[int]]]) -> dict[Any, Rows]:
    def each(signature: str, require: bool = True) -> dict[str, Any]:
        answers = read(node, block, [Call(pool, signature) for pool in held], require=require)
        return dict(zip(held, answers, strict=True))

    paused = each("getPausedState()(bool,uint256,uint256)")
    held = {pool: holding for pool, holding in held.items() if not paused[pool][0]}
    versions = each("version()(string)", require=False)  # the first pools have none
    fees, weights = each("getSwapFeePercentage()(uint256)"), each("getNormalizedWeights()(uint256[])")
    known = sorted({token for listed, _ in held.values() for token in listed})
    decimals = dict(zip(known, read(node, block, [Call(token, "decimals()(uint8)") for token in known]), strict=True))
    pools = [{"pool": pool, "version": _version(versions[pool]), "swap_fee_wad": fees[pool]} for pool in held]
    tokens = [
        {
            "pool": pool,
            "position": position,
            "token": token,
            "decimals": decimals[token],
            "balance_raw": balance,
            "weight_wad": weight,
        }
        for pool, (listed, balances) in held.items()
        for position, (token, balance, weight) in enumerate(zip(listed, balances, weights[pool], strict=True))
    ]
    return {POOLS: pools, TOKENS: tokens}


def _version(answer: Any) -> int:
    """The number in what ``version()`` says, a JSON object."""
    return 1 if isinstance(answer, CallFailed) else int(json.loads(answer)["version"])
