"""How the trees of price feeds lie in a snapshot: one row a part."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from chain.errors import InputError
from chain.snapshot import ORACLE_PARTS, Snapshot
from chain.tables import Table
from protocols.oracles.kind import Part
from protocols.oracles.kinds import BY_NAME


def rows(feed: str, tree: Part) -> list[dict[str, Any]]:
    """A feed's tree as rows, parents before children."""
    found: list[dict[str, Any]] = []

    def add(part: Part, parent: int, role: str) -> None:
        number = len(found)
        found.append(
            {
                "feed": feed,
                "part": number,
                "parent": parent,
                "role": role,
                "kind": part.kind,
                "contract": part.contract,
                "description": part.description,
                "decimals": part.decimals,
                "answer_raw": part.answer_raw,
                "published_at": part.published_at,
                "parameters": json.dumps(dict(sorted(part.parameters.items()))),
            }
        )
        for name, child in part.children.items():
            add(child, number, name)

    add(tree, -1, "")
    return found


def load(snapshot: Snapshot) -> dict[tuple[str, str], Part]:
    """The tree of each (market, token) whose feed was looked into; none in a snapshot from before there were trees.

    Raises
    ------
    InputError
        If a part is of no known kind, or hangs on a part that is not there.
    """
    if ORACLE_PARTS.name not in snapshot.tables:
        return {}
    trees = trees_of(snapshot.tables[ORACLE_PARTS.name])
    oracles = snapshot.tables["oracles"]
    columns = (oracles.texts(name) for name in ("market", "token", "feed"))
    return {(m, token): trees[feed] for m, token, feed in zip(*columns, strict=True) if feed in trees}


def trees_of(table: Table) -> dict[str, Part]:
    """The trees of a table, by feed; raises InputError as :func:`load` does."""
    by_feed: dict[str, list[dict[str, Any]]] = {}
    for row in table.rows():
        by_feed.setdefault(row["feed"], []).append(row)
    return {feed: _tree(feed, sorted(found, key=lambda row: row["part"])) for feed, found in by_feed.items()}


def _tree(feed: str, found: Sequence[Mapping[str, Any]]) -> Part:
    children: dict[int, dict[str, Part]] = {}
    part: Part | None = None
    # children have higher numbers than their parents
    for row in reversed(found):
        if row["kind"] not in BY_NAME:
            raise InputError(
                f"table {ORACLE_PARTS.name}: feed {feed}: no kind of price source is called {row['kind']!r}"
            )
        if not -1 <= row["parent"] < row["part"]:
            raise InputError(
                f"table {ORACLE_PARTS.name}: feed {feed}: part {row['part']} hangs on part {row['parent']}"
            )
        own = dict(reversed(children.pop(row["part"], {}).items()))
        parameters = json.loads(row["parameters"])
        names = ("kind", "contract", "description", "decimals", "answer_raw", "published_at")
        part = Part(**{name: row[name] for name in names}, parameters=parameters, children=own)
        children.setdefault(row["parent"], {})[row["role"]] = part
    if part is None or list(children) != [-1]:
        raise InputError(f"table {ORACLE_PARTS.name}: feed {feed} has no whole tree")
    return part
