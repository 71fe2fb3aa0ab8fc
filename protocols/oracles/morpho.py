"""MorphoChainlinkOracleV2 (morpho-org/morpho-blue-oracles): vaults and feeds multiplied, over vaults and feeds."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from protocols.arithmetic import Number, mul_div_down, rule
from protocols.asking import NOBODY
from protocols.oracles.kind import Answer, Child, Kind, Part, addresses, numbers
from protocols.oracles.rates import VAULT

_ABOVE = {"base vault": "BASE_VAULT", "base feed 1": "BASE_FEED_1", "base feed 2": "BASE_FEED_2"}
_BELOW = {"quote vault": "QUOTE_VAULT", "quote feed 1": "QUOTE_FEED_1", "quote feed 2": "QUOTE_FEED_2"}
_SAMPLES = {"base vault": "base_sample_raw", "quote vault": "quote_sample_raw"}


@rule
def price(scale: Number, above: Number, below: Number) -> Number:
    """MorphoChainlinkOracleV2.price: `above` and `below` are products of what is there, 1 for what is not."""
    return mul_div_down(scale, above, below)


def _start(part: Part, _started: int) -> Answer:
    scale = part.number("scale_factor")

    def answer(children: Mapping[str, int], _: int) -> int:
        above, below = (prod(children[r] for r in roles if r in children) for roles in (_ABOVE, _BELOW))
        return int(price(scale, above, below))

    return answer


def _sampled(sample_raw: int) -> dict[str, int]:
    """A sample of shares; what it is redeemed for reads as a rate, where share and asset have the same decimals."""
    return {"sample_raw": sample_raw, "decimals": len(str(sample_raw)) - 1}


def _finish(found: Mapping[str, Any]) -> dict[str, Any]:
    """Morpho's prices are of smallest units, with 36 decimals."""
    return {**found, "decimals": 36}


def _children(_: str, found: Mapping[str, Any]) -> dict[str, Child]:
    """The feeds and vaults that are set. A vault is asked for the assets of the oracle's own sample."""
    return {
        role: Child(found[role], VAULT.name, _sampled(int(found[_SAMPLES[role]])))
        if role in _SAMPLES
        else Child(found[role])
        for role in (*_ABOVE, *_BELOW)
        if found[role] != NOBODY
    }


KINDS = (
    Kind(
        "Morpho oracle",
        "base vault and feeds multiplied, over quote vault and feeds",
        "wrong where any part is; it cannot be changed, and checks no age",
        getters=numbers(
            {
                "answer": "price",
                "scale_factor": "SCALE_FACTOR",
                "base_sample_raw": "BASE_VAULT_CONVERSION_SAMPLE",
                "quote_sample_raw": "QUOTE_VAULT_CONVERSION_SAMPLE",
            }
        ),
        sources=addresses(_ABOVE | _BELOW),
        children=_children,
        finish=_finish,
        start=_start,
    ),
)
