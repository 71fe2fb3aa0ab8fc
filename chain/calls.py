"""Contract calls at a pinned block, many in one request.

Calls are bundled: one ``eth_call`` runs hundreds of them through a small aggregator contract. Three ways, the first
that the node takes:

1. the project's own aggregator, laid over an unused address by a state override, so that it works at any block;
2. Multicall3 at its canonical address, where it is deployed at that block;
3. no bundles: raw ``eth_call`` requests in JSON-RPC batches.

Both aggregators have ``tryAggregate(bool,(address,bytes)[])``. A bundle may run into the node's limit of gas, and then
calls in it fail that would not fail alone. So a call that failed in a bundle is asked again in a smaller one, and at
last alone, before it counts as failed. Where most calls are expected to fail, one more that cannot fail stands at the
end of every bundle: if it succeeds, there was gas enough for those before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from chain.contracts import TRY_AGGREGATE
from chain.errors import InputError, UnwindError
from chain.node import AT_BLOCK, Block, Node, Progress
from chain.refusals import Refusal, RpcError
from chain.transport import Request

MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
# Last 20 bytes of keccak256("unwind: aggregator"): nobody has a key or a contract there.
_NOBODY = "0x" + "0" * 40
"""No contract is there, so that a call succeeds as long as there is gas."""
AGGREGATOR = "0xf939f579f4adad97d206b17fba3719f9c51cd760"

_BUNDLES = "bundles"
# How many times smaller the bundle is in which failed calls are asked again.
_SHRINK = 16
_HEX = re.compile(r"0x[0-9a-fA-F]*")
_ERROR_STRING = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")


@dataclass(frozen=True, slots=True)
class Call:
    """One read of one contract.

    Attributes
    ----------
    target
        Contract address, 0x-hex.
    signature
        Name, argument types and return types, e.g. ``"balanceOf(address)(uint256)"``; structs are written as tuples of
        types in parentheses.
    args
        Python values for the argument types, as eth-abi takes them.
    """

    target: str
    signature: str
    args: tuple[Any, ...] = ()


class CallFailed(UnwindError):
    """A call that a contract did not answer, or not with the types expected.

    Attributes
    ----------
    call
        What was called.
    reason
        Why it failed, in words.
    data
        The bytes that the contract returned or reverted with.
    """

    def __init__(self, call: Call, reason: str, data: bytes = b"") -> None:
        super().__init__(
            f"{call.signature.partition('(')[0]} of contract {call.target} failed: {reason} ({call.signature})"
        )
        self.call = call
        self.reason = reason
        self.data = data


def read(
    node: Node,
    block: Block,
    calls: Sequence[Call],
    *,
    require: bool = True,
    bundle: int = 250,
    again: bool = True,
    progress: Progress | None = None,
) -> list[Any]:
    """The results of `calls` at a pinned block.

    Parameters
    ----------
    calls
        Any number; they share as few requests as the node allows.
    require
        Whether a failed call is an error. If not, its place in the result holds a :class:`CallFailed`, which the
        caller must look at.
    bundle
        Most calls in one ``eth_call``: fewer suit views that use much gas.
    again
        Whether a call that failed is asked again in a smaller bundle although gas was left. It need not be where calls
        try out what functions a contract has.
    progress
        Called after every batch with calls done and calls in all.

    Returns
    -------
    list
        In the order of `calls`: the value if the signature returns one, else a tuple of the values. Addresses are
        0x-hex in lower case, bytes are bytes.

    Raises
    ------
    InputError
        If a signature cannot be parsed or its arguments do not fit; the message names the function.
    CallFailed
        If `require` and a call failed; the message names function and contract.
    NodeError
        If the node does not answer.
    """
    if bundle < 1:
        raise InputError(f"a bundle must hold at least one call, not {bundle}")
    encoded = [(call.target, encode(call)) for call in calls]
    answers: dict[int, _Answer] = {}
    waiting = list(range(len(calls)))
    first_size = size = _first_size(node, block, calls, bundle)
    while waiting:
        tell = progress and partial(_tell, progress, len(answers), size, len(calls))
        replies = _ask(node, block, [encoded[i] for i in waiting], size, tell, again)
        answered = {i: answer for i, answer in zip(waiting, replies, strict=True) if answer is not None}
        if size < first_size:
            # What failed in a large bundle and succeeds in a small one failed for want of gas.
            node.learnt.update({_size_key(calls[i]): size for i, answer in answered.items() if answer.success})
        answers.update(answered)
        waiting = [i for i in waiting if i not in answered]
        size = max(1, size // _SHRINK)
    return [_result(call, answers[i], require) for i, call in enumerate(calls)]


def encode(call: Call) -> bytes:
    """The call data: the function's selector and its arguments, ABI-encoded.

    Raises
    ------
    InputError
        If the signature cannot be parsed or the arguments do not fit.
    """
    from eth_abi.exceptions import EncodingError

    function = _function(call.signature)
    try:
        return function.encode(call.args)
    except (EncodingError, TypeError, ValueError) as error:
        raise InputError(
            f"the arguments {call.args!r} do not fit {call.signature} of contract {call.target}: {error}"
        ) from None


def decode(call: Call, data: bytes) -> Any:
    """What a contract returned: the value if the signature returns one, else a tuple of the values.

    Raises
    ------
    CallFailed
        If `data` is not of the types in the signature.
    """
    function = _function(call.signature)
    try:
        values = function.decode(data)
    except _undecodable():
        pass
    else:
        return values[0] if len(values) == 1 else values
    if data:
        raise CallFailed(call, f"it returned {len(data)} bytes that are not ({','.join(function.outputs)})", data)
    raise CallFailed(call, "it returned nothing; no contract was at that address, or it has no such function")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a contract said: whether it succeeded, what it returned or reverted with, and the node's words if any."""

    success: bool
    data: bytes
    words: str = ""


