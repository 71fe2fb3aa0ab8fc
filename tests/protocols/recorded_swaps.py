"""Pools read from a recording, and the swaps that were then made with them on a fork."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from eth_abi.abi import encode as abi_encode

from chain.calls import Call, decode, encode
from chain.deployments import Deployment
from chain.fork import Receipt
from chain.node import Node
from chain.snapshot import Snapshot
from chain.tables import Schema, Table
from protocols.reading import Reading
from tests.chain.jsonrpc_server import JsonRpcServer
from tests.protocols.recorded_chain import recorded_chain

Recording = Mapping[str, Any]


@contextmanager
def read_recorded(
    recording: Recording,
    read_deployment: Callable[..., Reading],
    protocol: str,
    addresses: Mapping[str, str],
    symbols: Sequence[str] = ("USD", "ETH", "BTC"),
) -> Iterator[tuple[Node, Snapshot]]:
    """The node of a recording, and what a reader brings from it for some tokens; its notes are the snapshot's."""
    deployment = Deployment(recording["chain_id"], "recorded", "amm", protocol, "", addresses, 0, "")
    tokens = sorted(recording["tokens"][symbol] for symbol in symbols)
    with JsonRpcServer(recorded_chain(recording)) as server, Node(server.url, cache_dir=None) as node:
        block = node.pin(recording["block"])
        reading = read_deployment(node, block, deployment, tokens, lambda _: lambda done, total: None)
        yield node, replace(snapshot_of(reading.rows, recording), notes=tuple(reading.notes))


def snapshot_of(rows: Mapping[Schema, Sequence[Mapping[str, Any]]], recording: Recording) -> Snapshot:
    """A snapshot of these rows alone."""
    tables = {schema.name: Table.from_rows(schema, list(found)) for schema, found in rows.items()}
    number, timestamp = recording["block"], recording["timestamp"]
    return Snapshot(recording["chain_id"], number, "0x" + "ab" * 32, timestamp, "node", (), {}, tables)


def replay(recording: Recording, pools: Mapping[str, Any]) -> int:
    """Make the recorded swaps with the pools; returns how many gave what they gave on the fork, all of them."""
    swaps = 0
    for event in recording["story"]:
        if event["do"] == "wait":
            for pool in pools.values():
                pool.advance(event["until"])
            continue
        fill = pools[event["pool"]].swap(event["i"], event["j"], int(event["amount"]))
        assert (fill.paid_raw, fill.received_raw) == (int(event["amount"]), int(event["received"])), swaps
        swaps += 1
    return swaps


class RecordedFork:
    """A fork that answers as recorded, and whose next transaction returns a number."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.returns = 0
        self.sent: list[tuple[str, bytes]] = []
        self.dealt: list[tuple[str, int]] = []

    def read(self, call: Call) -> Any:
        """An answer of the recording; everything is allowed."""
        if call.signature.startswith("allowance"):
            return 2**256 - 1
        return decode(call, bytes.fromhex(self.recording["calls"][call.target]["0x" + encode(call).hex()][2:]))

    def read_all(self, calls: Sequence[Call]) -> list[Any]:
        """Several answers."""
        return [self.read(call) for call in calls]

    def set_code(self, address: str, code: bytes) -> None:
        """Nothing: no contract runs here."""

    def deal(self, token: str, owner: str, amount_raw: int) -> None:
        """Remember who was given what."""
        self.dealt.append((token, amount_raw))

    def transact(self, sender: str, call: Call) -> Receipt:
        """Remember what was sent."""
        self.sent.append(call.args)
        return Receipt(abi_encode(["bytes"], [abi_encode(["uint256"], [self.returns])]), ())


def swaps_of(recording: Recording, pools: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each recorded swap, and the row of a run's swaps that it would be."""
    for event in recording["story"]:
        if event["do"] == "swap":
            tokens = pools[event["pool"]].tokens
            yield (
                event,
                {
                    "venue": event["pool"],
                    "token_in": tokens[event["i"]],
                    "token_out": tokens[event["j"]],
                    "amount_raw": int(event["amount"]),
                    "limit_raw": 0,
                },
            )
