"""What readers ask: many calls at one block of one deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.calls import Call, CallFailed, read
from chain.deployments import Deployment
from chain.events import Log, scan
from chain.node import Block, Node, Progress

NOBODY = "0x" + "0" * 40
"""What contracts answer where there is no address."""


@dataclass(frozen=True)
class Source:
    """One deployment at one block.

    Attributes
    ----------
    node, block
        Where from.
    deployment
        Its address book entry.
    progress
        Given the name of a part of the work, makes its progress callback.
    bundle
        Most calls in one bundle: a thousand balances cost a node little.
    """

    node: Node
    block: Block
    deployment: Deployment
    progress: Callable[[str], Progress]
    bundle: int = 1000

    def read(self, calls: Sequence[Call], *, require: bool = True, what: str = "") -> list[Any]:
        """The results of calls, as :func:`chain.calls.read` has them; `what` names a progress bar."""
        progress = self.progress(what) if what else None
        return read(self.node, self.block, calls, require=require, bundle=self.bundle, progress=progress)

    def columns(self, calls: Mapping[str, Sequence[Call]], may_fail: Sequence[str] = ()) -> dict[str, list[Any]]:
        """The results of several lists of calls, read together.

        Parameters
        ----------
        may_fail
            Lists in which a call that failed is no error, but a CallFailed in its place.
        """
        results = iter(self.read([call for column in calls.values() for call in column], require=False))
        found = {name: [next(results) for _ in column] for name, column in calls.items()}
        for name, values in found.items():
            failed = next((value for value in values if isinstance(value, CallFailed)), None)
            if failed and name not in may_fail:
                raise failed
        return found

    def scan(
        self, contracts: str | Sequence[str], topics: Sequence[str | Sequence[str] | None], what: str
    ) -> list[Log]:
        """Every log of contracts since they were deployed, as :func:`chain.events.scan` has them."""
        start, progress = self.deployment.from_block, self.progress(what)
        return scan(self.node, self.block, contracts, topics, from_block=start, progress=progress)

    def accounts(self, contract: str, topics: Sequence[str | Sequence[str]], place: int) -> list[str]:
        """The accounts that a contract's logs have as the topic in some place, in order."""
        return sorted({"0x" + log.topics[place][-40:] for log in self.scan(contract, topics, "scanning for accounts")})


def each(target: str, signature: str, arguments: Iterable[Any]) -> list[Call]:
    """One function of one contract, for each argument."""
    return [Call(target, signature, (argument,)) for argument in arguments]


def pairs(targets: Sequence[str], signature: str, arguments: Sequence[Any]) -> list[Call]:
    """One function, of each contract with its own argument."""
    return [Call(target, signature, (argument,)) for target, argument in zip(targets, arguments, strict=True)]


def bits(word: int, start: int, length: int) -> int:
    """So many bits of a word, from one on."""
    return word >> start & (1 << length) - 1
