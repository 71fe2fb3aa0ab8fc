"""How near a computation came to going another way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

_INFINITE = float("inf")
_smallest = {"comparison": _INFINITE, "rounding": _INFINITE}


def _record(kind: str, distance: float) -> None:
    _smallest[kind] = min(_smallest[kind], distance)


def _operation(name: str) -> Callable[..., Any]:
    plain = getattr(int, name)

    def operate(*numbers: Any) -> Any:
        result = plain(*numbers)
        return Watched(result) if type(result) is int else result

    return operate


def _comparison(name: str) -> Callable[[Any, Any], Any]:
    plain = getattr(int, name)

    def compare(self: Any, other: Any) -> Any:
        # A number compared with itself was assigned, not computed: both forms find them equal.
        if self is not other and isinstance(other, int):
            larger = max(abs(int(self)), abs(int(other)))
            if larger:
                _record("comparison", abs(int(self) - int(other)) / larger)
        return plain(self, other)

    return compare


def _division(name: str) -> Callable[[Any, Any], Any]:
    plain = getattr(int, name)

    def divide(self: Any, other: Any) -> Any:
        quotient = plain(self, other)
        if quotient is NotImplemented:
            return quotient
        above, below = (int(other), int(self)) if name == "__rfloordiv__" else (int(self), int(other))
        rest = above - quotient * below
        if rest:
            _record("rounding", min(abs(rest), abs(below - rest)) / abs(below))
        return Watched(quotient)

    return divide


class Watched(int):
    """An integer whose comparisons and divisions, and those of every integer computed from it, are recorded.

    Comparisons of two zeros, or of a number with itself, do not count, nor do divisions that leave nothing.
    """

    __hash__ = int.__hash__


for _name in ("add", "sub", "mul", "mod", "lshift", "rshift", "and", "or", "pow"):
    setattr(Watched, f"__{_name}__", _operation(f"__{_name}__"))
    setattr(Watched, f"__r{_name}__", _operation(f"__r{_name}__"))
for _name in ("neg", "abs"):
    setattr(Watched, f"__{_name}__", _operation(f"__{_name}__"))
for _name in ("floordiv", "rfloordiv"):
    setattr(Watched, f"__{_name}__", _division(f"__{_name}__"))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Watched, f"__{_name}__", _comparison(f"__{_name}__"))


def smallest_margin(run: Callable[[], object], roundings: bool = False) -> float:
    """How near `run`, computed from watched integers, came to going another way.

    Parameters
    ----------
    run
        The computation; an exception that it raises ends it and is not raised again.
    roundings
        Count a division as well, which rounds to the integer below what is just short of the one above.

    Returns
    -------
    float
        The smallest distance between two sides of a comparison as a share of the larger side, or, with `roundings`,
        of a quotient from an integer in units, if that is smaller; infinite if there was nothing to record.
    """
    _smallest.update(comparison=_INFINITE, rounding=_INFINITE)
    with suppress(Exception):
        run()
    return min(_smallest.values()) if roundings else _smallest["comparison"]
