"""What is written of contagion in a scenario is what the documentation shows."""

from __future__ import annotations

import textwrap
import tomllib
from pathlib import Path

from simulator.losses.shocks import Contagion

ROOT = Path(__file__).resolve().parents[3]


def test_the_example_in_the_documentation_is_a_scenario_of_every_kind_of_shock() -> None:
    text = (ROOT / "simulator" / "README.md").read_text("utf-8")
    begin = text.index("    [contagion]\n")
    block = textwrap.dedent(text[begin : text.index("\nA depeg", begin)])
    shown = Contagion.model_validate(tomllib.loads(block)["contagion"])
    for kind in ("write_downs", "mints", "freezes", "cushions", "runs"):
        assert len(getattr(shown, kind)) == 1
    assert shown.spreads
