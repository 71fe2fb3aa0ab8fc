"""Replay of recorded Spoke.liquidationCall calls, and of LiquidationLogic's functions called by themselves.

The exact form must give every recorded integer, flag and revert: the account's data and balances, all of the hub's
state after, the amounts of the events, the deficits, the errors with their arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from chain.errors import UnsupportedError
from protocols.compiled import fast
from protocols.lending.aave_v4.amounts import (
    Position,
    debt_to_liquidate,
    debt_to_target,
    liquidation_amounts,
    liquidation_bonus,
)
from protocols.lending.aave_v4.hub import drawn_index, premium_ray
from protocols.lending.aave_v4.rules import Call, Quote, rebase
from protocols.lending.aave_v4.state import Liquidation, Positions, copied
from protocols.lending.aave_v4.versions import INSUFFICIENT_LIQUIDITY, MUST_NOT_LEAVE_DUST, OK, revert_name, version_of
from tests.vectors.aave_v4_spoke import (
    USER,
    NotUnderstoodError,
    Record,
    Spoke,
    differences,
    expect,
    fast_form,
    read_spoke,
    state_differences,
)
from tests.vectors.outcome import Document, Outcome, relative_error
from tests.vectors.watched import Watched, smallest_margin

LABELS = {"id", "seed", "intent", "branches", "split"}


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for case in document["cases"]:
        try:
            version_of(str(document.get("version")).partition(" ")[0])
            name = str(case.get("function"))
            outcome = _check_call(case) if name == "liquidationCall" else _check_library(name, case)
        except (NotUnderstoodError, UnsupportedError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            outcome = Outcome(str(case.get("id")), f"not understood: {type(error).__name__}: {error}")
        yield outcome


# --- whole liquidations -------------------------------------------------------------------------------------------


def _check_call(case: Record) -> Outcome:
    known = {"function", "timestamp", "liquidationConfig", "reserves", "hubAssets", "user", "liquidatorSuppliedShares"}
    expect("case", set(case) - LABELS, known | {"call", "result"})
    expect("user", case["user"], {"address", "lastRiskPremium", "accountData", "positions"})
    now, recorded = int(case["timestamp"]), case["result"]
    spoke = read_spoke(case)
    call = _read_call(case)
    wrong = state_differences("before", spoke, case["user"] | {"hubAssets": case["hubAssets"]}, case, now)
    after = spoke.copy()
    quote = after.liquidate(call, now)
    if recorded["success"] is False:
        wrong += _revert_differences(recorded, spoke, call, quote)
    elif recorded["success"] is not True or quote.error != OK:
        wrong.append(f"reverts with {revert_name(quote.error)!r}, recorded no revert")
    else:
        wrong += _result_differences(recorded, spoke, call, quote, now)
        found = recorded["after"]
        expect("after", found, {"accountData", "lastRiskPremium", "userPositions", "hubAssets"})
        wrong += state_differences("after", after, found | {"positions": found["userPositions"]}, case, now)
    if wrong:
        return Outcome(case["id"], wrong[0])
    return Outcome(case["id"], "", *fast_form(spoke, call, now, quote, after))


def _read_call(case: Record) -> Call:
    call, size = case["call"], len(case["reserves"])
    known = {"collateralReserveId", "debtReserveId", "user", "liquidator", "debtToCover", "receiveShares"}
    expect("call", call, known)
    if call["user"] != case["user"]["address"]:
        raise NotUnderstoodError(f"the call is for {call['user']}, recorded is {case['user']['address']}")
    listed = [int(call[name]) if int(call[name]) < size else -1 for name in ("collateralReserveId", "debtReserveId")]
    return Call(
        account=USER,
        collateral=listed[0],
        debt=listed[1],
        debt_to_cover=int(call["debtToCover"]),
        receive_shares=call["receiveShares"],
        self_liquidation=call["liquidator"] == call["user"],
    )


def _revert_differences(recorded: Record, spoke: Spoke, call: Call, quote: Quote) -> list[str]:
    expect("result", recorded, {"success", "revert"})
    expect("revert", recorded["revert"], {"error", "args", "data"})
    signature, arguments = revert_name(quote.error), []
    if quote.error == INSUFFICIENT_LIQUIDITY:
        arguments = [spoke.assets.liquidity_raw[spoke.reserves.asset[call.collateral]]]
    name = signature.partition("(")[0]
    data = "0x" + _selector(signature) + "".join(f"{argument:064x}" for argument in arguments)
    shown = {"error": name, "args": [str(argument) for argument in arguments], "data": data}
    return [] if recorded["revert"] == shown else [f"reverts with {shown}, recorded {recorded['revert']}"]


def _selector(signature: str) -> str:
    from eth_utils.crypto import keccak

    return keccak(text=signature)[:4].hex() if signature else ""


def _result_differences(recorded: Record, was: Spoke, call: Call, quote: Quote, now: int) -> list[str]:
    amounts, premium, deficits = quote.amounts, *_premium_changes(was, call, quote, now)
    fee = amounts.collateral_shares - amounts.liquidator_shares
    flat = {
        "collateralAmountToLiquidator": quote.received,
        "liquidatorSuppliedSharesDelta": amounts.liquidator_shares if call.receive_shares else 0,
        "feeShares": fee,
        "liquidationBonus": amounts.bonus_bps,
        "isDeficit": quote.deficit,
        "success": True,
    }
    event = {
        "debtAmountRestored": quote.repaid,
        "drawnSharesLiquidated": amounts.drawn_shares,
        "collateralAmountRemoved": quote.removed,
        "collateralSharesLiquidated": amounts.collateral_shares,
        "collateralSharesToLiquidator": amounts.liquidator_shares,
    }
    apart = {"liquidationCall", "reportedDeficits", "after"}
    wrong = differences("result", {name: value for name, value in recorded.items() if name not in apart}, flat)
    said = dict(recorded["liquidationCall"])
    wrong += differences("premiumDelta", said.pop("premiumDelta"), premium)
    wrong += differences("liquidationCall", said, event)
    if len(recorded["reportedDeficits"]) != len(deficits):
        return [*wrong, f"{len(deficits)} deficits, recorded {len(recorded['reportedDeficits'])}"]
    for said, shown in zip(recorded["reportedDeficits"], deficits, strict=True):
        told = dict(said)
        wrong += differences("deficit.premiumDelta", told.pop("premiumDelta"), shown.pop("premiumDelta"))
        wrong += differences("deficit", told, shown)
    return wrong


def _premium_changes(was: Spoke, call: Call, quote: Quote, now: int) -> tuple[Record, list[Record]]:
    """How premium is re-based by the payment, and by each deficit in the order of the events."""
    positions = copied(was.positions)
    rate = positions.risk_premium_bps[USER]
    positions.drawn_shares[call.debt] -= quote.amounts.drawn_shares
    paid = _rebased(was, positions, call.debt, rate, quote.amounts.premium_ray, now)
    deficits = []
    for entry in reversed(range(len(positions.reserve))):
        drawn = positions.drawn_shares[entry]
        if quote.deficit and drawn:
            a = was.reserves.asset[positions.reserve[entry]]
            index = drawn_index(was.assets, a, now)
            premium = premium_ray(positions.premium_shares[entry], positions.premium_offset_ray[entry], index)
            positions.drawn_shares[entry] = 0
            delta = _rebased(was, positions, entry, 0, premium, now)
            owed = drawn * index + premium
            deficits.append({"assetId": a, "drawnShares": drawn, "deficitAmountRay": owed, "premiumDelta": delta})
    return paid, deficits


def _rebased(was: Spoke, positions: Positions, entry: int, rate: int, restored: int, now: int) -> Record:
    index = drawn_index(was.assets, was.reserves.asset[positions.reserve[entry]], now)
    shares, offset = rebase(positions, entry, index, rate, restored)
    return {"sharesDelta": shares, "offsetRayDelta": offset, "restoredPremiumRay": restored}


# --- library functions --------------------------------------------------------------------------------------------

_TERMS = {
    "targetHealthFactor": "target_health_wad",
    "healthFactorForMaxBonus": "max_bonus_health_wad",
    "liquidationBonusFactor": "bonus_factor_bps",
}
_POSITION = {
    "suppliedShares": "supplied_shares",
    "collateralAssetPrice": "collateral_price",
    "hubTotalAddedAssets": "total_added",
    "hubAddedShares": "added_shares",
    "drawnShares": "drawn_shares",
    "premiumDebtRay": "premium_ray",
    "drawnIndex": "index",
    "debtAssetUnit": "debt_unit",
    "debtAssetPrice": "debt_price",
    "totalDebtValueRay": "debt_value_ray",
    "healthFactor": "health_wad",
    "collateralFactor": "factor_bps",
    "maxLiquidationBonus": "max_bonus_bps",
    "liquidationFee": "fee_bps",
}
_ARGUMENTS = {
    "lib.calculateLiquidationBonus": [
        *("healthFactorForMaxBonus", "liquidationBonusFactor", "healthFactor", "maxLiquidationBonus")
    ],
    "lib.calculateDebtToTargetHealthFactor": [
        *("totalDebtValueRay", "debtAssetUnit", "debtAssetPrice", "collateralFactor", "liquidationBonus"),
        *("healthFactor", "targetHealthFactor"),
    ],
    "lib.calculateDebtToLiquidate": [
        *("drawnShares", "premiumDebtRay", "drawnIndex", "totalDebtValueRay", "debtAssetDecimals", "debtAssetUnit"),
        *("debtAssetPrice", "debtToCover", "collateralFactor", "liquidationBonus", "healthFactor"),
        "targetHealthFactor",
    ],
    "lib.calculateLiquidationAmounts": [
        *("suppliedShares", "collateralAssetDecimals", "collateralAssetPrice", "drawnShares", "premiumDebtRay"),
        *("drawnIndex", "totalDebtValueRay", "debtAssetDecimals", "debtAssetPrice", "debtToCover", "collateralFactor"),
        *("healthFactorForMaxBonus", "liquidationBonusFactor", "maxLiquidationBonus", "targetHealthFactor"),
        *("healthFactor", "liquidationFee", "hubTotalAddedAssets", "hubAddedShares"),
    ],
}

Asked = tuple[Callable[..., Any], tuple[Any, ...]]


def _check_library(name: str, case: Record) -> Outcome:
    """One function of LiquidationLogic, asked by itself."""
    expect("case", set(case) - LABELS, {"function", "input", "result"})
    if name not in _ARGUMENTS:
        raise NotUnderstoodError(f"function {name!r}")
    given = case["input"]
    expect("input", given, set(_ARGUMENTS[name]))
    numbers = {field: int(value) for field, value in given.items()}
    shown, scales = _shown(name, *_ask(name, numbers, int)), _scales(numbers)
    recorded = case["result"]
    if recorded["success"]:
        expect("result", recorded, {"success", "output"})
        wrong = differences("output", recorded["output"], shown) if "error" not in shown else [f"reverts: {shown}"]
    else:
        expect("result", recorded, {"success", "revert"})
        wrong = [] if recorded["revert"] == shown else [f"gives {shown}, recorded {recorded['revert']}"]
    if wrong:
        return Outcome(case["id"], wrong[0])
    function, arguments = _ask(name, numbers, float)
    found = _shown(name, fast(function), arguments)
    whole = [field for field in ("collateralSharesToLiquidate", "drawnSharesToLiquidate") if field in shown]
    emptied = (
        (float(values[field]) == float(scales[field]) for field in whole)
        for values in (shown, found)
        if "error" not in values
    )
    bonus = name == "lib.calculateLiquidationBonus" and shown != found
    if bonus or found.get("error") != shown.get("error") or len(set(map(tuple, emptied))) > 1:
        watched, arguments = _ask(name, numbers, Watched)
        return Outcome(case["id"], branch_margin=smallest_margin(lambda: watched(*arguments), roundings=bonus))
    errors = [relative_error(found[field], shown[field], scales.get(field, 0)) for field in shown if field != "error"]
    return Outcome(case["id"], fast_error=max(errors, default=0.0))


def _ask(name: str, given: dict[str, int], kind: Callable[[int], Any]) -> Asked:
    """The rule for a library function, and its arguments as numbers of a kind."""
    terms = Liquidation(*(kind(given.get(field, 10**18)) for field in _TERMS))
    columns = {column: kind(given.get(field, 1)) for field, column in _POSITION.items()}
    for side in ("collateral", "debt"):
        columns[f"{side}_unit"] = kind(10 ** given.get(f"{side}AssetDecimals", 0))
    if "debtAssetUnit" in given:
        columns["debt_unit"] = kind(given["debtAssetUnit"])
    position, bonus, cover = (
        Position(**columns),
        kind(given.get("liquidationBonus", 1)),
        kind(given.get("debtToCover", 0)),
    )
    asked: dict[str, Asked] = {
        "lib.calculateLiquidationBonus": (
            liquidation_bonus,
            (terms, position.health_wad, position.max_bonus_bps),
        ),
        "lib.calculateDebtToTargetHealthFactor": (debt_to_target, (terms, position, bonus)),
        "lib.calculateDebtToLiquidate": (debt_to_liquidate, (terms, position, bonus, cover)),
        "lib.calculateLiquidationAmounts": (liquidation_amounts, (terms, position, cover)),
    }
    return asked[name]


def _shown(name: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Record:
    """A function's answer as a record shows it."""
    answer = function(*arguments)
    if name == "lib.calculateLiquidationBonus":
        return {"liquidationBonus": answer}
    if name == "lib.calculateDebtToTargetHealthFactor":
        return {"debtRayToTarget": answer}
    if name == "lib.calculateDebtToLiquidate":
        return {"drawnSharesToLiquidate": answer[0], "premiumDebtRayToLiquidate": answer[1]}
    if answer.error == MUST_NOT_LEAVE_DUST:
        return {"error": revert_name(answer.error).partition("(")[0]}
    return {
        "collateralSharesToLiquidate": answer.collateral_shares,
        "collateralSharesToLiquidator": answer.liquidator_shares,
        "drawnSharesToLiquidate": answer.drawn_shares,
        "premiumDebtRayToLiquidate": answer.premium_ray,
    }


def _scales(given: dict[str, int]) -> dict[str, int]:
    """What each amount is taken from."""
    supplied, drawn = given.get("suppliedShares", 0), given.get("drawnShares", 0)
    return {
        "collateralSharesToLiquidate": supplied,
        "collateralSharesToLiquidator": supplied,
        "drawnSharesToLiquidate": drawn,
        "premiumDebtRayToLiquidate": drawn * given.get("drawnIndex", 0) + given.get("premiumDebtRay", 0),
    }
