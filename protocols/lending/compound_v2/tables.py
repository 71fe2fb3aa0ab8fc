"""How Compound v2 lies in a snapshot, and the market that is made of it; Venus' tables are made of the same parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from chain.blocktime import block_ms
from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Kind, Schema, Table
from protocols.lending.compound_v2.market import Clock, CompoundV2Market
from protocols.lending.compound_v2.rules import Settings
from protocols.lending.compound_v2.state import Markets, Pools, Positions

PROTOCOL = "compound_v2"
ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

Columns = tuple[tuple[str, Kind, str], ...]

MARKET: tuple[str, Kind, str] = ("market", "text", "name of the market in the snapshot")
TOKEN: tuple[str, Kind, str] = ("token", "text", "address of the underlying token")
ACCOUNT: tuple[str, Kind, str] = ("account", "text", "address")

MARKET_COLUMNS: Columns = (
    ("id", "int64", "number of the market in the comptroller's list"),
    ("claim_token", "text", "address of the market itself, whose tokens lenders hold"),
    ("unit", "uint256", "smallest units of one token"),
    ("price_raw", "uint256", "getUnderlyingPrice: US dollars a token times 10 ** (36 - decimals)"),
    ("cash_raw", "uint256", "what the market can pay out, smallest units"),
    ("borrows_raw", "uint256", "as stored at accrued_block, smallest units"),
    ("reserves_raw", "uint256", "as stored at accrued_block, smallest units"),
    ("claims", "uint256", "total supply of the claim token"),
    ("index_wad", "uint256", "borrow index as stored at accrued_block"),
    ("accrued_block", "int64", "block up to which interest is in these numbers"),
    ("initial_rate_wad", "uint256", "exchange rate while there are no claims"),
    ("reserve_factor_wad", "uint256", "share of interest to reserves"),
    ("seize_share_wad", "uint256", "share of every seizure to reserves"),
    ("listed", "bool", ""),
    ("borrow_paused", "bool", ""),
    ("base_wad", "uint256", "interest rate model, a block"),
    ("slope1_wad", "int256", "interest rate model, a block"),
    ("kink1_wad", "uint256", "interest rate model, utilisation; the largest number if there is no kink"),
    ("base2_wad", "uint256", "interest rate model, a block"),
    ("slope2_wad", "int256", "interest rate model, a block"),
    ("kink2_wad", "uint256", "interest rate model, utilisation; the largest number if there is no second kink"),
    ("slope3_wad", "int256", "interest rate model, a block"),
    ("most_usage_wad", "uint256", "utilisation that the interest rate model holds it at"),
)
POSITION_COLUMNS: Columns = (
    ("claims", "uint256", "claim tokens held"),
    ("principal_raw", "uint256", "the debt when it last changed, smallest units"),
    ("snapshot_index_wad", "uint256", "the market's borrow index then"),
    ("entered", "bool", "the account is in the market"),
)


def schema(protocol: str, table: str, key: Iterable[str], *columns: tuple[str, Kind, str]) -> Schema:
    """A table of a protocol."""
    return Schema(f"{protocol}.{table}", tuple(key), tuple(Column(*column) for column in columns))


SETTINGS = schema(
    PROTOCOL,
    "settings",
    ["market"],
    MARKET,
    ("close_factor_wad", "uint256", ""),
    ("incentive_wad", "uint256", "liquidation incentive, 1.08e18 = 8 %"),
    ("seize_paused", "bool", ""),
)
MARKETS = schema(
    PROTOCOL,
    "markets",
    ["market", "token"],
    MARKET,
    TOKEN,
    *MARKET_COLUMNS,
    ("collateral_factor_wad", "uint256", "what an account may borrow against, and what counts for liquidation"),
)
ACCOUNTS = schema(PROTOCOL, "accounts", ["market", "account"], MARKET, ACCOUNT)
POSITIONS = schema(PROTOCOL, "positions", ["market", "account", "token"], MARKET, ACCOUNT, TOKEN, *POSITION_COLUMNS)
SCHEMAS = (SETTINGS, MARKETS, ACCOUNTS, POSITIONS)


def load(snapshot: Snapshot) -> list[CompoundV2Market]:
    """The Compound v2 markets of a snapshot.

    Raises
    ------
    InputError
        If a table is missing, or a row names a token or account that is not there.
    UnsupportedError
        If a market's version has no rules, or the chain's pace is not known.
    """
    return [_load(snapshot, market) for market in snapshot.markets_of(PROTOCOL)]


def _load(snapshot: Snapshot, market: Market) -> CompoundV2Market:
    settings, listed, accounts, entries = (rows_of(snapshot, table, market) for table in SCHEMAS)
    (row,) = settings.rows()
    factors = listed.ints("collateral_factor_wad")
    names, tokens = accounts.texts("account"), listed.texts("token")
    return CompoundV2Market(
        name=market.name,
        version=market.version,
        accounts=names,
        tokens=tokens,
        markets=read_markets(listed),
        pools=Pools([factors], [factors], [[row["incentive_wad"]] * len(tokens)]),
        positions=read_positions(entries, names, tokens, pools=[0] * len(names)),
        settings=Settings(row["close_factor_wad"], row["seize_paused"]),
        clock=clock_of(snapshot),
    )


# --- parts that Venus' tables share -------------------------------------------------------------------------------


def rows_of(snapshot: Snapshot, table: Schema, market: Market) -> Table:
    """A market's rows of a table; raises InputError if the snapshot lacks the table, or settings are not one row."""
    if table.name not in snapshot.tables:
        raise InputError(f"the snapshot has {market.protocol} markets but no table {table.name}")
    rows = snapshot.tables[table.name].where("market", market.name)
    if table.key == ("market",) and len(rows) != 1:
        raise InputError(f"table {table.name} has no row of market {market.name}")
    return rows


