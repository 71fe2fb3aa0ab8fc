"""What governance sets in Compound v2; Venus' are the same parts. Rates are a block, as the models have them."""

from __future__ import annotations

from chain.tables import Schema
from protocols.lending.compound_v2.tables import MARKETS, SETTINGS
from protocols.lending.parameters import WAD, Parameter, of_market

_NO_KINK = 2**256 - 1


def of_each_market(table: Schema) -> tuple[Parameter, ...]:
    """The parameters of a table that has the columns of Compound's markets."""
    return (
        Parameter("reserve_factor", table, "reserve_factor_wad", WAD),
        Parameter("protocol_seize_share", table, "seize_share_wad", WAD),
        Parameter("base_rate", table, "base_wad", WAD),
        Parameter("slope1", table, "slope1_wad", WAD, least=-1.0),
        Parameter("kink1", table, "kink1_wad", WAD, none=_NO_KINK),
        Parameter("base_rate2", table, "base2_wad", WAD),
        Parameter("slope2", table, "slope2_wad", WAD, least=-1.0),
        Parameter("kink2", table, "kink2_wad", WAD, none=_NO_KINK),
        Parameter("slope3", table, "slope3_wad", WAD, least=-1.0),
    )


PARAMETERS = (
    Parameter("close_factor", SETTINGS, "close_factor_wad", WAD, subject=of_market),
    Parameter("liquidation_incentive", SETTINGS, "incentive_wad", WAD, least=1.0, most=2.0, subject=of_market),
    Parameter("collateral_factor", MARKETS, "collateral_factor_wad", WAD, laxer=1),
    *of_each_market(MARKETS),
)
