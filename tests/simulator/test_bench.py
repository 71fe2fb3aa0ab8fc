"""A benchmark times only what agrees, and says what it did; how fast it was is no matter of tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chain.errors import UnwindError
from protocols import compiled
from simulator import bench
from simulator.paths import benchmark as paths
from simulator.paths import kernel
from simulator.scans.sweep import AtRisk, at_risk
from tests.simulator.command import strict_json, unwind


def test_json_is_a_list_of_results_of_one_form(tmp_path: Path) -> None:
    done = unwind("bench", "--quick", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = strict_json(done.stdout)
    fields = ["work", "sizes", "baseline_s", "seconds", "value", "target", "met"]
    assert [list(line) for line in lines] == [fields] * len(lines)
    works = " | ".join(line["work"] for line in lines)
    for work in ("scipy.sparse", "critical prices", "interpreted", "2 workers", "unwind --help"):
        assert work in works
    for line in lines:
        if line["baseline_s"] is not None:
            assert line["value"] == pytest.approx(line["baseline_s"] / line["seconds"])
        assert line["met"] is None, "small sizes are judged by no target"


def test_a_path_is_timed_on_a_book_that_is_liquidated() -> None:
    made = paths.deck(*bench.book(2_000), 60)
    found = paths.outcome(compiled.fast(kernel.run, **kernel.OPTIONS), paths.bad_day(bench.ASSETS, 60), made)
    assert len(made.pools.first) == paths.POOLS
    assert 1e4 < found[0, kernel.VOLUME * made.groups.size] < 1e8


def test_answers_that_differ_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_more(*arguments: object) -> AtRisk:
        found = at_risk(*arguments)  # type: ignore[arg-type]
        return found._replace(liquidatable=found.liquidatable + 1)

    monkeypatch.setattr(bench, "at_risk", one_more)
    with pytest.raises(UnwindError, match="the answers differ, so no time is given"):
        bench.measure(quick=True)


def test_products_of_sparse_matrices_give_what_the_sweep_gives() -> None:
    exposures, prices = bench.book(3_000)
    vectors = bench.price_vectors(prices, 20)
    bench._compare("both", at_risk(exposures, vectors), bench.by_products(exposures, vectors))


def test_the_book_is_as_it_is_said_to_be() -> None:
    exposures, prices = bench.book(20_000)
    assert len(exposures.reserve) / 20_000 == pytest.approx(3.5, abs=0.05)
    assert len(prices) == bench.ASSETS
    for account in range(200):
        held = exposures.reserve[exposures.offsets[account] : exposures.offsets[account + 1]]
        assert len(set(held.tolist())) == len(held)
    share = at_risk(exposures, bench.price_vectors(prices, 50)).liquidatable / 20_000
    assert at_risk(exposures, prices[None]).liquidatable.tolist() == [0]
    assert 0.0 < np.mean(share) < 0.2
