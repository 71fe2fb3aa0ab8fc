"""How Morpho markets lie in a snapshot, and the markets that are made of it."""

from __future__ import annotations

from chain.errors import InputError
from chain.snapshot import Market, Snapshot
from chain.tables import Column, Schema
from protocols.lending.constants import constants_of
from protocols.lending.morpho_blue.irm import ADAPTIVE_CURVE, FIXED_RATE, NO_INTEREST
from protocols.lending.morpho_blue.market import MorphoBlueMarket
from protocols.lending.morpho_blue.rules import OWN
from protocols.lending.morpho_blue.state import Parameters, Position, Totals
from protocols.lending.tables import ACCOUNT, MARKET, tables_of

PROTOCOL = "morpho_blue"
ADAPTER = 1
"""Version of these tables and of the reader that fills them."""

MODELS = {"none": NO_INTEREST, "fixed": FIXED_RATE, "adaptive": ADAPTIVE_CURVE}
"""Names of the interest rate models in a snapshot."""

MARKETS = Schema.of(
    "morpho_blue.markets",
    [MARKET],
    Column("id", "text", "of the market in Morpho, 32 bytes"),
    Column("loan_token", "text", "address"),
    Column("collateral_token", "text", "address"),
    Column("oracle", "text", "address"),
    Column("irm", "text", "address of the interest rate model"),
    Column("model", "text", "its kind: none, fixed, adaptive"),
    Column("lltv_wad", "uint256", "liquidation loan-to-value"),
    Column("fee_wad", "uint256", "share of the interest to the fee recipient"),
    Column("supply_assets", "uint256", "as stored at last_update, smallest units of the loan token"),
    Column("supply_shares", "uint256", "as stored at last_update"),
    Column("borrow_assets", "uint256", "as stored at last_update, smallest units of the loan token"),
    Column("borrow_shares", "uint256", "as stored at last_update"),
    Column("last_update", "int64", "unix seconds"),
    Column("rate_wad", "uint256", "what the model remembers, a second: rate at target (adaptive), the rate (fixed)"),
    Column("price_raw", "uint256", "of the oracle: smallest units of the loan token for 1e36 of the collateral's"),
)
POSITIONS = Schema.of(
    "morpho_blue.positions",
    [MARKET, ACCOUNT],
    Column("borrow_shares", "uint256", "shares of the debt"),
    Column("collateral", "uint256", "smallest units of the collateral token"),
)
CONSTANTS = Schema.of(
    "morpho_blue.constants",
    [MARKET],
    Column(
        "liquidation_cursor_wad",
        "uint256",
        "share of the room above the LLTV that the incentive takes (LIQUIDATION_CURSOR)",
    ),
    Column(
        "max_incentive_factor_wad",
        "uint256",
        "the highest incentive factor, whatever the LLTV (MAX_LIQUIDATION_INCENTIVE_FACTOR)",
    ),
)
SCHEMAS = (MARKETS, POSITIONS, CONSTANTS)


def load(snapshot: Snapshot) -> list[MorphoBlueMarket]:
    """The Morpho markets of a snapshot.

    Raises
    ------
    InputError
        If a table or a row is missing.
    UnsupportedError
        If a market's version has no rules.
    """
    markets = list(snapshot.markets_of(PROTOCOL))
    if not markets:
        return []
    listed, entries = tables_of(snapshot, (MARKETS, POSITIONS), PROTOCOL)
    rows = {row["market"]: row for row in listed.rows()}
    positions: dict[str, list[tuple[str, Position]]] = {name: [] for name in rows}
    for row in entries.rows():
        if row["market"] not in positions:
            raise InputError(f"table {POSITIONS.name}: market {row['market']} is not in table {MARKETS.name}")
        positions[row["market"]].append((row["account"], Position(row["borrow_shares"], row["collateral"])))
    tokens = snapshot.tables["tokens"]
    decimals = dict(zip(tokens.texts("token"), tokens.ints("decimals"), strict=True))
    loaded = []
    for market in markets:
        if market.name not in rows:
            raise InputError(f"table {MARKETS.name}: it has no row for market {market.name}")
        loaded.append(_load(snapshot, market, rows[market.name], positions[market.name], decimals))
    return loaded


def _load(
    snapshot: Snapshot,
    market: Market,
    row: dict[str, str | int],
    positions: list[tuple[str, Position]],
    decimals: dict[str, int],
) -> MorphoBlueMarket:
    tokens = (str(row["collateral_token"]), str(row["loan_token"]))
    if missing := [token for token in tokens if token not in decimals]:
        raise InputError(f"table {MARKETS.name}: token {missing[0]} of market {market.name} is not in table tokens")
    if row["model"] not in MODELS:
        raise InputError(f"table {MARKETS.name}: market {market.name} has model {row['model']!r}, not {list(MODELS)}")
    return MorphoBlueMarket(
        name=market.name,
        version=market.version,
        accounts=[account for account, _ in positions],
        tokens=tokens,
        decimals=(decimals[tokens[0]], decimals[tokens[1]]),
        parameters=Parameters(int(row["lltv_wad"]), int(row["fee_wad"]), MODELS[str(row["model"])]),
        rate_wad=int(row["rate_wad"]),
        totals=Totals(*(int(row[name]) for name in Totals._fields)),
        positions=[position for _, position in positions],
        price_raw=int(row["price_raw"]),
        timestamp=snapshot.timestamp,
        constants=constants_of(snapshot, CONSTANTS, market, OWN),
    )
