"""A chain on which one contract is everything: it answers functions with what a test says, and reverts for others.

A reader asks it for a pool, an oracle, a token or a market, and finds it again at the address that it gives. Enough is
answered to come to what the reader should refuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from chain.node import Node
from chain.snapshot import Snapshot
from protocols.snapshot import take_snapshot
from tests.chain.jsonrpc_server import Contract, FakeChain, JsonRpcServer, Revert

SELF, TOKEN, STRANGER, NOBODY = ("0x" + f"{n:02x}" * 20 for n in (0xA1, 0xB2, 0xC3, 0))
ACCOUNT = "0x" + "d4" * 20
BLOCK = 900
NAME = "here"
ROLES = ("provider", "spoke", "comptroller", "comet", "morpho")

Answers = Mapping[str, Any]
"""What a function returns, by its signature as `chain.calls` writes it: a value, or a tuple of several."""


class Server(JsonRpcServer):
    """Storage is empty."""

    def _eth_getStorageAt(self, *_: Any) -> str:  # noqa: N802
        return "0x" + "00" * 32


def contract(answers: Answers) -> Contract:
    """A contract that answers these functions, whatever their arguments, and reverts for others."""
    encoded = {}
    for signature, value in answers.items():
        function, _, outputs = signature.rpartition(")(")
        types = _split(outputs.removesuffix(")"))
        encoded[keccak(text=function + ")")[:4]] = encode(types, [value] if len(types) == 1 else value)

    def answer(data: bytes, _: int) -> bytes:
        if data[:4] not in encoded:
            raise Revert
        return encoded[data[:4]]

    return answer


def _split(types: str) -> list[str]:
    """The types of a list, of which tuples have commas of their own."""
    found, depth = [""], 0
    for letter in types:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return found


def take(
    protocol: str,
    folder: Path,
    answers: Answers,
    *,
    version: str = "",
    logs: Sequence[tuple[list[str], str]] = (),
) -> Snapshot:
    """Read a protocol whose every contract is the one with these answers.

    Parameters
    ----------
    folder
        Where the deployments file is written.
    logs
        Topics and data of its events.
    """
    deployments = folder / "deployments.toml"
    addresses = ", ".join(f'{role} = "{SELF}"' for role in ROLES)
    deployments.write_text(
        f'[[deployment]]\nchain_id = 1\nname = "{NAME}"\nfamily = "lending"\nprotocol = "{protocol}"\n'
        f'version = "{version}"\naddresses = {{ {addresses} }}\n'
    )
    chain = FakeChain(contracts={SELF: contract(answers), TOKEN: contract(answers)})
    for number, (topics, data) in enumerate(logs):
        chain.add_log(BLOCK - 1, number, SELF, topics, data)
    with Server(chain) as server, Node(server.url, cache_dir=None) as node:
        return take_snapshot(node, BLOCK, deployments=deployments)
