"""Finished cells of an audit that is not finished: where an interrupted one goes on from.

They lie beside the folder of the result, which comes into being whole: ``DIR.unfinished`` holds ``audit.json``, what
the cells were made of, and a file a cell, named by a hash of that and of the cell's values.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chain.errors import InputError
from simulator.audit.evaluate import Rows
from simulator.audit.grid import Cell
from simulator.options import must_be_new

_SETTINGS = "audit.json"


class Store:
    """The folder of finished cells.

    Parameters
    ----------
    out
        The folder of the result.
    made_of
        What every cell depends on, besides its own values: JSON values, each with its name.

    Raises
    ------
    InputError
        If the result is there already, cells of another audit lie beside it, or nothing can be written there.
    """

    def __init__(self, out: Path, made_of: Mapping[str, Any]) -> None:
        must_be_new(out)
        self.folder = out.with_name(f"{out.name}.unfinished")
        self._made_of = json.dumps(made_of, sort_keys=True, indent=2)
        settings = self.folder / _SETTINGS
        try:
            if settings.exists():
                self._same_as(settings, made_of)
            else:
                self.folder.mkdir(parents=True, exist_ok=True)
                _write(settings, self._made_of)
        except OSError as error:
            raise InputError(f"cannot use {self.folder}: {error.strerror}") from None

    def _same_as(self, settings: Path, made_of: Mapping[str, Any]) -> None:
        try:
            begun = json.loads(settings.read_text(encoding="utf-8"))
        except ValueError:
            begun = {}
        other = [name for name in sorted({*begun, *made_of}) if begun.get(name) != made_of.get(name)]
        if other:
            raise InputError(
                f"{self.folder} holds an audit that was begun with another {', '.join(other)}; go on with what it was "
                "begun with, remove it, or choose another --out"
            )

    def _file(self, cell: Cell) -> Path:
        values = {key: str(raw) for key, raw in sorted(cell.raws.items())}
        name = hashlib.sha256(f"{self._made_of}\n{json.dumps(values)}".encode()).hexdigest()
        return self.folder / f"{name[:32]}.json"

    def read(self, cell: Cell) -> Rows | None:
        """The rows of a cell if it is finished; its number may have been another."""
        try:
            text = self._file(cell).read_text(encoding="utf-8")
            found: Rows = json.loads(text)
        except (FileNotFoundError, ValueError):
            return None
        return {table: [row | {"cell": cell.number} for row in rows] for table, rows in found.items()}

    def write(self, cell: Cell, rows: Rows) -> None:
        """Keep the rows of a cell, whole or not at all; raises InputError if that cannot be."""
        try:
            _write(self._file(cell), json.dumps(rows))
        except OSError as error:
            raise InputError(f"cannot write to {self.folder}: {error.strerror}") from None

    def remove(self) -> None:
        """Once the result is there."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
