"""The command `unwind bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from simulator.commands.options import AsJson
from simulator.commands.printing import print_json, print_table, progress_bars


def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: answers are compared, targets not judged.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """How fast this machine does what must be fast, as ratios, each once the answers agree."""
    from dataclasses import asdict

    from simulator.bench import measure

    with progress_bars() as part:
        lines = [asdict(line) for line in measure(quick=quick, progress=part("benchmarks"))]
    if as_json:
        print_json(lines)
        return
    said = {True: "yes", False: "no", None: ""}
    print_table("speed on this machine", [line | {"met": said[line["met"]]} for line in lines])
