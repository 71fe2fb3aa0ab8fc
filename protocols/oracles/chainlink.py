"""Chainlink: a proxy in front of an aggregator, whose nodes report a price that has moved enough, or is old.

A report outside ``minAnswer`` and ``maxAnswer`` makes ``transmit`` of ``OffchainAggregator`` (and of
``OCR2Aggregator``) revert, so that the last answer stands: LUNA's stood at 0.107 while the market fell to nothing.

SVR ("smart value recapture") feeds are a ``DualAggregator``: a report is first shown to the winner of an auction, and
to others only ``cutoffTime`` seconds after it was recorded (``_getSyncPrimaryRound``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain.calls import Call
from protocols.asking import NOBODY
from protocols.oracles.kind import Kind, addresses
from protocols.walking import Ask, Slot

ROUND = "latestRoundData()(uint80,int256,uint256,uint256,uint80)"
"""The newest round: id, answer, when it began and when it was published, and the round of the answer."""

_CUTOFF_SLOT = 18
"""Where ``DualAggregator 1.0.0`` keeps its cutoff time, in the lowest 32 bits; it has no getter."""

PUBLISHED = {
    "ETH / USD": (5000, 3600),
    "BTC / USD": (5000, 3600),
    "LINK / USD": (10_000, 3600),
    "DAI / USD": (2500, 3600),
    "USDC / USD": (2500, 82_800),
    "USDT / USD": (2500, 86_400),
    "STETH / ETH": (5000, 86_400),
}
"""Deviation (parts per million) and heartbeat (seconds) of Chainlink's feeds on Ethereum, as data.chain.link lists
them: they are settings of the nodes and stand in no contract."""


def _aggregator(_: str, found: Mapping[str, Any]) -> dict[str, Ask]:
    aggregator = found["aggregator"]
    if aggregator == NOBODY:
        return {}
    return {
        "low_raw": Call(aggregator, "minAnswer()(int192)"),
        "high_raw": Call(aggregator, "maxAnswer()(int192)"),
        "aggregator_type": Call(aggregator, "typeAndVersion()(string)"),
        "svr_word": Slot(aggregator, _CUTOFF_SLOT),
    }


def _finish(found: Mapping[str, Any]) -> dict[str, Any]:
    """Bounds where they bind, and what an auction withholds."""
    kept = {name: value for name, value in found.items() if name not in ("svr_word", "low_raw", "high_raw")}
    low, high = int(found.get("low_raw", 0)), int(found.get("high_raw", 0))
    # 1 and 2**95 and the like are what feeds have that have no bounds
    kept |= {"low_raw": low} if low > 1 else {}
    kept |= {"high_raw": high} if 0 < high < 1 << 80 else {}
    if str(found.get("aggregator_type", "")).startswith("DualAggregator"):
        kept["fallback_s"] = int(found.get("svr_word", 0)) & 0xFFFF_FFFF
    return kept


def is_auctioned(parameters: Mapping[str, int | str]) -> bool:
    """Whether a feed's reports go through an auction first (SVR)."""
    return "fallback_s" in parameters


CHAINLINK = Kind(
    "Chainlink feed",
    "nodes report when the price has moved by the deviation or the heartbeat has run out",
    "late in a crowded block; silent outside its bounds; as wrong as its sources",
    getters=addresses({"aggregator": "aggregator"}),
    further=_aggregator,
    finish=_finish,
    watching="feed",
)
FEED = Kind(
    "price feed",
    "rounds as Chainlink's: somebody publishes when the price has moved or the last answer is old",
    "late, or as wrong as whoever publishes",
    getters={"round": ROUND},
    watching="feed",
)
UNKNOWN = Kind(
    "unknown source",
    "not recognised; it is taken for a feed that follows the market",
    "in ways that are not known",
    watching="feed",
)
KINDS = (CHAINLINK, FEED, UNKNOWN)
