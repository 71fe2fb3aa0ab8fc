"""Between what an Aave v4 vector file records and the arrays that the rules take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocols.arithmetic import div_up, ray, ray_mul_up
from protocols.compiled import fast
from protocols.lending.aave_v4.account import AccountData, account_data
from protocols.lending.aave_v4.hub import drawn_index, premium_ray, to_assets_down, total_added, unrealized_fees
from protocols.lending.aave_v4.rules import Call, Quote, entry_of, liquidate
from protocols.lending.aave_v4.state import Assets, Configs, Liquidation, Positions, Reserves, State, copied, to_fast
from tests.vectors.outcome import relative_error
from tests.vectors.watched import Watched, smallest_margin

Record = dict[str, Any]

USER = 0
BPS_IN_RAY = 10**23

STORED = {
    "liquidity": "liquidity_raw",
    "realizedFees": "realized_fees_raw",
    "addedShares": "added_shares",
    "swept": "swept_raw",
    "premiumOffsetRay": "premium_offset_ray",
    "drawnShares": "drawn_shares",
    "premiumShares": "premium_shares",
    "liquidityFee": "liquidity_fee_bps",
    "drawnIndex": "drawn_index_ray",
    "drawnRate": "drawn_rate_ray",
    "lastUpdateTimestamp": "last_update",
    "deficitRay": "deficit_ray",
}
"""A recorded field of a hub's asset, and its column."""

RATES = {
    "optimalUsageRatio": "optimal_usage_ray",
    "baseDrawnRate": "base_rate_ray",
    "rateGrowthBeforeOptimal": "slope1_ray",
    "rateGrowthAfterOptimal": "slope2_ray",
}

SPOKE = {
    "drawnShares": "drawn_shares",
    "premiumShares": "premium_shares",
    "premiumOffsetRay": "premium_offset_ray",
    "addedShares": "added_shares",
    "riskPremiumThreshold": "premium_threshold_bps",
    "active": "active",
    "halted": "halted",
    "deficitRay": "deficit_ray",
}

RESERVE = {
    "price": "price_raw",
    "collateralRisk": "collateral_risk_bps",
    "paused": "paused",
    "frozen": "frozen",
    "receiveSharesEnabled": "receive_shares",
}

CONFIG = {
    "collateralFactor": "collateral_factor_bps",
    "maxLiquidationBonus": "max_bonus_bps",
    "liquidationFee": "fee_bps",
}

LIQUIDATION = {
    "targetHealthFactor": "target_health_wad",
    "healthFactorForMaxBonus": "max_bonus_health_wad",
    "liquidationBonusFactor": "bonus_factor_bps",
}

POSITION = {
    "drawnShares": "drawn_shares",
    "premiumShares": "premium_shares",
    "premiumOffsetRay": "premium_offset_ray",
    "suppliedShares": "supplied_shares",
    "isUsingAsCollateral": "collateral",
    "isBorrowing": "borrowing",
}


class NotUnderstoodError(Exception):
    """A recorded field, label or value that the checker has no meaning for."""


def expect(what: str, found: Any, known: set[str]) -> None:
    """Refuse a record whose fields are not those known."""
    if set(found) != known:
        raise NotUnderstoodError(f"{what} has fields {sorted(set(found) ^ known)} too many or too few")


def number(value: Any) -> int | bool:
    """A recorded integer or flag."""
    return value if isinstance(value, bool) else int(value)


@dataclass
class Spoke:
    """A spoke and the hub behind it, with one account: exact state."""

    assets: Assets
    reserves: Reserves
    configs: Configs
    terms: Liquidation
    positions: Positions

    def copy(self) -> Spoke:
        """The same, to be changed without changing this one."""
        return Spoke(copied(self.assets), copied(self.reserves), self.configs, self.terms, copied(self.positions))

    def account(self, account: int, now: int) -> AccountData:
        """The account's data at `now`."""
        return account_data(self.assets, self.reserves, self.configs, self.positions, account, now)

    def liquidate(self, call: Call, now: int) -> Quote:
        """Liquidate; the state is not to be used any more if that is refused."""
        return liquidate(self.assets, self.reserves, self.configs, self.terms, self.positions, call, now)


# --- from a record ----------------------------------------------------------------------------------------------


