"""How MetaMorpho vaults lie in a snapshot, and what shares lose by a loss in the market they are in."""

from __future__ import annotations

from chain.tables import Column, Schema
from protocols.arithmetic import Number, rule
from protocols.lending.morpho_blue.shares import to_assets_down

VAULT = Column("vault", "text", "address of the vault, which is its share's token")

VAULTS = Schema.of(
    "metamorpho.vaults",
    [VAULT],
    Column("version", "text", "1.0: a loss is in the share price; 1.1: it is kept apart"),
    Column("asset", "text", "address of the token that it lends"),
    Column("morpho", "text", "address of the Morpho that it lends in"),
    Column("owner", "text", "address"),
    Column("curator", "text", "address"),
    Column("guardian", "text", "address"),
    Column("timelock_s", "int64", "before a cap may rise, a market be taken away, or a guardian be replaced"),
    Column("fee_wad", "uint256", "share of the interest to the fee recipient"),
    Column("total_supply", "uint256", "smallest units of the share"),
    Column("last_total_assets", "uint256", "at the last interaction, smallest units of the asset"),
    Column("lost_assets", "uint256", "losses that the share price does not show, as stored; 0 in 1.0"),
    Column("virtual_shares", "uint256", "10**DECIMALS_OFFSET"),
)
ALLOCATIONS = Schema.of(
    "metamorpho.allocations",
    [VAULT, Column("id", "text", "of the market in Morpho, 32 bytes")],
    Column("market", "text", "its name in the snapshot; empty where it was not read, such as without debt"),
    Column("collateral_token", "text", "address"),
    Column("supply_place", "int64", "place in the supply queue, from 0; -1 if it is not there"),
    Column("withdraw_place", "int64", "place in the withdraw queue, from 0; -1 if it is not there"),
    Column("cap_raw", "uint256", "most that the vault supplies, smallest units of the asset"),
    Column("enabled", "bool", "is in the withdraw queue by the vault's own account"),
    Column("removable_at", "int64", "unix seconds from which it may be taken away; 0 if it is not to be"),
    Column("pending_cap_raw", "uint256", "cap that is waiting; 0 for none"),
    Column("pending_at", "int64", "unix seconds from which the waiting cap may be set; 0 for none"),
    Column("supply_shares", "uint256", "of the vault in the market"),
    Column("supplied_raw", "uint256", "what they are worth as stored at last_update, smallest units of the asset"),
    Column("market_supply_assets", "uint256", "of all suppliers, as stored at last_update"),
    Column("market_supply_shares", "uint256", "of all suppliers, as stored at last_update"),
    Column("last_update", "int64", "of the market, unix seconds"),
)
SCHEMAS = (VAULTS, ALLOCATIONS)


@rule
def lost(shares: Number, supply_assets: Number, supply_shares: Number, bad_debt: Number) -> Number:
    """What a supplier's shares lose by bad debt, which Morpho takes from all suppliers at once.

    Source: Morpho.liquidate, ``market.totalSupplyAssets -= badDebtAssets``, and SharesMathLib.toAssetsDown.
    """
    before = to_assets_down(shares, supply_assets, supply_shares)
    return before - to_assets_down(shares, supply_assets - bad_debt, supply_shares)
