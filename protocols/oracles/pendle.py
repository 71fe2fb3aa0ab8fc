"""Aave's price of a Pendle principal token (PendlePriceCapAdapter of aave-capo): a discount that ends at maturity."""

from __future__ import annotations

from collections.abc import Mapping

from protocols.arithmetic import Number, mul_div_down, rule
from protocols.oracles.kind import Answer, Kind, Part, addresses, numbers


@rule
def discount(left_s: Number, yearly: Number) -> Number:
    """PendlePriceCapAdapter.getCurrentDiscount, in wad, so long before maturity."""
    return mul_div_down(left_s, yearly, 31_536_000)


@rule
def discounted(price: Number, less: Number, one: Number) -> Number:
    """PendlePriceCapAdapter.latestAnswer, of an answer above 0; `less` and `one` in wad."""
    return mul_div_down(price, one - less, one)


def _start(part: Part, _started: int) -> Answer:
    maturity, yearly = part.number("maturity"), part.number("yearly_discount_wad")

    def answer(children: Mapping[str, int], now: int) -> int:
        left = max(0, maturity - now)
        price = children["asset"]
        return int(discounted(price, discount(left, yearly), 10**18)) if price > 0 else 0

    return answer


KINDS = (
    Kind(
        "PT discount",
        "the asset's feed, less a discount that falls in a straight line to nothing at maturity",
        "blind to the market's yield: too high when it spikes",
        getters=numbers({"maturity": "MATURITY", "yearly_discount_wad": "discountRatePerYear"}),
        sources=addresses({"asset": "ASSET_TO_USD_AGGREGATOR"}),
        start=_start,
    ),
)
