"""An Aave v3 pool on a fork: its own contracts asked and made to act."""

from __future__ import annotations

from collections.abc import Sequence

from chain.calls import Call
from chain.fork import Fork
from chain.snapshot import Market
from protocols.asking import each
from protocols.lending.aave_v3.versions import V33, version_of
from protocols.onfork import Hand, logs_of, read_all, word

# keccak256 of LiquidationCall(address,address,address,uint256,uint256,address,bool)
# and of Transfer(address,address,uint256)
LIQUIDATION_CALL = bytes.fromhex("e413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286")
TRANSFER = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")

_ACCOUNT_DATA = "getUserAccountData(address)(uint256,uint256,uint256,uint256,uint256,uint256)"
_RESERVE_DATA = (
    "getReserveData(address)"
    "(uint256,uint128,uint128,uint128,uint128,uint128,uint40,uint16,address,address,address,address,uint128,uint128,uint128)"
)
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
        self.version = version_of(market.version)
        self._a_tokens: dict[str, tuple[str, str]] = {}

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
        Debt repaid, collateral to the liquidator, collateral to the protocol; smallest units, from the events.
        """
        self.hand.allow(debt, self.pool)
        self.hand.hold(debt, amount_raw)
        receipt = self.hand.act(Call(self.pool, _LIQUIDATE, (collateral, debt, account, amount_raw, False)))
        a_token, treasury = self._a_token(collateral)
        repaid = received = fee = 0
        for log in logs_of(receipt, self.pool, LIQUIDATION_CALL):
            repaid, received = word(log, 0), word(log, 1)
        for log in logs_of(receipt, a_token, TRANSFER):
            sender, recipient = ("0x" + topic.hex()[-40:] for topic in log.topics[1:3])
            if sender == account and recipient == treasury:
                fee += word(log, 0)
        return repaid, received, fee

    def deficit(self, token: str) -> int:
        """``getReserveDeficit``, smallest units; 0 before 3.3, which has none."""
        if self.version.code < V33:
            return 0
        return int(self.fork.read(Call(self.pool, "getReserveDeficit(address)(uint256)", (token,))))

    def _a_token(self, token: str) -> tuple[str, str]:
        """Addresses of a reserve's aToken and of its treasury."""
        if token not in self._a_tokens:
            a_token = self.fork.read(Call(self.pool, _RESERVE_DATA, (token,)))[8]
            self._a_tokens[token] = (a_token, self.fork.read(Call(a_token, "RESERVE_TREASURY_ADDRESS()(address)")))
        return self._a_tokens[token]
