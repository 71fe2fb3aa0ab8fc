"""How Venus' core pool lies in a snapshot, and the market that is made of it."""

from __future__ import annotations

from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Schema, Table
from protocols.lending.compound_v2.state import Pools
from protocols.lending.compound_v2.tables import (
    MARKET_COLUMNS,
    POSITION_COLUMNS,
    clock_of,
    read_markets,
    read_positions,
)
from protocols.lending.tables import ACCOUNT, MARKET, TOKEN, one_row, rows_of
from protocols.lending.venus_core.market import VenusCoreMarket
from protocols.lending.venus_core.pools import Listing, Pool, effective
from protocols.lending.venus_core.rules import Guards, Settings
from protocols.lending.venus_core.versions import needs_every_price

PROTOCOL = "venus_core"
ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

SETTINGS = Schema.of(
    "venus_core.settings",
    [MARKET],
    Column("close_factor_wad", "uint256", ""),
    Column("treasury_share_wad", "uint256", "what the Liquidator contract keeps of the bonus"),
    Column("liquidator_only", "bool", "liquidations go through the Liquidator contract"),
)
MARKETS = Schema.of(
    "venus_core.markets",
    [MARKET, TOKEN],
    *MARKET_COLUMNS,
    Column("liquidate_paused", "bool", "debts in the market cannot be liquidated"),
    Column("seize_paused", "bool", "claims on the market cannot be seized, or not be redeemed"),
    Column("forced", "bool", "debts in the market are liquidated without shortfall"),
    Column("reduced_block", "int64", "block in which reserves were last paid out"),
    Column("reduce_blocks", "uint256", "blocks after which an accrual pays them out again"),
    Column("liquidator_claims", "uint256", "claim tokens of the Liquidator contract"),
    Column("pending", "bool", "which it has still to redeem"),
)
POOLS = Schema.of(
    "venus_core.pools",
    [MARKET, Column("pool", "int64", "id of the pool; 0 is the core")],
    Column("label", "text", "as the comptroller calls it"),
    Column("active", "bool", ""),
    Column("fallback", "bool", "markets that are not listed in it have the core's parameters"),
)
POOL_MARKETS = Schema.of(
    "venus_core.pool_markets",
    [MARKET, Column("pool", "int64", "id of the pool"), TOKEN],
    Column("listed", "bool", "the market is in the pool"),
    Column("ltv_wad", "uint256", "collateral factor: what an account may borrow against"),
    Column("threshold_wad", "uint256", "liquidation threshold"),
    Column("incentive_wad", "uint256", "liquidation incentive, 1.08e18 = 8 %"),
)
ACCOUNTS = Schema.of(
    "venus_core.accounts", [MARKET, ACCOUNT], Column("pool", "int64", "the pool it chose; 0 is the core")
)
POSITIONS = Schema.of(
    "venus_core.positions",
    [MARKET, ACCOUNT, TOKEN],
    *POSITION_COLUMNS,
    Column("forced", "bool", "this debt is liquidated without shortfall"),
)
SCHEMAS = (SETTINGS, MARKETS, POOLS, POOL_MARKETS, ACCOUNTS, POSITIONS)


def load(snapshot: Snapshot) -> list[VenusCoreMarket]:
    """The Venus core pools of a snapshot.

    Raises
    ------
    InputError
        If a table is missing, or a row names a token, account or pool that is not there.
    UnsupportedError
        If a market's version has no rules, or the chain's pace is not known.
    """
    return [_load(snapshot, market) for market in snapshot.markets_of(PROTOCOL)]


def _load(snapshot: Snapshot, market: Market) -> VenusCoreMarket:
    settings, listed, pools, members, accounts, entries = rows_of(snapshot, SCHEMAS, market)
    row = one_row(settings, market)
    names, tokens, chosen = accounts.texts("account"), listed.texts("token"), accounts.ints("pool")
    if not set(chosen) <= set(pools.ints("pool")):
        raise InputError(f"table {ACCOUNTS.name}: an account of market {market.name} is in a pool that is not there")
    return VenusCoreMarket(
        name=market.name,
        version=market.version,
        accounts=names,
        tokens=tokens,
        markets=read_markets(listed),
        guards=Guards(*(listed.values(name) for name in Guards._fields)),
        pools=_pools(pools, members, tokens),
        positions=read_positions(entries, names, tokens, chosen),
        settings=Settings(
            close_factor_wad=row["close_factor_wad"],
            treasury_share_wad=row["treasury_share_wad"],
            liquidator_only=row["liquidator_only"],
            skip_empty=not needs_every_price(market.version),
        ),
        clock=clock_of(snapshot),
    )


def _pools(pools: Table, members: Table, tokens: list[str]) -> Pools:
    rows = pools.rows()
    if [row["pool"] for row in rows] != list(range(len(rows))):
        raise InputError(f"table {pools.schema.name}: pools should stand in order, from the core (0) on")
    listings = {(row["pool"], row["token"]): row for row in members.rows()}
    absent = Listing(False, 0, 0, 0)

    def listing(pool: int, token: str) -> Listing:
        row = listings.get((pool, token))
        return Listing(*(row[name] for name in Listing._fields)) if row else absent

    return effective(
        [Pool(row["active"], row["fallback"], [listing(row["pool"], token) for token in tokens]) for row in rows]
    )
