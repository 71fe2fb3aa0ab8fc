"""Replay of recorded StableSwap3Pool calls and views, by the rules and the checks of StableSwap."""

from __future__ import annotations

from collections.abc import Iterator

from protocols.amm.curve_stableswap.invariant import classic_terms
from tests.vectors.curve_stableswap import Names, check_cases
from tests.vectors.outcome import Document, Outcome

CLASSIC = Names(
    lambda before: classic_terms(int(before["fee"]), int(before["admin_fee"])),
    lambda pool: {"admin_fee": str(pool.terms.admin_fee)},
    "initial_A",
    "future_A",
    "A_view",
    "balances",
    "rates",
    "get_virtual_price",
)


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    return check_cases(document, CLASSIC)
