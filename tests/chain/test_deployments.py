"""The address book is complete, and each of its entries is one that a reader can start from."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from importlib.resources import files
from typing import Any

import pytest
from web3 import Web3

from chain.deployments import Deployment, load_deployments
from protocols import registry

ETHEREUM, OPTIMISM, BNB, POLYGON, BASE, ARBITRUM, AVALANCHE = 1, 10, 56, 137, 8453, 42161, 43114
ROLES = {
    "aave_v2": {"provider"},
    "aave_v3": {"provider"},
    "aave_v4": {"spoke"},
    "balancer_weighted": {"vault", *(f"factory_{pools}" for pools in ("v1", "v1_two_tokens", "v2", "v3", "v4"))},
    "compound_v2": {"comptroller", "wrapped_native"},
    "compound_v3": {"comet"},
    "curve_tricrypto": {"factory"},
    "morpho_blue": {"morpho"},
    "uniswap_v2": {"factory"},
    "uniswap_v3": {"factory"},
    "uniswap_v4": {"manager", "wrapped_native"},
    "venus_core": {"comptroller", "wrapped_native"},
}
"""Addresses that each reader starts from, where a market or a pool is in the chain's own currency."""

BOOK = load_deployments()


def _label(deployment: Deployment) -> str:
    return f"{deployment.chain_id}-{deployment.name}"


each = pytest.mark.parametrize("deployment", BOOK, ids=_label)
each_lending = pytest.mark.parametrize("deployment", [d for d in BOOK if d.family == "lending"], ids=_label)


@each
def test_every_entry_is_of_a_protocol_with_a_reader(deployment: Deployment) -> None:
    assert callable(registry.part(deployment.family, deployment.protocol, "reader").read_deployment)


@each
def test_every_entry_has_the_addresses_that_its_reader_starts_from_and_no_others(deployment: Deployment) -> None:
    assert deployment.addresses.keys() == ROLES[deployment.protocol]


@each
def test_every_entry_says_in_which_repository_and_where_there_its_addresses_stand(deployment: Deployment) -> None:
    for source in deployment.source.split(", "):
        assert re.fullmatch(r"[\w.-]+/[\w.-]+ [\w./-]+\.(sol|json|ts|yaml)", source)


@each_lending
def test_a_scan_for_accounts_never_begins_at_the_first_block_of_a_chain(deployment: Deployment) -> None:
    assert deployment.from_block > 0


@each
def test_a_version_is_stated_only_where_there_are_rules_for_it(deployment: Deployment) -> None:
    if deployment.version:
        versions = registry.part(deployment.family, deployment.protocol, "versions")
        assert versions.version_of(deployment.version).name == deployment.version


def test_addresses_are_written_with_the_checksum_that_shows_a_mistyped_digit() -> None:
    content: dict[str, Any] = tomllib.loads(files("chain").joinpath("deployments.toml").read_text("utf-8"))
    written = [address for entry in content["deployment"] for address in entry["addresses"].values()]
    assert [address for address in written if not Web3.is_checksum_address(address)] == []


def test_a_name_stands_for_one_deployment_of_a_chain() -> None:
    names = Counter((d.chain_id, d.name) for d in BOOK)
    assert [name for name, count in names.items() if count > 1] == []


def test_nothing_is_read_twice_from_a_chain() -> None:
    """Two entries that start from one contract would count its accounts twice."""
    starts = Counter((d.chain_id, next(iter(d.addresses.values()))) for d in BOOK)
    assert [start for start, count in starts.items() if count > 1] == []


@pytest.mark.parametrize(
    ("chain_id", "markets"),
    [
        (
            ETHEREUM,
            {"aave-v3", "aave-v3-lido", "spark", "aave-v2", "aave-v4-main", "compound-v2", "morpho-blue"}
            | {f"compound-v3-{base}" for base in ("usdc", "weth", "usdt", "wsteth", "usds")},
        ),
        (BASE, {"aave-v3", "compound-v3-usdc", "compound-v3-weth", "morpho-blue"}),
        (ARBITRUM, {"aave-v3", "compound-v3-usdc", "compound-v3-usdt", "compound-v3-weth", "morpho-blue"}),
        (OPTIMISM, {"aave-v3", "compound-v3-usdc", "compound-v3-usdt", "compound-v3-weth"}),
        (POLYGON, {"aave-v3", "compound-v3-usdc", "compound-v3-usdt", "morpho-blue"}),
        (AVALANCHE, {"aave-v3"}),
        (BNB, {"aave-v3", "venus-core"}),
    ],
)
def test_a_chain_has_its_large_markets_and_uniswap(chain_id: int, markets: set[str]) -> None:
    assert markets | {"uniswap-v2", "uniswap-v3", "uniswap-v4"} <= {d.name for d in BOOK if d.chain_id == chain_id}


def test_every_lending_protocol_that_is_modelled_is_deployed_somewhere() -> None:
    assert {d.protocol for d in BOOK if d.family == "lending"} == set(registry.names("lending"))


def test_spark_follows_the_rules_of_aave_3_0_whatever_its_pool_calls_its_revision() -> None:
    (spark,) = (d for d in BOOK if d.name == "spark")
    assert (spark.protocol, spark.version) == ("aave_v3", "3.0")


def test_other_deployments_of_aave_v3_leave_their_version_to_the_block() -> None:
    assert {d.version for d in BOOK if d.protocol == "aave_v3" and d.name != "spark"} == {""}
