"""Primitives in both number systems."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import arithmetic as a
from protocols.arithmetic import FLOAT_FORMS

positive = st.integers(1, 2**120)
WAD, RAY, BPS = 10**18, 10**27, 10**4


def half_up(x: Fraction) -> int:
    return floor(x + Fraction(1, 2))


REAL: list[tuple[Callable[..., int], Callable[[int, int], Fraction], Callable[[Fraction], int]]] = [
    (a.div_down, Fraction, floor),
    (a.div_up, Fraction, ceil),
    (a.ray_mul, lambda x, y: Fraction(x * y, RAY), half_up),
    (a.ray_mul_down, lambda x, y: Fraction(x * y, RAY), floor),
    (a.ray_mul_up, lambda x, y: Fraction(x * y, RAY), ceil),
    (a.ray_div_down, lambda x, y: Fraction(x * RAY, y), floor),
    (a.ray_div_up, lambda x, y: Fraction(x * RAY, y), ceil),
    (a.percent_mul, lambda x, y: Fraction(x * y, BPS), half_up),
    (a.percent_mul_down, lambda x, y: Fraction(x * y, BPS), floor),
    (a.percent_mul_up, lambda x, y: Fraction(x * y, BPS), ceil),
    (a.percent_div_down, lambda x, y: Fraction(x * BPS, y), floor),
    (a.percent_div_up, lambda x, y: Fraction(x * BPS, y), ceil),
]
HALF_UP_DIVISIONS = [(a.ray_div, RAY), (a.wad_div, WAD), (a.percent_div, BPS)]


@pytest.mark.parametrize(("primitive", "real", "rounding"), REAL, ids=lambda f: getattr(f, "__name__", ""))
@given(positive, positive)
def test_a_primitive_rounds_the_real_result(primitive, real, rounding, x: int, y: int) -> None:  # type: ignore[no-untyped-def]
    assert primitive(x, y) == rounding(real(x, y))
    assert FLOAT_FORMS[primitive](float(x), float(y)) == pytest.approx(float(real(x, y)), rel=1e-15)


@pytest.mark.parametrize(("primitive", "unit"), HALF_UP_DIVISIONS)
@given(positive, positive)
def test_divisions_that_round_to_the_nearest_add_half_the_divisor_rounded_down(  # type: ignore[no-untyped-def]
    primitive, unit: int, x: int, y: int
) -> None:
    assert primitive(x, y) == (x * unit + y // 2) // y
    assert abs(primitive(x, y) - Fraction(x * unit, y)) <= Fraction(1, 2) + Fraction(1, 2 * y)


@given(positive, positive, positive)
def test_mul_div_rounds_as_named(x: int, y: int, z: int) -> None:
    real = Fraction(x * y, z)
    assert (a.mul_div_down(x, y, z), a.mul_div_up(x, y, z)) == (floor(real), ceil(real))
    assert a.mul_div_half_up(x, y, z) in (floor(real), ceil(real))


def test_an_exact_half_goes_up() -> None:
    assert (a.percent_mul(1, 5_000), a.ray_mul(1, RAY // 2), a.ray_div(1, 2 * RAY), a.percent_div(1, 20_000)) == (
        1,
    ) * 4


@pytest.mark.parametrize("primitive", [a.floored, a.ceiled, a.rounded])
@given(x=st.integers(0, 2**256))
def test_a_kept_rounding_leaves_integers_as_they_are(primitive, x: int) -> None:  # type: ignore[no-untyped-def]
    assert primitive(x) == x
    assert FLOAT_FORMS[primitive](float(x)) == float(x)


def test_a_kept_rounding_rounds_floats_and_forgives_the_last_digits() -> None:
    down, up, near = (FLOAT_FORMS[primitive] for primitive in (a.floored, a.ceiled, a.rounded))
    assert (down(0.98), up(0.02), near(0.49), near(0.5)) == (0.0, 1.0, 0.0, 1.0)
    third = 1 / 3
    assert down((third + third + third) * 0.1 * 30) == 3.0
    assert (down(3 * (1 - 2**-53)), up(3 * (1 + 2**-52))) == (3.0, 3.0)
