"""Real contracts on a fork: what each protocol's ``onfork.py`` offers to `verify`, and the hand that acts there.

The hand is a contract of our own that repays, trades and pays from its own balances. A lending protocol's module has
``OnFork(market, fork)``, which is a `LendingOnFork`; an exchange's has ``OnFork(fork)``, an `AmmOnFork`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chain.calls import Call, decode, encode
from chain.contracts import EXECUTE, runtime
from chain.fork import Fork, Log, Receipt

# Last 20 bytes of keccak256("unwind: executor"): nobody has a key or a contract there.
EXECUTOR = "0x7c9b3bc83ceaddabd570aa5b659cc0e06d415540"
_KEEPER = "0x" + "6b" * 20
_UNLIMITED = 2**256 - 1
_BUNDLE = 500


class LendingOnFork(Protocol):
    """One market's own contracts."""

    def set_price(self, feed: str, price_raw: int) -> None:
        """Let a price source (of the snapshot's oracles) answer this from now on, base units."""

    def liquidatable(self, accounts: Sequence[str]) -> dict[str, int]:
        """Those of the accounts that the contracts would let be liquidated now, each with the number by which they
        decide (`health_raw` of the market)."""

    def liquidate(self, collateral: str, debt: str, account: str, amount_raw: int) -> tuple[int, int, int]:
        """Execute a row of a run's liquidations.

        Returns
        -------
        Debt repaid, collateral to the liquidator, collateral to the protocol; smallest units, as the contracts say.

        Raises
        ------
        chain.fork.Reverted
            With the contract's reason.
        """

    def deficit(self, token: str) -> int:
        """Debt of a reserve that the protocol has written off, as `deficits_raw` of the market counts it."""


class AmmOnFork(Protocol):
    """Every pool of one protocol."""

    def swap(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """Execute a row of a run's swaps; returns what went in and what came out, smallest units."""


@dataclass(frozen=True)
class Hand:
    """The executor on one fork.

    Attributes
    ----------
    address
        Where it stands: at another contract's address it is treated as that one.
    """

    fork: Fork
    address: str = EXECUTOR

    def act(self, call: Call) -> Receipt:
        """Let the executor make a call; the receipt's output is what the contract answered.

        Raises
        ------
        chain.fork.Reverted
            With the contract's own reason.
        """
        self.fork.set_code(self.address, runtime("Executor"))
        wrapped = Call(self.address, EXECUTE, (call.target, encode(call)))
        receipt = self.fork.transact(_KEEPER, wrapped)
        return Receipt(decode(wrapped, receipt.output), receipt.logs)

    def hold(self, token: str, amount_raw: int) -> None:
        """Give the executor so much of a token."""
        self.fork.deal(token, self.address, amount_raw)

    def hold_native(self, amount_raw: int) -> None:
        """Give the executor so much of the chain's own currency."""
        self.fork.deal_native(EXECUTOR, amount_raw)

    def allow(self, token: str, spender: str) -> None:
        """Let a contract take the executor's tokens, once and without limit: some tokens (USDT) refuse to change an
        allowance that is in use."""
        granted = self.fork.read(Call(token, "allowance(address,address)(uint256)", (self.address, spender)))
        if granted < _UNLIMITED // 2:
            self.act(Call(token, "approve(address,uint256)()", (spender, _UNLIMITED)))

    def pay(self, token: str, recipient: str, amount_raw: int) -> None:
        """Transfer a token that the executor has just been given."""
        self.hold(token, amount_raw)
        self.act(Call(token, "transfer(address,uint256)()", (recipient, amount_raw)))


def read_all(fork: Fork, calls: Sequence[Call]) -> list[Any]:
    """The results of any number of calls, some hundreds run as one; raises chain.fork.Reverted if one fails."""
    return [
        answer for start in range(0, len(calls), _BUNDLE) for answer in fork.read_all(calls[start : start + _BUNDLE])
    ]


def logs_of(receipt: Receipt, contract: str, event: bytes) -> list[Log]:
    """A contract's logs of one event (its first topic)."""
    return [log for log in receipt.logs if log.address == contract and log.topics[0] == event]


def word(log: Log, place: int) -> int:
    """The number in some place of a log's data, from 0 on."""
    return int.from_bytes(log.data[32 * place : 32 * place + 32], "big")
