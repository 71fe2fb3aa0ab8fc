"""Nodes as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

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
    due_at
        Of tokens that are owed only from some time on, by row: unix seconds, the first where there are several.
    """

    ids: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    due_at: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def columns(self) -> dict[str, Sequence[Any]]:
        """What is said of each node, by name, its id first."""
        return {
            "id": self.ids,
            "kind": self.kinds,
            "label": self.labels,
            "group": self.groups,
            "count": self.counts,
            "due_at": [self.due_at.get(row, 0) for row in range(len(self))],
        }

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
