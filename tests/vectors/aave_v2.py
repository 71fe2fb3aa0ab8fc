"""Replay of recorded LendingPool.liquidationCall calls of Aave v2.

The exact form must give every recorded integer, flag and revert reason: the account's data, all of the pool's state
after, the events' amounts. Of what the liquidator's own account becomes only its balances are followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from protocols.compiled import fast
from protocols.lending.aave_v2.rates import bring_indices
from protocols.lending.aave_v2.rules import (
    LIQUIDATION_CLOSE_FACTOR_PERCENT,
    OWN,
    AccountData,
    Call,
    Quote,
    account_data,
    entry_of,
    liquidate,
    supplied_balance,
    variable_debt,
)
from protocols.lending.aave_v2.state import Indices, Positions, Reserves, State, copied, to_fast
from protocols.lending.aave_v2.versions import REVERTS
from tests.vectors.aave_v3_pool import (
    BPS_IN_RAY,
    NotUnderstoodError,
    Record,
    differences,
    expect,
    number,
)
from tests.vectors.outcome import RELATIVE_TOLERANCE, Document, Outcome, relative_error
from tests.vectors.watched import Watched, smallest_margin

VERSION = "1.0.1"
BORROWER = 0
CONSTANTS = {"LIQUIDATION_CLOSE_FACTOR_PERCENT": LIQUIDATION_CLOSE_FACTOR_PERCENT}
LABELS = {"id", "world", "split", "account_kind", "price_label", "amount_label", "special", "chain"}

STORED = {
    "liquidityIndex": "liquidity_index_ray",
    "variableBorrowIndex": "borrow_index_ray",
    "currentLiquidityRate": "liquidity_rate_ray",
    "currentVariableBorrowRate": "borrow_rate_ray",
    "lastUpdateTimestamp": "last_update",
    "aToken_scaledTotalSupply": "supply_scaled",
    "vToken_scaledTotalSupply": "debt_scaled",
    "aToken_underlying": "liquidity_raw",
    "treasury_aToken_scaled": "treasury_scaled",
    "price": "price_raw",
    "ltv_bps": "ltv_bps",
    "liquidationThreshold_bps": "threshold_bps",
    "liquidationBonus_bps": "bonus_bps",
    "reserveFactor_bps": "reserve_factor_bps",
    "active": "active",
}
"""A recorded field of a reserve, and the column it is in."""
RATES = {
    "optimalUsageRatio_bps": "optimal_usage_ray",
    "baseVariableBorrowRate_bps": "base_rate_ray",
    "variableRateSlope1_bps": "slope1_ray",
    "variableRateSlope2_bps": "slope2_ray",
}
STABLE = ("stable_principal_raw", "stable_rate_ray", "stable_since")
"""Columns of stable-rate debt, which no recorded account or reserve has."""
UNMODELLED = {"frozen", "id", "decimals"}
"""Fields that a liquidation neither asks nor changes."""
LEDGER = ("liquidator_underlying", "liquidator_aToken_scaled")
ACCRUED = {"normalizedIncome_at_ts", "normalizedVariableDebt_at_ts"}


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for case in document["cases"]:
        try:
            if document.get("version") != VERSION:
                raise NotUnderstoodError(f"version {document.get('version')}")
            constants = document.get("constants", {})
            expect("constants", constants, set(CONSTANTS))
            wrong = [name for name, value in constants.items() if int(value) != CONSTANTS[name]]
            if wrong:
                raise NotUnderstoodError(f"constant {wrong[0]} is {constants[wrong[0]]}, not {CONSTANTS[wrong[0]]}")
            outcome = _check_case(case)
        except (NotUnderstoodError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            outcome = Outcome(str(case.get("id")), f"not understood: {type(error).__name__}: {error}")
        yield outcome


def _check_case(case: Record) -> Outcome:
    expect("case", case, {"before", "call", "result", "sentinel", *LABELS})
    before, recorded = case["before"], case["result"]
    expect("before", before, {"timestamp", "reserves", "emode", "pool_paused", "account"})
    if case["sentinel"] is not None or int(before["emode"]):
        raise NotUnderstoodError("Aave v2 has no sentinel and no e-mode")
    pool = Pool.read(before["reserves"])
    ledger = Ledger.read(pool, before["reserves"])
    call = _read_call(case, pool)
    now = int(case["call"]["block_timestamp"])
    if now != int(before["timestamp"]):
        raise NotUnderstoodError("the state is not that of the call's block")

    was = pool.copy()
    wrong = _state_differences("before", pool, ledger, before, before, now)
    quote = liquidate(OWN, pool.reserves, pool.indices(now), pool.positions, call, now)
    reason = REVERTS[quote.error]
    if recorded["reverted"]:
        expect("result", recorded, {"reverted", "selector", "error", "data"})
        wrong += [] if reason == recorded["error"] else [f"reverts with {reason!r}, recorded {recorded['error']!r}"]
    elif reason:
        wrong.append(f"reverts with {reason!r}, recorded no revert")
    else:
        ledger.move(call, quote)
        wrong += _state_differences("after", pool, ledger, recorded["after"], before, now)
        wrong += _result_differences(recorded, was, pool, call, quote)
        wrong += _event_differences(recorded["events"], case["call"], was, pool, call, quote, now)
    if wrong:
        return Outcome(case["id"], wrong[0])
    return Outcome(case["id"], "", *fast_form(was, call, now, quote, pool))


# --- from a record ----------------------------------------------------------------------------------------------


@dataclass
class Pool:
    """Exact state of a pool with one account, and the names of its reserves in their order."""

    symbols: list[str]
    reserves: Reserves
    positions: Positions

    @classmethod
    def read(cls, reserves: Record) -> Pool:
        """A pool from recorded reserves."""
        symbols = sorted(reserves, key=lambda symbol: int(reserves[symbol]["id"]))
        known = {"rateParams", "user", *STORED, *UNMODELLED, *LEDGER, *ACCRUED}
        for symbol in symbols:
            expect(f"reserve {symbol}", reserves[symbol], known)
            expect(f"rate parameters of {symbol}", reserves[symbol]["rateParams"], set(RATES))
        none = [0] * len(symbols)
        columns: dict[str, list[Any]] = {
            column: [number(reserves[symbol][field]) for symbol in symbols] for field, column in STORED.items()
        }
        columns["unit"] = [10 ** int(reserves[symbol]["decimals"]) for symbol in symbols]
        for field, column in RATES.items():
            columns[column] = [int(reserves[symbol]["rateParams"][field]) * BPS_IN_RAY for symbol in symbols]
        users = [reserves[symbol]["user"] for symbol in symbols]
        positions = Positions(
            offsets=[0, len(symbols)],
            reserve=list(range(len(symbols))),
            supplied_scaled=[int(user["aToken_scaled"]) for user in users],
            debt_scaled=[int(user["vToken_scaled"]) for user in users],
            collateral=[user["usingAsCollateral"] for user in users],
            borrowing=[user["borrowing"] for user in users],
            **{column: list(none) for column in STABLE},
        )
        return cls(symbols, Reserves(**columns, **{column: list(none) for column in STABLE}), positions)

    def indices(self, now: int) -> Indices:
        """Each reserve's indices at `now`."""
        indices = Indices([0] * len(self.symbols), [0] * len(self.symbols))
        bring_indices(self.reserves, indices, now)
        return indices

    def copy(self) -> Pool:
        """The same pool, to be changed without changing this one."""
        return Pool(self.symbols, copied(self.reserves), copied(self.positions))


