"""What a Morpho market is made with. It never changes in one: another value is another market with the same accounts.

The liquidation incentive factor has no value of its own, it follows from the LLTV (``liquidationIncentiveFactor`` in
Morpho.sol).
"""

from __future__ import annotations

from protocols.lending.morpho_blue.tables import MARKETS
from protocols.lending.parameters import WAD, Parameter, of_market

PARAMETERS = (
    Parameter("lltv", MARKETS, "lltv_wad", WAD, laxer=1, subject=of_market),
    Parameter("fee", MARKETS, "fee_wad", WAD, most=0.25, subject=of_market),
)
