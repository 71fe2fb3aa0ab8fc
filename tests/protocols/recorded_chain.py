"""What real contracts answered at one block of a local chain, replayed as a node.

A recording holds, for each contract, what it returns for call data; a call that was not recorded fails the test, but
for functions that every price feed and token is tried with to find out what it is, which contracts do not have. It also
tells what was done to the contracts afterwards on a fork, and what came of it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain.calls import Call, encode
from protocols.oracles import reader as oracles
from protocols.tokens import reader as claims
from tests.chain.jsonrpc_server import Contract, FakeChain, Revert

_TRIED = {encode(Call("", signature)) for signature in (*oracles.PROBES, *claims.PROBES)}
FOLDER = Path(__file__).parent / "recordings"


def load_recording(protocol: str) -> dict[str, Any]:
    """A protocol's recording as it lies in its file."""
    recording: dict[str, Any] = json.loads(gzip.decompress((FOLDER / f"{protocol}.json.gz").read_bytes()))
    return recording


@dataclass
class RecordedChain(FakeChain):
    """A chain whose block has the recorded time."""

    timestamps: dict[int, int] = field(default_factory=dict)

    def header(self, number: int) -> dict[str, Any] | None:
        """A block's header, with the recorded time where one is recorded."""
        made_up = super().header(number)
        if made_up is None or number not in self.timestamps:
            return made_up
        return made_up | {"timestamp": hex(self.timestamps[number])}


def recorded_chain(recording: Mapping[str, Any]) -> RecordedChain:
    """The chain of a recording, its last block the recorded one."""
    number = recording["block"]
    chain = RecordedChain(recording["chain_id"], number, timestamps={number: recording["timestamp"]})
    chain.contracts = {address: _contract(answers) for address, answers in recording["calls"].items()}
    for log in recording["logs"]:
        chain.add_log(log["block"], log["index"], log["address"], log["topics"], log["data"])
    return chain


def _contract(answers: Mapping[str, Any]) -> Contract:
    def answer(data: bytes, _: int) -> bytes:
        if "0x" + data.hex() not in answers and data[:4] in _TRIED:
            raise Revert
        recorded = answers["0x" + data.hex()]
        if isinstance(recorded, dict):
            raise Revert(bytes.fromhex(recorded["revert"][2:]))
        return bytes.fromhex(recorded[2:])

    return answer


def write_recorded_deployments(
    recording: Mapping[str, Any], path: Path, protocol: str, role: str, *, version: str = ""
) -> Path:
    """The recorded markets as an address book, each with its contract of one role; gives back its path."""
    path.write_text(
        "\n".join(
            f'[[deployment]]\nchain_id = {recording["chain_id"]}\nname = "{name}"\nfamily = "lending"\n'
            f'protocol = "{protocol}"\nversion = "{version}"\naddresses = {{ {role} = "{market[role]}" }}\n'
            for name, market in recording["markets"].items()
        )
    )
    return path
