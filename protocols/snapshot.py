"""Takes a snapshot: reads deployments at one pinned block and puts their rows together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from platformdirs import user_cache_path

from chain.blocks import block_at
from chain.deployments import Deployment, load_deployments
from chain.errors import InputError
from chain.node import Block, Node, Progress
from chain.snapshot import CLAIMS, ESCROWS, ORACLE_PARTS, ORACLES, OWNERS, TOKENS, Market, Snapshot
from chain.tables import Schema, Table
from protocols import registry
from protocols.bridges import walk_escrows
from protocols.catalogue import reader_caveat
from protocols.oracles.reader import walk_trees
from protocols.oracles.tables import rows as part_rows
from protocols.owners import accounts_of, walk_owners
from protocols.reading import Reading, Rows
from protocols.tokens import reader as claims
from protocols.walking import beside, walked

WRAPPED_NATIVE = "wrapped_native"
"""By what name a deployment has the token that wraps the chain's own currency."""


def choose(deployments: Sequence[Deployment], chain_id: int, names: Sequence[str]) -> list[Deployment]:
    """The lending deployments of a chain with the given names (all if none or ``all`` is given), and all exchanges.

    Raises
    ------
    InputError
        If a name is not there, or there are no lending deployments.
    """
    here = [d for d in deployments if d.chain_id == chain_id]
    lending = [d for d in here if d.family == "lending"]
    known = {d.name for d in lending}
    for name in names:
        if name != "all" and name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise InputError(f"no deployment {name} is known on chain {chain_id}; there are: {listed}")
    if not lending:
        raise InputError(f"no lending deployment is known on chain {chain_id}; give a file with --deployments")
    wanted = known if not names or "all" in names else set(names)
    return [d for d in lending if d.name in wanted] + [d for d in here if d.family == "amm"]


def snapshot(
    url: str,
    block: int | str | datetime = "finalized",
    *,
    names: Sequence[str] = (),
    deployments: Path | None = None,
    chain_id: int | None = None,
    cache_dir: Path | None = None,
    requests_per_second: float | None = None,
    progress: Callable[[str], Progress] = lambda _: lambda done, total: None,
) -> Snapshot:
    """Read a block from a node, with the same answers on disk as before where it was asked before.

    Parameters
    ----------
    url
        Of an archive node; a secret.
    block
        Number, ``latest``, ``safe``, ``finalized``, or a time: then the last block up to it.
    cache_dir
        Folder for the node's answers; the user's cache folder if None.
    requests_per_second
        Ask no faster.
    names, deployments, chain_id, progress
        As `take_snapshot` takes them.

    Raises
    ------
    InputError, UnsupportedError, NodeError, ReorgError
        As `take_snapshot` does.
    """
    folder = cache_dir or user_cache_path("unwind") / "nodes"
    with Node(url, cache_dir=folder, requests_per_second=requests_per_second) as node:
        number = block_at(node, int(block.timestamp())) if isinstance(block, datetime) else block
        return take_snapshot(node, number, names=names, deployments=deployments, chain_id=chain_id, progress=progress)


