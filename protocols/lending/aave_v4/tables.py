"""How Aave v4 spokes and the hubs behind them lie in a snapshot, and the markets that are made of them.

Every market has the rows of its hubs' assets, so that it can be read by itself; markets of one snapshot whose hubs are
the same share them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Schema, Table
from protocols.lending.aave_v4.market import AaveV4Market, Hubs
from protocols.lending.aave_v4.state import Assets, Configs, Liquidation, Positions, Reserves
from protocols.lending.tables import ACCOUNT, MARKET, TOKEN, by_account, one_row, rows_of, tables_of

PROTOCOL = "aave_v4"
ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

HUB = Column("hub", "text", "address of the hub")
ASSET = Column("asset_id", "int64", "number of the asset in the hub")
RESERVE = Column("reserve_id", "int64", "number of the reserve in the spoke")
DEBT = (
    Column("drawn_shares", "uint256", "debt, in shares of the drawn index"),
    Column("premium_shares", "uint256", "shares on which premium accrues"),
    Column("premium_offset_ray", "int256", "taken off premium shares times index, smallest units times 1e27"),
)

SPOKES = Schema.of(
    "aave_v4.spokes",
    [MARKET],
    Column("target_health_wad", "uint256", "health factor that a liquidation may restore"),
    Column("max_bonus_health_wad", "uint256", "health factor at and below which the bonus is highest"),
    Column("bonus_factor_bps", "int64", "bonus at a health factor of 1, as a share of the highest"),
)
ASSETS = Schema.of(
    "aave_v4.assets",
    [MARKET, HUB, ASSET],
    TOKEN,
    Column("liquidity_raw", "uint256", "cash, smallest units"),
    Column("swept_raw", "uint256", "cash invested elsewhere, smallest units"),
    Column("realized_fees_raw", "uint256", "interest due to the fee receiver, smallest units"),
    Column("added_shares", "uint256", "supply shares of all spokes"),
    *DEBT,
    Column("deficit_ray", "uint256", "debt written off and not covered, smallest units times 1e27"),
    Column("drawn_index_ray", "uint256", "as stored at last_update"),
    Column("drawn_rate_ray", "uint256", "a year"),
    Column("last_update", "int64", "unix seconds"),
    Column("liquidity_fee_bps", "int64", "share of interest to the fee receiver"),
    Column("fee_receiver_shares", "uint256", "supply shares of the fee receiver"),
    Column("optimal_usage_ray", "uint256", "interest rate strategy"),
    Column("base_rate_ray", "uint256", "interest rate strategy, a year"),
    Column("slope1_ray", "uint256", "interest rate strategy, a year"),
    Column("slope2_ray", "uint256", "interest rate strategy, a year"),
)
RESERVES = Schema.of(
    "aave_v4.reserves",
    [MARKET, RESERVE],
    TOKEN,
    HUB,
    ASSET,
    Column("unit", "uint256", "smallest units of one token"),
    Column("price_raw", "uint256", "oracle price of one token, 1e-8 US dollars"),
    Column("collateral_risk_bps", "int64", "what it adds to the premium on debt that it backs"),
    Column("latest_key", "int64", "key of the configuration that accounts get with their next action"),
    Column("paused", "bool", ""),
    Column("frozen", "bool", ""),
    Column("receive_shares", "bool", "liquidators may take supply shares"),
    Column("added_shares", "uint256", "supply shares of the spoke"),
    *DEBT,
    Column("deficit_ray", "uint256", "the spoke's part of the asset's deficit"),
    Column(
        "premium_threshold_bps", "int64", "most premium shares for drawn shares that the hub allows; 16777215 for any"
    ),
    Column("active", "bool", "the hub lets the spoke act"),
    Column("halted", "bool", "the hub has stopped the spoke but for deficits and premium"),
    Column("borrowable", "bool", ""),
    Column("add_cap", "uint256", "most that the spoke may supply, whole tokens; 2**40 - 1 for any"),
    Column("draw_cap", "uint256", "most that the spoke may owe, whole tokens; 2**40 - 1 for any"),
)
CONFIGS = Schema.of(
    "aave_v4.configs",
    [MARKET, RESERVE, Column("key", "int64", "of the dynamic configuration, from 0")],
    Column("collateral_factor_bps", "int64", "share of the value that counts against debt"),
    Column("max_bonus_bps", "int64", "highest liquidation bonus, 10500 = 5 %"),
    Column("fee_bps", "int64", "the protocol's share of the bonus"),
)
ACCOUNTS = Schema.of(
    "aave_v4.accounts", [MARKET, ACCOUNT], Column("risk_premium_bps", "int64", "on its debt, as last set")
)
POSITIONS = Schema.of(
    "aave_v4.positions",
    [MARKET, ACCOUNT, RESERVE],
    Column("supplied_shares", "uint256", "supply shares"),
    *DEBT,
    Column("key", "int64", "of the dynamic configuration that holds for it"),
    Column("collateral", "bool", "the account's flag: supplied tokens are used as collateral"),
    Column("borrowing", "bool", "the account's flag: it borrows this reserve"),
)
SCHEMAS = (SPOKES, ASSETS, RESERVES, CONFIGS, ACCOUNTS, POSITIONS)


def load(snapshot: Snapshot) -> list[AaveV4Market]:
    """The Aave v4 markets of a snapshot.

    Raises
    ------
    InputError
        If a table is missing, a row names something that is not there, or two markets have a hub's asset differently.
    UnsupportedError
        If a market's version has no rules.
    """
    markets = list(snapshot.markets_of(PROTOCOL))
    if not markets:
        return []
    _, every_asset, *_ = tables_of(snapshot, SCHEMAS, PROTOCOL)
    row_of, assets = _assets(every_asset)
    hubs = Hubs(assets, snapshot.timestamp)
    return [_load(snapshot, market, hubs, row_of) for market in markets]


def _assets(table: Table) -> tuple[dict[tuple[str, int], int], Assets]:
    """Every hub's asset once, and its row by hub and number."""
    columns = {name: table.ints(name) for name in Assets._fields}
    row_of: dict[tuple[str, int], int] = {}
    rows: list[tuple[int, ...]] = []
    keys = zip(table.texts("hub"), table.ints("asset_id"), strict=True)
    for key, values in zip(keys, zip(*columns.values(), strict=True), strict=True):
        row = row_of.setdefault(key, len(rows))
        if row == len(rows):
            rows.append(values)
        elif rows[row] != values:
            raise InputError(f"table {ASSETS.name}: markets differ in asset {key[1]} of hub {key[0]}")
    return row_of, Assets(*([row[place] for row in rows] for place in range(len(Assets._fields))))


