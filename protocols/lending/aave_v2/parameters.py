"""What governance sets in an Aave v2 pool, and the close factor, which is a constant of the contracts."""

from __future__ import annotations

from protocols.lending.aave_v2.rules import OWN
from protocols.lending.aave_v2.tables import CONSTANTS, RESERVES
from protocols.lending.parameters import RAY, Parameter, of_market

PARAMETERS = (
    Parameter("ltv", RESERVES, "ltv_bps", laxer=1),
    Parameter("liquidation_threshold", RESERVES, "threshold_bps", laxer=1),
    Parameter("liquidation_bonus", RESERVES, "bonus_bps", least=1.0, most=2.0),
    Parameter("reserve_factor", RESERVES, "reserve_factor_bps"),
    Parameter("optimal_usage", RESERVES, "optimal_usage_ray", RAY),
    Parameter("base_rate", RESERVES, "base_rate_ray", RAY, most=10.0),
    Parameter("slope1", RESERVES, "slope1_ray", RAY, most=10.0),
    Parameter("slope2", RESERVES, "slope2_ray", RAY, most=100.0),
    Parameter("close_factor", CONSTANTS, "close_factor_bps", subject=of_market, constant=OWN.close_factor_bps),
)
