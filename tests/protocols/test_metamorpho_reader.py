"""Real MetaMorpho vaults, their answers recorded: what is read of them gives what their contracts answer.

Both versions lend dollars in the same two Morpho markets, one of which has just lost some of them; both markets are
accrued to the recorded block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chain.calls import Call, read
from chain.node import Block, Node
from chain.snapshot import CLAIMS, TOKENS
from chain.tables import Schema, Table
from protocols.reading import Rows
from protocols.tokens.allocations import allocations
from protocols.tokens.losses import Terms, rate_after_loss
from protocols.tokens.metamorpho.rules import V10, V11, convert_to_assets, worth
from protocols.tokens.metamorpho.state import Vault
from protocols.tokens.metamorpho.tables import ALLOCATIONS, VAULTS
from protocols.tokens.reader import walk_claims
from protocols.walking import walked
from tests.chain.jsonrpc_server import JsonRpcServer
from tests.protocols.recorded_chain import load_recording, recorded_chain
from tests.simulator.graph.toys import Toy, snapshot_of

RECORDING = load_recording("metamorpho")
ADDRESSES: dict[str, str] = RECORDING["vaults"]
NUMBERS = {"1.0": V10, "1.1": V11}
UNIT = 10**18
EMPTY = snapshot_of(Toy(()))
versions = pytest.mark.parametrize("version", ["1.0", "1.1"])


@pytest.fixture(scope="module")
def reading() -> Iterator[tuple[Node, Block, dict[Schema, Rows]]]:
    """A node, and the rows of both vaults."""
    tokens = {address: f"v{version}" for version, address in ADDRESSES.items()} | {RECORDING["asset"]: "USDC"}
    with JsonRpcServer(recorded_chain(RECORDING)) as server, Node(server.url, cache_dir=None) as node:
        block = node.pin(RECORDING["block"])
        yield node, block, walked(node, block, walk_claims(block.chain_id, tokens, (), ""))


@pytest.fixture
def rows(reading: tuple[Node, Block, dict[Schema, Rows]]) -> dict[Schema, Rows]:
    return reading[2]


def of(rows: dict[Schema, Rows], schema: Schema, version: str) -> list[dict[str, Any]]:
    """A vault's rows of a table."""
    name = "token" if schema is CLAIMS else "vault"
    return [row for row in rows[schema] if row[name] == ADDRESSES[version]]


def vault(rows: dict[Schema, Rows], version: str) -> Vault:
    (row,) = of(rows, VAULTS, version)
    names = ("total_supply", "last_total_assets", "lost_assets", "fee_wad", "virtual_shares")
    return Vault(*(row[name] for name in names))


@versions
def test_both_versions_are_told_apart_and_owe_what_they_lend(rows: dict[Schema, Rows], version: str) -> None:
    (claim,) = of(rows, CLAIMS, version)
    assert (claim["kind"], claim["issuer"], claim["underlying"]) == (
        "metamorpho",
        ADDRESSES[version],
        RECORDING["asset"],
    )
    assert claim["losses"] == {"1.0": "at once", "1.1": "at withdrawal"}[version]
    assert rows[TOKENS] == []


@versions
def test_what_is_in_the_markets_gives_the_shares_worth_by_the_vaults_rules(
    rows: dict[Schema, Rows], version: str
) -> None:
    (claim,) = of(rows, CLAIMS, version)
    real = sum(row["supplied_raw"] for row in of(rows, ALLOCATIONS, version))
    state = vault(rows, version)
    assert convert_to_assets(NUMBERS[version], state, real, UNIT) == claim["amount_raw"]
    assert worth(NUMBERS[version], state, real).total_assets == claim["backing_raw"]


def test_the_older_vaults_share_has_lost_and_the_newer_ones_has_not(rows: dict[Schema, Rows]) -> None:
    first = of(rows, CLAIMS, "1.0")[0]["amount_raw"]
    second = of(rows, CLAIMS, "1.1")[0]["amount_raw"]
    assert first < 10**6 <= second
    real = sum(row["supplied_raw"] for row in of(rows, ALLOCATIONS, "1.1"))
    assert worth(V11, vault(rows, "1.1"), real).lost_assets > 0


@versions
def test_who_runs_a_vault_and_its_queues_and_caps_are_read(rows: dict[Schema, Rows], version: str) -> None:
    (row,) = of(rows, VAULTS, version)
    people = {name: row[name] for name in ("owner", "curator", "guardian", "morpho")}
    assert people == {name: RECORDING[name] for name in people}
    hours, extra = {"1.0": (25, 0), "1.1": (32, 7)}[version]
    assert (row["timelock_s"], row["fee_wad"]) == (3_600 * hours, 10**17 + extra * 10**15)
    weth, sol = (RECORDING["markets"][symbol] for symbol in ("WETH", "SOL"))
    found = {row["id"]: row for row in of(rows, ALLOCATIONS, version)}
    assert {i: (r["supply_place"], r["withdraw_place"]) for i, r in found.items()} == {weth: (1, 0), sol: (0, 1)}
    assert [found[i]["cap_raw"] for i in (weth, sol)] == [10**12 + extra, 41_000 * 10**6 + extra]
    assert [found[i]["pending_cap_raw"] for i in (weth, sol)] == [0, 55_000 * 10**6]
    assert found[sol]["pending_at"] > RECORDING["timestamp"] - 24 * 3_600
    assert all(r["enabled"] and r["removable_at"] == 0 for r in found.values())


@versions
def test_shares_in_a_market_are_morphos(
    reading: tuple[Node, Block, dict[Schema, Rows]], rows: dict[Schema, Rows], version: str
) -> None:
    node, block, _ = reading
    signature = "position(bytes32,address)(uint256,uint128,uint128)"
    for row in of(rows, ALLOCATIONS, version):
        call = Call(RECORDING["morpho"], signature, (bytes.fromhex(row["id"][2:]), ADDRESSES[version]))
        ((shares, _, _),) = read(node, block, [call])
        assert row["supply_shares"] == shares > 0
        assert row["last_update"] == RECORDING["timestamp"]


def test_a_further_loss_is_in_the_share_by_the_vaults_rule_without_a_fee_to_take(rows: dict[Schema, Rows]) -> None:
    (claim,) = of(rows, CLAIMS, "1.0")
    names = ("losses", "amount_raw", "supply_raw", "backing_raw")
    terms = Terms(**{name: claim[name] for name in names}, unit_raw=UNIT, underlying_unit_raw=10**6)
    state, loss = vault(rows, "1.0"), claim["backing_raw"] // 3
    left = claim["backing_raw"] - loss
    assert rate_after_loss(terms, loss) == convert_to_assets(V10, state, left, UNIT)


@versions
def test_where_a_vaults_money_is_adds_up_to_what_it_has_less_what_it_lost(
    rows: dict[Schema, Rows], version: str
) -> None:
    tables = {schema.name: Table.from_rows(schema, rows[schema]) for schema in (VAULTS, ALLOCATIONS)}
    places = [each for each in allocations(replace(EMPTY, tables=tables)) if each.vault == ADDRESSES[version]]
    (claim,), (row,) = of(rows, CLAIMS, version), of(rows, VAULTS, version)
    held = sum(place.supplied_raw for place in places)
    lost = worth(NUMBERS[version], vault(rows, version), held).lost_assets
    assert held == claim["backing_raw"] - lost
    assert (lost > 0) == (version == "1.1")
    assert {place.timelock_s for place in places} == {row["timelock_s"]}
    assert {place.losses for place in places} == {claim["losses"]}
