"""Taking a snapshot: interrupted at any moment it ends the same, and what is wrong with a node is one clear message."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chain.deployments import load_deployments
from chain.errors import InputError
from chain.node import Node
from fixtures.localchain import LocalChain
from protocols.snapshot import choose, take_snapshot
from tests.deployments import write_deployments
from tests.simulator.command import unwind

pytestmark = pytest.mark.localchain
UNWIND = [sys.executable, "-c", "from simulator.cli import main; main()"]
KEY = "c0ffee-secret-key"


def command(chain: LocalChain, folder: Path, out: str, *more: str) -> list[str]:
    """The arguments that have the chain's last block read."""
    deployments = folder / "deployments.toml"
    if not deployments.exists():
        write_deployments(chain, deployments)
    reading = ["snapshot", "--rpc", f"{chain.url}/?key={KEY}", "--block", str(chain.block)]
    return [*reading, "--deployments", str(deployments), "--out", str(folder / out), *more]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_snapshot_killed_at_random_moments_ends_with_the_bytes_of_an_undisturbed_one(
    chain: LocalChain, tmp_path: Path
) -> None:
    undisturbed = unwind(*command(chain, tmp_path, "undisturbed", "--cache", str(tmp_path / "one")), folder=tmp_path)
    assert undisturbed.returncode == 0, undisturbed.stderr
    slowly = ["--cache", str(tmp_path / "two"), "--requests-per-second", "15"]
    chance = random.Random(7)
    killed = 0
    while not (tmp_path / "killed").exists():
        process = subprocess.Popen([*UNWIND, *command(chain, tmp_path, "killed", *slowly)], stderr=subprocess.PIPE)
        try:
            # later and later, so that a slow machine gets somewhere too
            process.wait(timeout=chance.uniform(0.8, 2.2) * (1 + killed / 4))
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        process.communicate()
        assert process.returncode in (0, -9)
        leftovers = {path.name for path in tmp_path.iterdir()} - {
            "undisturbed",
            "deployments.toml",
            "one",
            "two",
            "killed",
        }
        assert leftovers == set() or killed, "only a kill may leave a draft behind"
    assert killed > 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def test_the_url_stands_in_no_file(chain: LocalChain, tmp_path: Path) -> None:
    assert unwind(*command(chain, tmp_path, "out", "--cache", "cache"), folder=tmp_path).returncode == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--chain-id", "5"], "chain"),
        (["--protocol", "aave-v9"], "no deployment aave-v9 is known on chain"),
        (["--block", "99999999"], "does not have block 99999999"),
        (["--block", "yesterday"], "yesterday"),
    ],
)
def test_what_cannot_be_read_is_one_message_and_leaves_nothing(
    chain: LocalChain, tmp_path: Path, more: list[str], message: str
) -> None:
    answer = unwind(*command(chain, tmp_path, "out", "--cache", "cache", *more), folder=tmp_path)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr
    assert KEY not in answer.stderr
    assert not (tmp_path / "out").exists()


def test_a_dead_node_is_one_message_without_its_key(tmp_path: Path) -> None:
    started = time.monotonic()
    line = ("snapshot", "--rpc", f"http://127.0.0.1:9/{KEY}", "--out", "out", "--cache", "cache")
    answer = unwind(*line, folder=tmp_path)
    assert answer.returncode == 2
    assert "http://127.0.0.1:9" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert KEY not in answer.stderr
    assert not (tmp_path / "out").exists()
    assert time.monotonic() - started < 100


def test_the_product_knows_its_own_deployments() -> None:
    chosen = choose(load_deployments(), 1, ["aave-v3"])
    exchanges = ["uniswap_v2", "uniswap_v3", "uniswap_v4", "curve_tricrypto", "balancer_weighted"]
    assert [d.protocol for d in chosen] == ["aave_v3", *exchanges]


def test_what_was_not_deployed_yet_is_left_out_with_a_note(chain: LocalChain, tmp_path: Path) -> None:
    path = write_deployments(chain, tmp_path / "deployments.toml")
    early = path.read_text()
    late = early.replace('name = "aave-v3"', f'name = "aave-later"\nfrom_block = {chain.block + 1}').split(
        "[[deployment]]"
    )[1]
    path.write_text(f"{early}\n[[deployment]]{late}")
    with Node(chain.url, cache_dir=None) as node:
        taken = take_snapshot(node, chain.block, deployments=path)
        assert [market.name for market in taken.markets] == ["aave-v3"]
        assert any("Not deployed yet" in note and "aave-later" in note for note in taken.notes)
        with pytest.raises(InputError, match="nothing of aave-later was deployed yet"):
            take_snapshot(node, chain.block, names=["aave-later"], deployments=path)


def test_a_chain_without_deployments_is_refused() -> None:
    with pytest.raises(InputError, match="no lending deployment is known on chain 4242"):
        choose(load_deployments(), 4242, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[deployment]]\nchain_id = 1\n", "entry 1: addresses, family, name, protocol missing"),
        ("deployment = 3", r"no \[\[deployment\]\] entries"),
        ("[[deployment", "cannot be read"),
    ],
)
def test_a_bad_deployments_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "deployments.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_deployments(path)
