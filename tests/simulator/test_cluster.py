"""Work on a Dask cluster, of real processes on 127.0.0.1: the same results, whatever becomes of a worker."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client

import simulator.cluster as module
from chain.errors import ClusterError, InputError, UnsupportedError
from protocols import registry
from simulator.cluster import connected
from simulator.estimate import command
from simulator.estimate.run import BadDebt, distribution
from simulator.estimate.sampling import Experiment, Sampling
from simulator.estimate.statistics import Until
from simulator.scheduling import pool
from tests.simulator import plain
from tests.simulator.audit.test_audit import BONUS, LTV, small, sold_outside
from tests.simulator.cluster_work import BOOK, Counted, Slow, end, refuse, sleep_and_tell, twice
from tests.simulator.command import ROOT, files, strict_json
from tests.simulator.estimate.test_estimate import said, series_file

SETTINGS = {"PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
PLAIN = {
    "NUMBA_CPU_NAME": "generic",
    "NPY_DISABLE_CPU_FEATURES": " ".join(np.show_config(mode="dicts")["SIMD Extensions"]["found"]),
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX,-AVX2,-FMA,-AVX512F",
}
"""What makes the compiler, NumPy and the C library do as on the least processor of its kind."""


@dataclass
class Processes:
    """A scheduler and its workers, each a process of its own with one thread."""

    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        deadline = time.monotonic() + 30.0
        while not (file := self.folder / "scheduler.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return str(strict_json(file.read_text())["address"])

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments, "--host", "127.0.0.1", "--no-dashboard"],
            cwd=self.folder,
            env=os.environ | SETTINGS | environment,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / f"{arguments[0]}-{len(self.started)}.log").open("wb"),
        )
        self.started.append(process)
        return process

    def start_worker(self, **environment: str) -> None:
        self.workers.append(self.start("worker", self.address, "--nthreads", "1", "--no-nanny", **environment))

    def kill_worker(self, number: int) -> None:
        """As the kernel does for want of memory."""
        os.kill(self.workers[number].pid, signal.SIGKILL)
        self.workers.pop(number).wait(10.0)


@contextmanager
def processes(folder: Path, workers: int) -> Iterator[Processes]:
    found = Processes(folder)
    try:
        found.start("scheduler", "--port", "0", "--scheduler-file", str(folder / "scheduler.json"))
        for _ in range(workers):
            found.start_worker()
        with Client(found.address, set_as_default=False, timeout=30) as client:
            if workers:
                client.wait_for_workers(workers, timeout=30)
        yield found
    finally:
        for process in found.started:
            process.kill()
            process.wait(10.0)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with processes(tmp_path_factory.mktemp("cluster"), 2) as found:
        yield found


def same(one: BadDebt, other: BadDebt) -> bool:
    return (
        one.losses_usd.tobytes() == other.losses_usd.tobytes()
        and one.weights.tobytes() == other.weights.tobytes()
        and (one.met, dict(one.facts)) == (other.met, dict(other.facts))
    )


# --- the law ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["independent", "antithetic", "sobol", "importance"])
def test_a_cluster_gives_the_same_bytes_as_this_machine(cluster: Processes, sampling: Sampling) -> None:
    def run(**where: Any) -> BadDebt:
        asked = Experiment(BOOK.model(2), 2**14, 5, sampling)
        return distribution(asked, BOOK.losses, ("lost",), until=Until(0.95, 0.02), **where)

    here, there = run(workers=2), run(scheduler=cluster.address)
    assert (here.losses_usd > 0).any()
    assert same(here, there)


def test_a_worker_that_is_killed_half_way_changes_nothing_but_the_time(tmp_path: Path) -> None:
    seen: list[int] = []
    asked = Experiment(BOOK.model(), 8_000)
    with processes(tmp_path, 2) as cluster:

        def watch(done: int, total: int) -> None:
            seen.append(done)
            if len(seen) == 3:
                cluster.kill_worker(0)
            if len(seen) == 5:
                cluster.start_worker()

        hurt = distribution(asked, Slow(0.1), ("lost",), scheduler=cluster.address, progress=watch)
    assert seen == sorted(seen)
    assert (len(seen) > 30, seen[-1]) == (True, 8_000)
    assert same(hurt, distribution(asked, BOOK.losses, ("lost",)))


def test_on_another_type_of_processor_figures_are_within_1e_9_and_a_note_names_both(tmp_path: Path) -> None:
    asked = Experiment(BOOK.model(4), 3_000)
    with processes(tmp_path, 0) as cluster:
        cluster.start_worker(**PLAIN)
        there = distribution(asked, BOOK.losses, ("lost",), scheduler=cluster.address)
    here = distribution(asked, BOOK.losses, ("lost",))
    assert there.losses_usd == pytest.approx(here.losses_usd, rel=1e-9, abs=1e-9 * here.losses_usd.max())
    assert (here.losses_usd > 0.0).any()
    assert set(there.facts["processors"]) == {"generic", *here.facts["processors"]}
    one, two = (command.notes(replace(each, facts={**each.facts, "liquidations": False})) for each in (here, there))
    assert (len(two), "generic" in two[-1]) == (len(one) + 1, True)


def test_what_items_share_is_unpickled_once_by_a_worker_and_forgotten_when_the_client_is_gone(
    cluster: Processes, tmp_path: Path
) -> None:
    counted = Counted(tmp_path / "where")
    with pool(scheduler=cluster.address) as doers:
        for _ in range(2):
            found = dict(doers.map(sleep_and_tell, range(40), counted))
            assert sorted(found) == list(range(40))
            assert set(found.values()) == {worker.pid for worker in cluster.workers}
    assert sorted(map(int, counted.path.read_text().split())) == sorted(worker.pid for worker in cluster.workers)
    with Client(cluster.address, set_as_default=False) as client:
        deadline = time.monotonic() + 10.0
        while any(any(name.startswith("unwind-") for name in names) for names in client.run(held).values()):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize("liquidations", [False, True])
def test_an_audit_gives_the_same_bytes_and_goes_on_here_where_it_was_interrupted_there(
    cluster: Processes, tmp_path: Path, liquidations: bool
) -> None:
    values: dict[str, object] = {LTV: "0.6:0.75:0.05", **({"oracles.delay_s": "0,3600"} if liquidations else {})}
    how: dict[str, Any] = {"liquidations": liquidations, "like": sold_outside() if liquidations else None}
    small(values, 64, out=tmp_path / "here", workers=2, **how)
    small(values, 64, out=tmp_path / "there", scheduler=cluster.address, **how)
    assert files(tmp_path / "there") == files(tmp_path / "here")

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(values, 64, out=tmp_path / "both", scheduler=cluster.address, progress=stop, **how)
    assert len(files(tmp_path / "both.unfinished")) == 1 + 3
    small(values, 64, out=tmp_path / "both", **how)
    assert files(tmp_path / "both") == files(tmp_path / "here")


def test_a_worker_that_is_killed_during_an_audit_changes_nothing_but_the_time(tmp_path: Path) -> None:
    values: dict[str, object] = {LTV: "0.5:0.79:0.01", BONUS: "1.04,1.06"}
    seen: list[tuple[int, int]] = []
    with processes(tmp_path, 2) as cluster:

        def watch(done: int, total: int) -> None:
            seen.append((done, total))
            if done == 4:
                cluster.kill_worker(0)

        hurt = small(values, 128, responses=["static"], scheduler=cluster.address, progress=watch)
    assert seen == [(done, 61) for done in range(1, 62)]
    assert hurt.digest == small(values, 128, responses=["static"]).digest


def test_every_parameter_can_be_sent() -> None:
    for protocol in registry.names("lending"):
        parameters = registry.parameters(protocol)
        assert len(pickle.loads(pickle.dumps(parameters))) == len(parameters)


def held(dask_worker: Any) -> list[str]:
    return list(dask_worker.plugins)


def test_quick_items_go_out_many_at_a_time(cluster: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(cluster.address) as doers:
        sent: list[Any] = []
        submit = doers.client.submit

        def counted(*work: Any, **how: Any) -> Any:
            sent.append(work)
            return submit(*work, **how)

        monkeypatch.setattr(doers.client, "submit", counted)
        assert sorted(doers.map(twice, range(5_000), None)) == [(item, 2 * item) for item in range(5_000)]
    assert 1 < len(sent) < 50


# --- what can go wrong --------------------------------------------------------------------------------------------


def test_an_error_of_the_work_is_raised_as_it_was(cluster: Processes) -> None:
    with pool(scheduler=cluster.address) as doers:
        with pytest.raises(UnsupportedError, match="is not modelled"):
            list(doers.map(refuse, range(10), None))
        assert list(doers.map(twice, [4], None)) == [(0, 8)]


def test_what_cannot_be_sent_is_refused_before_it_is(cluster: Processes) -> None:
    with pytest.raises(InputError, match="cannot be sent to a cluster"):
        distribution(
            Experiment(BOOK.model(), 5_000), lambda prices: prices[:, 0, :1], ("lost",), scheduler=cluster.address
        )


def test_a_worker_with_other_software_is_refused_by_name(cluster: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    own = module.software()
    monkeypatch.setattr(module, "software", lambda: own | {"numpy": "1.0", "Python": "3.0"})
    with pool(scheduler=cluster.address) as doers, pytest.raises(ClusterError) as refused:
        list(doers.map(twice, [1], None))
    assert f"numpy {np.__version__}, not 1.0" in str(refused.value)
    assert "worker tcp://127.0.0.1:" in str(refused.value)
    monkeypatch.setattr(module, "software", lambda: own | {"distributed": "1.0"})
    with pytest.raises(ClusterError, match=r"scheduler at .* has distributed .*, and this machine 1\.0"):
        list(pool(scheduler=cluster.address).__enter__().map(twice, [1], None))


def test_a_cluster_without_workers_is_refused_and_one_that_loses_them_all_or_its_scheduler_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CONNECT_S", 1.0)
    monkeypatch.setattr(module, "PATIENCE_S", 1.0)
    with processes(tmp_path, 0) as cluster:
        with pytest.raises(ClusterError, match=r"has no workers; start some with `dask worker tcp://127"):
            pool(scheduler=cluster.address).__enter__()
        monkeypatch.setattr(module, "_CONNECT_S", 10.0)
        cluster.start_worker()
        cluster.start_worker()
        with connected(cluster.address) as doers:
            doers.client.wait_for_workers(2, timeout=30)
            with pytest.raises(ClusterError, match="died again and again over the same work"):
                list(doers.map(end, [1], None))
            cluster.start_worker()
            doers.client.wait_for_workers(1, timeout=30)
            work = doers.map(sleep_and_tell, range(100), None)
            next(work)
            cluster.kill_worker(2)
            with pytest.raises(ClusterError, match=r"no worker that works for 1 s \(there: none"):
                list(work)
            cluster.start_worker()
            doers.client.wait_for_workers(1, timeout=30)
            work = doers.map(sleep_and_tell, range(100), None)
            next(work)
            os.kill(cluster.started[0].pid, signal.SIGKILL)
            with pytest.raises(ClusterError, match=r"the scheduler at tcp://127.* is gone"):
                list(work)


def test_workers_of_both_kinds_are_one_too_many() -> None:
    with pytest.raises(InputError, match="leave the number out"):
        pool(2, "tcp://127.0.0.1:1").__enter__()


def test_the_command_runs_on_a_cluster_and_says_in_one_line_that_there_is_none(
    cluster: Processes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.aave({"a": (1_400_000.0, 1_000_000.0), "b": (90_000.0, 70_000.0)}, bonus=1.05).write(tmp_path / "book")
    series_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    audited = (
        "audit",
        "book",
        "--baseline",
        "--series",
        "prices.csv",
        "--follow",
        "OWED=USD",
        "--without-liquidations",
    )
    audited_cell = (*audited, "--paths", "64", "--set", f"{LTV}=0.7", "--json")
    here, there = (said(capsys, monkeypatch, *audited_cell, *to) for to in ((), ("--scheduler", cluster.address)))
    assert there == here
    assert here[0] == 0
    options = ("stress", "book", "--paths", "512", "--series", "prices.csv", "--model", "gbm", "--follow", "OWED=USD")
    for how in (("--haircut", "0.01"), ("--without-liquidations",)):
        here = said(capsys, monkeypatch, *options, *how, "--json")
        there = said(capsys, monkeypatch, *options, *how, "--json", "--scheduler", cluster.address)
        assert (there[0], there[2]) == (0, "")
        assert strict_json(there[1]) == strict_json(here[1])
    monkeypatch.setattr(module, "_CONNECT_S", 0.5)
    for wrong, message in [
        ("tcp://127.0.0.1:1", "unwind: no Dask scheduler answers at tcp://127.0.0.1:1 "),
        ("127.0.0.1", "unwind: 127.0.0.1 is no address of a Dask scheduler; write it as tcp://HOST:PORT"),
    ]:
        code, out, errors = said(capsys, monkeypatch, *options, *how, "--scheduler", wrong)
        assert (code, out) == (2, "")
        assert errors.startswith(message)
        assert errors.count("\n") == 1
        nowhere = ("--scheduler", wrong, "--out", "result")
        assert said(capsys, monkeypatch, *audited_cell, *nowhere) == (2, "", errors)
        assert not list(tmp_path.glob("result*"))
