"""What governance sets in Venus' core pool, and in the pools beside it."""

from __future__ import annotations

from chain.snapshot import Snapshot
from chain.tables import Table
from protocols.lending.compound_v2.parameters import of_each_market
from protocols.lending.parameters import WAD, Parameter, of_market, of_token
from protocols.lending.venus_core.pools import CORE
from protocols.lending.venus_core.tables import MARKETS, POOL_MARKETS, SETTINGS


def _of_pool(snapshot: Snapshot, table: Table) -> list[str]:
    """The token, with the pool's number where that is not the core; rows of what a pool does not list have nothing."""
    columns = of_token(snapshot, table), table.ints("pool"), table.bools("listed")
    return [
        (name if pool == CORE else f"{name}@pool-{pool}") if listed else ""
        for name, pool, listed in zip(*columns, strict=True)
    ]


PARAMETERS = (
    Parameter("close_factor", SETTINGS, "close_factor_wad", WAD, subject=of_market),
    Parameter("liquidator_treasury_share", SETTINGS, "treasury_share_wad", WAD, subject=of_market),
    Parameter("collateral_factor", POOL_MARKETS, "ltv_wad", WAD, laxer=1, subject=_of_pool),
    Parameter("liquidation_threshold", POOL_MARKETS, "threshold_wad", WAD, laxer=1, subject=_of_pool),
    Parameter("liquidation_incentive", POOL_MARKETS, "incentive_wad", WAD, least=1.0, most=2.0, subject=_of_pool),
    *of_each_market(MARKETS),
)
