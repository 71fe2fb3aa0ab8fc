"""What markets have in common: accounts, owners, assets, and the venues in which they would sell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from simulator.graph.arrays import IntArray
from simulator.graph.exposure import ExposureGraph
from simulator.graph.fire_sales import collateral_usd

if TYPE_CHECKING:
    import pandas as pd


def links(graph: ExposureGraph, owners: Mapping[str, str] | None = None) -> pd.DataFrame:
    """What every two markets have in common.

    Parameters
    ----------
    owners
        The owner of accounts that are proxies or Safes, by address; such accounts are counted as their owners. What
        the snapshot's table `owners` says, if not given; other accounts count for themselves.

    Returns
    -------
    One row a pair of markets that have anything in common, those with the largest overlap first: market, other,
    accounts (in both), accounts_usd (what these owe in both), assets (tokens that are collateral in both), bases (base
    assets behind both's collateral), common_usd (sum over base assets of the smaller of both collaterals), overlap_usd
    (liquidity-weighted overlap), no_venue_usd (the smaller of both collaterals in tokens that no pool of the snapshot
    buys, which the overlap does not see).

    Notes
    -----
    Cont and Schaanning, "Fire sales, indirect contagion and systemic stress testing" (2017): the overlap of i and j is
    the sum over assets m of P_im P_jm / D_m, with P the collateral in dollars and D_m the market depth: what j loses
    for each 1 of its collateral sold by i, here in dollars if i sold all of it.
    """
    import pandas as pd
    from scipy import sparse

    from simulator.contagion.fire_sales import liquidity_weighted_overlaps

    holdings, reserves = graph.holdings, graph.reserves
    market, token = reserves.market[holdings.reserve], reserves.token[holdings.reserve]
    who = _people(graph, graph.owners if owners is None else owners)[holdings.account]
    shape = int(who.max(initial=-1)) + 1, len(graph.markets)
    member = sparse.csr_array((np.ones(len(who)), (who, market)), shape=shape)
    member.data[:] = 1.0
    owed = sparse.csr_array((holdings.debt * graph.price_usd[token], (who, market)), shape=shape)
    in_both, owed_first = sparse.csr_array(member.T @ member), sparse.csr_array(owed.T @ member)

    pledged = collateral_usd(graph)
    base = np.asarray(pledged @ graph.claims.bases)
    depth = graph.pools.depth_usd
    overlap = liquidity_weighted_overlaps(pledged[:, depth > 0], depth[depth > 0])
    share = sparse.csr_array(base > 0).astype(float)
    first, second = sparse.triu(in_both + share @ share.T, k=1).nonzero()
    rows = []
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        same, shared = np.minimum(pledged[i], pledged[j]), np.minimum(base[i], base[j])
        rows.append(
            {
                "market": graph.markets[i],
                "other": graph.markets[j],
                "accounts": int(in_both[i, j]),
                "accounts_usd": float(owed_first[i, j] + owed_first[j, i]),
                "assets": int(np.count_nonzero(same)),
                "bases": int(np.count_nonzero(shared)),
                "common_usd": float(shared.sum()),
                "overlap_usd": float(overlap[i, j]),
                "no_venue_usd": float(same[depth <= 0].sum()),
            }
        )
    names = [
        "market",
        "other",
        "accounts",
        "accounts_usd",
        "assets",
        "bases",
        "common_usd",
        "overlap_usd",
        "no_venue_usd",
    ]
    frame = pd.DataFrame(rows, columns=names)
    return frame.sort_values(["overlap_usd", "common_usd"], ascending=False, kind="stable", ignore_index=True)


def _people(graph: ExposureGraph, owners: Mapping[str, str]) -> IntArray:
    """Who each account counts as, numbered."""
    number: dict[str, int] = {}
    names = (owners.get(address, address) for address in graph.holdings.addresses)
    return np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)
