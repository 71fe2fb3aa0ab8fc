"""Nodes as columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

NODE_KINDS = ("token", "market", "reserve", "pool", "issuer", "account")


@dataclass
class Nodes:
    """Nodes by row.

    Attributes
    ----------
    ids
        Kind and name: ``token:0x…``, ``market:aave-v3``, ``reserve:aave-v3/0x…``, ``pool:0x…``, ``issuer:0x…``,
        ``account:0x…``, or ``accounts:…`` for a holding pattern.
    kinds
        One of :data:`NODE_KINDS` each.
    labels
        For people: symbols instead of addresses where there are any.
    groups
        What it belongs to: a market's name, a protocol's folder, or empty.
    counts
        Accounts that a node stands for; 1 for all other kinds.
    """

    ids: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, kind: str, names: Iterable[str], labels: Iterable[str], groups: Iterable[str]) -> int:
        """Add nodes of one kind; returns the row of the first."""
        first = len(self.ids)
        self.ids += [f"{kind}:{name}" for name in names]
        added = len(self.ids) - first
        self.kinds += [kind] * added
        self.labels += labels
        self.groups += groups
        self.counts += [1] * added
        return first
