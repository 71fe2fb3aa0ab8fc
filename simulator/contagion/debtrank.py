"""DebtRank: losses passed on as distress, before anybody is unable to pay; in both published forms.

A node's distress h is the share of its equity that is lost, from 0 to 1, and a loss of a debtor's equity lowers the
worth of claims on it in proportion. In the first form each node passes its distress on once (Battiston, Puliga,
Kaushik, Tasca, Caldarelli 2012, "DebtRank: too central to fail?", Scientific Reports 2, 541, methods). In the second it
passes on whatever is added to it (Bardoscia, Battiston, Caccioli, Caldarelli 2015, "DebtRank: a microscopic foundation
for shock propagation", PLoS ONE 10(6), e0130406), so that cycles count in full and the second is never below the first.
Clearing counts only what defaulted debtors cannot pay: distress may be total where clearing finds no loss at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigs

from chain.errors import InputError
from simulator.contagion import fixed_points
from simulator.contagion.matrices import FloatArray, Matrix, among, scaled_rows, vector

FEW = 500
"""Nodes of a strongly connected part up to which all its eigenvalues are computed, and only the largest beyond."""


@dataclass(frozen=True)
class Distress:
    """Distress before and after it has spread. Arrays have shape (n,).

    Attributes
    ----------
    initial, final
        Share of each node's equity that is lost, from 0 to 1.
    equities
        Equity before the shock.
    values
        Each node's share of the economic value that counts, adding up to 1.
    """

    initial: FloatArray
    final: FloatArray
    equities: FloatArray
    values: FloatArray

    @property
    def debtrank(self) -> float:
        """Share of the economic value in distress because of the network: the initial distress is not counted."""
        return float(self.values @ (self.final - self.initial))

    @property
    def losses(self) -> FloatArray:
        """Equity that is lost in all, in the unit of the equities."""
        return self.final * self.equities

    @property
    def amplification(self) -> float:
        """Equity lost in all over equity lost at first; 1 where nothing is lost."""
        first = float(self.initial @ self.equities)
        return float(self.losses.sum()) / first if first > 0.0 else 1.0


def debtrank(exposures: Any, equities: Any, distress: Any, values: Any = None) -> Distress:
    """Let distress spread, each node passing it on once (Battiston et al. 2012).

    With ``W[i, j] = min(1, exposures[i, j] / equities[i])``, ``h[i](t) = min(1, h[i](t-1) + sum of W[i, j] h[j](t-1))``
    over the nodes j that are in distress at t - 1 and were not before. What reaches a node later is added to its
    distress but not passed on.

    Parameters
    ----------
    exposures
        Shape (n, n), dense or any SciPy sparse format: claims of the row's node on the column's, that is the transpose
        of `clearing.clear`'s liabilities.
    equities
        Shape (n,): equity before the shock, positive.
    distress
        Shape (n,): share of equity lost at first, from 0 to 1.
    values
        Shape (n,): economic values, in any unit; each node's claims on others if not given, as in the paper.

    Raises
    ------
    InputError
        If shapes do not agree, an amount is negative or not finite, an equity is 0 or vanishes beside an exposure, a
        node has a claim on itself, or distress is above 1.
    """
    claims, own, initial, weights = _checked(exposures, equities, distress, values)
    return Distress(initial, _once(_at_most_one(_leverages(claims, own)), initial), own, weights)


def differential_debtrank(exposures: Any, equities: Any, distress: Any, values: Any = None) -> Distress:
    """Let distress spread until nothing is added any more (Bardoscia et al. 2015).

    ``h(t+1) = min(1, h(t) + Lambda @ (h(t) - h(t-1)))`` with ``Lambda[i, j] = exposures[i, j] / equities[i]``. Summed
    over t this is ``h(t+1) = min(1, h(1) + Lambda @ h(t))``, so that h rises to the least solution of ``h = min(1, h(1)
    + Lambda @ h)``. Where `spectral_radius` is below 1 and nobody reaches 1, that is ``(I - Lambda)^-1 h(1)``. At 1 or
    above, a shock to the part of the network that has it ruins at least one node.

    Parameters and errors are those of `debtrank`.
    """
    claims, own, initial, weights = _checked(exposures, equities, distress, values)
    return Distress(initial, _repeatedly(_leverages(claims, own), initial), own, weights)


def ranking(exposures: Any, equities: Any, values: Any = None, *, differential: bool = False) -> FloatArray:
    """Each node's DebtRank if it alone loses all its equity: which failure does most harm.

    Parameters
    ----------
    exposures, equities, values
        See `debtrank`.
    differential
        Take the form of 2015 instead of that of 2012.

    Returns
    -------
    Shape (n,), from 0 to 1. One spread is computed for each node.
    """
    size = len(np.atleast_1d(equities))
    claims, own, _, weights = _checked(exposures, equities, np.zeros(size), values)
    leverages = _leverages(claims, own)
    impacts = leverages if differential else _at_most_one(leverages)
    spread = _repeatedly if differential else _once
    ranks = np.empty(size)
    for node in range(size):
        initial = np.zeros(size)
        initial[node] = 1.0
        ranks[node] = weights @ (spread(impacts, initial) - initial)
    return ranks


def spectral_radius(exposures: Any, equities: Any) -> float:
    """Largest modulus of an eigenvalue of the leverage matrix Lambda: below 1, small shocks stay small.

    It is the largest of those of the strongly connected parts, on each of which it is a simple eigenvalue; a network
    without cycles has 0.

    Parameters
    ----------
    exposures, equities
        See `debtrank`.
    """
    claims, own, _, _ = _checked(exposures, equities, 0.0, None)
    leverages = sparse.csr_array(_leverages(claims, own))
    _, labels = connected_components(leverages, connection="strong")
    members = np.argsort(labels, kind="stable")
    parts = np.split(members, np.cumsum(np.bincount(labels))[:-1])
    return max((_perron(leverages[part][:, part]) for part in parts if len(part) > 1), default=0.0)


def _perron(part: Any) -> float:
    """Spectral radius of a strongly connected part."""
    size = part.shape[0]
    if size <= FEW:
        return float(np.abs(np.linalg.eigvals(part.toarray())).max())
    # of a cycle's eigenvalues all are largest; with one added to each, only the positive one is
    largest = eigs(part + sparse.eye_array(size), k=1, which="LM", v0=np.ones(size), return_eigenvectors=False)
    return float(largest[0].real) - 1.0


def _once(impacts: Matrix, initial: FloatArray) -> FloatArray:
    distress = initial
    spent = np.zeros(len(initial), dtype=np.bool_)
    while (active := (distress > 0.0) & ~spent).any():
        distress = np.minimum(1.0, distress + impacts @ np.where(active, distress, 0.0))
        spent |= active
    return distress


def _repeatedly(leverages: Matrix, initial: FloatArray) -> FloatArray:
    return fixed_points.least(leverages, initial, initial, np.ones_like(initial))


def _leverages(claims: Matrix, equities: FloatArray) -> Matrix:
    with np.errstate(over="ignore", invalid="ignore"):
        leverages = scaled_rows(claims, 1.0 / equities)
    if not np.all(np.isfinite(leverages.data if sparse.issparse(leverages) else leverages)):
        raise InputError("an equity vanishes beside the node's exposures; leave the node out or give it its equity")
    return leverages


def _at_most_one(leverages: Matrix) -> Matrix:
    if not sparse.issparse(leverages):
        return np.minimum(leverages, 1.0)
    impacts = leverages.copy()
    np.minimum(impacts.data, 1.0, out=impacts.data)
    return impacts


def _checked(
    exposures: Any, equities: Any, distress: Any, values: Any
) -> tuple[Matrix, FloatArray, FloatArray, FloatArray]:
    claims = among("exposures", exposures)
    size = claims.shape[0]
    own = vector("equities", equities, size)
    if not np.all(own > 0.0):
        node = int(np.flatnonzero(own == 0.0)[0])
        raise InputError(f"equities: node {node} has none, so that its distress is undefined; leave it out")
    initial = vector("distress", distress, size)
    if size and initial.max() > 1.0:
        raise InputError(f"distress must be from 0 to 1, not {initial.max()}")
    worth = np.asarray(claims.sum(axis=1)) if values is None else vector("values", values, size)
    total = float(worth.sum())
    return claims, own, initial, worth / total if total > 0.0 else worth
