"""Every log of some contracts up to a pinned block, in ranges that the node accepts.

Nodes limit ``eth_getLogs`` by blocks, by results or by time, each in its own words, so a refusal of any kind narrows
the range, and only one block refused is an error. A finished range is kept in the block's cache under the scan and the
range's first block, so that a scan that was interrupted walks over what is there, whatever its ranges were, and asks
for the rest: the logs returned are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from chain.cache import Cache
from chain.errors import NodeError
from chain.node import Block, Node, Progress
from chain.refusals import Refusal, RpcError

# Blocks in a range: round figures, because providers' limits are round figures.
_SPANS: tuple[int, ...] = tuple(digit * 10**zeros for zeros in range(7) for digit in (1, 2, 5))
_FIRST_SPAN = _SPANS.index(100_000)
# After a refusal, how many ranges must succeed before a wider one is tried.
_PATIENCE = 16
# A range that holds this many logs is wide enough.
_MANY_LOGS = 5_000


class Log(NamedTuple):
    """One event, in the order of the chain when sorted.

    Attributes
    ----------
    block, position
        Block number, and the log's position in the block.
    address
        Contract that emitted it, 0x-hex in lower case.
    topics
        0x-hex words in lower case; the first is the event's signature hash unless the event is anonymous.
    data
        What is not indexed, ABI-encoded.
    """

    block: int
    position: int
    address: str
    topics: tuple[str, ...]
    data: bytes


def scan(
    node: Node,
    block: Block,
    address: str | Sequence[str],
    topics: Sequence[str | Sequence[str] | None] = (),
    *,
    from_block: int = 0,
    progress: Progress | None = None,
) -> list[Log]:
    """All logs of `address` that match `topics`, from `from_block` to the pinned block, both included.

    Parameters
    ----------
    address
        One contract or several.
    topics
        For each position one word, several of which any may match, or None for any at all.
    progress
        Called after every range with blocks done and blocks in all.

    Returns
    -------
    list of Log
        In the order of the chain; the same whatever ranges the node allowed and however often the scan was interrupted.

    Raises
    ------
    NodeError
        If the node refuses even a single block, does not answer, or returns logs that were not asked for or that
        contradict the pinned block.
    ReorgError
        If the pinned block is not part of the node's chain any more.
    """
    addresses = sorted({one.lower() for one in ([address] if isinstance(address, str) else address)})
    wanted = {"address": addresses, "topics": [_topic(topic) for topic in topics]}
    cache = node.cache(block)
    width = _Width()
    logs: list[Log] = []
    start = from_block
    while start <= block.number:
        key = Cache.key("logs", block.chain_id, block.hash, wanted, start)
        known = cache.get([key]).get(key)
        if known is None:
            end = min(start + width.blocks - 1, block.number)
            found = _ask(node, block, wanted, start, end)
            if found is None:
                width.narrow(end - start + 1)
                continue
            width.widen(len(found))
            cache.put({key: [end, [[*log[:4], log.data.hex()] for log in found]]})
        else:
            end, rows = known
            found = [
                Log(number, position, emitter, tuple(words), bytes.fromhex(data))
                for number, position, emitter, words, data in rows
            ]
        logs += found
        start = end + 1
        if progress is not None:
            progress(start - from_block, block.number + 1 - from_block)
    return logs


class _Width:
    """How many blocks to ask for at once: narrower when refused, wider when it went well for a while."""

    def __init__(self) -> None:
        self._step = _FIRST_SPAN
        self._successes_needed = 1
        self._successes = 0

    @property
    def blocks(self) -> int:
        return _SPANS[self._step]

    def narrow(self, refused: int) -> None:
        """Below the number of blocks that was refused, which may be less than the width near the pinned block."""
        self._step = max(step for step, blocks in enumerate(_SPANS) if blocks < refused)
        self._successes_needed = _PATIENCE
        self._successes = 0

    def widen(self, found: int) -> None:
        self._successes += 1
        if self._successes >= self._successes_needed and found < _MANY_LOGS:
            self._step = min(self._step + 1, len(_SPANS) - 1)
            self._successes = 0


def _topic(topic: str | Sequence[str] | None) -> str | list[str] | None:
    if topic is None or isinstance(topic, str):
        return topic and topic.lower()
    return sorted(one.lower() for one in topic)


def _ask(node: Node, block: Block, wanted: dict[str, Any], start: int, end: int) -> list[Log] | None:
    """The logs of one range in order, or None if the node wants a narrower one."""
    request = ("eth_getLogs", [{"fromBlock": hex(start), "toBlock": hex(end), **wanted}])
    (answer,) = node.fetch(block, [request], splittable=end > start)
    if isinstance(answer, RpcError):
        if end == start or answer.kind is Refusal.NO_METHOD:
            raise answer
        return None
    return _checked(node, block, wanted, answer, start=start, end=end)


def _checked(node: Node, block: Block, wanted: dict[str, Any], answer: Any, *, start: int, end: int) -> list[Log]:
    """Logs that are what was asked for and of the chain that was pinned."""
    logs: list[Log] = []
    hashes = {block.number: block.hash}
    try:
        for raw in answer:
            log = Log(
                int(raw["blockNumber"], 16),
                int(raw["logIndex"], 16),
                raw["address"].lower(),
                tuple(word.lower() for word in raw["topics"]),
                bytes.fromhex(raw["data"].removeprefix("0x")),
            )
            if raw.get("removed"):
                raise _contradiction(node, log, "it was removed by a reorganisation")
            if not start <= log.block <= end:
                raise _contradiction(node, log, f"blocks {start} to {end} were asked for")
            if log.address not in wanted["address"]:
                raise _contradiction(node, log, f"{log.address} was not asked for")
            if hashes.setdefault(log.block, raw["blockHash"].lower()) != raw["blockHash"].lower():
                raise _contradiction(
                    node, log, f"the block's hash is {hashes[log.block]}, the log says {raw['blockHash']}"
                )
            logs.append(log)
    except (AttributeError, KeyError, TypeError, ValueError):
        malformed = True
    else:
        malformed = False
    if malformed:
        raise NodeError(
            f"{node} answered eth_getLogs for blocks {start} to {end} with something that is not a list of logs"
        )
    logs.sort()
    for one, other in pairwise(logs):
        if one[:2] == other[:2]:
            raise _contradiction(node, other, "it was returned twice")
    return logs


def _contradiction(node: Node, log: Log, why: str) -> NodeError:
    return NodeError(
        f"{node} contradicts itself: log {log.position} of block {log.block}: {why}; try again, or another node"
    )
