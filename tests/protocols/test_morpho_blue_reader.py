"""Morpho on a real chain: what the reader brings is what the contract says, and what the rules do is what it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chain.calls import Call, read
from chain.errors import InputError, NodeError, UnsupportedError
from chain.fork import Fork
from chain.node import Node
from chain.snapshot import Snapshot, read_snapshot
from fixtures.localchain import LocalChain, local_chain, undone
from fixtures.localchain.market import RESERVES
from fixtures.localchain.morpho import BORROW, MARKETS, PARAMETERS, SUPPLY, Morpho, deploy_morpho, price_of
from fixtures.localchain.sender import Sender, calldata
from protocols.lending.morpho_blue.market import COLLATERAL, LOAN, MorphoBlueMarket
from protocols.lending.morpho_blue.onfork import OnFork
from protocols.lending.morpho_blue.tables import SCHEMAS, load
from protocols.snapshot import take_snapshot

pytestmark = pytest.mark.localchain
TOTALS = "(uint128,uint128,uint128,uint128,uint128,uint128)"
POSITION = "position(bytes32,address)(uint256,uint128,uint128)"
HOUR = 3_600


class Deployed(NamedTuple):
    """Morpho, the chain it is on, its owner, and the block to read."""

    chain: LocalChain
    morpho: Morpho
    owner: str
    block: int


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    """Morpho beside a small book of Aave v3.6."""
    with local_chain(accounts=24) as chain:
        sender = Sender(chain.node, chain.node.call("eth_accounts")[3], chain.timestamp)
        morpho = deploy_morpho(sender, chain.reserves)
        yield Deployed(chain, morpho, sender.account, int(chain.node.call("eth_blockNumber"), 16))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("morpho")


def deployments(deployed: Deployed, folder: Path, from_block: int = 0, version: str = "") -> Path:
    path = folder / f"deployments-{from_block}-{version}.toml"
    path.write_text(
        f'[[deployment]]\nchain_id = {deployed.chain.chain_id}\nname = "morpho-blue"\nfamily = "lending"\n'
        f'protocol = "morpho_blue"\nversion = "{version}"\nfrom_block = {from_block}\n'
        f'addresses = {{ morpho = "{deployed.morpho.address}" }}\n'
    )
    return path


@pytest.fixture(scope="module")
def node(deployed: Deployed) -> Node:
    return Node(deployed.chain.url, cache_dir=None)


@pytest.fixture(scope="module")
def snapshot(deployed: Deployed, folder: Path) -> Snapshot:
    """Taken through a node of its own, so that its requests can be counted, and through disk."""
    counted = Node(deployed.chain.url, cache_dir=None)
    take_snapshot(counted, deployed.block, deployments=deployments(deployed, folder)).write(folder / "snapshot")
    assert counted.http_requests <= 25
    assert counted.rpc_calls <= 100
    return read_snapshot(folder / "snapshot", SCHEMAS)


@pytest.fixture
def markets(snapshot: Snapshot) -> list[MorphoBlueMarket]:
    """In the order of the fixture's table."""
    return load(snapshot)


def latest(deployed: Deployed, folder: Path) -> Snapshot:
    """What the reader brings from the chain as it is now."""
    deployed.chain.node.call("evm_mine")
    found = deployments(deployed, folder)
    return take_snapshot(Node(deployed.chain.url, cache_dir=None), "latest", deployments=found)


def send(deployed: Deployed, to: str, signature: str, *arguments: Any) -> None:
    """A transaction of Morpho's owner, in a block of its own."""
    data = "0x" + calldata(signature, *arguments).hex()
    # the node's own estimate can be short: the block that the transaction lands in has a later time
    asked = {"from": deployed.owner, "to": to, "data": data, "gas": hex(5_000_000)}
    sent = deployed.chain.node.call("eth_sendTransaction", asked)
    deployed.chain.node.call("evm_mine")
    assert deployed.chain.node.call("eth_getTransactionReceipt", sent)["status"] == "0x1"


# --- what is read -----------------------------------------------------------------------------------------------


def test_every_market_with_debt_is_found_by_its_id_and_the_idle_one_is_not(
    deployed: Deployed, snapshot: Snapshot
) -> None:
    rows = {row["id"]: row for row in snapshot.tables["morpho_blue.markets"].rows()}
    assert set(rows) == {market.id for market in deployed.morpho.markets}
    for market in deployed.morpho.markets:
        row = rows[market.id]
        assert row["market"] == f"morpho-blue/{market.id[2:12]}"
        addresses = (row["loan_token"], row["collateral_token"], row["oracle"], row["irm"])
        assert addresses == tuple(address.lower() for address in market.parameters[:4])
        assert row["lltv_wad"] == market.parameters[4]
        assert row["model"] == market.terms.rate
        assert bool(row["rate_wad"]) == (market.terms.rate != "none")
        assert row["fee_wad"] == market.terms.fee * 10**14


