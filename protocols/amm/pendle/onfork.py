"""Pendle markets on a fork."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain.calls import Call, decode
from chain.fork import Fork, Reverted
from protocols.amm.pendle.reader import ROUTER
from protocols.onfork import Hand


class OnFork:
    """Every market of the fork, traded with as Pendle's router, whose fee the reader read."""

    def __init__(self, fork: Fork) -> None:
        self.fork, self.hand = fork, Hand(fork, ROUTER)

    def swap(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """Execute a row of a run's swaps, and the SY's own part before or after it; raises chain.fork.Reverted.

        A market gives as many PT as it is asked for, if they are paid for. So it is first asked for one more than the
        run says, which it must refuse, and then for what the run says.

        Returns
        -------
        What was paid in, and what was paid out, smallest units.
        """
        market, token_in, paid, received = row["venue"], row["token_in"], row["amount_raw"], row["received_raw"]
        sy, pt, _ = self.fork.read(Call(market, "readTokens()(address,address,address)"))
        if token_in == pt:
            self.hand.pay(pt, market, paid)
            sold = self._act(market, "swapExactPtForSy(address,uint256,bytes)(uint256,uint256)", (ROUTER, paid, b""))
            redeemed = (ROUTER, sold[0], row["token_out"], 0, False)
            return paid, self._act(sy, "redeem(address,uint256,address,uint256,bool)(uint256)", redeemed)
        self.hand.hold(token_in, paid)
        self.hand.allow(token_in, sy)
        minted = self._act(sy, "deposit(address,address,uint256,uint256)(uint256)", (ROUTER, token_in, paid, 0))
        # what earlier purchases left over would pay for another PT
        self.hand.act(Call(market, "skim()()"))
        self.hand.act(Call(sy, "transfer(address,uint256)()", (market, minted)))
        try:
            self._buy(market, received + 1)
        except Reverted:
            self._buy(market, received)
            return paid, received
        return paid, received + 1

    def _buy(self, market: str, amount_raw: int) -> None:
        self.hand.act(Call(market, "swapSyForExactPt(address,uint256,bytes)()", (ROUTER, amount_raw, b"")))

    def _act(self, contract: str, signature: str, arguments: tuple[Any, ...]) -> Any:
        call = Call(contract, signature, arguments)
        return decode(call, self.hand.act(call).output)
