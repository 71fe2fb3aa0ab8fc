"""Replay of recorded Morpho.liquidate calls.

The exact form must give every recorded integer and revert reason: the market with interest, the amounts, the market,
the position and the fee recipient's shares after. The interest rate is recorded, not computed. The balance that an
amount is taken from is the position's for what is repaid and seized, the market's for its totals. Two of the loan
token's smallest units are within tolerance, and what they are worth in shares and in collateral.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from protocols.compiled import fast
from protocols.lending.morpho_blue import rules
from protocols.lending.morpho_blue.rules import Accrual, Liquidation
from protocols.lending.morpho_blue.shares import VIRTUAL_ASSETS, VIRTUAL_SHARES, oracle_price_scale
from protocols.lending.morpho_blue.state import Position, Totals
from tests.vectors.outcome import RELATIVE_TOLERANCE, UNIT_TOLERANCE, Document, Outcome, relative_error
from tests.vectors.watched import Watched, smallest_margin

Record = dict[str, Any]

VERSIONS = ("1.0.0",)
CONSTANTS = {
    "LIQUIDATION_CURSOR": rules.LIQUIDATION_CURSOR,
    "MAX_LIQUIDATION_INCENTIVE_FACTOR": rules.MAX_LIQUIDATION_INCENTIVE_FACTOR,
    "VIRTUAL_SHARES": VIRTUAL_SHARES,
    "VIRTUAL_ASSETS": VIRTUAL_ASSETS,
    "ORACLE_PRICE_SCALE": oracle_price_scale(),
}
MARKET = {
    "totalSupplyAssets": "supply_assets",
    "totalSupplyShares": "supply_shares",
    "totalBorrowAssets": "borrow_assets",
    "totalBorrowShares": "borrow_shares",
    "lastUpdate": "last_update",
}
POSITION = {"borrowShares": "borrow_shares", "collateral": "collateral"}
LABELS = {"id", "world", "split", "market_kind", "price_label", "amount_label", "chain"}
BEFORE = {
    *("timestamp", "market", "position", "feeRecipient_supplyShares", "price", "borrowRate", "market_accrued", "lltv"),
    *("collateral_decimals", "loan_decimals", "irm"),
}
DONE = {
    *("reverted", "seizedAssets", "repaidAssets", "repaidShares", "badDebtAssets", "badDebtShares", "accrued"),
    *("loan_paid", "collateral_received", "after"),
}
SELECTORS = {"Panic": "0x4e487b71", "text": "0x08c379a0"}


class NotUnderstoodError(Exception):
    """A recorded field or value that the checker has no meaning for."""


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for case in document["cases"]:
        try:
            if document.get("version") not in VERSIONS:
                raise NotUnderstoodError(f"version {document.get('version')}")
            constants = {name: int(value) for name, value in document.get("constants", {}).items()}
            if wrong := [name for name, value in constants.items() if CONSTANTS.get(name) != value]:
                raise NotUnderstoodError(f"constant {wrong[0]} is {constants[wrong[0]]}")
            outcome = _check_case(case)
        except (NotUnderstoodError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            outcome = Outcome(str(case.get("id")), f"not understood: {type(error).__name__}: {error}")
        yield outcome


def expect(what: str, found: Any, known: set[str]) -> None:
    """Refuse a record that has other fields than those known, or fewer."""
    if set(found) != known:
        raise NotUnderstoodError(f"{what} has other fields than known: {sorted(set(found) ^ known)}")


def totals_of(market: Record) -> Totals:
    """A recorded market's totals."""
    expect("market", market, {*MARKET, "fee"})
    return Totals(*(int(market[field]) for field in MARKET))


def show_market(totals: Totals, fee_wad: int) -> dict[str, int]:
    """A market as a record shows it."""
    return {field: getattr(totals, name) for field, name in MARKET.items()} | {"fee": fee_wad}


