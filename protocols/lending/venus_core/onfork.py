"""Venus' core pool on a fork: its own contracts asked and made to act."""

from __future__ import annotations

from collections.abc import Sequence

from chain.calls import Call
from chain.fork import Fork, Receipt
from chain.snapshot import Market
from protocols.asking import each
from protocols.lending.compound_v2 import onfork
from protocols.onfork import logs_of, read_all, word

# keccak256 of LiquidateBorrowedTokens(address,address,uint256,address,address,uint256,uint256)
# and of Redeem(address,uint256,uint256,uint256)
LIQUIDATE_BORROWED_TOKENS = bytes.fromhex("dd091524d794aecdb5235b2d816620c2598790835e0f3849808504c2dcb4f1a9")
REDEEM = bytes.fromhex("bd5034ffbd47e4e72a94baa2cdb74c6fad73cb3bcdc13036b72ec8306f5a7646")

_LIQUIDATE = "liquidateBorrow(address,address,uint256,address)()"


class OnFork(onfork.OnFork):
    """One core pool's contracts; as Compound's, and with a Liquidator contract if the snapshot names one."""

    def __init__(self, market: Market, fork: Fork) -> None:
        super().__init__(market, fork)
        self.liquidator = market.addresses.get("liquidator")

    def without_shortfall(self, accounts: Sequence[str]) -> set[str]:
        """Accounts with a debt whose liquidation is forced, for all in its market or for this account."""
        claims = list(self.market_of.values())
        asked = each(self.comptroller, "isForcedLiquidationEnabled(address)(bool)", claims)
        forced = [claim for claim, answer in zip(claims, read_all(self.fork, asked), strict=True) if answer]
        pairs = [(account, claim) for account in accounts for claim in claims]
        own = "isForcedLiquidationEnabledForUser(address,address)(bool)"
        answers = read_all(self.fork, [Call(self.comptroller, own, pair) for pair in pairs])
        found = self.owing(accounts, forced)
        for (account, claim), answer in zip(pairs, answers, strict=True):
            if answer:
                found |= self.owing([account], [claim])
        return found

    def act(self, borrowed: str, debt: str, account: str, amount_raw: int, seized: str) -> Receipt:
        """Make the call that liquidates, through the Liquidator where there is one."""
        if self.liquidator is None:
            return super().act(borrowed, debt, account, amount_raw, seized)
        self.hand.allow(debt, self.liquidator)
        return self.hand.act(Call(self.liquidator, _LIQUIDATE, (borrowed, account, amount_raw, seized)))

    def fee(self, receipt: Receipt, seized: str) -> int:
        """What the Liquidator got at once for the claims that it kept; 0 where the market had not the cash."""
        kept = sum(
            int.from_bytes(log.data[-64:-32], "big")
            for log in receipt.logs
            if log.address == self.liquidator and log.topics[0] == LIQUIDATE_BORROWED_TOKENS
        )
        for log in logs_of(receipt, seized, REDEEM) if kept else ():
            redeemer, amount, claims = (word(log, place) for place in range(3))
            if (redeemer, claims) == (int(str(self.liquidator), 16), kept):
                return amount
        return 0
