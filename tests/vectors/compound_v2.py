"""Replay of recorded CToken.liquidateBorrow calls.

The exact form must give every recorded integer and revert reason: the account's liquidity before and after accrual,
what accrued, all of the markets' state after, the account's balances, the split of the claims.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chain.errors import UnsupportedError
from protocols.compiled import fast
from protocols.lending.compound_v2.balances import liquidity
from protocols.lending.compound_v2.interest import accrue
from protocols.lending.compound_v2.rules import Call, Liquidation, Settings, liquidate
from protocols.lending.compound_v2.state import Pools, to_fast
from protocols.lending.compound_v2.versions import OK, REFUSALS
from tests.vectors.compound_book import (
    BORROWER,
    STORED,
    Book,
    NotUnderstoodError,
    differences,
    expect,
    fast_error,
    margin,
    read_book,
)
from tests.vectors.outcome import Document, Outcome

LABELS = {"id", "world", "split", "price_label", "amount_label", "special", "chain"}
BEFORE = {"markets", "account", "account_accrued", "accrued", "block_number"}
MARKET = {
    *("decimals", "price", "collateralFactor", "isListed", "reserveFactor", "exchangeRateStored", "borrowPaused"),
    *("irm", "user", "liquidator_cTokens", "liquidator_underlying", *STORED),
}
COMMIT = "a3214f67b73310d547e00fc578e8355911c9d376"


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for case in document["cases"]:
        try:
            if COMMIT not in str(document.get("version")):
                raise NotUnderstoodError(f"version {document.get('version')}")
            outcome = _check_case(case)
        except (NotUnderstoodError, UnsupportedError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            outcome = Outcome(str(case.get("id")), f"not understood: {type(error).__name__}: {error}")
        yield outcome


def _check_case(case: dict[str, Any]) -> Outcome:
    expect("case", case, {"before", "call", "result", *LABELS})
    before, recorded = case["before"], case["result"]
    settings = {"closeFactor", "liquidationIncentive", "protocolSeizeShare", "seizePaused"}
    expect("before", before, BEFORE | settings)
    book = _read(before)
    comptroller = Settings(int(before["closeFactor"]), before["seizePaused"])
    call = _read_call(case["call"], book)
    block = int(before["block_number"])
    if block != int(case["call"]["block_number"]):
        raise NotUnderstoodError("the state is not that of the call's block")

    wrong = _before_differences(book, before, call, block)
    was = book.copy()
    done = liquidate(book.markets, book.pools, book.positions, comptroller, call, block)
    wrong += _result_differences(recorded, book, done) if done.error == OK else _refusal_differences(recorded, done)
    if done.error != OK and book != was:
        wrong.append("the call was refused and changed something")
    if wrong:
        return Outcome(case["id"], wrong[0])
    return Outcome(case["id"], "", *_fast_form(was, comptroller, call, block, done, book))


def _read(before: dict[str, Any]) -> Book:
    rows = list(before["markets"].values())
    for symbol, row in before["markets"].items():
        expect(f"market {symbol}", row, MARKET)
    factors = [int(row["collateralFactor"]) for row in rows]
    pools = Pools([factors], [factors], [[int(before["liquidationIncentive"])] * len(rows)])
    flags: dict[str, list[Any]] = {
        "listed": [row["isListed"] for row in rows],
        "borrow_paused": [row["borrowPaused"] for row in rows],
        "seize_share_wad": [int(before["protocolSeizeShare"])] * len(rows),
    }
    return read_book(before["markets"], pools, 0, "cTokens", flags)


def _read_call(call: dict[str, Any], book: Book) -> Call:
    expect("call", call, {"borrowed", "collateral", "repayAmount", "liquidator", "block_number"})
    if call["liquidator"] not in ("liquidator", "borrower"):
        raise NotUnderstoodError(f"liquidator {call['liquidator']}")
    return Call(
        BORROWER,
        book.symbols.index(call["collateral"]),
        book.symbols.index(call["debt" if "debt" in call else "borrowed"]),
        int(call["repayAmount"]),
        call["liquidator"] == "borrower",
    )


def show_account(book: Book, skip_empty: bool = False) -> dict[str, int]:
    """The account's liquidity as a record shows it."""
    found = liquidity(book.markets, book.pools, book.positions, BORROWER, skip_empty)
    return {
        "error": 0 if found.priced else 13,
        "liquidity": max(found.limit - found.debt, 0),
        "shortfall": max(found.debt - found.limit, 0),
    }


