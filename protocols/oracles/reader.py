"""Finds out what price feeds are made of: asks each contract which known kind it is, and goes on to its sources.

All contracts of one depth are asked together. What a kind's rule does not reproduce from its sources, to the unit, is
not believed to be of that kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chain.calls import Call, CallFailed
from chain.node import Block, Node
from protocols.asking import NOBODY
from protocols.oracles.chainlink import CHAINLINK, PUBLISHED, ROUND, UNKNOWN
from protocols.oracles.kind import Child, Kind, Part
from protocols.oracles.kinds import BY_NAME, KINDS
from protocols.walking import Ask, Walk, walked

DEPTH = 6
"""Contracts from a feed down to its deepest source; what lies deeper is not looked into."""

_ETHEREUM = 1
_SELF = {
    "round": ROUND,
    "answer": "latestAnswer()(int256)",
    "decimals": "decimals()(uint8)",
    "text": "description()(string)",
}
PROBES = tuple(
    dict.fromkeys(
        [
            *_SELF.values(),
            *(s for kind in KINDS for s in (*kind.getters.values(), *kind.sources.values(), *kind.optional.values())),
        ]
    )
)
"""What every contract is asked, to find out of which kind it is."""


@dataclass
class _Found:
    """A contract, what it is, what was read of it so far, and its sources by role: by address those that were asked
    themselves."""

    address: str
    kind: Kind
    values: dict[str, Any]
    children: dict[str, _Found | str] = field(default_factory=dict)


def read_trees(node: Node, block: Block, feeds: Sequence[str]) -> dict[str, Part]:
    """The trees of :func:`walk_trees`, on their own.

    Raises
    ------
    NodeError
        If the node does not answer.
    """
    return walked(node, block, walk_trees(block, feeds))


def walk_trees(block: Block, feeds: Sequence[str]) -> Walk[dict[str, Part]]:
    """The tree of each price feed.

    Parameters
    ----------
    block
        Where it is read.
    feeds
        Contracts that answer for prices.

    Returns
    -------
    By feed; without those that give no answer of their own.
    """
    known: dict[str, _Found] = {}
    level: list[str] = list(dict.fromkeys(feeds))
    further: list[tuple[_Found, dict[str, Ask]]] = []
    for _ in range(DEPTH):
        if not level and not further:
            break
        probed, read_on = yield from _ask(level, further)
        for found, values in read_on:
            found.values |= values
        fresh = [_recognised(address, probed[address]) for address in level]
        known |= {found.address: found for found in fresh}
        level, further = _sources(fresh, [found for found, _ in read_on], known)
    parts = {feed: _part(known[feed], known, block) for feed in feeds}
    return {feed: part for feed, part in parts.items() if part is not None}


def _ask(
    addresses: Sequence[str], further: Sequence[tuple[_Found, Mapping[str, Ask]]]
) -> Walk[tuple[dict[str, dict[str, Any]], list[tuple[_Found, dict[str, Any]]]]]:
    """What contracts answer to every probe, by signature, and what is read on of those that are recognised."""
    probes: list[Ask] = [Call(address, signature) for address in addresses for signature in PROBES]
    answers = iter((yield [*probes, *(ask for _, asks in further for ask in asks.values())]))
    probed = {address: {s: next(answers) for s in PROBES} for address in addresses}
    probed = {a: {s: v for s, v in told.items() if not isinstance(v, CallFailed)} for a, told in probed.items()}
    read_on = []
    for found, asks in further:
        values = {name: next(answers) for name in asks}
        read_on.append((found, {name: value for name, value in values.items() if not isinstance(value, CallFailed)}))
    return probed, read_on


def _recognised(address: str, told: Mapping[str, Any]) -> _Found:
    """The first kind whose functions a contract has; what it says of itself stands beside what its kind asks for."""
    own = {name: told[signature] for name, signature in _SELF.items() if signature in told}
    for kind in KINDS:
        needed = {**kind.getters, **kind.sources}
        # a kind without functions of its own is one that its parent names
        if (needed or kind is UNKNOWN) and all(signature in told for signature in needed.values()):
            asked = {**needed, **kind.optional}
            values = own | {name: told[signature] for name, signature in asked.items() if signature in told}
            if all(values[name] == text for name, text in kind.text.items()):
                return _Found(address, kind, values)
    raise AssertionError("the last kind takes every contract")


def _sources(
    fresh: Sequence[_Found], read_on: Sequence[_Found], known: Mapping[str, _Found]
) -> tuple[list[str], list[tuple[_Found, dict[str, Ask]]]]:
    """The contracts to be asked next, and what to read on of those that are recognised."""
    further = [(found, asks) for found in fresh if (asks := found.kind.further(found.address, found.values))]
    waiting = [id(found) for found, _ in further]
    addresses: dict[str, None] = {}
    for found in (*(f for f in fresh if id(f) not in waiting), *read_on):
        for role, child in _children(found).items():
            if child.kind:
                forced = _Found(child.address, BY_NAME[child.kind], dict(child.parameters))
                found.children[role] = forced
                if asks := forced.kind.further(forced.address, forced.values):
                    further.append((forced, asks))
            else:
                found.children[role] = child.address
                if child.address not in known:
                    addresses[child.address] = None
    return list(addresses), further


def _children(found: _Found) -> dict[str, Child]:
    if found.kind.start is None:
        return {}
    try:
        if found.kind.children is not None:
            return found.kind.children(found.address, found.values)
    except (KeyError, ZeroDivisionError):
        # what its kind needs to be read on did not answer: it cannot be of that kind after all
        found.kind = UNKNOWN
        return {}
    roles = {role: found.values[role] for role in found.kind.sources}
    return {role: Child(address) for role, address in roles.items() if address != NOBODY}


def _part(found: _Found, known: Mapping[str, _Found], block: Block, depth: int = 0) -> Part | None:
    """What was found, with its sources; an unknown source where its rule does not give what it answered."""
    answer = found.values.get("answer", found.values.get("round", (0, 0))[1])
    children: dict[str, Part] = {}
    for role, source in found.children.items():
        below = known.get(source) if isinstance(source, str) else source
        child = _part(below, known, block, depth + 1) if below is not None and depth < DEPTH else None
        if child is None:
            return _unknown(found, answer, block)
        children[role] = child
    try:
        values = dict(found.kind.finish(found.values))
        made = _made(found, values, values.get("answer", answer), children, block)
        if made.kind == UNKNOWN.name or found.kind.start is None:
            return made if made.answer_raw else None
        own = found.kind.start(made, block.timestamp)
        same = own({role: child.answer_raw for role, child in children.items()}, block.timestamp) == made.answer_raw
    except (KeyError, ValueError, ZeroDivisionError):
        same = False
    return made if same else _unknown(found, answer, block)


def _unknown(found: _Found, answer: int, block: Block) -> Part | None:
    found = _Found(found.address, UNKNOWN, {name: found.values[name] for name in _SELF if name in found.values})
    return _made(found, found.values, answer, {}, block) if answer else None


def _made(found: _Found, values: Mapping[str, Any], answer: int, children: Mapping[str, Part], block: Block) -> Part:
    text = str(found.values.get("text", ""))
    kept = {name: value for name, value in values.items() if name not in _SELF and name not in found.kind.sources}
    numbers = {name: value for name, value in kept.items() if isinstance(value, int | str)}
    if found.kind is CHAINLINK and block.chain_id == _ETHEREUM and text.upper() in PUBLISHED:
        numbers |= dict(zip(("deviation_ppm", "heartbeat_s"), PUBLISHED[text.upper()], strict=True))
    published = int(found.values.get("round", (0,) * 4)[3])
    return Part(
        found.kind.name, found.address, text, int(values.get("decimals", 0)), answer, published, numbers, children
    )