@dataclass
class Ledger:
    """The liquidator's balances: of each token, and of each aToken (scaled)."""

    owned: list[int]
    claims: list[int]

    @classmethod
    def read(cls, pool: Pool, reserves: Record) -> Ledger:
        """The balances that recorded reserves show."""
        columns = [[int(reserves[symbol][field]) for symbol in pool.symbols] for field in LEDGER]
        return cls(*columns)

    def move(self, call: Call, quote: Quote) -> None:
        """What a liquidation moves; one who liquidates himself is not the liquidator whose balances are recorded."""
        if call.self_liquidation:
            return
        self.owned[call.debt] -= quote.repaid
        if call.receive_atoken:
            self.claims[call.collateral] += quote.received_scaled
        else:
            self.owned[call.collateral] += quote.received


def _read_call(case: Record, pool: Pool) -> Call:
    call = case["call"]
    expect("call", call, {"collateral", "debt", "debtToCover", "receiveAToken", "liquidator", "block_timestamp"})
    if call["liquidator"] not in ("liquidator", "borrower"):
        raise NotUnderstoodError(f"liquidator {call['liquidator']}")
    return Call(
        account=BORROWER,
        collateral=pool.symbols.index(call["collateral"]),
        debt=pool.symbols.index(call["debt"]),
        debt_to_cover=int(call["debtToCover"]),
        receive_atoken=call["receiveAToken"],
        self_liquidation=call["liquidator"] == "borrower",
        paused=case["before"]["pool_paused"],
    )


