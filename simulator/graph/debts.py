"""Who owes whom, as the network that clearing takes: markets and issuers to those who hold their claims, accounts to
markets.

A *position* is what one account pledges and owes in one market. It owes to that market alone, and is backed by what
is pledged there alone: nobody has recourse to what the account has elsewhere. What is pledged beyond the debt is the
buffer that clearing knows of, and DebtRank does not.

========  ==============================  =================================================================
node      owes                            has
========  ==============================  =================================================================
position  its debt, to the market         its pledges: claims on institutions, and tokens that are none
market    all that its suppliers own      what positions owe it, and cash
issuer    what its claims come to at      what stands behind them: claims on institutions, what it has in
          their rates, at most what       markets, and tokens that are no claims
          stands behind them
========  ==============================  =================================================================

Whatever is not held by a node of the network is owed to one more, *the others*, who owe nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.graph.arrays import FloatArray, IntArray, joined, joined_rows, sums
from simulator.graph.claims import OFF_CHAIN
from simulator.graph.exposure import ExposureGraph
from simulator.graph.placements import NONE, placed

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class DebtNetwork:
    """Debts in US dollars at outside prices. Nodes are institutions, then positions, then the others.

    Attributes
    ----------
    names
        Of the institutions: markets, and addresses of issuers.
    liabilities_usd
        Shape (nodes, nodes), CSR: what the row's node owes to the column's.
    assets_usd
        Shape (nodes,): what each has but for its claims on other nodes.
    """

    names: tuple[str, ...]
    liabilities_usd: sparse.csr_array
    assets_usd: FloatArray

    @property
    def owed_usd(self) -> FloatArray:
        """Shape (institutions,): what each owes to those who hold claims on it."""
        return np.asarray(self.liabilities_usd.sum(axis=1)).ravel()[: len(self.names)]


def issuers_of(graph: ExposureGraph, row: Mapping[str, int]) -> IntArray:
    """Shape (tokens,): the row of the institution that each token is a claim on; :data:`NONE` for no claim."""
    found = np.full(len(graph.tokens), NONE, dtype=np.int64)
    for token, issuer in zip(graph.claims.token.tolist(), graph.claims.issuer, strict=True):
        found[token] = row.get(issuer, NONE)
    return found


def placed_with(graph: ExposureGraph, row: Mapping[str, int], issuer_of: IntArray) -> list[tuple[int, int, float]]:
    """(vault, institution, US dollars): what vaults have put in markets and other vaults, by rows of institutions."""
    placements, found = graph.placements, []
    places = placements.reserve.tolist(), placements.share.tolist()
    columns = placements.issuer, *places, placements.token.tolist(), placements.amount.tolist()
    for issuer, reserve, share, token, amount in zip(*columns, strict=True):
        debtor = int(graph.reserves.market[reserve]) if reserve != NONE else int(issuer_of[share])
        if issuer in row and debtor != NONE:
            found.append((row[issuer], debtor, float(amount * graph.price_usd[token])))
    return found


def debt_network(graph: ExposureGraph) -> DebtNetwork:
    """The network of a graph. Positions that pledge no claim are worth to their markets what they are worth alone: they
    are no nodes, and their markets have what they can pay."""
    names = tuple(dict.fromkeys([*graph.markets, *graph.claims.issuer]))
    size, markets = len(names), len(graph.markets)
    row = {name: number for number, name in enumerate(names)}
    issuer_of = issuers_of(graph, row)
    positions = _positions(graph, issuer_of)
    debtor, holder, held = _held_by_issuers(graph, row, issuer_of)
    debtor, holder = joined_rows([debtor, positions.issuer]), joined_rows([holder, positions.node + size])
    held = joined([held, positions.held])
    # a claim on oneself is no asset
    own = debtor == holder
    debtor, holder, held = debtor[~own], holder[~own], held[~own]

    reserves = graph.reserves
    lent = sums(reserves.market, (reserves.cash + reserves.loans) * graph.price_usd[reserves.token], markets)
    others = size + positions.count
    assets = np.zeros(others + 1)
    owed, assets[:size] = _owed_and_own(graph, row, issuer_of)
    owed[:markets] = lent
    assets[:markets] = lent - positions.alone_owed - sums(positions.market, positions.debt, markets)
    assets[:markets] = np.maximum(assets[:markets], 0.0) + positions.alone_paid
    assets[size:others] = positions.other
    has = assets[:size] + sums(holder, held, others + 1)[:size]
    has[:markets] = lent
    promised = sums(debtor, held, size)
    # nobody owes more than there is, but for what holders are promised at market prices: that it has
    owed = np.maximum(np.minimum(owed, has), promised)
    assets[:size] += np.maximum(owed - has, 0.0)
    rest = owed - promised
    return DebtNetwork(
        names,
        _matrix(
            joined_rows([debtor, np.arange(others)]),
            joined_rows([holder, np.full(size, others), positions.market]),
            joined([held, rest, positions.debt]),
            others + 1,
        ),
        assets,
    )


@dataclass(frozen=True)
class _Positions:
    """Positions in US dollars.

    Attributes
    ----------
    count, market, debt, other
        Of those that pledge claims on institutions and owe something: how many, and by position its market, what it
        owes, and what it pledges that is no claim.
    node, issuer, held
        Each of their pledges that is a claim: whose it is, on which institution, and its worth.
    alone_owed, alone_paid
        By market: what all other positions owe, and can pay.
    """

    count: int
    market: IntArray
    debt: FloatArray
    other: FloatArray
    node: IntArray
    issuer: IntArray
    held: FloatArray
    alone_owed: FloatArray
    alone_paid: FloatArray


def _positions(graph: ExposureGraph, issuer_of: IntArray) -> _Positions:
    holdings, reserves = graph.holdings, graph.reserves
    token, market = reserves.token[holdings.reserve], reserves.market[holdings.reserve]
    accounts = max(len(holdings.addresses), 1)
    keys, of = np.unique(market * accounts + holdings.account, return_inverse=True)
    pledged = holdings.pledged * graph.price_usd[token]
    debt = sums(of, holdings.debt * graph.price_usd[token], len(keys))
    claim = (issuer_of[token] != NONE) & (pledged > 0)
    other = sums(of[~claim], pledged[~claim], len(keys))
    node = (sums(of[claim], pledged[claim], len(keys)) > 0) & (debt > 0)
    number = np.cumsum(node) - 1
    counted = claim & node[of]
    at = keys // accounts
    alone, size = ~node, len(graph.markets)
    return _Positions(
        count=int(node.sum()),
        market=at[node],
        debt=debt[node],
        other=other[node],
        node=number[of[counted]],
        issuer=issuer_of[token[counted]],
        held=pledged[counted],
        alone_owed=sums(at[alone], debt[alone], size),
        alone_paid=sums(at[alone], np.minimum(debt, other)[alone], size),
    )


def _held_by_issuers(
    graph: ExposureGraph, row: dict[str, int], issuer_of: IntArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """(who owes, issuer that holds it, US dollars): claims that back claims, and what vaults have put in markets."""
    claims, found = graph.claims, placed_with(graph, row, issuer_of)
    left = (claims.backing - placed(claims, graph.placements)).tolist()
    for issuer, underlying, backing in zip(claims.issuer, claims.underlying.tolist(), left, strict=True):
        if underlying != OFF_CHAIN and row[issuer] >= len(graph.markets) and issuer_of[underlying] != NONE:
            found.append((row[issuer], int(issuer_of[underlying]), float(backing * graph.price_usd[underlying])))
    array = np.array(found, dtype=np.float64).reshape(-1, 3)
    return array[:, 1].astype(np.int64), array[:, 0].astype(np.int64), array[:, 2]


def _owed_and_own(graph: ExposureGraph, row: dict[str, int], issuer_of: IntArray) -> tuple[FloatArray, FloatArray]:
    """By institution, but for markets: what its claims come to at their rates, and what it has that is no claim on an
    institution, US dollars. Off the chain it has what it owes: nothing on the chain says more."""
    claims, price, elsewhere = graph.claims, graph.price_usd, placed(graph.claims, graph.placements)
    owed, own = np.zeros(len(row)), np.zeros(len(row))
    for entry, issuer in enumerate(claims.issuer):
        token, underlying = int(claims.token[entry]), int(claims.underlying[entry])
        if underlying == OFF_CHAIN:
            part = 1.0 - float(claims.shares[[token]].sum())
            amount = float(claims.supply[entry] * price[token] * part)
            owed[row[issuer]] += amount
            own[row[issuer]] += amount
            continue
        owed[row[issuer]] += float(claims.supply[entry] * claims.rate[entry] * price[underlying])
        if issuer_of[underlying] == NONE:
            own[row[issuer]] += float((claims.backing[entry] - elsewhere[entry]) * price[underlying])
    return owed, own


def _matrix(row: IntArray, column: IntArray, usd: FloatArray, size: int) -> sparse.csr_array:
    from scipy import sparse

    some = usd > 0
    matrix = sparse.csr_array((usd[some], (row[some], column[some])), shape=(size, size))
    matrix.sum_duplicates()
    return matrix
