"""Who does the work: threads of this machine, or the workers of a Dask cluster.

Work is a list of items that do not depend on one another, and one function of what they share and an item. Where and in
which order items are done changes no result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Protocol, TypeVar

from chain.errors import InputError
from protocols import compiled

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
    """Threads of this process, as many as there are processors if not said; raises InputError if there are none."""

    threads: int = os.cpu_count() or 1

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


@contextmanager
def pool(workers: int | None = None, scheduler: str | None = None) -> Iterator[Pool]:
    """Those who do the work while the context lasts.

    Parameters
    ----------
    workers
        Threads of this process; as many as there are processors if absent.
    scheduler
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, whose workers do it instead.

    Raises
    ------
    InputError
        If there are no threads, or both are given, or Dask is not installed.
    ClusterError
        If no scheduler answers there, or it has no workers.
    """
    if scheduler is None:
        yield here(workers)
        return
    if workers is not None:
        raise InputError("the workers of a cluster are those that it has; leave the number out")
    try:
        from simulator.cluster import connected
    except ModuleNotFoundError as error:
        if error.name not in ("dask", "distributed"):
            raise
        raise InputError("work is spread over machines by Dask: pip install 'unwind-defi[cluster]'") from None
    with connected(scheduler) as cluster:
        yield cluster


def here(workers: int | None = None) -> Threads:
    """So many threads of this process, or as many as there are processors; raises InputError if there are none."""
    return Threads() if workers is None else Threads(workers)


def in_order(results: Iterable[tuple[int, Result]]) -> list[Result]:
    """The results of a `Pool.map`, each in its item's place."""
    return [result for _, result in sorted(results, key=itemgetter(0))]


@cache
def processor() -> str:
    """The type of processor that loops are compiled for, as LLVM calls it, such as ``znver3``."""
    from llvmlite.binding import get_host_cpu_name

    return str(compiled.numba().config.CPU_NAME or get_host_cpu_name())
