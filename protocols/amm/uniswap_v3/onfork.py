"""Uniswap v3 pools on a fork."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain.calls import Call, decode
from chain.fork import Fork
from protocols.onfork import EXECUTOR, Hand

# TickMath.MIN_SQRT_RATIO + 1 and MAX_SQRT_RATIO - 1: no limit
_LOWEST = 4295128740
_HIGHEST = 1461446703485210103287273052203988822378723970341


_SWAP = "swap(address,bool,int256,uint160,bytes)(int256,int256)"


class OnFork:
    """Every pool of the fork."""

    def __init__(self, fork: Fork) -> None:
        self.fork, self.hand = fork, Hand(fork)

    def swap(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """Execute a row of a run's swaps; raises chain.fork.Reverted.

        Returns
        -------
        What the pool took in, and what it paid out, smallest units.
        """
        pool, amount = row["venue"], row["amount_raw"]
        zero_for_one = self.fork.read(Call(pool, "token0()(address)")) == row["token_in"]
        limit = row["limit_raw"] or (_LOWEST if zero_for_one else _HIGHEST)
        self.hand.hold(row["token_in"], 2 * row["paid_raw"] + 1)  # room for a pool that wants more than the run says
        swap = Call(pool, _SWAP, (EXECUTOR, zero_for_one, amount, limit, b""))
        amounts = decode(swap, self.hand.act(swap).output)
        return amounts[0 if zero_for_one else 1], -amounts[1 if zero_for_one else 0]