def test_every_account_with_debt_is_found_and_no_other(
    deployed: Deployed, node: Node, markets: list[MorphoBlueMarket]
) -> None:
    by_name = {market.name: market for market in markets}
    in_debt_somewhere = 0
    for market in deployed.morpho.markets:
        calls = [
            Call(deployed.morpho.address, POSITION, (bytes.fromhex(market.id[2:]), account))
            for account in deployed.morpho.accounts
        ]
        answers = read(node, node.pin(deployed.block), calls)
        owing = {
            a.lower(): (shares, held)
            for a, (_, shares, held) in zip(deployed.morpho.accounts, answers, strict=True)
            if shares
        }
        found = by_name[f"morpho-blue/{market.id[2:12]}"]
        assert dict(zip(found.accounts, map(tuple, found.state()[1]), strict=True)) == owing
        in_debt_somewhere += len(owing)
    assert len(MARKETS) * 5 < in_debt_somewhere < len(deployed.morpho.accounts) - 1, "some repaid, some never borrowed"


def test_totals_are_the_contracts(deployed: Deployed, node: Node, snapshot: Snapshot) -> None:
    for row in snapshot.tables["morpho_blue.markets"].rows():
        call = Call(deployed.morpho.address, f"market(bytes32){TOTALS}", (bytes.fromhex(row["id"][2:]),))
        (stored,) = read(node, node.pin(deployed.block), [call])
        names = ("supply_assets", "supply_shares", "borrow_assets", "borrow_shares", "last_update", "fee_wad")
        assert tuple(row[name] for name in names) == stored


def test_prices_symbols_and_decimals_are_those_of_the_chain(deployed: Deployed, snapshot: Snapshot) -> None:
    tokens = {row["token"]: row for row in snapshot.tables["tokens"].rows()}
    oracles = {row["market"]: row for row in snapshot.tables["oracles"].rows()}
    for market in deployed.morpho.markets:
        row = oracles[f"morpho-blue/{market.id[2:12]}"]
        collateral, loan = RESERVES[market.terms.collateral], RESERVES[market.terms.loan]
        assert tokens[row["token"]]["symbol"] == collateral.symbol
        assert tokens[row["token"]]["decimals"] == collateral.decimals
        assert tokens[row["numeraire"]]["symbol"] == loan.symbol
        assert tokens[row["numeraire"]]["decimals"] == loan.decimals
        assert row["feed"] == market.oracle.lower()
        assert row["description"] == f"{collateral.symbol} / {loan.symbol}"
        assert row["price_raw"] == price_of(market.terms)
        assert row["price_raw"] / row["unit_raw"] == pytest.approx(collateral.price / loan.price)


# --- what is refused, and what is left out ------------------------------------------------------------------------


def test_a_version_that_is_not_modelled_is_refused_by_name(deployed: Deployed, node: Node, folder: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"2\.0"):
        take_snapshot(node, deployed.block, deployments=deployments(deployed, folder, version="2.0"))


def test_an_address_without_markets_is_refused(deployed: Deployed, node: Node, folder: Path) -> None:
    with pytest.raises(InputError, match="no market since block"):
        take_snapshot(node, deployed.block, deployments=deployments(deployed, folder, deployed.block))


