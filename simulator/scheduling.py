"""Who does the work: threads of this machine, or the workers of a Dask cluster.

Work is a list of items that do not depend on one another, and one function of what they share and an item. Where and in
which order items are done changes no result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

from chain.errors import InputError

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool(Protocol):
    """Those who do the work.

    Attributes
    ----------
    threads
        Items that are done at once.
    """

    @property
    def threads(self) -> int: ...

    def map(
        self, function: Callable[[Shared, Item], Result], items: Sequence[Item], shared: Shared
    ) -> Iterator[tuple[int, Result]]:
        """Each item's place and result, as they get done.

        Parameters
        ----------
        function
            Called by several threads at once. On a cluster it must be known there by its name, as a function of one of
            the project's modules is.
        items
            On a cluster each is sent by itself, so they should be small.
        shared
            The first argument of every call, sent once.

        Raises
        ------
        Exception
            The first that `function` raises; what has not begun by then is left.
        """


@dataclass(frozen=True)
class Threads:
    """Threads of this process; raises InputError if there are none."""

    threads: int

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise InputError(f"the number of workers must be 1 or more, not {self.threads}")

    def map(
        self, function: Callable[[Shared, Item], Result], items: Sequence[Item], shared: Shared
    ) -> Iterator[tuple[int, Result]]:
        """Each item's place and result, as they get done; see `Pool`."""
        pool = ThreadPoolExecutor(self.threads)
        try:
            places = {pool.submit(function, shared, item): place for place, item in enumerate(items)}
            for done in as_completed(places):
                yield places.pop(done), done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def pool(workers: int | None = None) -> AbstractContextManager[Pool]:
    """Those who do the work while the context lasts.

    Parameters
    ----------
    workers
        Threads; as many as there are processors if absent.

    Raises
    ------
    InputError
        If there are none.
    """
    return nullcontext(Threads(os.cpu_count() or 1 if workers is None else workers))
