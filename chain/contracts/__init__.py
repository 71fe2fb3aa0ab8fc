"""Contracts of our own that are laid over an address: by a state override for reading, or on a fork for executing.

The Solidity stands beside this file, its runtime bytecode in ``runtime.json``; a test compiles the one and compares it
with the other. Both run on any chain, since they use no opcode younger than the Paris fork.

>>> len(runtime("Aggregator")) > 0
True
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

TRY_AGGREGATE = "tryAggregate(bool,(address,bytes)[])((bool,bytes)[])"
"""The Aggregator's function, with its arguments and results: Multicall3's, read-only."""

EXECUTE = "execute(address,bytes)(bytes)"
"""The Executor's function: call a contract with these bytes and give back what it answers."""


@cache
def runtime(name: str) -> bytes:
    """Runtime bytecode of ``"Aggregator"`` or ``"Executor"``.

    Raises
    ------
    KeyError
        If there is no such contract.
    """
    table: dict[str, str] = json.loads(files(__name__).joinpath("runtime.json").read_text())
    return bytes.fromhex(table[name])
