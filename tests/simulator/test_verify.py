"""A run is what the real contracts do: every liquidation, every swap, who was liquidatable, and the deficits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.errors import InputError, NodeError
from chain.node import Node
from chain.snapshot import Snapshot
from chain.tables import Table
from fixtures.localchain import LocalChain
from protocols.snapshot import take_snapshot
from simulator.run import Run, read_run, simulate
from simulator.scenario import BookLaw, Venues
from simulator.stress import shock_scenario
from simulator.verify import verify
from tests.crashes import crash
from tests.deployments import write_deployments

pytestmark = pytest.mark.localchain
CRASH = ["WETH,wstETH=-42%", "WBTC=-25%", "LINK=+30%", "SOL=-35%"]


@pytest.fixture(scope="module")
def snapshot(chain: LocalChain, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    deployments = write_deployments(chain, tmp_path_factory.mktemp("book") / "deployments.toml")
    return take_snapshot(Node(chain.url, cache_dir=None), chain.block, deployments=deployments)


@pytest.fixture(scope="module")
def run(snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A sudden crash, through disk as a user's would go."""
    folder = tmp_path_factory.mktemp("verify") / "run"
    crash(snapshot, CRASH, steps=1, step_s=600).write(folder)
    return read_run(folder)


def test_a_long_crash_agrees_with_the_contracts_in_every_integer(chain: LocalChain, snapshot: Snapshot) -> None:
    run = crash(snapshot, CRASH, over_s=12_000, steps=22, step_s=600)
    liquidated = {row["account"] for row in run.tables["liquidations"].rows()}
    assert len(liquidated) >= 100
    found = verify(run, chain.url)
    assert {check.what: check.examples for check in found.checks.values() if check.disagreements} == {}
    assert found.agrees
    assert found.liquidations == len(run.tables["liquidations"])
    assert found.swaps == len(run.tables["swaps"])
    assert sum(row["deficit_after_raw"] > 0 for row in run.tables["reserves"].rows()) > 0
    assert found.checks["liquidatable before each step, and by how much"].compared == len(run.tables["liquidatable"])


@pytest.mark.parametrize(
    ("table", "column", "what"),
    [
        ("liquidations", "received_raw", "liquidations"),
        ("liquidations", "repaid_raw", "liquidations"),
        ("liquidations", "fee_raw", "liquidations"),
        ("swaps", "received_raw", "swaps"),
        ("liquidatable", "health_raw", "liquidatable before each step, and by how much"),
        ("reserves", "deficit_after_raw", "final deficits"),
    ],
)
@pytest.mark.parametrize("by", [1, -1])
def test_a_figure_that_is_off_by_one_unit_is_found(
    chain: LocalChain, run: Run, table: str, column: str, what: str, by: int
) -> None:
    rows = run.tables[table].rows()
    number = next(i for i, row in enumerate(rows) if row[column] > 0)
    rows[number][column] += by
    found = verify(with_table(run, table, rows), chain.url)
    assert not found.agrees
    assert found.checks[what].disagreements > 0


def test_swaps_that_no_contract_can_repeat_are_left_out_counted_and_named(
    chain: LocalChain, snapshot: Snapshot
) -> None:
    book = BookLaw(token="WETH", quote="USDC", law="linear", depth=1e6)
    venues = Venues(withdrawal=0.5, books=[book])
    run = simulate(snapshot, shock_scenario(CRASH, steps=3, step_s=600).model_copy(update={"venues": venues}))
    found = verify(run, chain.url)
    assert found.agrees
    left = {row["venue"]: row["sequence"] for row in reversed(run.tables["withdrawals"].rows())}
    swaps = run.tables["swaps"].rows()
    compared = [row for row in swaps if row["sequence"] < left.get(row["venue"], 0)]
    # the arbitrage of the first step comes before anybody has left
    assert found.swaps == len(compared) > 0
    assert sum(found.not_compared.values()) == len(swaps) - len(compared) > 0
    for venue in {row["venue"] for row in swaps if row not in compared}:
        (why,) = (why for why in found.not_compared if venue in why)
        assert ("no contract" if venue.startswith("book") else "took liquidity out") in why


def test_an_account_that_the_run_left_out_is_found(chain: LocalChain, run: Run) -> None:
    rows = run.tables["liquidatable"].rows()[1:]
    assert not verify(with_table(run, "liquidatable", rows), chain.url).agrees


def test_a_node_of_another_chain_is_refused(chain: LocalChain, run: Run) -> None:
    other = replace(run, facts=run.facts | {"snapshot": run.facts["snapshot"] | {"chain_id": 1}})
    with pytest.raises(NodeError, match="chain"):
        verify(other, chain.url)


def test_a_run_of_another_block_is_refused(chain: LocalChain, run: Run) -> None:
    other = replace(run, facts=run.facts | {"snapshot": run.facts["snapshot"] | {"hash": "0x" + "11" * 32}})
    with pytest.raises(InputError, match="another block"):
        verify(other, chain.url)


def test_a_sample_cannot_be_verified(chain: LocalChain, run: Run) -> None:
    other = replace(run, facts=run.facts | {"snapshot": run.facts["snapshot"] | {"origin": "sample"}})
    with pytest.raises(InputError, match="no contracts"):
        verify(other, chain.url)


def with_table(run: Run, name: str, rows: list[dict[str, object]]) -> Run:
    """The run with other rows in one table."""
    return Run(run.facts, run.tables | {name: Table.from_rows(run.tables[name].schema, rows)})
