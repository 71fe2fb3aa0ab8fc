"""The table of ``protocols/README.md``: ``python -m tests.catalogue`` writes it anew from what the code says.

Cases are counted in the vector files. Of a file that holds several versions (MetaMorpho's), those of the version count.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

from protocols.catalogue import NONE, UNVERIFIED, Entry, catalogue
from tests.vectors.__main__ import load

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "protocols" / "README.md"
DATA = ROOT / "tests" / "vectors" / "data"
BEGIN, END = "<!-- table: python -m tests.catalogue -->", "<!-- end of the table -->"
_COLUMNS = ("protocol", "version", "reader, compared with", "rules", "compared with", "cases", "known limits")


@cache
def _cases(file: str) -> list[dict[str, Any]]:
    return list(load(DATA / f"{file}.json.gz")["cases"])


def count(entry: Entry) -> int:
    """Recorded cases that the rules of a version reproduce."""
    return sum(case.get("vault_version", entry.version) == entry.version for f in entry.recorded for case in _cases(f))


def table() -> str:
    """The table, in Markdown."""
    rows = [_row(folder, entry) for folder, entries in catalogue().items() for entry in entries]
    lines = [_COLUMNS, ("---",) * len(_COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _row(folder: str, entry: Entry) -> tuple[str, ...]:
    reader = f"[{entry.reader}](../tests/protocols/{entry.held_by}.py)" if entry.held_by else _plain(entry.reader)
    files = ", ".join(f"[{file}](../tests/vectors/data/{file}.json.gz)" for file in entry.recorded)
    rules = f"[{folder}]({folder})"
    return (
        entry.name,
        entry.version,
        reader,
        rules,
        files or _plain(UNVERIFIED),
        f"{count(entry):,}" if files else "",
        "; ".join(entry.limits),
    )


def _plain(reader: str) -> str:
    return reader if reader == NONE else f"**{reader}**"


def with_table(text: str) -> str:
    """A page with the table of now between its markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README} has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    README.write_text(with_table(README.read_text("utf-8")), "utf-8")
    print(f"{README.relative_to(ROOT)}: {sum(map(len, catalogue().values()))} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
