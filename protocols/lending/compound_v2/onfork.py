"""Compound v2's markets on a fork: their own contracts asked and made to act."""

from __future__ import annotations

from collections.abc import Sequence

from chain.calls import Call
from chain.errors import UnsupportedError
from chain.fork import NOBODY, Fork, Receipt, Reverted
from chain.snapshot import Market
from protocols.asking import each
from protocols.onfork import EXECUTOR, Hand, logs_of, read_all, word

# keccak256 of LiquidateBorrow(address,address,uint256,address,uint256) and of ReservesAdded(address,uint256,uint256)
LIQUIDATE_BORROW = bytes.fromhex("298637f684da70674f26509b10f07ec2fbc77a335ab1e7d6215a4b2484d8bb52")
RESERVES_ADDED = bytes.fromhex("a91e67c5ea634cd43a12c5a482724b03de01e85ca68702a53d0c2f45cb7c1dc5")


class OnFork:
    """One comptroller's contracts.

    Every market is made to accrue whenever the accounts are asked for, as the run has it.

    Parameters
    ----------
    market
        As the snapshot names it, with the addresses of comptroller and oracle, and by token that of its market.
    fork
        Where it runs.
    """

    def __init__(self, market: Market, fork: Fork) -> None:
        self.fork, self.hand = fork, Hand(fork)
        self.comptroller, self.oracle = market.addresses["comptroller"], market.addresses["oracle"]
        self.market_of = {token: claim for token, claim in market.addresses.items() if token.startswith("0x")}
        self._priced = False

    def set_price(self, feed: str, price_raw: int) -> None:
        """Let the oracle answer this for a market (which stands for its feed) from now on."""
        if not self._priced:
            # Its code goes, so what it answers until it is told otherwise has to be written down first.
            claims = list(self.market_of.values())
            asked = each(self.oracle, "getUnderlyingPrice(address)(uint256)", claims)
            self.fork.answer_by_argument(self.oracle, dict(zip(claims, self.fork.read_all(asked), strict=True)))
            self._priced = True
        self.fork.answer_by_argument(self.oracle, {feed: price_raw})

    def liquidatable(self, accounts: Sequence[str]) -> dict[str, int]:
        """The accounts that can be liquidated now, each with liquidity less shortfall of ``getAccountLiquidity``."""
        for claim in self.market_of.values():
            self.fork.transact(NOBODY, Call(claim, "accrueInterest()()"))
        asked = each(self.comptroller, "getAccountLiquidity(address)(uint256,uint256,uint256)", accounts)
        answers = read_all(self.fork, asked)
        health = {a: liquidity - shortfall for a, (_, liquidity, shortfall) in zip(accounts, answers, strict=True)}
        free = self.without_shortfall(accounts)
        return {account: health[account] for account in accounts if health[account] < 0 or account in free}

    def without_shortfall(self, accounts: Sequence[str]) -> set[str]:
        """Accounts with a debt whose liquidation needs no shortfall: here one in a deprecated market."""
        claims = list(self.market_of.values())
        answers = read_all(self.fork, each(self.comptroller, "isDeprecated(address)(bool)", claims))
        return self.owing(accounts, [claim for claim, answer in zip(claims, answers, strict=True) if answer])

    def owing(self, accounts: Sequence[str], claims: Sequence[str]) -> set[str]:
        """Accounts that owe in some of these markets."""
        pairs = [(account, claim) for account in accounts for claim in claims]
        asked = [Call(claim, "borrowBalanceStored(address)(uint256)", (account,)) for account, claim in pairs]
        return {account for (account, _), debt in zip(pairs, read_all(self.fork, asked), strict=True) if debt}

    def liquidate(self, collateral: str, debt: str, account: str, amount_raw: int) -> tuple[int, int, int]:
        """Liquidate and redeem what is got for it; raises chain.fork.Reverted.

        Returns
        -------
        Debt repaid, collateral redeemed by the liquidator, and the protocol's share of it; smallest units.
        """
        borrowed, seized = self.market_of[debt], self.market_of[collateral]
        for claim in (borrowed, seized):
            self._refuse_native(claim)
        before = self.fork.balance(debt, EXECUTOR)
        self.hand.hold(debt, amount_raw)
        receipt = self.act(borrowed, debt, account, amount_raw, seized)
        (event,) = logs_of(receipt, borrowed, LIQUIDATE_BORROW)
        repaid = word(event, 2)
        self.hand.hold(debt, before)
        held = self.fork.balance(collateral, EXECUTOR)
        claims = self.fork.balance(seized, EXECUTOR)
        if claims:
            self.accepted(self.hand.act(Call(seized, "redeem(uint256)(uint256)", (claims,))), seized)
        return repaid, self.fork.balance(collateral, EXECUTOR) - held, self.fee(receipt, seized)

    def act(self, borrowed: str, debt: str, account: str, amount_raw: int, seized: str) -> Receipt:
        """Make the call that liquidates."""
        self.hand.allow(debt, borrowed)
        arguments = (account, amount_raw, seized)
        return self.accepted(
            self.hand.act(Call(borrowed, "liquidateBorrow(address,uint256,address)(uint256)", arguments)), borrowed
        )

    def fee(self, receipt: Receipt, seized: str) -> int:
        """What a liquidation added to the reserves of the collateral's market."""
        return sum(word(log, 1) for log in logs_of(receipt, seized, RESERVES_ADDED))

    def accepted(self, receipt: Receipt, target: str) -> Receipt:
        """The receipt of a call that was accepted; some markets return an error number instead of reverting."""
        code = int.from_bytes(receipt.output, "big")
        if code:
            raise Reverted(target, f"it returned error {code}")
        return receipt

    def deficit(self, token: str) -> int:
        """Nothing is ever written off."""
        return 0

    def _refuse_native(self, claim: str) -> None:
        try:
            self.fork.read(Call(claim, "underlying()(address)"))
        except Reverted:
            raise UnsupportedError(
                f"market {claim} is in the chain's own currency, in which no liquidation can be verified"
            ) from None
