"""What the reader brings from a recorded comptroller is what its own views say, and goes on as its markets did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from chain.calls import Call, read
from chain.errors import InputError, UnsupportedError
from chain.node import Block, Node
from chain.snapshot import Snapshot
from protocols.lending.compound_v2.balances import debt_of, exchange_rate
from protocols.lending.compound_v2.market import CompoundV2Market
from protocols.lending.compound_v2.tables import load
from protocols.lending.interface import Offer
from protocols.snapshot import take_snapshot
from tests.protocols.compound_v2_recorded import RecordedServer, write_deployments
from tests.protocols.recorded_chain import load_recording

RECORDING = load_recording("compound_v2")
LEFT_OUT = ("cOLD", "cWBTC1")
KEPT = [claim for name, claim in RECORDING["markets"].items() if name not in LEFT_OUT]
MOVED = ("cash_raw", "borrows_raw", "reserves_raw", "claims", "index_wad", "accrued_block")


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with RecordedServer(RECORDING) as server, Node(server.url, cache_dir=None) as node:
        yield node


@pytest.fixture(scope="module")
def block(node: Node) -> Block:
    return node.pin(RECORDING["block"])


@pytest.fixture(scope="module")
def snapshot(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return taken(node, tmp_path_factory.mktemp("recorded"))


@pytest.fixture
def market(snapshot: Snapshot) -> CompoundV2Market:
    return load(snapshot)[0]


def taken(node: Node, folder: Path, *, wrapped: bool = True) -> Snapshot:
    deployments = write_deployments(RECORDING, folder / "deployments.toml", wrapped=wrapped)
    return take_snapshot(node, RECORDING["block"], deployments=deployments)


def claims_of(snapshot: Snapshot) -> list[str]:
    return snapshot.tables["compound_v2.markets"].texts("claim_token")


def test_everyone_who_owes_is_found_but_who_holds_what_is_not_modelled(
    node: Node, block: Block, snapshot: Snapshot, market: CompoundV2Market
) -> None:
    signature = "getAccountSnapshot(address)(uint256,uint256,uint256,uint256)"
    pairs = [(account, claim) for account in RECORDING["everybody"] for claim in RECORDING["markets"].values()]
    answers = read(node, block, [Call(claim, signature, (account,)) for account, claim in pairs])
    debts = {account for (account, _), answer in zip(pairs, answers, strict=True) if answer[2]}
    assert len(debts) < len(RECORDING["everybody"]), "some accounts of the recording owe nothing"
    strange = debts - set(market.accounts)
    assert len(strange) == 1
    assert any("1 of 10 accounts" in note for note in snapshot.notes)


def test_a_market_without_a_price_and_the_smaller_of_two_in_one_token_are_left_out_and_named(
    snapshot: Snapshot,
) -> None:
    assert sorted(claims_of(snapshot)) == sorted(KEPT)
    (note,) = [note for note in snapshot.notes if "larger market" in note]
    assert all(RECORDING["markets"][name] in note for name in LEFT_OUT)


def test_liquidity_is_the_comptrollers(node: Node, block: Block, market: CompoundV2Market) -> None:
    signature = "getAccountLiquidity(address)(uint256,uint256,uint256)"
    answers = read(node, block, [Call(RECORDING["comptroller"], signature, (a,)) for a in market.accounts])
    assert [(0, max(h, 0), max(-h, 0)) for h in map(market.health_raw, range(len(market.accounts)))] == answers
    assert any(shortfall for _, _, shortfall in answers) or all(liquidity for _, liquidity, _ in answers)


def test_balances_are_the_markets_own(node: Node, block: Block, snapshot: Snapshot, market: CompoundV2Market) -> None:
    markets, positions = market.state()
    claims = claims_of(snapshot)
    signature = "getAccountSnapshot(address)(uint256,uint256,uint256,uint256)"
    for account, address in enumerate(market.accounts):
        entries = {positions.market[e]: e for e in range(*positions.offsets[account : account + 2])}
        answers = read(node, block, [Call(claim, signature, (address,)) for claim in claims])
        member = "checkMembership(address,address)(bool)"
        entered = read(node, block, [Call(RECORDING["comptroller"], member, (address, claim)) for claim in claims])
        for m, ((_, held, debt, rate), within) in enumerate(zip(answers, entered, strict=True)):
            assert exchange_rate(markets, m) == rate
            if m in entries:
                entry = entries[m]
                found = positions.claims[entry], debt_of(markets, positions, entry), positions.entered[entry]
                assert found == (held, debt, within)
            else:
                assert (held, debt, within) == (0, 0, False)


def test_a_market_in_the_chains_own_currency_stands_under_the_token_that_wraps_it(
    node: Node, snapshot: Snapshot, tmp_path: Path
) -> None:
    rows = {row["claim_token"]: row for row in snapshot.tables["compound_v2.markets"].rows()}
    assert rows[RECORDING["markets"]["ETH"]]["token"] == RECORDING["wrapped_native"]
    with pytest.raises(InputError, match="wrapped_native"):
        taken(node, tmp_path, wrapped=False)


def test_prices_and_parameters_are_those_of_the_chain(snapshot: Snapshot, market: CompoundV2Market) -> None:
    oracles = {row["token"]: row for row in snapshot.tables["oracles"].rows()}
    for reserve, token in enumerate(market.tokens):
        assert oracles[token]["price_raw"] == market.price_raw(reserve)
        assert oracles[token]["unit_raw"] == market.price_unit(reserve)
        assert oracles[token]["feed"] == claims_of(snapshot)[reserve]
    prices = sorted(market.price_raw(reserve) / market.price_unit(reserve) for reserve in range(4))
    assert prices == pytest.approx([0.9998, 1.0003, 2904.17, 60741.5])
    (settings,) = snapshot.tables["compound_v2.settings"].rows()
    assert (settings["close_factor_wad"], settings["incentive_wad"]) == (47 * 10**16, 109 * 10**16)
    rows = {row["claim_token"]: row for row in snapshot.tables["compound_v2.markets"].rows()}
    factors = {"DAI": 75, "WBTC": 70, "USDC": 80, "ETH": 82}
    for name, factor in factors.items():
        row = rows[RECORDING["markets"][name]]
        assert (row["collateral_factor_wad"], row["seize_share_wad"]) == (factor * 10**16, 28 * 10**15)


def test_from_there_on_every_step_is_as_the_contracts_took_it(snapshot: Snapshot, market: CompoundV2Market) -> None:
    claims = claims_of(snapshot)
    done = 0
    for step in RECORDING["steps"]:
        for claim, price in step["prices"].items():
            market.set_price(claims.index(claim), int(price))
        market.advance(step["timestamp"])
        open_now = [account for account in range(len(market.accounts)) if market.is_liquidatable(account)]
        assert {market.accounts[a]: str(market.health_raw(a)) for a in open_now} == step["liquidatable"]
        for address, collateral, debt, amount, *result in step["liquidations"]:
            rows = market.accounts.index(address), market.tokens.index(collateral), market.tokens.index(debt)
            terms = market.settle(Offer(*rows, most_raw=int(amount)), int(amount)).terms
            assert [terms.repaid_raw, terms.received_raw, terms.fee_raw] == list(map(int, result))
            done += 1
        markets, _ = market.state()
        for m, claim in enumerate(claims):
            assert [getattr(markets, column)[m] for column in MOVED] == list(map(int, step["after"][claim]))
    assert done >= 15


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("rate", "interest rate model 0x"),
        ("slot", "storage of market 0x"),
    ],
)
def test_a_rate_model_or_a_storage_that_is_not_known_is_refused_by_name(
    change: str, named: str, tmp_path: Path
) -> None:
    recording: dict[str, Any] = deepcopy(RECORDING)
    market = recording["markets"]["DAI"]
    if change == "rate":
        # borrowRatePerBlock(): another rate than the model's parameters give
        recording["calls"][market]["0xf8f9da28"] = f"0x{12_345:064x}"
    else:
        recording["storage"][market] = defaultdict(lambda: f"0x{1:064x}")
    with (
        RecordedServer(recording) as server,
        Node(server.url, cache_dir=None) as node,
        pytest.raises(UnsupportedError, match=named),
    ):
        taken(node, tmp_path)
