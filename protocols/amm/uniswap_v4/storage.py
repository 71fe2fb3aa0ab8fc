"""Where a Uniswap v4 PoolManager keeps its pools (StateLibrary), for its ``extsload``.

Slots are bytes32, values are integers. A pool's state begins at a slot of its own: slot0 there, its liquidity and its
mappings some words further on.
"""

from __future__ import annotations

from typing import NamedTuple

EXTSLOAD = "extsload(bytes32[])(bytes32[])"
"""The PoolManager's own view of many slots."""

_POOLS = 6
_LIQUIDITY, _TICKS, _TICK_BITMAP = 3, 4, 5


class Slot0(NamedTuple):
    """What Slot0 packs."""

    sqrt_price_x96: int
    tick: int
    protocol_fee: int
    lp_fee: int


def slot0_of(pool_id: bytes) -> bytes:
    """Where a pool's slot0 is."""
    return _hash(pool_id, _POOLS.to_bytes(32, "big"))


def liquidity_of(pool_id: bytes) -> bytes:
    """Where a pool's active liquidity is."""
    return _after(slot0_of(pool_id), _LIQUIDITY)


def bitmap_of(pool_id: bytes, word: int) -> bytes:
    """Where a word of a pool's tick bitmap is."""
    return _hash(_signed_word(word), _after(slot0_of(pool_id), _TICK_BITMAP))


def tick_of(pool_id: bytes, tick: int) -> bytes:
    """Where a tick's liquidity is."""
    return _hash(_signed_word(tick), _after(slot0_of(pool_id), _TICKS))


def read_slot0(value: int) -> Slot0:
    """What a slot0 says."""
    return Slot0(value % 2**160, _signed(value >> 160, 24), value >> 184 & 0xFFFFFF, value >> 208 & 0xFFFFFF)


def read_liquidity_net(value: int) -> int:
    """The ``liquidityNet`` of a tick; ``liquidityGross`` lies in the low half."""
    return _signed(value >> 128, 128)


def _signed(value: int, length: int) -> int:
    low = value & (1 << length) - 1
    return low - (1 << length) if low >> length - 1 else low


def _signed_word(value: int) -> bytes:
    return value.to_bytes(32, "big", signed=True)


def _after(slot: bytes, words: int) -> bytes:
    return (int.from_bytes(slot, "big") + words).to_bytes(32, "big")


def _hash(key: bytes, slot: bytes) -> bytes:
    """Where a mapping that lies at a slot has a key's value."""
    from eth_utils.crypto import keccak

    return keccak(key + slot)
