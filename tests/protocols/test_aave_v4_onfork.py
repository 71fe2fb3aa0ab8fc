"""What is read from a spoke's and its hub's events on a fork is what the market says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode

from chain.calls import Call, decode, encode
from chain.fork import Log, Receipt
from chain.node import Node
from chain.snapshot import Snapshot
from protocols.lending.aave_v4.onfork import OnFork
from protocols.lending.aave_v4.tables import load
from protocols.snapshot import take_snapshot
from tests.chain.jsonrpc_server import JsonRpcServer
from tests.protocols.recorded_chain import load_recording, recorded_chain, write_recorded_deployments

NAMES = ("aave-v4-0", "aave-v4-1")
RECORDING = load_recording("aave_v4")


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    deployments = write_recorded_deployments(
        RECORDING, tmp_path_factory.mktemp("recorded") / "deployments.toml", "aave_v4", "spoke"
    )
    with JsonRpcServer(recorded_chain(RECORDING)) as server, Node(server.url, cache_dir=None) as node:
        yield take_snapshot(node, RECORDING["block"], deployments=deployments)


class RecordedFork:
    """A fork that answers as recorded, and whose next transaction has the recorded events."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []
        self.dealt: list[tuple[str, int]] = []

    def read(self, call: Call) -> Any:
        if call.signature.startswith("allowance"):
            return 2**256 - 1
        return decode(call, bytes.fromhex(RECORDING["calls"][call.target]["0x" + encode(call).hex()][2:]))

    def read_all(self, calls: Sequence[Call]) -> list[Any]:
        return [self.read(call) for call in calls]

    def set_code(self, address: str, code: bytes) -> None:
        pass

    def deal(self, token: str, owner: str, amount_raw: int) -> None:
        self.dealt.append((token, amount_raw))

    def transact(self, sender: str, call: Call) -> Receipt:
        logs = (
            Log(
                log["address"],
                tuple(bytes.fromhex(topic[2:]) for topic in log["topics"]),
                bytes.fromhex(log["data"][2:]),
            )
            for log in self.logs
        )
        return Receipt(abi_encode(["bytes"], [b""]), tuple(logs))


def contract_of(snapshot: Snapshot, name: str, fork: RecordedFork) -> OnFork:
    return OnFork(next(market for market in snapshot.markets if market.name == name), fork)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_who_is_liquidatable_and_what_is_written_off_is_as_the_market_has_it(name: str, snapshot: Snapshot) -> None:
    market = next(one for one in load(snapshot) if one.name == name)
    contract = contract_of(snapshot, name, RecordedFork())
    sick = {a: market.health_raw(row) for row, a in enumerate(market.accounts) if market.is_liquidatable(row)}
    assert contract.liquidatable(market.accounts) == sick
    assert sick
    assert [contract.deficit(token) for token in market.tokens] == list(market.deficits_raw())
    assert any(market.deficits_raw())


def test_amounts_are_those_of_the_events(snapshot: Snapshot) -> None:
    fork = RecordedFork()
    contracts = {name: contract_of(snapshot, name, fork) for name in NAMES}
    tokens = {market.name: market.tokens for market in load(snapshot)}
    executed = [event for event in RECORDING["story"] if "logs" in event]
    for event in executed:
        fork.logs = event["logs"]
        listed = tokens[event["market"]]
        collateral, debt, amount = listed[event["collateral"]], listed[event["debt"]], int(event["amount"])
        done = contracts[event["market"]].liquidate(collateral, debt, event["account"], amount)
        assert done == tuple(int(event[part]) for part in ("repaid", "received", "fee"))
        assert fork.dealt[-1] == (debt, amount)
    assert len(executed) > 10
