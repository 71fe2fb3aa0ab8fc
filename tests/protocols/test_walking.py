"""Walks side by side ask together, and each comes to what it would come to alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chain.calls import Call
from protocols.walking import Ask, Walk, beside, together

TARGET = "0x" + "11" * 20


def counting(rounds: Sequence[int]) -> Walk[list[int]]:
    """A walk that asks so many things in each round, and comes to all the answers."""
    found: list[int] = []
    for size in rounds:
        asks: list[Ask] = [Call(TARGET, "f(uint256)(uint256)", (n,)) for n in range(size)]
        found += yield asks
    return found


def run(walk: Walk[Any]) -> tuple[Any, list[int]]:
    """What a walk comes to when every answer is the number of answers before it, and the sizes of its rounds."""
    sizes: list[int] = []
    try:
        asks = next(walk)
        while True:
            first = sum(sizes)
            sizes.append(len(asks))
            asks = walk.send(range(first, first + len(asks)))
    except StopIteration as end:
        return end.value, sizes


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=5))
def test_walks_together_take_as_many_rounds_as_the_longest(plans: list[list[int]]) -> None:
    found, sizes = run(together(counting(plan) for plan in plans))
    assert sizes == [sum(plan[n] for plan in plans if n < len(plan)) for n in range(max(map(len, plans), default=0))]
    assert [len(own) for own in found] == [sum(plan) for plan in plans]
    assert sorted(answer for own in found for answer in own) == list(range(sum(sizes)))


def test_a_walk_within_a_walk_goes_on_beside_others() -> None:
    def twice() -> Walk[int]:
        first = yield from counting([1])
        both = yield from together([counting([2]), counting([1, 1])])
        return len(first) + sum(map(len, both))

    assert run(beside(twice(), counting([5]))) == ((5, [1, 2, 3, 4, 5]), [6, 3, 1])
