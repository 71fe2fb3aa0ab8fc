"""One block's state of a chain, as tables on disk: the only thing that passes from nodes to simulation.

Tables that every protocol shares are defined here; a protocol adds its own, named ``<protocol>.<table>``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from chain.errors import InputError
from chain.tables import Column, Folder, Schema, Table, manifest_kind, read_folder

Origin = Literal["node", "import", "sample", "changed"]

TOKENS = Schema(
    "tokens",
    ("token",),
    (
        Column("token", "text", "address"),
        Column("symbol", "text", "symbol; the address where two tokens of a snapshot share one"),
        Column("decimals", "int64", "smallest units of one token are 10**decimals"),
    ),
)

ORACLES = Schema(
    "oracles",
    ("market", "token"),
    (
        Column("market", "text", "the market that believes this price"),
        Column("token", "text", "address"),
        Column("numeraire", "text", "address of the token that the price is in; empty for US dollars"),
        Column("feed", "text", "contract that answers for the price"),
        Column("description", "text", "what the feed says it is; empty where it says nothing"),
        Column("price_raw", "uint256", "price of one whole token, in base units"),
        Column("unit_raw", "uint256", "base units in one unit of the numeraire"),
        Column("published_at", "int64", "unix seconds of the feed's last answer; 0 where it does not say"),
    ),
)

ORACLE_PARTS = Schema(
    "oracle_parts",
    ("feed", "part"),
    (
        Column("feed", "text", "contract that answers for a price, as in the table oracles"),
        Column("part", "int64", "number of the part in the feed's tree; 0 is the feed itself"),
        Column("parent", "int64", "the part that computes from it; -1 for the feed itself"),
        Column("role", "text", "what it is to its parent; empty for the feed itself"),
        Column("kind", "text", "kind of price source"),
        Column("contract", "text", "address"),
        Column("description", "text", "what the contract says it is; empty where it says nothing"),
        Column("decimals", "int64", "one whole unit of its answer is 10**decimals"),
        Column("answer_raw", "int256", "its answer at the block"),
        Column("published_at", "int64", "unix seconds of its last answer; 0 where it does not say"),
        Column("parameters", "text", "JSON object: what was read of it, named with units"),
    ),
)

CLAIMS = Schema(
    "claims",
    ("token", "underlying"),
    (
        Column("token", "text", "address of the token that is a claim"),
        Column("underlying", "text", "address of what it is a claim on; empty for what lies off the chain"),
        Column("kind", "text", "kind of claim, as protocols/tokens names it"),
        Column("issuer", "text", "who owes it: the name of a market of the snapshot, or a contract's address"),
        Column("amount_raw", "uint256", "smallest units of the underlying that one whole token is worth at its rate"),
        Column("supply_raw", "uint256", "smallest units of the token that there are"),
        Column("backing_raw", "uint256", "smallest units of the underlying that stand behind all of them"),
        Column("losses", "text", "when the issuer's losses reach holders: at once, at withdrawal, never"),
        Column("due_at", "int64", "unix seconds from which all of it is owed; 0 for what may be had at any time"),
    ),
)
"""What tokens are claims on; a claim on several things (a pool's share) has a row for each."""

OWNERS = Schema(
    "owners",
    ("account", "owner"),
    (
        Column("account", "text", "address of an account that is a contract, or of an owner that is one"),
        Column("owner", "text", "address of an owner of it"),
        Column("kind", "text", "safe, ds_proxy, or ownable: whatever else says who its owner is"),
        Column("threshold", "int64", "owners whose signatures it takes; 1 for one owner"),
    ),
)
"""Who owns accounts that are contracts; one with several owners has a row for each."""

ESCROWS = Schema(
    "escrows",
    ("token", "escrow"),
    (
        Column("token", "text", "address"),
        Column("escrow", "text", "contract of a canonical bridge that holds some of it"),
        Column("bridged_to", "text", "name of the chain on which there are claims on what it holds"),
        Column("held_raw", "uint256", "what it holds, smallest units"),
    ),
)
"""How much of each token's supply lies in bridges, for claims on other chains."""

SHARED = (TOKENS, ORACLES, ORACLE_PARTS, CLAIMS, OWNERS, ESCROWS)
_REQUIRED = (TOKENS, ORACLES)


@dataclass(frozen=True)
class Market:
    """A deployment that was read: its name in the snapshot, and what it is.

    `addresses` are the contracts by role (Aave v3: pool, oracle, …), as far as executing on a fork needs them.
    """

    name: str
    protocol: str
    version: str
    addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """State of one block.

    Attributes
    ----------
    chain_id, block_number, block_hash, timestamp
        Where and when; the timestamp is the block's, unix seconds.
    origin
        ``node`` (read from a chain), ``import`` (from a user's file), ``sample`` (generated, not a real book) or
        ``changed`` (one of these with other parameters).
    notes
        What a reader of any result must know, such as that the book is a sample.
    markets
        The lending deployments that were read.
    adapters
        Version of each protocol's reader.
    tables
        By name.
    """

    chain_id: int
    block_number: int
    block_hash: str
    timestamp: int
    origin: Origin
    markets: tuple[Market, ...]
    adapters: Mapping[str, int]
    tables: Mapping[str, Table]
    notes: tuple[str, ...] = ()

    def folder(self) -> Folder:
        """The form in which it lies on disk."""
        facts: dict[str, Any] = {
            "chain_id": self.chain_id,
            "block": {"number": self.block_number, "hash": self.block_hash, "timestamp": self.timestamp},
            "origin": self.origin,
            "notes": list(self.notes),
            "markets": [
                {"name": m.name, "protocol": m.protocol, "version": m.version, "addresses": dict(m.addresses)}
                for m in self.markets
            ],
            "adapters": dict(self.adapters),
        }
        return Folder("snapshot", facts, self.tables)

    @property
    def digest(self) -> str:
        """SHA-256 that names this content."""
        return self.folder().digest

    def write(self, path: Path) -> None:
        """Write to a new folder, whole or not at all; raises InputError where that cannot be."""
        self.folder().write(path)

    def markets_of(self, protocol: str) -> Iterable[Market]:
        """The markets of one protocol."""
        return (market for market in self.markets if market.protocol == protocol)


def read_snapshot(path: Path, schemas: Iterable[Schema]) -> Snapshot:
    """Read a snapshot back, checked.

    Parameters
    ----------
    path
        Its folder.
    schemas
        The protocols' own tables; the shared ones are known here.

    Raises
    ------
    InputError
        Naming the file (and the row) that is not as it should be.
    """
    known = {schema.name: schema for schema in (*SHARED, *schemas)}
    folder = read_folder(path, "snapshot", known)
    facts = folder.facts
    try:
        block = facts["block"]
        snapshot = Snapshot(
            chain_id=int(facts["chain_id"]),
            block_number=int(block["number"]),
            block_hash=str(block["hash"]),
            timestamp=int(block["timestamp"]),
            origin=facts["origin"],
            notes=tuple(facts["notes"]),
            markets=tuple(Market(**market) for market in facts["markets"]),
            adapters=facts["adapters"],
            tables=folder.tables,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}/manifest.json is not a snapshot's manifest: {error!r}") from None
    for schema in _REQUIRED:
        if schema.name not in snapshot.tables:
            raise InputError(f"{path} has no table {schema.name}")
    return snapshot


def is_snapshot(path: Path) -> bool:
    """Whether a folder says that it is a snapshot; raises InputError where it has no readable manifest."""
    return manifest_kind(path) == "snapshot"
