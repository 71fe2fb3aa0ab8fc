"""The rules without any rounding: the same source, over exact rational numbers."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from protocols import arithmetic

RAY, WAD, BPS = 10**27, 10**18, 10_000


def _over(a: Any, b: Any) -> Fraction:
    return Fraction(a) / Fraction(b)


UNROUNDED: dict[Callable[..., Any], Callable[..., Any]] = {
    **dict.fromkeys(
        (arithmetic.mul_div_down, arithmetic.mul_div_up, arithmetic.mul_div_half_up), lambda a, b, c: _over(a * b, c)
    ),
    **dict.fromkeys((arithmetic.div_down, arithmetic.div_up), _over),
    **dict.fromkeys(
        (arithmetic.ray_mul, arithmetic.ray_mul_down, arithmetic.ray_mul_up), lambda a, b: _over(a * b, RAY)
    ),
    **dict.fromkeys(
        (arithmetic.ray_div, arithmetic.ray_div_down, arithmetic.ray_div_up), lambda a, b: _over(a * RAY, b)
    ),
    arithmetic.wad_div: lambda a, b: _over(a * WAD, b),
    **dict.fromkeys(
        (arithmetic.percent_mul, arithmetic.percent_mul_down, arithmetic.percent_mul_up), lambda a, p: _over(a * p, BPS)
    ),
    **dict.fromkeys(
        (arithmetic.percent_div, arithmetic.percent_div_down, arithmetic.percent_div_up), lambda a, p: _over(a * BPS, p)
    ),
}
"""Every primitive that rounds, and what it is a rounding of."""


@contextlib.contextmanager
def rationals() -> Iterator[None]:
    """Inside, rules give Fractions; what was made outside stays as it is."""
    replaced = [
        (module, name, value)
        for module_name, module in list(sys.modules.items())
        if module_name.startswith("protocols.")
        for name, value in list(vars(module).items())
        if callable(value) and getattr(value, "__module__", "") == arithmetic.__name__ and value in UNROUNDED
    ]
    for module, name, value in replaced:
        setattr(module, name, UNROUNDED[value])
    try:
        yield
    finally:
        for module, name, value in replaced:
            setattr(module, name, value)
