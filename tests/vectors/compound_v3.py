"""Replay of recorded calls of a Comet: isLiquidatable, absorb of one account or several, and buyCollateral.

The exact form must give every recorded integer, flag, event and revert reason: the views of the market and of the
accounts before and after, what changed hands, and the state after. Rewards and liquidator points are not recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chain.errors import UnsupportedError
from protocols.compiled import fast
from protocols.lending.compound_v3 import rules
from protocols.lending.compound_v3.rates import accrued, present_value, protocol_reserves
from protocols.lending.compound_v3.state import (
    BASE,
    Configuration,
    Positions,
    Reserves,
    State,
    Totals,
    copied,
    to_fast,
)
from protocols.lending.compound_v3.versions import OK, revert_name, version_of
from tests.vectors.outcome import Document, Outcome, relative_error
from tests.vectors.watched import Watched, smallest_margin

Record = dict[str, Any]

CONFIGURATION = {
    "supplyKink": "supply_kink",
    "supplyPerSecondInterestRateSlopeLow": "supply_slope_low",
    "supplyPerSecondInterestRateSlopeHigh": "supply_slope_high",
    "supplyPerSecondInterestRateBase": "supply_base",
    "borrowKink": "borrow_kink",
    "borrowPerSecondInterestRateSlopeLow": "borrow_slope_low",
    "borrowPerSecondInterestRateSlopeHigh": "borrow_slope_high",
    "borrowPerSecondInterestRateBase": "borrow_base",
    "storeFrontPriceFactor": "store_front_factor",
    "targetReserves": "target_reserves_raw",
}
TOTALS = {
    "baseSupplyIndex": "supply_index",
    "baseBorrowIndex": "borrow_index",
    "totalSupplyBase": "supply_principal",
    "totalBorrowBase": "borrow_principal",
    "lastAccrualTime": "last_accrual",
}
FACTORS = {
    "borrowCollateralFactor": "borrow_factor",
    "liquidateCollateralFactor": "liquidate_factor",
    "liquidationFactor": "liquidation_factor",
}
HOLDINGS = {"price": "price_raw", "totalSupplyAsset": "supplied_raw", "contractBalance": "balance_raw"}
UNMODELLED = {"baseBorrowMin", "decimals"}
"""Parameters that no recorded call asks for; the decimals say what the scale says."""

LABELS = {"id", "kind", "label"}
STATE = {"params", "before"}


class NotUnderstoodError(Exception):
    """A recorded field, label or value that the checker has no meaning for."""


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for number, case in enumerate(document["cases"]):
        name = str(case.get("id", f"case {number} ({case.get('kind')}, {case.get('label')})"))
        try:
            version_of(str(document.get("version")).partition(" ")[0])
            outcome = _KINDS[case["kind"]](name, case)
        except (NotUnderstoodError, UnsupportedError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            outcome = Outcome(name, f"not understood: {type(error).__name__}: {error}")
        yield outcome


@dataclass
class Comet:
    """A market: exact state, or its fast form."""

    configuration: Configuration
    totals: Totals
    reserves: Reserves
    positions: Positions

    def of(self, form: Any) -> Comet:
        """The market with each part of its state in another form."""
        return Comet(*(form(part) for part in (self.configuration, self.totals, self.reserves, self.positions)))

    def absorb(self, rule: Any, account: int, now: Any) -> rules.Absorption:
        """Absorb an account, in the number system of `rule`."""
        done = rule(self.configuration, self.totals, self.reserves, self.positions, account, now)
        self.totals = done.totals
        return rules.Absorption(*done)


# --- from a record ----------------------------------------------------------------------------------------------


def _expect(what: str, found: Any, known: set[str]) -> None:
    if set(found) != known:
        raise NotUnderstoodError(f"{what} has fields {sorted(found)}, not {sorted(known)}")


def _read(params: Record, before: Record, accounts: list[Record]) -> Comet:
    _expect("params", params, {"baseScale", "assets", *CONFIGURATION, *UNMODELLED})
    numbers = {column: int(params[field]) for field, column in CONFIGURATION.items()}
    assets = params["assets"]
    for offset, asset in enumerate(assets):
        _expect("an asset", asset, {"offset", "scale", "supplyCap", *FACTORS})
        if int(asset["offset"]) != offset:
            raise NotUnderstoodError(f"asset {asset['offset']} is listed as number {offset}")
    if int(params["baseScale"]) != 10 ** int(params["decimals"]):
        raise NotUnderstoodError(f"{params['decimals']} decimals, but scale {params['baseScale']}")
    return Comet(
        Configuration(**numbers, absorb_paused=False, buy_paused=False),
        Totals(**{column: int(before[field]) for field, column in TOTALS.items()}),
        Reserves(
            scale=[int(params["baseScale"]), *(int(asset["scale"]) for asset in assets)],
            price_raw=[int(before["basePrice"]), *(int(asset["price"]) for asset in before["assets"])],
            **{column: [0, *(int(asset[field]) for asset in assets)] for field, column in FACTORS.items()},
            supplied_raw=[0, *(int(asset["totalSupplyAsset"]) for asset in before["assets"])],
            balance_raw=[int(before["baseBalance"]), *(int(asset["contractBalance"]) for asset in before["assets"])],
        ),
        Positions(
            principal=[int(account["principal"]) for account in accounts],
            offsets=[len(assets) * number for number in range(len(accounts) + 1)],
            reserve=[r for _ in accounts for r in range(1, len(assets) + 1)],
            balance_raw=[int(balance) for account in accounts for balance in account["collateral"]],
        ),
    )


# --- to a record ------------------------------------------------------------------------------------------------


def _show_market(comet: Comet, now: int) -> Record:
    """The market as a record shows it at a time."""
    reserves = comet.reserves
    rows = range(1, len(reserves.scale))
    return {
        **{field: str(getattr(comet.totals, column)) for field, column in TOTALS.items()},
        "timestamp": str(now),
        "basePrice": str(reserves.price_raw[BASE]),
        "baseBalance": str(reserves.balance_raw[BASE]),
        "getReserves_view": str(protocol_reserves(accrued(comet.configuration, comet.totals, now), reserves)),
        "assets": [
            {
                **{field: str(getattr(reserves, column)[r]) for field, column in HOLDINGS.items()},
                "getCollateralReserves_view": str(reserves.balance_raw[r] - reserves.supplied_raw[r]),
            }
            for r in rows
        ],
    }


def _show_account(comet: Comet, account: int, now: int) -> Record:
    """An account as a record shows it; whether its debt is covered is decided at the stored indices."""
    totals, reserves, positions = comet.totals, comet.reserves, comet.positions
    collateral = positions.balance_raw[positions.offsets[account] : positions.offsets[account + 1]]
    principal, later = positions.principal[account], accrued(comet.configuration, totals, now)

    def covered(factors: list[int]) -> bool:
        return bool(rules.health(totals, reserves, positions, account, factors).liquidity >= 0)

    return {
        "principal": str(principal),
        "assetsIn": str(sum(1 << offset for offset, balance in enumerate(collateral) if balance)),
        "collateral": [str(balance) for balance in collateral],
        "isLiquidatable_view": not covered(reserves.liquidate_factor),
        "isBorrowCollateralized_view": covered(reserves.borrow_factor),
        "borrowBalanceOf_view": str(present_value(max(-principal, 0), later.borrow_index)),
        "balanceOf_view": str(present_value(max(principal, 0), later.supply_index)),
    }


def _differences(where: str, shown: Any, recorded: Any) -> list[str]:
    """Where what is shown is not what was recorded."""
    if isinstance(shown, dict) and isinstance(recorded, dict) and shown.keys() == recorded.keys():
        return [one for key in shown for one in _differences(f"{where}.{key}", shown[key], recorded[key])]
    if isinstance(shown, list) and isinstance(recorded, list) and len(shown) == len(recorded):
        pairs = zip(shown, recorded, strict=True)
        return [one for i, pair in enumerate(pairs) for one in _differences(f"{where}[{i}]", *pair)]
    return [] if shown == recorded else [f"{where} is {shown}, recorded {recorded}"]


# --- the cases ----------------------------------------------------------------------------------------------------


def _check_health(name: str, case: Record) -> Outcome:
    _expect("case", set(case) | LABELS, LABELS | STATE | {"account"})
    comet = _read(case["params"], case["before"], [case["account"]])
    now = int(case["before"]["timestamp"])
    wrong = _differences("before", _show_market(comet, now), case["before"])
    wrong += _differences("account", _show_account(comet, 0, now), case["account"])
    if wrong:
        return Outcome(name, wrong[0])
    return Outcome(name, "", *_fast_health(comet))


def _check_absorb(name: str, case: Record) -> Outcome:
    outcome = {"result"} if case["success"] else {"revert"}
    _expect(
        "case", set(case) | LABELS, LABELS | STATE | {"accounts_before", "account_ids", "call", "success", *outcome}
    )
    _expect("call", case["call"], {"dt", "timestamp"})
    before, ids = case["before"], [int(i) for i in case["account_ids"]]
    by_id = dict(zip(ids, case["accounts_before"], strict=True))
    comet = _read(case["params"], before, [by_id[i] for i in range(len(by_id))])
    was, now = comet.of(copied), int(case["call"]["timestamp"])
    wrong = _differences("before", *_both(comet, before, case))
    seen = [_show_account(comet, i, int(before["timestamp"])) for i in ids]
    wrong += _differences("accounts_before", seen, case["accounts_before"])

    events: list[Record] = []
    done: list[rules.Absorption] = []
    for account in ids:
        collateral = copied(comet.positions)
        done.append(comet.absorb(rules.absorb, account, now))
        if done[-1].error:
            break
        events += _events(comet, collateral, account, done[-1])
    reason = revert_name(done[-1].error)
    if case["success"]:
        result = case["result"]
        _expect("result", result, {"events", "after", "accounts_after"})
        wrong += [f"reverts with {reason}, recorded no revert"] if reason else []
        wrong += _differences("events", events, result["events"])
        wrong += _differences("after", _show_market(comet, now), result["after"])
        wrong += _differences("accounts_after", [_show_account(comet, i, now) for i in ids], result["accounts_after"])
    else:
        wrong += _differences("revert", reason, case["revert"])
    if wrong:
        return Outcome(name, wrong[0])
    return Outcome(name, "", *_fast_absorb(was, comet, ids, now, done))


def _events(comet: Comet, before: Positions, account: int, done: rules.Absorption) -> list[Record]:
    """What absorbing an account emits, given the positions before it and the market after it."""
    reserves, who = comet.reserves, str(account)
    seized = [
        (before.reserve[entry], before.balance_raw[entry])
        for entry in range(before.offsets[account], before.offsets[account + 1])
        if before.balance_raw[entry]
    ]

    def value(r: int, amount: int) -> str:
        return str(rules.mul_price(amount, reserves.price_raw[r], reserves.scale[r]))

    events = [
        {
            "event": "AbsorbCollateral",
            "account": who,
            "asset": str(r - 1),
            "collateralAbsorbed": str(amount),
            "usdValue": value(r, amount),
        }
        for r, amount in seized
    ]
    paid = {"basePaidOut": str(done.paid), "usdValue": value(BASE, done.paid)}
    events.append({"event": "AbsorbDebt", "account": who, **paid})
    principal = comet.positions.principal[account]
    if principal:
        minted = present_value(principal, comet.totals.supply_index)
        events.append({"event": "Transfer(mint)", "account": who, "amount": str(minted)})
    return events


def _check_purchase(name: str, case: Record) -> Outcome:
    outcome = {"result"} if case["success"] else {"revert"}
    _expect("case", set(case) | LABELS, LABELS | STATE | {"call", "quoteCollateral_view", "success", *outcome})
    call = case["call"]
    _expect("call", call, {"asset", "minAmount", "baseAmount", "dt", "timestamp"})
    comet = _read(case["params"], case["before"], [])
    was, now = comet.of(copied), int(call["timestamp"])
    r, least, amount = int(call["asset"]) + 1, int(call["minAmount"]), int(call["baseAmount"])
    wrong = _differences("before", *_both(comet, case["before"], case))
    quoted = rules.quote_collateral(comet.configuration, comet.reserves, r, amount)
    wrong += _differences("quoteCollateral_view", str(quoted.received), case["quoteCollateral_view"])
    wrong += _cost_differences(comet, r, amount, quoted.received)

    bought = rules.buy_collateral(comet.configuration, comet.totals, comet.reserves, r, least, amount, now)
    reason = revert_name(bought.error)
    if case["success"]:
        received = str(bought.received)
        shown = {"baseAmount": str(amount), "collateralAmount": received, "recipientBalance": received}
        wrong += [f"reverts with {reason}, recorded no revert"] if reason else []
        wrong += _differences("result", {**shown, "after": _show_market(comet, now)}, case["result"])
    else:
        wrong += _differences("revert", reason, case["revert"])
    if wrong:
        return Outcome(name, wrong[0])
    return Outcome(name, "", *_fast_purchase(was, comet, (r, least, amount), now, bought))


def _cost_differences(comet: Comet, r: int, amount: int, received: int) -> list[str]:
    """Whether the cost of what was quoted is the least that buys it."""
    cost = rules.cost_of_collateral(comet.configuration, comet.reserves, r, received)
    quotes = [rules.quote_collateral(comet.configuration, comet.reserves, r, one).received for one in (cost, cost - 1)]
    least = quotes[0] == received and (not cost or quotes[1] < received) and cost <= amount
    return [] if least else [f"the cost of {received} is {cost}, which buys {quotes[0]}; {amount} was paid"]


def _both(comet: Comet, before: Record, case: Record) -> tuple[Record, Record]:
    """The market shown and recorded at the time when it was recorded."""
    then, call = int(before["timestamp"]), case["call"]
    if then + int(call["dt"]) != int(call["timestamp"]):
        raise NotUnderstoodError(f"the call is at {call['timestamp']}, not {call['dt']} s after {then}")
    return _show_market(comet, then), before


_KINDS = {"isLiquidatable": _check_health, "absorb": _check_absorb, "buyCollateral": _check_purchase}


# --- the fast form ------------------------------------------------------------------------------------------------
#
# An amount's error counts as a share of the amount or of the balance it is taken from: the account's debt for what is
# left of it, the market's supply for its reserves.


def _watch(state: State) -> State:
    """The state in watched integers; what is only looked up by, such as a row, stays as it is."""
    unwatched = {"offsets", "reserve", "absorb_paused", "buy_paused"}

    def column(name: str, value: Any) -> Any:
        if name in unwatched:
            return value
        return [Watched(number) for number in value] if isinstance(value, list) else Watched(value)

    return type(state)(*(column(name, value) for name, value in zip(state._fields, state, strict=True)))


def _fast_health(comet: Comet) -> tuple[float, float | None]:
    quick, exact = comet.of(to_fast), comet.of(copied)
    worst = 0.0
    for factors in ("liquidate_factor", "borrow_factor"):
        found = fast(rules.health)(quick.totals, quick.reserves, quick.positions, 0, getattr(quick.reserves, factors))
        right = rules.health(exact.totals, exact.reserves, exact.positions, 0, getattr(exact.reserves, factors))
        if (found.error, found.liquidity < 0) != (right.error, right.liquidity < 0):
            watched = comet.of(_watch)
            arguments = (watched.totals, watched.reserves, watched.positions, 0, getattr(watched.reserves, factors))
            return 0.0, smallest_margin(lambda given=arguments: rules.health(*given).liquidity < 0)
        empty = exact.positions._replace(balance_raw=[0] * len(exact.positions.balance_raw))
        debt = rules.health(exact.totals, exact.reserves, empty, 0, exact.reserves.liquidate_factor).liquidity
        worst = max(worst, relative_error(found.liquidity, right.liquidity, debt))
    return worst, None


def _fast_absorb(
    was: Comet, after: Comet, ids: list[int], now: int, done: list[rules.Absorption]
) -> tuple[float, float | None]:
    quick = was.of(to_fast)
    worst = 0.0
    for account, right in zip(ids, done, strict=False):
        found = quick.absorb(fast(rules.absorb), account, float(now))
        if found.error != right.error or (found.surplus > 0) != (right.surplus > 0):
            return 0.0, smallest_margin(lambda: _absorb_all(was.of(_watch), ids, now))
        pairs = zip(found[1:5], right[1:5], strict=True)
        worst = max(worst, *(relative_error(one, other, right.debt) for one, other in pairs))
    owed = max((abs(principal) for principal in was.positions.principal), default=0)
    worst = max(worst, *map(relative_error, quick.totals, after.totals, was.totals))
    for principal, right_principal in zip(quick.positions.principal, after.positions.principal, strict=True):
        worst = max(worst, relative_error(principal, right_principal, owed))
    return max(worst, _holdings_error(quick, was, after)), None


def _absorb_all(comet: Comet, ids: list[int], now: int) -> None:
    for account in ids:
        if comet.absorb(rules.absorb, account, Watched(now)).error != OK:
            return


def _fast_purchase(
    was: Comet, after: Comet, call: tuple[int, int, int], now: int, bought: rules.Purchase
) -> tuple[float, float | None]:
    r, least, amount = call
    quick = was.of(to_fast)
    state = (quick.configuration, quick.totals, quick.reserves)
    found = fast(rules.buy_collateral)(*state, r, float(least), float(amount), float(now))
    if found.error != bought.error:
        watched = was.of(_watch)
        given = (watched.configuration, watched.totals, watched.reserves, r, Watched(least), Watched(amount))
        return 0.0, smallest_margin(lambda: rules.buy_collateral(*given, Watched(now)))
    worst = relative_error(found.received, bought.received)
    later = accrued(after.configuration, after.totals, now)
    own = protocol_reserves(later, after.reserves)
    quick_own = fast(protocol_reserves)(fast(accrued)(*state[:2], float(now)), quick.reserves)
    supplied = present_value(later.supply_principal, later.supply_index)
    return max(worst, relative_error(quick_own, own, supplied), _holdings_error(quick, was, after)), None


def _holdings_error(quick: Comet, was: Comet, after: Comet) -> float:
    """The worst error of what accounts and contract hold, against what they held before."""
    worst = 0.0
    for column in ("supplied_raw", "balance_raw"):
        rows = (getattr(comet.reserves, column) for comet in (quick, after, was))
        worst = max(worst, *map(relative_error, *rows))
    return worst