def read_spoke(case: Record) -> Spoke:
    """Spoke and hub as a case records them before the call; reserve ids are asset ids, and rows."""
    expect("liquidationConfig", case["liquidationConfig"], set(LIQUIDATION))
    configs, first_config = _read_configs(case["reserves"])
    return Spoke(
        read_assets(case["hubAssets"]),
        _read_reserves(case["reserves"], case["hubAssets"], first_config),
        configs,
        Liquidation(**{column: int(case["liquidationConfig"][field]) for field, column in LIQUIDATION.items()}),
        read_positions(case["user"]["positions"], int(case["user"]["lastRiskPremium"]), first_config),
    )


def read_assets(records: list[Record]) -> Assets:
    """The hub's assets."""
    for i, asset in enumerate(records):
        known = {"assetId", "decimals", "stored", "interestRateData", "atTimestamp", "spoke", "feeReceiverAddedShares"}
        expect(f"asset {i}", asset, known)
        expect(f"stored state of asset {i}", asset["stored"], set(STORED))
        expect(f"rate data of asset {i}", asset["interestRateData"], set(RATES))
        expect(f"spoke of asset {i}", asset["spoke"], set(SPOKE))
        if int(asset["assetId"]) != i:
            raise NotUnderstoodError(f"asset {asset['assetId']} is in place {i}")
    columns = {column: [int(asset["stored"][field]) for asset in records] for field, column in STORED.items()}
    columns |= {
        column: [int(asset["interestRateData"][field]) * BPS_IN_RAY for asset in records]
        for field, column in RATES.items()
    }
    return Assets(**columns, fee_receiver_shares=[int(asset["feeReceiverAddedShares"]) for asset in records])


def _read_configs(reserves: list[Record]) -> tuple[Configs, list[int]]:
    """All reserves' configurations one after the other, and where each reserve's begin."""
    first: list[int] = []
    rows: list[Record] = []
    for reserve in reserves:
        first.append(len(rows))
        for config in reserve["dynamicConfigs"]:
            expect("dynamic configuration", config, set(CONFIG))
            rows.append(config)
    return Configs(**{column: [int(row[field]) for row in rows] for field, column in CONFIG.items()}), first


def _read_reserves(reserves: list[Record], assets: list[Record], first_config: list[int]) -> Reserves:
    for i, reserve in enumerate(reserves):
        known = {"reserveId", "assetId", "symbol", "decimals", "latestDynamicConfigKey", "dynamicConfigs", "borrowable"}
        expect(f"reserve {i}", reserve, known | set(RESERVE))
        if not int(reserve["reserveId"]) == int(reserve["assetId"]) == i:
            raise NotUnderstoodError(f"reserve {reserve['reserveId']} of asset {reserve['assetId']} is in place {i}")
    columns = {column: [number(reserve[field]) for reserve in reserves] for field, column in RESERVE.items()}
    columns |= {column: [number(asset["spoke"][field]) for asset in assets] for field, column in SPOKE.items()}
    return Reserves(
        asset=list(range(len(reserves))),
        unit=[10 ** int(reserve["decimals"]) for reserve in reserves],
        latest_config=[
            first + int(reserve["latestDynamicConfigKey"])
            for reserve, first in zip(reserves, first_config, strict=True)
        ],
        **columns,
    )


def read_positions(records: list[Record], risk_premium: int, first_config: list[int]) -> Positions:
    """The one account's balances in every reserve."""
    columns = {column: [number(record[field]) for record in records] for field, column in POSITION.items()}
    return Positions(
        offsets=[0, len(records)],
        reserve=[int(record["reserveId"]) for record in records],
        config=[first_config[int(record["reserveId"])] + int(record["dynamicConfigKey"]) for record in records],
        risk_premium_bps=[risk_premium],
        **columns,
    )


# --- to a record ------------------------------------------------------------------------------------------------


def show_asset(spoke: Spoke, a: int, now: int) -> Record:
    """An asset as a record shows it."""
    assets = spoke.assets
    index = drawn_index(assets, a, now)
    return {
        "stored": {field: getattr(assets, column)[a] for field, column in STORED.items()},
        "atTimestamp": {
            "drawnIndex": index,
            "totalAddedAssets": total_added(assets, a, now),
            "accruedFees": assets.realized_fees_raw[a] + unrealized_fees(assets, a, index),
        },
        "spoke": {field: getattr(spoke.reserves, column)[a] for field, column in SPOKE.items()},
        "feeReceiverAddedShares": assets.fee_receiver_shares[a],
    }


