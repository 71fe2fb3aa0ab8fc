"""A Morpho market on a fork: its own contract asked and made to act."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chain.calls import Call
from chain.fork import Fork, Reverted
from chain.snapshot import Market
from protocols.lending.morpho_blue.rules import HEALTHY_POSITION, OWN, REVERTS, borrow_limit, incentive_factor, owed
from protocols.lending.morpho_blue.sizes import take_for
from protocols.lending.morpho_blue.state import Position, Totals
from protocols.onfork import Hand, logs_of, read_all, word

# keccak256("Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)")
LIQUIDATE_EVENT = bytes.fromhex("a4946ede45d0c6f06a0f5ce92c9ad3b4751452d2fe0e25010783bcab57a67e41")

_PARAMETERS = "(address,address,address,address,uint256)"
_LIQUIDATE = f"liquidate({_PARAMETERS},address,uint256,uint256,bytes)(uint256,uint256)"


class OnFork:
    """One market's contracts.

    Parameters
    ----------
    market
        As the snapshot names it, with the address of Morpho and the market's id.
    fork
        Where it runs.
    """

    def __init__(self, market: Market, fork: Fork) -> None:
        self.fork, self.hand = fork, Hand(fork)
        self.morpho = market.addresses["morpho"]
        self._id = bytes.fromhex(market.addresses["id"][2:])
        found = fork.read(
            Call(self.morpho, "idToMarketParams(bytes32)(address,address,address,address,uint256)", (self._id,))
        )
        self._parameters: tuple[Any, ...] = found
        self.loan, self._oracle, self._lltv_wad = found[0], found[2], found[4]
        self._written_off = 0

    def set_price(self, feed: str, price_raw: int) -> None:
        """Let the oracle answer this from now on: smallest units of the loan token for 1e36 of the collateral's."""
        self.fork.answer_always(feed, price_raw)

    def liquidatable(self, accounts: Sequence[str]) -> dict[str, int]:
        """The accounts that the contract lets be liquidated now, each with its maxBorrow - borrowed (loan units).

        Morpho tells neither: ``liquidate`` is tried with one share, and refuses or does not. The difference is made of
        the totals that the contract tells when it has charged interest, of the price and of the positions.
        """
        totals, price = self._now()
        found = {}
        for account, position in zip(accounts, self._positions(accounts), strict=True):
            if self._refuses(account):
                continue
            limit = borrow_limit(position.collateral, price, self._lltv_wad)
            found[account] = int(limit - owed(totals, position.borrow_shares))
        return found

    def liquidate(self, collateral: str, debt: str, account: str, amount_raw: int) -> tuple[int, int, int]:
        """Liquidate for at most `amount_raw` of the loan token, by the call that
        :func:`protocols.lending.morpho_blue.sizes.take_for` makes of it; raises chain.fork.Reverted.

        Returns
        -------
        Debt repaid, collateral to the liquidator, and the protocol's fee, which there is not; smallest units, from
        the event.
        """
        totals, price = self._now()
        factor = int(incentive_factor(self._lltv_wad, OWN))
        take = take_for(totals, self._positions([account])[0], price, factor, amount_raw)
        self.hand.allow(debt, self.morpho)
        self.hand.hold(debt, amount_raw)
        receipt = self.hand.act(
            Call(self.morpho, _LIQUIDATE, (self._parameters, account, take.seized, take.shares, b""))
        )
        (event,) = logs_of(receipt, self.morpho, LIQUIDATE_EVENT)
        repaid, _, seized, bad_debt, _ = (word(event, place) for place in range(5))
        self._written_off += bad_debt
        return repaid, seized, 0

    def deficit(self, token: str) -> int:
        """Debt written off by the liquidations made here, from the events: the contract keeps no sum of it."""
        return self._written_off if token == self.loan else 0

    def _now(self) -> tuple[Totals, int]:
        """The market's totals with interest up to the fork's time, and the price.

        The contract charges the interest, and that is taken back: it would compound where it does not in the run.
        """
        stored, price = self.fork.read_after(
            Call(self.morpho, f"accrueInterest({_PARAMETERS})()", (self._parameters,)),
            [
                Call(self.morpho, "market(bytes32)(uint128,uint128,uint128,uint128,uint128,uint128)", (self._id,)),
                Call(self._oracle, "price()(uint256)"),
            ],
        )
        return Totals(*stored[:5]), int(price)

    def _positions(self, accounts: Sequence[str]) -> list[Position]:
        position = "position(bytes32,address)(uint256,uint128,uint128)"
        calls = [Call(self.morpho, position, (self._id, account)) for account in accounts]
        return [Position(*answer[1:]) for answer in read_all(self.fork, calls)]

    def _refuses(self, account: str) -> bool:
        """Whether the contract finds the position healthy; one who pays nothing gets no further than to be asked."""
        try:
            self.fork.read(Call(self.morpho, _LIQUIDATE, (self._parameters, account, 0, 1, b"")))
        except Reverted as error:
            return REVERTS[HEALTHY_POSITION].encode().hex() in error.output
        return False
