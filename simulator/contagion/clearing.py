"""Who pays what when everybody owes everybody: clearing vectors, with defaults and their costs.

A node's debts to other nodes rank equally and are paid in proportion, out of what the node has and receives, after its
senior debts to outsiders (Eisenberg & Noe 2001, "Systemic risk in financial systems", Management Science 47). A node
that cannot pay all it owes loses a part of its assets to bankruptcy (Rogers & Veraart 2013, "Failure and rescue in an
interbank network", Management Science 59). With relative liabilities ``Pi[i, j] = L[i, j] / owed[i]``, senior debts s
and ``received = Pi.T @ p``, payments p clear if

    p = owed                                                      where assets + received >= owed + s
    p = max(0, alpha * assets + beta * received - s)              elsewhere

There may be several such p; they have a greatest and a least. Debts to outsiders that rank equally with those to nodes
are a column of the matrix, of a node that owes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from simulator.contagion import fixed_points
from simulator.contagion.matrices import BoolArray, FloatArray, IntArray, Matrix, among, fraction, vector

ROUNDING = 1e-12
"""A node that lacks less than this share of all it owes is solvent: such gaps are those of binary fractions."""

SAME = 1e-9
"""Share of what is owed by which payments must differ to be two solutions."""


@dataclass(frozen=True)
class Debts:
    """Who owes whom, before anybody is unable to pay.

    Attributes
    ----------
    shares
        Shape (n, n): what part of the payments of the column's node goes to the row's (`Pi` transposed).
    owed
        Shape (n,): each node's debts to other nodes.
    senior
        Shape (n,): each node's debts to outsiders, paid first.
    """

    shares: Matrix
    owed: FloatArray
    senior: FloatArray

    @classmethod
    def of(cls, liabilities: Any, senior_liabilities: Any) -> Debts:
        """From nominal liabilities, row owes column; see `clear`."""
        matrix = among("liabilities", liabilities)
        owed = np.asarray(matrix.sum(axis=1), dtype=np.float64)
        shares: Matrix
        if sparse.issparse(matrix):
            shares = sparse.csr_array(matrix.T)
            shares.data /= owed[shares.indices]
        else:
            shares = np.divide(matrix.T, owed, out=np.zeros_like(matrix), where=owed > 0.0)
        return cls(shares, owed, vector("senior liabilities", senior_liabilities, len(owed)))

    def insolvent(self, assets: FloatArray, received: FloatArray) -> BoolArray:
        """Which nodes cannot pay all they owe."""
        return assets + received < (1.0 - ROUNDING) * (self.owed + self.senior)


@dataclass(frozen=True)
class ClearingVector:
    """One way in which all debts clear. Arrays have shape (n,).

    Attributes
    ----------
    payments
        What each node pays to other nodes.
    received
        What each node receives from other nodes.
    senior_payments
        What each node pays to outsiders.
    net_worths
        What each node has, after costs of bankruptcy, less all it owes. Below zero it is what its creditors lose.
    recovery_rates
        Payments over debts to other nodes; 1 where there are none.
    defaults
        Which nodes cannot pay all they owe.
    """

    payments: FloatArray
    received: FloatArray
    senior_payments: FloatArray
    net_worths: FloatArray
    recovery_rates: FloatArray
    defaults: BoolArray

    @property
    def equities(self) -> FloatArray:
        """What is left to owners, who need not put in more: net worth, but at least 0."""
        return np.maximum(self.net_worths, 0.0)


@dataclass(frozen=True)
class Clearing:
    """All that clearing says of a network.

    Attributes
    ----------
    greatest, least
        The clearing vectors that pay most and least; every other lies between them.
    net_worths_before
        Shape (n,): each node's net worth if all the others pay in full, "before contagion".
    rounds
        The nodes that newly default in each round of the fictitious default algorithm, which ends at `greatest`
        (Eisenberg & Noe 2001; with costs of bankruptcy: Rogers & Veraart 2013, definition 3.6). At most n.
    owed
        Shape (n,): each node's debts to other nodes.
    """

    greatest: ClearingVector
    least: ClearingVector
    net_worths_before: FloatArray
    rounds: tuple[IntArray, ...]
    owed: FloatArray

    @property
    def unique(self) -> bool:
        """Whether the greatest and the least clearing vector are the same, to one part in 10^9 of what is owed."""
        return bool(np.all(self.greatest.payments - self.least.payments <= SAME * self.owed))

    @property
    def fundamental_defaults(self) -> IntArray:
        """Nodes that default although all others pay: before the network."""
        return self.rounds[0] if self.rounds else np.empty(0, dtype=np.int64)

    @property
    def contagious_defaults(self) -> IntArray:
        """Nodes that default because others do, in `greatest`: bankruptcy contagion."""
        return np.sort(np.concatenate([np.empty(0, dtype=np.int64), *self.rounds[1:]]))

    @property
    def depth(self) -> int:
        """Rounds of the fictitious default algorithm in which a node defaults, the fundamental defaults' among them."""
        return len(self.rounds)