def show_position(spoke: Spoke, entry: int, now: int) -> Record:
    """A balance as a record shows it, but for its configuration."""
    positions, assets = spoke.positions, spoke.assets
    a = spoke.reserves.asset[positions.reserve[entry]]
    index = drawn_index(assets, a, now)
    premium = premium_ray(positions.premium_shares[entry], positions.premium_offset_ray[entry], index)
    supplied = positions.supplied_shares[entry]
    return {field: getattr(positions, column)[entry] for field, column in POSITION.items()} | {
        "reserveId": positions.reserve[entry],
        "suppliedAssets": to_assets_down(supplied, total_added(assets, a, now), assets.added_shares[a]),
        "drawnDebt": ray_mul_up(positions.drawn_shares[entry], index),
        "premiumDebt": div_up(premium, ray()),
        "premiumDebtRay": premium,
    }


def show_account(data: AccountData) -> Record:
    """Account data as a record shows it."""
    return {
        "riskPremium": data.risk_premium_bps,
        "avgCollateralFactor": data.average_factor_wad,
        "healthFactor": data.health_wad,
        "totalCollateralValue": data.collateral_value,
        "totalDebtValueRay": data.debt_value_ray,
        "activeCollateralCount": data.collaterals,
        "borrowCount": data.borrows,
    }


def differences(where: str, recorded: Record, shown: Record) -> list[str]:
    """What of a record is shown otherwise; a field that only one of them has is not understood."""
    expect(where, recorded, set(shown))
    return [
        f"{where}.{field} is {shown[field]}, recorded {value}"
        for field, value in recorded.items()
        if number(value) != shown[field]
    ]


def state_differences(where: str, spoke: Spoke, recorded: Record, before: Record, now: int) -> list[str]:
    """How recorded account and hub differ from the state; what a liquidation cannot change is that of `before`.

    `recorded` has ``accountData``, ``lastRiskPremium``, ``positions`` and ``hubAssets``.
    """
    wrong = differences(f"{where}.accountData", recorded["accountData"], show_account(spoke.account(USER, now)))
    premium = spoke.positions.risk_premium_bps[USER]
    if int(recorded["lastRiskPremium"]) != premium:
        wrong.append(f"{where}.lastRiskPremium is {premium}, recorded {recorded['lastRiskPremium']}")
    positions = zip(recorded["positions"], before["user"]["positions"], strict=True)
    for entry, (position, was) in enumerate(positions):
        shown = show_position(spoke, entry, now) | {"dynamicConfigKey": int(was["dynamicConfigKey"])}
        wrong += differences(f"{where}.positions[{entry}]", position, shown)
    for a, (asset, was) in enumerate(zip(recorded["hubAssets"], before["hubAssets"], strict=True)):
        at, shown = f"{where}.hubAssets[{a}]", show_asset(spoke, a, now)
        parts = {"stored", "atTimestamp", "spoke"}
        for part in parts:
            wrong += differences(f"{at}.{part}", asset[part], shown[part])
        flat = {field: value for field, value in asset.items() if field not in (*parts, "interestRateData")}
        kept = {field: int(was[field]) for field in ("assetId", "decimals") if field in flat}
        wrong += differences(at, flat, kept | {"feeReceiverAddedShares": shown["feeReceiverAddedShares"]})
        if asset.get("interestRateData", was["interestRateData"]) != was["interestRateData"]:
            wrong.append(f"{at}.interestRateData is changed")
    return wrong


# --- the fast form ----------------------------------------------------------------------------------------------


