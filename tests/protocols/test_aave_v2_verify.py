"""A crash through Aave v2, alone and beside v3.0 and v3.6, is what the real contracts do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.node import Node
from chain.snapshot import Snapshot
from fixtures.localchain import LocalChain, local_chain
from fixtures.localchain.aave_v2 import deploy_aave_v2
from fixtures.localchain.aave_v3_0 import deploy_aave_v3_0
from fixtures.localchain.sender import Sender
from protocols.snapshot import take_snapshot
from simulator.run import Run
from simulator.verify import verify
from tests.crashes import crash
from tests.deployments import write_deployments

pytestmark = [pytest.mark.localchain, pytest.mark.xdist_group("localchain")]


@pytest.fixture(scope="module")
def chain() -> Iterator[LocalChain]:
    """A small book of v3.6, for the exchanges and as company."""
    with local_chain(accounts=90) as built:
        yield built


@pytest.fixture(scope="module")
def deployments(chain: LocalChain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain's own, and v2 and v3.0 beside it, each deployed by another account."""
    accounts = chain.node.call("eth_accounts")
    first = Sender(chain.node, accounts[1], chain.timestamp)
    v2 = deploy_aave_v2(first, chain.reserves)
    v3_0 = deploy_aave_v3_0(Sender(chain.node, accounts[2], first.time), chain.reserves)
    path = write_deployments(chain, tmp_path_factory.mktemp("book") / "deployments.toml")
    with path.open("a") as file:
        for name, protocol, provider in (
            ("aave-v2", "aave_v2", v2.addresses_provider),
            ("aave-v3-0", "aave_v3", v3_0.addresses_provider),
        ):
            file.write(
                f'\n[[deployment]]\nchain_id = {chain.chain_id}\nname = "{name}"\nfamily = "lending"\n'
                f'protocol = "{protocol}"\naddresses = {{ provider = "{provider}" }}\n'
            )
    return path


def snapshot_of(chain: LocalChain, deployments: Path, *names: str) -> Snapshot:
    return take_snapshot(Node(chain.url, cache_dir=None), "latest", deployments=deployments, names=names)


def liquidated(run: Run, market: str) -> set[str]:
    return {row["account"] for row in run.tables["liquidations"].rows() if row["market"] == market}


def assert_agrees(run: Run, chain: LocalChain) -> None:
    found = verify(run, chain.url)
    assert {check.what: check.examples for check in found.checks.values() if check.disagreements} == {}
    assert found.liquidations == len(run.tables["liquidations"])
    assert found.swaps == len(run.tables["swaps"])


def test_a_crash_of_v2_alone_agrees_with_the_contracts_in_every_integer(chain: LocalChain, deployments: Path) -> None:
    snapshot = snapshot_of(chain, deployments, "aave-v2")
    run = crash(snapshot, ["WETH=-42%", "WBTC=-45%", "LINK=+30%"], over_s=12_000, steps=22, step_s=600)
    at_stable_rate = {row["account"] for row in snapshot.tables["aave_v2.positions"].rows() if row["stable_rate_ray"]}
    accounts = liquidated(run, "aave-v2")
    assert len(accounts) >= 15
    assert accounts & at_stable_rate
    assert accounts - at_stable_rate
    assert_agrees(run, chain)


def test_v2_v3_0_and_v3_6_in_one_run_agree_with_the_contracts_in_every_integer(
    chain: LocalChain, deployments: Path
) -> None:
    snapshot = snapshot_of(chain, deployments)
    run = crash(snapshot, ["WETH,wstETH=-42%", "WBTC=-45%", "LINK=+30%"], over_s=6_000, steps=11, step_s=600)
    for market in ("aave-v2", "aave-v3-0", "aave-v3"):
        assert len(liquidated(run, market)) >= 10
    assert_agrees(run, chain)
