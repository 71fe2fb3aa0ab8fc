"""What a price feed is made of is found out from the contracts themselves: real adapters, their answers recorded.

Aave's capped-price adapters, its synchronicity adapters, Morpho's oracle, Maker's OSM and a crvUSD oracle on a local
chain, over stand-ins for Chainlink's proxies and aggregators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from chain.node import Block, Node
from chain.snapshot import ORACLE_PARTS
from chain.tables import Table
from protocols.oracles.kind import Part
from protocols.oracles.kinds import BY_NAME
from protocols.oracles.reader import read_trees
from protocols.oracles.tables import rows, trees_of
from tests.chain.jsonrpc_server import Contract, JsonRpcServer, Revert
from tests.protocols.made_up_contracts import contract as made_up
from tests.protocols.recorded_chain import load_recording, recorded_chain

RECORDING = load_recording("oracles")
FEEDS: dict[str, str] = RECORDING["feeds"]


POOL, BASE, QUOTE, ADAPTER, SOURCE, OTHER = ("0x" + f"{n:02x}" * 20 for n in (0x11, 0x22, 0x33, 0x44, 0x55, 0x66))
STORED = {(ADAPTER, "0x3"): (1 << 128) + 2000 * 10**18, (ADAPTER, "0x4"): (1 << 128) + 1990 * 10**18} | {
    (SOURCE, "0x1"): (1_700_000_000 << 128) + 1980 * 10**18
}
"""What an OSM and a median hold that answers nobody."""


class Server(JsonRpcServer):
    """Storage is what was recorded, and empty elsewhere."""

    def _eth_getStorageAt(self, address: str, place: str, _: Any) -> str:  # noqa: N802
        return str(RECORDING["storage"].get(address.lower(), {}).get(place, hex(STORED.get((address, place), 0))))


def contract(answers: Mapping[str, str]) -> Contract:
    """A contract that reverts for whatever it did not answer when it was recorded."""

    def answer(data: bytes, _: int) -> bytes:
        recorded = answers.get("0x" + data.hex())
        if recorded is None:
            raise Revert
        return bytes.fromhex(recorded[2:])

    return answer


@pytest.fixture(scope="module")
def reading() -> Iterator[tuple[Node, Block, dict[str, Part]]]:
    """A node, and the trees by the names that the recording gives the feeds."""
    chain = recorded_chain(RECORDING)
    chain.contracts = {address: contract(answers) for address, answers in RECORDING["calls"].items()}
    with Server(chain) as server, Node(server.url, cache_dir=None) as node:
        block = node.pin(RECORDING["block"])
        found = read_trees(node, block, sorted(FEEDS.values()))
        yield node, block, {name: found[address] for name, address in FEEDS.items()}


@pytest.fixture
def trees(reading: tuple[Node, Block, dict[str, Part]]) -> dict[str, Part]:
    return reading[2]


def shape(part: Part) -> Any:
    """A tree's kinds: a name for a leaf, (name, children) for what is computed."""
    return (part.kind, {role: shape(child) for role, child in part.children.items()}) if part.children else part.kind


FEED = "Chainlink feed"


@pytest.mark.parametrize(
    ("feed", "made_of"),
    [
        ("ETH", FEED),
        ("LUNA", FEED),
        ("GHO", "fixed price"),
        ("USDC", ("price cap", {"asset": FEED})),
        ("wstETH", ("capped rate", {"base": FEED, "rate": "exchange rate"})),
        ("weETH", ("capped rate", {"base": FEED, "rate": "exchange rate"})),
        ("sUSDe", ("capped rate", {"base": ("price cap", {"asset": FEED}), "rate": "exchange rate"})),
        ("PT", ("PT discount", {"asset": ("price cap", {"asset": FEED})})),
        ("EURC", ("relative cap", {"asset": FEED, "base": FEED})),
        ("cbETH", ("product", {"asset": FEED, "peg": FEED})),
        ("USDC-ETH", ("quotient", {"asset": FEED, "base": FEED})),
        (
            "morpho wstETH/USDC",
            ("Morpho oracle", {"base feed 1": "stETH rate", "base feed 2": FEED, "quote feed 1": FEED}),
        ),
        (
            "morpho vault/ETH",
            ("Morpho oracle", {"base vault": "ERC-4626 rate", "base feed 1": FEED, "quote feed 1": FEED}),
        ),
        ("osm", ("Maker OSM", {"source": "Maker median"})),
        ("ema", ("crvUSD EMA", {"raw": "pool price"})),
    ],
)
def test_every_kind_is_recognised_down_to_its_sources(trees: dict[str, Part], feed: str, made_of: Any) -> None:
    assert shape(trees[feed]) == made_of


