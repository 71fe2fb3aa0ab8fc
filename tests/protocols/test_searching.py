"""A search answers what looking at every number would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocols.lending.searching import smallest


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 700))
def test_the_smallest_number_is_found_and_the_end_of_the_range_where_none_holds(low: int, size: int, edge: int) -> None:
    asked: list[int] = []

    def holds(number: int) -> bool:
        asked.append(number)
        return number >= edge

    assert smallest(low, low + size, holds) == min(max(low, edge), low + size)
    assert all(low <= number < low + size for number in asked)


def test_an_answer_near_the_start_of_a_large_range_takes_few_questions() -> None:
    asked: list[int] = []

    def holds(number: int) -> bool:
        asked.append(number)
        return number >= 10**30 + 5

    assert smallest(10**30, 10**40, holds) == 10**30 + 5
    assert len(asked) < 8
