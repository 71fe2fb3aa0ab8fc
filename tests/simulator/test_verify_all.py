"""One chain with five lending protocols, one snapshot, one crash, all by the command line: the contracts agree."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from fixtures.localchain import whole_chain
from protocols import registry
from protocols.amm.uniswap_v4.key import NATIVE
from simulator.book import read as read_snapshot
from simulator.run import Run, read_run
from tests.deployments import write_deployments
from tests.simulator.command import strict_json, unwind

pytestmark = pytest.mark.localchain
PROTOCOLS = {
    "aave-v2": ("aave_v2", "2.0"),
    "aave-v3-0": ("aave_v3", "3.0"),
    "aave-v3": ("aave_v3", "3.6"),
    "venus": ("venus_core", "10.3"),
    "morpho-blue": ("morpho_blue", "1.0"),
}
"""By deployment: the folder and the version of its markets."""
CRASH = """
name = "everything"
title = "A crash through five protocols"
step_s = 600
steps = 5
prices = [
    { tokens = ["WETH"], seconds = [0, 600, 1_200], values = [1, 0.83, 0.57] },
    { tokens = ["wstETH"], seconds = [0, 600, 1_200], values = [1, 0.81, 0.52] },
    { tokens = ["WBTC"], seconds = [0, 2_400], values = [1, 0.62] },
    { tokens = ["LINK"], seconds = [0, 1_800], values = [1, 1.3] },
    { tokens = ["SOL", "DOT", "NEAR"], seconds = [0, 600], values = [1, 0.5] },
]
liquidators = { gas_usd = 0.04 }
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with the snapshot of everything, the scenario and its run; and the chain's URL."""
    folder = tmp_path_factory.mktemp("everything")
    (folder / "crash.toml").write_text(CRASH)
    with whole_chain() as whole:
        write_deployments(whole, folder / "deployments.toml")
        at = ("--rpc", whole.chain.url, "--block", str(whole.chain.block), "--cache", "cache")
        everything = ("--protocol", "all", "--deployments", "deployments.toml")
        done(folder, "snapshot", *at, *everything, "--out", "book")
        done(folder, "replay", "crash.toml", "--snapshot", "book", "--out", "run", "--no-sensitivity")
        yield folder, whole.chain.url


def done(folder: Path, *command: str) -> str:
    """What a command prints that succeeds."""
    finished = unwind(*command, folder=folder)
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


def deployment(market: str) -> str:
    """The deployment that a market is of: Morpho's markets are called after it."""
    return market.partition("/")[0]


def count(run: Run, table: str) -> dict[str, int]:
    """Rows of a table of a run by deployment."""
    found: dict[str, int] = defaultdict(int)
    for row in run.tables[table].rows():
        found[deployment(row["market"])] += 1
    return found


def test_a_snapshot_holds_every_protocol_and_info_shows_each(here: tuple[Path, str]) -> None:
    folder, _ = here
    snapshot = read_snapshot(folder / "book")
    assert {deployment(market.name): (market.protocol, market.version) for market in snapshot.markets} == PROTOCOLS
    found = strict_json(done(folder, "info", "book", "--json"))
    assert set(map(deployment, found["accounts"])) == PROTOCOLS.keys()
    assert all(accounts >= 5 for accounts in found["accounts"].values())
    assert {row["market"] for table in ("totals", "riskiest") for row in found[table]} == found["accounts"].keys()
    printed = done(folder, "info", "book")
    for market in snapshot.markets:
        assert f"{market.name}: {market.protocol} {market.version}, " in printed


def test_one_crash_through_all_protocols_agrees_with_the_contracts_in_every_integer(here: tuple[Path, str]) -> None:
    folder, url = here
    run = read_run(folder / "run")
    assert all(count(run, table)[name] > 0 for table in ("liquidations", "liquidatable") for name in PROTOCOLS)
    for name, accounts in liquidated(run).items():
        assert len(accounts) >= 3, name
    for protocol in ("uniswap_v2", "uniswap_v3", "uniswap_v4"):
        assert len(sellers(run, protocol)) >= 4, "liquidations of several protocols are sold in the same pools"
    assert any(NATIVE in row["venue"] for row in run.tables["swaps"].rows()), (
        "and in a pool of the chain's own currency"
    )
    reserves = run.tables["reserves"].rows()
    assert sum(row["deficit_after_raw"] > row["deficit_before_raw"] for row in reserves) > 0
    assert {deployment(row["market"]) for row in reserves if row["bad_debt_economic_usd"] > 1} == PROTOCOLS.keys()

    found = strict_json(done(folder, "verify", "run", "--rpc", url, "--json"))
    checks = {check["what"]: check for check in found["checks"]}
    assert [check["examples"] for check in checks.values() if check["disagreements"]] == []
    assert found["agrees"]
    assert found["liquidations"] == len(run.tables["liquidations"])
    assert found["swaps"] == len(run.tables["swaps"])
    compared = {what: check["compared"] for what, check in checks.items()}
    assert compared == {
        "liquidatable before each step, and by how much": len(run.tables["liquidatable"]),
        "liquidations": 3 * len(run.tables["liquidations"]),
        "swaps": 2 * len(run.tables["swaps"]),
        "final deficits": len(reserves),
    }


def liquidated(run: Run) -> dict[str, set[tuple[str, str]]]:
    """Markets and accounts that were liquidated, by deployment."""
    found: dict[str, set[tuple[str, str]]] = {name: set() for name in PROTOCOLS}
    for row in run.tables["liquidations"].rows():
        found[deployment(row["market"])].add((row["market"], row["account"]))
    return found


def sellers(run: Run, protocol: str) -> set[str]:
    """Deployments whose liquidations were sold in an exchange's pools."""
    market = run.tables["liquidations"].texts("market")
    rows = run.tables["swaps"].rows()
    return {
        deployment(market[row["liquidation"]])
        for row in rows
        if row["protocol"] == protocol and row["liquidation"] >= 0
    }


def test_what_is_unverified_of_each_protocol_is_named_wherever_a_run_is_shown(here: tuple[Path, str]) -> None:
    """On this book nothing is; with two versions put in that no recorded answers confirm, these are and no other."""
    folder, _ = here
    assert shown(folder, "run") == {"text": set(), "json": set(), "report": set()}
    snapshot = read_snapshot(folder / "book")
    older = {"aave-v3-0": "3.1", "venus": "10.0"}
    markets = tuple(replace(m, version=older.get(m.name, m.version)) for m in snapshot.markets)
    replace(snapshot, markets=markets).write(folder / "older")
    caveats = {market.name: market.caveat for market in registry.markets(read_snapshot(folder / "older"))}
    assert {name for name, caveat in caveats.items() if caveat} == older.keys()
    done(folder, "stress", "older", "--shock", "WETH=-1%", "--steps", "1", "--out", "cautious")
    assert shown(folder, "cautious") == {where: set(older) for where in ("text", "json", "report")}
    printed = done(folder, "info", "older")
    assert all(f"  unverified: {caveats[name]}" in printed for name in older)


def shown(folder: Path, run: str) -> dict[str, set[str]]:
    """Markets that a run's text, its JSON and its report call unverified."""
    done(folder, "report", run)
    notes: list[Any] = strict_json(done(folder, "info", run, "--json"))["notes"]
    texts = {
        "text": done(folder, "info", run),
        "json": "\n".join(notes),
        "report": unescape((folder / f"{run}.html").read_text("utf-8")),
    }
    return {where: set(re.findall(r"([\w/-]+): the rules of [^\n<]* are unverified", t)) for where, t in texts.items()}
