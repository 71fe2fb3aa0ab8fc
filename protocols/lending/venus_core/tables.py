"""How Venus' core pool lies in a snapshot, and the market that is made of it."""

from __future__ import annotations

from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Table
from protocols.lending.compound_v2.state import Pools
from protocols.lending.compound_v2.tables import (
    ACCOUNT,
    MARKET,
    MARKET_COLUMNS,
    POSITION_COLUMNS,
    TOKEN,
    clock_of,
    column,
    read_markets,
    read_positions,
    rows_of,
    schema,
)
from protocols.lending.venus_core.market import VenusCoreMarket
from protocols.lending.venus_core.pools import Listing, Pool, effective
from protocols.lending.venus_core.rules import Guards, Settings
from protocols.lending.venus_core.versions import needs_every_price

PROTOCOL = "venus_core"
ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

SETTINGS = schema(
    PROTOCOL,
    "settings",
    ["market"],
    MARKET,
    ("close_factor_wad", "uint256", ""),
    ("treasury_share_wad", "uint256", "what the Liquidator contract keeps of the bonus"),
    ("liquidator_only", "bool", "liquidations go through the Liquidator contract"),
)
MARKETS = schema(
    PROTOCOL,
    "markets",
    ["market", "token"],
    MARKET,
    TOKEN,
    *MARKET_COLUMNS,
    ("liquidate_paused", "bool", "debts in the market cannot be liquidated"),
    ("seize_paused", "bool", "claims on the market cannot be seized, or not be redeemed"),
    ("forced", "bool", "debts in the market are liquidated without shortfall"),
    ("reduced_block", "int64", "block in which reserves were last paid out"),
    ("reduce_blocks", "uint256", "blocks after which an accrual pays them out again"),
    ("liquidator_claims", "uint256", "claim tokens of the Liquidator contract"),
    ("pending", "bool", "which it has still to redeem"),
)
POOLS = schema(
    PROTOCOL,
    "pools",
    ["market", "pool"],
    MARKET,
    ("pool", "int64", "id of the pool; 0 is the core"),
    ("label", "text", "as the comptroller calls it"),
    ("active", "bool", ""),
    ("fallback", "bool", "markets that are not listed in it have the core's parameters"),
)
POOL_MARKETS = schema(
    PROTOCOL,
    "pool_markets",
    ["market", "pool", "token"],
    MARKET,
    ("pool", "int64", "id of the pool"),
    TOKEN,
    ("listed", "bool", "the market is in the pool"),
    ("ltv_wad", "uint256", "collateral factor: what an account may borrow against"),
    ("threshold_wad", "uint256", "liquidation threshold"),
    ("incentive_wad", "uint256", "liquidation incentive, 1.08e18 = 8 %"),
)
ACCOUNTS = schema(
    PROTOCOL, "accounts", ["market", "account"], MARKET, ACCOUNT, ("pool", "int64", "the pool it chose; 0 is the core")
)
POSITIONS = schema(
    PROTOCOL,
    "positions",
    ["market", "account", "token"],
    MARKET,
    ACCOUNT,
    TOKEN,
    *POSITION_COLUMNS,
    ("forced", "bool", "this debt is liquidated without shortfall"),
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
    settings, listed, pools, members, accounts, entries = (rows_of(snapshot, table, market) for table in SCHEMAS)
    (row,) = settings.rows()
    names, tokens, chosen = accounts.texts("account"), listed.texts("token"), accounts.ints("pool")
    if not set(chosen) <= set(pools.ints("pool")):
        raise InputError(f"table {ACCOUNTS.name}: an account of market {market.name} is in a pool that is not there")
    return VenusCoreMarket(
        name=market.name,
        version=market.version,
        accounts=names,
        tokens=tokens,
        markets=read_markets(listed),
        guards=Guards(*(column(listed, name) for name in Guards._fields)),
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
