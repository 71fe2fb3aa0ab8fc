"""What theory says against a combination of parameters, before any path is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from protocols.lending.interface import Exposures
from simulator.audit.room import Room
from simulator.book import Book


def warnings(before: Book, after: Book, room: Sequence[Room]) -> list[dict[str, Any]]:
    """Warnings about a cell, each once for a reserve; columns market, token, warning.

    Parameters
    ----------
    before, after
        The books with the snapshot's and with the cell's parameters.
    room
        Of each market, in the cell.
    """
    rows = []
    for number, (was, market) in enumerate(zip(before.markets, after.markets, strict=True)):
        found = [*_positions(was.exposures(), market.exposures()), *_caps(room[number])]
        rows += [
            {"market": market.name, "token": market.tokens[reserve], "warning": text}
            for reserve, text in dict.fromkeys(found)
        ]
    return rows


def _positions(before: Exposures, after: Exposures) -> Iterator[tuple[int, str]]:
    counts = after.threshold > 0
    terms = np.stack([after.reserve, after.ltv, after.threshold, after.bonus, before.ltv, before.threshold], axis=1)
    for reserve, ltv, threshold, bonus, old_ltv, old_threshold in np.unique(terms[counts], axis=0):
        if threshold * bonus >= 1.0 - 1e-12:
            # Warmuz, Chaudhary and Pinna 2022, arXiv 2212.07306: above 1 / bonus every liquidation raises the LTV
            toxic = f"threshold {threshold:.4g} times bonus {bonus:.4g} is {threshold * bonus:.4g}, 1 or more"
            yield int(reserve), f"{toxic}: liquidations raise an account's LTV and leave bad debt (toxic)"
        if ltv > threshold:
            text = f"maximum LTV {ltv:.4g} is above the liquidation threshold {threshold:.4g}"
            yield int(reserve), f"{text}: who borrows all that is allowed is liquidated at once"
        elif ltv == threshold and old_ltv < old_threshold:
            text = f"maximum LTV and liquidation threshold are both {ltv:.4g}"
            yield int(reserve), f"{text}: nothing lies between the largest loan and its liquidation"


def _caps(room: Room) -> Iterator[tuple[int, str]]:
    for what, cap, there in (("supply", room.supply_cap, room.supplied), ("borrow", room.borrow_cap, room.borrowed)):
        for reserve in np.flatnonzero(there > cap):
            yield int(reserve), f"{what} cap {cap[reserve]:,.6g} is below the {there[reserve]:,.6g} that are there"