def test_what_holds_a_price_is_read(trees: dict[str, Part]) -> None:
    assert trees["USDC"].number("cap_raw") == 104_000_000
    assert trees["wstETH"].number("snapshot_rate_raw") == 1_214_512_345_678_901_234
    assert trees["wstETH"].number("yearly_bps") == 968
    assert trees["PT"].number("yearly_discount_wad") == 131 * 10**15
    assert (trees["LUNA"].number("low_raw"), trees["LUNA"].number("high_raw")) == (10**7, 10**13)
    assert "low_raw" not in trees["ETH"].parameters, "a bound of 1 holds nothing"
    assert (trees["osm"].answer_raw, trees["osm"].number("next_raw")) == (2_903_170 * 10**15, 2905 * 10**18)
    assert trees["osm"].number("poked_at") % 3600 == 0


def test_an_auctioned_feed_tells_how_long_it_keeps_a_report_back_and_another_does_not(trees: dict[str, Part]) -> None:
    assert trees["ETH"].number("fallback_s") == 36
    assert "fallback_s" not in trees["LUNA"].parameters


def test_what_stands_in_no_contract_is_known_of_some_feeds(trees: dict[str, Part]) -> None:
    assert (trees["ETH"].number("deviation_ppm"), trees["ETH"].number("heartbeat_s")) == (5000, 3600)
    assert "heartbeat_s" not in trees["LUNA"].parameters


def test_every_computed_answer_is_what_its_sources_give(trees: dict[str, Part]) -> None:
    now = RECORDING["timestamp"]
    computed = [part for tree in trees.values() for part in tree.walk() if part.children]
    assert len(computed) > 15
    for part in computed:
        start = BY_NAME[part.kind].start
        assert start is not None
        assert start(part, now)({r: c.answer_raw for r, c in part.children.items()}, now) == part.answer_raw


def test_a_tree_comes_back_from_its_rows_as_it_was(trees: dict[str, Part]) -> None:
    table = Table.from_rows(ORACLE_PARTS, [row for name, tree in trees.items() for row in rows(name, tree)])
    assert trees_of(table) == trees


def test_contracts_of_one_depth_share_their_requests(reading: tuple[Node, Block, dict[str, Part]]) -> None:
    node, block, _ = reading
    http, calls = node.http_requests, node.rpc_calls
    read_trees(node, block, sorted(FEEDS.values()))
    # four contracts deep, each depth calls and storage
    assert node.http_requests - http <= 8
    assert node.rpc_calls - calls <= 16


def test_what_answers_otherwise_than_its_kind_would_is_not_believed_to_be_of_it() -> None:
    chain = recorded_chain(RECORDING)
    answer = "0x50d25bcd"
    calls = {address: dict(answers) for address, answers in RECORDING["calls"].items()}
    odd = FEEDS["USDC"]
    calls[odd][answer] = "0x" + hex(int(calls[odd][answer], 16) - 1)[2:].zfill(64)
    chain.contracts = {address: contract(answers) for address, answers in calls.items()}
    with Server(chain) as server, Node(server.url, cache_dir=None) as node:
        found = read_trees(node, node.pin(RECORDING["block"]), [odd, FEEDS["EURC"]])
    assert shape(found[odd]) == "unknown source"
    assert found[odd].description == "Capped USDC / USD"
    assert shape(found[FEEDS["EURC"]]) != "unknown source"


def test_an_address_that_answers_nothing_has_no_tree(reading: tuple[Node, Block, dict[str, Part]]) -> None:
    node, block, _ = reading
    assert read_trees(node, block, ["0x" + "ab" * 20]) == {}