def take_snapshot(
    node: Node,
    block: int | str,
    *,
    names: Sequence[str] = (),
    deployments: Path | None = None,
    chain_id: int | None = None,
    progress: Callable[[str], Progress] = lambda _: lambda done, total: None,
) -> Snapshot:
    """Read a block.

    Parameters
    ----------
    node
        Where from.
    block
        Number, or ``latest``, ``safe``, ``finalized``.
    names
        Lending deployments; all of the chain if empty.
    deployments
        A file of deployments instead of the product's.
    chain_id
        The chain that the node must be on; any if None.
    progress
        Given the name of a part of the work, makes its progress callback.

    Raises
    ------
    InputError
        If a deployment is not known.
    UnsupportedError
        If something is deployed there that is not modelled.
    NodeError, ReorgError
        If the node does not answer, contradicts itself, or the block is no longer in its chain.
    """
    pinned = node.pin(block, chain_id=chain_id)
    known = choose(load_deployments(deployments), pinned.chain_id, names)
    chosen = [deployment for deployment in known if deployment.from_block <= pinned.number]
    later = [deployment.name for deployment in known if deployment.from_block > pinned.number]
    if not any(deployment.family == "lending" for deployment in chosen):
        raise InputError(
            f"nothing of {', '.join(later)} was deployed yet at block {pinned.number}; choose a later block"
        )
    readings = [_read(node, pinned, d, [], progress) for d in chosen if d.family == "lending"]
    tokens = sorted({row["token"] for reading in readings for row in reading.rows[TOKENS]})
    readings += [_read(node, pinned, d, tokens, progress) for d in chosen if d.family == "amm"]
    markets = tuple(market for reading in readings for market in reading.markets)
    readings.append(_read_beside(node, pinned, readings, markets, chosen))
    node.check_unchanged(pinned)
    unverified = dict.fromkeys(reader_caveat(market.protocol, market.version) for market in markets)
    return Snapshot(
        chain_id=pinned.chain_id,
        block_number=pinned.number,
        block_hash=pinned.hash,
        timestamp=pinned.timestamp,
        origin="node",
        markets=markets,
        adapters={d.protocol: registry.part(d.family, d.protocol, "tables").ADAPTER for d in chosen}
        | {CLAIMS.name: claims.ADAPTER},
        tables=_tables(readings),
        notes=(
            *([f"Not deployed yet at block {pinned.number}: {', '.join(later)}."] if later else []),
            *(caveat for caveat in unverified if caveat),
            *(note for reading in readings for note in reading.notes),
        ),
    )


def _read(
    node: Node, block: Block, deployment: Deployment, tokens: Sequence[str], progress: Callable[[str], Progress]
) -> Reading:
    reader = registry.part(deployment.family, deployment.protocol, "reader")
    if deployment.family == "lending":
        reading: Reading = reader.read_deployment(node, block, deployment, progress)
    else:
        reading = reader.read_deployment(node, block, deployment, tokens, progress)
    return reading


def _read_beside(
    node: Node, block: Block, readings: Sequence[Reading], markets: Sequence[Market], chosen: Sequence[Deployment]
) -> Reading:
    """What prices are made of, what tokens are claims on, who owns accounts, and what bridges hold: all are walked over
    side by side, to share requests."""
    feeds = sorted({row["feed"] for reading in readings for row in reading.rows.get(ORACLES, ())})
    tokens = {row["token"]: row["symbol"] for reading in readings for row in reading.rows.get(TOKENS, ())}
    native = next((d.addresses[WRAPPED_NATIVE] for d in chosen if WRAPPED_NATIVE in d.addresses), "")
    sources, claimed = walk_trees(block, feeds), claims.walk_claims(block.chain_id, tokens, markets, native)
    accounts = accounts_of((schema.key, rows) for reading in readings for schema, rows in reading.rows.items())
    others = beside(walk_owners(accounts), walk_escrows(block.chain_id, tokens))
    (trees, rows), (owners, held) = walked(node, block, beside(beside(sources, claimed), others))
    parts = [row for feed, tree in trees.items() for row in part_rows(feed, tree)]
    return Reading((), {ORACLE_PARTS: parts, **rows, OWNERS: owners, ESCROWS: held}, claims.unread(rows, tokens))


def _tables(readings: Sequence[Reading]) -> dict[str, Table]:
    """All rows of each table, in the order of its key; a token that several markets list stands once."""
    rows: dict[Schema, Rows] = {}
    for reading in readings:
        for schema, more in reading.rows.items():
            rows.setdefault(schema, []).extend(more)
    rows[TOKENS] = list({row["token"]: row for row in rows[TOKENS]}.values())
    keep = {TOKENS, ORACLES, CLAIMS, OWNERS, ESCROWS}
    return {
        schema.name: Table.from_rows(
            schema, sorted(found, key=lambda row: [row[name] for name in schema.key]) if schema in keep else found
        )
        for schema, found in rows.items()
    }
