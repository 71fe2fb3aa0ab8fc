"""Uniswap v2 pairs on a fork."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain.calls import Call
from chain.fork import Fork, Receipt, Reverted
from protocols.onfork import EXECUTOR, Hand

# keccak256("Swap(address,uint256,uint256,uint256,uint256,address)")
SWAP = bytes.fromhex("d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822")


class OnFork:
    """Every pair of the fork."""

    def __init__(self, fork: Fork) -> None:
        self.fork, self.hand = fork, Hand(fork)

    def swap(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """Execute a row of a run's swaps; raises chain.fork.Reverted.

        A pair pays out what it is asked for, if that is not too much. So it is first asked for one unit more than the
        run says, which it must refuse, and then for what the run says.

        Returns
        -------
        What was paid in, and what was paid out, smallest units.
        """
        pair, token_in, paid, received = row["venue"], row["token_in"], row["amount_raw"], row["received_raw"]
        zero_for_one = self.fork.read(Call(pair, "token0()(address)")) == token_in
        self.hand.pay(token_in, pair, paid)
        try:
            receipt = self._take(pair, zero_for_one, received + 1)
        except Reverted:
            receipt = self._take(pair, zero_for_one, received)
        log = next(log for log in receipt.logs if log.address == pair and log.topics[0] == SWAP)
        amounts = [int.from_bytes(log.data[i : i + 32], "big") for i in range(0, 128, 32)]
        return amounts[0] + amounts[1], amounts[2] + amounts[3]

    def _take(self, pair: str, zero_for_one: bool, amount_raw: int) -> Receipt:
        out = (0, amount_raw) if zero_for_one else (amount_raw, 0)
        return self.hand.act(Call(pair, "swap(uint256,uint256,address,bytes)()", (*out, EXECUTOR, b"")))
