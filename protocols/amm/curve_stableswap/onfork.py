"""StableSwap pools on a fork."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain.calls import Call
from chain.fork import Fork
from protocols.onfork import Hand

# keccak256("TokenExchange(address,int128,uint256,int128,uint256)")
TOKEN_EXCHANGE = bytes.fromhex("8b3e96f2b889fa771c53c981b40daf005f63f637f1869f707052d15a3dd97140")


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
        pool, token_in, amount = row["venue"], row["token_in"], row["amount_raw"]
        i, j = (self._coin(pool, token) for token in (token_in, row["token_out"]))
        self.hand.hold(token_in, amount)
        self.hand.allow(token_in, pool)
        # 3pool's exchange returns nothing, so that both kinds are believed by their event
        receipt = self.hand.act(Call(pool, "exchange(int128,int128,uint256,uint256)()", (i, j, amount, 0)))
        log = next(log for log in receipt.logs if log.address == pool and log.topics[0] == TOKEN_EXCHANGE)
        _, paid, _, received = (int.from_bytes(log.data[i : i + 32], "big") for i in range(0, 128, 32))
        return paid, received

    def _coin(self, pool: str, token: str) -> int:
        """Number of a coin in a pool that has it."""
        number = 0
        while self.fork.read(Call(pool, "coins(uint256)(address)", (number,))) != token:
            number += 1
        return number
