"""How Morpho's Vaults v2 lie in a snapshot."""

from __future__ import annotations

from chain.tables import Column, Schema

VAULT = Column("vault", "text", "address of the vault, which is its share's token")

VAULTS = Schema.of(
    "vault_v2.vaults",
    [VAULT],
    Column("asset", "text", "address of the token that it lends"),
    Column("owner", "text", "address"),
    Column("curator", "text", "address"),
    Column("liquidity_adapter", "text", "where deposits go and withdrawals come from; the zero address for none"),
    Column("total_supply", "uint256", "smallest units of the share"),
    Column("total_assets", "uint256", "as stored at last_update, smallest units of the asset"),
    Column("last_update", "int64", "unix seconds"),
    Column("idle_raw", "uint256", "the vault's own balance of the asset"),
    Column("max_rate_wad", "uint256", "how fast the share price may rise, a second"),
    Column("performance_fee_wad", "uint256", "share of the interest"),
    Column("management_fee_wad", "uint256", "share of all assets, a second"),
    Column("virtual_shares", "uint256", ""),
)
ALLOCATIONS = Schema.of(
    "vault_v2.allocations",
    [VAULT, Column("adapter", "text", "address")],
    Column("claimed_raw", "uint256", "what the adapter says that it could claim now, smallest units of the asset"),
    Column("allocated_raw", "uint256", "as of the last time that money went in or out"),
    Column("cap_raw", "uint256", "most that may be allocated to it"),
    Column("relative_cap_wad", "uint256", "the same as a share of the vault's assets"),
    Column("target", "text", "the MetaMorpho vault that it holds shares of; empty for an adapter of another kind"),
)
SCHEMAS = (VAULTS, ALLOCATIONS)
