"""Prices that are written down once and do not move: "hard-coded at 1"."""

from __future__ import annotations

from protocols.oracles.kind import Kind, addresses, numbers

_HOW, _FAILS = "a number that does not move", "nobody is liquidated for a fall of the market: it is never believed"

KINDS = (
    Kind(
        "fixed price",
        _HOW,
        _FAILS,
        getters=numbers({"answer": "price"}, "int256") | addresses({"acl_manager": "ACL_MANAGER"}),
    ),
    Kind(
        "fixed price",
        _HOW,
        _FAILS,
        getters={"text": "description()(string)"},
        text={"text": "Constant price feed"},
    ),
)
