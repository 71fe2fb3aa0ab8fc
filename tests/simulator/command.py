"""The command `unwind`, started as a user starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = Path(sys.executable).with_name("unwind")
PYTHON = [sys.executable]
_START = [str(_SCRIPT)] if _SCRIPT.exists() else [*PYTHON, "-c", "from simulator.cli import main; main()"]


def unwind(
    *arguments: str | Path, folder: Path, start: list[str] = _START, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder and wait for it."""
    return subprocess.run(
        [*start, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def strict_json(text: str) -> Any:
    """The value of a JSON text, which knows no NaN and no infinity."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def files(folder: Path) -> dict[str, bytes]:
    """Everything that lies in a folder, hidden files included."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }
