"""Prices made of two: an asset in a peg and the peg in a base, multiplied or divided.

``CLSynchronicityPriceAdapterPegToBase`` and ``…BaseToPeg`` of bgd-labs/cl-synchronicity-price-adapter, and Compound's
``MultiplicativePriceFeed``. Aave's answer 0 where a part is not above 0.
"""

from __future__ import annotations

from collections.abc import Mapping

from protocols.arithmetic import Number, mul_div_down, rule
from protocols.oracles.kind import Answer, Kind, Part, addresses, numbers, positive


@rule
def product(first: Number, second: Number, unit: Number, denominator: Number) -> Number:
    """CLSynchronicityPriceAdapterPegToBase.latestAnswer, MultiplicativePriceFeed.latestRoundData."""
    return mul_div_down(first * second, unit, denominator)


@rule
def quotient(above: Number, below: Number, unit: Number) -> Number:
    """CLSynchronicityPriceAdapterBaseToPeg.latestAnswer; both feeds have the same decimals."""
    return mul_div_down(above, unit, below)


def _start_product(part: Part, _started: int) -> Answer:
    denominator = part.number("denominator")

    def answer(children: Mapping[str, int], _: int) -> int:
        first, second = children["asset"], children["peg"]
        return int(product(first, second, part.unit, denominator)) if positive((first, second)) else 0

    return answer


def _start_quotient(part: Part, _started: int) -> Answer:
    def answer(children: Mapping[str, int], _: int) -> int:
        above, below = children["asset"], children["base"]
        return int(quotient(above, below, part.unit)) if positive((above, below)) else 0

    return answer


_FAILS = "wrong where either part is; late by the later of the two"

KINDS = (
    Kind(
        "product",
        "an asset's price in a peg, times the peg's price",
        _FAILS,
        getters=numbers({"denominator": "DENOMINATOR"}),
        sources=addresses({"asset": "ASSET_TO_PEG", "peg": "PEG_TO_BASE"}),
        start=_start_product,
    ),
    Kind(
        "product",
        "the price of one feed times that of another",
        _FAILS,
        getters=numbers({"denominator": "combinedScale"}, "int256"),
        sources=addresses({"asset": "priceFeedA", "peg": "priceFeedB"}),
        start=_start_product,
    ),
    Kind(
        "quotient",
        "an asset's price in a peg, over the base's price in it",
        _FAILS,
        sources=addresses({"asset": "ASSET_TO_PEG", "base": "BASE_TO_PEG"}),
        start=_start_quotient,
    ),
)
