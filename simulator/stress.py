"""What-ifs: a shock to some prices, given on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chain.errors import InputError
from simulator.scenario import Scenario, load_scenario, scenario_from

if TYPE_CHECKING:
    from chain.snapshot import Snapshot
    from simulator.run import Run

LARGEST_MOVE = 1e9

_SHOCK = re.compile(r"(?P<tokens>[^=]+)=(?P<sign>[+-]?)(?P<size>\d+(\.\d+)?)%")


def parse_shock(text: str) -> tuple[list[str], float]:
    """Tokens and factor of a shock such as ``WETH=-40%`` or ``WETH,wstETH=-40%`` or ``CRV=+55%``.

    Raises
    ------
    InputError
        If it is not of that form, or would take a price to zero or below.
    """
    match = _SHOCK.fullmatch(text.strip())
    if match is None:
        raise InputError(f"--shock {text}: write TOKEN=-40% (several tokens with commas, a rise with +)")
    move = float(match["size"]) / 100.0 * (-1.0 if match["sign"] == "-" else 1.0)
    if move > LARGEST_MOVE:
        raise InputError(f"--shock {text}: a price cannot rise more than {LARGEST_MOVE:.0e} times")
    if move <= -1.0:
        raise InputError(f"--shock {text}: a price cannot fall by 100 % or more")
    tokens = [token.strip() for token in match["tokens"].split(",")]
    if not all(tokens):
        raise InputError(f"--shock {text}: a token's name is missing")
    return tokens, 1.0 + move


def shock_scenario(
    shocks: Sequence[str],
    *,
    over_s: float = 0.0,
    steps: int = 60,
    step_s: float = 60.0,
    like: str | None = None,
    haircut: float | None = None,
) -> Scenario:
    """The scenario of one or more shocks at the same time.

    Parameters
    ----------
    shocks
        As `parse_shock` takes them.
    over_s
        Seconds that prices take to get there; 0 for within the first step.
    steps, step_s
        Number and length (seconds) of steps.
    like
        Name or file of a scenario whose oracles, liquidators and venues are used; defaults otherwise.
    haircut
        If given, collateral is sold to an outside market at this loss instead of through pools.

    Raises
    ------
    InputError
        If a shock is malformed, or a token is shocked twice.
    """
    if not shocks:
        raise InputError("give at least one --shock, such as --shock WETH=-40%")
    arrival = max(over_s, step_s)
    paths = []
    for text in shocks:
        tokens, factor = parse_shock(text)
        paths.append({"tokens": tokens, "seconds": [0.0, arrival], "values": [1.0, factor]})
    content: dict[str, Any] = {"name": "shock " + " ".join(shocks), "steps": steps, "step_s": step_s, "prices": paths}
    base = behaviour(like, haircut)
    if base is not None:
        # what a scenario leaves open stays open
        given = base.model_dump(mode="json", exclude_unset=True)
        content |= {part: given[part] for part in ("oracles", "liquidators", "venues") if part in given}
    return scenario_from(content, "stress")


def behaviour(like: str | None, haircut: float | None) -> Scenario | None:
    """A scenario whose oracles, liquidators and venues are to be used; None for defaults. `shock_scenario` has the
    parameters, and raises."""
    if like is None and haircut is None:
        return None
    base = Scenario(name="defaults", step_s=60.0, steps=1) if like is None else load_scenario(like)
    if haircut is None:
        return base
    selling = base.liquidators.model_copy(update={"sell": "outside", "outside_haircut": haircut})
    return base.model_copy(update={"liquidators": selling})


def stress(
    snapshot: Snapshot | Path | str,
    shocks: Sequence[str],
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Run:
    """Run a shock on a snapshot.

    Parameters
    ----------
    snapshot
        A snapshot, or its folder.
    shocks, options
        As `shock_scenario` takes them.
    workers, progress
        As `simulator.run.simulate` takes them.

    Raises
    ------
    InputError
        If a shock or the snapshot is not as it should be.
    """
    from simulator.book import opened
    from simulator.run import simulate

    scenario = shock_scenario(shocks, **options)
    return simulate(opened(snapshot), scenario, workers=workers, progress=progress)
