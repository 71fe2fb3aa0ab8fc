"""How a Comet lies in a snapshot, and the market that is made of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Kind, Schema, Table
from protocols.lending.compound_v3.market import CompoundV3Market
from protocols.lending.compound_v3.state import BASE, Configuration, Positions, Reserves, Totals

PROTOCOL = "compound_v3"
ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

_MARKET: tuple[str, Kind, str] = ("market", "text", "name of the market in the snapshot")
_TOKEN: tuple[str, Kind, str] = ("token", "text", "address of the token")
_ACCOUNT: tuple[str, Kind, str] = ("account", "text", "address")


def _schema(table: str, key: Iterable[str], *columns: tuple[str, Kind, str]) -> Schema:
    return Schema(f"{PROTOCOL}.{table}", tuple(key), tuple(Column(*column) for column in columns))


MARKETS = _schema(
    "markets",
    ["market"],
    _MARKET,
    ("numeraire", "text", "address of the base token where prices are in it; empty for US dollars"),
    ("supply_index", "uint256", "as stored at last_accrual; 1e15 at first"),
    ("borrow_index", "uint256", "as stored at last_accrual; 1e15 at first"),
    ("supply_principal", "uint256", "totalSupplyBase"),
    ("borrow_principal", "uint256", "totalBorrowBase"),
    ("last_accrual", "int64", "unix seconds"),
    ("supply_kink", "uint256", "utilization, 1e18 is all"),
    ("supply_slope_low", "uint256", "a second, 1e18 is 100 %"),
    ("supply_slope_high", "uint256", "a second, 1e18 is 100 %"),
    ("supply_base", "uint256", "a second, 1e18 is 100 %"),
    ("borrow_kink", "uint256", "utilization, 1e18 is all"),
    ("borrow_slope_low", "uint256", "a second, 1e18 is 100 %"),
    ("borrow_slope_high", "uint256", "a second, 1e18 is 100 %"),
    ("borrow_base", "uint256", "a second, 1e18 is 100 %"),
    ("store_front_factor", "uint256", "the share of an asset's liquidation penalty that its buyers get, 1e18 is all"),
    ("target_reserves_raw", "uint256", "collateral is for sale while reserves are below this, base token"),
    ("borrow_min_raw", "uint256", "the least that may be owed after borrowing, base token"),
    ("absorb_paused", "bool", ""),
    ("buy_paused", "bool", ""),
    ("supply_paused", "bool", ""),
    ("transfer_paused", "bool", ""),
    ("withdraw_paused", "bool", ""),
)
RESERVES = _schema(
    "reserves",
    ["market", "token"],
    _MARKET,
    _TOKEN,
    ("row", "int64", "0 for the base token, then the asset's offset and 1"),
    ("scale", "uint256", "smallest units of one token"),
    ("price_raw", "uint256", "price of one token, 8 decimals of the numeraire; 0 where the feed gives none"),
    ("borrow_factor", "uint256", "the share of its value that may be borrowed, 1e18 is all; 0 for the base token"),
    ("liquidate_factor", "uint256", "the share of its value up to which debt is covered, 1e18 is all"),
    ("liquidation_factor", "uint256", "the share of its value that is credited when it is absorbed, 1e18 is all"),
    ("supply_cap_raw", "uint256", "the most that may be supplied, smallest units; 0 for the base token, without one"),
    ("supplied_raw", "uint256", "accounts' collateral, never lent out; 0 for the base token"),
    ("balance_raw", "uint256", "tokens that the contract holds: of the base token its cash"),
)
ACCOUNTS = _schema(
    "accounts",
    ["market", "account"],
    _MARKET,
    _ACCOUNT,
    ("principal", "int256", "base token without interest, negative if owed"),
)
POSITIONS = _schema(
    "positions",
    ["market", "account", "token"],
    _MARKET,
    _ACCOUNT,
    _TOKEN,
    ("balance_raw", "uint256", "collateral, smallest units"),
)
SCHEMAS = (MARKETS, RESERVES, ACCOUNTS, POSITIONS)


def load(snapshot: Snapshot) -> list[CompoundV3Market]:
    """The Compound v3 markets of a snapshot.

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


def _load(snapshot: Snapshot, market: Market) -> CompoundV3Market:
    def rows(schema: Schema) -> Table:
        return snapshot.tables[schema.name].where("market", market.name)

    facts = rows(MARKETS).rows()
    if len(facts) != 1:
        raise InputError(f"table {MARKETS.name} should have one row of market {market.name}, it has {len(facts)}")
    reserves, accounts = rows(RESERVES), rows(ACCOUNTS)
    tokens = reserves.texts("token")
    if not tokens or reserves.ints("row") != list(range(len(tokens))):
        raise InputError(f"table {RESERVES.name}: market {market.name} should list its tokens in order of their rows")
    numeraire = facts[0]["numeraire"]
    if numeraire not in ("", tokens[BASE]):
        raise InputError(f"table {MARKETS.name}: market {market.name} has prices in {numeraire}, not in its base token")
    return CompoundV3Market(
        name=market.name,
        version=market.version,
        accounts=accounts.texts("account"),
        tokens=tokens,
        configuration=Configuration(*(facts[0][name] for name in Configuration._fields)),
        totals=Totals(*(facts[0][name] for name in Totals._fields)),
        reserves=Reserves(*(reserves.ints(name) for name in Reserves._fields)),
        positions=_positions(rows(POSITIONS), accounts, tokens),
        timestamp=snapshot.timestamp,
        numeraire=BASE if numeraire else None,
    )


def _positions(entries: Table, accounts: Table, tokens: list[str]) -> Positions:
    row_of = {token: row for row, token in enumerate(tokens) if row != BASE}
    addresses = accounts.texts("account")
    known = set(addresses)
    by_account: dict[str, list[tuple[int, int]]] = defaultdict(list)
    columns = zip(entries.texts("account"), entries.texts("token"), entries.ints("balance_raw"), strict=True)
    for number, (account, token, balance) in enumerate(columns, start=1):
        if account not in known or token not in row_of:
            raise InputError(
                f"table {entries.schema.name}, row {number}: account {account} or collateral {token} is not there"
            )
        by_account[account].append((row_of[token], balance))
    offsets, flat = [0], []
    for account in addresses:
        flat += sorted(by_account[account])
        offsets.append(len(flat))
    return Positions(accounts.ints("principal"), offsets, [r for r, _ in flat], [balance for _, balance in flat])
