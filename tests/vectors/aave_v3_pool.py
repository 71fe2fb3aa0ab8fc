"""Between what an Aave v3 vector file records and the arrays that the rules take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocols.compiled import fast
from protocols.lending.aave_v3.balances import debt_balance, supplied_balance
from protocols.lending.aave_v3.rates import bring_indices
from protocols.lending.aave_v3.rules import OWN, AccountData, Call, Quote, account_data, liquidate
from protocols.lending.aave_v3.state import EModes, Indices, Positions, Reserves, State, copied, to_fast
from protocols.lending.aave_v3.versions import V30, Version
from tests.vectors.outcome import RELATIVE_TOLERANCE, relative_error
from tests.vectors.watched import Watched, smallest_margin

Record = dict[str, Any]

BPS_IN_RAY = 10**23

STORED = {
    "liquidityIndex": "liquidity_index_ray",
    "variableBorrowIndex": "borrow_index_ray",
    "currentLiquidityRate": "liquidity_rate_ray",
    "currentVariableBorrowRate": "borrow_rate_ray",
    "lastUpdateTimestamp": "last_update",
    "aToken_scaledTotalSupply": "supply_scaled",
    "vToken_scaledTotalSupply": "debt_scaled",
    "virtualUnderlyingBalance": "liquidity_raw",
    "accruedToTreasury_scaled": "treasury_accrued_scaled",
    "treasury_aToken_scaled": "treasury_scaled",
    "deficit": "deficit_raw",
    "isolationModeTotalDebt": "isolated_debt",
    "price": "price_raw",
    "ltv_bps": "ltv_bps",
    "liquidationThreshold_bps": "threshold_bps",
    "liquidationBonus_bps": "bonus_bps",
    "reserveFactor_bps": "reserve_factor_bps",
    "liquidationProtocolFee_bps": "fee_bps",
    "debtCeiling": "debt_ceiling",
    "liquidationGracePeriodUntil": "grace_until",
    "active": "active",
    "paused": "paused",
}
"""A recorded field of a reserve, and the column it is in."""

RATES = {
    "optimalUsageRatio_bps": "optimal_usage_ray",
    "baseVariableBorrowRate_bps": "base_rate_ray",
    "variableRateSlope1_bps": "slope1_ray",
    "variableRateSlope2_bps": "slope2_ray",
}

NOT_IN_3_0 = {"virtualUnderlyingBalance", "deficit", "liquidationGracePeriodUntil"}
"""Fields that a file may lack, because its version has no such thing (3.1 and 3.2 have no deficit)."""

UNMODELLED = {"frozen", "borrowingEnabled", "emodeCategory"}
"""Fields that a liquidation neither asks nor changes, but for the category, which goes into the e-mode rows."""

LEDGER = ("aToken_underlying", "liquidator_underlying", "liquidator_aToken_scaled")

ACCRUED = {"normalizedIncome_at_ts", "normalizedVariableDebt_at_ts"}
EMODE_FIELDS = {
    *("ltv_bps", "liquidationThreshold_bps", "liquidationBonus_bps"),
    *("collateralBitmap", "borrowableBitmap", "ltvzeroBitmap", "isolated"),
    *("priceSource_set", "priceSource_price"),
}


class NotUnderstoodError(Exception):
    """A recorded field, label or value that the checker has no meaning for."""


def expect(what: str, found: Any, known: set[str]) -> None:
    """Refuse a record with fields that are not known."""
    unknown = set(found) - known
    if unknown:
        raise NotUnderstoodError(f"{what} has unknown fields {sorted(unknown)}")


def number(value: Any) -> int | bool:
    """A recorded integer or flag."""
    return value if isinstance(value, bool) else int(value)


@dataclass
class Pool:
    """A pool in one version: exact state, and the names of its reserves in their order."""

    version: Version
    symbols: list[str]
    reserves: Reserves
    emodes: EModes
    positions: Positions

    def indices(self, now: int) -> Indices:
        """Each reserve's indices at `now`."""
        indices = Indices([0] * len(self.symbols), [0] * len(self.symbols))
        bring_indices(self.version.code, self.reserves, indices, now)
        return indices

    def account(self, account: int, now: int) -> AccountData:
        """The account's data at `now`."""
        state = self.reserves, self.indices(now), self.emodes, self.positions
        return account_data(self.version.code, *state, account)

    def copy(self) -> Pool:
        """The same pool, to be changed without changing this one."""
        return Pool(self.version, self.symbols, copied(self.reserves), self.emodes, copied(self.positions))

    def entries(self, account: int) -> dict[str, int]:
        """Where an account's balances in each reserve are."""
        entries = range(self.positions.offsets[account], self.positions.offsets[account + 1])
        return {self.symbols[self.positions.reserve[entry]]: entry for entry in entries}


# --- from a record ----------------------------------------------------------------------------------------------


def read_pool(
    version: Version, reserves: Record, emodes: dict[int, Record], accounts: list[tuple[int, Record]]
) -> Pool:
    """A pool from recorded reserves, e-mode categories by id, and (category, balances by reserve) of each account."""
    symbols = sorted(reserves, key=lambda symbol: int(reserves[symbol]["id"]))
    known = {"id", "decimals", "rateParams", "user", *STORED, *UNMODELLED, *LEDGER, *ACCRUED}
    for symbol in symbols:
        expect(f"reserve {symbol}", reserves[symbol], known)
        expect(f"rate parameters of {symbol}", reserves[symbol]["rateParams"], set(RATES))
    columns: dict[str, list[Any]] = {
        column: [number(_stored(version, reserves[symbol], field)) for symbol in symbols]
        for field, column in STORED.items()
    }
    columns["unit"] = [10 ** int(reserves[symbol]["decimals"]) for symbol in symbols]
    for field, column in RATES.items():
        columns[column] = [int(reserves[symbol]["rateParams"][field]) * BPS_IN_RAY for symbol in symbols]
    return Pool(
        version,
        symbols,
        Reserves(**columns),
        _read_emodes(reserves, symbols, emodes),
        _read_positions(symbols, accounts),
    )


def _stored(version: Version, reserve: Record, field: str) -> Any:
    if field == "virtualUnderlyingBalance" and version.code == V30:
        return reserve["aToken_underlying"]
    return reserve.get(field, 0) if field in NOT_IN_3_0 else reserve[field]


def _read_emodes(reserves: Record, symbols: list[str], emodes: dict[int, Record]) -> EModes:
    size = max(emodes, default=0) + 1
    rows = [emodes.get(category, {}) for category in range(size)]
    for category, row in emodes.items():
        expect(f"e-mode category {category}", row, EMODE_FIELDS)

    def members(bitmap: str) -> list[list[bool]]:
        return [[bool(int(row.get(bitmap, 0)) >> int(reserves[s]["id"]) & 1) for s in symbols] for row in rows]

    collateral = members("collateralBitmap")
    for r, symbol in enumerate(symbols):
        category = int(reserves[symbol].get("emodeCategory", 0))
        if 0 < category < size:
            collateral[category][r] = True
    return EModes(
        collateral=collateral,
        ltv_zero=members("ltvzeroBitmap"),
        ltv_bps=[int(row.get("ltv_bps", 0)) for row in rows],
        threshold_bps=[int(row.get("liquidationThreshold_bps", 0)) for row in rows],
        bonus_bps=[int(row.get("liquidationBonus_bps", 0)) for row in rows],
        price_raw=[int(row["priceSource_price"]) if row.get("priceSource_set") else 0 for row in rows],
        isolated=[bool(row.get("isolated")) for row in rows],
    )


