"""The command `unwind`: called in this process, or started as a user starts it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NoReturn
from unittest.mock import patch

from simulator.cli import main

ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = Path(sys.executable).with_name("unwind")
PYTHON = [sys.executable]
_START = [str(_SCRIPT)] if _SCRIPT.exists() else [*PYTHON, "-c", "from simulator.cli import main; main()"]


def unwind(*arguments: str | Path, folder: Path) -> CompletedProcess[str]:
    """Run a command in a folder, in this process: what a process would print, and the status that it would end with.

    `tests.simulator.test_cli` holds this to :func:`program`, which takes a second more to import what it needs.
    """
    line, pytest_s = ["unwind", *map(str, arguments)], sys.modules["__main__"]
    buffers = [io.BytesIO(), io.BytesIO()]
    out, err = (io.TextIOWrapper(buffer, "utf-8", write_through=True) for buffer in buffers)
    status: Any = 0
    with (
        chdir(folder),
        patch.object(sys, "argv", line),
        patch.object(pytest_s, "__package__", None),  # or the usage would be that of `python -m pytest.unwind`
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            status = ended.code or 0
    said, complained = (buffer.getvalue().decode() for buffer in buffers)
    return CompletedProcess(line, status, said, complained)


def program(
    *arguments: str | Path, folder: Path, start: list[str] = _START, **environment: str
) -> CompletedProcess[str]:
    """Run a command in a folder, in a process of its own, and wait for it."""
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
