from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.paths import queue


@given(st.lists(st.one_of(st.none(), st.integers(-5, 5)), max_size=40))
def test_what_comes_out_is_the_most_of_what_is_in_and_of_equals_the_lowest_row(moves: list[int | None]) -> None:
    """A number goes in, as an account of its own; None takes one out."""
    heap = queue.empty(len(moves))
    inside: list[tuple[float, int]] = []
    for account, pays in enumerate(moves):
        if pays is not None:
            queue.push(heap, float(pays), account)
            inside.append((-float(pays), account))
        elif inside:
            inside.sort()
            assert queue.pop(heap) == inside.pop(0)[1]
        assert heap.size[0] == len(inside)
    assert [queue.pop(heap) for _ in range(len(inside))] == [account for _, account in sorted(inside)]
