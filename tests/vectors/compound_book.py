"""Markets of Compound v2 and of Venus' core pool as recorded, with the one account that a case is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from protocols.arithmetic import max_uint256
from protocols.lending.compound_v2.balances import debt_of, exchange_rate
from protocols.lending.compound_v2.interest import along
from protocols.lending.compound_v2.state import WAD, Markets, Pools, Positions, State, copied
from tests.vectors.outcome import relative_error
from tests.vectors.watched import Watched, smallest_margin

Record = dict[str, Any]

BORROWER = 0
STORED = {
    "cash": "cash_raw",
    "totalBorrows": "borrows_raw",
    "totalReserves": "reserves_raw",
    "totalSupply": "claims",
    "borrowIndex": "index_wad",
    "accrualBlockNumber": "accrued_block",
}
"""A recorded number of a market, and the column it is in."""

JUMP = {"baseRatePerBlock", "multiplierPerBlock", "jumpMultiplierPerBlock", "kink"}
TWO_KINKS = {
    "BASE_RATE_PER_BLOCK": "base_wad",
    "MULTIPLIER_PER_BLOCK": "slope1_wad",
    "KINK_1": "kink1_wad",
    "BASE_RATE_2_PER_BLOCK": "base2_wad",
    "MULTIPLIER_2_PER_BLOCK": "slope2_wad",
    "KINK_2": "kink2_wad",
    "JUMP_MULTIPLIER_PER_BLOCK": "slope3_wad",
}


class NotUnderstoodError(Exception):
    """A recorded field, label or value that the checker has no meaning for."""


def expect(what: str, found: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a record with fields that are not known."""
    unknown = set(found) - set(known)
    if unknown:
        raise NotUnderstoodError(f"{what} has unknown fields {sorted(unknown)}")


def differences(where: str, recorded: Record, shown: Mapping[str, Any]) -> list[str]:
    """What of a record is shown otherwise; a field that is not shown at all is not understood."""
    expect(where, recorded, shown)
    return [
        f"{where}.{field} is {shown[field]}, recorded {value}"
        for field, value in recorded.items()
        if (value if isinstance(value, bool | None) else int(value)) != shown[field]
    ]


@dataclass
class Book:
    """Exact state, and the names of the markets in their order; `claim` is what records call claims."""

    symbols: list[str]
    markets: Markets
    pools: Pools
    positions: Positions
    claim: str

    def copy(self) -> Book:
        """The same book, to be changed without changing this one."""
        return Book(self.symbols, copied(self.markets), self.pools, copied(self.positions), self.claim)

    def show_market(self, m: int) -> Record:
        """A market as a record shows it after a call, but for the account's balances."""
        shown = {field: getattr(self.markets, column)[m] for field, column in STORED.items()}
        return shown | {"exchangeRateStored": exchange_rate(self.markets, m)}

    def show_user(self, m: int) -> Record:
        """The account's balances in a market as a record shows them."""
        positions = self.positions
        return {
            self.claim: positions.claims[m],
            "borrowBalanceStored": debt_of(self.markets, positions, m),
            "borrowPrincipal": positions.principal_raw[m],
            "interestIndex": positions.snapshot_index_wad[m],
            "entered": positions.entered[m],
        }

    def show_accrued(self, m: int) -> Record:
        """What records say of a market that has accrued."""
        return {
            "borrowBalance": debt_of(self.markets, self.positions, m),
            "exchangeRate": exchange_rate(self.markets, m),
            "borrowIndex": self.markets.index_wad[m],
            "totalBorrows": self.markets.borrows_raw[m],
            "totalReserves": self.markets.reserves_raw[m],
        }

    def differences(self, where: str, recorded: Record) -> list[str]:
        """How the recorded markets after a call, and the account's balances in them, differ from these."""
        expect(where, recorded, self.symbols)
        wrong = [] if set(recorded) == set(self.symbols) else [f"{where} lacks a market"]
        for m, symbol in enumerate(self.symbols):
            market = {field: value for field, value in recorded[symbol].items() if field != "user"}
            wrong += differences(f"{where}.{symbol}", market, self.show_market(m))
            wrong += differences(f"{where}.{symbol}.user", recorded[symbol]["user"], self.show_user(m))
        return wrong


