"""What the reader brings from recorded weighted pools is what their own views say, and goes on as the contracts did.

Balancer's deployed Vault and factories of versions 1 and 4 on a local chain, eight pools; sixty swaps were then made on
a fork with the pools that the reader takes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chain.calls import Call, encode, read
from chain.errors import InputError
from chain.node import Node
from chain.snapshot import Snapshot
from protocols.amm.balancer_weighted import rules
from protocols.amm.balancer_weighted.onfork import OnFork
from protocols.amm.balancer_weighted.pool import BalancerWeightedPool
from protocols.amm.balancer_weighted.reader import read_deployment
from protocols.amm.balancer_weighted.tables import POOLS, TOKENS, load
from protocols.onfork import EXECUTOR
from tests.protocols.recorded_chain import load_recording
from tests.protocols.recorded_swaps import RecordedFork, read_recorded, replay, snapshot_of, swaps_of

RECORDING = load_recording("balancer_weighted")
ADDRESS = RECORDING["pools"]
NAME = {address: name for name, address in ADDRESS.items()}
READ = {"80-20", "thirds", "mixed", "old 80-20", "old halves"}


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[Node, Snapshot]]:
    addresses = {"vault": RECORDING["vault"], **RECORDING["factories"]}
    with read_recorded(RECORDING, read_deployment, "balancer_weighted", addresses) as found:
        yield found


@pytest.fixture
def pools(recorded: tuple[Node, Snapshot]) -> dict[str, BalancerWeightedPool]:
    return {pool.name: pool for pool in load(recorded[1])}


def test_pools_with_two_listed_tokens_are_found_and_empty_and_paused_ones_left_out(
    pools: dict[str, BalancerWeightedPool],
) -> None:
    assert {NAME[address] for address in pools} == READ


def test_every_pool_is_what_its_views_say(
    recorded: tuple[Node, Snapshot], pools: dict[str, BalancerWeightedPool]
) -> None:
    node = recorded[0]
    for row in recorded[1].tables[POOLS.name].rows():
        own = [token for token in recorded[1].tables[TOKENS.name].rows() if token["pool"] == row["pool"]]
        assert [token["position"] for token in own] == list(range(len(own)))
        scaled = [token["balance_raw"] * 10 ** (18 - token["decimals"]) for token in own]
        weights = [token["weight_wad"] for token in own]
        (view,) = read(node, node.pin(RECORDING["block"]), [Call(row["pool"], "getInvariant()(uint256)")])
        assert rules.invariant(weights, scaled, row["version"] > 1) == view
    thirds = pools[ADDRESS["thirds"]]
    assert thirds.fee(0, 1) == 5e-4
    dollars, ether = (thirds.tokens.index(RECORDING["tokens"][symbol]) for symbol in ("USD", "ETH"))
    assert thirds.price(ether, dollars) == pytest.approx(3_000 * 1e6 / 1e18)


def test_only_the_version_whose_vectors_are_reproduced_has_no_caveat(pools: dict[str, BalancerWeightedPool]) -> None:
    for address, pool in pools.items():
        old = NAME[address].startswith("old")
        assert bool(pool.caveat) == old
        assert pool.exact_powers != old


def test_every_swap_made_on_the_fork_gives_what_it_gave_there(pools: dict[str, BalancerWeightedPool]) -> None:
    assert replay(RECORDING, pools) == 60
    for pool in pools.values():
        assert [str(balance) for balance in pool.reserves_raw()] == RECORDING["end"][pool.name]


def test_the_hand_asks_the_vault_for_the_swap_of_the_row(pools: dict[str, BalancerWeightedPool]) -> None:
    fork = RecordedFork(RECORDING)
    contract = OnFork(fork)  # type: ignore[arg-type]
    for event, row in swaps_of(RECORDING, pools):
        fork.returns = int(event["received"])
        assert contract.swap(row) == (row["amount_raw"], fork.returns)
        assert fork.dealt[-1] == (row["token_in"], row["amount_raw"])
        swap = Call(
            RECORDING["vault"],
            "swap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool),uint256,uint256)()",
            (
                (
                    fork.read(Call(row["venue"], "getPoolId()(bytes32)")),
                    0,
                    row["token_in"],
                    row["token_out"],
                    row["amount_raw"],
                    b"",
                ),
                (EXECUTOR, False, EXECUTOR, False),
                0,
                2**256 - 1,
            ),
        )
        assert fork.sent[-1] == (RECORDING["vault"], encode(swap))


def test_tables_that_do_not_fit_each_other_are_refused(recorded: tuple[Node, Snapshot]) -> None:
    tables = recorded[1].tables
    pools, tokens = tables[POOLS.name].rows(), tables[TOKENS.name].rows()
    assert load(snapshot_of({}, RECORDING)) == []
    with pytest.raises(InputError, match=r"none balancer_weighted\.tokens"):
        load(snapshot_of({POOLS: pools}, RECORDING))
    with pytest.raises(InputError, match="row 1: pool 0x0 is not there"):
        load(snapshot_of({POOLS: pools, TOKENS: [tokens[0] | {"pool": "0x0"}]}, RECORDING))
    with pytest.raises(InputError, match=r"other numbers|add up"):
        load(snapshot_of({POOLS: pools, TOKENS: [token for token in tokens if token["position"]]}, RECORDING))
