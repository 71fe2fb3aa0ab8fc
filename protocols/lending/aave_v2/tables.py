"""How an Aave v2 pool lies in a snapshot, and the market that is made of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Kind, Schema, Table
from protocols.lending.aave_v2.market import AaveV2Market
from protocols.lending.aave_v2.state import Positions, Reserves

PROTOCOL = "aave_v2"
ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

_MARKET: tuple[str, Kind, str] = ("market", "text", "name of the market in the snapshot")
_TOKEN: tuple[str, Kind, str] = ("token", "text", "address of the underlying token")
_ACCOUNT: tuple[str, Kind, str] = ("account", "text", "address")

_STATE_COLUMNS: tuple[tuple[str, Kind, str], ...] = (
    ("liquidity_index_ray", "uint256", "as stored at last_update"),
    ("borrow_index_ray", "uint256", "as stored at last_update"),
    ("liquidity_rate_ray", "uint256", "a year"),
    ("borrow_rate_ray", "uint256", "of variable debt, a year"),
    ("last_update", "int64", "unix seconds"),
    ("supply_scaled", "uint256", "scaled total supply of the aToken"),
    ("debt_scaled", "uint256", "scaled total supply of the variable debt token"),
    ("stable_principal_raw", "uint256", "all stable-rate debt at stable_since, smallest units"),
    ("stable_rate_ray", "uint256", "average rate of the stable-rate debt, a year"),
    ("stable_since", "int64", "unix seconds"),
    ("liquidity_raw", "uint256", "token balance of the aToken, smallest units"),
    ("treasury_scaled", "uint256", "scaled aToken balance of the treasury"),
    ("unit", "uint256", "smallest units of one token"),
    ("price_raw", "uint256", "oracle price of one token, base units"),
    ("ltv_bps", "int64", "maximum LTV"),
    ("threshold_bps", "int64", "liquidation threshold"),
    ("bonus_bps", "int64", "liquidation bonus, 10500 = 5 %"),
    ("reserve_factor_bps", "int64", "share of interest to the treasury"),
    ("active", "bool", ""),
    ("optimal_usage_ray", "uint256", "interest rate strategy"),
    ("base_rate_ray", "uint256", "interest rate strategy, a year"),
    ("slope1_ray", "uint256", "interest rate strategy, a year"),
    ("slope2_ray", "uint256", "interest rate strategy, a year"),
)


def _schema(table: str, key: Iterable[str], *columns: tuple[str, Kind, str]) -> Schema:
    return Schema(f"{PROTOCOL}.{table}", tuple(key), tuple(Column(*column) for column in columns))


POOLS = _schema(
    "pools",
    ["market"],
    _MARKET,
    ("base_token", "text", "token that the oracle takes for its base currency; empty where that is the US dollar"),
    ("base_unit", "uint256", "base units in one of the base currency"),
)
RESERVES = _schema(
    "reserves",
    ["market", "token"],
    _MARKET,
    _TOKEN,
    ("id", "int64", "number of the reserve in the pool"),
    ("a_token", "text", "address"),
    ("stable_debt_token", "text", "address"),
    ("debt_token", "text", "address of the variable debt token"),
    *_STATE_COLUMNS,
    ("frozen", "bool", ""),
    ("borrowing_enabled", "bool", ""),
)
ACCOUNTS = _schema("accounts", ["market", "account"], _MARKET, _ACCOUNT)
POSITIONS = _schema(
    "positions",
    ["market", "account", "token"],
    _MARKET,
    _ACCOUNT,
    _TOKEN,
    ("supplied_scaled", "uint256", "scaled aToken balance"),
    ("debt_scaled", "uint256", "scaled variable debt balance"),
    ("stable_principal_raw", "uint256", "stable-rate debt at stable_since, smallest units"),
    ("stable_rate_ray", "uint256", "the account's stable rate, a year"),
    ("stable_since", "int64", "unix seconds"),
    ("collateral", "bool", "the account's flag: supplied tokens are used as collateral"),
    ("borrowing", "bool", "the account's flag: it borrows this reserve"),
)
SCHEMAS = (POOLS, RESERVES, ACCOUNTS, POSITIONS)


def load(snapshot: Snapshot) -> list[AaveV2Market]:
    """The Aave v2 markets of a snapshot.

    Raises
    ------
    InputError
        If a table is missing, or a row names a token or account that is not there.
    UnsupportedError
        If a market's version has no rules.
    """
    markets = list(snapshot.markets_of(PROTOCOL))
    for schema in SCHEMAS if markets else ():
        if schema.name not in snapshot.tables:
            raise InputError(f"the snapshot has {PROTOCOL} markets but no table {schema.name}")
    return [_load(snapshot, market) for market in markets]


def _load(snapshot: Snapshot, market: Market) -> AaveV2Market:
    def rows(schema: Schema) -> Table:
        return snapshot.tables[schema.name].where("market", market.name)

    pools = rows(POOLS).rows()
    if len(pools) != 1:
        raise InputError(f"table {POOLS.name} should have one row for market {market.name}, not {len(pools)}")
    base = pools[0]["base_token"]
    reserves = rows(RESERVES)
    ids = reserves.ints("id")
    if ids != sorted(set(ids)):
        raise InputError(f"table {RESERVES.name}: market {market.name} should list its reserves in order of their ids")
    tokens = reserves.texts("token")
    if base and base not in tokens:
        raise InputError(f"table {POOLS.name}: {base}, in which {market.name} has its prices, is no reserve of it")
    accounts = rows(ACCOUNTS).texts("account")
    return AaveV2Market(
        name=market.name,
        version=market.version,
        accounts=accounts,
        tokens=tokens,
        reserves=Reserves(*(_column(reserves, name) for name in Reserves._fields)),
        positions=_positions(rows(POSITIONS), accounts, tokens),
        base_unit=pools[0]["base_unit"],
        numeraire=tokens.index(base) if base else None,
        timestamp=snapshot.timestamp,
    )


def _column(table: Table, name: str) -> list[int] | list[bool]:
    return table.bools(name) if table.schema.column(name).kind == "bool" else table.ints(name)


def _positions(entries: Table, accounts: list[str], tokens: list[str]) -> Positions:
    row_of = {token: row for row, token in enumerate(tokens)}
    known = set(accounts)
    values = zip(*(_column(entries, name) for name in Positions._fields[2:]), strict=True)
    by_account: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    keys = zip(entries.texts("account"), entries.texts("token"), strict=True)
    for number, ((account, token), row) in enumerate(zip(keys, values, strict=True), start=1):
        if account not in known or token not in row_of:
            raise InputError(
                f"table {entries.schema.name}, row {number}: account {account} or token {token} is not there"
            )
        by_account[account].append((row_of[token], *row))
    offsets, flat = [0], []
    for account in accounts:
        flat += sorted(by_account[account])
        offsets.append(len(flat))
    columns = [list(column) for column in zip(*flat, strict=True)] if flat else [[] for _ in Positions._fields[1:]]
    return Positions(offsets, *columns)
