"""What is read from a Comet's events on a fork is what the market says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode

from chain.calls import Call, decode, encode
from chain.fork import Log, Receipt
from chain.node import Node
from chain.snapshot import Snapshot
from protocols.lending.compound_v3.onfork import OnFork
from protocols.lending.compound_v3.state import BASE
from protocols.lending.compound_v3.tables import load
from protocols.lending.interface import Offer
from protocols.snapshot import take_snapshot
from tests.chain.jsonrpc_server import JsonRpcServer
from tests.protocols.recorded_chain import load_recording, recorded_chain, write_recorded_deployments

NAMES = ("compound-v3-usdc", "compound-v3-weth")
RECORDING = load_recording("compound_v3")


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    deployments = write_recorded_deployments(
        RECORDING, tmp_path_factory.mktemp("recorded") / "deployments.toml", "compound_v3", "comet"
    )
    with JsonRpcServer(recorded_chain(RECORDING)) as server, Node(server.url, cache_dir=None) as node:
        yield take_snapshot(node, RECORDING["block"], deployments=deployments)


class RecordedFork:
    """A fork that answers as recorded, and whose next transaction has the recorded events."""

    def __init__(self, comet: str) -> None:
        self.comet = comet
        self.logs: list[dict[str, Any]] = []
        self.sent: list[Call] = []
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
        self.sent.append(call)
        logs = (
            Log(self.comet, tuple(bytes.fromhex(t[2:]) for t in log["topics"]), bytes.fromhex(log["data"][2:]))
            for log in self.logs
        )
        return Receipt(abi_encode(["bytes"], [b""]), tuple(logs))


@pytest.mark.parametrize("name", NAMES)
def test_amounts_and_deficits_are_those_of_the_market(name: str, snapshot: Snapshot) -> None:
    market = next(one for one in load(snapshot) if one.name == name)
    fork = RecordedFork(RECORDING["markets"][name]["comet"])
    contract = OnFork(next(one for one in snapshot.markets if one.name == name), fork)  # type: ignore[arg-type]
    base = market.tokens[BASE]
    bought = 0
    for event in RECORDING["markets"][name]["story"]:
        fork.logs = event.get("logs", [])
        if event["do"] == "wait":
            market.advance(event["until"])
        elif event["do"] == "price":
            market.set_price(event["row"], int(event["price"]))
        elif not fork.logs:
            continue
        elif event["do"] == "absorb":
            market.settle(Offer(market.accounts.index(event["account"]), 1, BASE, 0, unpaid=True), 0)
            assert contract.liquidate("", base, event["account"], 0) == (0, 0, 0)
            assert contract.deficit(base) == market.deficits_raw()[BASE]
        else:
            amount, token = int(event["amount"]), market.tokens[event["row"]]
            terms = market.settle(Offer(-1, event["row"], BASE, amount), amount).terms
            assert contract.liquidate(token, base, "", amount) == (terms.repaid_raw, terms.received_raw, 0)
            assert fork.dealt[-1] == (base, amount)
            bought += 1
    assert bought
    assert contract.deficit(base) > 0
    assert not contract.deficit(market.tokens[1])
