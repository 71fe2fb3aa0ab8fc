"""Historical crashes, and other scenarios, on a snapshot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from chain.errors import InputError
from simulator.scenario import Scenario, load_scenario, shipped_folder

if TYPE_CHECKING:
    from chain.snapshot import Snapshot
    from simulator.run import Run


def replay(
    scenario: Scenario | str,
    snapshot: Snapshot | Path | str | None = None,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Run a scenario on a snapshot.

    Parameters
    ----------
    scenario
        Itself, the name of a shipped one, or a TOML file.
    snapshot
        Itself, or its folder; the shipped one that the scenario names if absent.
    workers, progress
        As `simulator.run.simulate` takes them.

    Raises
    ------
    InputError
        If the scenario or the snapshot is not as it should be, or there is no snapshot.
    """
    from simulator.run import simulate

    loaded = load_scenario(scenario) if isinstance(scenario, str) else scenario
    return simulate(snapshot_of(loaded, snapshot), loaded, workers=workers, progress=progress)


def snapshot_of(scenario: Scenario, snapshot: Snapshot | Path | str | None) -> Snapshot:
    """The snapshot that is given, read from its folder where a folder is given, or else the shipped one that the
    scenario names; raises InputError where there is none."""
    from simulator.book import opened

    if snapshot is None:
        if scenario.snapshot is None:
            raise InputError(f"scenario {scenario.name} comes with no snapshot; give one with --snapshot DIR")
        snapshot = shipped_folder() / "snapshots" / scenario.snapshot
    return opened(snapshot)
