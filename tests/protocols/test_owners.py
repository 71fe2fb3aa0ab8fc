"""Whoever owns an account that is a contract is found by the contract's own functions, owner by owner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chain.calls import Call, read
from chain.node import Node
from chain.snapshot import OWNERS, Snapshot
from fixtures.localchain import LocalChain, local_chain
from fixtures.localchain.owners import Owned, deploy_owned
from fixtures.localchain.sender import Sender
from protocols.owners import MOST, walk_owners
from protocols.snapshot import take_snapshot
from protocols.walking import walked
from simulator.graph.exposure import ExposureGraph
from simulator.graph.owners import people
from tests.chain.jsonrpc_server import FakeChain, JsonRpcServer
from tests.deployments import write_deployments
from tests.protocols.made_up_contracts import BLOCK, Answers, contract

A, B, C, D, E = ("0x" + f"{n:02x}" * 20 for n in range(0x11, 0x16))
GET_OWNERS, THRESHOLD = "getOwners()(address[])", "getThreshold()(uint256)"
OWNER, CACHE = "owner()(address)", "cache()(address)"


def owners(contracts: Mapping[str, Answers], *accounts: str) -> list[tuple[Any, ...]]:
    """Of each row: account, owner, kind, threshold."""
    chain = FakeChain(contracts={address: contract(answers) for address, answers in contracts.items()})
    with JsonRpcServer(chain) as server, Node(server.url, cache_dir=None) as node:
        rows = walked(node, node.pin(BLOCK), walk_owners(accounts))
    return sorted((row["account"], row["owner"], row["kind"], row["threshold"]) for row in rows)


def test_a_safe_has_owners_and_a_threshold_and_a_proxy_an_owner() -> None:
    contracts: dict[str, Answers] = {
        A: {GET_OWNERS: [D, E], THRESHOLD: 2},
        B: {OWNER: D, CACHE: E},
        C: {OWNER: E},
    }
    assert owners(contracts, A, B, C, D) == [
        (A, D, "safe", 2),
        (A, E, "safe", 2),
        (B, D, "ds_proxy", 1),
        (C, E, "ownable", 1),
    ]


def test_owners_of_owners_are_found_and_circles_end() -> None:
    contracts: dict[str, Answers] = {A: {OWNER: B}, B: {GET_OWNERS: [C], THRESHOLD: 1}, C: {OWNER: A}}
    assert [row[:3] for row in owners(contracts, A)] == [(A, B, "ownable"), (B, C, "safe"), (C, A, "ownable")]


def test_what_is_nobodys_or_no_wallets_has_no_owner() -> None:
    contracts: dict[str, Answers] = {
        A: {OWNER: "0x" + "0" * 40},
        B: {OWNER: B},
        C: {GET_OWNERS: [], THRESHOLD: 0},
        D: {GET_OWNERS: [A, B], THRESHOLD: 3},
        E: {GET_OWNERS: ["0x" + f"{n:040x}" for n in range(1, MOST + 2)], THRESHOLD: 1},
    }
    assert owners(contracts, A, B, C, D, E) == []
    assert owners({}) == []


# --- on a chain -----------------------------------------------------------------------------------------------------


class Built(NamedTuple):
    """The chain, what was built on it, and what was read of it."""

    chain: LocalChain
    owned: Owned
    snapshot: Snapshot


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    with local_chain(accounts=12) as chain:
        _, _, _, payer, *others = chain.node.call("eth_accounts")
        sender = Sender(chain.node, payer, chain.timestamp)
        owned = deploy_owned(sender, chain.market, chain.reserves, (others[0], others[1]))
        path: Path = tmp_path_factory.mktemp("owners") / "deployments.toml"
        block = int(chain.node.call("eth_blockNumber"), 16)
        counted = Node(chain.url, cache_dir=None)
        taken = take_snapshot(counted, block, deployments=write_deployments(chain, path))
        # one more than of a book without wallets: all but the last of the owners' rounds others take anyway
        assert counted.http_requests <= 26
        yield Built(chain, owned, taken)


@pytest.mark.localchain
def test_accounts_with_debt_that_are_contracts_have_the_owners_that_their_contracts_say(built: Built) -> None:
    owned, node = built.owned, Node(built.chain.url, cache_dir=None)
    found = {
        (row["account"], row["owner"]): (row["kind"], row["threshold"])
        for row in built.snapshot.tables["owners"].rows()
    }
    owner, several = owned.owner.lower(), owned.several.lower()
    asked = [Call(owned.safe, GET_OWNERS), Call(owned.several, GET_OWNERS), Call(owned.several, THRESHOLD)]
    (one,), three, threshold = read(node, node.pin(built.snapshot.block_number), asked)
    assert (one, len(three), threshold) == (owner, 3, 2)
    assert found == {
        (owned.safe.lower(), owner): ("safe", 1),
        (owned.proxy.lower(), owner): ("ds_proxy", 1),
        (owned.wallet.lower(), several): ("ownable", 1),
        **{(several, each): ("safe", 2) for each in three},
    }


@pytest.mark.localchain
def test_accounts_of_one_owner_are_one_person(built: Built) -> None:
    owned = built.owned
    who = people(built.snapshot)
    assert who[owned.safe.lower()] == who[owned.proxy.lower()] == owned.owner.lower()
    assert who[owned.wallet.lower()] == f"2 of {', '.join(sorted(each.lower() for each in owned.owners))}"
    graph = ExposureGraph.of(built.snapshot)
    assert {owned.safe.lower(), owned.wallet.lower(), owned.proxy.lower()} <= set(graph.holdings.addresses)
    assert graph.owners == who
    assert OWNERS.name in built.snapshot.tables
