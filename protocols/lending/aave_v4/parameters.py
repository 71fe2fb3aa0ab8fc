"""What governance sets in Aave v4: of a spoke, of its reserves and their dynamic configurations, of a hub's assets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from chain.snapshot import Snapshot
from chain.tables import Table
from protocols.lending.aave_v4.tables import ASSETS, CONFIGS, RESERVES, SPOKES
from protocols.lending.parameters import BORROW_CAP, RAY, SUPPLY_CAP, WAD, Parameter, of_market, of_token, symbols

_ANY = 2**40 - 1
"""Cap of a spoke that has none."""


def _of_reserve(snapshot: Snapshot, table: Table) -> list[str]:
    """The token, with the number of its reserve where a spoke has several of it (from several hubs)."""
    names = of_token(snapshot, table)
    numbers = table.ints("reserve_id")
    return [f"{name}#{number}" if names.count(name) > 1 else name for name, number in zip(names, numbers, strict=True)]


def _of_configuration(snapshot: Snapshot, table: Table) -> list[str]:
    """The reserve and the key of the configuration: accounts keep the one that held when they last acted."""
    reserves = snapshot.tables[RESERVES.name]
    keys = zip(reserves.texts("market"), reserves.ints("reserve_id"), strict=True)
    name: Mapping[tuple[str, int], str] = dict(zip(keys, _of_reserve(snapshot, reserves), strict=True))
    columns = table.texts("market"), table.ints("reserve_id"), table.ints("key")
    return [f"{name[market, reserve]}@{key}" for market, reserve, key in zip(*columns, strict=True)]


def _of_asset(snapshot: Snapshot, table: Table) -> list[str]:
    """The hub and the token: every market has the rows of its hubs, which must agree."""
    called = symbols(snapshot)
    columns = table.texts("hub"), table.texts("token"), table.ints("asset_id")
    return [f"{hub}/{called.get(token, token)}#{number}" for hub, token, number in zip(*columns, strict=True)]


def _of_hub(shares: str, snapshot: Snapshot, table: Table) -> list[float]:
    """The spoke's share of all shares of its hub's asset: caps are the spoke's own, cash and loans the hub's."""
    assets = snapshot.tables[ASSETS.name]
    keys = zip(assets.texts("hub"), assets.ints("asset_id"), strict=True)
    total = dict(zip(keys, assets.ints(shares), strict=True))
    rows = zip(table.texts("hub"), table.ints("asset_id"), table.ints(shares), strict=True)
    return [own / (total[hub, asset] or 1) for hub, asset, own in rows]


_ADDED, _DRAWN = partial(_of_hub, "added_shares"), partial(_of_hub, "drawn_shares")

PARAMETERS = (
    Parameter("target_health_factor", SPOKES, "target_health_wad", WAD, least=1.0, most=1e4, subject=of_market),
    Parameter("health_factor_for_max_bonus", SPOKES, "max_bonus_health_wad", WAD, subject=of_market),
    Parameter("liquidation_bonus_factor", SPOKES, "bonus_factor_bps", subject=of_market),
    Parameter("collateral_risk", RESERVES, "collateral_risk_bps", most=10.0, laxer=-1, subject=_of_reserve),
    Parameter(SUPPLY_CAP, RESERVES, "add_cap", 1, most=_ANY - 1, laxer=1, none=_ANY, part=_ADDED, subject=_of_reserve),
    Parameter(BORROW_CAP, RESERVES, "draw_cap", 1, most=_ANY - 1, laxer=1, none=_ANY, part=_DRAWN, subject=_of_reserve),
    Parameter("collateral_factor", CONFIGS, "collateral_factor_bps", laxer=1, subject=_of_configuration),
    Parameter("max_liquidation_bonus", CONFIGS, "max_bonus_bps", least=1.0, most=2.0, subject=_of_configuration),
    Parameter("liquidation_fee", CONFIGS, "fee_bps", subject=_of_configuration),
    Parameter("liquidity_fee", ASSETS, "liquidity_fee_bps", subject=_of_asset),
    Parameter("optimal_usage", ASSETS, "optimal_usage_ray", RAY, subject=_of_asset),
    Parameter("base_rate", ASSETS, "base_rate_ray", RAY, most=10.0, subject=_of_asset),
    Parameter("slope1", ASSETS, "slope1_ray", RAY, most=10.0, subject=_of_asset),
    Parameter("slope2", ASSETS, "slope2_ray", RAY, most=10.0, subject=_of_asset),
)
