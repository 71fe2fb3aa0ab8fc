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
from typing import NamedTuple


class Function(NamedTuple):
    """A contract's function as eth_abi wants it.

    Attributes
    ----------
    selector
        The first four bytes of a call.
    inputs, outputs
        ABI types of the arguments and of what is returned.
    """

    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


TRY_AGGREGATE = Function(bytes.fromhex("bce38bd7"), ("bool", "(address,bytes)[]"), ("(bool,bytes)[]",))
"""Aggregator.tryAggregate(requireSuccess, calls): Multicall3's function, read-only."""

SWAP_V3 = Function(bytes.fromhex("30cf3f57"), ("address", "address", "bool", "int256", "uint160"), ("int256", "int256"))
"""Executor.swapV3(pool, recipient, zeroForOne, amountSpecified, sqrtPriceLimitX96): token0 and token1 the pool got."""

SWAP_V2 = Function(bytes.fromhex("83b82a53"), ("address", "address", "uint256", "uint256", "uint256"), ())
"""Executor.swapV2(pair, tokenIn, amountIn, amount0Out, amount1Out); what comes out stays with the executor."""

LIQUIDATE = Function(bytes.fromhex("631706b6"), ("address", "address", "address", "address", "uint256", "bool"), ())
"""Executor.liquidate(pool, collateral, debt, user, debtToCover, receiveAToken): Aave's liquidationCall."""


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
