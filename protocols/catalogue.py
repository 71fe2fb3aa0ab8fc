"""What is modelled, version by version, and what each part of it was held to: the rows of the table in README.md.

A protocol's folder says it in its ``catalogue.py``, as ``CATALOGUE``, one entry a version. Nothing is claimed for a
folder that has none.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import protocols.amm
import protocols.lending
import protocols.tokens

LOCAL_CHAIN = "real contracts on a local chain"
RECORDED = "recorded answers of real contracts"
UNVERIFIED = "unverified"
NONE = "none"
"""What a reader was held to; ``none`` where there is no reader."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of one protocol.

    Attributes
    ----------
    name
        What people call the protocol.
    version
        As a market's `version` says it.
    reader
        What the rows that the reader brings were compared with.
    held_by
        The module of ``tests/protocols`` that compares them; empty where none does.
    recorded
        Vector files of this version's own bytecode that the rules reproduce (without ``.json.gz``); none where the
        rules are unverified.
    limits
        What a user must know, each a clause.
    """

    name: str
    version: str
    reader: str = UNVERIFIED
    held_by: str = ""
    recorded: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


def files(verified_by: str) -> tuple[str, ...]:
    """The vector files that a version names; none where it says that it is unverified."""
    return () if verified_by == UNVERIFIED else tuple(verified_by.split(", "))


def catalogue() -> dict[str, tuple[Entry, ...]]:
    """Every entry, by the protocol's folder (``lending/aave_v3``), in alphabetical order within a family; kinds of
    claims and price sources, which have no folders, come last."""
    found: dict[str, tuple[Entry, ...]] = {}
    for family in (protocols.lending, protocols.amm, protocols.tokens):
        for module in pkgutil.iter_modules(family.__path__, f"{family.__name__}."):
            if module.ispkg and find_spec(f"{module.name}.catalogue"):
                folder = module.name.removeprefix("protocols.").replace(".", "/")
                found[folder] = import_module(f"{module.name}.catalogue").CATALOGUE
    last = ("tokens", "oracles")
    return found | {folder: import_module(f"protocols.{folder}.catalogue").CATALOGUE for folder in last}


def reader_caveat(protocol: str, version: str) -> str:
    """What is unverified of what a lending protocol's reader brings of this version; empty where it was compared."""
    entries = catalogue().get(f"lending/{protocol}", ())
    entry = next((entry for entry in entries if entry.version == version), None)
    if entry is not None and entry.reader != UNVERIFIED:
        return ""
    name = entry.name if entry else protocol
    return (
        f"the reader of {name} {version} is {UNVERIFIED}: what it brings was compared with no contract of that version"
    )
