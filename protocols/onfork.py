"""The hand that acts on a fork: a contract of our own that repays, trades and pays from its own balances."""

from __future__ import annotations

from typing import Any

from chain.calls import Call
from chain.contracts import runtime
from chain.fork import Fork, Receipt

# Last 20 bytes of keccak256("unwind: executor"): nobody has a key or a contract there.
EXECUTOR = "0x7c9b3bc83ceaddabd570aa5b659cc0e06d415540"
_KEEPER = "0x" + "6b" * 20


def execute(fork: Fork, signature: str, arguments: tuple[Any, ...], token: str, needed_raw: int) -> Receipt:
    """Call a function of the executor, which is given the tokens that it needs; raises chain.fork.Reverted."""
    fork.set_code(EXECUTOR, runtime("Executor"))
    fork.deal(token, EXECUTOR, needed_raw)
    return fork.transact(_KEEPER, Call(EXECUTOR, signature, arguments))
