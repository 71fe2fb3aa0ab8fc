"""Accounts in the order of what they may pay: a binary heap in arrays, because compiled loops that make lists must
count references to everything they touch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from protocols.arithmetic import rule
from simulator.paths.deck import FloatArray, IntArray


class Queue(NamedTuple):
    """A heap, the largest first; of those that pay alike, the account of the lowest row.

    Attributes
    ----------
    pays, account
        Shape (accounts,): of those that are in it, no one paying less than the two at twice its place and one and two.
    size
        Shape (1,): how many are in it.
    """

    pays: FloatArray
    account: IntArray
    size: IntArray


@rule
def empty(accounts: int) -> Queue:
    """A queue with room for so many, each once."""
    return Queue(np.empty(accounts), np.empty(accounts, dtype=np.int64), np.zeros(1, dtype=np.int64))


@rule
def _before(queue: Queue, one: int, other: int) -> bool:
    """Whether what is at one place comes before what is at the other."""
    if queue.pays[one] == queue.pays[other]:
        return bool(queue.account[one] < queue.account[other])
    return bool(queue.pays[one] > queue.pays[other])


@rule
def _exchange(queue: Queue, one: int, other: int) -> None:
    queue.pays[one], queue.pays[other] = queue.pays[other], queue.pays[one]
    queue.account[one], queue.account[other] = queue.account[other], queue.account[one]


@rule
def push(queue: Queue, pays: float, account: int) -> None:
    """Put an account in."""
    place = queue.size[0]
    queue.pays[place], queue.account[place] = pays, account
    queue.size[0] += 1
    while place > 0 and _before(queue, place, (place - 1) // 2):
        _exchange(queue, place, (place - 1) // 2)
        place = (place - 1) // 2


@rule
def pop(queue: Queue) -> tuple[float, int]:
    """Take the account out that pays most; returns what it pays, and the account."""
    queue.size[0] -= 1
    size, place = queue.size[0], 0
    _exchange(queue, 0, size)
    while 2 * place + 1 < size:
        below = 2 * place + 1
        if below + 1 < size and _before(queue, below + 1, below):
            below += 1
        if not _before(queue, below, place):
            break
        _exchange(queue, below, place)
        place = below
    return float(queue.pays[size]), int(queue.account[size])
