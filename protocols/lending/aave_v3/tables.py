"""How an Aave v3 pool lies in a snapshot, and the market that is made of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Kind, Schema, Table
from protocols.lending.aave_v3.market import AaveV3Market
from protocols.lending.aave_v3.state import EModes, Positions, Reserves

PROTOCOL = "aave_v3"
ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

_MARKET: tuple[str, Kind, str] = ("market", "text", "name of the market in the snapshot")
_TOKEN: tuple[str, Kind, str] = ("token", "text", "address of the underlying token")
_ACCOUNT: tuple[str, Kind, str] = ("account", "text", "address")
_CATEGORY: tuple[str, Kind, str] = ("category", "int64", "id of the e-mode category")

_STATE_COLUMNS: tuple[tuple[str, Kind, str], ...] = (
    ("liquidity_index_ray", "uint256", "as stored at last_update"),
    ("borrow_index_ray", "uint256", "as stored at last_update"),
    ("liquidity_rate_ray", "uint256", "a year"),
    ("borrow_rate_ray", "uint256", "a year"),
    ("last_update", "int64", "unix seconds"),
    ("supply_scaled", "uint256", "scaled total supply of the aToken"),
    ("debt_scaled", "uint256", "scaled total supply of the variable debt token"),
    ("liquidity_raw", "uint256", "virtual underlying balance; before 3.1 the aToken's token balance; smallest units"),
    ("treasury_accrued_scaled", "uint256", "accruedToTreasury"),
    ("treasury_scaled", "uint256", "scaled aToken balance of the treasury"),
    ("deficit_raw", "uint256", "debt written off and not covered, smallest units; 0 before 3.3"),
    ("isolated_debt", "uint256", "isolationModeTotalDebt, base currency with 2 decimals"),
    ("unit", "uint256", "smallest units of one token"),
    ("price_raw", "uint256", "oracle price of one token, base units"),
    ("ltv_bps", "int64", "maximum LTV"),
    ("threshold_bps", "int64", "liquidation threshold"),
    ("bonus_bps", "int64", "liquidation bonus, 10500 = 5 %"),
    ("reserve_factor_bps", "int64", "share of interest to the treasury"),
    ("fee_bps", "int64", "the protocol's share of the bonus"),
    ("debt_ceiling", "uint256", "isolation mode's, base currency with 2 decimals; 0 for none"),
    ("grace_until", "int64", "no liquidation until then, unix seconds"),
    ("active", "bool", ""),
    ("paused", "bool", ""),
    ("optimal_usage_ray", "uint256", "interest rate strategy"),
    ("base_rate_ray", "uint256", "interest rate strategy, a year"),
    ("slope1_ray", "uint256", "interest rate strategy, a year"),
    ("slope2_ray", "uint256", "interest rate strategy, a year"),
)


def _schema(table: str, key: Iterable[str], *columns: tuple[str, Kind, str]) -> Schema:
    return Schema(f"{PROTOCOL}.{table}", tuple(key), tuple(Column(*column) for column in columns))


RESERVES = _schema(
    "reserves",
    ["market", "token"],
    _MARKET,
    _TOKEN,
    ("id", "int64", "number of the reserve in the pool"),
    ("a_token", "text", "address"),
    ("debt_token", "text", "address of the variable debt token"),
    *_STATE_COLUMNS,
    ("supply_cap", "uint256", "whole tokens; 0 for none"),
    ("borrow_cap", "uint256", "whole tokens; 0 for none"),
    ("frozen", "bool", ""),
    ("borrowing_enabled", "bool", ""),
)
EMODES = _schema(
    "emodes",
    ["market", "category"],
    _MARKET,
    _CATEGORY,
    ("label", "text", "as the pool calls it"),
    ("ltv_bps", "int64", "maximum LTV"),
    ("threshold_bps", "int64", "liquidation threshold"),
    ("bonus_bps", "int64", "liquidation bonus, 10500 = 5 %"),
    ("price_raw", "uint256", "price of the category's own source, base units; 0 without one"),
    ("isolated", "bool", "reserves outside it have no borrowing power (since 3.7)"),
)
EMODE_RESERVES = _schema(
    "emode_reserves",
    ["market", "category", "token"],
    _MARKET,
    _CATEGORY,
    _TOKEN,
    ("collateral", "bool", "counts with the category's parameters"),
    ("borrowable", "bool", "may be borrowed in the category"),
    ("ltv_zero", "bool", "has no borrowing power in it (since 3.6)"),
)
ACCOUNTS = _schema(
    "accounts", ["market", "account"], _MARKET, _ACCOUNT, ("emode", "int64", "the account's category, 0 for none")
)
POSITIONS = _schema(
    "positions",
    ["market", "account", "token"],
    _MARKET,
    _ACCOUNT,
    _TOKEN,
    ("supplied_scaled", "uint256", "scaled aToken balance"),
    ("debt_scaled", "uint256", "scaled variable debt balance"),
    ("collateral", "bool", "the account's flag: supplied tokens are used as collateral"),
    ("borrowing", "bool", "the account's flag: it borrows this reserve"),
)
SCHEMAS = (RESERVES, EMODES, EMODE_RESERVES, ACCOUNTS, POSITIONS)


def load(snapshot: Snapshot) -> list[AaveV3Market]:
    """The Aave v3 markets of a snapshot.

    Raises
    ------
    InputError
        If a table is missing, or a row names a token or account that is not there.
    UnsupportedError
        If a market's version has no rules.
    """
    markets = list(snapshot.markets_of(PROTOCOL))
    if not markets:
        return []
    for schema in SCHEMAS:
        if schema.name not in snapshot.tables:
            raise InputError(f"the snapshot has {PROTOCOL} markets but no table {schema.name}")
    return [_load(snapshot, market) for market in markets]


def _load(snapshot: Snapshot, market: Market) -> AaveV3Market:
    def rows(schema: Schema) -> Table:
        return snapshot.tables[schema.name].where("market", market.name)

    reserves = rows(RESERVES)
    ids = reserves.ints("id")
    if ids != sorted(set(ids)):
        raise InputError(f"table {RESERVES.name}: market {market.name} should list its reserves in order of their ids")
    tokens = reserves.texts("token")
    accounts = rows(ACCOUNTS)
    return AaveV3Market(
        name=market.name,
        version=market.version,
        accounts=accounts.texts("account"),
        tokens=tokens,
        reserves=Reserves(*(_column(reserves, name) for name in Reserves._fields)),
        emodes=_emodes(rows(EMODES), rows(EMODE_RESERVES), tokens),
        positions=_positions(rows(POSITIONS), accounts, tokens),
        timestamp=snapshot.timestamp,
    )


def _column(table: Table, name: str) -> list[int] | list[bool]:
    return table.bools(name) if table.schema.column(name).kind == "bool" else table.ints(name)


def _emodes(categories: Table, members: Table, tokens: list[str]) -> EModes:
    size = max(categories.ints("category"), default=0) + 1
    row_of = {token: row for row, token in enumerate(tokens)}
    collateral = [[False] * len(tokens) for _ in range(size)]
    ltv_zero = [[False] * len(tokens) for _ in range(size)]
    for member in members.rows():
        category, reserve = member["category"], row_of.get(member["token"])
        if reserve is None or not 0 < category < size:
            raise InputError(f"table {members.schema.name}: {member['token']} in category {category} is not there")
        collateral[category][reserve] = member["collateral"]
        ltv_zero[category][reserve] = member["ltv_zero"]
    plain: dict[str, list[int]] = {n: [0] * size for n in ("ltv_bps", "threshold_bps", "bonus_bps", "price_raw")}
    isolated = [False] * size
    for row in categories.rows():
        for name, column in plain.items():
            column[row["category"]] = row[name]
        isolated[row["category"]] = row["isolated"]
    return EModes(collateral=collateral, ltv_zero=ltv_zero, isolated=isolated, **plain)


def _positions(entries: Table, accounts: Table, tokens: list[str]) -> Positions:
    row_of = {token: row for row, token in enumerate(tokens)}
    addresses = accounts.texts("account")
    known = set(addresses)
    by_account: dict[str, list[tuple[int, int, int, bool, bool]]] = defaultdict(list)
    columns = zip(
        entries.texts("account"),
        entries.texts("token"),
        entries.ints("supplied_scaled"),
        entries.ints("debt_scaled"),
        entries.bools("collateral"),
        entries.bools("borrowing"),
        strict=True,
    )
    for number, (account, token, supplied, debt, collateral, borrowing) in enumerate(columns, start=1):
        if account not in known or token not in row_of:
            raise InputError(
                f"table {entries.schema.name}, row {number}: account {account} or token {token} is not there"
            )
        by_account[account].append((row_of[token], supplied, debt, collateral, borrowing))
    offsets, flat = [0], []
    for account in addresses:
        flat += sorted(by_account[account])
        offsets.append(len(flat))
    reserve, supplied_scaled, debt_scaled, used, borrows = (
        (list(column) for column in zip(*flat, strict=True)) if flat else ([],) * 5
    )
    return Positions(offsets, reserve, supplied_scaled, debt_scaled, used, borrows, accounts.ints("emode"))
