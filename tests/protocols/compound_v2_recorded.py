"""A recorded comptroller of Compound v2 as a node: with the storage, too, that its reader looks at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.chain.jsonrpc_server import JsonRpcServer
from tests.protocols.recorded_chain import recorded_chain


class RecordedServer(JsonRpcServer):
    """A node with the recorded answers and storage; a slot that was not recorded fails the test."""

    def __init__(self, recording: Mapping[str, Any]) -> None:
        super().__init__(recorded_chain(recording))
        self._storage = recording["storage"]

    def _eth_getStorageAt(self, address: str, slot: str, _: Any) -> str:  # noqa: N802
        return str(self._storage[address][slot])


def write_deployments(recording: Mapping[str, Any], path: Path, *, wrapped: bool = True) -> Path:
    """The recorded comptroller as an address book; gives back its path."""
    native = f', wrapped_native = "{recording["wrapped_native"]}"' if wrapped else ""
    path.write_text(
        f'[[deployment]]\nchain_id = {recording["chain_id"]}\nname = "compound-v2"\nfamily = "lending"\n'
        f'protocol = "compound_v2"\naddresses = {{ comptroller = "{recording["comptroller"]}"{native} }}\n'
    )
    return path