def _first_size(node: Node, block: Block, calls: Sequence[Call], bundle: int) -> int:
    """The size of the first bundles: 1, which is no bundle, where that suffices or the node cannot bundle."""
    size = min([bundle, len(calls), *(node.learnt.get(_size_key(call), bundle) for call in calls)])
    return size if size > 1 and _way(node, block) != "single" else 1


def _size_key(call: Call) -> tuple[str, str]:
    """Under what a node's largest bundle for a function is kept in ``Node.learnt``."""
    return ("bundle size", call.signature)


def _way(node: Node, block: Block) -> str:
    """How this node bundles calls at this block: tried with an empty bundle each way."""
    if (_BUNDLES, block) not in node.learnt:
        ways = ("override", "multicall3")
        replies = node.read(block, [_bundle_request(way, []) for way in ways])
        taken = [way for way, reply in zip(ways, replies, strict=True) if _results(reply) == ()]
        node.learnt[_BUNDLES, block] = taken[0] if taken else "single"
    return str(node.learnt[_BUNDLES, block])


def _tell(progress: Progress, before: int, size: int, total: int, bundles: int, _: int) -> None:
    """Report calls instead of bundles."""
    progress(min(before + bundles * size, total), total)


def _ask(
    node: Node, block: Block, calls: Sequence[tuple[str, bytes]], size: int, progress: Progress | None, again: bool
) -> list[_Answer | None]:
    """The answer to each encoded call; None where the call should be asked again in a smaller bundle."""
    if size == 1:
        requests = [_request(target, payload) for target, payload in calls]
        return [_alone(reply) for reply in node.read(block, requests, progress=progress)]
    groups = [list(calls[i : i + size]) for i in range(0, len(calls), size)]
    if not again:
        groups = [[*group, (_NOBODY, b"")] for group in groups]
    requests = [_bundle_request(_way(node, block), group) for group in groups]
    replies = node.read(block, requests, splittable=True, progress=progress)
    answers = [_unbundled(reply, len(group)) for group, reply in zip(groups, replies, strict=True)]
    return [answer for group in answers for answer in (group if again else _settled(group))]


def _request(target: str, payload: bytes, *override: Any) -> Request:
    return ("eth_call", [{"to": target, "data": "0x" + payload.hex()}, AT_BLOCK, *override])


def _bundle_request(way: str, calls: Sequence[tuple[str, bytes]]) -> Request:
    payload = _function(TRY_AGGREGATE).encode((False, calls))
    if way == "multicall3":
        return _request(MULTICALL3, payload)
    return _request(AGGREGATOR, payload, {AGGREGATOR: {"code": _aggregator_code()}})


@cache
def _aggregator_code() -> str:
    from chain.contracts import runtime

    return "0x" + runtime("Aggregator").hex()


def _results(reply: Any) -> tuple[tuple[bool, bytes], ...] | None:
    """The results of a bundle, or None if the reply is an error or no such results."""
    if isinstance(reply, RpcError):
        return None
    try:
        (results,) = _function(TRY_AGGREGATE).decode(_bytes(reply))
    except _undecodable():
        return None
    return tuple(results)