def read_book(recorded: Record, pools: Pools, pool: int, claim: str, flags: dict[str, list[Any]]) -> Book:
    """A book from recorded markets; `flags` are columns that are recorded in another way by each protocol."""
    rows = list(recorded.values())
    columns: dict[str, list[Any]] = {column: [int(row[field]) for row in rows] for field, column in STORED.items()}
    columns |= {
        "unit": [10 ** int(row["decimals"]) for row in rows],
        "price_raw": [int(row["price"]) for row in rows],
        "initial_rate_wad": [int(row["exchangeRateStored"]) for row in rows],
        "reserve_factor_wad": [int(row["reserveFactor"]) for row in rows],
    }
    models = [read_rate_model(row["irm"]) for row in rows]
    columns |= {column: [model[column] for model in models] for column in models[0]}
    users = [row["user"] for row in rows]
    positions = Positions(
        offsets=[0, len(rows)],
        market=list(range(len(rows))),
        claims=[int(user[claim]) for user in users],
        principal_raw=[int(user["borrowPrincipal"]) for user in users],
        snapshot_index_wad=[int(user["interestIndex"]) for user in users],
        entered=[user["entered"] for user in users],
        forced=[row.get("forcedUser", False) for row in rows],
        pool=[pool],
    )
    return Book(list(recorded), Markets(**columns | flags), pools, positions, claim)


def read_rate_model(recorded: Record) -> dict[str, int]:
    """The rate model's columns; what the contract derives from the others has to agree with them."""
    numbers = {field: int(value) for field, value in recorded.items() if field != "type"}
    if recorded.get("type", "jump") == "jump":
        expect("rate model", numbers, JUMP)
        return {
            "base_wad": numbers["baseRatePerBlock"],
            "slope1_wad": numbers["multiplierPerBlock"],
            "kink1_wad": numbers["kink"],
            "base2_wad": 0,
            "slope2_wad": numbers["jumpMultiplierPerBlock"],
            "kink2_wad": max_uint256(),
            "slope3_wad": 0,
            "most_usage_wad": max_uint256(),
        }
    if recorded["type"] != "twokinks":
        raise NotUnderstoodError(f"rate model {recorded['type']}")
    expect("rate model", numbers, {"RATE_1", "RATE_2", *TWO_KINKS})
    model = {column: numbers[field] for field, column in TWO_KINKS.items()}
    derived = {
        "RATE_1": along(model["kink1_wad"], model["slope1_wad"]) + model["base_wad"],
        "RATE_2": along(model["kink2_wad"] - model["kink1_wad"], model["slope2_wad"]) + model["base2_wad"],
    }
    if any(numbers[field] != value for field, value in derived.items()):
        raise NotUnderstoodError(f"the rate model's {derived} do not follow from its other parameters")
    return model | {"most_usage_wad": WAD}


# --- the fast form ----------------------------------------------------------------------------------------------

MOVED = ("cash_raw", "borrows_raw", "reserves_raw", "claims", "index_wad")
OWNED = ("claims", "principal_raw")


def fast_error(before: Book, after: Book, fast_markets: Markets, fast_positions: Positions) -> float:
    """The largest error of fast state after a call: amounts as a share of the balance or of what it is taken from.

    Reserves grow by interest on the market's debts, and by claims of the account.
    """
    pairs: list[tuple[float, int, int]] = []
    for column in MOVED:
        was, found, is_now = (getattr(m, column) for m in (before.markets, fast_markets, after.markets))
        scales = before.markets.borrows_raw if column == "reserves_raw" else was
        pairs += zip(found, is_now, [max(pair) for pair in zip(was, scales, strict=True)], strict=True)
    for column in OWNED:
        was, found, is_now = (getattr(p, column) for p in (before.positions, fast_positions, after.positions))
        scales = [debt_of(after.markets, before.positions, entry) for entry in range(len(was))]
        pairs += zip(found, is_now, was if column == "claims" else scales, strict=True)
    return max(relative_error(float(found), exact, scale) for found, exact, scale in pairs)


def margin(book: Book, run: Callable[[Markets, Positions], object]) -> float:
    """How near the exact form came to taking another branch."""

    def watch(state: State, names: tuple[str, ...]) -> State:
        fields = state._asdict()  # type: ignore[attr-defined]
        columns = ([Watched(v) for v in values] if f in names else list(values) for f, values in fields.items())
        return type(state)(*columns)

    markets = watch(book.markets, (*MOVED, "price_raw"))
    positions = watch(book.positions, OWNED)
    return smallest_margin(lambda: run(markets, positions))
