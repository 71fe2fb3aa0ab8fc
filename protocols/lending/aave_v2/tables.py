"""How an Aave v2 pool lies in a snapshot, and the market that is made of it."""

from __future__ import annotations

from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Schema
from protocols.lending.aave_v2.market import AaveV2Market
from protocols.lending.aave_v2.rules import OWN
from protocols.lending.aave_v2.state import Positions, Reserves
from protocols.lending.constants import constants_of
from protocols.lending.tables import ACCOUNT, MARKET, TOKEN, balances, one_row, rows_of

PROTOCOL = "aave_v2"
ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

POOLS = Schema.of(
    "aave_v2.pools",
    [MARKET],
    Column(
        "base_token", "text", "token that the oracle takes for its base currency; empty where that is the US dollar"
    ),
    Column("base_unit", "uint256", "base units in one of the base currency"),
)
RESERVES = Schema.of(
    "aave_v2.reserves",
    [MARKET, TOKEN],
    Column("id", "int64", "number of the reserve in the pool"),
    Column("a_token", "text", "address"),
    Column("stable_debt_token", "text", "address"),
    Column("debt_token", "text", "address of the variable debt token"),
    Column("liquidity_index_ray", "uint256", "as stored at last_update"),
    Column("borrow_index_ray", "uint256", "as stored at last_update"),
    Column("liquidity_rate_ray", "uint256", "a year"),
    Column("borrow_rate_ray", "uint256", "of variable debt, a year"),
    Column("last_update", "int64", "unix seconds"),
    Column("supply_scaled", "uint256", "scaled total supply of the aToken"),
    Column("debt_scaled", "uint256", "scaled total supply of the variable debt token"),
    Column("stable_principal_raw", "uint256", "all stable-rate debt at stable_since, smallest units"),
    Column("stable_rate_ray", "uint256", "average rate of the stable-rate debt, a year"),
    Column("stable_since", "int64", "unix seconds"),
    Column("liquidity_raw", "uint256", "token balance of the aToken, smallest units"),
    Column("treasury_scaled", "uint256", "scaled aToken balance of the treasury"),
    Column("unit", "uint256", "smallest units of one token"),
    Column("price_raw", "uint256", "oracle price of one token, base units"),
    Column("ltv_bps", "int64", "maximum LTV"),
    Column("threshold_bps", "int64", "liquidation threshold"),
    Column("bonus_bps", "int64", "liquidation bonus, 10500 = 5 %"),
    Column("reserve_factor_bps", "int64", "share of interest to the treasury"),
    Column("active", "bool", ""),
    Column("optimal_usage_ray", "uint256", "interest rate strategy"),
    Column("base_rate_ray", "uint256", "interest rate strategy, a year"),
    Column("slope1_ray", "uint256", "interest rate strategy, a year"),
    Column("slope2_ray", "uint256", "interest rate strategy, a year"),
    Column("frozen", "bool", ""),
    Column("borrowing_enabled", "bool", ""),
)
ACCOUNTS = Schema.of("aave_v2.accounts", [MARKET, ACCOUNT])
POSITIONS = Schema.of(
    "aave_v2.positions",
    [MARKET, ACCOUNT, TOKEN],
    Column("supplied_scaled", "uint256", "scaled aToken balance"),
    Column("debt_scaled", "uint256", "scaled variable debt balance"),
    Column("stable_principal_raw", "uint256", "stable-rate debt at stable_since, smallest units"),
    Column("stable_rate_ray", "uint256", "the account's stable rate, a year"),
    Column("stable_since", "int64", "unix seconds"),
    Column("collateral", "bool", "the account's flag: supplied tokens are used as collateral"),
    Column("borrowing", "bool", "the account's flag: it borrows this reserve"),
)
CONSTANTS = Schema.of(
    "aave_v2.constants",
    [MARKET],
    Column(
        "close_factor_bps", "int64", "share of a debt that may be repaid at once (LIQUIDATION_CLOSE_FACTOR_PERCENT)"
    ),
)
_READ = (POOLS, RESERVES, ACCOUNTS, POSITIONS)
SCHEMAS = (*_READ, CONSTANTS)


def load(snapshot: Snapshot) -> list[AaveV2Market]:
    """The Aave v2 markets of a snapshot.

    Raises
    ------
    InputError
        If a table is missing, or a row names a token or account that is not there.
    UnsupportedError
        If a market's version has no rules.
    """
    return [_load(snapshot, market) for market in snapshot.markets_of(PROTOCOL)]


def _load(snapshot: Snapshot, market: Market) -> AaveV2Market:
    pools, reserves, accounts, positions = rows_of(snapshot, _READ, market)
    pool = one_row(pools, market)
    base = pool["base_token"]
    ids = reserves.ints("id")
    if ids != sorted(set(ids)):
        raise InputError(f"table {RESERVES.name}: market {market.name} should list its reserves in order of their ids")
    tokens = reserves.texts("token")
    if base and base not in tokens:
        raise InputError(f"table {POOLS.name}: {base}, in which {market.name} has its prices, is no reserve of it")
    names = accounts.texts("account")
    row_of = {token: row for row, token in enumerate(tokens)}
    return AaveV2Market(
        name=market.name,
        version=market.version,
        accounts=names,
        tokens=tokens,
        reserves=Reserves(*(reserves.values(name) for name in Reserves._fields)),
        positions=Positions(*balances(positions, names, row_of, Positions._fields[2:])),
        base_unit=pool["base_unit"],
        numeraire=tokens.index(base) if base else None,
        timestamp=snapshot.timestamp,
        constants=constants_of(snapshot, CONSTANTS, market, OWN),
    )
