"""Replay of recorded VToken.liquidateBorrow and Liquidator.liquidateBorrow calls.

The exact form must give every recorded integer, returned error and revert reason: the account's liquidity before and
after accrual, what accrued, all of the markets' state after, the account's balances, the split of the claims, and what
the Liquidator redeemed or could not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chain.errors import UnsupportedError
from protocols.compiled import fast
from protocols.lending.compound_v2.rules import Call
from protocols.lending.compound_v2.state import copied, to_fast
from protocols.lending.venus_core.pools import Listing, Pool, effective
from protocols.lending.venus_core.rules import Guards, Liquidation, Settings, accrue, is_returned, liquidate
from protocols.lending.venus_core.versions import FAILURES, OK, revert_of, version_of
from tests.vectors.compound_book import (
    BORROWER,
    STORED,
    Book,
    NotUnderstoodError,
    Record,
    differences,
    expect,
    fast_error,
    margin,
    read_book,
)
from tests.vectors.compound_v2 import show_account
from tests.vectors.outcome import Document, Outcome, relative_error

LABELS = {"id", "world", "split", "price_label", "amount_label", "special", "chain"}
BEFORE = {
    *("markets", "account", "account_accrued", "accrued", "block_number"),
    *("closeFactor", "userPool", "poolFlags", "liquidatorContract", "pendingRedeem_before"),
}
MARKET = {
    *("decimals", "price", "pools", "effective", "reserveFactor", "exchangeRateStored", "irm", "user", *STORED),
    *("seizePaused", "liquidatePaused", "forcedMarket", "forcedUser"),
    *("liquidator_vTokens", "liquidator_underlying", "liquidatorContract_vTokens", "protocolShareReserve_underlying"),
}
ENTRIES = {"VToken.liquidateBorrow": False, "Liquidator.liquidateBorrow": True}
NO_REDUCTION = 10**9
"""``reduceReservesBlockDelta`` in every recording."""


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for case in document["cases"]:
        try:
            version_of(str(document.get("version")).removeprefix("venus-protocol "))
            outcome = _Case(case).outcome()
        except (NotUnderstoodError, UnsupportedError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            outcome = Outcome(str(case.get("id")), f"not understood: {type(error).__name__}: {error}")
        yield outcome


class _Case:
    """One recorded call, and the state around it."""

    def __init__(self, case: Record) -> None:
        expect("case", case, {"before", "call", "result", *LABELS})
        self.case, self.before, self.recorded = case, case["before"], case["result"]
        expect("before", self.before, BEFORE)
        self.block = int(self.before["block_number"])
        if self.block != int(case["call"]["block_number"]):
            raise NotUnderstoodError("the state is not that of the call's block")
        self.book = self._read_book()
        self.guards = self._read_guards()
        self.settings = self._read_settings()
        self.call, self.through = self._read_call()

    # --- from the record ----------------------------------------------------------------------------------------

    def _read_book(self) -> Book:
        recorded = self.before["markets"]
        for symbol, row in recorded.items():
            expect(f"market {symbol}", row, MARKET)
        ids = sorted({int(pool) for row in recorded.values() for pool in row["pools"]})
        if ids != list(range(len(ids))):
            raise NotUnderstoodError(f"pools {ids}")
        pools = [self._read_pool(str(number)) for number in ids]
        flags: dict[str, list[Any]] = {
            "listed": [listing.listed for listing in pools[0].listings],
            "borrow_paused": [False] * len(recorded),
            "seize_share_wad": [0] * len(recorded),
        }
        return read_book(recorded, effective(pools), int(self.before["userPool"]), "vTokens", flags)

    def _read_pool(self, number: str) -> Pool:
        fields = {"isListed", "collateralFactor", "liquidationThreshold", "liquidationIncentive"}
        listings = []
        for symbol, row in self.before["markets"].items():
            expect(f"{symbol} in pool {number}", row["pools"][number], fields)
            factor, threshold, incentive = (
                int(row["pools"][number][name])
                for name in ("collateralFactor", "liquidationThreshold", "liquidationIncentive")
            )
            listings.append(Listing(row["pools"][number]["isListed"], factor, threshold, incentive))
        flags = (
            {"isActive": True, "allowCorePoolFallback": False} if number == "0" else self.before["poolFlags"][number]
        )
        expect(f"pool {number}", flags, {"isActive", "allowCorePoolFallback"})
        return Pool(flags["isActive"], flags["allowCorePoolFallback"], listings)

    def _read_guards(self) -> Guards:
        rows = list(self.before["markets"].values())
        claims = [int(row["liquidatorContract_vTokens"]) for row in rows]
        pending = [amount > 0 for amount in claims]
        self.pending_elsewhere = int(self.before["pendingRedeem_before"]) - sum(pending)
        if self.pending_elsewhere < 0:
            raise NotUnderstoodError("which markets the Liquidator has still to redeem from")
        return Guards(
            liquidate_paused=[row["liquidatePaused"] for row in rows],
            seize_paused=[row["seizePaused"] for row in rows],
            forced=[row["forcedMarket"] for row in rows],
            reduced_block=[int(row["accrualBlockNumber"]) for row in rows],
            reduce_blocks=[NO_REDUCTION] * len(rows),
            liquidator_claims=claims,
            pending=pending,
        )

    def _read_settings(self) -> Settings:
        contract = self.before["liquidatorContract"]
        expect("liquidatorContract", contract or {}, {"treasuryPercent"})
        treasury = int(contract["treasuryPercent"]) if contract else 0
        return Settings(int(self.before["closeFactor"]), treasury, contract is not None, skip_empty=True)

    def _read_call(self) -> tuple[Call, bool]:
        call = self.case["call"]
        expect("call", call, {"entry", "borrowed", "collateral", "repayAmount", "liquidator", "block_number"})
        if call["liquidator"] not in ("liquidator", "borrower"):
            raise NotUnderstoodError(f"liquidator {call['liquidator']}")
        symbols = self.book.symbols
        collateral, debt = symbols.index(call["collateral"]), symbols.index(call["borrowed"])
        own = call["liquidator"] == "borrower"
        return Call(BORROWER, collateral, debt, int(call["repayAmount"]), own), ENTRIES[call["entry"]]

    # --- the check ----------------------------------------------------------------------------------------------

    def outcome(self) -> Outcome:
        wrong = self._before_differences()
        if self.through and self.call.repay_raw > int(self._owned("liquidator_underlying", self.call.debt)):
            # The Liquidator takes the repayment first, and the recorded tokens refuse with a word of their own.
            wrong += [] if self.recorded.get("error") == "balance" else ["the liquidator does not have so much"]
            return Outcome(self.case["id"], wrong[0] if wrong else "")
        book, guards = self.book.copy(), copied(self.guards)
        done = self._run(book, guards)
        if done.error == OK:
            wrong += self._result_differences(done, book, guards)
        else:
            wrong += self._refusal_differences(done, book)
        if wrong:
            return Outcome(self.case["id"], wrong[0])
        return Outcome(self.case["id"], "", *self._fast_form(done, book, guards))

    def _run(self, book: Book, guards: Guards) -> Liquidation:
        state = (book.markets, guards, book.pools, book.positions)
        return liquidate(*state, self.settings, self.call, self.through, self.block)

    def _owned(self, field: str, m: int) -> str:
        return str(self.before["markets"][self.book.symbols[m]][field])

    def _before_differences(self) -> list[str]:
        before, book = self.before, self.book
        wrong = differences("before.account", before["account"], show_account(book, skip_empty=True))
        pool = book.positions.pool[BORROWER]
        for m, symbol in enumerate(book.symbols):
            recorded = before["markets"][symbol]
            chosen = {
                "liquidationThreshold": book.pools.threshold_wad[pool][m],
                "liquidationIncentive": book.pools.incentive_wad[pool][m],
            }
            wrong += differences(f"before.{symbol}.effective", recorded["effective"], chosen)
            wrong += differences(f"before.{symbol}.user", recorded["user"], book.show_user(m))
            stored = {"exchangeRateStored": recorded["exchangeRateStored"]}
            wrong += differences(f"before.{symbol}", stored, book.show_market(m))
        accrued, guards = book.copy(), copied(self.guards)
        for m in {self.call.debt, self.call.collateral}:
            accrue(accrued.markets, guards, m, self.block)
        wrong += differences("before.account_accrued", before["account_accrued"], show_account(accrued, True))
        expect("accrued", before["accrued"], {"borrowed_market", "collateral_market"})
        for name, m in (("borrowed_market", self.call.debt), ("collateral_market", self.call.collateral)):
            wrong += differences(f"before.accrued.{name}", before["accrued"][name], accrued.show_accrued(m))
        return wrong

    def _refusal_differences(self, done: Liquidation, book: Book) -> list[str]:
        recorded = self.recorded
        reverts = self.through or not is_returned(done.error)
        if recorded["reverted"] != reverts:
            return [f"reverts: {reverts}, recorded: {recorded['reverted']}"]
        if reverts:
            refusal = revert_of(done.error, self.through)
            expect("result", recorded, {"reverted", "selector", "error", "data", "args", "error_code_name"})
            shown = (refusal.error, [str(refusal.code)] if refusal.code else [], refusal.reason)
            found = (recorded["error"], recorded.get("args", []), recorded.get("error_code_name", ""))
            wrong = [] if shown == found else [f"reverts with {shown}, recorded {found}"]
            return wrong + ([] if book == self.book else ["the call reverts and changed something"])
        failure = FAILURES[done.error]
        expect("result", recorded, {"reverted", "returned_error", "returned_error_name", "failure", "after"})
        seen = recorded["failure"]
        expect("failure", seen, {"error", "info", "detail", "detail_name"})
        shown_failure = (failure.error, failure.name, failure.error, failure.info, failure.detail, failure.detail_name)
        found_failure = (
            *(int(recorded["returned_error"]), recorded["returned_error_name"]),
            *(int(seen["error"]), int(seen["info"]), int(seen["detail"]), seen["detail_name"] or ""),
        )
        wrong = [] if shown_failure == found_failure else [f"returns {shown_failure}, recorded {found_failure}"]
        return wrong + self._after_differences(book)

    def _result_differences(self, done: Liquidation, book: Book, guards: Guards) -> list[str]:
        recorded, c = self.recorded, self.call.collateral
        if recorded["reverted"] or recorded["returned_error"] != "0":
            return [f"executed, recorded {recorded.get('error', recorded.get('returned_error'))}"]
        left = guards.liquidator_claims[c] - self.guards.liquidator_claims[c]
        shown = {
            "reverted": False,
            "returned_error": 0,
            "actualRepayAmount": done.repaid,
            "seizeTokens": done.seized,
            "liquidator_vTokens_delta": 0 if self.call.self_liquidation else done.seized - done.kept,
            "treasury_vTokens": done.kept,
            "treasury_underlying": done.treasury_raw,
            "liquidator_underlying_paid": done.repaid,
        }
        if self.through:
            shown |= {
                "pendingRedeem_after": sum(guards.pending) + self.pending_elsewhere,
                "liquidatorContract_vTokens_delta": left,
            }
        wrong = differences("result", {field: value for field, value in recorded.items() if field != "after"}, shown)
        return wrong + self._after_differences(book)

    def _after_differences(self, book: Book) -> list[str]:
        after = self.recorded["after"]
        expect("after", after, {"account", "markets"})
        wrong = differences("after.account", after["account"], show_account(book, skip_empty=True))
        return wrong + book.differences("after", after["markets"])

    # --- the fast form ------------------------------------------------------------------------------------------

    def _fast_form(self, done: Liquidation, book: Book, guards: Guards) -> tuple[float, float | None]:
        was = self.book
        markets, pools, positions = to_fast(was.markets), to_fast(was.pools), to_fast(was.positions)
        fast_guards, settings = to_fast(self.guards), to_fast(self.settings)
        in_floats = self.call._replace(repay_raw=float(self.call.repay_raw))
        state = (markets, fast_guards, pools, positions)
        found = fast(liquidate)(*state, settings, in_floats, self.through, float(self.block))

        def again(watched_markets: Any, watched_positions: Any) -> Liquidation:
            state = (watched_markets, copied(self.guards), was.pools, watched_positions)
            return liquidate(*state, self.settings, self.call, self.through, self.block)

        if found.error != done.error or list(fast_guards.pending) != guards.pending:
            return 0.0, margin(was, again)
        claims = zip(fast_guards.liquidator_claims, guards.liquidator_claims, strict=True)
        left = max(relative_error(float(mine), exact, done.seized) for mine, exact in claims)
        return max(left, fast_error(was, book, markets, positions)), None
