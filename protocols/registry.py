"""The protocols that are there: every folder of `lending`, `amm` and `tokens`. Adding a protocol is adding a folder.

A folder's ``tables.py`` holds ``SCHEMAS``, the tables it adds to a snapshot, and but for tokens ``load(snapshot)``,
which turns them into markets or venues. Its ``reader.py`` fills them from a node. A lending protocol's
``parameters.py`` says what governance sets.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Literal

import protocols.amm
import protocols.lending
import protocols.tokens
from chain.errors import UnsupportedError
from chain.snapshot import Snapshot
from chain.tables import Schema
from protocols.amm.interface import Venue
from protocols.lending.interface import LendingMarket
from protocols.lending.parameters import Parameter

Family = Literal["lending", "amm", "tokens"]
_PATHS = {"lending": protocols.lending.__path__, "amm": protocols.amm.__path__, "tokens": protocols.tokens.__path__}


def names(family: Family) -> list[str]:
    """Folders of a family that can lie in a snapshot, in alphabetical order."""
    folders = [module.name for module in pkgutil.iter_modules(_PATHS[family]) if module.ispkg]
    return sorted(name for name in folders if has_part(family, name, "tables"))


def part(family: Family, protocol: str, name: str) -> ModuleType:
    """One module of a protocol's folder; raises UnsupportedError for a protocol that is not there."""
    if protocol not in names(family):
        raise UnsupportedError(f"no {family} protocol {protocol!r} is modelled; there are {', '.join(names(family))}")
    return import_module(f"protocols.{family}.{protocol}.{name}")


def has_part(family: Family, protocol: str, name: str) -> bool:
    """Whether a protocol that is there has a module of that name in its folder; not every one has each."""
    return find_spec(f"protocols.{family}.{protocol}.{name}") is not None


def schemas() -> list[Schema]:
    """Every table that a protocol adds to a snapshot."""
    families: tuple[Family, ...] = ("lending", "amm", "tokens")
    return [schema for family in families for name in names(family) for schema in part(family, name, "tables").SCHEMAS]


def parameters(protocol: str) -> tuple[Parameter, ...]:
    """What the governance of a lending protocol sets; nothing where its folder does not say."""
    part("lending", protocol, "tables")
    if not has_part("lending", protocol, "parameters"):
        return ()
    found: tuple[Parameter, ...] = part("lending", protocol, "parameters").PARAMETERS
    return found


def markets(snapshot: Snapshot) -> list[LendingMarket]:
    """The lending markets of a snapshot, ready to be stepped."""
    for market in snapshot.markets:
        part("lending", market.protocol, "tables")
    return [market for name in names("lending") for market in markets_of(name, snapshot)]


def markets_of(protocol: str, snapshot: Snapshot) -> list[LendingMarket]:
    """The markets of one lending protocol."""
    found: list[LendingMarket] = part("lending", protocol, "tables").load(snapshot)
    return found


def venues(snapshot: Snapshot) -> list[Venue]:
    """The pools of a snapshot, ready to be stepped."""
    return [venue for name in names("amm") for venue in part("amm", name, "tables").load(snapshot)]
