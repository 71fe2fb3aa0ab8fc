"""How Compound v2 lies in a snapshot, and the market that is made of it; Venus' tables are made of the same parts."""

from __future__ import annotations

from chain.blocktime import block_ms
from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Schema, Table
from protocols.lending.compound_v2.market import Clock, CompoundV2Market
from protocols.lending.compound_v2.rules import Settings
from protocols.lending.compound_v2.state import Markets, Pools, Positions
from protocols.lending.tables import ACCOUNT, MARKET, TOKEN, balances, one_row, rows_of

PROTOCOL = "compound_v2"
ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

MARKET_COLUMNS = (
    Column("id", "int64", "number of the market in the comptroller's list"),
    Column("claim_token", "text", "address of the market itself, whose tokens lenders hold"),
    Column("unit", "uint256", "smallest units of one token"),
    Column("price_raw", "uint256", "getUnderlyingPrice: US dollars a token times 10 ** (36 - decimals)"),
    Column("cash_raw", "uint256", "what the market can pay out, smallest units"),
    Column("borrows_raw", "uint256", "as stored at accrued_block, smallest units"),
    Column("reserves_raw", "uint256", "as stored at accrued_block, smallest units"),
    Column("claims", "uint256", "total supply of the claim token"),
    Column("index_wad", "uint256", "borrow index as stored at accrued_block"),
    Column("accrued_block", "int64", "block up to which interest is in these numbers"),
    Column("initial_rate_wad", "uint256", "exchange rate while there are no claims"),
    Column("reserve_factor_wad", "uint256", "share of interest to reserves"),
    Column("seize_share_wad", "uint256", "share of every seizure to reserves"),
    Column("listed", "bool", ""),
    Column("borrow_paused", "bool", ""),
    Column("base_wad", "uint256", "interest rate model, a block"),
    Column("slope1_wad", "int256", "interest rate model, a block"),
    Column("kink1_wad", "uint256", "interest rate model, utilisation; the largest number if there is no kink"),
    Column("base2_wad", "uint256", "interest rate model, a block"),
    Column("slope2_wad", "int256", "interest rate model, a block"),
    Column("kink2_wad", "uint256", "interest rate model, utilisation; the largest number if there is no second kink"),
    Column("slope3_wad", "int256", "interest rate model, a block"),
    Column("most_usage_wad", "uint256", "utilisation that the interest rate model holds it at"),
)
POSITION_COLUMNS = (
    Column("claims", "uint256", "claim tokens held"),
    Column("principal_raw", "uint256", "the debt when it last changed, smallest units"),
    Column("snapshot_index_wad", "uint256", "the market's borrow index then"),
    Column("entered", "bool", "the account is in the market"),
)

SETTINGS = Schema.of(
    "compound_v2.settings",
    [MARKET],
    Column("close_factor_wad", "uint256", ""),
    Column("incentive_wad", "uint256", "liquidation incentive, 1.08e18 = 8 %"),
    Column("seize_paused", "bool", ""),
)
MARKETS = Schema.of(
    "compound_v2.markets",
    [MARKET, TOKEN],
    *MARKET_COLUMNS,
    Column("collateral_factor_wad", "uint256", "what an account may borrow against, and what counts for liquidation"),
)
ACCOUNTS = Schema.of("compound_v2.accounts", [MARKET, ACCOUNT])
POSITIONS = Schema.of("compound_v2.positions", [MARKET, ACCOUNT, TOKEN], *POSITION_COLUMNS)
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
    settings, listed, accounts, entries = rows_of(snapshot, SCHEMAS, market)
    row = one_row(settings, market)
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
    return Markets(*(rows.values(name) for name in Markets._fields))


def read_positions(rows: Table, accounts: list[str], tokens: list[str], pools: list[int]) -> Positions:
    """Exact state of the positions in a table of :data:`POSITION_COLUMNS`, and `forced` if it has that.

    Raises
    ------
    InputError
        If a row names a token or account that is not there.
    """
    row_of = {token: row for row, token in enumerate(tokens)}
    has_forced = any(column.name == "forced" for column in rows.schema.columns)
    names = ["claims", "principal_raw", "snapshot_index_wad", "entered"] + ["forced"] * has_forced
    columns = balances(rows, accounts, row_of, names)
    if not has_forced:
        columns.append([False] * len(rows))
    return Positions(*[*columns, pools])
