"""A node, read at one pinned block.

A reading begins with :meth:`Node.pin` and ends with :meth:`Node.check_unchanged`. Between the two, every request names
the block by its hash (EIP-1898) where the node allows it. A request that can name blocks by number only (any, at a node
without EIP-1898; ``eth_getLogs`` over a range, everywhere) is sent together with a question for the hash that this
number has now, and its answer counts only if that is still the pinned one. So a reorganisation is an error, never a
mixture of two chains, and what the cache keeps under a block hash does belong to that block.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

from chain.cache import Cache
from chain.errors import InputError, NodeError, ReorgError
from chain.refusals import Refusal, RpcError
from chain.rpcurl import RpcUrl
from chain.transport import Request, Transient, Transport

AT_BLOCK = "@block"
"""Stands for the pinned block in the parameters of a request."""

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is to do."""

_TAGS = ("latest", "safe", "finalized")
_NOBODY = "0x" + "00" * 20
# Nodes and their proxies refuse bodies of a few megabytes.
_LARGEST_BODY_CHARS = 1_000_000


@dataclass(frozen=True, slots=True)
class Block:
    """A block of one chain: all that later reads must agree with.

    Attributes
    ----------
    number, hash
        Height, and 0x-hex hash in lower case.
    timestamp
        Seconds since 1970, as the block states it.
    chain_id
        EIP-155 id of its chain.
    """

    number: int
    hash: str
    timestamp: int
    chain_id: int


