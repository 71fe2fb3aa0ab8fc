"""Tricrypto-ng pools on a fork."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain.calls import Call, decode
from chain.fork import Fork
from protocols.onfork import Hand

_COINS = 3


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
        coins = self.fork.read_all([Call(pool, "coins(uint256)(address)", (k,)) for k in range(_COINS)])
        sides = coins.index(row["token_in"]), coins.index(row["token_out"])
        self.hand.hold(row["token_in"], amount)
        self.hand.allow(row["token_in"], pool)
        swap = Call(pool, "exchange(uint256,uint256,uint256,uint256)(uint256)", (*sides, amount, 0))
        return amount, decode(swap, self.hand.act(swap).output)