# --- against a record -------------------------------------------------------------------------------------------


def _state_differences(where: str, pool: Pool, ledger: Ledger, recorded: Record, before: Record, now: int) -> list[str]:
    indices = pool.indices(now)
    account = account_data(pool.reserves, indices, pool.positions, BORROWER, now)
    wrong = differences(f"{where}.account", recorded["account"], _show_account(account))
    if set(recorded["reserves"]) != set(pool.symbols):
        raise NotUnderstoodError(f"{where} has reserves {sorted(recorded['reserves'])}, not {sorted(pool.symbols)}")
    for r, symbol in enumerate(pool.symbols):
        reserve, at = recorded["reserves"][symbol], f"{where}.{symbol}"
        shown: Record = {field: getattr(pool.reserves, column)[r] for field, column in STORED.items()}
        shown |= {"normalizedIncome_at_ts": indices.income[r], "normalizedVariableDebt_at_ts": indices.debt[r]}
        shown |= dict(zip(LEDGER, (ledger.owned[r], ledger.claims[r]), strict=True))
        shown |= {field: number(before["reserves"][symbol][field]) for field in UNMODELLED}
        wrong += differences(at, {f: v for f, v in reserve.items() if f not in ("user", "rateParams")}, shown)
        wrong += differences(f"{at}.user", reserve["user"], _show_position(pool.positions, r, indices))
    return wrong


def _show_account(data: AccountData) -> Record:
    return {
        "totalCollateralETH": data.collateral,
        "totalDebtETH": data.debt,
        "availableBorrowsETH": data.available,
        "currentLiquidationThreshold_bps": data.threshold,
        "ltv_bps": data.ltv,
        "healthFactor": data.health_factor,
    }


def _show_position(positions: Positions, r: int, indices: Indices) -> Record:
    """The account's balances in a reserve, where its entry is."""
    return {
        "aToken_scaled": positions.supplied_scaled[r],
        "aToken_balance": supplied_balance(positions.supplied_scaled[r], indices.income[r]),
        "vToken_scaled": positions.debt_scaled[r],
        "vToken_balance": variable_debt(positions.debt_scaled[r], indices.debt[r]),
        "usingAsCollateral": positions.collateral[r],
        "borrowing": positions.borrowing[r],
    }


def _result_differences(recorded: Record, was: Pool, pool: Pool, call: Call, quote: Quote) -> list[str]:
    ledger = Ledger(*([0] * len(was.symbols) for _ in LEDGER))
    ledger.move(call, quote)
    c, d = call.collateral, call.debt
    shown = {
        "debt_repaid": quote.repaid,
        "actualDebtToLiquidate": quote.repaid,
        "actualCollateralToLiquidate": quote.received,
        "liquidationProtocolFeeAmount": 0,
        "liquidator_collateral_aToken_scaled_delta": ledger.claims[c],
        "treasury_collateral_aToken_scaled_delta": pool.reserves.treasury_scaled[c] - was.reserves.treasury_scaled[c],
        "borrower_collateral_scaled_delta": pool.positions.supplied_scaled[c] - was.positions.supplied_scaled[c],
        "borrower_debt_scaled_delta": pool.positions.debt_scaled[d] - was.positions.debt_scaled[d],
    }
    apart = {"reverted", "events", "after", "liquidator_underlying_delta"}
    wrong = differences("result", {field: value for field, value in recorded.items() if field not in apart}, shown)
    moved = dict(zip(was.symbols, ledger.owned, strict=True))
    return wrong + differences("result.liquidator_underlying_delta", recorded["liquidator_underlying_delta"], moved)


