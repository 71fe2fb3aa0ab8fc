"""What the reader brings from recorded tricrypto pools is what their own views say, and goes on as the contracts did.

Pools of both contracts that the factory has had, deployed from their sources, traded with for a day; one is ramping.
Sixty swaps were then made on a fork with the pools that the reader takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chain.calls import Call, encode, read
from chain.errors import InputError
from chain.node import Node
from chain.snapshot import Snapshot
from protocols.amm.curve_tricrypto import rules
from protocols.amm.curve_tricrypto.invariant import ONE
from protocols.amm.curve_tricrypto.onfork import OnFork
from protocols.amm.curve_tricrypto.pool import TricryptoPool
from protocols.amm.curve_tricrypto.reader import read_deployment
from protocols.amm.curve_tricrypto.tables import NATIVE, POOLS, load
from tests.protocols.recorded_chain import load_recording
from tests.protocols.recorded_swaps import RecordedFork, read_recorded, replay, snapshot_of, swaps_of

RECORDING = load_recording("curve_tricrypto")
ADDRESS = RECORDING["pools"]
NAME = {address: name for name, address in ADDRESS.items()}
READ = {"now", "ramping", "native"}
RAMP = ("initial_a", "initial_gamma_wad", "initial_time", "future_a", "future_gamma_wad", "future_time")


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[Node, Snapshot]]:
    with read_recorded(RECORDING, read_deployment, "curve_tricrypto", {"factory": RECORDING["factory"]}) as found:
        yield found


@pytest.fixture
def pools(recorded: tuple[Node, Snapshot]) -> dict[str, TricryptoPool]:
    return {pool.name: pool for pool in load(recorded[1])}


def test_pools_with_two_listed_coins_are_found_and_empty_ones_left_out(pools: dict[str, TricryptoPool]) -> None:
    assert {NAME[address] for address in pools} == READ


def test_every_pool_is_what_its_views_say(recorded: tuple[Node, Snapshot], pools: dict[str, TricryptoPool]) -> None:
    node = recorded[0]
    block = node.pin(RECORDING["block"])
    for row in recorded[1].tables[POOLS.name].rows():
        pool = pools[row["pool"]]
        now = row["timestamp"]

        def view(signature: str, *arguments: int, of: str = pool.name) -> Any:
            return read(node, block, [Call(of, signature, arguments)])[0]

        ramp = rules.Ramp(*(row[name] for name in RAMP))
        assert rules.a_gamma(ramp, now) == (view("A()(uint256)"), view("gamma()(uint256)"))
        assert round(pool.fee(0, 1) * rules.ONE_FEE) == view("fee()(uint256)")
        assert row["ma_time"] * 694 // 1000 == view("ma_time()(uint256)")
        state = pool.state
        price = ONE * rules.get_xcp(state.d, state.price_scale) // state.total_supply
        assert price == view("get_virtual_price()(uint256)")
        assert pool.tokens == tuple(view("coins(uint256)(address)", k) for k in range(3))
        for i, j in ((0, 1), (1, 2), (2, 0), (1, 0)):
            amount = pool.reserves_raw()[i] // 1000
            assert pool.quote(i, j, amount).received_raw == view(
                "get_dy(uint256,uint256,uint256)(uint256)", i, j, amount
            )


def test_one_pool_was_read_while_it_ramps_and_one_has_a_caveat(
    recorded: tuple[Node, Snapshot], pools: dict[str, TricryptoPool]
) -> None:
    rows = {NAME[row["pool"]]: row for row in recorded[1].tables[POOLS.name].rows()}
    assert rows["ramping"]["initial_time"] < rows["ramping"]["timestamp"] < rows["ramping"]["future_time"]
    assert {name for name, row in rows.items() if row["contract"] == NATIVE} == {"native"}
    assert {NAME[address] for address, pool in pools.items() if pool.caveat} == {"native"}


def test_every_swap_made_on_the_fork_gives_what_it_gave_there(pools: dict[str, TricryptoPool]) -> None:
    assert replay(RECORDING, pools) == 60
    for pool in pools.values():
        end, state = RECORDING["end"][pool.name], pool.state
        assert [str(balance) for balance in state.balances] == end["balances"]
        assert [str(price) for price in state.price_scale] == end["price_scale"]
        assert [str(price) for price in state.last_prices] == end["last_prices"]
        assert (str(state.d), str(state.virtual_price)) == (end["D"], end["virtual_price"])
        assert str(state.xcp_profit) == end["xcp_profit"]


def test_the_hand_asks_for_the_swap_of_the_row(pools: dict[str, TricryptoPool]) -> None:
    fork = RecordedFork(RECORDING)
    contract = OnFork(fork)  # type: ignore[arg-type]
    for event, row in swaps_of(RECORDING, pools):
        fork.returns = int(event["received"])
        assert contract.swap(row) == (row["amount_raw"], fork.returns)
        assert fork.dealt[-1] == (row["token_in"], row["amount_raw"])
        arguments = (event["i"], event["j"], row["amount_raw"], 0)
        exchange = Call(row["venue"], "exchange(uint256,uint256,uint256,uint256)()", arguments)
        assert fork.sent[-1] == (row["venue"], encode(exchange))


def test_a_snapshot_without_pools_has_none_and_one_with_strange_decimals_is_refused(
    recorded: tuple[Node, Snapshot],
) -> None:
    assert load(snapshot_of({}, RECORDING)) == []
    row = recorded[1].tables[POOLS.name].rows()[0]
    with pytest.raises(InputError, match="18 or fewer"):
        load(snapshot_of({POOLS: [row | {"decimals1": 19}]}, RECORDING))
