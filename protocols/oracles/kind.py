"""What a price source is: a part of a tree whose leaves watch markets, and the kind that says how it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from protocols.walking import Ask

Parameters = Mapping[str, int | str]
Answer = Callable[[Mapping[str, int], int], int]
"""A source as it runs: its answer, from those of its children by role and the time (unix seconds)."""

Watching = Literal["", "feed", "pool"]


@dataclass(frozen=True)
class Part:
    """One contract in the tree of a price.

    Attributes
    ----------
    kind
        Name of its :class:`Kind`.
    contract
        Address.
    description
        What the contract says it is; empty where it says nothing.
    decimals
        One whole unit of its answer is 10**decimals.
    answer_raw
        Its answer at the snapshot's block.
    published_at
        Unix seconds of its last answer; 0 where it does not say.
    parameters
        What was read of it, named with units.
    children
        The sources that it computes from, by role.
    """

    kind: str
    contract: str
    description: str
    decimals: int
    answer_raw: int
    published_at: int = 0
    parameters: Parameters = field(default_factory=dict)
    children: Mapping[str, Part] = field(default_factory=dict)

    def number(self, name: str) -> int:
        """A parameter that is a number."""
        return int(self.parameters[name])

    @property
    def unit(self) -> int:
        """One whole unit of the answer."""
        return int(10**self.decimals)

    def walk(self) -> Iterator[Part]:
        """This part and all below it, parents first."""
        yield self
        for child in self.children.values():
            yield from child.walk()


@dataclass(frozen=True)
class Child:
    """A source that another computes from. `kind` is empty where the contract itself must be asked what it is."""

    address: str
    kind: str = ""
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """A kind of price source.

    Attributes
    ----------
    name, how, fails
        What it is called, how its answer comes about, and how it can be wrong; in words.
    getters
        Functions that a contract of this kind has, by the name of the parameter that each gives. A contract is of the
        first kind all of whose getters it answers. ``answer`` and ``decimals`` stand for the part's own.
    sources
        Those of `getters` that are addresses of contracts it computes from, by role.
    text
        What a getter must say for the contract to be of this kind, where its having the function is not enough.
    optional
        Like `getters`, but they need not answer.
    further
        What else to ask, given the contract's address and its parameters; answers become parameters.
    children
        Its sources, given its address and parameters, where they are not simply `sources`.
    finish
        Turns what was read into the parameters that are kept.
    start
        Makes it answer: given the part and the time at which it begins (unix seconds), a function that may keep state
        from call to call; at that time it gives what the part answered. None for a leaf.
    headroom
        By what share what is capped could still rise, given the part and the time; negative where the cap binds.
    watching
        What a leaf follows: a ``feed`` speaks by deviation and heartbeat, a ``pool`` follows the market at once, and
        any other leaf stays.
    """

    name: str
    how: str
    fails: str
    getters: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    further: Callable[[str, Mapping[str, Any]], dict[str, Ask]] = lambda _address, _found: {}
    children: Callable[[str, Mapping[str, Any]], dict[str, Child]] | None = None
    finish: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    start: Callable[[Part, int], Answer] | None = None
    headroom: Callable[[Part, int], float] | None = None
    watching: Watching = ""


def addresses(getters: Mapping[str, str]) -> dict[str, str]:
    """Signatures of getters without arguments that give an address, by role."""
    return {role: f"{name}()(address)" for role, name in getters.items()}


def numbers(getters: Mapping[str, str], bits: str = "uint256") -> dict[str, str]:
    """Signatures of getters without arguments that give a number, by parameter."""
    return {parameter: f"{name}()({bits})" for parameter, name in getters.items()}


def positive(values: Sequence[int]) -> bool:
    """Whether all answers are above 0, without which Aave's adapters answer 0."""
    return all(value > 0 for value in values)
