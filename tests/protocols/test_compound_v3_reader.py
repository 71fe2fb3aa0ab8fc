"""What the reader brings from recorded Comets is what their own views say, and goes on as they did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chain.calls import Call, encode, read
from chain.errors import UnsupportedError
from chain.node import Block, Node
from chain.snapshot import Snapshot
from protocols.lending.compound_v3.market import CompoundV3Market
from protocols.lending.compound_v3.state import BASE
from protocols.lending.compound_v3.tables import load
from protocols.lending.interface import Offer
from protocols.snapshot import take_snapshot
from tests.chain.jsonrpc_server import JsonRpcServer
from tests.protocols.recorded_chain import load_recording, recorded_chain, write_recorded_deployments

NAMES = ("compound-v3-usdc", "compound-v3-weth")
RECORDING = load_recording("compound_v3")


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with JsonRpcServer(recorded_chain(RECORDING)) as server, Node(server.url, cache_dir=None) as node:
        yield node


@pytest.fixture(scope="module")
def block(node: Node) -> Block:
    return node.pin(RECORDING["block"])


@pytest.fixture(scope="module")
def snapshot(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    deployments = write_recorded_deployments(
        RECORDING, tmp_path_factory.mktemp("recorded") / "deployments.toml", "compound_v3", "comet"
    )
    return take_snapshot(node, RECORDING["block"], deployments=deployments)


def market_of(snapshot: Snapshot, name: str) -> CompoundV3Market:
    return next(market for market in load(snapshot) if market.name == name)


def views(node: Node, block: Block, name: str, signature: str, arguments: list[str]) -> dict[str, Any]:
    """A view of the Comet for each argument."""
    calls = [Call(RECORDING["markets"][name]["comet"], signature, (argument,)) for argument in arguments]
    return dict(zip(arguments, read(node, block, calls), strict=True))


def view(node: Node, block: Block, name: str, signature: str) -> Any:
    return read(node, block, [Call(RECORDING["markets"][name]["comet"], signature)])[0]


@pytest.mark.parametrize("name", NAMES)
def test_everyone_who_owes_is_found_also_who_borrowed_without_an_event(
    name: str, node: Node, block: Block, snapshot: Snapshot
) -> None:
    known = RECORDING["markets"][name]
    debts = views(node, block, name, "borrowBalanceOf(address)(uint256)", known["everybody"])
    market = market_of(snapshot, name)
    assert set(market.accounts) == {account for account, debt in debts.items() if debt}
    assert known["borrowed_by_transfer"] in market.accounts
    assert len(market.accounts) < len(known["everybody"]), "some accounts of the recording owe nothing"


@pytest.mark.parametrize("name", NAMES)
def test_version_and_numeraire_are_found_out_from_the_contracts(name: str, snapshot: Snapshot) -> None:
    market = market_of(snapshot, name)
    assert market.version == RECORDING["markets"][name]["version"]
    assert market.numeraire == (None if name == "compound-v3-usdc" else BASE)
    assert market.price_raw(BASE) == (99_987_654 if name == "compound-v3-usdc" else 10**8)


@pytest.mark.parametrize("name", NAMES)
def test_debts_and_collateral_are_the_contracts(name: str, node: Node, block: Block, snapshot: Snapshot) -> None:
    market = market_of(snapshot, name)
    _, reserves, positions = market.state()
    debts = views(node, block, name, "borrowBalanceOf(address)(uint256)", list(market.accounts))
    seen = market.exposures()
    owed = seen.debt[seen.offsets[:-1]] * reserves.scale[BASE]
    assert owed == pytest.approx(list(debts.values()), rel=1e-9, abs=1)
    keys = [(account, r) for account in range(len(market.accounts)) for r in range(1, len(market.tokens))]
    signature = "collateralBalanceOf(address,address)(uint128)"
    comet = RECORDING["markets"][name]["comet"]
    calls = [Call(comet, signature, (market.accounts[account], market.tokens[r])) for account, r in keys]
    held = {
        (account, positions.reserve[entry]): positions.balance_raw[entry]
        for account in range(len(market.accounts))
        for entry in range(positions.offsets[account], positions.offsets[account + 1])
    }
    assert [held.get(key, 0) for key in keys] == read(node, block, calls)


def test_assets_beyond_the_sixteenth_are_read_whose_bits_are_in_a_field_of_their_own(snapshot: Snapshot) -> None:
    positions = market_of(snapshot, "compound-v3-usdc").state()[2]
    assert max(positions.reserve) > 16


@pytest.mark.parametrize("name", NAMES)
def test_what_the_protocol_has_is_what_it_says(name: str, node: Node, block: Block, snapshot: Snapshot) -> None:
    market = market_of(snapshot, name)
    assert market.protocol_reserves_raw() == view(node, block, name, "getReserves()(int256)")
    unsold = views(node, block, name, "getCollateralReserves(address)(uint256)", list(market.tokens[1:]))
    assert [market.collateral_reserves_raw(r) for r in range(1, len(market.tokens))] == list(unsold.values())
    assert any(unsold.values()) == (name == "compound-v3-usdc"), "one of the recorded markets has absorbed before"


@pytest.mark.parametrize("name", NAMES)
def test_who_is_liquidatable_at_the_stored_indices_is_so_with_interest(
    name: str, node: Node, block: Block, snapshot: Snapshot
) -> None:
    market = market_of(snapshot, name)
    said = views(node, block, name, "isLiquidatable(address)(bool)", list(market.accounts))
    assert all(market.is_liquidatable(row) for row, stale in enumerate(said.values()) if stale)


@pytest.mark.parametrize("name", NAMES)
def test_prices_symbols_and_feeds_are_those_of_the_chain(name: str, snapshot: Snapshot) -> None:
    market = market_of(snapshot, name)
    tokens = {row["token"]: row for row in snapshot.tables["tokens"].rows()}
    oracles = {row["token"]: row for row in snapshot.tables["oracles"].rows() if row["market"] == name}
    symbol, quote = ("USDC", "USD") if name == "compound-v3-usdc" else ("WETH", "ETH")
    assert tokens[market.tokens[BASE]]["symbol"] == symbol
    for r, token in enumerate(market.tokens):
        assert oracles[token]["feed"] == RECORDING["markets"][name]["feeds"][r]
        assert (oracles[token]["price_raw"], oracles[token]["unit_raw"]) == (market.price_raw(r), market.price_unit(r))
        assert 10 ** tokens[token]["decimals"] == market.state()[1].scale[r]
        assert 0 < oracles[token]["published_at"] <= snapshot.timestamp
        if r != BASE:
            assert oracles[token]["description"].endswith(f"/ {quote}")


@pytest.mark.parametrize("name", NAMES)
def test_from_there_on_every_step_is_as_the_contract_took_it(name: str, snapshot: Snapshot) -> None:
    market = market_of(snapshot, name)
    rows = {account: row for row, account in enumerate(market.accounts)}
    done: list[str] = []
    for event in RECORDING["markets"][name]["story"]:
        kind = event["do"]
        done.append(kind)
        if kind == "wait":
            market.advance(event["until"])
        elif kind == "price":
            market.set_price(event["row"], int(event["price"]))
        elif kind == "ask":
            found = {a: str(market.health_raw(row)) for a, row in rows.items() if market.is_liquidatable(row)}
            assert found == event["liquidatable"]
        elif kind == "totals":
            totals, _, positions = market.state()
            assert [str(number) for number in totals] == event["totals"]
            assert [str(number) for number in positions.principal] == event["principals"]
        elif kind == "absorb":
            settled = market.settle(Offer(rows[event["account"]], 1, BASE, 0, unpaid=True), 0)
            assert settled.terms.refusal == event.get("revert", "")
        else:
            settled = market.settle(Offer(-1, event["row"], BASE, int(event["amount"])), int(event["amount"]))
            assert settled.terms.refusal == event.get("revert", "")
            assert (settled.terms.repaid_raw, settled.terms.received_raw) == (
                int(event.get("paid", 0)),
                int(event.get("received", 0)),
            )
        if "reserves" in event:
            assert str(market.protocol_reserves_raw()) == event["reserves"]
    assert set(done) == {"wait", "price", "ask", "totals", "absorb", "buy"}


# --- what is refused ----------------------------------------------------------------------------------------------


def described(text: str) -> dict[str, Any]:
    """The recording with another description of the USDC market's base feed."""
    from eth_abi.abi import encode as abi_encode

    market = RECORDING["markets"]["compound-v3-usdc"]
    feed = market["feeds"][BASE]
    data = "0x" + encode(Call(feed, "description()(string)")).hex()
    answers = RECORDING["calls"][feed] | {data: "0x" + abi_encode(["string"], [text]).hex()}
    return RECORDING | {
        "markets": {"compound-v3-usdc": market},
        "calls": RECORDING["calls"] | {feed: answers},
    }


@pytest.mark.parametrize("text", ["WBTC / BTC", "Custom price feed for wstETH / ETH", "price", "Constant price feed"])
def test_a_market_whose_unit_of_account_is_not_known_is_refused(text: str, tmp_path: Any) -> None:
    recording = described(text)
    with JsonRpcServer(recorded_chain(recording)) as server, Node(server.url, cache_dir=None) as node:
        deployments = write_recorded_deployments(recording, tmp_path / "deployments.toml", "compound_v3", "comet")
        with pytest.raises(UnsupportedError, match=r"its base token says .*US dollars"):
            take_snapshot(node, recording["block"], deployments=deployments)
