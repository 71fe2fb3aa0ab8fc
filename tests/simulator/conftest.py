"""The shipped crash, run once through the command line for every test that looks at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulator.command import unwind


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the run `one` of the shipped scenario, and what the command printed in `one.txt`."""
    folder = tmp_path_factory.mktemp("shipped")
    done = unwind("replay", "2024-08-05", "--out", "one", "--workers", "1", folder=folder, PYTHONHASHSEED="1")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (folder / "one.txt").write_text(done.stdout, encoding="utf-8")
    return folder
