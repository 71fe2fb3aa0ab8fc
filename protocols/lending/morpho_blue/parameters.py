"""What a Morpho market is made with. It never changes in one: another value is another market with the same accounts.

The liquidation incentive factor has no value of its own, it follows from the LLTV and two constants
(``liquidationIncentiveFactor`` in Morpho.sol).
"""

from __future__ import annotations

from protocols.lending.morpho_blue.rules import OWN
from protocols.lending.morpho_blue.tables import CONSTANTS, MARKETS
from protocols.lending.parameters import WAD, Parameter, of_market

PARAMETERS = (
    Parameter("lltv", MARKETS, "lltv_wad", WAD, laxer=1, subject=of_market),
    Parameter("fee", MARKETS, "fee_wad", WAD, most=0.25, subject=of_market),
    # with a cursor of 1 a market of an LLTV of 0 would have no factor
    Parameter(
        "liquidation_cursor",
        CONSTANTS,
        "liquidation_cursor_wad",
        WAD,
        most=0.99,
        subject=of_market,
        constant=OWN.liquidation_cursor_wad,
    ),
    Parameter(
        "max_liquidation_incentive_factor",
        CONSTANTS,
        "max_incentive_factor_wad",
        WAD,
        least=1.0,
        most=2.0,
        subject=of_market,
        constant=OWN.max_incentive_factor_wad,
    ),
)
