"""What the recorder of near decisions counts."""

from __future__ import annotations

from math import inf

from tests.vectors.watched import Watched, smallest_margin


def test_a_comparison_counts_as_a_share_of_its_larger_side() -> None:
    assert smallest_margin(lambda: Watched(90) < 100) == 0.1
    assert smallest_margin(lambda: (Watched(90) < 100, Watched(999) >= 1000)) == 0.001


def test_what_is_computed_from_a_watched_number_is_watched() -> None:
    assert smallest_margin(lambda: -(-(Watched(7) * 10 + 5) // 3) > 20) == 0.2
    assert smallest_margin(lambda: max(100 - Watched(1), 98)) == 1 / 99


def test_two_zeros_and_a_number_with_itself_do_not_count() -> None:
    number = same = Watched(5)
    assert smallest_margin(lambda: (number == same, Watched(0) == 0)) == inf
    assert smallest_margin(lambda: Watched(5) == 5) == 0


def test_a_quotient_counts_by_its_distance_from_an_integer_if_asked() -> None:
    assert smallest_margin(lambda: Watched(999) // 1000) == inf
    assert smallest_margin(lambda: Watched(999) // 1000, roundings=True) == 0.001
    assert smallest_margin(lambda: 2001 // Watched(1000), roundings=True) == 0.001
    assert smallest_margin(lambda: Watched(2000) // 1000, roundings=True) == inf


def test_an_exception_ends_the_computation_and_keeps_what_was_seen() -> None:
    assert smallest_margin(lambda: (Watched(90) < 100, Watched(1) // 0)) == 0.1
