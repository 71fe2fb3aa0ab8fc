"""What is not modelled is refused by name, in the reader and in the rules: never guessed at, never left out in silence.

The list below is walked once. Every place in the code that refuses must be on it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from chain.blocktime import block_ms
from chain.calls import Call
from chain.deployments import Deployment
from chain.errors import InputError, UnsupportedError
from chain.fork import Fork, Reverted
from chain.node import Node
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Schema, Table
from protocols import registry
from protocols.amm.curve_stableswap.reader import read_deployment
from protocols.amm.pendle import reader as pendle
from protocols.lending.aave_v3 import reader as aave_v3
from protocols.lending.aave_v3 import tables as aave_v3_tables
from protocols.lending.aave_v4 import reader as aave_v4
from protocols.lending.compound_v2 import reader as compound_v2
from protocols.lending.compound_v2.onfork import OnFork as CompoundV2OnFork
from protocols.lending.compound_v3 import reader as compound_v3
from protocols.lending.morpho_blue import reader as morpho
from protocols.lending.morpho_blue import tables as morpho_tables
from protocols.lending.morpho_blue.irm import NO_INTEREST
from protocols.lending.morpho_blue.market import MorphoBlueMarket
from protocols.lending.morpho_blue.state import Parameters, Totals
from protocols.snapshot import take_snapshot
from simulator.book import Book, Token, open_book, read
from simulator.losses.freezes import Freezes
from simulator.losses.runs import Runs
from simulator.losses.shocks import Contagion
from simulator.losses.spread import Spread
from simulator.paths.losses import PathLosses
from simulator.run import simulate
from tests.chain.jsonrpc_server import FakeChain, JsonRpcServer
from tests.protocols import compound_v3_markets
from tests.protocols.made_up_contracts import (
    ACCOUNT,
    BLOCK,
    NOBODY,
    SELF,
    STRANGER,
    TOKEN,
    Answers,
    Server,
    contract,
    take,
)
from tests.protocols.recorded_chain import load_recording
from tests.protocols.recorded_swaps import read_recorded
from tests.simulator.books import ETH, MARKET, Account, make_scenario, make_snapshot
from tests.vectors.__main__ import replay

ROOT = Path(__file__).resolve().parents[2]
WAD, RAY = 10**18, 10**27
BOOK = {"a": Account({"ETH": 1.0}, {"USD": 1_000.0})}
STILL = {"BTC": "USD", "USD": "USD", "DAI": "USD"}


@dataclass(frozen=True)
class Refusal:
    """Something that is not modelled.

    Attributes
    ----------
    what
        In words.
    attempt
        Meets it; may write into the folder that it is given.
    named
        What the message must name.
    kind
        The error.
    """

    what: str
    attempt: Callable[[Path], object]
    named: tuple[str, ...]
    kind: type[Exception] = UnsupportedError


def reading(protocol: str, answers: Answers, **more: Any) -> Callable[[Path], Snapshot]:
    """Read a protocol whose contracts answer so."""
    return lambda folder: take(protocol, folder, answers, **more)


def word(address: str) -> str:
    return f"{address[2:]:0>64}"


# --- readers: what the contracts answer ---------------------------------------------------------------------------

AAVE_V3 = {
    "getPool()(address)": SELF,
    "getPriceOracle()(address)": SELF,
    "getPriceOracleSentinel()(address)": NOBODY,
    "POOL_REVISION()(uint256)": 1,
    "getReservesList()(address[])": [TOKEN],
    "BASE_CURRENCY_UNIT()(uint256)": 10**8,
    aave_v3._RESERVE_DATA: (1 << 56, RAY, 0, RAY, 0, 0, BLOCK, 0, SELF, SELF, SELF, SELF, 0, 0, 0),
    "getSourceOfAsset(address)(address)": SELF,
    "getAssetPrice(address)(uint256)": 10**8,
    "getEModeCategoryData(uint8)((uint16,uint16,uint16,address,string))": (0, 0, 0, NOBODY, ""),
    "scaledTotalSupply()(uint256)": 0,
    "scaledBalanceOf(address)(uint256)": 0,
    "balanceOf(address)(uint256)": 0,
    "totalSupply()(uint256)": 0,
    "RESERVE_TREASURY_ADDRESS()(address)": SELF,
    **{f"{name}()(uint256)": 0 for name in aave_v3._EARLY_RATES.values()},
    "symbol()(string)": "TKN",
}
AAVE_V2 = {
    "getLendingPool()(address)": SELF,
    "getPriceOracle()(address)": SELF,
    "LENDINGPOOL_REVISION()(uint256)": 2,
    "getReservesList()(address[])": [TOKEN],
    "paused()(bool)": False,
    "WETH()(address)": TOKEN,
}
AAVE_V4 = {
    "ORACLE()(address)": SELF,
    "getReserveCount()(uint256)": 1,
    aave_v4._LIQUIDATION_CONFIG: (WAD, WAD, 0),
    "SPOKE_REVISION()(uint64)": aave_v4.REVISION,
    "HUB_REVISION()(uint64)": aave_v4.REVISION,
    aave_v4._RESERVE: (TOKEN, SELF, 7, 18, 0, 0, 0),
    aave_v4._RESERVE_CONFIG: (0, False, False, True, True),
    aave_v4._DYNAMIC_CONFIG: (8_000, 10_500, 0),
    aave_v4._ASSET: (0, 0, 18, 0, 0, 0, 0, 0, 0, RAY, 0, 1_700_000_000, TOKEN, SELF, SELF, SELF, 0),
    aave_v4._SPOKE: (0, 0, 0, 0, 0, 0, 0, True, False, 0),
    aave_v4._RATES: (8_000, 0, 400, 6_000),
    "getAssetDrawnRate(uint256)(uint256)": 0,
    "getReserveSource(uint256)(address)": SELF,
    "getReservePrice(uint256)(uint256)": 10**8,
    aave_v4._STATUS: (False, False),
    "getUserLastRiskPremium(address)(uint256)": 0,
    aave_v4._ACCOUNT_DATA: (0, 0, 0, 0, 0, 0, 1),
    "symbol()(string)": "TKN",
}
COMPOUND_V2 = {
    "oracle()(address)": SELF,
    "closeFactorMantissa()(uint256)": WAD // 2,
    "getAllMarkets()(address[])": [SELF],
    "underlying()(address)": TOKEN,
    "getUnderlyingPrice(address)(uint256)": 10**30,
    "decimals()(uint8)": 6,
    "symbol()(string)": "TKN",
    **{f"{name}()(uint256)": 0 for name in compound_v2._NUMBERS.values()},
    "getCash()(uint256)": 0,
    "borrowIndex()(uint256)": WAD,
    "interestRateModel()(address)": SELF,
    "markets(address)(bool,uint256)": (True, 0),
    "borrowGuardianPaused(address)(bool)": False,
    "getAssetsIn(address)(address[])": [],
    "borrowBalanceStored(address)(uint256)": 5,
    "balanceOf(address)(uint256)": 0,
}
FLAT_RATE = {"baseRatePerBlock()(int256)": 0, "multiplierPerBlock()(int256)": 0}
VENUS = COMPOUND_V2 | {
    "lastPoolId()(uint96)": 0,
    "treasuryPercent()(uint256)": 0,
    "internalCash()(uint256)": 0,
    "liquidatorContract()(address)": NOBODY,
    "vaiController()(address)": NOBODY,
    "protocolPaused()(bool)": False,
}
COMPOUND_V3 = {
    "baseToken()(address)": TOKEN,
    "baseTokenPriceFeed()(address)": SELF,
    "numAssets()(uint8)": 0,
    "baseScale()(uint256)": 10**6,
    "getPrice(address)(uint256)": 10**8,
    "description()(string)": "EURC / EUR",
}
MORPHO = {
    morpho.MARKET: (10**6, 10**12, 10**6, 10**12, 1_600_000_000, 0),
    "price()(uint256)": 10**36,
    "decimals()(uint8)": 6,
}
MORPHO_ID = "0x" + "1d" * 32
MORPHO_MARKET = ([morpho.CREATE_MARKET, MORPHO_ID], "0x" + "".join(map(word, (TOKEN, SELF, SELF, SELF, "0x01"))))
FIXED_RATE = {
    "borrowRateStored(bytes32)(uint256)": 3,
    f"borrowRateView({morpho.PARAMETERS},{morpho.TOTALS})(uint256)": 4,
}
COMPOUND_DEBT = ([compound_v2.BORROW], "0x" + word(ACCOUNT) + word("0x5") * 3)
AAVE_V4_DEBT = ([aave_v4.BORROW, "0x" + "00" * 32, "0x" + word(SELF), "0x" + word(ACCOUNT)], "0x")

READERS = [
    Refusal(
        "a closed sequencer sentinel",
        reading(
            "aave_v3",
            AAVE_V3 | {"getPriceOracleSentinel()(address)": SELF, "isLiquidationAllowed()(bool)": False},
        ),
        ("here", "sentinel", SELF, str(BLOCK)),
    ),
    Refusal(
        "an Aave v3 pool of an unknown revision",
        reading("aave_v3", AAVE_V3 | {"POOL_REVISION()(uint256)": 99}),
        ("here", "POOL_REVISION 99"),
    ),
    Refusal(
        "stable-rate debt on Aave v3",
        reading("aave_v3", AAVE_V3 | {"totalSupply()(uint256)": 7}),
        ("here", "stable-rate debt", TOKEN),
    ),
    Refusal("a paused Aave v2 pool", reading("aave_v2", AAVE_V2 | {"paused()(bool)": True}), ("here", "paused")),
    Refusal(
        "an Aave v2 oracle that counts in a token that is no reserve",
        reading("aave_v2", AAVE_V2 | {"WETH()(address)": STRANGER}),
        ("here", STRANGER),
    ),
    Refusal(
        "an Aave v4 spoke of an unknown revision",
        reading("aave_v4", AAVE_V4 | {"SPOKE_REVISION()(uint64)": 9}),
        ("here", "SPOKE_REVISION", "9", "0.5.11"),
    ),
    Refusal(
        "an Aave v4 spoke with one token from two hubs",
        reading("aave_v4", AAVE_V4 | {"getReserveCount()(uint256)": 2}),
        ("here", TOKEN, "two hubs"),
    ),
    Refusal(
        "another interest rate model on Aave v4",
        reading("aave_v4", AAVE_V4 | {"getAssetDrawnRate(uint256)(uint256)": 1}),
        ("here", f"asset 7 of hub {SELF}", "interest rate model"),
    ),
    Refusal(
        "contracts of Aave v4 that reckon in another way",
        reading("aave_v4", AAVE_V4, logs=[AAVE_V4_DEBT]),
        ("here", f"getUserAccountData({ACCOUNT})", "0.5.11"),
    ),
    Refusal(
        "an unknown interest rate model on Compound v2",
        reading("compound_v2", COMPOUND_V2),
        ("here", f"interest rate model {SELF}"),
    ),
    Refusal(
        "a known interest rate model of Compound v2 that answers in another way",
        reading("compound_v2", COMPOUND_V2 | FLAT_RATE | {"borrowRatePerBlock()(uint256)": 1}),
        ("here", f"interest rate model {SELF}"),
    ),
    Refusal(
        "a market of Compound v2 with another layout of storage",
        reading("compound_v2", COMPOUND_V2 | FLAT_RATE, logs=[COMPOUND_DEBT]),
        ("here", f"storage of market {SELF}", ACCOUNT),
    ),
    Refusal(
        "Venus before it had pools",
        reading("venus_core", {name: value for name, value in VENUS.items() if not name.startswith("lastPoolId")}),
        ("here", "Venus before 10.0"),
    ),
    Refusal(
        "a fee on Venus' redemptions",
        reading("venus_core", VENUS | {"treasuryPercent()(uint256)": 1}),
        ("here", "treasuryPercent"),
    ),
    Refusal(
        "a Comet that counts in euros",
        reading("compound_v3", COMPOUND_V3),
        ("here", SELF, "'EURC / EUR'", "US dollars"),
    ),
    Refusal(
        "an interest rate model of Morpho that is of no known kind",
        reading("morpho_blue", MORPHO, logs=[MORPHO_MARKET]),
        ("here/1d1d1d1d1d", f"interest rate model {SELF}", "neither"),
    ),
    Refusal(
        "an interest rate model of Morpho that answers in another way than its kind",
        reading("morpho_blue", MORPHO | FIXED_RATE, logs=[MORPHO_MARKET]),
        (f"interest rate model {SELF}", "it answers 4, not 3"),
    ),
    Refusal("a protocol without a folder, in a file of deployments", reading("acme", {}), ("'acme'", "aave_v3")),
]

VERSIONED = {
    "aave_v2": AAVE_V2,
    "aave_v3": AAVE_V3,
    "aave_v4": AAVE_V4,
    "compound_v2": COMPOUND_V2,
    "compound_v3": COMPOUND_V3,
    "morpho_blue": MORPHO,
    "venus_core": VENUS,
}
READERS += [
    Refusal(f"an unknown version of {name}, to its reader", reading(name, answers, version="77.7"), ("'77.7'",))
    for name, answers in VERSIONED.items()
]

# --- rules: what lies in a snapshot -------------------------------------------------------------------------------


def load_with_own_price(_: Path) -> object:
    snapshot = make_snapshot(BOOK, version="3.0")
    category = {"market": MARKET, "category": 3, "label": "own", "ltv_bps": 9_000, "threshold_bps": 9_300}
    rows = [category | {"bonus_bps": 10_100, "price_raw": 10**8, "isolated": False}]
    table = Table.from_rows(aave_v3_tables.EMODES, rows)
    return registry.markets(replace(snapshot, tables={**snapshot.tables, table.schema.name: table}))


def morpho_with(version: str = "1.0", model: int = NO_INTEREST) -> object:
    parameters, totals = Parameters(8 * WAD // 10, 0, model), Totals(10, 10**7, 5, 5 * 10**6, 0)
    return MorphoBlueMarket("morpho", version, [], (TOKEN, SELF), (18, 6), parameters, 0, totals, [], 10**36, 0)


def morpho_snapshot_with(model: str) -> object:
    texts = dict.fromkeys(("oracle", "irm", "id"), SELF)
    numbers = dict.fromkeys(("fee_wad", "supply_assets", "supply_shares", "borrow_assets", "borrow_shares"), 0)
    row = texts | numbers | {"lltv_wad": 8 * WAD // 10, "last_update": 0, "rate_wad": 0, "price_raw": 10**36}
    row |= {"market": "morpho", "loan_token": ETH.address, "collateral_token": "0xa0", "model": model}
    tables = [Table.from_rows(morpho_tables.MARKETS, [row]), Table.from_rows(morpho_tables.POSITIONS, [])]
    snapshot = make_snapshot(BOOK)
    content = {**snapshot.tables, **{table.schema.name: table for table in tables}}
    return registry.markets(replace(snapshot, markets=(Market("morpho", "morpho_blue", "1.0"),), tables=content))


def markets_of(protocol: str, version: str) -> object:
    """The markets of a snapshot that names a protocol and version."""
    return registry.markets(replace(make_snapshot(BOOK), markets=(Market("other", protocol, version),)))


def version_of(protocol: str) -> Callable[[Path], object]:
    """Ask a protocol for the rules of a version that there is not."""
    return lambda _: registry.part("lending", protocol, "versions").version_of("77.7")


def folder_with_a_strange_table(folder: Path) -> object:
    snapshot = make_snapshot(BOOK)
    schema = Schema("curve_v9.pools", ("pool",), (Column("pool", "text", "address"),))
    table = Table.from_rows(schema, [{"pool": SELF}])
    replace(snapshot, tables={**snapshot.tables, schema.name: table}).write(folder / "book")
    return read(folder / "book")


RULES = [
    Refusal("an e-mode with a price source of its own", load_with_own_price, ("pool", "category 3", "price source")),
    Refusal("an interest rate model number of Morpho", lambda _: morpho_with(model=9), ("interest rate model 9",)),
    Refusal("an unknown version of Morpho Blue", lambda _: morpho_with("77.7"), ("'77.7'", "1.0")),
    Refusal(
        "a name of an interest rate model in a snapshot of Morpho",
        lambda _: morpho_snapshot_with("quadratic"),
        ("'quadratic'", "morpho"),
        InputError,
    ),
    Refusal("a market of a protocol without a folder", lambda _: markets_of("acme", "1"), ("'acme'", "aave_v3")),
    Refusal("a table of a protocol without a folder", folder_with_a_strange_table, ("curve_v9.pools",), InputError),
    Refusal(
        "an exchange without a folder",
        lambda _: registry.part("amm", "curve_v9", "reader"),
        ("'curve_v9'", "uniswap_v3"),
    ),
]
RULES += [
    Refusal(
        f"an unknown version of {name}, to its rules",
        version_of(name),
        ("'77.7'",),
    )
    for name in VERSIONED
    if name != "morpho_blue"
]

# --- chains, tokens, contracts on a fork, scenarios, recorded answers ---------------------------------------------


def deal_what_is_stored_nowhere(_: Path) -> object:
    """Give out a token whose balances are in none of the usual places."""
    fork: Any = Fork.__new__(Fork)
    fork._balance_slots = {}
    fork._guard = lambda action, target="": action()
    fork._evm = SimpleNamespace(storage=lambda *_: 0, insert_account_storage=lambda *_: None)
    fork.balance = lambda token, owner: 0
    return fork.deal(TOKEN, ACCOUNT, 5)


def liquidate_in_the_chains_own_currency(_: Path) -> object:
    """A market without an underlying token, on a fork."""

    def fails(call: Call) -> object:
        raise Reverted(call.target, "0x")

    contracts: Any = CompoundV2OnFork.__new__(CompoundV2OnFork)
    contracts.fork = SimpleNamespace(read=fails)
    contracts.market_of = {TOKEN: SELF}
    return contracts.liquidate(TOKEN, TOKEN, ACCOUNT, 1)


def take_by_name(folder: Path, name: str) -> object:
    (folder / "deployments.toml").write_text(
        '[[deployment]]\nchain_id = 1\nname = "aave-v3"\nfamily = "lending"\nprotocol = "aave_v3"\naddresses = {}\n'
    )
    with JsonRpcServer(FakeChain()) as server, Node(server.url, cache_dir=None) as node:
        return take_snapshot(node, BLOCK, names=[name], deployments=folder / "deployments.toml")


def replay_of(protocol: str) -> None:
    (outcome,) = replay({"protocol": protocol, "cases": [{"id": "one"}]})
    assert not outcome.passed
    raise InputError(outcome.mismatch)


def without_its_price() -> object:
    snapshot = make_snapshot(BOOK)
    oracles = snapshot.tables["oracles"]
    left = Table.from_rows(oracles.schema, [row for row in oracles.rows() if row["token"] != ETH.address])
    return open_book(replace(snapshot, tables={**snapshot.tables, "oracles": left}))


def read_a_pool_of_another_kind() -> None:
    deployment = Deployment(1, "here", "amm", "curve_stableswap", "", {"pool": SELF}, 0, "made up")
    with Server(FakeChain(contracts={SELF: contract({})})) as server, Node(server.url, cache_dir=None) as node:
        read_deployment(node, node.pin("latest"), deployment, [TOKEN], lambda _: lambda done, total: None)


def read_a_market_of_a_strange_sy() -> None:
    recording = load_recording("pendle")
    addresses = {"mine": recording["pools"]["strange"]}
    with read_recorded(recording, pendle.read_deployment, "pendle", addresses, ("ETH", "PT strange")):
        pass


def leave_a_comet() -> None:
    comet = compound_v3_markets.simple_comet(10**18, 10**9).market()
    tokens = [Token(address, address, 6) for address in comet.tokens]
    book = Book(tokens, [comet], [], np.ones(len(tokens)), compound_v3_markets.NOW, [])
    rules = Contagion.model_validate(
        {"runs": [{"market": "comet", "token": tokens[0].address, "per_hour": 1.0, "from_s": 0.0}]}
    )
    Runs(book, rules, Spread(book, rules, "here"), Freezes(book, rules, "here"), 60.0, "here")


def paths_with_a_fault() -> None:
    fault = {"tokens": ["ETH"], "kind": "stuck"}
    PathLosses.of(open_book(make_snapshot(BOOK)), ("ETH",), make_scenario(oracles={"faults": [fault]}), follow=STILL)


OTHERS = [
    Refusal(
        "a listed Pendle market whose SY is not one for one",
        lambda _: read_a_market_of_a_strange_sy(),
        ("recorded", load_recording("pendle")["pools"]["strange"], "one for one"),
    ),
    Refusal("a listed Curve pool of another kind", lambda _: read_a_pool_of_another_kind(), ("here", SELF, "neither")),
    Refusal(
        "suppliers who leave a market whose withdrawals are not modelled",
        lambda _: leave_a_comet(),
        ("here", "comet", "compound_v3"),
    ),
    Refusal("random paths with what only single scenarios have", lambda _: paths_with_a_fault(), ("oracles.faults",)),
    Refusal("a chain whose pace is not known", lambda _: block_ms(424_242, 0), ("chain 424242",)),
    Refusal("a token whose balances are stored nowhere known", deal_what_is_stored_nowhere, (TOKEN,)),
    Refusal("a fork's market in the chain's own currency", liquidate_in_the_chains_own_currency, (SELF,)),
    Refusal("a deployment that is not known", lambda f: take_by_name(f, "acme"), ("acme", "aave-v3"), InputError),
    Refusal("a token that no oracle prices", lambda _: without_its_price(), ("ETH", ETH.address), InputError),
    Refusal(
        "a token of a scenario that the snapshot lacks",
        lambda _: simulate(make_snapshot(BOOK), make_scenario({"DOGE": 0.5})),
        ("DOGE",),
        InputError,
    ),
    Refusal("recorded answers of an unknown protocol", lambda _: replay_of("acme"), ("'acme'",), InputError),
]
LIST = [*READERS, *RULES, *OTHERS]


# --- walking the list ---------------------------------------------------------------------------------------------

Place = tuple[str, int]
"""File, from the root of the project, and line."""


@dataclass(frozen=True)
class Walked:
    """What came of it: the error raised for each item, and where the code made an UnsupportedError."""

    raised: Mapping[str, BaseException | None]
    places: frozenset[Place]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """The list, walked from end to end."""
    places: set[Place] = set()

    def remember(self: UnsupportedError, *arguments: object) -> None:
        frame = sys._getframe(1)
        places.add((str(Path(frame.f_code.co_filename).relative_to(ROOT)), frame.f_lineno))
        Exception.__init__(self, *arguments)

    raised: dict[str, BaseException | None] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UnsupportedError, "__init__", remember)
        for number, item in enumerate(LIST):
            raised[item.what] = None
            try:
                item.attempt(tmp_path_factory.mktemp(f"refusal{number}"))
            except Exception as error:
                raised[item.what] = error
    return Walked(raised, frozenset(places))


@pytest.mark.parametrize("item", LIST, ids=lambda item: item.what)
def test_it_is_refused_by_name(item: Refusal, walked: Walked) -> None:
    error = walked.raised[item.what]
    assert type(error) is item.kind, error
    assert [name for name in item.named if name not in str(error)] == [], str(error)


def refusing_places() -> Iterator[tuple[str, range]]:
    """Every place in the code that makes an UnsupportedError: file, and the lines of it."""
    for package in ("chain", "protocols", "simulator"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "UnsupportedError":
                    yield str(path.relative_to(ROOT)), range(node.lineno, (node.end_lineno or node.lineno) + 1)


def test_every_place_that_refuses_is_on_the_list(walked: Walked) -> None:
    every = list(refusing_places())
    assert len(every) > 20
    missed = [
        f"{file}:{lines.start}" for file, lines in every if not any((file, line) in walked.places for line in lines)
    ]
    assert missed == []


def test_every_lending_protocol_is_on_the_list() -> None:
    assert set(registry.names("lending")) == VERSIONED.keys()


def test_with_answers_that_are_modelled_a_reader_refuses_nothing(tmp_path: Path) -> None:
    taken = take("aave_v3", tmp_path, AAVE_V3)
    assert ([market.version for market in taken.markets], taken.notes) == (["3.0"], ())
    assert [market.version for market in take("aave_v4", tmp_path, AAVE_V4).markets] == ["0.5.11"]
    dollars = {"description()(string)": "EURC / USD"}
    more = {compound_v3._TOTALS_BASIC: (10**15, 10**15, 0, 0, 0, 0, 1_600_000_000, 0), "balanceOf(address)(uint256)": 0}
    more |= {f"{name}()(uint256)": 0 for name in compound_v3._GETTERS.values()}
    more |= {"totalsCollateral(address)(uint128,uint128)": (0, 0), "symbol()(string)": "EURC"}
    taken = take("compound_v3", tmp_path, COMPOUND_V3 | dollars | more)
    assert [market.version for market in taken.markets] == ["Comet"]
