"""Finds out a market's interest rate model: asks for the parameters of each kind that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chain.calls import Call, CallFailed
from protocols.arithmetic import max_uint256
from protocols.lending.compound_v2.state import WAD

_ANSWERS = "()(int256)"
TWO_KINKS = {
    "base_wad": "BASE_RATE_PER_BLOCK",
    "slope1_wad": "MULTIPLIER_PER_BLOCK",
    "kink1_wad": "KINK_1",
    "base2_wad": "BASE_RATE_2_PER_BLOCK",
    "slope2_wad": "MULTIPLIER_2_PER_BLOCK",
    "kink2_wad": "KINK_2",
    "slope3_wad": "JUMP_MULTIPLIER_PER_BLOCK",
}
WHITE_PAPER = {"base_wad": "baseRatePerBlock", "slope1_wad": "multiplierPerBlock"}
JUMP = WHITE_PAPER | {"slope2_wad": "jumpMultiplierPerBlock", "kink1_wad": "kink"}
_KINDS = (TWO_KINKS, JUMP, WHITE_PAPER)
_NAMES = sorted({name for kind in _KINDS for name in kind.values()})


def questions(model: str) -> list[Call]:
    """What to ask a rate model; a function that it lacks fails."""
    return [Call(model, name + _ANSWERS) for name in _NAMES]


def answered(answers: Sequence[int | CallFailed]) -> dict[str, int] | None:
    """The rate model's columns from the answers, or None if it is of no kind known here.

    That it answers is not yet that it computes alike: compare a rate with the market's own.
    """
    found: Mapping[str, Any] = dict(zip(_NAMES, answers, strict=True))
    for kind in _KINDS:
        if not any(isinstance(found[name], CallFailed) for name in kind.values()):
            unreachable = {"kink1_wad": max_uint256(), "kink2_wad": max_uint256(), "most_usage_wad": max_uint256()}
            flat = dict.fromkeys(("base2_wad", "slope2_wad", "slope3_wad"), 0)
            held = {"most_usage_wad": WAD} if kind is TWO_KINKS else {}
            return flat | unreachable | held | {column: found[name] for column, name in kind.items()}
    return None
