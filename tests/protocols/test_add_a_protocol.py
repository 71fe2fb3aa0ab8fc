"""The protocol that README.md adds in one folder, taken from the page and run: nothing else has to know it."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

import protocols.lending
from chain.errors import InputError, UnsupportedError
from chain.node import Node
from chain.snapshot import ORACLES, TOKENS, Market, Snapshot
from chain.tables import Table
from protocols import registry
from protocols.arithmetic import FLOAT_FORMS
from protocols.lending.interface import LendingMarket, Offer, Terms
from protocols.snapshot import take_snapshot
from simulator.book import open_book, read
from simulator.run import Run, simulate
from tests.chain.jsonrpc_server import Contract, FakeChain, JsonRpcServer, Revert
from tests.simulator.books import ETH, USD, Pool, make_scenario, make_snapshot

ROOT = Path(__file__).resolve().parents[2]
FILE = re.compile(r"^### `(\w+\.py)`\n.*?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = dict(FILE.findall((ROOT / "protocols" / "README.md").read_text("utf-8")))

NAME, PAWN = "pawn-eth-usd", "0x" + "ba" * 20
PRICES = {"ETH": 2_000.0, "USD": 1.0}
ASSETS = [replace(asset, price_usd=PRICES[asset.symbol], address="0x" + asset.address[2:] * 20) for asset in (ETH, USD)]
POOLS = (Pool("ETH", "USD", 400.0e6, 500), Pool("ETH", "USD", 7.0e6))
LOANS = {
    # each has one ETH, whose limit is 80 % of its price: 1,600 dollars at first, 1,280 and 1,279.20 after the falls
    "0xa1": (10**18, 1_000_000_000),  # never in danger
    "0xb2": (10**18, 1_280_000_000),  # just at the limit after the first fall, beyond it after the second
    "0xc3": (10**18, 1_590_000_000),  # beyond the limit after the first fall, and more than its collateral repays
}
FALLS = [0.8, 0.7995]


@pytest.fixture(scope="module", autouse=True)
def pawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The folder, where protocols are looked for."""
    above = tmp_path_factory.mktemp("protocols")
    (above / "pawn").mkdir()
    for name, code in ({"__init__.py": ""} | FILES).items():
        (above / "pawn" / name).write_text(code, "utf-8")
    rules = set(FLOAT_FORMS)
    protocols.lending.__path__.append(str(above))
    importlib.invalidate_caches()
    yield
    protocols.lending.__path__.remove(str(above))
    for module in [name for name in sys.modules if name.startswith("protocols.lending.pawn")]:
        del sys.modules[module]
    del protocols.lending.pawn  # type: ignore[attr-defined]
    for rule in FLOAT_FORMS.keys() - rules:
        del FLOAT_FORMS[rule]
    importlib.invalidate_caches()
    assert "pawn" not in registry.names("lending")


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """A Pawn pool beside two Uniswap pools."""
    pools, loans = registry.part("lending", "pawn", "tables").SCHEMAS
    others = make_snapshot({}, POOLS, ASSETS)
    eth, usd = ASSETS
    feed = {"market": NAME, "numeraire": "", "feed": PAWN, "description": "", "unit_raw": 10**8, "published_at": 0}
    terms = {"collateral": eth.address, "loan": usd.address, "threshold_bps": 8_000, "bonus_bps": 10_500}
    rows = {
        ORACLES: [feed | {"token": asset.address, "price_raw": asset.price_raw} for asset in ASSETS],
        pools: [{"market": NAME} | terms],
        loans: [
            {"market": NAME, "account": account, "collateral_raw": collateral, "debt_raw": debt}
            for account, (collateral, debt) in LOANS.items()
        ],
    }
    kept = {name: table for name, table in others.tables.items() if not name.startswith("aave_v3.")}
    return replace(
        others,
        markets=(Market(NAME, "pawn", "1"),),
        adapters={"pawn": 1},
        tables=kept | {schema.name: Table.from_rows(schema, found) for schema, found in rows.items()},
    )


@pytest.fixture(scope="module")
def run(snapshot: Snapshot) -> Run:
    return simulate(snapshot, make_scenario({"ETH": FALLS}, steps=len(FALLS)))


def market_of(snapshot: Snapshot) -> LendingMarket:
    (market,) = registry.markets(snapshot)
    return market


def test_the_whole_protocol_is_under_150_lines() -> None:
    assert set(FILES) == {"rules.py", "market.py", "tables.py", "reader.py"}
    lines = [line for code in FILES.values() for line in code.splitlines() if line.strip()]
    assert len(lines) < 150
    assert max(map(len, lines)) <= 120


def test_nothing_else_names_it() -> None:
    sources = [path for package in ("chain", "protocols", "simulator") for path in (ROOT / package).rglob("*.py")]
    assert len(sources) > 50
    assert [
        path for path in (*sources, ROOT / "unwind.py") if re.search(r"\bpawn", path.read_text("utf-8"), re.I)
    ] == []


def test_it_is_there_because_its_folder_is_there(snapshot: Snapshot) -> None:
    assert "pawn" in registry.names("lending")
    assert {"pawn.pools", "pawn.loans"} <= {schema.name for schema in registry.schemas()}
    market = market_of(snapshot)
    assert (market.name, market.protocol, market.version) == (NAME, "pawn", "1")


def test_who_is_beyond_the_limit_is_liquidated_and_nobody_at_it(run: Run) -> None:
    found = [(row["step"], row["account"], row["health_raw"]) for row in run.tables["liquidatable"].rows()]
    assert found == [(1, "0xc3", 128_000_000_000 - 159_000_000_000), (2, "0xb2", 127_920_000_000 - 128_000_000_000)]
    assert [(row["step"], row["account"]) for row in run.tables["liquidations"].rows()] == [(1, "0xc3"), (2, "0xb2")]


def test_amounts_are_those_of_a_calculation_by_hand(run: Run) -> None:
    sunk, edge = run.tables["liquidations"].rows()
    # one ETH at 1,600 dollars is worth 1,600 / 1.05 of debt, rounded up
    assert (sunk["repaid_raw"], sunk["received_raw"], sunk["fee_raw"]) == (1_523_809_524, 10**18, 0)
    # 1,280 dollars at 1,599 dollars an ETH are 0.800500312695434646 ETH, and a bonus of 5 % on that
    assert (edge["repaid_raw"], edge["received_raw"]) == (1_280_000_000, 840_525_328_330_206_378)
    assert edge["profit_usd"] > 0


def test_what_no_collateral_is_left_for_is_lost_to_the_lenders(run: Run) -> None:
    (deficit,) = run.tables["deficits"].rows()
    lost = 1_590_000_000 - 1_523_809_524
    assert (deficit["account"], deficit["amount_raw"], deficit["borne_by"]) == ("0xc3", lost, "its lenders")
    steps = run.tables["steps"]
    assert steps.floats("bad_debt_realised_usd") == pytest.approx([lost / 1e6] * 2, rel=1e-12)
    assert steps.floats("bad_debt_economic_usd") == pytest.approx([0.0, 0.0])
    reserves = {row["token"]: row for row in run.tables["reserves"].rows()}
    assert reserves[ASSETS[1].address]["deficit_after_raw"] == lost


def test_every_result_says_that_the_rules_are_unverified(run: Run) -> None:
    assert any("rules of pawn 1 are unverified" in note for note in run.notes)


def test_a_refused_liquidation_changes_nothing(snapshot: Snapshot) -> None:
    market = market_of(snapshot)
    before = market.exposures()
    for account in range(3):
        assert not market.offers(account)
        assert market.settle(Offer(account, 0, 1, 1), 1).terms == Terms(0, 0, 0, "NotLiquidatable()")
    assert all((a == b).all() for a, b in zip(before, market.exposures(), strict=True))


def test_a_part_may_be_repaid_and_rounding_is_against_the_liquidator(snapshot: Snapshot) -> None:
    market = market_of(snapshot)
    market.set_price(0, 1_599 * 10**8)
    offer = market.offers(1)[0]
    assert offer.most_raw == 1_280_000_000
    # 7 / 1599e-6 of the smallest units of ETH, and 5 %
    assert market.settle(offer, 7).terms == Terms(7, 4_596_622_889, 0)
    assert market.offers(1)[0].most_raw == 1_280_000_000 - 7


def test_the_view_for_screening_is_the_exact_state(snapshot: Snapshot) -> None:
    book = open_book(snapshot)
    seen = book.markets[0].exposures()
    assert seen.offsets.tolist() == [0, 2, 4, 6]
    assert seen.supplied[seen.reserve == 0].tolist() == [1.0, 1.0, 1.0]
    assert seen.debt[seen.reserve == 1].tolist() == [1_000.0, 1_280.0, 1_590.0]
    assert seen.threshold[seen.reserve == 0].tolist() == [0.8] * 3
    assert not seen.debt[seen.reserve == 0].any()


def test_it_is_written_and_read_back(snapshot: Snapshot, tmp_path: Path) -> None:
    snapshot.write(tmp_path / "snapshot")
    assert read(tmp_path / "snapshot").digest == snapshot.digest


def test_another_version_and_a_missing_table_are_refused_by_name(snapshot: Snapshot) -> None:
    with pytest.raises(UnsupportedError, match="Pawn version '2'"):
        registry.markets(replace(snapshot, markets=(Market(NAME, "pawn", "2"),)))
    left = {name: table for name, table in snapshot.tables.items() if name != "pawn.loans"}
    with pytest.raises(InputError, match=r"no table pawn\.loans"):
        registry.markets(replace(snapshot, tables=left))


def contract(answers: dict[str, tuple[str, object]]) -> Contract:
    """A contract that answers functions with values of a type; by argument where the value is a mapping."""
    by_selector = {keccak(text=name)[:4]: answer for name, answer in answers.items()}

    def answer(data: bytes, _: int) -> bytes:
        if data[:4] not in by_selector:
            raise Revert
        types, value = by_selector[data[:4]]
        found = value["0x" + data[-20:].hex()] if isinstance(value, dict) else value
        return encode(types.split(), found if isinstance(found, tuple) else (found,))

    return answer


def test_its_reader_brings_the_same_from_a_node(snapshot: Snapshot, tmp_path: Path) -> None:
    eth, usd = ASSETS
    accounts = {f"0x{account[2:]:0>40}": loan for account, loan in LOANS.items()}
    chain = FakeChain()
    chain.contracts = {
        asset.address: contract({"decimals()": ("uint8", asset.decimals), "symbol()": ("string", asset.symbol)})
        for asset in ASSETS
    }
    chain.contracts[PAWN] = contract(
        {
            "terms()": ("address address uint256 uint256", (eth.address, usd.address, 8_000, 10_500)),
            "borrowers()": ("address[]", list(accounts)),
            "loans(address)": ("uint256 uint256", accounts),
            "price(address)": ("uint256", {asset.address: asset.price_raw for asset in ASSETS}),
        }
    )
    deployments = tmp_path / "deployments.toml"
    deployments.write_text(
        f'[[deployment]]\nchain_id = 1\nname = "{NAME}"\nfamily = "lending"\nprotocol = "pawn"\n'
        f'addresses = {{ pawn = "{PAWN}" }}\n'
    )
    with JsonRpcServer(chain) as server, Node(server.url, cache_dir=None) as node:
        taken = take_snapshot(node, 900, deployments=deployments)
    assert [market.protocol for market in taken.markets] == ["pawn"]
    assert [note for note in taken.notes if "the reader of pawn 1 is unverified" in note]
    for table in (TOKENS.name, ORACLES.name, "pawn.pools"):
        assert taken.tables[table].rows() == sorted(snapshot.tables[table].rows(), key=lambda row: row.get("token", ""))
    read_loans = {row["account"]: (row["collateral_raw"], row["debt_raw"]) for row in taken.tables["pawn.loans"].rows()}
    assert read_loans == accounts


def test_its_rules_compile(snapshot: Snapshot) -> None:
    from protocols.compiled import fast

    rules = registry.part("lending", "pawn", "rules")
    for amount in (10**9, 2 * 10**9):
        exact = rules.liquidate(10**18, 1_590_000_000, amount, 1_600 * 10**14, 10**26, 10_500)
        assert fast(rules.liquidate)(1e18, 1.59e9, float(amount), 1.6e17, 1e26, 1.05e4) == pytest.approx(exact)
