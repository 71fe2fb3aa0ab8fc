"""The command `unwind`. Every command is one verb of `unwind`, in `simulator.commands`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from chain.errors import UnwindError
from simulator.commands.bench import bench
from simulator.commands.contents import graph, info, oracles, scenarios
from simulator.commands.parameters import audit, onboard
from simulator.commands.runs import attribute, replay, report, verify
from simulator.commands.scans import sweep, wall
from simulator.commands.snapshots import import_, snapshot
from simulator.commands.stress import stress

app = typer.Typer(
    help="Liquidation cascades and bad debt across on-chain lending protocols.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# in the order in which the help lists them
for command in (scenarios, info, oracles, import_, snapshot, graph, replay, stress, audit, onboard, report, attribute,
                verify, sweep, wall, bench):  # fmt: skip
    app.command(command.__name__.rstrip("_"))(command)


def main() -> None:
    """Run the command line; exit status 2 for bad input, with one message and no traceback."""
    try:
        app()
    except UnwindError as error:
        print(f"unwind: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("unwind: interrupted", file=sys.stderr)
        sys.exit(130)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"unwind {version('unwind-defi')}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass
