"""The graph as the matrices that DebtRank and clearing take: what each institution loses if another's claims fail.

An institution is a lending market or, at level ``issuer``, whoever issues claims. What its own claim holders own is its
equity: losses are passed on to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from chain.errors import InputError
from simulator.graph.arrays import FloatArray, sums
from simulator.graph.claims import OFF_CHAIN
from simulator.graph.debts import issuers_of, placed_with
from simulator.graph.exposure import ExposureGraph
from simulator.graph.placements import placed

if TYPE_CHECKING:
    from scipy import sparse

Level = Literal["market", "issuer"]


@dataclass(frozen=True)
class ExposureMatrix:
    """Exposures between institutions, US dollars at outside prices.

    Attributes
    ----------
    exposures_usd
        Shape (n, n), CSR: entry (i, j) is what the claim holders of i lose if all claims on j are worth nothing.
    labels
        Names of the institutions: markets, and addresses of issuers.
    equity_usd
        Shape (n,), positive: what the claim holders of each own: of a market what is supplied to be lent, of an issuer
        what backs its claims, or what it owes where that lies off the chain.
    """

    exposures_usd: sparse.csr_array
    labels: tuple[str, ...]
    equity_usd: FloatArray


def exposure_matrix(graph: ExposureGraph, level: Level = "market") -> ExposureMatrix:
    """Exposures between institutions.

    A market's lenders lose what its accounts can no longer cover: for each account its debt less all its collateral
    there that is no claim on j, where that is positive, less what was uncovered before. Other issuers lose what they
    hold in claims on j. Whoever has no claim holders that own anything is left out: there is nobody to lose.

    Parameters
    ----------
    level
        ``market``: lending markets only, each exposed to every other through all paths of claims. ``issuer``:
        markets and all other issuers of claims, each exposed to those whose claims it holds itself; paths lead
        through the network.

    Raises
    ------
    InputError
        If the level is neither.
    """
    from scipy import sparse

    if level not in ("market", "issuer"):
        raise InputError(f"exposures are between markets or between issuers, not {level!r}: level market or issuer")
    markets, claims = len(graph.markets), graph.claims
    labels = [*graph.markets]
    if level == "issuer":
        labels += [name for name in dict.fromkeys(claims.issuer) if name not in labels]
    row = {name: number for number, name in enumerate(labels)}
    share = _shares(graph, row, through=level == "market")
    exposures = sparse.lil_array((len(labels), len(labels)))
    for i, j, lost in _losses_of_lenders(graph, share):
        exposures[i, j] = lost
    equity = np.zeros(len(labels))
    equity[:markets] = sums(
        graph.reserves.market,
        (graph.reserves.cash + graph.reserves.loans) * graph.price_usd[graph.reserves.token],
        markets,
    )
    if level == "issuer":
        elsewhere = placed(claims, graph.placements)
        for entry, issuer in enumerate(claims.issuer):
            underlying, i = int(claims.underlying[entry]), row[issuer]
            if i < markets:
                continue
            if underlying == OFF_CHAIN:
                # nothing on the chain says what lies behind this part but what is owed
                token = int(claims.token[entry])
                part = 1.0 - float(claims.shares[[token]].sum())
                equity[i] += float(claims.supply[entry] * graph.price_usd[token] * part)
                continue
            backing = float(claims.backing[entry] * graph.price_usd[underlying])
            equity[i] += backing
            left = backing - float(elsewhere[entry] * graph.price_usd[underlying])
            for j in np.flatnonzero(share[underlying] > 0).tolist():
                if i != j:
                    exposures[i, j] += left * share[underlying, j]
        for i, j, usd in placed_with(graph, row, issuers_of(graph, row)):
            if i != j:
                exposures[i, j] += usd
    kept = np.flatnonzero(equity > 0)
    return ExposureMatrix(
        sparse.csr_array(exposures)[kept][:, kept], tuple(labels[int(each)] for each in kept), equity[kept]
    )


def _shares(graph: ExposureGraph, row: dict[str, int], through: bool) -> FloatArray:
    """Shape (tokens, institutions): the share of a token's worth that is a claim on each, by itself or, `through` other
    claims, on whatever lies on the way down."""
    claims, size = graph.claims, len(graph.tokens)
    direct = np.zeros((size, len(row)))
    for entry, issuer in enumerate(claims.issuer):
        if issuer in row:
            direct[claims.token[entry], row[issuer]] = 1.0
    if not through:
        return direct
    shares = claims.shares.toarray()
    found = direct.copy()
    # whoever fails takes with it all that is a claim on it, so that shares of different ways add up to at most all
    for _ in range(int(claims.depth.max(initial=0))):
        found = np.maximum(direct, np.minimum(1.0, shares @ found))
    return found


def _losses_of_lenders(graph: ExposureGraph, share: FloatArray) -> list[tuple[int, int, float]]:
    """(market, institution, loss of the market's lenders if the institution's claims are worth nothing)."""
    from scipy import sparse

    holdings, reserves = graph.holdings, graph.reserves
    token, market = reserves.token[holdings.reserve], reserves.market[holdings.reserve]
    accounts = max(len(holdings.addresses), 1)
    keys, group = np.unique(market * accounts + holdings.account, return_inverse=True)
    pledged = holdings.pledged * graph.price_usd[token]
    debt = sums(group, holdings.debt * graph.price_usd[token], len(keys))
    collateral = sums(group, pledged, len(keys))
    by_token = sparse.csr_array((pledged, (group, token)), shape=(len(keys), len(graph.tokens)))
    gone = sparse.coo_array(by_token @ sparse.csr_array(share))
    owed, left = debt[gone.row], collateral[gone.row] - gone.data
    lost = np.maximum(owed - left, 0.0) - np.maximum(owed - collateral[gone.row], 0.0)
    shape = len(graph.markets), share.shape[1]
    total = sparse.coo_array(sparse.csr_array((lost, (keys[gone.row] // accounts, gone.col)), shape=shape))
    columns = total.row.tolist(), total.col.tolist(), total.data.tolist()
    return [(i, j, usd) for i, j, usd in zip(*columns, strict=True) if i != j and usd > 0]
