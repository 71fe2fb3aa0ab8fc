"""Replay of recorded Pool.liquidationCall calls, single ones and whole books.

The exact form must give every recorded integer, flag and revert reason: the account's data, all of the pool's state
after, the events' amounts, the deficits. Of what the liquidator's own account becomes only its balances are followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chain.errors import UnsupportedError
from protocols.lending.aave_v3 import rules
from protocols.lending.aave_v3.rules import OWN, Call, Quote, liquidate
from protocols.lending.aave_v3.versions import V36, Version, revert_name, version_of
from tests.vectors.aave_v3_book import check_book
from tests.vectors.aave_v3_pool import (
    Ledger,
    NotUnderstoodError,
    Pool,
    differences,
    expect,
    fast_form,
    read_pool,
    reserve_differences,
    show_account,
    show_position,
)
from tests.vectors.outcome import Document, Outcome

BORROWER = 0
CONSTANTS = {
    "DEFAULT_LIQUIDATION_CLOSE_FACTOR_bps": rules.DEFAULT_LIQUIDATION_CLOSE_FACTOR,
    "MAX_LIQUIDATION_CLOSE_FACTOR_bps": 10_000,
    "CLOSE_FACTOR_HF_THRESHOLD": rules.CLOSE_FACTOR_HF_THRESHOLD,
    "MINIMUM_HEALTH_FACTOR_LIQUIDATION_THRESHOLD": rules.MINIMUM_HEALTH_FACTOR_LIQUIDATION_THRESHOLD,
    "MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD": rules.MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD,
    "MIN_LEFTOVER_BASE": rules.MIN_LEFTOVER_BASE,
}
LABELS = {"id", "world", "split", "account_kind", "price_label", "amount_label", "special", "chain"}


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for case in document["cases"]:
        try:
            version = version_of(str(document.get("version")))
            constants = document.get("constants", {})
            expect("constants", constants, set(CONSTANTS))
            wrong = [name for name, value in constants.items() if int(value) != CONSTANTS[name]]
            if wrong:
                raise NotUnderstoodError(f"constant {wrong[0]} is {constants[wrong[0]]}, not {CONSTANTS[wrong[0]]}")
            outcome = check_book(version, case) if "steps" in case else _check_case(version, case)
        except (NotUnderstoodError, UnsupportedError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            outcome = Outcome(str(case.get("id")), f"not understood: {type(error).__name__}: {error}")
        yield outcome


def _check_case(version: Version, case: dict[str, Any]) -> Outcome:
    expect("case", case, {"before", "call", "result", "sentinel", *LABELS})
    before, recorded = case["before"], case["result"]
    expect("before", before, {"timestamp", "reserves", "emode", "emodeCategory", "account"})
    category = int(before["emode"])
    emodes = {category: before["emodeCategory"]} if category else {}
    users = {symbol: reserve["user"] for symbol, reserve in before["reserves"].items()}
    pool = read_pool(version, before["reserves"], emodes, [(category, users)])
    ledger = Ledger.read(pool, before["reserves"])
    call = _read_call(case, pool)
    now = int(case["call"]["block_timestamp"])
    if now != int(before["timestamp"]):
        raise NotUnderstoodError("the state is not that of the call's block")

    was = pool.copy()
    wrong = _state_differences("before", pool, ledger, before, before, now)
    quote = liquidate(version.code, OWN, pool.reserves, was.indices(now), pool.emodes, pool.positions, call, now)
    reason = revert_name(version.code, quote.error)
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


def _read_call(case: dict[str, Any], pool: Pool) -> Call:
    call, sentinel = case["call"], case["sentinel"]
    expect("call", call, {"collateral", "debt", "debtToCover", "receiveAToken", "liquidator", "block_timestamp"})
    if call["liquidator"] not in ("liquidator", "borrower"):
        raise NotUnderstoodError(f"liquidator {call['liquidator']}")
    if sentinel not in (None, {"set": True, "isLiquidationAllowed": False}):
        raise NotUnderstoodError(f"sentinel {sentinel}")
    return Call(
        account=BORROWER,
        collateral=pool.symbols.index(call["collateral"]),
        debt=pool.symbols.index(call["debt"]),
        debt_to_cover=int(call["debtToCover"]),
        receive_atoken=call["receiveAToken"],
        self_liquidation=call["liquidator"] == "borrower",
        sentinel_down=sentinel is not None,
    )


def _state_differences(
    where: str, pool: Pool, ledger: Ledger, recorded: dict[str, Any], before: dict[str, Any], now: int
) -> list[str]:
    indices = pool.indices(now)
    wrong = differences(f"{where}.account", recorded["account"], show_account(pool.account(BORROWER, now)))
    if set(recorded["reserves"]) != set(pool.symbols):
        raise NotUnderstoodError(f"{where} has reserves {sorted(recorded['reserves'])}, not {sorted(pool.symbols)}")
    entries = pool.entries(BORROWER)
    for r, symbol in enumerate(pool.symbols):
        reserve, at = recorded["reserves"][symbol], f"{where}.{symbol}"
        wrong += reserve_differences(at, pool, r, indices, ledger, reserve, before["reserves"][symbol])
        wrong += differences(f"{at}.user", reserve["user"], show_position(pool, entries[symbol], indices))
    return wrong


def _result_differences(recorded: dict[str, Any], was: Pool, pool: Pool, call: Call, quote: Quote) -> list[str]:
    entries = was.entries(BORROWER)
    collateral, debt = entries[was.symbols[call.collateral]], entries[was.symbols[call.debt]]
    ledger = Ledger(*([0] * len(was.symbols) for _ in range(3)))
    ledger.move(call, quote)
    shown = {
        "debt_repaid": quote.repaid,
        "actualDebtToLiquidate": quote.repaid,
        "actualCollateralToLiquidate": quote.received,
        "liquidationProtocolFeeAmount": quote.fee,
        "liquidator_collateral_aToken_scaled_delta": ledger.claims[call.collateral],
        "treasury_collateral_aToken_scaled_delta": quote.fee_scaled,
        "borrower_collateral_scaled_delta": pool.positions.supplied_scaled[collateral]
        - was.positions.supplied_scaled[collateral],
        "borrower_debt_scaled_delta": pool.positions.debt_scaled[debt] - was.positions.debt_scaled[debt],
    }
    apart = {"reverted", "events", "after", "deficits_created", "liquidator_underlying_delta"}
    wrong = differences("result", {field: value for field, value in recorded.items() if field not in apart}, shown)
    moved = dict(zip(was.symbols, ledger.owned, strict=True))
    wrong += differences("result.liquidator_underlying_delta", recorded["liquidator_underlying_delta"], moved)
    created = [(deficit["asset"], int(deficit["amount"])) for deficit in recorded.get("deficits_created", [])]
    deficits = _deficits(was, pool, call)
    return wrong + ([] if created == deficits else [f"result.deficits_created is {deficits}, recorded {created}"])


def _deficits(was: Pool, pool: Pool, call: Call) -> list[tuple[str, int]]:
    """Debt written off, in the order of the events: the debt reserve first."""
    order = sorted(range(len(pool.symbols)), key=lambda r: (r != call.debt, r))
    amounts = ((pool.symbols[r], pool.reserves.deficit_raw[r] - was.reserves.deficit_raw[r]) for r in order)
    return [(symbol, amount) for symbol, amount in amounts if amount]


def _event_differences(
    events: list[dict[str, Any]],
    recorded_call: dict[str, Any],
    was: Pool,
    pool: Pool,
    call: Call,
    quote: Quote,
    now: int,
) -> list[str]:
    """What the events say otherwise; of those about a reserve's rates the last is meant, and stable rates are not."""
    collateral, debt = recorded_call["collateral"], recorded_call["debt"]
    receiver = recorded_call["liquidator"]
    indices, entries = was.indices(now), pool.entries(BORROWER)
    paid = {"treasury": (quote.fee, quote.fee_scaled), receiver: (quote.received, quote.received_scaled)}
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
            shown: dict[str, Any] = {
                "liquidityRate": stored.liquidity_rate_ray[r],
                "variableBorrowRate": stored.borrow_rate_ray[r],
                "liquidityIndex": stored.liquidity_index_ray[r],
                "variableBorrowIndex": stored.borrow_index_ray[r],
            }
        elif name == "LiquidationCall":
            shown = {
                "collateralAsset": collateral,
                "debtAsset": debt,
                "user": "borrower",
                "debtToCover": str(quote.repaid),
                "liquidatedCollateralAmount": str(quote.received),
                "liquidator": receiver,
                "receiveAToken": call.receive_atoken,
            }
        elif name == "Transfer":
            shown = {"token": f"a{collateral}", "to": said["to"], "amount": str(paid[said["to"]][0])}
        elif name == "BalanceTransfer":
            scaled = str(paid[said["to"]][1])
            index = str(indices.income[call.collateral])
            shown = {"token": f"a{collateral}", "from": "borrower", "to": said["to"], "index": index}
            shown["value" if "value" in said else "scaledAmount"] = scaled
        elif name == "DeficitCreated":
            r = pool.symbols.index(said["debtAsset"])
            written_off = pool.reserves.deficit_raw[r] - was.reserves.deficit_raw[r]
            shown = {"user": "borrower", "debtAsset": said["debtAsset"], "amountCreated": str(written_off)}
        elif name == "IsolationModeTotalDebtUpdated":
            r = pool.symbols.index(said["asset"])
            shown = {"asset": said["asset"], "totalDebt": str(pool.reserves.isolated_debt[r])}
        elif name == "ReserveUsedAsCollateralDisabled":
            shown = {"reserve": collateral, "user": "borrower"}
        elif name == "ReserveUsedAsCollateralEnabled" and pool.version.code < V36:
            # Whether the liquidator's aTokens become collateral is a matter of its own account.
            if said["user"] == "liquidator":
                continue
            shown = {"reserve": collateral, "user": "borrower"}
            wrong += [] if pool.positions.collateral[entries[collateral]] else ["the collateral is not enabled again"]
        else:
            raise NotUnderstoodError(f"event {name}")
        if name == "ReserveDataUpdated":
            said = {field: int(value) for field, value in said.items()}
        if said != shown:
            wrong.append(f"event {name} says {said}, not {shown}")
    return wrong
