"""What the reader brings from recorded spokes is what their own views say, and goes on as they did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode

from chain.calls import Call, decode, encode, read
from chain.errors import InputError, UnsupportedError
from chain.node import Block, Node
from chain.snapshot import Snapshot
from chain.tables import Table
from protocols.lending.aave_v4 import reader, tables
from protocols.lending.aave_v4.amounts import liquidation_bonus
from protocols.lending.aave_v4.market import AaveV4Market
from protocols.lending.aave_v4.state import Assets, Liquidation
from protocols.lending.aave_v4.tables import load
from protocols.lending.interface import Offer
from protocols.snapshot import take_snapshot
from tests.chain.jsonrpc_server import JsonRpcServer
from tests.protocols.recorded_chain import load_recording, recorded_chain, write_recorded_deployments

NAMES = ("aave-v4-0", "aave-v4-1")
RECORDING = load_recording("aave_v4")
DATA = "getUserAccountData(address)((uint256,uint256,uint256,uint256,uint256,uint256,uint256))"


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
        RECORDING, tmp_path_factory.mktemp("recorded") / "deployments.toml", "aave_v4", "spoke"
    )
    return take_snapshot(node, RECORDING["block"], deployments=deployments)


def market_of(snapshot: Snapshot, name: str) -> AaveV4Market:
    return next(market for market in load(snapshot) if market.name == name)


def ask(node: Node, block: Block, name: str, signature: str, *arguments: tuple[Any, ...]) -> list[Any]:
    """A view of a spoke for each list of arguments."""
    return read(node, block, [Call(RECORDING["markets"][name]["spoke"], signature, each) for each in arguments])


@pytest.mark.parametrize("name", NAMES)
def test_everyone_who_owes_is_found_and_nobody_else(name: str, node: Node, block: Block, snapshot: Snapshot) -> None:
    everybody = RECORDING["markets"][name]["everybody"]
    borrows = [data[6] for data in ask(node, block, name, DATA, *((account,) for account in everybody))]
    accounts = market_of(snapshot, name).accounts
    assert set(accounts) == {account for account, count in zip(everybody, borrows, strict=True) if count}
    assert len(accounts) < len(everybody), "some accounts of the recording owe nothing"


@pytest.mark.parametrize("name", NAMES)
def test_account_data_is_the_contracts(name: str, node: Node, block: Block, snapshot: Snapshot) -> None:
    market = market_of(snapshot, name)
    answers = ask(node, block, name, DATA, *((account,) for account in market.accounts))
    assert [tuple(market.account_data(row)) for row in range(len(market.accounts))] == answers
    assert [market.is_liquidatable(row) for row in range(len(answers))] == [data[2] < 10**18 for data in answers]
    assert any(data[2] < 10**18 for data in answers)


@pytest.mark.parametrize("name", NAMES)
def test_balances_are_the_contracts(name: str, node: Node, block: Block, snapshot: Snapshot) -> None:
    market = market_of(snapshot, name)
    reserves, positions = market.state()[1:]
    seen = market.exposures()
    found = {
        (positions.reserve[entry], market.accounts[account]): entry
        for account in range(len(market.accounts))
        for entry in range(positions.offsets[account], positions.offsets[account + 1])
    }
    keys = [(r, account) for account in market.accounts for r in range(len(market.tokens))]
    flags = ask(node, block, name, "getUserReserveStatus(uint256,address)(bool,bool)", *keys)
    supplied = ask(node, block, name, "getUserSuppliedAssets(uint256,address)(uint256)", *keys)
    owed = ask(node, block, name, "getUserTotalDebt(uint256,address)(uint256)", *keys)
    for key, (collateral, borrowing), supply, debt in zip(keys, flags, supplied, owed, strict=True):
        assert (key in found) == (collateral or borrowing)
        if key in found:
            entry, unit = found[key], reserves.unit[key[0]]
            assert (positions.collateral[entry], positions.borrowing[entry]) == (collateral, borrowing)
            assert seen.supplied[entry] * unit == pytest.approx(supply, rel=1e-9, abs=1)
            assert seen.debt[entry] * unit == pytest.approx(debt, rel=1e-9, abs=2)
        else:
            assert debt == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_bonus_is_the_one_that_the_contract_grants_at_the_accounts_health(
    name: str, node: Node, block: Block, snapshot: Snapshot
) -> None:
    market = market_of(snapshot, name)
    tables_of = {table: snapshot.tables[f"aave_v4.{table}"].where("market", name) for table in ("spokes", "configs")}
    terms = Liquidation(*(tables_of["spokes"].ints(column)[0] for column in Liquidation._fields))
    highest = {(row["reserve_id"], row["key"]): row["max_bonus_bps"] for row in tables_of["configs"].rows()}
    for row in snapshot.tables["aave_v4.positions"].where("market", name).rows():
        health = min(market.health_raw(market.accounts.index(row["account"])), 10**18)
        arguments = (row["reserve_id"], row["account"], health)
        (said,) = ask(node, block, name, "getLiquidationBonus(uint256,address,uint256)(uint256)", arguments)
        assert liquidation_bonus(terms, health, highest[row["reserve_id"], row["key"]]) == said


def test_accounts_keep_the_configuration_they_had_when_a_reserve_got_another(snapshot: Snapshot) -> None:
    rows = list(snapshot.tables["aave_v4.positions"].where("market", "aave-v4-0").rows())
    assert {row["key"] for row in rows if row["reserve_id"] == 0 and row["collateral"]} == {0, 1}


def test_spokes_of_one_hub_share_its_assets_and_each_has_its_own(snapshot: Snapshot) -> None:
    one, other = load(snapshot)
    listed = snapshot.tables["aave_v4.assets"]
    assets = list(zip(listed.texts("hub"), listed.ints("asset_id"), strict=True))
    assert len(one.state()[0].last_update) == len(set(assets)) < len(assets)
    before = other.state()[0].liquidity_raw
    account = next(row for row in range(len(one.accounts)) if one.offers(row))
    offer = one.offers(account)[0]
    one.settle(offer, offer.most_raw)
    assert other.state()[0].liquidity_raw != before


def test_prices_symbols_and_feeds_are_those_of_the_chain(snapshot: Snapshot) -> None:
    tokens = {row["token"]: row for row in snapshot.tables["tokens"].rows()}
    for name in NAMES:
        market = market_of(snapshot, name)
        oracles = {row["token"]: row for row in snapshot.tables["oracles"].rows() if row["market"] == name}
        for r, token in enumerate(market.tokens):
            assert oracles[token]["feed"] == RECORDING["markets"][name]["feeds"][r]
            assert (oracles[token]["price_raw"], oracles[token]["unit_raw"]) == (market.price_raw(r), 10**8)
            assert oracles[token]["description"] == f"{tokens[token]['symbol']} / USD"
            assert 10 ** tokens[token]["decimals"] == market.state()[1].unit[r]


def test_from_there_on_every_step_is_as_the_contracts_took_it(snapshot: Snapshot) -> None:
    markets = {market.name: market for market in load(snapshot)}
    rows = {name: {account: row for row, account in enumerate(m.accounts)} for name, m in markets.items()}
    done: list[str] = []
    refused: set[str] = set()
    for event in RECORDING["story"]:
        done.append(event["do"])
        market = markets.get(event.get("market", ""), markets[NAMES[0]])
        if event["do"] == "wait":
            market.advance(event["until"])
        elif event["do"] == "price":
            market.set_price(event["row"], int(event["price"]))
        elif event["do"] == "ask":
            known = rows[market.name].items()
            found = {a: str(market.health_raw(row)) for a, row in known if market.is_liquidatable(row)}
            assert found == event["liquidatable"]
        elif event["do"] == "liquidate":
            row = rows[market.name][event["account"]]
            amount = int(event["amount"])
            terms = market.settle(Offer(row, event["collateral"], event["debt"], amount), amount).terms
            assert terms.refusal == event.get("revert", "")
            refused.add(terms.refusal)
            said = tuple(int(event.get(part, 0)) for part in ("repaid", "received", "fee"))
            assert (terms.repaid_raw, terms.received_raw, terms.fee_raw) == said
            assert [str(number) for number in market.account_data(row)] == event["data"]
        else:
            _compare_state(event, markets, snapshot)
    assert set(done) == {"wait", "price", "ask", "liquidate", "state"}
    assert {"", "MustNotLeaveDust()"} < refused


def _compare_state(event: dict[str, Any], markets: dict[str, AaveV4Market], snapshot: Snapshot) -> None:
    """The hubs' whole record of each asset and of each spoke."""
    places: dict[str, int] = {}
    for said in event["state"]:
        market, place = markets[said["market"]], places.get(said["market"], 0)
        places[said["market"]] = place + 1
        assets, reserves, _ = market.state()
        a = reserves.asset[place]
        shown = dict(zip(Assets._fields, (column[a] for column in assets), strict=True))
        order = [
            *("liquidity_raw", "realized_fees_raw", "", "added_shares", "swept_raw", "premium_offset_ray"),
            *("drawn_shares", "premium_shares", "liquidity_fee_bps", "drawn_index_ray", "drawn_rate_ray"),
            *("last_update", "", "", "", "", "deficit_ray"),
        ]
        assert [str(shown[name]) for name in order if name] == [
            value for name, value in zip(order, said["asset"], strict=True) if name
        ]
        columns = ["drawn_shares", "premium_shares", "premium_offset_ray", "added_shares"]
        assert [str(getattr(reserves, column)[place]) for column in columns] == said["spoke"][:4]
        assert str(reserves.deficit_ray[place]) == said["spoke"][9]
    for name, deficits in event["deficits"].items():
        assert [str(amount) for amount in markets[name].deficits_raw()] == deficits