def _unbundled(reply: Any, count: int) -> list[_Answer | None]:
    """The answer to each call of a bundle; None where it failed, or the whole bundle did."""
    results = _results(reply)
    if results is None or len(results) != count:
        return [None] * count
    return [_Answer(True, data) if success else None for success, data in results]


def _settled(answers: list[_Answer | None]) -> list[_Answer | None]:
    """The answers without that to the last call; if that succeeded, gas was left, and what failed has failed."""
    *answers, last = answers
    return answers if last is None else [answer or _Answer(False, b"") for answer in answers]


def _alone(reply: Any) -> _Answer:
    """The answer to a call that was made by itself."""
    if not isinstance(reply, RpcError):
        return _Answer(True, _bytes(reply))
    if reply.kind not in (Refusal.REVERTED, Refusal.TOO_MUCH):
        raise reply
    # Nodes differ in where they put the bytes of a revert: bare, after a word, or in an object.
    data = _HEX.search(str(reply.data))
    words = "" if "revert" in reply.reason.lower() else reply.reason
    return _Answer(False, _bytes(data[0]) if data else b"", words)


def _bytes(text: Any) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except (AttributeError, ValueError):
        return b""


@dataclass(frozen=True, slots=True)
class _Function:
    """A parsed signature: the selector, and ABI types in their full names."""

    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def encode(self, args: Sequence[Any]) -> bytes:
        from eth_abi.abi import encode

        return self.selector + encode(self.inputs, args)

    def decode(self, data: bytes) -> tuple[Any, ...]:
        from eth_abi.abi import decode

        # Not strict: as Solidity's own decoder, which takes byte strings without padding.
        return tuple(decode(self.outputs, data, strict=False))


@cache
def _function(signature: str) -> _Function:
    from eth_abi.abi import is_encodable_type
    from eth_abi.exceptions import ABITypeError, ParseError
    from eth_abi.grammar import normalize
    from eth_utils.crypto import keccak

    try:
        name, *groups = _split_signature(signature)
        inputs, outputs = (tuple(map(normalize, group)) for group in groups)
        known = all(map(is_encodable_type, inputs + outputs))
    except (ABITypeError, ParseError, ValueError):
        known = False
    if not known:
        raise InputError(f"{signature!r} is not a signature of the form name(argument types)(return types)")
    return _Function(keccak(text=f"{name}({','.join(inputs)})")[:4], inputs, outputs)


def _split_signature(signature: str) -> tuple[str, list[str], list[str]]:
    """Name, argument types and return types; ValueError if the parentheses do not pair up."""
    name, opening, rest = signature.partition("(")
    if not name.isidentifier() or not opening:
        raise ValueError
    groups: list[list[str]] = []
    depth, types, start = 0, list[str](), 0
    text = opening + rest
    for position, character in enumerate(text):
        if depth == 0:
            if character != "(":
                raise ValueError
            depth, types, start = 1, [], position + 1
            continue
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 or (depth == 1 and character == ","):
            types.append(text[start:position])
            start = position + 1
        if depth == 0:
            groups.append([] if types == [""] else types)
    if depth != 0 or len(groups) != 2:
        raise ValueError
    return name, groups[0], groups[1]


def _result(call: Call, answer: _Answer, require: bool) -> Any:
    """What a contract returned, or why it did not: raised if it is required, else as a value."""
    try:
        if answer.success:
            return decode(call, answer.data)
        raise CallFailed(call, answer.words or _revert_reason(answer.data), answer.data)
    except CallFailed as failed:
        if require:
            raise
        return failed


def _undecodable() -> tuple[type[Exception], ...]:
    from eth_abi.exceptions import DecodingError

    return (DecodingError, ValueError, OverflowError)


def _revert_reason(data: bytes) -> str:
    """What a revert says: Solidity's ``Error(string)`` and ``Panic(uint256)`` in words, other errors by selector."""
    from eth_abi.abi import decode

    try:
        if data[:4] == _ERROR_STRING:
            return f"reverted: {decode(['string'], data[4:])[0]}"
        if data[:4] == _PANIC:
            return f"reverted: panic 0x{decode(['uint256'], data[4:])[0]:02x}"
    except _undecodable():
        pass
    return f"reverted with error 0x{data[:4].hex()}" if data else "reverted without a reason"
