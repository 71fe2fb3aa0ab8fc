"""Compiled rules: what is cached is never older than its source."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent.parent / "protocols"
RULE = """from protocols.arithmetic import percent_mul, rule

@rule
def fee(amount):
    return percent_mul(amount, {bps})
"""
LOOP = """from protocols.compiled import fast
from protocols.toy_rule import fee

def total(count):
    paid = 0.0
    for amount in range(count):
        paid += fee(amount)
    return paid

if __name__ == "__main__":
    compiled = fast(total)
    print(compiled(101), sum(compiled.stats.cache_hits.values()))
"""


def run(root: Path, environment: dict[str, str]) -> tuple[float, int]:
    """The loop's result, and how often its machine code came out of the cache."""
    clean = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    answer = subprocess.run(
        [sys.executable, "-m", "protocols.toy_loop"],
        cwd=root,
        env=clean | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    result, hits = answer.stdout.split()
    return float(result), int(hits)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A copy of the packages with a rule in one file and a compiled loop in another."""
    (tmp_path / "protocols").mkdir()
    for name in ("__init__.py", "arithmetic.py", "compiled.py"):
        shutil.copy(PACKAGE / name, tmp_path / "protocols")
    (tmp_path / "protocols" / "toy_rule.py").write_text(RULE.format(bps=1_000))
    (tmp_path / "protocols" / "toy_loop.py").write_text(LOOP)
    return tmp_path


@pytest.mark.parametrize("chosen", ["XDG_CACHE_HOME", "NUMBA_CACHE_DIR"])
def test_an_edited_rule_is_not_served_from_a_stale_cache(packages: Path, chosen: str) -> None:
    environment = {chosen: str(packages / "cache"), "HOME": str(packages)}
    assert run(packages, environment) == (505.0, 0)
    assert run(packages, environment) == (505.0, 1)
    (packages / "protocols" / "toy_rule.py").write_text(RULE.format(bps=2_000))
    assert run(packages, environment) == (1010.0, 0)


def test_without_a_writable_cache_it_still_compiles(packages: Path) -> None:
    (packages / "a file").touch()
    nowhere = str(packages / "a file" / "below")
    assert run(packages, {"XDG_CACHE_HOME": nowhere, "HOME": nowhere})[0] == 505.0