def test_debt_whose_beginning_the_events_do_not_show_is_an_error(
    deployed: Deployed, node: Node, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from protocols.lending.morpho_blue import reader

    whole = reader.scan

    def cut(*arguments: Any, **options: Any) -> Any:
        logs = whole(*arguments, **options)
        return logs[len(logs) // 3 :] if arguments[3] == [reader.BORROW] else logs

    monkeypatch.setattr(reader, "scan", cut)
    with pytest.raises(NodeError, match="logs are not complete"):
        take_snapshot(node, deployed.block, deployments=deployments(deployed, folder))


def test_a_market_whose_oracle_does_not_answer_is_left_out_with_a_note(deployed: Deployed, folder: Path) -> None:
    silent = deployed.morpho.markets[0]
    with undone(deployed.chain.node) as changed:
        changed.call("anvil_setCode", silent.oracle, "0xfe")
        taken = latest(deployed, folder)
    assert len(taken.markets) == len(MARKETS) - 1
    (note,) = taken.notes
    assert silent.id[2:12] in note
    assert silent.oracle.lower() in note


@pytest.mark.parametrize(
    ("code", "why"),
    [
        # answers every call with 7: has the functions of the adaptive curve, but not its rates
        ("0x600760005260206000f3", "it answers 7, not"),
        # stops: every call succeeds and answers nothing
        ("0x00", "neither the adaptive curve nor a fixed rate"),
    ],
)
def test_an_interest_rate_model_that_is_not_known_is_refused_by_its_address(
    deployed: Deployed, folder: Path, code: str, why: str
) -> None:
    model = "0x" + "5a" * 20
    loan, collateral, oracle, _, lltv = deployed.morpho.markets[0].parameters
    parameters = (loan, collateral, oracle, model, lltv)
    with undone(deployed.chain.node) as changed:
        changed.call("anvil_setCode", model, "0x600760005260206000f3")
        send(deployed, deployed.morpho.address, "enableIrm(address)", model)
        send(deployed, deployed.morpho.address, f"createMarket({PARAMETERS})", parameters)
        send(deployed, loan, "mint(address,uint256)", deployed.owner, 10**12)
        send(deployed, loan, "approve(address,uint256)", deployed.morpho.address, 10**12)
        send(deployed, deployed.morpho.address, SUPPLY, parameters, 10**12, 0, deployed.owner, b"")
        send(deployed, collateral, "mint(address,uint256)", deployed.owner, 10**20)
        send(deployed, collateral, "approve(address,uint256)", deployed.morpho.address, 10**20)
        supply = f"supplyCollateral({PARAMETERS},uint256,address,bytes)"
        send(deployed, deployed.morpho.address, supply, parameters, 10**20, deployed.owner, b"")
        send(deployed, deployed.morpho.address, BORROW, parameters, 10**9, 0, deployed.owner, deployed.owner)
        changed.call("anvil_setCode", model, code)
        with pytest.raises(UnsupportedError, match=f"{model} is not modelled: .*{why}"):
            latest(deployed, folder)


# --- what the rules do --------------------------------------------------------------------------------------------


def test_liquidations_of_every_size_are_what_the_contract_does(
    deployed: Deployed, node: Node, snapshot: Snapshot, markets: list[MorphoBlueMarket]
) -> None:
    """Through four falls of the price, an hour apart: who is liquidatable and by how much, amounts, losses."""
    block = node.pin(deployed.block)
    fork = Fork(
        node.url, block_hash=block.hash, number=block.number, timestamp=block.timestamp, chain_id=block.chain_id
    )
    liquidations = losses = 0
    for market, entry in zip(markets, snapshot.markets, strict=True):
        contract = OnFork(entry, fork)
        before = market.price_raw(COLLATERAL)
        for step, percent in enumerate((91, 80, 55, 27), start=1):
            market.advance(block.timestamp + step * HOUR)
            fork.set_time(block.timestamp + step * HOUR)
            market.set_price(COLLATERAL, before * percent // 100)
            contract.set_price(entry.addresses["oracle"], before * percent // 100)
            rows = [row for row in range(len(market.accounts)) if market.is_liquidatable(row)]
            assert {market.accounts[row]: market.health_raw(row) for row in rows} == contract.liquidatable(
                market.accounts
            )
            for row in rows:
                for offer in market.offers(row):
                    most = offer.most_raw
                    amount = (most, most // 2, most - 1, 2 * most, most // 1_000)[(row + step) % 5]
                    done = market.settle(offer, amount)
                    paid = contract.liquidate(
                        market.tokens[COLLATERAL], market.tokens[LOAN], market.accounts[row], amount
                    )
                    assert paid == (done.terms.repaid_raw, done.terms.received_raw, 0)
                    liquidations += 1
                    losses += bool(done.deficits_raw)
            assert market.deficits_raw() == tuple(map(contract.deficit, market.tokens))
    assert liquidations >= 50
    assert losses >= 5


def test_totals_and_rates_after_liquidations_are_the_contracts(
    deployed: Deployed, node: Node, snapshot: Snapshot, markets: list[MorphoBlueMarket]
) -> None:
    block = node.pin(deployed.block)
    fork = Fork(
        node.url, block_hash=block.hash, number=block.number, timestamp=block.timestamp, chain_id=block.chain_id
    )
    touched = 0
    for market, entry in zip(markets, snapshot.markets, strict=True):
        contract, price = OnFork(entry, fork), market.price_raw(COLLATERAL) * 60 // 100
        contract.set_price(entry.addresses["oracle"], price)
        market.set_price(COLLATERAL, price)
        for days, row in enumerate(range(len(market.accounts)), start=1):
            market.advance(block.timestamp + days * 24 * HOUR)
            fork.set_time(block.timestamp + days * 24 * HOUR)
            for offer in market.offers(row):
                market.settle(offer, offer.most_raw // 2)
                contract.liquidate(
                    market.tokens[COLLATERAL], market.tokens[LOAN], market.accounts[row], offer.most_raw // 2
                )
        identifier = bytes.fromhex(entry.addresses["id"][2:])
        stored = fork.read(Call(deployed.morpho.address, f"market(bytes32){TOTALS}", (identifier,)))
        assert tuple(market.state()[0]) == stored[:5]
        touched += market.state()[0].last_update > block.timestamp
    assert touched == len(MARKETS)
