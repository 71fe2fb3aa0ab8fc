"""Uniswap v3 pools on a fork."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eth_abi.abi import decode

from chain.calls import Call
from chain.fork import Fork
from protocols.onfork import EXECUTOR, execute

# TickMath.MIN_SQRT_RATIO + 1 and MAX_SQRT_RATIO - 1: no limit
_LOWEST = 4295128740
_HIGHEST = 1461446703485210103287273052203988822378723970341


class OnFork:
    """Every pool of the fork."""

    def __init__(self, fork: Fork) -> None:
        self.fork = fork

    def swap(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """Execute a row of a run's swaps; raises chain.fork.Reverted.

        Returns
        -------
        What the pool took in, and what it paid out, smallest units.
        """
        pool, amount = row["venue"], row["amount_raw"]
        zero_for_one = self.fork.read(Call(pool, "token0()(address)")) == row["token_in"]
        limit = row["limit_raw"] or (_LOWEST if zero_for_one else _HIGHEST)
        receipt = execute(
            self.fork,
            "swapV3(address,address,bool,int256,uint160)(int256,int256)",
            (pool, EXECUTOR, zero_for_one, amount, limit),
            row["token_in"],
            2 * row["paid_raw"] + 1,  # room for a contract that wants more than the run says
        )
        amounts = decode(["int256", "int256"], receipt.output)
        return amounts[0 if zero_for_one else 1], -amounts[1 if zero_for_one else 0]
