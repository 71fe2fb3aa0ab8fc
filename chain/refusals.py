"""What a node means by an error: JSON-RPC has codes, but providers agree on the words even less than on the codes."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

from chain.errors import NodeError


class Refusal(Enum):
    """Why a node did not answer, as far as it changes what to do next."""

    UNREACHABLE = "unreachable"  # nobody listens, or the connection broke
    BUSY = "busy"  # too many requests, or a hiccup: ask again later
    TIMEOUT = "timeout"  # took too long: ask for less, or again
    TOO_MUCH = "too much"  # range, result or gas above a limit: ask for less
    BATCH = "batch"  # the batch is the trouble, not what is in it
    PRUNED = "pruned"  # the state of that block is gone
    UNKNOWN_BLOCK = "unknown block"  # not there yet, or no longer
    NOT_CANONICAL = "not canonical"  # the block was reorganised away
    NO_METHOD = "no method"
    REVERTED = "reverted"  # the contract's own doing
    OTHER = "other"


class RpcError(NodeError):
    """A definite error answer to one JSON-RPC call.

    Attributes
    ----------
    method, code, reason
        The method called, the JSON-RPC error code (None if there was none) and the node's words.
    data
        What the error carried, e.g. the bytes of a revert as 0x-hex; None if nothing.
    kind
        What it means.
    """

    def __init__(
        self, node: str, method: str, reason: str, *, kind: Refusal, code: int | None = None, data: Any = None
    ) -> None:
        super().__init__(f"{node} refused {method}: {reason}" + ("" if code is None else f" (code {code})"))
        self.method = method
        self.code = code
        self.reason = reason
        self.data = data
        self.kind = kind


# The first line that fits decides, so the order matters: "query returned more than 10000 results" and "rate limit
# exceeded" may both carry code -32005, and a contract may revert with any words at all.
_MEANINGS: tuple[tuple[Refusal, frozenset[int], str], ...] = (
    (
        Refusal.REVERTED,
        frozenset({3, -32015}),
        r"revert|invalid opcode|invalid jump|stack (under|over)flow|write protection|vm execution|evm error",
    ),
    (Refusal.NOT_CANONICAL, frozenset(), r"not( currently)? canonical"),
    (
        Refusal.PRUNED,
        frozenset(),
        r"missing trie node|pruned|pruning|historical state|archive|state (is )?not available|state at block"
        r"|history (is )?not available|proof window",
    ),
    (
        Refusal.BUSY,
        frozenset({429}),
        r"rate.?limit|too many requests|request rate|per second|throughput|compute units|capacity|daily request"
        r"|overloaded|try again|temporar|unavailable|^internal (server )?error\.?$",
    ),
    (Refusal.BATCH, frozenset(), r"\bbatch|response (is )?too (large|big)"),
    (Refusal.TIMEOUT, frozenset(), r"time.?out|timed out|deadline exceeded|execution aborted"),
    (
        Refusal.TOO_MUCH,
        frozenset(),
        r"more than \d+|too many (results|logs|blocks)|range|max results|limited to|limit exceeded|exceeds? (the )?"
        r"(limit|max)|response size|too (large|big|wide)|out of gas|outofgas|gas (limit|required|cap)|gas allowance",
    ),
    (Refusal.BUSY, frozenset({-32005, -32029}), r"$^"),
    (
        Refusal.UNKNOWN_BLOCK,
        frozenset({-32001}),
        r"header (for hash )?not found|unknown block|block (\S+ )?(was )?not found|could not find block",
    ),
    (Refusal.NO_METHOD, frozenset({-32601}), r"method.*(not found|not supported|does not exist|not available)"),
)
_COMPILED = tuple((kind, codes, re.compile(words, re.IGNORECASE)) for kind, codes, words in _MEANINGS)


def meaning(code: int | None, message: str) -> Refusal:
    """What an error of this code and these words means."""
    for kind, codes, words in _COMPILED:
        if code in codes or words.search(message):
            return kind
    return Refusal.OTHER
