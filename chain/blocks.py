"""Which block was the head at a time."""

from __future__ import annotations

from chain.errors import InputError, NodeError
from chain.node import Node


def block_at(node: Node, timestamp: int) -> int:
    """Number of the last block with a timestamp of at most `timestamp` (unix seconds), found by bisection.

    Raises
    ------
    InputError
        If the chain begins later.
    NodeError
        If the node does not answer.
    """

    def time_of(number: int) -> int:
        header = node.ask("eth_getBlockByNumber", hex(number), False)
        if not isinstance(header, dict):
            raise NodeError(f"{node} does not have block {number}")
        return int(header["timestamp"], 16)

    first, last = 0, int(node.ask("eth_blockNumber"), 16)
    if time_of(last) <= timestamp:
        return last
    if time_of(first) > timestamp:
        raise InputError(f"the chain of {node} begins after {timestamp} (unix seconds)")
    while last - first > 1:
        middle = (first + last) // 2
        if time_of(middle) <= timestamp:
            first = middle
        else:
            last = middle
    return first
