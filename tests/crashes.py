"""Crashes on local chains, whose accounts are small: on a dear day nobody would mind the least of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chain.snapshot import Snapshot
from simulator.run import Run, simulate
from simulator.scenario import Liquidators
from simulator.stress import shock_scenario

CHEAP_GAS_USD = 0.1


def crash(snapshot: Snapshot, shocks: Sequence[str], **options: Any) -> Run:
    """The run of a shock, as `simulator.stress` makes it, with cheap gas."""
    cheap = {"liquidators": Liquidators(gas_usd=CHEAP_GAS_USD)}
    return simulate(snapshot, shock_scenario(shocks, **options).model_copy(update=cheap))
