"""How Aave v4 spokes and the hubs behind them lie in a snapshot, and the markets that are made of them.

Every market has the rows of its hubs' assets, so that it can be read by itself; markets of one snapshot whose hubs are
the same share them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Kind, Schema, Table
from protocols.lending.aave_v4.market import AaveV4Market, Hubs
from protocols.lending.aave_v4.state import Assets, Configs, Liquidation, Positions, Reserves

PROTOCOL = "aave_v4"
ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

_MARKET: tuple[str, Kind, str] = ("market", "text", "name of the market in the snapshot")
_HUB: tuple[str, Kind, str] = ("hub", "text", "address of the hub")
_ASSET: tuple[str, Kind, str] = ("asset_id", "int64", "number of the asset in the hub")
_RESERVE: tuple[str, Kind, str] = ("reserve_id", "int64", "number of the reserve in the spoke")
_TOKEN: tuple[str, Kind, str] = ("token", "text", "address of the underlying token")
_ACCOUNT: tuple[str, Kind, str] = ("account", "text", "address")
_DEBT: tuple[tuple[str, Kind, str], ...] = (
    ("drawn_shares", "uint256", "debt, in shares of the drawn index"),
    ("premium_shares", "uint256", "shares on which premium accrues"),
    ("premium_offset_ray", "int256", "taken off premium shares times index, smallest units times 1e27"),
)


def _schema(table: str, key: Iterable[str], *columns: tuple[str, Kind, str]) -> Schema:
    return Schema(f"{PROTOCOL}.{table}", tuple(key), tuple(Column(*column) for column in columns))


SPOKES = _schema(
    "spokes",
    ["market"],
    _MARKET,
    ("target_health_wad", "uint256", "health factor that a liquidation may restore"),
    ("max_bonus_health_wad", "uint256", "health factor at and below which the bonus is highest"),
    ("bonus_factor_bps", "int64", "bonus at a health factor of 1, as a share of the highest"),
)
ASSETS = _schema(
    "assets",
    ["market", "hub", "asset_id"],
    _MARKET,
    _HUB,
    _ASSET,
    _TOKEN,
    ("liquidity_raw", "uint256", "cash, smallest units"),
    ("swept_raw", "uint256", "cash invested elsewhere, smallest units"),
    ("realized_fees_raw", "uint256", "interest due to the fee receiver, smallest units"),
    ("added_shares", "uint256", "supply shares of all spokes"),
    *_DEBT,
    ("deficit_ray", "uint256", "debt written off and not covered, smallest units times 1e27"),
    ("drawn_index_ray", "uint256", "as stored at last_update"),
    ("drawn_rate_ray", "uint256", "a year"),
    ("last_update", "int64", "unix seconds"),
    ("liquidity_fee_bps", "int64", "share of interest to the fee receiver"),
    ("fee_receiver_shares", "uint256", "supply shares of the fee receiver"),
    ("optimal_usage_ray", "uint256", "interest rate strategy"),
    ("base_rate_ray", "uint256", "interest rate strategy, a year"),
    ("slope1_ray", "uint256", "interest rate strategy, a year"),
    ("slope2_ray", "uint256", "interest rate strategy, a year"),
)
RESERVES = _schema(
    "reserves",
    ["market", "reserve_id"],
    _MARKET,
    _RESERVE,
    _TOKEN,
    _HUB,
    _ASSET,
    ("unit", "uint256", "smallest units of one token"),
    ("price_raw", "uint256", "oracle price of one token, 1e-8 US dollars"),
    ("collateral_risk_bps", "int64", "what it adds to the premium on debt that it backs"),
    ("latest_key", "int64", "key of the configuration that accounts get with their next action"),
    ("paused", "bool", ""),
    ("frozen", "bool", ""),
    ("receive_shares", "bool", "liquidators may take supply shares"),
    ("added_shares", "uint256", "supply shares of the spoke"),
    *_DEBT,
    ("deficit_ray", "uint256", "the spoke's part of the asset's deficit"),
    ("premium_threshold_bps", "int64", "most premium shares for drawn shares that the hub allows; 16777215 for any"),
    ("active", "bool", "the hub lets the spoke act"),
    ("halted", "bool", "the hub has stopped the spoke but for deficits and premium"),
    ("borrowable", "bool", ""),
    ("add_cap", "uint256", "most that the spoke may supply, whole tokens; 2**40 - 1 for any"),
    ("draw_cap", "uint256", "most that the spoke may owe, whole tokens; 2**40 - 1 for any"),
)
CONFIGS = _schema(
    "configs",
    ["market", "reserve_id", "key"],
    _MARKET,
    _RESERVE,
    ("key", "int64", "of the dynamic configuration, from 0"),
    ("collateral_factor_bps", "int64", "share of the value that counts against debt"),
    ("max_bonus_bps", "int64", "highest liquidation bonus, 10500 = 5 %"),
    ("fee_bps", "int64", "the protocol's share of the bonus"),
)
ACCOUNTS = _schema(
    "accounts", ["market", "account"], _MARKET, _ACCOUNT, ("risk_premium_bps", "int64", "on its debt, as last set")
)
POSITIONS = _schema(
    "positions",
    ["market", "account", "reserve_id"],
    _MARKET,
    _ACCOUNT,
    _RESERVE,
    ("supplied_shares", "uint256", "supply shares"),
    *_DEBT,
    ("key", "int64", "of the dynamic configuration that holds for it"),
    ("collateral", "bool", "the account's flag: supplied tokens are used as collateral"),
    ("borrowing", "bool", "the account's flag: it borrows this reserve"),
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
    for schema in SCHEMAS:
        if schema.name not in snapshot.tables:
            raise InputError(f"the snapshot has {PROTOCOL} markets but no table {schema.name}")
    row_of, assets = _assets(snapshot.tables[ASSETS.name])
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
    def rows(schema: Schema) -> Table:
        return snapshot.tables[schema.name].where("market", market.name)

    spoke, reserves, accounts = rows(SPOKES), rows(RESERVES), rows(ACCOUNTS)
    if len(spoke) != 1:
        raise InputError(f"table {SPOKES.name}: market {market.name} should have one row, not {len(spoke)}")
    ids = reserves.ints("reserve_id")
    if ids != list(range(len(ids))):
        raise InputError(f"table {RESERVES.name}: market {market.name} should list its reserves from 0, in order")
    config_of, configs = _configs(rows(CONFIGS))
    return AaveV4Market(
        name=market.name,
        version=market.version,
        accounts=accounts.texts("account"),
        tokens=reserves.texts("token"),
        hubs=hubs,
        reserves=_reserves(reserves, row_of, config_of),
        configs=configs,
        terms=Liquidation(*(spoke.ints(name)[0] for name in Liquidation._fields)),
        positions=_positions(rows(POSITIONS), accounts, config_of),
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
    found: dict[str, list[int] | list[bool]] = {
        "asset": [row_of[key] for key in zip(hubs, assets, strict=True)],
        "latest_config": [config_of[key] for key in latest],
    }
    for name in Reserves._fields:
        if name not in found:
            flag = table.schema.column(name).kind == "bool"
            found[name] = table.bools(name) if flag else table.ints(name)
    return Reserves(**found)


def _positions(entries: Table, accounts: Table, config_of: dict[tuple[int, int], int]) -> Positions:
    addresses = accounts.texts("account")
    known = set(addresses)
    by_account: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    columns = zip(
        entries.texts("account"),
        entries.ints("reserve_id"),
        *(entries.ints(name) for name in ("supplied_shares", "drawn_shares", "premium_shares", "premium_offset_ray")),
        entries.ints("key"),
        *(entries.bools(name) for name in ("collateral", "borrowing")),
        strict=True,
    )
    for number, (account, reserve, *balances, key, collateral, borrowing) in enumerate(columns, start=1):
        config = config_of.get((reserve, key))
        if account not in known or config is None:
            raise InputError(
                f"table {entries.schema.name}, row {number}: account {account}, or configuration {key} of reserve "
                f"{reserve}, is not there"
            )
        by_account[account].append((reserve, *balances, config, collateral, borrowing))
    offsets, flat = [0], list[tuple[int, ...]]()
    for account in addresses:
        flat += sorted(by_account[account])
        offsets.append(len(flat))
    names = [name for name in Positions._fields if name not in ("offsets", "risk_premium_bps")]
    return Positions(
        offsets=offsets,
        risk_premium_bps=accounts.ints("risk_premium_bps"),
        **{name: [row[place] for row in flat] for place, name in enumerate(names)},
    )
