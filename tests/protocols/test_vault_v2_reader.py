"""A real Morpho Vault v2 over a MetaMorpho vault, its answers recorded: what is read of it gives what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chain.node import Node
from chain.snapshot import CLAIMS
from chain.tables import Schema
from protocols.reading import Rows
from protocols.tokens.reader import walk_claims
from protocols.tokens.vault_v2.rules import convert_to_assets, worth
from protocols.tokens.vault_v2.state import Vault
from protocols.tokens.vault_v2.tables import ALLOCATIONS, VAULTS
from protocols.walking import walked
from tests.chain.jsonrpc_server import JsonRpcServer
from tests.protocols.recorded_chain import load_recording, recorded_chain

RECORDING = load_recording("vault_v2")
UNIT = 10**18


@pytest.fixture(scope="module")
def rows() -> Iterator[dict[Schema, Rows]]:
    tokens = {RECORDING["vault"]: "v2", RECORDING["asset"]: "USDC"}
    with JsonRpcServer(recorded_chain(RECORDING)) as server, Node(server.url, cache_dir=None) as node:
        yield walked(node, node.pin(RECORDING["block"]), walk_claims(RECORDING["chain_id"], tokens, (), ""))


@pytest.fixture
def vault(rows: dict[Schema, Rows]) -> dict[str, Any]:
    (row,) = rows[VAULTS]
    return row


def test_a_share_is_owed_by_the_vault_which_passes_losses_on_at_once(rows: dict[Schema, Rows]) -> None:
    (claim,) = rows[CLAIMS]
    assert (claim["kind"], claim["issuer"], claim["losses"]) == ("vault_v2", RECORDING["vault"], "at once")
    assert claim["underlying"] == RECORDING["asset"]


def test_what_lies_behind_the_adapters_gives_the_shares_worth_by_the_vaults_rules(
    rows: dict[Schema, Rows], vault: dict[str, Any]
) -> None:
    (claim,) = rows[CLAIMS]
    state = Vault(*(vault["idle_raw" if name == "idle" else name] for name in Vault._fields))
    claimed = sum(row["claimed_raw"] for row in rows[ALLOCATIONS])
    now = RECORDING["timestamp"]
    assert now - vault["last_update"] > 10**6, "interest and fees of weeks are still to be taken"
    assert convert_to_assets(state, claimed, UNIT, now) == claim["amount_raw"] != 10**6
    assert worth(state, claimed, now).total_assets == claim["backing_raw"]


def test_each_adapter_has_its_cap_and_what_it_holds_shares_of(rows: dict[Schema, Rows], vault: dict[str, Any]) -> None:
    used, unused = rows[ALLOCATIONS]
    assert [used["adapter"], unused["adapter"]] == RECORDING["adapters"]
    assert {used["target"], unused["target"]} == {RECORDING["metamorpho"]}
    assert (used["cap_raw"], used["relative_cap_wad"]) == (200_000 * 10**6, 8 * 10**17)
    assert (unused["cap_raw"], unused["relative_cap_wad"]) == (200_001 * 10**6, 7 * 10**17)
    # Morpho rounds a unit away
    assert used["claimed_raw"] > used["allocated_raw"] == 81_000_000_002
    assert unused["claimed_raw"] == unused["allocated_raw"] == 0
    assert vault["idle_raw"] == 123_456_789_012 - 81_000_000_003
    assert (vault["owner"], vault["liquidity_adapter"]) == (RECORDING["owner"], used["adapter"])