def _read_positions(symbols: list[str], accounts: list[tuple[int, Record]]) -> Positions:
    positions = Positions([0], [], [], [], [], [], [])
    for category, balances in accounts:
        for r, symbol in enumerate(symbols):
            if symbol in balances:
                balance = balances[symbol]
                positions.reserve.append(r)
                positions.supplied_scaled.append(int(balance["aToken_scaled"]))
                positions.debt_scaled.append(int(balance["vToken_scaled"]))
                positions.collateral.append(balance["usingAsCollateral"])
                positions.borrowing.append(balance["borrowing"])
        positions.offsets.append(len(positions.reserve))
        positions.emode.append(category)
    return positions


# --- to a record ------------------------------------------------------------------------------------------------


def show_reserve(pool: Pool, r: int, indices: Indices) -> Record:
    """A reserve as a record shows it, but for balances outside the pool's own state."""
    shown = {field: getattr(pool.reserves, column)[r] for field, column in STORED.items()}
    return shown | {"normalizedIncome_at_ts": indices.income[r], "normalizedVariableDebt_at_ts": indices.debt[r]}


def show_position(pool: Pool, entry: int, indices: Indices) -> Record:
    """An account's balances in a reserve as a record shows them."""
    positions, version = pool.positions, pool.version.code
    r = positions.reserve[entry]
    supplied, debt = positions.supplied_scaled[entry], positions.debt_scaled[entry]
    return {
        "aToken_scaled": supplied,
        "aToken_balance": supplied_balance(version, supplied, indices.income[r]),
        "vToken_scaled": debt,
        "vToken_balance": debt_balance(version, debt, indices.debt[r]),
        "usingAsCollateral": positions.collateral[entry],
        "borrowing": positions.borrowing[entry],
    }


def show_account(data: AccountData) -> Record:
    """Account data as a record shows it."""
    return {
        "totalCollateralBase": data.collateral,
        "totalDebtBase": data.debt,
        "availableBorrowsBase": data.available,
        "currentLiquidationThreshold_bps": data.threshold,
        "ltv_bps": data.ltv,
        "healthFactor": data.health_factor,
    }


def differences(where: str, recorded: Record, shown: Record) -> list[str]:
    """What of a record is shown otherwise; a field that is not shown at all is not understood."""
    expect(where, recorded, set(shown))
    return [
        f"{where}.{field} is {shown[field]}, recorded {value}"
        for field, value in recorded.items()
        if number(value) != shown[field]
    ]


@dataclass
class Ledger:
    """Balances outside the pool's own state: the token's of aToken and liquidator, the aToken's of the liquidator."""

    held: list[int]
    owned: list[int]
    claims: list[int]

    @classmethod
    def read(cls, pool: Pool, reserves: Record) -> Ledger:
        """The balances that recorded reserves show."""
        columns = [[int(reserves[symbol][field]) for symbol in pool.symbols] for field in LEDGER]
        return cls(*columns)

    def move(self, call: Call, quote: Quote) -> None:
        """What a liquidation moves; one who liquidates himself is not the liquidator whose balances are recorded."""
        self.held[call.debt] += quote.repaid
        if not call.self_liquidation:
            self.owned[call.debt] -= quote.repaid
        if not call.receive_atoken:
            self.held[call.collateral] -= quote.received
            if not call.self_liquidation:
                self.owned[call.collateral] += quote.received
        elif not call.self_liquidation:
            self.claims[call.collateral] += quote.received_scaled

    def show(self, r: int) -> Record:
        """The balances in one reserve as a record shows them."""
        return dict(zip(LEDGER, (self.held[r], self.owned[r], self.claims[r]), strict=True))


def reserve_differences(
    where: str, pool: Pool, r: int, indices: Indices, ledger: Ledger, recorded: Record, before: Record
) -> list[str]:
    """How a recorded reserve differs from the pool's; what a liquidation cannot change is that of `before`."""
    shown = show_reserve(pool, r, indices) | ledger.show(r)
    shown |= {field: number(before[field]) for field in UNMODELLED | {"id", "decimals"} if field in before}
    if pool.version.code == V30:
        shown["virtualUnderlyingBalance"] = None
    return differences(where, {f: v for f, v in recorded.items() if f not in ("user", "rateParams")}, shown)