class Node:
    """A JSON-RPC node.

    Parameters
    ----------
    url
        ``http(s)://`` address; a secret of which only scheme, host and port are ever shown.
    cache_dir
        Folder that keeps answers at pinned blocks, one file a block (see :mod:`chain.cache`); None keeps them in
        memory only.
    requests_per_second
        Upper limit on JSON-RPC calls per second, each call in a batch counted; None for no limit.
    attempts
        How often in a row the node may fail to answer anything before that is an error.
    timeout
        Seconds to wait for a connection or for the next bytes of an answer.
    batch_size
        Most calls in one HTTP request; halved where the node refuses batches or times out.
    backoff
        Seconds before a second attempt, doubled for each further one, with jitter.

    Attributes
    ----------
    url
        The address, which prints as scheme, host and port.
    learnt
        What use has shown this node to be able to do; whoever finds out writes it here.

    Raises
    ------
    InputError
        If the address is not an HTTP URL, or a limit is not positive.

    Examples
    --------
    >>> with Node("http://127.0.0.1:8545/secret-key", cache_dir=None) as node:
    ...     print(node)
    http://127.0.0.1:8545
    """

    def __init__(
        self,
        url: str,
        *,
        cache_dir: Path | None,
        requests_per_second: float | None = None,
        attempts: int = 6,
        timeout: float = 30.0,
        batch_size: int = 100,
        backoff: float = 0.5,
    ) -> None:
        self.url = RpcUrl(url)
        self._transport = Transport(
            self.url,
            requests_per_second=requests_per_second,
            attempts=attempts,
            timeout=timeout,
            batch_size=batch_size,
            backoff=backoff,
        )
        self._cache_dir = cache_dir
        self._caches: dict[Block, Cache] = {}
        self._pinned: dict[int, Block] = {}
        self._chain_id: int | None = None
        self.learnt: dict[Hashable, Any] = {}

    def __str__(self) -> str:
        return str(self.url)

    def __repr__(self) -> str:
        return f"Node({str(self.url)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def http_requests(self) -> int:
        """HTTP requests made so far, repetitions included."""
        return self._transport.http_requests

    @property
    def rpc_calls(self) -> int:
        """JSON-RPC calls made so far, those in batches counted singly and repetitions included."""
        return self._transport.rpc_calls

    def close(self) -> None:
        """Release the connection and the cache files."""
        self._transport.close()
        for cache in self._caches.values():
            cache.close()
        self._caches.clear()

    def ask(self, method: str, *params: Any) -> Any:
        """The node's answer now, whatever its head is: not pinned, not cached.

        Raises
        ------
        RpcError
            If the node answers with an error.
        NodeError
            If it does not answer.
        """
        (answer,) = self._transport.send([(method, list(params))])
        return _raised(answer)

    def pin(self, block: int | str = "finalized", *, chain_id: int | None = None) -> Block:
        """Choose the block that is to be read.

        Parameters
        ----------
        block
            A block number, or ``"latest"``, ``"safe"`` or ``"finalized"``.
        chain_id
            The chain that the node is expected to be on; None for any.

        Raises
        ------
        InputError
            If `block` is neither a number nor one of those words.
        NodeError
            If the node does not have the block, is not on chain `chain_id`, or contradicts what it said before.
        ReorgError
            If a block of that number was pinned before and had another hash.
        """
        tag = _tag(block)
        pinned = self._header(tag)
        if pinned is None:
            raise NodeError(
                f"{self} does not have block {block}; ask for an earlier one, or wait until it is synchronised"
            )
        if chain_id is not None and pinned.chain_id != chain_id:
            raise NodeError(
                f"{self} is on chain {pinned.chain_id}, not {chain_id}; give the address of a node of chain {chain_id}"
            )
        if isinstance(block, int) and pinned.number != block:
            raise NodeError(f"{self} contradicts itself: asked for block {block}, it answered block {pinned.number}")
        before = self._pinned.setdefault(pinned.number, pinned)
        self._compare(before, pinned)
        return before

    def check_unchanged(self, block: Block) -> None:
        """Make sure, at the end of a reading, that the node still is on the same chain and has the same block.

        Raises
        ------
        ReorgError
            If the block's number has another hash now, or none.
        NodeError
            If the chain id differs.
        """

        def header() -> Block:
            now = self._header(hex(block.number))
            if now is None:
                raise Transient(f"{self} no longer has block {block.number}", Refusal.UNKNOWN_BLOCK)
            return now

        try:
            now: Block | None = self._transport.patiently(header)
        except Transient as problem:
            if problem.kind is not Refusal.UNKNOWN_BLOCK:
                raise
            now = None
        self._compare(block, now)

    def read(
        self,
        block: Block,
        requests: Sequence[Request],
        *,
        splittable: bool = False,
        progress: Progress | None = None,
    ) -> list[Any]:
        """Answers at a pinned block, from the cache where it has them.

        Parameters
        ----------
        block
            From :meth:`pin`.
        requests
            Methods and parameters, with ``AT_BLOCK`` in the place of the block.
        splittable
            Whether the caller can ask for less at a time: then a call that times out is answered with an
            :class:`~chain.refusals.RpcError` at once, instead of being asked again.
        progress
            Called after every batch.

        Returns
        -------
        list
            In the order of `requests`: the JSON result, or an :class:`~chain.refusals.RpcError` as a value, which the
            caller must look at. Results are cached, errors are not.

        Raises
        ------
        NodeError
            If the node does not answer, or has pruned the block's state.
        ReorgError
            If the block is not part of the node's chain any more.
        """
        texts = [json.dumps(request) for request in requests]
        keys = [Cache.key(block.chain_id, block.hash, text) for text in texts]
        cache = self.cache(block)
        answers = cache.get(keys)
        # The same question twice is asked once.
        todo = {key: i for i, key in enumerate(keys) if key not in answers}
        waiting = list(todo.values())
        while waiting:
            if progress is not None:
                progress(len(requests) - len(waiting), len(requests))
            chunk = waiting[: self._chunk_length([texts[i] for i in waiting[: self._transport.batch_limit]])]
            waiting = waiting[len(chunk) :]
            fetched = self.fetch(block, [requests[i] for i in chunk], splittable=splittable)
            got = {keys[i]: answer for i, answer in zip(chunk, fetched, strict=True)}
            cache.put({key: answer for key, answer in got.items() if _lasting(answer)})
            answers.update(got)
        if progress is not None:
            progress(len(requests), len(requests))
        return [answers[key] for key in keys]

    def fetch(self, block: Block, requests: Sequence[Request], *, splittable: bool = False) -> list[Any]:
        """Answers at a pinned block, as :meth:`read` gives them, but neither looked up in nor put into the cache."""
        by_hash = all(AT_BLOCK in params for _, params in requests)
        reference = self._reference(block) if any(AT_BLOCK in params for _, params in requests) else None
        wire = [(method, [reference if part == AT_BLOCK else part for part in params]) for method, params in requests]
        lost: Transient | None = None
        try:
            if by_hash and isinstance(reference, dict):
                answers = self._transport.send(wire, splittable=splittable)
            else:
                answers = self._transport.patiently(lambda: self._send_guarded(block, wire, splittable))
        except Transient as problem:
            if problem.kind is not Refusal.UNKNOWN_BLOCK:
                raise
            lost = problem
        if lost is not None:
            self._compare(block, self._header(hex(block.number)))
            raise lost
        for answer in answers:
            self._refuse_lost_state(block, answer)
        return answers

    def cache(self, block: Block) -> Cache:
        """What is kept of a pinned block. Put nothing there that was not read by :meth:`read` or :meth:`fetch`."""
        if block not in self._caches:
            name = f"{block.chain_id}-{block.number}-{block.hash}.sqlite"
            self._caches[block] = Cache(None if self._cache_dir is None else self._cache_dir / name)
        return self._caches[block]

    def _chunk_length(self, texts: Sequence[str]) -> int:
        """How many of the requests fit into one HTTP body; at least one."""
        for count, size in enumerate(accumulate(map(len, texts))):
            if size > _LARGEST_BODY_CHARS:
                return max(1, count)
        return len(texts)

    def _send_guarded(self, block: Block, wire: Sequence[Request], splittable: bool) -> list[Any]:
        """Answers to requests that name blocks by number, if after them the pinned number still has its hash."""
        guard: Request = ("eth_getBlockByNumber", [hex(block.number), False])
        *answers, header = self._transport.send([*wire, guard], splittable=splittable)
        if header is None:
            raise Transient(f"{self} does not have block {block.number} (yet)", Refusal.UNKNOWN_BLOCK)
        self._compare(block, self._parsed(block.chain_id, _raised(header)))
        return answers

    def _reference(self, block: Block) -> dict[str, Any] | str:
        """How this node lets a request name the block: by hash if it can."""
        by_hash = {"blockHash": block.hash}
        forms: dict[str, dict[str, Any]] = {"canonical hash": {**by_hash, "requireCanonical": True}, "hash": by_hash}
        if "block reference" not in self.learnt:
            probes = self._transport.send([("eth_getBalance", [_NOBODY, form]) for form in forms.values()])
            for answer in probes:
                self._refuse_lost_state(block, answer)
            taken = [name for name, answer in zip(forms, probes, strict=True) if not isinstance(answer, RpcError)]
            self.learnt["block reference"] = taken[0] if taken else "number"
        form: str = self.learnt["block reference"]
        return forms[form] if form in forms else hex(block.number)

    def _header(self, tag: str) -> Block | None:
        """The block under a number or tag, on the chain that the node states along with it."""
        answers = self._transport.send([("eth_chainId", []), ("eth_getBlockByNumber", [tag, False])])
        chain_id, header = map(_raised, answers)
        try:
            now = int(chain_id, 16)
        except (TypeError, ValueError):
            now = -1
        if now < 0:
            raise NodeError(f"{self} states no chain id; check that it is an Ethereum node")
        if self._chain_id not in (None, now):
            raise NodeError(f"{self} contradicts itself: it was on chain {self._chain_id}, and is on chain {now}")
        self._chain_id = now
        return None if header is None else self._parsed(now, header)

    def _parsed(self, chain_id: int, header: Any) -> Block:
        try:
            return Block(
                number=int(header["number"], 16),
                hash="0x" + bytes.fromhex(header["hash"].removeprefix("0x")).hex(),
                timestamp=int(header["timestamp"], 16),
                chain_id=chain_id,
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            pass
        raise NodeError(f"{self} answered a block without number, hash or timestamp; check that it is an Ethereum node")

    def _compare(self, pinned: Block, now: Block | None) -> None:
        """Refuse a block that is not the pinned one, and forget what was read at it if it is gone."""
        if now is None or now.hash != pinned.hash:
            self.cache(pinned).clear()
            self._pinned.pop(pinned.number, None)
            became = "is gone" if now is None else f"is now {now.hash}"
            raise ReorgError(
                f"the chain was reorganised at {self}: block {pinned.number} was {pinned.hash} and {became}; "
                "read again, best at 'finalized' or an older block"
            )
        if now != pinned:
            raise NodeError(f"{self} contradicts itself about block {pinned.hash}: {pinned}, then {now}")

    def _refuse_lost_state(self, block: Block, answer: Any) -> None:
        """Errors that no smaller or other request would mend."""
        kind = answer.kind if isinstance(answer, RpcError) else None
        if kind is Refusal.PRUNED:
            raise NodeError(
                f"{self} no longer has the state of block {block.number} ({answer.reason}); use an archive node, "
                "or a more recent block"
            )
        if kind is Refusal.NOT_CANONICAL:
            self._compare(block, None)


def _tag(block: int | str) -> str:
    if isinstance(block, int) and block >= 0:
        return hex(block)
    if isinstance(block, str) and block in _TAGS:
        return block
    raise InputError(f"block must be a number or one of {', '.join(_TAGS)}, not {block!r}")


def _raised(answer: Any) -> Any:
    """`answer`, unless it is an error."""
    if isinstance(answer, RpcError):
        raise answer
    return answer


def _lasting(answer: Any) -> bool:
    """Whether an answer can be kept: an error may pass, and null means that the node does not have it (yet)."""
    return answer is not None and not isinstance(answer, RpcError)
