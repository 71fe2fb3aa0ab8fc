"""The workers of a Dask cluster (`dask.distributed`), as those who do the work.

What all items share is pickled once and sent once to every worker, and to each that joins later, as a worker plugin:
unlike data of the cluster, which is lost with the last worker that holds it, the scheduler keeps it. A worker unpickles
it once, whatever number of threads it has. Items go out a few at a time, so that a task takes a good deal longer than
the scheduler takes to hand it out.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import logging
import math
import pickle
import platform
import re
import time
import warnings
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from distributed import CancelledError, Client, Future, KilledWorker, SchedulerPlugin, WorkerPlugin, get_worker, wait
from distributed.versions import VersionMismatchWarning

from chain.errors import ClusterError, InputError, UnwindError
from protocols import compiled
from simulator.scheduling import Item, Result, Shared

TASK_S = 0.2
"""Seconds that a task should take at least: the scheduler needs some 2 ms for each."""
PATIENCE_S = 60.0
"""Seconds that a cluster may be without a worker that works, as while new ones start."""
_ADDRESS = re.compile(r"(tcp|tls)://\S+:\d+")
_CONNECT_S = 10.0
_LOOK_S = 1.0
"""Between looks at who is there."""


@dataclass
class Cluster:
    """A connection to a scheduler; see `connected`."""

    client: Client
    address: str
    _sent: set[str] = field(default_factory=set)

    @property
    def threads(self) -> int:
        """Items that are done at once, of those workers that are there now."""
        there: dict[str, int] = self.client.nthreads()
        return max(1, sum(there.values()))

    def map(
        self, function: Callable[[Shared, Item], Result], items: Sequence[Item], shared: Shared
    ) -> Iterator[tuple[int, Result]]:
        """Each item's place and result, as they get done; see `scheduling.Pool`.

        Raises
        ------
        ClusterError
            If the scheduler or all workers are gone, or have other software than this machine.
        InputError
            If `function` or `shared` cannot be sent.
        """
        if not items:
            return
        with self._reached():
            name, ahead = self._send(function, shared), 2 * self.threads
        left = deque(enumerate(items))
        running: set[Future[Any]] = set()
        seconds = TASK_S
        try:
            while left or running:
                with self._reached():
                    while left and len(running) < ahead:
                        several = min(len(left), max(1, math.ceil(TASK_S / max(seconds, 1e-6))))
                        batch = [left.popleft() for _ in range(several)]
                        # that it is no pure function gives each task a name of its own
                        running.add(self.client.submit(_do, name, batch, pure=False))
                    finished = self._some(running)
                for done in finished:
                    if (answer := self._answer(done)) is not None:
                        running.remove(done)
                        seconds, results = answer
                        yield from results
                if left:
                    with self._reached():
                        ahead = 2 * self.threads
        finally:
            self.client.cancel(list(running))

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Raises ClusterError for what the client raises if nobody answers any more."""
        try:
            yield
        except (CancelledError, OSError):
            raise self._gone() from None

    def _gone(self) -> ClusterError:
        return ClusterError(f"the scheduler at {self.address} is gone; start it and its workers again")

    def _answer(self, done: Future[Any]) -> tuple[float, list[tuple[int, Any]]] | None:
        """What `_do` gave; nothing if it was lost with its worker, and is being done again."""
        try:
            answer: tuple[float, list[tuple[int, Any]]] = done.result(timeout=PATIENCE_S)
            return answer
        except KilledWorker as error:
            raise ClusterError(
                f"workers of {self.address} died again and again over the same work ({error}); their logs say of what, "
                "which mostly is a lack of memory: give them more, or fewer threads"
            ) from None
        except CancelledError:
            raise self._gone() from None
        except TimeoutError:
            if done.status == "error":
                raise
            return None

    def _some(self, running: set[Future[Any]]) -> set[Future[Any]]:
        """Those that are done, once there are any; raises ClusterError if nobody is there to do them."""
        last_seen = time.monotonic()
        while True:
            try:
                with self.client.as_current():
                    return set(wait(running, timeout=_LOOK_S, return_when="FIRST_COMPLETED").done)
            except TimeoutError:
                there = [each["status"] for each in self.client.scheduler_info()["workers"].values()]
            if "running" in there:
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > PATIENCE_S:
                raise ClusterError(
                    f"{self.address} has had no worker that works for {PATIENCE_S:g} s (there: "
                    f"{', '.join(there) or 'none'}; paused is short of memory); start more with `dask worker`"
                )

    def _send(self, function: Callable[..., Any], shared: object) -> str:
        """The name under which every worker has a function and its first argument."""
        try:
            content = pickle.dumps((function, shared), protocol=5)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InputError(
                f"this cannot be sent to a cluster: {error}; functions must be a module's own, and their data plain"
            ) from None
        name = f"{_prefix(self.client.id)}-{hashlib.sha256(content).hexdigest()[:16]}"
        if name not in self._sent:
            try:
                self.client.register_plugin(_Held(content, software()), name=name)
            except (UnwindError, OSError, CancelledError):
                raise
            except Exception as error:
                raise ClusterError(
                    f"a worker of {self.address} cannot take the work ({type(error).__name__}: {error}); "
                    "install the same version of unwind-defi[cluster] there as here"
                ) from None
            self._sent.add(name)
        return name


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """A cluster while the context lasts.

    Parameters
    ----------
    address
        Of its scheduler, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    InputError
        If the address is none.
    ClusterError
        If no scheduler answers, or one of another version, or it has no workers.
    """
    if not _ADDRESS.fullmatch(address):
        raise InputError(f"{address} is no address of a Dask scheduler; write it as tcp://HOST:PORT")
    with _quiet():
        try:
            client = Client(address, timeout=_CONNECT_S, set_as_default=False)
        except OSError as error:
            raise ClusterError(
                f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`, and give the "
                "address that it prints"
            ) from None
        try:
            here, there = software()["distributed"], client.get_versions()["scheduler"]["packages"]["distributed"]
            if here != there:
                raise ClusterError(f"the scheduler at {address} has distributed {there}, and this machine {here}")
            try:
                client.wait_for_workers(1, timeout=_CONNECT_S)
            except TimeoutError:
                raise ClusterError(
                    f"the scheduler at {address} has no workers; start some with `dask worker {address}`"
                ) from None
            client.register_plugin(_Forget(client.id), name=_prefix(client.id))
            yield Cluster(client, address)
        finally:
            client.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """What goes wrong is raised; Dask would print it as well, with tracebacks, and warn of versions."""
    log = logging.getLogger("distributed.client")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)
            yield
    finally:
        log.setLevel(level)


@cache
def software() -> dict[str, str]:
    """Versions of all that results depend on."""
    names = ("distributed", "numba", "numpy", "scipy")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"Unwind's sources": compiled.source_hash(), "Python": platform.python_version(), **found}


class _Held(WorkerPlugin):  # type: ignore[misc]
    """What a worker holds of one map: the function and what its items share."""

    def __init__(self, content: bytes, wanted: dict[str, str]) -> None:
        self.content, self.wanted = content, wanted
        self.work: tuple[Callable[..., Any], Any] | None = None
        self.refused: Exception | None = None

    def setup(self, worker: Any) -> None:
        """Unpickle it. A worker that joins later has its refusal raised by its first task, since Dask only logs it."""
        own = software()
        differs = [f"{name} {own[name]}, not {here}" for name, here in self.wanted.items() if own[name] != here]
        try:
            if differs:
                raise ClusterError(
                    f"worker {worker.address} has other software than this machine: {'; '.join(differs)}; results "
                    "could differ, so install the same there"
                )
            self.work = pickle.loads(self.content)
        except Exception as error:
            self.refused = error
            raise
        finally:
            self.content = b""


class _Forget(SchedulerPlugin):  # type: ignore[misc]
    """Takes what workers hold from them once its client is gone, however it went."""

    def __init__(self, client: str) -> None:
        self.client = client

    def remove_client(self, scheduler: Any, client: str) -> None:
        """Called by the scheduler when a client leaves."""
        if client != self.client:
            return
        scheduler.remove_plugin(_prefix(client))
        for name in [name for name in scheduler.worker_plugins if name.startswith(_prefix(client))]:
            del scheduler.worker_plugins[name]
            message = {"op": "plugin-remove", "name": name}
            _later(scheduler.broadcast(msg=message, on_error="ignore"))


_tasks: set[asyncio.Task[Any]] = set()


def _later(work: Coroutine[Any, Any, Any]) -> None:
    """Have it done soon; a task that nobody refers to may vanish before it is."""
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def _prefix(client: str) -> str:
    return f"unwind-{client}"


def _do(name: str, batch: list[tuple[int, Any]]) -> tuple[float, list[tuple[int, Any]]]:
    """Seconds an item, and the results of some items."""
    held = get_worker().plugins[name]
    if held.refused is not None:
        raise held.refused
    function, shared = held.work
    start = time.perf_counter()
    results = [(place, function(shared, item)) for place, item in batch]
    return (time.perf_counter() - start) / len(batch), results
