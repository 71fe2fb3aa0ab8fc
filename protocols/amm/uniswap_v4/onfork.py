"""Uniswap v4 pools on a fork."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain.calls import Call, decode, encode
from chain.fork import Fork
from protocols.amm.uniswap_v3.ticks import MAX_SQRT_PRICE_X96, MIN_SQRT_PRICE_X96
from protocols.amm.uniswap_v4.key import NATIVE, read_key
from protocols.onfork import Hand

_SWAP = "swap((address,address,uint24,int24,address),(bool,int256,uint160),bytes)(int256)"
_UNLOCK = "unlock(bytes)(bytes)"


class OnFork:
    """Every pool of the fork."""

    def __init__(self, fork: Fork) -> None:
        self.fork, self.hand = fork, Hand(fork)

    def swap(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """Execute a row of a run's swaps; raises chain.fork.Reverted.

        The PoolManager is unlocked with the call that the executor is to make in return. Where a pool is of the chain's
        own currency, the row's token is what wraps it, and the currency itself is paid or received.

        Returns
        -------
        What the pool took in, and what it paid out, smallest units.
        """
        key = read_key(row["venue"])
        zero_for_one = row["token_in"] != key.currency1
        limit = row["limit_raw"] or (MIN_SQRT_PRICE_X96 + 1 if zero_for_one else MAX_SQRT_PRICE_X96 - 1)
        currency = key.currency0 if zero_for_one else key.currency1
        room = 2 * row["paid_raw"] + 1  # for a pool that wants more than the run says
        if currency == NATIVE:
            self.hand.hold_native(room)
        else:
            self.hand.hold(currency, room)
        swap = Call(key.manager, _SWAP, (key.arguments, (zero_for_one, -row["amount_raw"], limit), b""))
        unlock = Call(key.manager, _UNLOCK, (encode(swap),))
        delta = decode(swap, decode(unlock, self.hand.act(unlock).output))
        # BalanceDelta: token 0 in the high half, token 1 in the low, both signed and seen from the caller
        amount0, amount1 = delta >> 128, (delta + 2**127) % 2**128 - 2**127
        return (-amount0, amount1) if zero_for_one else (-amount1, amount0)
