"""The hand that acts on a fork: a contract of our own that repays, trades and pays from its own balances."""

from __future__ import annotations

from dataclasses import dataclass

from chain.calls import Call, decode, encode
from chain.contracts import EXECUTE, runtime
from chain.fork import Fork, Receipt

# Last 20 bytes of keccak256("unwind: executor"): nobody has a key or a contract there.
EXECUTOR = "0x7c9b3bc83ceaddabd570aa5b659cc0e06d415540"
_KEEPER = "0x" + "6b" * 20
_UNLIMITED = 2**256 - 1


@dataclass(frozen=True)
class Hand:
    """The executor on one fork."""

    fork: Fork

    def act(self, call: Call) -> Receipt:
        """Let the executor make a call; the receipt's output is what the contract answered.

        Raises
        ------
        chain.fork.Reverted
            With the contract's own reason.
        """
        self.fork.set_code(EXECUTOR, runtime("Executor"))
        wrapped = Call(EXECUTOR, EXECUTE, (call.target, encode(call)))
        receipt = self.fork.transact(_KEEPER, wrapped)
        return Receipt(decode(wrapped, receipt.output), receipt.logs)

    def hold(self, token: str, amount_raw: int) -> None:
        """Give the executor so much of a token."""
        self.fork.deal(token, EXECUTOR, amount_raw)

    def allow(self, token: str, spender: str) -> None:
        """Let a contract take the executor's tokens, once and without limit: some tokens (USDT) refuse to change an
        allowance that is in use."""
        granted = self.fork.read(Call(token, "allowance(address,address)(uint256)", (EXECUTOR, spender)))
        if granted < _UNLIMITED // 2:
            self.act(Call(token, "approve(address,uint256)()", (spender, _UNLIMITED)))

    def pay(self, token: str, recipient: str, amount_raw: int) -> None:
        """Transfer a token that the executor has just been given."""
        self.hold(token, amount_raw)
        self.act(Call(token, "transfer(address,uint256)()", (recipient, amount_raw)))
