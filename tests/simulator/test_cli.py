"""The command as a user meets it: what it prints, what it leaves on disk, and what it says when something is wrong."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from chain.tables import MANIFEST
from simulator.run import SCHEMAS
from tests.simulator.books import Account, make_scenario, make_snapshot
from tests.simulator.command import files, strict_json, unwind
from tests.simulator.test_cascade import BOOK
from tests.simulator.test_importer_rows import BAD_ROWS, GOOD_ROWS

pytestmark = pytest.mark.xdist_group("shipped")

HEAVY = {"numba", "llvmlite", "pandas", "web3", "pyarrow", "numpy", "eth_abi", "pydantic", "jinja2", "networkx"}
COMMANDS = {"scenarios", "info", "import", "snapshot", "replay", "stress", "report", "verify"}
