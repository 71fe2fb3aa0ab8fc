"""Proposals as the command line asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulator.estimate.command import Asked
from simulator.onboarding.propose import Onboarding, onboard
from simulator.scenario import load_scenario

NOTE = "each proposal follows from its own rule and figures, on today's pools; none knows what else secures the market"


def run(
    snapshot: Path,
    token: str,
    debt: str,
    asked: Asked,
    *,
    like: str | None,
    **options: Any,
) -> Onboarding:
    """The proposal that the options of `unwind onboard` ask for; `options` as `propose.onboard` takes them.

    Raises
    ------
    InputError
        If an option is malformed, or the series or the snapshot is not as it should be.
    """
    return onboard(
        snapshot,
        token,
        debt,
        asked.fitted(),
        seed=asked.seed,
        follow=asked.followed,
        scenario=None if like is None else load_scenario(like),
        **options,
    )


def shown(found: Onboarding) -> list[dict[str, Any]]:
    """The proposals as a person reads them."""
    return [{name: row[name] for name in ("parameter", "value", "rule", "support")} for row in found.proposals]
