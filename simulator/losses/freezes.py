"""Which markets and reserves stand still."""

from __future__ import annotations

from simulator.book import Book
from simulator.losses.shocks import Contagion, Freeze
from simulator.losses.spread import reserve_of


class Freezes:
    """The freezes of a scenario.

    Parameters
    ----------
    book, rules
        What is run, and what the scenario says.
    where
        Name of the scenario, for errors.

    Raises
    ------
    InputError
        If a market or a reserve is not in the snapshot.
    """

    def __init__(self, book: Book, rules: Contagion, where: str) -> None:
        self._by_reserve: dict[tuple[int, int], list[Freeze]] = {}
        for freeze in rules.freezes:
            tokens = freeze.tokens or next((list(m.tokens) for m in book.markets if m.name == freeze.market), [""])
            for token in tokens:
                at = reserve_of(book, freeze.market, token, f"{where}: contagion.freezes")
                self._by_reserve.setdefault(at, []).append(freeze)

    def holds(self, market: int, reserve: int, elapsed_s: float) -> bool:
        """Whether a reserve stands still, so many seconds after the start."""
        return any(freeze.active(elapsed_s) for freeze in self._by_reserve.get((market, reserve), ()))
