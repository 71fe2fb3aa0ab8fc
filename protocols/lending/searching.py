"""Sizes that contracts accept up to a point, or from a point on, found by asking."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Protocol

from protocols.arithmetic import Number, max_uint256


class Answer(Protocol):
    """What a contract would do with an offered repayment.

    Attributes
    ----------
    error
        Why it reverts; 0 if it does not.
    repaid, offered
        What would be paid, and what was offered, or as much of it as may be repaid.
    capped, emptied
        Whether the collateral did not suffice for that, and whether none of it would be left.
    """

    @property
    def error(self) -> int: ...
    @property
    def repaid(self) -> Number: ...
    @property
    def offered(self) -> Number: ...
    @property
    def capped(self) -> bool: ...
    @property
    def emptied(self) -> bool: ...


def most_worth_offering(ask: Callable[[int], Answer], too_much: Container[int], ceiling: int) -> int:
    """The largest repayment worth offering, 0 if every one is refused.

    Parameters
    ----------
    ask
        Answers an offered repayment, smallest units.
    too_much
        Errors that a smaller repayment may escape.
    ceiling
        No less than what is owed, smallest units.
    """

    def takes_all(amount: int) -> bool:
        answer = ask(amount)
        return not answer.error and answer.emptied

    everything = ask(max_uint256())
    if not everything.error:
        if everything.capped:
            # a few units more than what is repaid, where offering just that would leave a unit of collateral behind
            return smallest(everything.repaid, everything.offered, takes_all)
        return int(everything.repaid)
    if everything.error not in too_much:
        return 0
    most = smallest(0, ceiling, lambda amount: ask(amount).error in too_much) - 1
    return most if most > 0 and not ask(most).error else 0


def smallest(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The smallest number from `low` to `high` for which a condition holds that, once it holds, goes on to hold.

    It asks about ever larger numbers first, so that an answer near `low` costs few questions. `high` is not asked
    about: it is the answer where the condition holds for no smaller number.
    """
    stride = 1
    while low + stride <= high:
        probe = low + stride - 1
        if holds(probe):
            high = probe
            break
        low = probe + 1
        stride *= 2
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
