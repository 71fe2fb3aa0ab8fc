"""What governance sets in a Comet. Rates are a second, as the contract has them."""

from __future__ import annotations

from chain.snapshot import Snapshot
from chain.tables import Table
from protocols.lending.compound_v3.state import BASE
from protocols.lending.compound_v3.tables import MARKETS, RESERVES
from protocols.lending.parameters import SUPPLY_CAP, WAD, Parameter, of_market, of_token

_MANY = 1e20
"""Whole tokens that no cap reaches: the contract holds it in 128 bits."""


def _of_collateral(snapshot: Snapshot, table: Table) -> list[str]:
    names = of_token(snapshot, table)
    return ["" if row == BASE else name for name, row in zip(names, table.ints("row"), strict=True)]


PARAMETERS = (
    Parameter("borrow_collateral_factor", RESERVES, "borrow_factor", WAD, laxer=1, subject=_of_collateral),
    Parameter("liquidate_collateral_factor", RESERVES, "liquidate_factor", WAD, laxer=1, subject=_of_collateral),
    Parameter("liquidation_factor", RESERVES, "liquidation_factor", WAD, subject=_of_collateral),
    Parameter(
        SUPPLY_CAP,
        RESERVES,
        "supply_cap_raw",
        "scale",
        most=_MANY,
        laxer=1,
        used="supplied_raw",
        subject=_of_collateral,
    ),
    Parameter("store_front_price_factor", MARKETS, "store_front_factor", WAD, subject=of_market),
    *(
        Parameter(f"{side}_{name}", MARKETS, f"{side}_{column}", WAD, subject=of_market)
        for side in ("supply", "borrow")
        for name, column in (
            ("kink", "kink"),
            ("slope_low", "slope_low"),
            ("slope_high", "slope_high"),
            ("base_rate", "base"),
        )
    ),
)
