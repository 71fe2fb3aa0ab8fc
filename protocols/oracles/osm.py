"""Maker's oracle security module (makerdao/osm): every price waits an hour before it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from chain.calls import Call
from protocols.oracles.kind import Answer, Child, Kind, Part, addresses, numbers
from protocols.walking import Ask, Slot

_CURRENT_SLOT, _NEXT_SLOT = 3, 4
"""Where ``cur`` and ``nxt`` are kept: their getters answer contracts on a list only."""
_MEDIAN_SLOT = 1
"""Where Maker's ``Median`` keeps its value, in the lower half; its getter answers contracts on a list only."""


class Module(NamedTuple):
    """What an OSM holds: the price that counts, the one that waits, and when that was taken."""

    current: int
    next: int
    poked_at: int


def poke(module: Module, source: int, now: int, hop: int) -> Module:
    """OSM.poke, once or as often as was due since: the price that waited counts, and the source's waits.

    Keepers poke at the first moment they may, so that `poked_at` goes on in whole hops.
    """
    while now >= module.poked_at + hop:
        at = module.poked_at + hop
        module = Module(module.next, source, at - at % hop)
    return module


@dataclass
class _Running:
    """An OSM from the start of a run on."""

    module: Module
    hop: int
    started: int

    def __call__(self, children: Mapping[str, int], now: int) -> int:
        if now > self.started:
            self.module = poke(self.module, children["source"], now, self.hop)
        return self.module.current


def _start(part: Part, started: int) -> Answer:
    module = Module(part.answer_raw, part.number("next_raw"), part.number("poked_at"))
    return _Running(module, part.number("hop_s"), started)


def _values(address: str, _: Mapping[str, Any]) -> dict[str, Ask]:
    return {"answer": Slot(address, _CURRENT_SLOT), "next_raw": Slot(address, _NEXT_SLOT)}


def _finish(found: Mapping[str, Any]) -> dict[str, Any]:
    """The values are the lower halves of their words; the upper ones say whether there is one."""
    values = {name: int(found[name]) & ((1 << 128) - 1) for name in ("answer", "next_raw")}
    return {**found, **values, "decimals": 18}


def _median(address: str, _: Mapping[str, Any]) -> dict[str, Ask]:
    return {"peek": Call(address, "peek()(bytes32,bool)"), "word": Slot(address, _MEDIAN_SLOT)}


def _finish_median(found: Mapping[str, Any]) -> dict[str, Any]:
    """What it answers, to whom it answers; otherwise what it holds."""
    value = int.from_bytes(found["peek"][0], "big") if "peek" in found else int(found["word"]) & ((1 << 128) - 1)
    return {"answer": value, "decimals": 18}


MEDIAN = Kind(
    "Maker median",
    "the median of what Maker's feeds sign, when a relayer finds that it has moved",
    "late in a crowded block; as wrong as most of its signers",
    further=_median,
    finish=_finish_median,
    watching="feed",
)
KINDS = (
    MEDIAN,
    Kind(
        "Maker OSM",
        "the source's price of an hour ago",
        "an hour late, both in a fall and in its recovery; a wrong price can be stopped in that hour",
        getters=numbers({"hop_s": "hop"}, "uint16") | numbers({"poked_at": "zzz"}, "uint64"),
        sources=addresses({"source": "src"}),
        further=_values,
        children=lambda _, found: {"source": Child(found["source"], MEDIAN.name)},
        finish=_finish,
        start=_start,
    ),
)
