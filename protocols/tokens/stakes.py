"""What vaults that are no accounts of a market have supplied to it, and what they lose by the market's losses.

The tables are those of the vaults' readers; a snapshot without them has no stakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from chain.snapshot import Snapshot
from protocols.tokens.metamorpho.tables import ALLOCATIONS, lost

_METAMORPHO, _VAULT_V2 = ALLOCATIONS.name, "vault_v2.allocations"


@dataclass(frozen=True)
class Stake:
    """What an issuer has in a market of the snapshot.

    Attributes
    ----------
    issuer
        As in the table ``claims``.
    market
        Name.
    shares, total_assets, total_shares
        Of the issuer, and of all suppliers with what they are worth, as stored.
    """

    issuer: str
    market: str
    shares: int
    total_assets: int
    total_shares: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Stake:
        """Of a row of ``metamorpho.allocations``."""
        totals = int(row["market_supply_assets"]), int(row["market_supply_shares"])
        return cls(str(row["vault"]), str(row["market"]), int(row["supply_shares"]), *totals)

    def lost(self, bad_debt_raw: int) -> int:
        """What the shares lose when so much is taken from all suppliers at once, smallest units of what is lent."""
        return int(lost(self.shares, self.total_assets, self.total_shares, min(bad_debt_raw, self.total_assets)))


class Holding(NamedTuple):
    """What an issuer holds of another's claims, smallest units of the asset of both."""

    issuer: str
    of: str
    claimed_raw: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Holding:
        """Of a row of ``vault_v2.allocations``."""
        return cls(str(row["vault"]), str(row["target"]), int(row["claimed_raw"]))

    def lost(self, gone_raw: int, backing_raw: int) -> int:
        """Its part of what is lost of a claim's backing, rounded up; nothing of nothing."""
        return -(-gone_raw * self.claimed_raw // backing_raw) if backing_raw else 0


def stakes(snapshot: Snapshot) -> list[Stake]:
    """What MetaMorpho vaults have in the markets of the snapshot."""
    if _METAMORPHO not in snapshot.tables:
        return []
    rows = snapshot.tables[_METAMORPHO].rows()
    return [Stake.from_row(row) for row in rows if row["market"] and row["supply_shares"]]


def holdings(snapshot: Snapshot) -> list[Holding]:
    """What Morpho's Vaults v2 hold of MetaMorpho vaults."""
    if _VAULT_V2 not in snapshot.tables:
        return []
    return [Holding.from_row(row) for row in snapshot.tables[_VAULT_V2].rows() if row["target"] and row["claimed_raw"]]
