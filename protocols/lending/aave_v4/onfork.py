"""An Aave v4 spoke on a fork: its own contracts asked and made to act."""

from __future__ import annotations

from collections.abc import Sequence

from chain.calls import Call
from chain.fork import Fork
from chain.snapshot import Market
from protocols.asking import each
from protocols.onfork import Hand, logs_of, read_all, word

# keccak256 of ISpoke.LiquidationCall(uint256,uint256,address,address,bool,uint256,uint256,(int256,int256,uint256),
# uint256,uint256,uint256) and of IHubBase.Remove(uint256,address,uint256,uint256)
LIQUIDATION_CALL = bytes.fromhex("2a1f12d996f530f89d8038aa293f9fde81cac44b6dfd6225e3358d09b78a4a37")
REMOVE = bytes.fromhex("535be2ff85ab4c5d0991e10dc057a4951ea2bac426ffb036eded23036a3942b2")

_ACCOUNT_DATA = "getUserAccountData(address)((uint256,uint256,uint256,uint256,uint256,uint256,uint256))"
_RESERVE = "getReserve(uint256)((address,address,uint16,uint8,uint24,uint8,uint32))"
_LIQUIDATE = "liquidationCall(uint256,uint256,address,uint256,bool)()"
_DEFICIT = "getSpokeDeficitRay(uint256,address)(uint256)"


class OnFork:
    """One market's contracts.

    Parameters
    ----------
    market
        As the snapshot names it, with the address of its spoke.
    fork
        Where it runs.
    """

    def __init__(self, market: Market, fork: Fork) -> None:
        self.fork, self.hand = fork, Hand(fork)
        self.spoke = market.addresses["spoke"]
        count = fork.read(Call(self.spoke, "getReserveCount()(uint256)"))
        reserves = fork.read_all(each(self.spoke, _RESERVE, range(count)))
        self._reserve = {reserve[0]: i for i, reserve in enumerate(reserves)}
        self._asset = {reserve[0]: (reserve[1], reserve[2]) for reserve in reserves}

    def set_price(self, feed: str, price_raw: int) -> None:
        """Let a price source answer this from now on, 1e-8 US dollars."""
        self.fork.answer_always(feed, price_raw)

    def liquidatable(self, accounts: Sequence[str]) -> dict[str, int]:
        """The accounts that may be liquidated now, each with its health factor (``getUserAccountData``, wad)."""
        answers = read_all(self.fork, each(self.spoke, _ACCOUNT_DATA, accounts))
        return {account: answer[2] for account, answer in zip(accounts, answers, strict=True) if answer[2] < 10**18}

    def liquidate(self, collateral: str, debt: str, account: str, amount_raw: int) -> tuple[int, int, int]:
        """Liquidate; raises chain.fork.Reverted.

        Returns
        -------
        Debt repaid, collateral to the liquidator, collateral to the protocol; smallest units, from the events.
        """
        self.hand.allow(debt, self.spoke)
        self.hand.hold(debt, amount_raw)
        ids = self._reserve[collateral], self._reserve[debt]
        receipt = self.hand.act(Call(self.spoke, _LIQUIDATE, (*ids, account, amount_raw, False)))
        repaid = removed = received = 0
        for log in logs_of(receipt, self.spoke, LIQUIDATION_CALL):
            repaid, removed = word(log, 2), word(log, 7)
        for log in logs_of(receipt, self._asset[collateral][0], REMOVE):
            received = word(log, 1)
        return repaid, received, removed - received

    def deficit(self, token: str) -> int:
        """The spoke's part of the asset's deficit, smallest units rounded up."""
        hub, asset = self._asset[token]
        return -(-int(self.fork.read(Call(hub, _DEFICIT, (asset, self.spoke)))) // 10**27)
