"""A crash through Morpho's markets, alone and beside Aave v3.6, is what the real contracts do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.node import Node
from chain.snapshot import Snapshot
from fixtures.localchain import LocalChain, local_chain
from fixtures.localchain.morpho import deploy_morpho
from fixtures.localchain.sender import Sender
from protocols.snapshot import take_snapshot
from simulator.run import Run
from simulator.verify import verify
from tests.crashes import crash
from tests.deployments import write_deployments

pytestmark = pytest.mark.localchain
CRASH = ["WETH=-42%", "wstETH=-48%", "WBTC=-35%", "LINK=-45%", "SOL=-50%"]


@pytest.fixture(scope="module")
def chain() -> Iterator[LocalChain]:
    """A small book of v3.6, for the exchanges and as company."""
    with local_chain(accounts=90) as built:
        yield built


@pytest.fixture(scope="module")
def deployments(chain: LocalChain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain's own, and Morpho beside it, deployed by another account."""
    morpho = deploy_morpho(Sender(chain.node, chain.node.call("eth_accounts")[3], chain.timestamp), chain.reserves)
    path = write_deployments(chain, tmp_path_factory.mktemp("book") / "deployments.toml")
    with path.open("a") as file:
        file.write(
            f'\n[[deployment]]\nchain_id = {chain.chain_id}\nname = "morpho-blue"\nfamily = "lending"\n'
            f'protocol = "morpho_blue"\naddresses = {{ morpho = "{morpho.address}" }}\n'
        )
    return path


def snapshot_of(chain: LocalChain, deployments: Path, *names: str) -> Snapshot:
    return take_snapshot(Node(chain.url, cache_dir=None), "latest", deployments=deployments, names=names)


def liquidated(run: Run, name: str) -> set[tuple[str, str]]:
    """Accounts by the market they were liquidated in, of the markets whose name begins so."""
    rows = run.tables["liquidations"].rows()
    return {(row["market"], row["account"]) for row in rows if row["market"].startswith(name)}


def assert_agrees(run: Run, chain: LocalChain) -> None:
    found = verify(run, chain.url)
    assert {check.what: check.examples for check in found.checks.values() if check.disagreements} == {}
    assert found.liquidations == len(run.tables["liquidations"])
    assert found.swaps == len(run.tables["swaps"])


def test_a_crash_of_morpho_alone_agrees_with_the_contracts_in_every_integer(
    chain: LocalChain, deployments: Path
) -> None:
    run = crash(snapshot_of(chain, deployments, "morpho-blue"), CRASH, over_s=12_000, steps=22, step_s=600)
    accounts = liquidated(run, "morpho-blue/")
    assert len(accounts) >= 20
    assert len({market for market, _ in accounts}) == 5
    assert_agrees(run, chain)


def test_a_sudden_crash_realises_losses_that_the_contracts_confirm(chain: LocalChain, deployments: Path) -> None:
    run = crash(snapshot_of(chain, deployments, "morpho-blue"), CRASH, steps=3, step_s=600)
    written_off = [row for row in run.tables["reserves"].rows() if row["deficit_after_raw"]]
    assert len(written_off) >= 2
    assert_agrees(run, chain)


def test_morpho_and_aave_in_one_run_agree_with_the_contracts_in_every_integer(
    chain: LocalChain, deployments: Path
) -> None:
    run = crash(snapshot_of(chain, deployments), CRASH, over_s=6_000, steps=11, step_s=600)
    assert len(liquidated(run, "morpho-blue/")) >= 10
    assert len(liquidated(run, "aave-v3")) >= 10
    assert_agrees(run, chain)
