"""Where curated vaults keep their money, on which terms, and what they lose there: MetaMorpho and Morpho's Vaults v2.

The tables are those of the vaults' readers; a snapshot without them has no such vaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chain.snapshot import Snapshot
from protocols.tokens.metamorpho.tables import ALLOCATIONS, VAULTS
from protocols.tokens.stakes import Holding, Stake
from protocols.tokens.vault_v2.tables import ALLOCATIONS as ADAPTERS
from protocols.tokens.vault_v2.tables import VAULTS as VAULTS_V2

NOWHERE = -1
"""The place in a queue of what is not in it; the timelock that was not read."""
_WAD = 10**18


@dataclass(frozen=True)
class Allocation:
    """One place of a vault's money, as it stands at the block.

    Attributes
    ----------
    table, row
        Where the snapshot has it; rows are counted from 0.
    vault, asset
        Addresses of the vault and of the token that it lends.
    losses
        When a loss reaches holders, as in the table ``claims``: MetaMorpho 1.1 keeps it out of the share price.
    place
        Id of the market in Morpho; of Vaults v2 address of the adapter.
    into
        Name of the market in the snapshot, or address of the vault behind the adapter; empty for neither.
    supplied_raw
        What the vault has there, smallest units of the asset.
    cap_raw
        Most that it may put there; of Vaults v2 the lower of the adapter's two caps, at its assets as stored.
    pending_cap_raw, pending_at, removable_at
        A cap that waits, from when it may be set, and from when the market may be taken away, unix seconds; 0 for none.
    supply_place, withdraw_place
        Places in the queues, from 0; of Vaults v2, 0 of the adapter to which deposits go and from which withdrawals
        come; :data:`NOWHERE` if it is not there.
    timelock_s
        Before a cap may rise or a market be taken away; :data:`NOWHERE` for Vaults v2, with one for each function.
    stake, holding
        What it loses by a loss of the market, or of the vault, it is in; None for neither.
    """

    table: str
    row: int
    vault: str
    asset: str
    losses: str
    place: str
    into: str
    supplied_raw: int
    cap_raw: int
    pending_cap_raw: int
    pending_at: int
    removable_at: int
    supply_place: int
    withdraw_place: int
    timelock_s: int
    stake: Stake | None = None
    holding: Holding | None = None


def allocations(snapshot: Snapshot) -> list[Allocation]:
    """Every place of every vault of a snapshot, vault by vault in the order of its queues."""
    return [*_of_metamorpho(snapshot), *_of_vaults_v2(snapshot)]


def _of_metamorpho(snapshot: Snapshot) -> Iterator[Allocation]:
    vaults = _by_vault(snapshot, VAULTS.name)
    for number, row in enumerate(_rows(snapshot, ALLOCATIONS.name)):
        vault = vaults[row["vault"]]
        terms = ("supplied_raw", "cap_raw", "pending_cap_raw", "pending_at", "removable_at")
        yield Allocation(
            table=ALLOCATIONS.name,
            row=number,
            vault=row["vault"],
            asset=vault["asset"],
            losses="at once" if vault["version"] == "1.0" else "at withdrawal",
            place=row["id"],
            into=row["market"],
            **{name: row[name] for name in terms},
            supply_place=row["supply_place"],
            withdraw_place=row["withdraw_place"],
            timelock_s=vault["timelock_s"],
            stake=Stake.from_row(row) if row["market"] else None,
        )


def _of_vaults_v2(snapshot: Snapshot) -> Iterator[Allocation]:
    vaults = _by_vault(snapshot, VAULTS_V2.name)
    for number, row in enumerate(_rows(snapshot, ADAPTERS.name)):
        vault = vaults[row["vault"]]
        first = 0 if row["adapter"] == vault["liquidity_adapter"] else NOWHERE
        yield Allocation(
            table=ADAPTERS.name,
            row=number,
            vault=row["vault"],
            asset=vault["asset"],
            losses="at once",
            place=row["adapter"],
            into=row["target"],
            supplied_raw=row["claimed_raw"],
            cap_raw=min(row["cap_raw"], vault["total_assets"] * row["relative_cap_wad"] // _WAD),
            pending_cap_raw=0,
            pending_at=0,
            removable_at=0,
            supply_place=first,
            withdraw_place=first,
            timelock_s=NOWHERE,
            holding=Holding.from_row(row) if row["target"] else None,
        )


def _by_vault(snapshot: Snapshot, table: str) -> dict[str, dict[str, Any]]:
    return {row["vault"]: row for row in _rows(snapshot, table)}


def _rows(snapshot: Snapshot, table: str) -> list[dict[str, Any]]:
    return snapshot.tables[table].rows() if table in snapshot.tables else []