def differences(where: str, recorded: Record, shown: dict[str, int]) -> list[str]:
    """What of a record is shown otherwise."""
    expect(where, recorded, set(shown))
    return [
        f"{where}.{field} is {shown[field]}, recorded {value}"
        for field, value in recorded.items()
        if int(value) != shown[field]
    ]


def charged(irm: str, totals: Totals, fee_wad: int, rate_wad: int, now: int) -> Accrual:
    """The market with interest at a recorded rate; without an interest rate model there is none."""
    if irm == "none" or now == totals.last_update:
        return Accrual(totals._replace(last_update=now), 0, 0, 0, 0)
    return rules.charge(totals, fee_wad, rate_wad, now)


def _check_case(case: Record) -> Outcome:
    expect("case", case, {"before", "call", "result", *LABELS})
    before, call, recorded = case["before"], case["call"], case["result"]
    expect("before", before, BEFORE)
    expect("call", call, {"seizedAssets", "repaidShares", "block_timestamp"})
    expect("position", before["position"], {"supplyShares", *POSITION})
    now = int(call["block_timestamp"])
    if now != int(before["timestamp"]):
        raise NotUnderstoodError("the state is not that of the call's block")
    totals, fee_wad, rate_wad = totals_of(before["market"]), int(before["market"]["fee"]), int(before["borrowRate"])
    position = Position(*(int(before["position"][field]) for field in POSITION))
    if (before["irm"] == "none") and rate_wad:
        raise NotUnderstoodError("a rate without an interest rate model")

    accrual = charged(before["irm"], totals, fee_wad, rate_wad, now)
    wrong = differences("before.market_accrued", before["market_accrued"], show_market(accrual.totals, fee_wad))
    arguments = (int(before["price"]), int(before["lltv"]), int(call["seizedAssets"]), int(call["repaidShares"]))
    price, lltv, *amounts = arguments
    factor = rules.incentive_factor(lltv, rules.OWN)
    done = rules.liquidate(accrual.totals, position, price, lltv, factor, *amounts)
    reason = rules.REVERTS[done.error]
    if recorded["reverted"]:
        expect("result", recorded, {"reverted", "selector", "error"})
        selector = SELECTORS["Panic" if reason.startswith("Panic") else "text"]
        if (reason, selector) != (recorded["error"], recorded["selector"]):
            wrong.append(f"reverts with {reason!r}, recorded {recorded['error']!r}")
    elif reason:
        wrong.append(f"reverts with {reason!r}, recorded no revert")
    else:
        expect("result", recorded, DONE)
        wrong += _result_differences(before, recorded, fee_wad, accrual, done)
    if wrong:
        return Outcome(case["id"], wrong[0])
    of_interest = _fast_interest(before["irm"], totals, fee_wad, rate_wad, now, accrual)
    fast_error, margin = fast_form(accrual.totals, position, *arguments)
    return Outcome(case["id"], "", max(of_interest, fast_error), margin if of_interest <= RELATIVE_TOLERANCE else None)


def _result_differences(
    before: Record, recorded: Record, fee_wad: int, accrual: Accrual, done: Liquidation
) -> list[str]:
    amounts = {
        "seizedAssets": done.seized,
        "repaidAssets": done.repaid_assets,
        "repaidShares": done.repaid_shares,
        "badDebtAssets": done.bad_debt_assets,
        "badDebtShares": done.bad_debt_shares,
        "loan_paid": done.repaid_assets,
        "collateral_received": done.seized,
    }
    wrong = differences("result", {field: recorded[field] for field in amounts}, amounts)
    elapsed = int(before["timestamp"]) != int(before["market"]["lastUpdate"])
    if (recorded["accrued"] is not None) != (before["irm"] != "none" and elapsed):
        wrong.append(f"result.accrued is recorded as {recorded['accrued']}")
    elif recorded["accrued"] is not None:
        event = {"borrowRate": accrual.rate_wad, "interest": accrual.interest, "feeShares": accrual.fee_shares}
        wrong += differences("result.accrued", recorded["accrued"], event)
    after = recorded["after"]
    expect("after", after, {"market", "position", "feeRecipient_supplyShares"})
    shown = {field: getattr(done.position, name) for field, name in POSITION.items()}
    shown["supplyShares"] = int(before["position"]["supplyShares"])
    wrong += differences("after.market", after["market"], show_market(done.totals, fee_wad))
    wrong += differences("after.position", after["position"], shown)
    fee_shares = int(before["feeRecipient_supplyShares"]) + accrual.fee_shares
    if int(after["feeRecipient_supplyShares"]) != fee_shares:
        wrong.append(f"after.feeRecipient_supplyShares is {fee_shares}")
    return wrong


