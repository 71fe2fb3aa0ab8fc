"""Balancer v2 weighted pools on a fork."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain.calls import Call, decode
from chain.fork import Fork
from protocols.onfork import EXECUTOR, Hand

_SWAP = "swap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool),uint256,uint256)(uint256)"
_GIVEN_IN = 0
_NO_DEADLINE = 2**256 - 1


class OnFork:
    """Every pool of the fork."""

    def __init__(self, fork: Fork) -> None:
        self.fork, self.hand = fork, Hand(fork)

    def swap(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """Execute a row of a run's swaps; raises chain.fork.Reverted.

        Returns
        -------
        What the Vault took in, and what it paid out, smallest units.
        """
        pool, token_in, token_out, amount = row["venue"], row["token_in"], row["token_out"], row["amount_raw"]
        vault = self.fork.read(Call(pool, "getVault()(address)"))
        identity = self.fork.read(Call(pool, "getPoolId()(bytes32)"))
        self.hand.hold(token_in, amount)
        self.hand.allow(token_in, vault)
        asked = (identity, _GIVEN_IN, token_in, token_out, amount, b"")
        own = (EXECUTOR, False, EXECUTOR, False)
        swap = Call(vault, _SWAP, (asked, own, 0, _NO_DEADLINE))
        return amount, decode(swap, self.hand.act(swap).output)