def clear(
    liabilities: Any, external_assets: Any, senior_liabilities: Any = 0.0, *, alpha: float = 1.0, beta: float = 1.0
) -> Clearing:
    """Clear a network of debts.

    Parameters
    ----------
    liabilities
        Shape (n, n), dense or any SciPy sparse format: what the row's node owes to the column's.
    external_assets
        Shape (n,): what each node has but for its claims on other nodes, after any shock.
    senior_liabilities
        Shape (n,), or one number for all: debts to outsiders, which are paid before those to nodes.
    alpha, beta
        What is left, in a bankruptcy, of external assets and of what other nodes pay, from 0 to 1. Costs are taken
        before any creditor is paid, senior ones included.

    Returns
    -------
    The greatest and the least clearing vector; how defaults spread.

    Raises
    ------
    InputError
        If shapes do not agree, an amount is negative or not finite, a node owes itself, or a share is not from 0 to 1.

    Examples
    --------
    Two banks that owe each other one and have nothing: both may pay in full, or neither (Eisenberg & Noe, appendix 2).

    >>> clearing = clear([[0.0, 1.0], [1.0, 0.0]], [0.0, 0.0])
    >>> clearing.greatest.payments.tolist(), clearing.least.payments.tolist(), clearing.unique
    ([1.0, 1.0], [0.0, 0.0], False)
    """
    debts = Debts.of(liabilities, senior_liabilities)
    assets = vector("external assets", external_assets, len(debts.owed))
    kept_outside, kept_inside = fraction("alpha", alpha), fraction("beta", beta)
    slope = kept_inside * debts.shares
    offset = kept_outside * assets - debts.senior
    most, rounds = _fictitious_defaults(debts, assets, slope, offset)
    fewest = _certain_solvency(debts, assets, slope, offset)
    return Clearing(
        greatest=clearing_vector(debts, assets, most, kept_outside, kept_inside),
        least=clearing_vector(debts, assets, fewest, kept_outside, kept_inside),
        net_worths_before=assets + debts.shares @ debts.owed - debts.senior - debts.owed,
        rounds=rounds,
        owed=debts.owed,
    )


def clearing_vector(
    debts: Debts, assets: FloatArray, payments: FloatArray, alpha: float = 1.0, beta: float = 1.0
) -> ClearingVector:
    """What follows from payments that clear."""
    received = debts.shares @ payments
    defaults = debts.insolvent(assets, received)
    worth = np.where(defaults, alpha * assets + beta * received, assets + received)
    return ClearingVector(
        payments=payments,
        received=received,
        senior_payments=np.minimum(worth, debts.senior),
        net_worths=worth - debts.senior - debts.owed,
        recovery_rates=np.divide(payments, debts.owed, out=np.ones_like(payments), where=debts.owed > 0.0),
        defaults=defaults,
    )


def _fictitious_defaults(
    debts: Debts, assets: FloatArray, slope: Matrix, offset: FloatArray
) -> tuple[FloatArray, tuple[IntArray, ...]]:
    """The greatest clearing payments: all pay, then those who cannot pay what they can, and so on."""
    payments = debts.owed
    defaulted = np.zeros(len(payments), dtype=np.bool_)
    rounds: list[IntArray] = []
    while True:
        failing = debts.insolvent(assets, debts.shares @ payments) & ~defaulted
        if not failing.any():
            return payments, tuple(rounds)
        rounds.append(np.flatnonzero(failing))
        defaulted |= failing
        assured = np.where(defaulted, 0.0, debts.owed)
        payments = fixed_points.greatest(slope, offset, assured, debts.owed, start=payments)


def _certain_solvency(debts: Debts, assets: FloatArray, slope: Matrix, offset: FloatArray) -> FloatArray:
    """The least clearing payments: none pays but what bankrupts can, then those who are solvent even so pay, and so on.

    Sweeps alone would not do: at the payment that makes a node solvent its costs of bankruptcy vanish, so that the map
    jumps there, and the limit of the sweeps need not clear.
    """
    payments = np.zeros_like(debts.owed)
    solvent = np.zeros(len(payments), dtype=np.bool_)
    while True:
        assured = np.where(solvent, debts.owed, 0.0)
        payments = fixed_points.least(slope, offset, assured, debts.owed, start=np.maximum(payments, assured))
        rescued = ~debts.insolvent(assets, debts.shares @ payments) & ~solvent
        if not rescued.any():
            return payments
        solvent |= rescued
