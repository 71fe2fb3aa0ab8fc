"""Unwind for Python users: the verbs of the command line, one call each.

>>> import unwind
>>> scenario = unwind.load_scenario("2024-08-05")
>>> scenario.steps
240
"""

from __future__ import annotations

from chain.errors import ClusterError, InputError, NodeError, ReorgError, UnsupportedError, UnwindError
from chain.snapshot import Snapshot
from protocols.lending.aave_v3.importer import import_positions
from protocols.snapshot import snapshot
from simulator.audit.run import Audit, audit, read_audit
from simulator.book import read as read_snapshot
from simulator.estimate.reverse import Reverse, reverse_stress
from simulator.estimate.run import BadDebt, estimate
from simulator.graph.exposure import ExposureGraph
from simulator.measures.attribution import Attribution, attribute
from simulator.onboarding.propose import Onboarding, onboard
from simulator.replay import replay
from simulator.report import write_report
from simulator.run import Run, read_run, simulate
from simulator.scans.sweep import Sweep
from simulator.scans.vectors import sweep
from simulator.scans.wall import Wall, wall
from simulator.scenario import Scenario, load_scenario, shipped_scenarios
from simulator.stress import stress
from simulator.verify import verify

__all__ = [
    "Attribution", "Audit", "BadDebt", "ClusterError", "ExposureGraph", "InputError", "NodeError", "Onboarding",
    "ReorgError", "Reverse", "Run", "Scenario", "Snapshot", "Sweep", "UnsupportedError", "UnwindError", "Wall",
    "attribute", "audit", "estimate", "import_positions", "load_scenario", "onboard", "read_audit", "read_run",
    "read_snapshot", "replay", "reverse_stress", "shipped_scenarios", "simulate", "snapshot", "stress", "sweep",
    "verify", "wall", "write_report",
]  # fmt: skip
