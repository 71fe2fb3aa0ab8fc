from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.paths import queue


@given(st.lists(st.one_of(st.none(), st.integers(-5, 5)), max_size=40))
def test_what_comes_out_is_the_most_of_what_is_in_and_of_equals_the_lowest_row(moves: list[int | None]) -> None:
    """A number goes in, as an account of its own; None takes one out."""
    heap = queue.empty(len(moves))
    inside: list[tuple[float, int]] = []
    for row, move in enumerate(moves):
        if move is not None:
            queue.push(heap, float(move), row)
            inside.append((-float(move), row))
        elif inside:
            inside.sort()
            pays, account = inside.pop(0)
            assert queue.pop(heap) == (-pays, account)
        assert heap.size[0] == len(inside)
    assert [queue.pop(heap) for _ in range(len(inside))] == [(-pays, account) for pays, account in sorted(inside)]
