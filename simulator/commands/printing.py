"""What commands print: tables, trees and JSON on the output, progress on the terminal."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from simulator.summary import Line

_WIDE = 200
"""Characters of a line where there is no terminal: no figure is broken."""


def print_json(value: Any) -> None:
    """Print a JSON value."""
    print(json.dumps(value, indent=2))


def print_table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows under their title; the columns are those of the first."""
    from rich.table import Table

    if not rows:
        print(f"{title}: none")
        return
    table = Table(title=title, title_justify="left")
    for name, example in rows[0].items():
        justify: Literal["left", "right"] = "right" if isinstance(example, int | float) else "left"
        table.add_column(name.replace("_", " "), justify=justify, no_wrap=str(example).startswith("0x"))
    for row in rows:
        table.add_row(*(_number(v) if isinstance(v, int | float) else str(v or "") for v in row.values()))
    _console().print(table)


def print_lines(title: str, lines: Sequence[Line]) -> None:
    """Print a summary under its title."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for line in lines:
        table.add_row(line.what, f"{_number(line.value)} {line.unit}", line.note)
    _console().print(table)


def print_feed(row: dict[str, Any]) -> None:
    """Print a row of `simulator.oracles.listing.feeds` as the tree of what the price is made of."""
    from rich.tree import Tree

    from simulator.oracles.listing import lines

    facts = [f"{row['market']}  {row['token']}  {row['price']:.10g} {row['quote']}"]
    facts += [] if row["age_s"] is None else [f"answered {row['age_s']:,} s before the block"]
    facts += [] if row["gap"] is None else [f"{row['gap']:+.2%} from the market's {row['market_usd']:.6g} USD"]
    tree = Tree("; ".join(facts))

    def add(branch: Tree, part: dict[str, Any]) -> None:
        first, *more = lines(part)
        below = branch.add("\n".join([first, *(f"  {line}" for line in more)]))
        for child in part["children"]:
            add(below, child)

    if row["tree"] is None:
        tree.add("what it is made of was not looked into; it is taken for a feed that follows the market")
    else:
        add(tree, row["tree"])
    _console().print(tree)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON values; a number that is none (no price, no limit) is null."""
    return [
        {str(k): None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in frame.to_dict("records")
    ]


def _console() -> Console:
    """The terminal, or where there is none a width at which no figure is broken."""
    from rich.console import Console

    # symbols come from chains and may look like markup
    return Console(width=None if sys.stdout.isatty() else _WIDE, markup=False, highlight=False)


def _number(value: float) -> str:
    if isinstance(value, int) or (abs(value) >= 1000 and value == round(value)):
        return f"{value:,.0f}"
    return f"{value:,.4f}" if abs(value) < 10 else f"{value:,.2f}"


@contextmanager
def progress_bars() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Progress bars on the terminal, one for each part of the work; silent where there is nobody to see them."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:

        def part(what: str) -> Callable[[int, int], None]:
            task = bars.add_task(what, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield part