# --- what is refused ----------------------------------------------------------------------------------------------


def answering(target: str, signature: str, arguments: tuple[Any, ...], types: str, change: Callable[[Any], Any]) -> Any:
    """The recording with another answer to one call."""
    call = Call(target, signature, arguments)
    data = "0x" + encode(call).hex()
    answers = RECORDING["calls"][target]
    value = change(decode(call, bytes.fromhex(answers[data][2:])))
    changed = answers | {data: "0x" + abi_encode([types], [value]).hex()}
    return RECORDING | {"calls": RECORDING["calls"] | {target: changed}}


def taken(recording: Any, folder: Path, version: str = "") -> Snapshot:
    deployments = write_recorded_deployments(
        recording, folder / "deployments.toml", "aave_v4", "spoke", version=version
    )
    with JsonRpcServer(recorded_chain(recording)) as server, Node(server.url, cache_dir=None) as node:
        return take_snapshot(node, recording["block"], deployments=deployments)


def test_contracts_of_another_revision_are_refused(tmp_path: Path) -> None:
    spoke = RECORDING["markets"][NAMES[0]]["spoke"]
    recording = answering(spoke, "SPOKE_REVISION()(uint64)", (), "uint64", lambda _: 2)
    with pytest.raises(UnsupportedError, match=r"\[2, 1, 1\] are of no Aave v4 version known here.*0\.5\.11"):
        taken(recording, tmp_path)
    with pytest.raises(UnsupportedError, match=r"'0\.5\.9'"):
        taken(RECORDING, tmp_path, "0.5.9")
    assert [market.version for market in taken(RECORDING, tmp_path, "0.5.11").markets] == ["0.5.11"] * 2


