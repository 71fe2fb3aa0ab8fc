"""Reads Uniswap v4 pools at a pinned block: price, fees, liquidity, and every initialised tick.

Pools are found from the PoolManager's ``Initialize`` events. Their state is in no view of the PoolManager, but it shows
its storage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chain.calls import Call
from chain.deployments import Deployment
from chain.events import Log
from chain.node import Block, Node, Progress
from protocols.amm.uniswap_v3.ticks import MAX_TICK
from protocols.amm.uniswap_v4 import storage
from protocols.amm.uniswap_v4.key import NATIVE, PoolKey
from protocols.amm.uniswap_v4.tables import POOLS, TICKS
from protocols.asking import Source
from protocols.reading import Reading, Rows

# keccak256("Initialize(bytes32,address,address,uint24,int24,address,uint160,int24)")
INITIALIZE = "0xdd466e674ea557f56295e2d0218a125ea4b4f0f6f3307b95f85e6110838d6438"
DYNAMIC_FEE = 0x800000
"""LPFeeLibrary.DYNAMIC_FEE_FLAG: the pool's hooks set the fee; a pool without hooks cannot have it."""

_SLOTS, _BUNDLE = 250, 4
"""Slots in one call, and calls in one bundle."""
_NAMED = 10
"""Pools that a note names one by one."""


@dataclass(frozen=True)
class _Pool:
    """A pool that was initialised once, as it is at the block."""

    key: PoolKey
    pool_id: bytes
    hooks: str
    slot0: storage.Slot0
    liquidity: int


def read_deployment(
    node: Node, block: Block, deployment: Deployment, tokens: Sequence[str], progress: Callable[[str], Progress]
) -> Reading:
    """The pools between some tokens, without hooks, that have liquidity at the price.

    A pool of the chain's own currency is one of the token that wraps it: who holds the one can have the other at no
    cost but gas.

    Parameters
    ----------
    deployment
        Its address book entry; needs the addresses ``manager`` and ``wrapped_native``.
    """
    source = Source(node, block, deployment, progress, bundle=_BUNDLE)
    wrapped = deployment.addresses["wrapped_native"]
    found = _find(source, [*sorted(tokens), *([NATIVE] if wrapped in tokens else [])])
    liquid = [pool for pool in found if pool.liquidity]
    plain = [pool for pool in liquid if pool.hooks == NATIVE]
    kept = [pool for pool in plain if (pool.key.currency0, pool.key.currency1) != (NATIVE, wrapped)]
    rows = {POOLS: [_row(pool, wrapped) for pool in kept], TICKS: _ticks(source, kept)}
    return Reading((), rows, _notes(source.deployment, found, liquid, plain, kept))


def _find(source: Source, currencies: Sequence[str]) -> list[_Pool]:
    """Every pool between some currencies that was ever initialised."""
    if len(currencies) < 2:
        return []
    either = ["0x" + currency[2:].rjust(64, "0") for currency in currencies]
    logs = source.scan(
        source.deployment.addresses["manager"], (INITIALIZE, None, either, either), "looking for Uniswap v4 pools"
    )
    ids = [bytes.fromhex(log.topics[1][2:]) for log in logs]
    slots = [slot for pool_id in ids for slot in (storage.slot0_of(pool_id), storage.liquidity_of(pool_id))]
    values = _load(source, slots, "reading Uniswap v4 pools")
    return [
        _pool(log, pool_id, storage.read_slot0(slot0), liquidity)
        for log, pool_id, slot0, liquidity in zip(logs, ids, values[::2], values[1::2], strict=True)
    ]


def _pool(log: Log, pool_id: bytes, slot0: storage.Slot0, liquidity: int) -> _Pool:
    from eth_abi.abi import decode

    fee, tick_spacing, hooks, _, _ = decode(["uint24", "int24", "address", "uint160", "int24"], log.data)
    currency0, currency1 = ("0x" + topic[-40:] for topic in log.topics[2:])
    return _Pool(
        PoolKey(log.address, currency0, currency1, fee, tick_spacing), pool_id, hooks.lower(), slot0, liquidity
    )


def _load(source: Source, slots: Sequence[bytes], what: str) -> list[int]:
    """What the PoolManager's storage holds."""
    manager = source.deployment.addresses["manager"]
    groups = [slots[start : start + _SLOTS] for start in range(0, len(slots), _SLOTS)]
    answers = source.read([Call(manager, storage.EXTSLOAD, (group,)) for group in groups], what=what)
    return [int.from_bytes(value, "big") for answer in answers for value in answer]


def _ticks(source: Source, pools: Sequence[_Pool]) -> Rows:
    """Rows of every initialised tick."""
    words = []
    for pool in pools:
        last = MAX_TICK // pool.key.tick_spacing
        words += [(pool, word) for word in range(-last - 1 >> 8, (last >> 8) + 1)]
    bitmaps = _load(source, [storage.bitmap_of(pool.pool_id, word) for pool, word in words], "reading ticks")
    ticks = [
        (pool, ((word << 8) + bit) * pool.key.tick_spacing)
        for (pool, word), bitmap in zip(words, bitmaps, strict=True)
        if bitmap
        for bit in range(256)
        if bitmap >> bit & 1
    ]
    liquidity = _load(source, [storage.tick_of(pool.pool_id, tick) for pool, tick in ticks], "reading liquidity")
    return [
        {"pool": pool.key.name, "tick": tick, "liquidity_net": storage.read_liquidity_net(value)}
        for (pool, tick), value in zip(ticks, liquidity, strict=True)
    ]


def _row(pool: _Pool, wrapped: str) -> dict[str, Any]:
    return {
        "pool": pool.key.name,
        "pool_id": "0x" + pool.pool_id.hex(),
        "token0": wrapped if pool.key.currency0 == NATIVE else pool.key.currency0,
        "token1": pool.key.currency1,
        "lp_fee_pips": pool.slot0.lp_fee,
        "tick_spacing": pool.key.tick_spacing,
        "sqrt_price_x96": pool.slot0.sqrt_price_x96,
        "tick": pool.slot0.tick,
        "liquidity": pool.liquidity,
        "protocol_fee": pool.slot0.protocol_fee,
    }


def _notes(
    deployment: Deployment,
    found: Sequence[_Pool],
    liquid: Sequence[_Pool],
    plain: Sequence[_Pool],
    kept: Sequence[_Pool],
) -> list[str]:
    """What was left out, from each choice to the next, and what is taken for something else."""
    wrapped = deployment.addresses["wrapped_native"]
    notes = []
    if hooked := [pool for pool in liquid if pool.hooks != NATIVE]:
        dynamic = sum(pool.key.fee_pips == DYNAMIC_FEE for pool in hooked)
        ids = ", ".join(f"0x{pool.pool_id.hex()}" for pool in hooked[:_NAMED])
        more = f" and {len(hooked) - _NAMED} more" if len(hooked) > _NAMED else ""
        notes.append(
            f"pools with hooks are not modelled and left out ({len(hooked)}, {dynamic} of them with a dynamic fee): "
            f"{ids}{more}."
        )
    if same := len(plain) - len(kept):
        notes.append(f"pools between the chain's own currency and what wraps it are left out ({same}).")
    if empty := len(found) - len(liquid):
        notes.append(f"pools without liquidity at their price are left out ({empty}).")
    if native := sum(pool.key.currency0 == NATIVE for pool in kept):
        notes.append(f"pools of the chain's own currency are taken for pools of {wrapped}, which wraps it ({native}).")
    return [f"{deployment.name}: {note}" for note in notes]
