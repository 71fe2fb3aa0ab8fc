"""What selling a market's collateral costs those who hold the same tokens as collateral elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.graph.arrays import FloatArray, sums
from simulator.graph.exposure import ExposureGraph

if TYPE_CHECKING:
    import pandas as pd

SHARE = 0.01


def collateral_usd(graph: ExposureGraph) -> FloatArray:
    """Shape (markets, tokens): what is pledged in each market of each token, US dollars."""
    holdings, reserves, size = graph.holdings, graph.reserves, len(graph.tokens)
    token, market = reserves.token[holdings.reserve], reserves.market[holdings.reserve]
    usd = holdings.pledged * graph.price_usd[token]
    return sums(market * size + token, usd, len(graph.markets) * size).reshape(len(graph.markets), size)


def fire_sales(graph: ExposureGraph, share: float = SHARE) -> pd.DataFrame:
    """First-round losses if one market sells a share of all of its collateral at once, with linear impact.

    Parameters
    ----------
    share
        Of each token that is pledged in the market.

    Returns
    -------
    One row a market with collateral that pools buy, whose sale costs others most first: market, sold_usd, no_venue_usd
    (what would be sold, too, but no pool buys it, or not so much), largest_fall and token (the price that falls
    furthest), others_lose_usd (on the collateral of all other markets), own_kept_usd and own_sold_usd (on what the
    market's accounts keep, and on what is sold).

    Raises
    ------
    InputError
        If the share is not from 0 to 1.

    Notes
    -----
    Cont and Schaanning (2017); see :mod:`simulator.contagion.fire_sales`. A price falls by what is sold over the depth
    of the snapshot's pools.
    """
    import pandas as pd

    from simulator.contagion.fire_sales import first_round_losses
    from simulator.contagion.matrices import fraction

    pledged, depth = collateral_usd(graph), graph.pools.depth_usd
    sold = fraction("the share that is sold", share) * pledged
    rows = []
    for market, name in enumerate(graph.markets):
        bought = np.flatnonzero((depth > 0) & (sold[market] <= depth))
        if not sold[market, bought].any():
            continue
        shares = np.zeros(len(graph.markets))
        shares[market] = share
        found = first_round_losses(pledged[:, bought], depth[bought], shares)
        worst = int(found.price_falls.argmax())
        rows.append(
            {
                "market": name,
                "sold_usd": float(sold[market, bought].sum()),
                "no_venue_usd": float(sold[market].sum() - sold[market, bought].sum()),
                "largest_fall": float(found.price_falls[worst]),
                "token": graph.tokens[int(bought[worst])].symbol,
                "others_lose_usd": float(np.delete(found.on_kept, market).sum()),
                "own_kept_usd": float(found.on_kept[market]),
                "own_sold_usd": float(found.on_sold[market]),
            }
        )
    amounts = ("others_lose_usd", "own_kept_usd", "own_sold_usd")
    columns = ["market", "sold_usd", "no_venue_usd", "largest_fall", "token", *amounts]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values(["others_lose_usd", "market"], ascending=[False, True], ignore_index=True)
