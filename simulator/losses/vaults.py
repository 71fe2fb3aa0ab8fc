"""What curated vaults lose in a run, place by place, beside the terms on which they are there: a table of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain.snapshot import Snapshot
from chain.tables import Column, Schema, Table
from protocols.tokens.allocations import Allocation, allocations
from simulator.book import Book

VAULT_LOSSES = Schema(
    "vault_losses",
    ("vault", "place"),
    (
        Column("vault", "text", "address"),
        Column("place", "text", "id of the market in Morpho; of a Vault v2 address of the adapter"),
        Column("into", "text", "name of the market, or address of the vault behind the adapter; empty for neither"),
        Column("asset", "text", "address of the token that the vault lends"),
        Column("losses", "text", "when a loss reaches holders: at once, at withdrawal"),
        Column("supplied_raw", "uint256", "what the vault has there in the snapshot, smallest units of the asset"),
        Column("lost_raw", "uint256", "its part of what the market wrote off in the run, before a scenario's cushions"),
        Column("at_risk_raw", "uint256", "what it would lose besides, were economic bad debt at the end written off"),
        Column("cap_raw", "uint256", "most that it may put there; of a Vault v2 the lower of the adapter's two caps"),
        Column("pending_cap_raw", "uint256", "cap that is waiting; 0 for none"),
        Column("pending_at", "int64", "unix seconds from which the waiting cap may be set; 0 for none"),
        Column("removable_at", "int64", "unix seconds from which it may be taken away; 0 if it is not to be"),
        Column("supply_place", "int64", "place in the supply queue, from 0; -1 if it is not there"),
        Column("withdraw_place", "int64", "place in the withdraw queue, from 0; -1 if it is not there"),
        Column("timelock_s", "int64", "before a cap may rise or a market be taken away; -1 if it was not read"),
    ),
)


def vault_losses(snapshot: Snapshot, book: Book, reserves: Table) -> list[dict[str, Any]]:
    """Rows of :data:`VAULT_LOSSES`.

    A MetaMorpho vault loses by its shares of each market (`protocols.tokens.stakes.Stake`). A Vault v2 loses by what
    its adapter holds of such a vault, unless that keeps losses out of its share price.

    Parameters
    ----------
    snapshot
        What the run started from.
    book
        At its end.
    reserves
        The run's table of this name.
    """
    places = allocations(snapshot)
    written_off, further = _bad_debt(book, reserves)
    lost = _losses(places, book, written_off)
    both = _losses(places, book, {name: amount + further[name] for name, amount in written_off.items()})
    terms = [column.name for column in VAULT_LOSSES.columns if column.name not in ("lost_raw", "at_risk_raw")]
    return [
        {name: getattr(each, name) for name in terms} | {"lost_raw": certain, "at_risk_raw": possible - certain}
        for each, certain, possible in zip(places, lost, both, strict=True)
    ]


def _bad_debt(book: Book, reserves: Table) -> tuple[dict[str, int], dict[str, int]]:
    """By market, smallest units of what it lends: what was written off, and economic bad debt at the end."""
    lends = {
        (market.name, market.tokens[market.numeraire]): int(book.market_tokens[number][market.numeraire])
        for number, market in enumerate(book.markets)
        if market.numeraire is not None
    }
    written_off, further = {}, {}
    for row in reserves.rows():
        if (token := lends.get((row["market"], row["token"]))) is not None:
            written_off[row["market"]] = row["deficit_after_raw"] - row["deficit_before_raw"]
            further[row["market"]] = round(row["bad_debt_economic_usd"] / book.outside_usd[token] * book.unit[token])
    return written_off, further


def _losses(places: list[Allocation], book: Book, bad_debt: Mapping[str, int]) -> list[int]:
    """What each place loses when markets write off so much."""
    backing: dict[str, int] = {}
    if book.claims is not None:
        for token, amount in zip(book.claims.texts("token"), book.claims.ints("backing_raw"), strict=True):
            backing[token] = backing.get(token, 0) + amount
    direct = [each.stake.lost(bad_debt.get(each.into, 0)) if each.stake else 0 for each in places]
    at_once: dict[str, int] = {}
    for each, amount in zip(places, direct, strict=True):
        if each.losses == "at once":
            at_once[each.vault] = at_once.get(each.vault, 0) + amount
    return [
        each.holding.lost(at_once.get(each.into, 0), backing.get(each.into, 0)) if each.holding else amount
        for each, amount in zip(places, direct, strict=True)
    ]
