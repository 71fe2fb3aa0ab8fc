"""Finding out what contracts are, round by round: what is asked next depends on what was answered before.

A *walk* is a generator that yields what it wants to know and is sent the answers, one each. Walks that go on side by
side ask together, so that the rounds of all of them cost a node no more requests than those of the longest.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from chain.calls import Call, read
from chain.node import AT_BLOCK, Block, Node
from chain.refusals import RpcError


@dataclass(frozen=True)
class Slot:
    """A word of a contract's storage, for what no getter tells."""

    target: str
    number: int


Ask = Call | Slot
"""What a walk may want to know. A call that failed is answered with a :class:`chain.calls.CallFailed`, a word of
storage with an int."""

T = TypeVar("T")
U = TypeVar("U")
Walk = Generator[Sequence[Ask], Sequence[Any], T]


def together(walks: Iterable[Walk[T]]) -> Walk[list[T]]:
    """Several walks as one, each round the rounds of all that are not at their end; the results are in order."""
    results: dict[int, T] = {}
    waiting: dict[int, tuple[Walk[T], Sequence[Ask]]] = {}

    def go_on(number: int, walk: Walk[T], answers: Sequence[Any] | None) -> None:
        try:
            # a generator is started by sending it None
            waiting[number] = walk, walk.send(answers)  # type: ignore[arg-type]
        except StopIteration as end:
            results[number] = end.value

    for number, walk in enumerate(walks):
        go_on(number, walk, None)
    while waiting:
        round_, waiting = waiting, {}
        answers = iter((yield [ask for _, asks in round_.values() for ask in asks]))
        for number, (walk, asks) in round_.items():
            go_on(number, walk, [next(answers) for _ in asks])
    return [results[number] for number in sorted(results)]


def beside(one: Walk[T], other: Walk[U]) -> Walk[tuple[T, U]]:
    """Two walks of different things, as :func:`together` has them."""
    first, second = yield from together([cast("Walk[T | U]", one), cast("Walk[T | U]", other)])
    return cast("T", first), cast("U", second)


def walked(node: Node, block: Block, walk: Walk[T]) -> T:
    """What a walk comes to on a node, at a pinned block.

    Most functions that are tried are not there, so a call that fails is not asked again.

    Raises
    ------
    NodeError
        If the node does not answer.
    """
    try:
        asks = next(walk)
        while True:
            asks = walk.send(_answers(node, block, asks))
    except StopIteration as end:
        result: T = end.value
        return result


def _answers(node: Node, block: Block, asks: Sequence[Ask]) -> list[Any]:
    calls = [ask for ask in asks if isinstance(ask, Call)]
    words = [ask for ask in asks if isinstance(ask, Slot)]
    told = iter(read(node, block, calls, require=False, bundle=1000, again=False))
    replies = iter(node.read(block, [("eth_getStorageAt", [w.target, hex(w.number), AT_BLOCK]) for w in words]))
    return [next(told) if isinstance(ask, Call) else _word(next(replies)) for ask in asks]


def _word(reply: Any) -> int:
    if isinstance(reply, RpcError):
        raise reply
    return int(reply, 16)