def clock_of(snapshot: Snapshot) -> Clock:
    """Time and block of a snapshot, and its chain's pace."""
    pace = block_ms(snapshot.chain_id, snapshot.timestamp)
    return Clock(snapshot.block_number, snapshot.timestamp, pace)


def read_markets(rows: Table) -> Markets:
    """Exact state of the markets in a table of :data:`MARKET_COLUMNS`.

    Raises
    ------
    InputError
        If they are not in the order of the comptroller's list.
    """
    ids = rows.ints("id")
    if ids != sorted(set(ids)):
        raise InputError(f"table {rows.schema.name}: markets should stand in order of their ids")
    return Markets(*(column(rows, name) for name in Markets._fields))


def read_positions(rows: Table, accounts: list[str], tokens: list[str], pools: list[int]) -> Positions:
    """Exact state of the positions in a table of :data:`POSITION_COLUMNS`, and `forced` if it has that.

    Raises
    ------
    InputError
        If a row names a token or account that is not there.
    """
    row_of = {token: row for row, token in enumerate(tokens)}
    known = set(accounts)
    has_forced = any(c.name == "forced" for c in rows.schema.columns)
    by_account: dict[str, list[tuple[int, int, int, int, bool, bool]]] = defaultdict(list)
    for number, row in enumerate(rows.rows(), start=1):
        account, token = row["account"], row["token"]
        if account not in known or token not in row_of:
            raise InputError(f"table {rows.schema.name}, row {number}: account {account} or token {token} is not there")
        numbers = row["claims"], row["principal_raw"], row["snapshot_index_wad"]
        by_account[account].append((row_of[token], *numbers, row["entered"], row["forced"] if has_forced else False))
    offsets, flat = [0], []
    for account in accounts:
        flat += sorted(by_account[account])
        offsets.append(len(flat))
    market, claims, principal, index, entered, forced = (
        (list(values) for values in zip(*flat, strict=True)) if flat else ([],) * 6
    )
    return Positions(offsets, market, claims, principal, index, entered, forced, pools)


def column(rows: Table, name: str) -> list[int] | list[bool]:
    """A column as the exact form has it."""
    return rows.bools(name) if rows.schema.column(name).kind == "bool" else rows.ints(name)
