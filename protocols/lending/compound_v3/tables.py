"""How a Comet lies in a snapshot, and the market that is made of it."""

from __future__ import annotations

from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Schema
from protocols.lending.compound_v3.market import CompoundV3Market
from protocols.lending.compound_v3.state import BASE, Configuration, Positions, Reserves, Totals
from protocols.lending.tables import ACCOUNT, MARKET, balances, one_row, rows_of

PROTOCOL = "compound_v3"
ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

TOKEN = Column("token", "text", "address of the token")

MARKETS = Schema.of(
    "compound_v3.markets",
    [MARKET],
    Column("numeraire", "text", "address of the base token where prices are in it; empty for US dollars"),
    Column("supply_index", "uint256", "as stored at last_accrual; 1e15 at first"),
    Column("borrow_index", "uint256", "as stored at last_accrual; 1e15 at first"),
    Column("supply_principal", "uint256", "totalSupplyBase"),
    Column("borrow_principal", "uint256", "totalBorrowBase"),
    Column("last_accrual", "int64", "unix seconds"),
    Column("supply_kink", "uint256", "utilization, 1e18 is all"),
    Column("supply_slope_low", "uint256", "a second, 1e18 is 100 %"),
    Column("supply_slope_high", "uint256", "a second, 1e18 is 100 %"),
    Column("supply_base", "uint256", "a second, 1e18 is 100 %"),
    Column("borrow_kink", "uint256", "utilization, 1e18 is all"),
    Column("borrow_slope_low", "uint256", "a second, 1e18 is 100 %"),
    Column("borrow_slope_high", "uint256", "a second, 1e18 is 100 %"),
    Column("borrow_base", "uint256", "a second, 1e18 is 100 %"),
    Column(
        "store_front_factor", "uint256", "the share of an asset's liquidation penalty that its buyers get, 1e18 is all"
    ),
    Column("target_reserves_raw", "uint256", "collateral is for sale while reserves are below this, base token"),
    Column("borrow_min_raw", "uint256", "the least that may be owed after borrowing, base token"),
    Column("absorb_paused", "bool", ""),
    Column("buy_paused", "bool", ""),
    Column("supply_paused", "bool", ""),
    Column("transfer_paused", "bool", ""),
    Column("withdraw_paused", "bool", ""),
)
RESERVES = Schema.of(
    "compound_v3.reserves",
    [MARKET, TOKEN],
    Column("row", "int64", "0 for the base token, then the asset's offset and 1"),
    Column("scale", "uint256", "smallest units of one token"),
    Column("price_raw", "uint256", "price of one token, 8 decimals of the numeraire; 0 where the feed gives none"),
    Column(
        "borrow_factor", "uint256", "the share of its value that may be borrowed, 1e18 is all; 0 for the base token"
    ),
    Column("liquidate_factor", "uint256", "the share of its value up to which debt is covered, 1e18 is all"),
    Column("liquidation_factor", "uint256", "the share of its value that is credited when it is absorbed, 1e18 is all"),
    Column(
        "supply_cap_raw", "uint256", "the most that may be supplied, smallest units; 0 for the base token, without one"
    ),
    Column("supplied_raw", "uint256", "accounts' collateral, never lent out; 0 for the base token"),
    Column("balance_raw", "uint256", "tokens that the contract holds: of the base token its cash"),
)
ACCOUNTS = Schema.of(
    "compound_v3.accounts",
    [MARKET, ACCOUNT],
    Column("principal", "int256", "base token without interest, negative if owed"),
)
POSITIONS = Schema.of(
    "compound_v3.positions",
    [MARKET, ACCOUNT, TOKEN],
    Column("balance_raw", "uint256", "collateral, smallest units"),
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
    return [_load(snapshot, market) for market in snapshot.markets_of(PROTOCOL)]


def _load(snapshot: Snapshot, market: Market) -> CompoundV3Market:
    markets, reserves, accounts, positions = rows_of(snapshot, SCHEMAS, market)
    facts = one_row(markets, market)
    tokens = reserves.texts("token")
    if not tokens or reserves.ints("row") != list(range(len(tokens))):
        raise InputError(f"table {RESERVES.name}: market {market.name} should list its tokens in order of their rows")
    numeraire = facts["numeraire"]
    if numeraire not in ("", tokens[BASE]):
        raise InputError(f"table {MARKETS.name}: market {market.name} has prices in {numeraire}, not in its base token")
    names = accounts.texts("account")
    assets = {token: row for row, token in enumerate(tokens) if row != BASE}
    columns = balances(positions, names, assets, ("balance_raw",), what="collateral")
    return CompoundV3Market(
        name=market.name,
        version=market.version,
        accounts=names,
        tokens=tokens,
        configuration=Configuration(*(facts[name] for name in Configuration._fields)),
        totals=Totals(*(facts[name] for name in Totals._fields)),
        reserves=Reserves(*(reserves.ints(name) for name in Reserves._fields)),
        positions=Positions(accounts.ints("principal"), *columns),
        timestamp=snapshot.timestamp,
        numeraire=BASE if numeraire else None,
    )