def _before_differences(book: Book, before: dict[str, Any], call: Call, block: int) -> list[str]:
    for m, symbol in enumerate(book.symbols):
        if book.show_market(m)["exchangeRateStored"] != int(before["markets"][symbol]["exchangeRateStored"]):
            return [f"before.{symbol}.exchangeRateStored is {book.show_market(m)['exchangeRateStored']}"]
    wrong = differences("before.account", before["account"], show_account(book))
    for m, symbol in enumerate(book.symbols):
        user = before["markets"][symbol]["user"]
        wrong += differences(f"before.{symbol}.user", user, book.show_user(m))
    accrued = book.copy()
    for m in {call.debt, call.collateral}:
        accrue(accrued.markets, m, block)
    wrong += differences("before.account_accrued", before["account_accrued"], show_account(accrued))
    expect("accrued", before["accrued"], {"borrowed_market", "collateral_market"})
    for name, m in (("borrowed_market", call.debt), ("collateral_market", call.collateral)):
        wrong += differences(f"before.accrued.{name}", before["accrued"][name], accrued.show_accrued(m))
    return wrong


def _refusal_differences(recorded: dict[str, Any], done: Liquidation) -> list[str]:
    refusal = REFUSALS[done.error]
    if not recorded["reverted"]:
        return [f"reverts with {refusal}, recorded no revert"]
    expect("result", recorded, {"reverted", "selector", "error", "data", "args", "error_code_name"})
    shown = (refusal.error, [str(refusal.code)] if refusal.code else [], refusal.reason)
    found = (recorded["error"], recorded.get("args", []), recorded.get("error_code_name", ""))
    return [] if shown == found else [f"reverts with {shown}, recorded {found}"]


def _result_differences(recorded: dict[str, Any], book: Book, done: Liquidation) -> list[str]:
    if recorded["reverted"]:
        return [f"executed, recorded a revert with {recorded['error']}"]
    shown = {
        "reverted": False,
        "actualRepayAmount": done.repaid,
        "seizeTokens": done.seized,
        "liquidatorSeizeTokens": done.seized - done.kept,
        "protocolSeizeTokens": done.kept,
        "protocolSeizeAmount": done.kept_raw,
        "liquidator_underlying_paid": done.repaid,
        "liquidator_cTokens_delta": done.seized - done.kept,
    }
    after = recorded["after"]
    expect("after", after, {"account", "markets"})
    wrong = differences("result", {field: value for field, value in recorded.items() if field != "after"}, shown)
    wrong += differences("after.account", after["account"], show_account(book))
    return wrong + book.differences("after", after["markets"])


def _fast_form(
    was: Book, settings: Settings, call: Call, block: int, done: Liquidation, book: Book
) -> tuple[float, float | None]:
    markets, pools, positions = to_fast(was.markets), to_fast(was.pools), to_fast(was.positions)
    in_floats = call._replace(repay_raw=float(call.repay_raw))
    found = fast(liquidate)(markets, pools, positions, to_fast(settings), in_floats, float(block))

    def again(watched_markets: Any, watched_positions: Any) -> Liquidation:
        return liquidate(watched_markets, was.pools, watched_positions, settings, call, block)

    if found.error != done.error:
        return 0.0, margin(was, again)
    return fast_error(was, book, markets, positions), None
