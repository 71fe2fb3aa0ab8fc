"""Aave's correlated-asset price oracles (CAPO, bgd-labs/aave-capo): a price that may not rise faster than a rate does.

``PriceCapAdapterBase.latestAnswer``: the base feed's price times an exchange rate, which counts for no more than
snapshotRatio + growth * (now - snapshotTimestamp). ``PriceCapAdapterStable``: a feed's price, at most a fixed cap.
``EURPriceCapAdapterStable``: at most a fixed multiple of another feed's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocols.arithmetic import Number, mul_div_down, rule
from protocols.oracles.kind import Answer, Child, Kind, Part, addresses, numbers, positive
from protocols.oracles.rates import RATE

_SCALING = 10**6


@rule
def rate_cap(snapshot_rate: Number, growth_scaled: Number, elapsed_s: Number) -> Number:
    """PriceCapAdapterBase._getMaxRatio; growth is that of a second, times 1e6."""
    return snapshot_rate + mul_div_down(growth_scaled, elapsed_s, 1_000_000)


@rule
def capped_rate_price(base: Number, rate: Number, cap: Number, rate_unit: Number) -> Number:
    """PriceCapAdapterBase.latestAnswer, of answers above 0."""
    return mul_div_down(base, min(rate, cap), rate_unit)


@rule
def capped_price(price: Number, cap: Number) -> Number:
    """PriceCapAdapterStable.latestAnswer, of an answer above 0."""
    return min(price, cap)


@rule
def relative_cap(base: Number, ratio: Number, ratio_unit: Number) -> Number:
    """EURPriceCapAdapterStable.latestAnswer: the most that the asset may be worth."""
    return mul_div_down(base, ratio, ratio_unit)


def cap_of(part: Part, now: int) -> int:
    """The largest exchange rate that a capped rate lets through at a time."""
    elapsed = now - part.number("snapshot_at")
    return int(rate_cap(part.number("snapshot_rate_raw"), part.number("growth_scaled"), elapsed))


def _start_rate(part: Part, _started: int) -> Answer:
    unit = 10 ** part.number("rate_decimals")

    def answer(children: Mapping[str, int], now: int) -> int:
        base, rate = children["base"], children["rate"]
        return int(capped_rate_price(base, rate, cap_of(part, now), unit)) if positive((base, rate)) else 0

    return answer


def _start_stable(part: Part, _started: int) -> Answer:
    cap = part.number("cap_raw")
    return lambda children, _: max(0, int(capped_price(children["asset"], cap)))


def _start_relative(part: Part, _started: int) -> Answer:
    ratio, unit = part.number("cap_ratio_raw"), 10 ** part.number("ratio_decimals")
    return lambda children, _: int(capped_price(children["asset"], relative_cap(children["base"], ratio, unit)))


def _rate_headroom(part: Part, now: int) -> float:
    return cap_of(part, now) / part.children["rate"].answer_raw - 1.0


def _stable_headroom(part: Part, _: int) -> float:
    return part.number("cap_raw") / part.children["asset"].answer_raw - 1.0


def _relative_headroom(part: Part, _: int) -> float:
    ratio, unit = part.number("cap_ratio_raw"), 10 ** part.number("ratio_decimals")
    return float(relative_cap(part.children["base"].answer_raw, ratio, unit)) / part.children["asset"].answer_raw - 1.0


def _rate_children(_: str, found: Mapping[str, Any]) -> dict[str, Child]:
    """The base feed, and the rate as the adapter itself gives it: providers name theirs in a dozen ways."""
    rate = {"answer": found["rate_raw"], "decimals": found["rate_decimals"]}
    return {"base": Child(found["base"]), "rate": Child(found["rate"], RATE.name, rate)}


def _finish_rate(found: Mapping[str, Any]) -> dict[str, Any]:
    """The growth in a second, times 1e6; early adapters have it in whole units only."""
    kept = {name: value for name, value in found.items() if name not in ("growth_per_second_raw", "rate_raw")}
    kept.setdefault("growth_scaled", int(found.get("growth_per_second_raw", 0)) * _SCALING)
    return kept


KINDS = (
    Kind(
        "capped rate",
        "a base feed times an exchange rate, which counts for no more than its cap",
        "too low where the true rate outruns the cap, or the cap is set wrongly; a rate below the cap is believed",
        getters=numbers(
            {
                "rate_raw": "getRatio",
                "rate_decimals": "RATIO_DECIMALS",
                "snapshot_rate_raw": "getSnapshotRatio",
                "snapshot_at": "getSnapshotTimestamp",
                "yearly_bps": "getMaxYearlyGrowthRatePercent",
                "growth_per_second_raw": "getMaxRatioGrowthPerSecond",
            }
        ),
        sources=addresses({"base": "BASE_TO_USD_AGGREGATOR", "rate": "RATIO_PROVIDER"}),
        optional=numbers({"growth_scaled": "getMaxRatioGrowthPerSecondScaled"}),
        children=_rate_children,
        finish=_finish_rate,
        start=_start_rate,
        headroom=_rate_headroom,
    ),
    Kind(
        "relative cap",
        "a feed, but no more than a fixed multiple of another",
        "too low above the cap; follows the feed down",
        getters=numbers({"cap_ratio_raw": "getPriceCapRatio", "ratio_decimals": "RATIO_DECIMALS"}),
        sources=addresses({"asset": "ASSET_TO_USD_AGGREGATOR", "base": "BASE_TO_USD_AGGREGATOR"}),
        start=_start_relative,
        headroom=_relative_headroom,
    ),
    Kind(
        "price cap",
        "a feed, but no more than a fixed price",
        "too low above the cap; follows the feed down",
        getters=numbers({"cap_raw": "getPriceCap"}, "int256"),
        sources=addresses({"asset": "ASSET_TO_USD_AGGREGATOR"}),
        start=_start_stable,
        headroom=_stable_headroom,
    ),
)
