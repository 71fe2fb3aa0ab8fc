"""How an Aave v3 pool lies in a snapshot, and the market that is made of it."""

from __future__ import annotations

from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Schema, Table
from protocols.lending.aave_v3.market import AaveV3Market
from protocols.lending.aave_v3.rules import OWN
from protocols.lending.aave_v3.state import EModes, Positions, Reserves
from protocols.lending.constants import constants_of
from protocols.lending.tables import ACCOUNT, MARKET, TOKEN, balances, rows_of

PROTOCOL = "aave_v3"
ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

CATEGORY = Column("category", "int64", "id of the e-mode category")

RESERVES = Schema.of(
    "aave_v3.reserves",
    [MARKET, TOKEN],
    Column("id", "int64", "number of the reserve in the pool"),
    Column("a_token", "text", "address"),
    Column("debt_token", "text", "address of the variable debt token"),
    Column("liquidity_index_ray", "uint256", "as stored at last_update"),
    Column("borrow_index_ray", "uint256", "as stored at last_update"),
    Column("liquidity_rate_ray", "uint256", "a year"),
    Column("borrow_rate_ray", "uint256", "a year"),
    Column("last_update", "int64", "unix seconds"),
    Column("supply_scaled", "uint256", "scaled total supply of the aToken"),
    Column("debt_scaled", "uint256", "scaled total supply of the variable debt token"),
    Column(
        "liquidity_raw", "uint256", "virtual underlying balance; before 3.1 the aToken's token balance; smallest units"
    ),
    Column("treasury_accrued_scaled", "uint256", "accruedToTreasury"),
    Column("treasury_scaled", "uint256", "scaled aToken balance of the treasury"),
    Column("deficit_raw", "uint256", "debt written off and not covered, smallest units; 0 before 3.3"),
    Column("isolated_debt", "uint256", "isolationModeTotalDebt, base currency with 2 decimals"),
    Column("unit", "uint256", "smallest units of one token"),
    Column("price_raw", "uint256", "oracle price of one token, base units"),
    Column("ltv_bps", "int64", "maximum LTV"),
    Column("threshold_bps", "int64", "liquidation threshold"),
    Column("bonus_bps", "int64", "liquidation bonus, 10500 = 5 %"),
    Column("reserve_factor_bps", "int64", "share of interest to the treasury"),
    Column("fee_bps", "int64", "the protocol's share of the bonus"),
    Column("debt_ceiling", "uint256", "isolation mode's, base currency with 2 decimals; 0 for none"),
    Column("grace_until", "int64", "no liquidation until then, unix seconds"),
    Column("active", "bool", ""),
    Column("paused", "bool", ""),
    Column("optimal_usage_ray", "uint256", "interest rate strategy"),
    Column("base_rate_ray", "uint256", "interest rate strategy, a year"),
    Column("slope1_ray", "uint256", "interest rate strategy, a year"),
    Column("slope2_ray", "uint256", "interest rate strategy, a year"),
    Column("supply_cap", "uint256", "whole tokens; 0 for none"),
    Column("borrow_cap", "uint256", "whole tokens; 0 for none"),
    Column("frozen", "bool", ""),
    Column("borrowing_enabled", "bool", ""),
)
EMODES = Schema.of(
    "aave_v3.emodes",
    [MARKET, CATEGORY],
    Column("label", "text", "as the pool calls it"),
    Column("ltv_bps", "int64", "maximum LTV"),
    Column("threshold_bps", "int64", "liquidation threshold"),
    Column("bonus_bps", "int64", "liquidation bonus, 10500 = 5 %"),
    Column("price_raw", "uint256", "price of the category's own source, base units; 0 without one"),
    Column("isolated", "bool", "reserves outside it have no borrowing power (since 3.7)"),
)
EMODE_RESERVES = Schema.of(
    "aave_v3.emode_reserves",
    [MARKET, CATEGORY, TOKEN],
    Column("collateral", "bool", "counts with the category's parameters"),
    Column("borrowable", "bool", "may be borrowed in the category"),
    Column("ltv_zero", "bool", "has no borrowing power in it (since 3.6)"),
)
ACCOUNTS = Schema.of(
    "aave_v3.accounts", [MARKET, ACCOUNT], Column("emode", "int64", "the account's category, 0 for none")
)
POSITIONS = Schema.of(
    "aave_v3.positions",
    [MARKET, ACCOUNT, TOKEN],
    Column("supplied_scaled", "uint256", "scaled aToken balance"),
    Column("debt_scaled", "uint256", "scaled variable debt balance"),
    Column("collateral", "bool", "the account's flag: supplied tokens are used as collateral"),
    Column("borrowing", "bool", "the account's flag: it borrows this reserve"),
)
CONSTANTS = Schema.of(
    "aave_v3.constants",
    [MARKET],
    Column(
        "close_factor_bps", "int64", "share of a debt that may be repaid at once (DEFAULT_LIQUIDATION_CLOSE_FACTOR)"
    ),
    Column(
        "close_factor_hf_threshold_wad",
        "uint256",
        "health factor up to which all may be repaid (CLOSE_FACTOR_HF_THRESHOLD)",
    ),
)
_READ = (RESERVES, EMODES, EMODE_RESERVES, ACCOUNTS, POSITIONS)
SCHEMAS = (*_READ, CONSTANTS)


def load(snapshot: Snapshot) -> list[AaveV3Market]:
    """The Aave v3 markets of a snapshot.

    Raises
    ------
    InputError
        If a table is missing, or a row names a token or account that is not there.
    UnsupportedError
        If a market's version has no rules.
    """
    return [_load(snapshot, market) for market in snapshot.markets_of(PROTOCOL)]


def _load(snapshot: Snapshot, market: Market) -> AaveV3Market:
    reserves, categories, members, accounts, positions = rows_of(snapshot, _READ, market)
    ids = reserves.ints("id")
    if ids != sorted(set(ids)):
        raise InputError(f"table {RESERVES.name}: market {market.name} should list its reserves in order of their ids")
    tokens = reserves.texts("token")
    names = accounts.texts("account")
    row_of = {token: row for row, token in enumerate(tokens)}
    columns = balances(positions, names, row_of, ("supplied_scaled", "debt_scaled", "collateral", "borrowing"))
    return AaveV3Market(
        name=market.name,
        version=market.version,
        accounts=names,
        tokens=tokens,
        reserves=Reserves(*(reserves.values(name) for name in Reserves._fields)),
        emodes=_emodes(categories, members, tokens),
        positions=Positions(*[*columns, accounts.ints("emode")]),
        timestamp=snapshot.timestamp,
        constants=constants_of(snapshot, CONSTANTS, market, OWN),
    )


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
