"""Books whose prices are made of several contracts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chain.snapshot import ORACLE_PARTS, Snapshot
from chain.tables import Table
from protocols.oracles.kind import Part
from protocols.oracles.tables import rows
from tests.simulator.books import BTC, DAI, ETH, START, USD, Asset

DAY, YEAR, WAD = 86_400, 365 * 86_400, 10**18
RATE = 1.2288

WST = replace(ETH, symbol="wstETH", address="0x7f", price_usd=round(ETH.price_usd * RATE, 8), published_ago=0)
PT = replace(DAI, symbol="PT-DAI", address="0x9e", price_usd=0.9, published_ago=0)
MORE = (ETH, BTC, USD, DAI, WST, PT)
"""Assets of a market that also lends against wrapped staked ether and a principal token."""


def feed_of(asset: Asset) -> str:
    return "0xfeed" + asset.address[2:]


def feed(asset: Asset, pair: str = "", **parameters: int) -> Part:
    """A Chainlink feed that answers the asset's price."""
    published = START - asset.published_ago
    return Part("Chainlink feed", "0xf1", pair or f"{asset.symbol} / USD", 8, asset.price_raw, published, parameters)


def capped_rate(base: Part, rate: float, cap: float, answer_raw: int) -> Part:
    """An Aave adapter whose rate may not grow."""
    parameters = {
        "snapshot_rate_raw": round(cap * WAD),
        "growth_scaled": 0,
        "snapshot_at": START - 10 * DAY,
        "rate_decimals": 18,
    }
    children = {"base": base, "rate": Part("exchange rate", "0xf2", "", 18, round(rate * WAD))}
    return Part("capped rate", "0xf3", "Capped wstETH / USD", 8, answer_raw, 0, parameters, children)


def price_cap(source: Part, cap_usd: float) -> Part:
    """An Aave adapter of a stablecoin."""
    return Part(
        *("price cap", "0xf4", "Capped", 8, source.answer_raw, 0), {"cap_raw": round(cap_usd * 1e8)}, {"asset": source}
    )


def with_trees(snapshot: Snapshot, trees: Mapping[Asset, Part]) -> Snapshot:
    """A snapshot that says what the prices of some assets are made of."""
    parts = [row for asset, tree in trees.items() for row in rows(feed_of(asset), tree)]
    return replace(snapshot, tables={**snapshot.tables, ORACLE_PARTS.name: Table.from_rows(ORACLE_PARTS, parts)})