def _fast_interest(irm: str, totals: Totals, fee_wad: int, rate_wad: int, now: int, exact: Accrual) -> float:
    if irm == "none":
        return 0.0
    found = fast(rules.charge)(Totals(*map(float, totals)), float(fee_wad), float(rate_wad), float(now))
    pairs = [
        (found.interest, exact.interest, totals.borrow_assets),
        (found.fee_shares, exact.fee_shares, totals.supply_shares),
        *zip(found.totals, exact.totals, totals, strict=True),
    ]
    return max(relative_error(float(one), other, scale) for one, other, scale in pairs)


def fast_form(
    totals: Totals, position: Position, price: int, lltv_wad: int, seized: int, shares: int
) -> tuple[float, float | None]:
    """Run a liquidation in the fast form: how far off it is, and how near to a branch point if it branched otherwise.

    Parameters
    ----------
    totals
        With interest to now.
    """
    factor = rules.incentive_factor(lltv_wad, rules.OWN)
    exact = rules.liquidate(totals, position, price, lltv_wad, factor, seized, shares)
    of_floats = fast(rules.incentive_factor)(float(lltv_wad), rules.Constants(*map(float, rules.OWN)))
    numbers = float(price), float(lltv_wad), of_floats, float(seized), float(shares)
    found = fast(rules.liquidate)(Totals(*map(float, totals)), Position(*map(float, position)), *numbers)
    if (found.error, found.emptied) != (exact.error, exact.emptied):
        watched = Totals(*map(Watched, totals)), Position(*map(Watched, position))
        # Prices at an edge are made by a division: what collateral is worth falls short of an integer by less than a
        # float can tell, and where it is a few units in all, that unit decides.
        return 0.0, smallest_margin(
            lambda: rules.liquidate(*watched, Watched(price), lltv_wad, factor, Watched(seized), Watched(shares)),
            roundings=True,
        )
    # A rounding by one unit of the loan token is one by as many shares, and as much collateral, as it is worth.
    of_shares = max(1.0, (totals.borrow_shares + VIRTUAL_SHARES) / (totals.borrow_assets + VIRTUAL_ASSETS))
    of_collateral = max(1.0, 1.15 * oracle_price_scale() / price) if price else 1.0
    debt = rules.owed(totals, position.borrow_shares)
    units = Totals(1.0, of_shares, 1.0, of_shares, 1.0)
    pairs = [
        (found.seized, exact.seized, position.collateral, of_collateral),
        (found.repaid_assets, exact.repaid_assets, debt, 1.0),
        (found.repaid_shares, exact.repaid_shares, position.borrow_shares, of_shares),
        (found.bad_debt_assets, exact.bad_debt_assets, debt, 1.0),
        (found.bad_debt_shares, exact.bad_debt_shares, position.borrow_shares, of_shares),
        *zip(found.totals, exact.totals, totals, units, strict=True),
        *zip(found.position, exact.position, position, Position(of_shares, of_collateral), strict=True),
    ]
    return max(
        0.0 if abs(one - other) <= UNIT_TOLERANCE * unit else relative_error(float(one), other, scale)
        for one, other, scale, unit in pairs
    ), None
