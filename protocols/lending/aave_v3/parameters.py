"""What governance sets in an Aave v3 pool, and the close factor, which is a constant of the contracts."""

from __future__ import annotations

from chain.snapshot import Snapshot
from chain.tables import Table
from protocols.lending.aave_v3.rules import OWN
from protocols.lending.aave_v3.tables import CONSTANTS, EMODES, RESERVES
from protocols.lending.parameters import BORROW_CAP, RAY, SUPPLY_CAP, WAD, Parameter, of_market


def _of_emode(snapshot: Snapshot, table: Table) -> list[str]:
    categories = zip(table.texts("market"), table.ints("category"), strict=True)
    return [f"{market}/emode-{category}" for market, category in categories]


PARAMETERS = (
    Parameter("ltv", RESERVES, "ltv_bps", laxer=1),
    Parameter("liquidation_threshold", RESERVES, "threshold_bps", laxer=1),
    Parameter("liquidation_bonus", RESERVES, "bonus_bps", least=1.0, most=2.0),
    Parameter("liquidation_protocol_fee", RESERVES, "fee_bps"),
    Parameter("reserve_factor", RESERVES, "reserve_factor_bps"),
    Parameter(SUPPLY_CAP, RESERVES, "supply_cap", 1, most=2.0**36 - 1, laxer=1, none=0),
    Parameter(BORROW_CAP, RESERVES, "borrow_cap", 1, most=2.0**36 - 1, laxer=1, none=0),
    Parameter("debt_ceiling", RESERVES, "debt_ceiling", 100, most=(2.0**40 - 1) / 100, laxer=1, none=0),
    Parameter("optimal_usage", RESERVES, "optimal_usage_ray", RAY),
    Parameter("base_rate", RESERVES, "base_rate_ray", RAY, most=10.0),
    Parameter("slope1", RESERVES, "slope1_ray", RAY, most=10.0),
    Parameter("slope2", RESERVES, "slope2_ray", RAY, most=100.0),
    Parameter("ltv", EMODES, "ltv_bps", laxer=1, subject=_of_emode),
    Parameter("liquidation_threshold", EMODES, "threshold_bps", laxer=1, subject=_of_emode),
    Parameter("liquidation_bonus", EMODES, "bonus_bps", least=1.0, most=2.0, subject=_of_emode),
    Parameter("close_factor", CONSTANTS, "close_factor_bps", subject=of_market, constant=OWN.close_factor_bps),
    Parameter(
        "close_factor_hf_threshold",
        CONSTANTS,
        "close_factor_hf_threshold_wad",
        WAD,
        subject=of_market,
        constant=OWN.close_factor_hf_threshold_wad,
    ),
)