def _load(snapshot: Snapshot, market: Market, hubs: Hubs, row_of: dict[tuple[str, int], int]) -> AaveV4Market:
    spokes, _, reserves, configurations, accounts, positions = rows_of(snapshot, SCHEMAS, market)
    spoke = one_row(spokes, market)
    ids = reserves.ints("reserve_id")
    if ids != list(range(len(ids))):
        raise InputError(f"table {RESERVES.name}: market {market.name} should list its reserves from 0, in order")
    config_of, configs = _configs(configurations)
    return AaveV4Market(
        name=market.name,
        version=market.version,
        accounts=accounts.texts("account"),
        tokens=reserves.texts("token"),
        hubs=hubs,
        reserves=_reserves(reserves, row_of, config_of),
        configs=configs,
        terms=Liquidation(*(spoke[name] for name in Liquidation._fields)),
        positions=_positions(positions, accounts, config_of),
    )


def _configs(table: Table) -> tuple[dict[tuple[int, int], int], Configs]:
    """The configurations, and the row of each by reserve and key."""
    keys = zip(table.ints("reserve_id"), table.ints("key"), strict=True)
    row_of = {key: row for row, key in enumerate(keys)}
    return row_of, Configs(*(table.ints(name) for name in Configs._fields))


def _reserves(table: Table, row_of: dict[tuple[str, int], int], config_of: dict[tuple[int, int], int]) -> Reserves:
    hubs, assets = table.texts("hub"), table.ints("asset_id")
    latest = list(enumerate(table.ints("latest_key")))
    for number, (asset, config) in enumerate(zip(zip(hubs, assets, strict=True), latest, strict=True)):
        if asset not in row_of or config not in config_of:
            raise InputError(
                f"table {table.schema.name}, reserve {number}: asset {asset[1]} of hub {asset[0]}, or configuration "
                f"{config[1]}, is not there"
            )
    found: dict[str, list[Any]] = {
        "asset": [row_of[key] for key in zip(hubs, assets, strict=True)],
        "latest_config": [config_of[key] for key in latest],
    }
    for name in Reserves._fields:
        if name not in found:
            found[name] = table.values(name)
    return Reserves(**found)


def _positions(entries: Table, accounts: Table, config_of: dict[tuple[int, int], int]) -> Positions:
    names = accounts.texts("account")
    known = set(names)
    found: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    columns = zip(
        *(entries.values(name) for name in ("account", "reserve_id", "supplied_shares", "drawn_shares")),
        *(entries.values(name) for name in ("premium_shares", "premium_offset_ray", "key", "collateral", "borrowing")),
        strict=True,
    )
    for number, (account, reserve, *balances, key, collateral, borrowing) in enumerate(columns, start=1):
        config = config_of.get((reserve, key))
        if account not in known or config is None:
            raise InputError(
                f"table {entries.schema.name}, row {number}: account {account}, or configuration {key} of reserve "
                f"{reserve}, is not there"
            )
        found[account].append((reserve, *balances, config, collateral, borrowing))
    return Positions(*[*by_account(found, names, width=8), accounts.ints("risk_premium_bps")])