# --- kinds of which no contract's answers are recorded: recognised by their functions -----------------------------


def made_of(contracts: Mapping[str, Mapping[str, Any]]) -> Part:
    """The tree of the adapter among some contracts."""
    chain = recorded_chain(RECORDING)
    chain.contracts = {address: made_up(answers) for address, answers in contracts.items()}
    with Server(chain) as server, Node(server.url, cache_dir=None) as node:
        return read_trees(node, node.pin(RECORDING["block"]), [ADAPTER])[ADAPTER]


ROUNDS = {"latestRoundData()(uint80,int256,uint256,uint256,uint80)": (1, 2000 * 10**8, 5, 5, 1), "decimals()(uint8)": 8}


def test_an_average_of_a_pool_is_read_with_its_window_and_ticks() -> None:
    tree = made_of(
        {
            ADAPTER: {
                "twapWindow()(uint32)": 1800,
                "pool()(address)": POOL,
                "tokenA()(address)": BASE,
                "tokenB()(address)": QUOTE,
            },
            POOL: {
                "observe(uint32[])(int56[],uint160[])": ([-1, -1800 * 250 - 2], [0, 0]),
                "slot0()(uint160,int24,uint16,uint16,uint16,uint8,bool)": (1 << 96, -300, 0, 1, 1, 0, True),
            },
            BASE: {"decimals()(uint8)": 18},
            QUOTE: {"decimals()(uint8)": 18},
        }
    )
    assert shape(tree) == ("Uniswap TWAP", {"spot": "pool price"})
    assert (tree.number("mean_tick"), tree.number("spot_tick"), tree.decimals) == (-251, -300, 18)
    assert tree.answer_raw == pytest.approx(1.0001**-251 * 1e18, rel=1e-9)
    assert tree.children["spot"].answer_raw == pytest.approx(1.0001**-300 * 1e18, rel=1e-9)


def test_a_limiter_stands_between_an_amm_and_its_oracle() -> None:
    average = {
        "price()(uint256)": 1000,
        "raw_price()(uint256)": 1000,
        "ma_exp_time()(uint256)": 600,
        "last_price()(uint256)": 1000,
        "last_timestamp()(uint256)": RECORDING["timestamp"],
    }
    amm = {"price_oracle()(uint256)": 990, "price_oracle_contract()(address)": SOURCE}
    tree = made_of({ADAPTER: amm, SOURCE: average})
    assert shape(tree) == ("crvUSD limiter", {"source": ("crvUSD EMA", {"raw": "pool price"})})
    assert (tree.answer_raw, tree.children["source"].answer_raw) == (990, 1000)


def test_a_product_of_two_feeds_of_compound_is_one() -> None:
    answers = {
        "latestRoundData()(uint80,int256,uint256,uint256,uint80)": (1, 4_000_000 * 10**8, 5, 5, 1),
        "priceFeedA()(address)": SOURCE,
        "priceFeedB()(address)": OTHER,
        "combinedScale()(int256)": 10**16,
        "decimals()(uint8)": 8,
    }
    tree = made_of({ADAPTER: answers, SOURCE: ROUNDS, OTHER: ROUNDS})
    assert shape(tree) == ("product", {"asset": "price feed", "peg": "price feed"})


def test_compounds_constant_price_is_fixed() -> None:
    answers = ROUNDS | {"description()(string)": "Constant price feed"}
    assert shape(made_of({ADAPTER: answers})) == "fixed price"
    assert shape(made_of({ADAPTER: answers | {"description()(string)": "another"}})) == "price feed"


def test_a_median_that_answers_nobody_is_read_from_its_storage() -> None:
    module = {"src()(address)": SOURCE, "hop()(uint16)": 3600, "zzz()(uint64)": RECORDING["timestamp"] - 60}
    tree = made_of({ADAPTER: module, SOURCE: {"age()(uint32)": 1}})
    assert shape(tree) == ("Maker OSM", {"source": "Maker median"})
    assert [tree.answer_raw, tree.number("next_raw"), tree.children["source"].answer_raw] == [
        price * 10**18 for price in (2000, 1990, 1980)
    ]
