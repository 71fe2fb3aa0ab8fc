"""The address book: which protocols are deployed where, each address with its source."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from chain.errors import InputError

Family = Literal["lending", "amm"]
_FIELDS = {"chain_id", "name", "family", "protocol", "version", "from_block", "source", "addresses"}


@dataclass(frozen=True)
class Deployment:
    """One deployment of a protocol.

    Attributes
    ----------
    chain_id
        EIP-155 id of its chain.
    name
        What it is called here, e.g. ``aave-v3``; the name of its market in a snapshot.
    family, protocol
        ``lending`` or ``amm``, and the folder of the protocol there.
    version
        Version of the contracts; empty where the reader finds it out at the block.
    addresses
        Contracts by role.
    from_block
        Block before which it did not exist, where event scans begin.
    source
        Where the addresses come from.
    """

    chain_id: int
    name: str
    family: Family
    protocol: str
    version: str
    addresses: Mapping[str, str]
    from_block: int
    source: str


def load_deployments(path: Path | None = None) -> list[Deployment]:
    """The deployments of a file of the form of ``chain/deployments.toml``; that file itself if none is given.

    Raises
    ------
    InputError
        Naming the entry that is not as it should be.
    """
    try:
        text = path.read_text("utf-8") if path else files("chain").joinpath("deployments.toml").read_text("utf-8")
        content = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"deployments {path} cannot be read: {error}") from None
    entries = content.get("deployment")
    if not isinstance(entries, list):
        raise InputError(f"deployments {path}: it has no [[deployment]] entries")
    return [_deployment(entry, number, path) for number, entry in enumerate(entries, start=1)]


def _deployment(entry: dict[str, Any], number: int, path: Path | None) -> Deployment:
    where = f"deployments {path or 'of the product'}, entry {number}"
    entry = {"version": "", "from_block": 0, "source": "", **entry}
    if missing := _FIELDS - entry.keys():
        raise InputError(f"{where}: {', '.join(sorted(missing))} missing")
    if unknown := entry.keys() - _FIELDS:
        raise InputError(f"{where}: {', '.join(sorted(unknown))} not known")
    for name in ("chain_id", "from_block"):
        if not isinstance(entry[name], int):
            raise InputError(f"{where}: {name} must be a whole number")
    if entry["family"] not in ("lending", "amm"):
        raise InputError(f"{where}: family must be lending or amm")
    for role, address in entry["addresses"].items():
        if not isinstance(address, str) or len(address) != 42 or not address.startswith("0x"):
            raise InputError(f"{where}: address {role} is not 0x and 40 hex digits")
    return Deployment(**entry | {"addresses": {role: address.lower() for role, address in entry["addresses"].items()}})
