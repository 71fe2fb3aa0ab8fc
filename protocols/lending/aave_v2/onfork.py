"""An Aave v2 pool on a fork: its own contracts asked and made to act."""

from __future__ import annotations

from collections.abc import Sequence

from chain.calls import Call
from chain.fork import Fork
from chain.snapshot import Market
from protocols.asking import each
from protocols.onfork import Hand, logs_of, read_all, word

# keccak256("LiquidationCall(address,address,address,uint256,uint256,address,bool)")
LIQUIDATION_CALL = bytes.fromhex("e413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286")

_ACCOUNT_DATA = "getUserAccountData(address)(uint256,uint256,uint256,uint256,uint256,uint256)"
_LIQUIDATE = "liquidationCall(address,address,address,uint256,bool)()"


class OnFork:
    """One market's contracts.

    Parameters
    ----------
    market
        As the snapshot names it, with the address of its pool.
    fork
        Where it runs.
    """

    def __init__(self, market: Market, fork: Fork) -> None:
        self.fork, self.hand = fork, Hand(fork)
        self.pool = market.addresses["pool"]

    def set_price(self, feed: str, price_raw: int) -> None:
        """Let a price source answer this from now on, base units."""
        self.fork.answer_always(feed, price_raw)

    def liquidatable(self, accounts: Sequence[str]) -> dict[str, int]:
        """Accounts with a health factor below 1 by ``getUserAccountData``, and that factor, wad."""
        answers = read_all(self.fork, each(self.pool, _ACCOUNT_DATA, accounts))
        return {account: answer[5] for account, answer in zip(accounts, answers, strict=True) if answer[5] < 10**18}

    def liquidate(self, collateral: str, debt: str, account: str, amount_raw: int) -> tuple[int, int, int]:
        """Liquidate; raises chain.fork.Reverted.

        Returns
        -------
        Debt repaid, collateral to the liquidator, collateral to the protocol (none); smallest units, from the event.
        """
        self.hand.allow(debt, self.pool)
        self.hand.hold(debt, amount_raw)
        receipt = self.hand.act(Call(self.pool, _LIQUIDATE, (collateral, debt, account, amount_raw, False)))
        repaid = received = 0
        for log in logs_of(receipt, self.pool, LIQUIDATION_CALL):
            repaid, received = word(log, 0), word(log, 1)
        return repaid, received, 0

    def deficit(self, token: str) -> int:
        """Nothing: Aave v2 writes no debt off."""
        return 0
