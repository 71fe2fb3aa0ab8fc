"""What the reader brings from recorded pools is what their own views say, and goes on as the contracts did.

Three pools of the NG factory (one ramping, one with a rate oracle, one with a coin that nobody lends), an empty one, a
metapool, and 3pool while its A ramps, deployed from their sources; sixty swaps were then made on a fork.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode

from chain.calls import Call, decode, encode, read
from chain.deployments import Deployment
from chain.errors import InputError, UnsupportedError
from chain.fork import Log, Receipt
from chain.node import Block, Node
from chain.snapshot import Snapshot
from chain.tables import Table
from protocols.amm.curve_stableswap import rules
from protocols.amm.curve_stableswap.invariant import invariant, slope
from protocols.amm.curve_stableswap.onfork import OnFork
from protocols.amm.curve_stableswap.pool import StableSwapPool
from protocols.amm.curve_stableswap.reader import read_deployment
from protocols.amm.curve_stableswap.tables import COINS, POOLS, load
from protocols.reading import Reading
from tests.chain.jsonrpc_server import Contract, JsonRpcServer
from tests.protocols.recorded_chain import load_recording, recorded_chain

RECORDING = load_recording("curve_stableswap")
ADDRESS = RECORDING["pools"]
NAME = {address: name for name, address in ADDRESS.items()}
TOKENS = [address for symbol, address in RECORDING["tokens"].items() if symbol != "OTHER"]
READ = ("ramping", "rated", "3pool")


def deployment(**addresses: str) -> Deployment:
    return Deployment(RECORDING["chain_id"], "curve", "amm", "curve_stableswap", "", addresses, 0, "")


def reading_of(node: Node, block: Block, **addresses: str) -> Reading:
    return read_deployment(node, block, deployment(**addresses), TOKENS, lambda _: lambda done, total: None)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with JsonRpcServer(recorded_chain(RECORDING)) as server, Node(server.url, cache_dir=None) as node:
        yield node


@pytest.fixture(scope="module")
def block(node: Node) -> Block:
    return node.pin(RECORDING["block"])


@pytest.fixture(scope="module")
def reading(node: Node, block: Block) -> Reading:
    return reading_of(node, block, factory=RECORDING["factory"], three=ADDRESS["3pool"])


def snapshot_of(block: Block, rows: Mapping[Any, Sequence[dict[str, Any]]]) -> Snapshot:
    tables = {schema.name: Table.from_rows(schema, list(found)) for schema, found in rows.items()}
    return Snapshot(block.chain_id, block.number, block.hash, block.timestamp, "node", (), {}, tables)


@pytest.fixture
def pools(block: Block, reading: Reading) -> dict[str, StableSwapPool]:
    return {NAME[pool.name]: pool for pool in load(snapshot_of(block, reading.rows))}


# --- what is read -------------------------------------------------------------------------------------------------


def test_pools_of_the_factory_and_of_the_list_are_found_and_others_left_out_by_name(
    reading: Reading, pools: dict[str, StableSwapPool]
) -> None:
    assert sorted(pools) == sorted(READ)
    assert [note for note in reading.notes if ADDRESS["meta"] in note and "neither a plain pool" in note]
    assert len(reading.notes) == 1


@pytest.mark.parametrize("name", READ)
def test_every_pool_is_what_its_views_say(
    name: str, node: Node, block: Block, pools: dict[str, StableSwapPool]
) -> None:
    pool = pools[name]
    n = len(pool.tokens)

    def view(signature: str, *arguments: int) -> Any:
        return read(node, block, [Call(pool.name, signature, arguments)])[0]

    assert pool.caveat == ""
    xp = rules.scaled(pool.rates, pool.reserves_raw())
    d = invariant(pool.terms, pool.amp, xp)
    if pool.terms.ng:
        assert list(pool.reserves_raw()) == list(view("get_balances()(uint256[])"))
        assert list(pool.rates) == list(view("stored_rates()(uint256[])"))
        assert pool.amp == view("A_precise()(uint256)")
        for i in range(n - 1):
            above, below = slope(pool.terms, pool.amp, d, xp, i + 1, 0)
            assert rules.ONE * above // below == view("get_p(uint256)(uint256)", i)
        for i, j in ((0, 1), (n - 1, 0)):
            assert round(pool.fee(i, j) * rules.ONE_FEE) == view("dynamic_fee(int128,int128)(uint256)", i, j)
    else:
        assert pool.amp == view("A()(uint256)")
    for i, token in enumerate(pool.tokens):
        held = read(node, block, [Call(token, "balanceOf(address)(uint256)", (pool.name,))])[0]
        assert held == pool.reserves_raw()[i] + pool.admin_balances_raw[i]
    assert max(pool.admin_balances_raw) > 0


def test_what_was_read_is_ramping_and_rated(pools: dict[str, StableSwapPool]) -> None:
    assert pools["ramping"].ramp.initial < pools["ramping"].amp < pools["ramping"].ramp.future
    assert pools["3pool"].ramp.future < pools["3pool"].amp < pools["3pool"].ramp.initial
    assert pools["rated"].rates[0] == 1_151_234_567_890_123_456


# --- what is done with it -----------------------------------------------------------------------------------------


def test_every_swap_made_on_the_fork_gives_what_it_gave_there(pools: dict[str, StableSwapPool]) -> None:
    swaps = 0
    for event in RECORDING["story"]:
        if event["do"] == "wait":
            for pool in pools.values():
                pool.advance(event["until"])
            continue
        pool = pools[NAME[event["pool"]]]
        assert pool.swap(event["i"], event["j"], int(event["amount"])).received_raw == int(event["received"])
        swaps += 1
    assert swaps == 60
    for pool in pools.values():
        end = RECORDING["end"][pool.name]
        assert [str(balance) for balance in pool.reserves_raw()] == end["balances"]
        assert [str(balance) for balance in pool.admin_balances_raw] == end["admin_balances"]


class RecordedFork:
    """A fork that answers as recorded, and whose next transaction has the recorded events."""

    def __init__(self) -> None:
        self.event: dict[str, Any] = {}
        self.sent: list[Call] = []
        self.dealt: list[tuple[str, int]] = []

    def read(self, call: Call) -> Any:
        if call.signature.startswith("allowance"):
            return 2**256 - 1
        return decode(call, bytes.fromhex(RECORDING["calls"][call.target]["0x" + encode(call).hex()][2:]))

    def set_code(self, address: str, code: bytes) -> None:
        pass

    def deal(self, token: str, owner: str, amount_raw: int) -> None:
        self.dealt.append((token, amount_raw))

    def transact(self, sender: str, call: Call) -> Receipt:
        self.sent.append(call)
        logs = [
            Log(self.event["pool"], tuple(bytes.fromhex(t[2:]) for t in log["topics"]), bytes.fromhex(log["data"][2:]))
            for log in self.event["logs"]
        ]
        return Receipt(abi_encode(["bytes"], [b""]), tuple(logs))


def test_the_hand_asks_for_the_swap_of_the_row_and_believes_the_event(pools: dict[str, StableSwapPool]) -> None:
    fork = RecordedFork()
    contract = OnFork(fork)  # type: ignore[arg-type]
    for event in RECORDING["story"]:
        if event["do"] == "wait":
            continue
        fork.event = event
        tokens, amount = pools[NAME[event["pool"]]].tokens, int(event["amount"])
        row = {
            "venue": event["pool"],
            "token_in": tokens[event["i"]],
            "token_out": tokens[event["j"]],
            "amount_raw": amount,
            "limit_raw": 0,
        }
        assert contract.swap(row) == (amount, int(event["received"]))
        assert fork.dealt[-1] == (tokens[event["i"]], amount)
        target, data = fork.sent[-1].args
        swap = Call(event["pool"], "exchange(int128,int128,uint256,uint256)()", (event["i"], event["j"], amount, 0))
        assert (target, data) == (event["pool"], encode(swap))


# --- what is refused ----------------------------------------------------------------------------------------------


def test_a_listed_pool_of_another_kind_is_refused_and_one_with_a_stranger_is_left_out(node: Node, block: Block) -> None:
    with pytest.raises(UnsupportedError, match=f"{ADDRESS['meta']} of curve is neither a plain pool"):
        reading_of(node, block, mine=ADDRESS["meta"])
    left_out = reading_of(node, block, mine=ADDRESS["strange"])
    assert left_out.rows[POOLS] == []
    assert RECORDING["tokens"]["OTHER"] in left_out.notes[0]
    assert reading_of(node, block, mine=ADDRESS["empty"]).rows[POOLS] == []


def one_more(contract: Contract, call: Call) -> Contract:
    """A contract that answers one call with one more than it should."""

    def answer(data: bytes, number: int) -> bytes:
        said = contract(data, number)
        return (int.from_bytes(said, "big") + 1).to_bytes(32, "big") if data == encode(call) else said

    return answer


def test_a_pool_that_promises_something_else_than_the_rules_is_not_taken(
    block: Block, pools: dict[str, StableSwapPool]
) -> None:
    chain = recorded_chain(RECORDING)
    for name in ("3pool", "rated"):
        pool = pools[name]
        promise = Call(pool.name, "get_dy(int128,int128,uint256)(uint256)", (1, 0, pool.reserves_raw()[1] // 100 + 1))
        chain.contracts[pool.name] = one_more(chain.contracts[pool.name], promise)
    with JsonRpcServer(chain) as server, Node(server.url, cache_dir=None) as node:
        with pytest.raises(UnsupportedError, match=r"promises \d+ of coin 0 for \d+ of coin 1, which the rules"):
            reading_of(node, node.pin(block.number), three=ADDRESS["3pool"])
        found = reading_of(node, node.pin(block.number), factory=RECORDING["factory"])
    assert [row["pool"] for row in found.rows[POOLS]] == [ADDRESS["ramping"]]
    assert {row["pool"] for row in found.rows[COINS]} == {ADDRESS["ramping"]}
    assert [note for note in found.notes if ADDRESS["rated"] in note and "which the rules do not say" in note]


def test_a_version_whose_exchange_was_not_recorded_has_a_caveat(block: Block, reading: Reading) -> None:
    rows = [row | {"version": "v6.0.1"} if row["kind"] == "ng" else row for row in reading.rows[POOLS]]
    pools = load(snapshot_of(block, {**reading.rows, POOLS: rows}))
    assert {bool(pool.caveat) for pool in pools if pool.terms.ng} == {True}
    assert "v6.0.1" in next(pool.caveat for pool in pools if pool.terms.ng)


def test_tables_that_do_not_fit_each_other_are_refused(block: Block, reading: Reading) -> None:
    pools, coins = reading.rows[POOLS], reading.rows[COINS]
    assert load(replace(snapshot_of(block, {}))) == []
    for message, rows in (
        ("none curve_stableswap.coins", {POOLS: pools}),
        ("is not there", {POOLS: pools[:1], COINS: coins}),
        ("not numbered", {POOLS: pools, COINS: coins[1:]}),
        ("kind 'meta'", {POOLS: [row | {"kind": "meta"} for row in pools], COINS: coins}),
    ):
        with pytest.raises(InputError, match=message):
            load(snapshot_of(block, rows))