# --- the fast form ----------------------------------------------------------------------------------------------


def fast_form(before: Pool, call: Call, now: int, exact: Quote, after: Pool) -> tuple[float, float | None]:
    """Run a liquidation in the fast form: how far off it is, and how near to a branch point if it branched otherwise.

    An amount's error counts as a share of the amount or of the balance it is taken from: the account's for what it
    pays and loses, the reserve's for what the reserve holds, and the reserve's debt for interest on it.
    """
    version = before.version.code
    reserves, emodes, positions = to_fast(before.reserves), to_fast(before.emodes), to_fast(before.positions)
    indices = to_fast(Indices([0] * len(before.symbols), [0] * len(before.symbols)))
    moment = float(now)
    fast(bring_indices)(version, reserves, indices, moment)
    in_floats = call._replace(debt_to_cover=float(call.debt_to_cover))
    quote = fast(liquidate)(version, OWN, reserves, indices, emodes, positions, in_floats, moment)

    decided = ("error", "capped", "emptied", "cleared")
    flags = ("collateral", "borrowing")
    if (
        any(getattr(quote, name) != getattr(exact, name) for name in decided)
        or any(list(getattr(positions, flag)) != getattr(after.positions, flag) for flag in flags)
        or relative_error(quote.offered, exact.offered) > RELATIVE_TOLERANCE
    ):
        return 0.0, _margin(before, call, now)

    owned = before.entries(call.account)
    supplied = before.positions.supplied_scaled[owned[before.symbols[call.collateral]]] if not exact.error else 0
    pairs: list[tuple[float, int, int]] = [
        (quote.repaid, exact.repaid, exact.debt),
        (quote.received, exact.received, supplied),
        (quote.fee, exact.fee, supplied),
    ]
    for column in ("supplied_scaled", "debt_scaled"):
        was, found, is_now = (getattr(state, column) for state in (before.positions, positions, after.positions))
        pairs += zip(found, is_now, was, strict=True)
    for column in AMOUNTS:
        was, found, is_now = (getattr(state, column) for state in (before.reserves, reserves, after.reserves))
        for r, value in enumerate(found):
            scale = was[r]
            if column in ("treasury_accrued_scaled", "deficit_raw"):
                scale = max(scale, before.reserves.debt_scaled[r])
            if column == "treasury_scaled":
                scale = max(scale, supplied)
            if column in ("liquidity_rate_ray", "borrow_rate_ray"):
                # taken from the rate curve, of which it is a share
                scale = max(scale, *(getattr(before.reserves, part)[r] for part in CURVE))
            pairs.append((value, is_now[r], scale))
    return max(relative_error(float(found), is_now, was) for found, is_now, was in pairs), None


CURVE = ("base_rate_ray", "slope1_ray", "slope2_ray")
AMOUNTS = (
    *("liquidity_index_ray", "borrow_index_ray", "liquidity_rate_ray", "borrow_rate_ray"),
    *("supply_scaled", "debt_scaled", "liquidity_raw", "treasury_accrued_scaled", "treasury_scaled"),
    *("deficit_raw", "isolated_debt"),
)


def _margin(before: Pool, call: Call, now: int) -> float:
    version = before.version.code
    names = (*AMOUNTS, "price_raw", "supplied_scaled")

    def watch(state: State) -> State:
        columns = (
            [Watched(v) for v in values] if f in names else list(values) for f, values in state._asdict().items()
        )
        return type(state)(*columns)

    reserves, positions = watch(before.reserves), watch(before.positions)
    exact = before.indices(now)
    indices = Indices([Watched(v) for v in exact.income], [Watched(v) for v in exact.debt])
    watched = call._replace(debt_to_cover=Watched(call.debt_to_cover))
    return smallest_margin(lambda: liquidate(version, OWN, reserves, indices, before.emodes, positions, watched, now))