def _event_differences(
    events: list[Record], recorded_call: Record, was: Pool, pool: Pool, call: Call, quote: Quote, now: int
) -> list[str]:
    """What the events say otherwise; of those about a reserve's rates the last is meant, and stable rates are not."""
    collateral, receiver = recorded_call["collateral"], recorded_call["liquidator"]
    rates = {event["reserve"]: event for event in events if event["event"] == "ReserveDataUpdated"}
    wrong = []
    for event in events:
        name = event["event"]
        said = {field: value for field, value in event.items() if field != "event"}
        if name == "ReserveDataUpdated":
            if event is not rates[event["reserve"]]:
                continue
            r = pool.symbols.index(said.pop("reserve"))
            said.pop("stableBorrowRate")
            stored = pool.reserves
            shown: Record = {
                "liquidityRate": str(stored.liquidity_rate_ray[r]),
                "variableBorrowRate": str(stored.borrow_rate_ray[r]),
                "liquidityIndex": str(stored.liquidity_index_ray[r]),
                "variableBorrowIndex": str(stored.borrow_index_ray[r]),
            }
        elif name == "LiquidationCall":
            shown = {
                "collateral": collateral,
                "principal": recorded_call["debt"],
                "user": "borrower",
                "debtToCover": str(quote.repaid),
                "liquidatedCollateralAmount": str(quote.received),
                "liquidator": receiver,
                "receiveAToken": call.receive_atoken,
            }
        elif name == "Transfer":
            shown = {"token": f"a{collateral}", "to": receiver, "amount": str(quote.received)}
        elif name == "BalanceTransfer":
            index = str(was.indices(now).income[call.collateral])
            shown = {
                "token": f"a{collateral}",
                "from": "borrower",
                "to": receiver,
                "value": str(quote.received),
                "index": index,
            }
        elif name == "ReserveUsedAsCollateralDisabled":
            shown = {"reserve": collateral, "user": "borrower"}
            wrong += [] if quote.emptied else ["the collateral is not disabled"]
        elif name == "ReserveUsedAsCollateralEnabled":
            # Whether the liquidator's aTokens become collateral is a matter of its own account.
            shown = {"reserve": collateral, "user": receiver}
        else:
            raise NotUnderstoodError(f"event {name}")
        if said != shown:
            wrong.append(f"event {name} says {said}, not {shown}")
    return wrong


# --- the fast form ----------------------------------------------------------------------------------------------

AMOUNTS = (
    *("liquidity_index_ray", "borrow_index_ray", "liquidity_rate_ray", "borrow_rate_ray"),
    *("supply_scaled", "debt_scaled", "stable_principal_raw", "stable_rate_ray", "liquidity_raw", "treasury_scaled"),
)


def fast_form(before: Pool, call: Call, now: int, exact: Quote, after: Pool) -> tuple[float, float | None]:
    """Run a liquidation in the fast form: how far off it is, and how near to a branch point if it branched otherwise.

    An amount's error counts as a share of the amount or of the balance it is taken from: the account's for what it
    pays and loses, the reserve's for what the reserve holds, and the reserve's debt for interest on it.
    """
    reserves, positions = to_fast(before.reserves), to_fast(before.positions)
    indices = to_fast(Indices([0] * len(before.symbols), [0] * len(before.symbols)))
    moment = float(now)
    fast(bring_indices)(reserves, indices, moment)
    in_floats = call._replace(debt_to_cover=float(call.debt_to_cover))
    quote = fast(liquidate)(OWN, reserves, indices, positions, in_floats, moment)

    decided = ("error", "capped", "emptied")
    if (
        any(getattr(quote, name) != getattr(exact, name) for name in decided)
        or list(positions.collateral) != after.positions.collateral
        or relative_error(quote.offered, exact.offered) > RELATIVE_TOLERANCE
    ):
        return 0.0, _margin(before, call, now)

    entry = entry_of(before.positions, call.account, call.collateral)
    supplied = before.positions.supplied_scaled[entry] if entry >= 0 else 0
    pairs: list[tuple[float, int, int]] = [
        (quote.repaid, exact.repaid, exact.debt),
        (quote.received, exact.received, supplied),
    ]
    for column in ("supplied_scaled", "debt_scaled", "stable_principal_raw"):
        was, found, is_now = (getattr(state, column) for state in (before.positions, positions, after.positions))
        pairs += zip(found, is_now, was, strict=True)
    for column in AMOUNTS:
        was, found, is_now = (getattr(state, column) for state in (before.reserves, reserves, after.reserves))
        for r, value in enumerate(found):
            scale = was[r]
            if column == "treasury_scaled":
                scale = max(scale, before.reserves.debt_scaled[r], before.reserves.stable_principal_raw[r])
            pairs.append((value, is_now[r], scale))
    return max(relative_error(float(found), is_now, was) for found, is_now, was in pairs), None


def _margin(before: Pool, call: Call, now: int) -> float:
    names = (*AMOUNTS, "price_raw", "supplied_scaled")

    def watch(state: State) -> State:
        columns = (
            [Watched(v) for v in values] if f in names else list(values) for f, values in state._asdict().items()
        )
        return type(state)(*columns)

    exact = before.indices(now)
    indices = Indices([Watched(v) for v in exact.income], [Watched(v) for v in exact.debt])
    watched = call._replace(debt_to_cover=Watched(call.debt_to_cover))
    return smallest_margin(
        lambda: liquidate(OWN, watch(before.reserves), indices, watch(before.positions), watched, now)
    )