def test_contracts_whose_account_data_is_not_what_the_rules_give_are_refused(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    spoke, account = RECORDING["markets"][NAMES[0]]["spoke"], market_of(snapshot, NAMES[0]).accounts[0]
    types = DATA.partition(")(")[2].removesuffix(")")
    recording = answering(spoke, DATA, (account,), types, lambda data: (*data[:2], data[2] + 1, *data[3:]))
    with pytest.raises(UnsupportedError, match=f"getUserAccountData.{account}. is .* not as in version 0.5.11"):
        taken(recording, tmp_path)


def test_another_interest_rate_model_is_refused(snapshot: Snapshot, tmp_path: Path) -> None:
    row = next(iter(snapshot.tables["aave_v4.assets"].rows()))
    signature = "getAssetDrawnRate(uint256)(uint256)"
    recording = answering(row["hub"], signature, (row["asset_id"],), "uint256", lambda rate: rate + 1)
    with pytest.raises(UnsupportedError, match=f"asset {row['asset_id']} of hub {row['hub']} has drawn rate"):
        taken(recording, tmp_path)


def test_a_token_from_two_hubs_in_one_spoke_is_refused(tmp_path: Path) -> None:
    spoke = RECORDING["markets"][NAMES[0]]["spoke"]
    types = reader._RESERVE.partition(")(")[2].removesuffix(")")
    token = decode(
        Call(spoke, reader._RESERVE, (0,)),
        bytes.fromhex(RECORDING["calls"][spoke]["0x" + encode(Call(spoke, reader._RESERVE, (0,))).hex()][2:]),
    )[0]
    recording = answering(spoke, reader._RESERVE, (1,), types, lambda reserve: (token, *reserve[1:]))
    with pytest.raises(UnsupportedError, match=f"lists token {token} from two hubs"):
        taken(recording, tmp_path)


# --- what lies in a snapshot ----------------------------------------------------------------------------------------


def changed(snapshot: Snapshot, table: str, number: int, **values: Any) -> Snapshot:
    """The snapshot with other values in one row of a table."""
    old = snapshot.tables[f"aave_v4.{table}"]
    rows = [dict(row) for row in old.rows()]
    rows[number] |= values
    return replace(snapshot, tables={**snapshot.tables, old.schema.name: Table.from_rows(old.schema, rows)})


@pytest.mark.parametrize(
    ("table", "values", "wrong"),
    [
        ("assets", {"liquidity_raw": 1}, "markets differ in asset"),
        ("positions", {"account": "0x00"}, "row 1: account 0x00, or configuration .* is not there"),
        ("positions", {"key": 9}, "configuration 9 of reserve .* is not there"),
        ("reserves", {"latest_key": 9}, "or configuration 9, is not there"),
        ("reserves", {"asset_id": 9}, "asset 9 of hub"),
        ("reserves", {"reserve_id": 9}, "from 0, in order"),
    ],
)
def test_tables_that_do_not_fit_each_other_are_refused(
    snapshot: Snapshot, table: str, values: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(InputError, match=wrong):
        load(changed(snapshot, table, 0, **values))


def test_a_snapshot_without_a_table_is_refused(snapshot: Snapshot) -> None:
    left = {name: table for name, table in snapshot.tables.items() if name != tables.SPOKES.name}
    with pytest.raises(InputError, match=r"no table aave_v4\.spokes"):
        load(replace(snapshot, tables=left))