def fast_form(before: Spoke, call: Call, now: int, exact: Quote, after: Spoke) -> tuple[float, float | None]:
    """Run a liquidation in the fast form: how far off it is, and how near to a branch point if it branched otherwise.

    An amount's error counts as a share of the amount or of the balance it is taken from: the account's for what it
    pays and loses, the asset's for what the hub holds, and debt for the premium and the interest on it.
    """
    assets, reserves = to_fast(before.assets), to_fast(before.reserves)
    configs, positions = to_fast(before.configs), to_fast(before.positions)
    terms = Liquidation(*(float(value) for value in before.terms))
    in_floats = call._replace(debt_to_cover=float(call.debt_to_cover))
    quote = fast(liquidate)(assets, reserves, configs, terms, positions, in_floats, float(now))
    if quote.error == exact.error != 0:
        return 0.0, None

    rounded = list(positions.risk_premium_bps) != after.positions.risk_premium_bps or (
        quote.amounts.bonus_bps != exact.amounts.bonus_bps and quote.error == exact.error
    )
    supply, debt = (entry_of(before.positions, call.account, r) for r in (call.collateral, call.debt))
    supplied_shares = before.positions.supplied_shares[supply] if supply >= 0 else 0
    drawn_shares = before.positions.drawn_shares[debt] if debt >= 0 else 0
    if (
        rounded
        or (quote.error, quote.deficit) != (exact.error, exact.deficit)
        or any(
            (float(one) == float(whole)) != (other == whole)
            for one, other, whole in (
                (quote.amounts.collateral_shares, exact.amounts.collateral_shares, supplied_shares),
                (quote.amounts.drawn_shares, exact.amounts.drawn_shares, drawn_shares),
            )
        )
        or any(list(getattr(positions, flag)) != getattr(after.positions, flag) for flag in ("collateral", "borrowing"))
    ):
        return 0.0, _margin(before, call, now, rounded)

    index = drawn_index(before.assets, before.reserves.asset[call.debt], now)
    debt_ray = drawn_shares * index + show_position(before, debt, now)["premiumDebtRay"]
    supplied = show_position(before, supply, now)["suppliedAssets"]
    pairs: list[tuple[float, int, int]] = [
        (quote.repaid, exact.repaid, div_up(debt_ray, ray())),
        (quote.received, exact.received, supplied),
        (quote.removed, exact.removed, supplied),
        (quote.amounts.collateral_shares, exact.amounts.collateral_shares, supplied_shares),
        (quote.amounts.liquidator_shares, exact.amounts.liquidator_shares, supplied_shares),
        (quote.amounts.drawn_shares, exact.amounts.drawn_shares, drawn_shares),
        (quote.amounts.premium_ray, exact.amounts.premium_ray, debt_ray),
    ]
    pairs += _pairs(positions, after.positions, before.positions, index)
    pairs += _pairs(reserves, after.reserves, before.reserves, index)
    pairs += _pairs(assets, after.assets, before.assets, index)
    return max(relative_error(float(found), is_now, was) for found, is_now, was in pairs), None


_IN_DEBT = {"premium_offset_ray", "premium_shares", "deficit_ray", "realized_fees_raw"}
"""Columns that follow from the debt of their row, against which an error in them counts."""


def _pairs(found: Any, after: Any, before: Any, index: int) -> list[tuple[float, int, int]]:
    """Fast and exact value of every amount, with the scale of its error."""
    pairs = []
    for name, values in after._asdict().items():
        if values and isinstance(values[0], bool):
            continue
        for row, (value, is_now) in enumerate(zip(getattr(found, name), values, strict=True)):
            scale = getattr(before, name)[row]
            if name in _IN_DEBT:
                debt = before.drawn_shares[row]
                scale = max(abs(scale), debt * (index if name.endswith("_ray") else 1))
            pairs.append((float(value), is_now, scale))
    return pairs


_INEXACT = {
    *("liquidity_raw", "swept_raw", "realized_fees_raw", "added_shares", "drawn_shares", "premium_shares"),
    *("premium_offset_ray", "deficit_ray", "drawn_index_ray", "drawn_rate_ray", "price_raw", "supplied_shares"),
}
"""Columns whose numbers the fast form rounds; it has times, basis points and flags exactly."""


def _margin(before: Spoke, call: Call, now: int, roundings: bool) -> float:
    def watched(state: State) -> State:
        columns = state._asdict().items()
        return type(state)(*([Watched(v) for v in column] if n in _INEXACT else list(column) for n, column in columns))

    assets, reserves, positions = watched(before.assets), watched(before.reserves), watched(before.positions)
    asked = call._replace(debt_to_cover=Watched(call.debt_to_cover))
    return smallest_margin(
        lambda: liquidate(assets, reserves, before.configs, before.terms, positions, asked, now), roundings
    )
