"""What curated vaults have put where: in reserves of the snapshot's markets, and in other vaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chain.snapshot import Snapshot
from protocols.provenance import Sources
from protocols.tokens.allocations import allocations
from protocols.tokens.metamorpho.tables import ALLOCATIONS
from protocols.tokens.vault_v2.tables import ALLOCATIONS as ADAPTERS
from simulator.book import Book
from simulator.graph.arrays import FloatArray, IntArray
from simulator.graph.claims import Claims
from simulator.graph.holdings import Reserves

NONE = -1


@dataclass(frozen=True)
class Placements:
    """Arrays of shape (entries,), an entry a vault and place.

    Attributes
    ----------
    issuer
        The vault, as the table ``claims`` has it.
    token, amount
        Row of the token that the vault lends, and whole tokens of it that it has there.
    reserve, share
        Row of the reserve, or of the token that is the other vault's share; :data:`NONE` for the one it is not.
    sources
        The rows that they came from.
    """

    issuer: Sequence[str]
    token: IntArray
    amount: FloatArray
    reserve: IntArray
    share: IntArray
    sources: Sources


def take_placements(snapshot: Snapshot, book: Book, reserves: Reserves) -> Placements:
    """The placements of a snapshot's vaults in what the snapshot knows."""
    markets = {market.name: row for row, market in enumerate(book.markets)}
    place = {pair: row for row, pair in enumerate(zip(reserves.market.tolist(), reserves.token.tolist(), strict=True))}
    tables, found = (ALLOCATIONS.name, ADAPTERS.name), []
    for each in allocations(snapshot):
        token = book.token_row.get(each.asset, NONE)
        reserve = place.get((markets.get(each.into, NONE), token), NONE)
        share = book.token_row.get(each.into, NONE) if each.holding else NONE
        if token != NONE and (reserve != NONE or share != NONE):
            amount = each.supplied_raw / book.unit[token]
            found.append((each.vault, token, amount, reserve, share, tables.index(each.table), each.row))
    columns: list[tuple[object, ...]] = list(zip(*found, strict=True)) or [()] * 7
    token_, reserve_, share_, table_, row_ = (np.array(columns[n], dtype=np.int64) for n in (1, 3, 4, 5, 6))
    return Placements(
        issuer=[str(name) for name in columns[0]],
        token=token_,
        amount=np.array(columns[2], dtype=np.float64),
        reserve=reserve_,
        share=share_,
        sources=Sources(tables, table_, row_),
    )


def placed(claims: Claims, placements: Placements) -> FloatArray:
    """Shape (claims,): of what backs each claim, what its vault has put in such places, whole underlying."""
    found = np.zeros(len(claims.token))
    entry = {pair: row for row, pair in enumerate(zip(claims.issuer, claims.underlying.tolist(), strict=True))}
    columns = placements.issuer, placements.token.tolist(), placements.amount.tolist()
    for issuer, token, amount in zip(*columns, strict=True):
        if (row := entry.get((issuer, token))) is not None:
            found[row] = min(found[row] + amount, float(claims.backing[row]))
    return found
