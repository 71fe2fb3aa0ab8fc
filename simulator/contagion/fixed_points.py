"""The greatest and the least solution of a bounded monotone system, which clearing and DebtRank have in common.

``x = clip(offset + slope @ x, lower, upper)`` with ``slope >= 0``. The right side grows with x, so that by Tarski's
theorem the solutions have a greatest and a least, to which it falls from the upper and rises from the lower bound when
applied again and again. Those sweeps may be many: as many as it takes a trickle to fill a cycle to its bounds. So they
are cut short by leaps, of which each goes to the least solution that is above x among those with the same components
held at the lower bound. After at most n leaps no other component is lifted off its bound, and the least is reached
(strategy iteration; see Gawlitza & Seidl 2007, "Precise fixpoint computation through strategy iteration", ESOP).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, bicgstab

from simulator.contagion.matrices import BoolArray, FloatArray, Matrix

ROUNDING = 2.0**-50
"""Share of the terms of a sum by which it may be off; what moves less has not moved."""

PATIENCE = 64
"""Sweeps between leaps in large systems. One that loses half of what is passed on needs 53 to the last digit."""

SMALL = 1_000
"""Unknowns up to which linear systems are factored (tens of milliseconds), and leaps come before sweeps."""

REFINEMENTS = 2
"""Larger linear systems are solved to eight digits, and what that leaves again."""

STEPS = 200
"""Iterations after which a linear system counts as unsolved, and sweeps go on."""


def greatest(
    slope: Matrix, offset: FloatArray, lower: FloatArray, upper: FloatArray, start: FloatArray | None = None
) -> FloatArray:
    """The greatest solution of ``x = clip(offset + slope @ x, lower, upper)``.

    Parameters
    ----------
    slope
        Shape (n, n), not negative.
    offset, lower, upper
        Shape (n,), with ``lower <= upper``.
    start
        Shape (n,): what is known to lie above the solution and not to rise under the map; the upper bound if not given.
    """
    return -least(slope, -offset, -upper, -lower, None if start is None else -start)


def least(
    slope: Matrix, offset: FloatArray, lower: FloatArray, upper: FloatArray, start: FloatArray | None = None
) -> FloatArray:
    """The least solution; as `greatest`, with `start` below it and not falling under the map."""
    x: FloatArray = lower if start is None else start
    sweeps = 0
    while True:
        value = offset + slope @ x
        moved: FloatArray = np.maximum(x, np.clip(value, lower, upper))
        if not np.any(moved - x > _noise(slope, offset, x)):
            return moved
        x = moved
        if sweeps % PATIENCE == (0 if len(x) <= SMALL else PATIENCE - 1):
            x = _leap(slope, offset, lower, upper, x)
        sweeps += 1


def _noise(slope: Matrix, offset: FloatArray, x: FloatArray) -> FloatArray:
    return ROUNDING * np.asarray(np.abs(offset) + slope @ np.abs(x))


def _leap(slope: Matrix, offset: FloatArray, lower: FloatArray, upper: FloatArray, x: FloatArray) -> FloatArray:
    """The least solution above `x` of the system in which what the map leaves at the lower bound stays there.

    Without lower bounds the map is concave. Among components that it raises above x, or that come to be raised by
    those, it has one solution only, which is therefore also the greatest: that is found from above, where a component
    that comes off its upper bound stays off.
    """
    noise = _noise(slope, offset, x)
    value = offset + slope @ x
    room = (value > lower + noise) & (x < upper - noise)
    rising = room & (value - x > noise)
    count = 0
    while count < (count := int(rising.sum())):
        rising |= room & (slope @ rising > 0.0)
    y = np.where(rising, upper, x)
    below: BoolArray = np.zeros(len(x), dtype=np.bool_)
    while True:
        falling = rising & ~below & (offset + slope @ y < upper - noise)
        if not falling.any():
            return y
        below |= falling
        held = np.where(below, 0.0, y)
        solution = _solve(slope[below][:, below], (offset + slope @ held)[below])
        if solution is None or not np.all(solution > x[below] - noise[below]):
            return x
        y = held
        y[below] = np.clip(solution, x[below], upper[below])


def _solve(inner: Matrix, known: FloatArray) -> FloatArray | None:
    """The x with ``x - inner @ x = known``, or None where it cannot be found."""
    if len(known) <= SMALL:
        dense = inner.toarray() if sparse.issparse(inner) else inner
        try:
            return np.asarray(np.linalg.solve(np.eye(len(known)) - dense, known))
        except np.linalg.LinAlgError:
            return None
    operator = LinearOperator(inner.shape, matvec=lambda x: x - inner @ x, dtype=np.float64)
    x = np.zeros_like(known)
    for _ in range(REFINEMENTS):
        rest = known - x + inner @ x
        size = float(np.abs(rest).max())
        if size == 0.0:
            break
        # its test for a breakdown is absolute, so that what is left is brought to order one
        correction, failed = bicgstab(operator, rest / size, rtol=1e-8, maxiter=STEPS)
        if failed:
            return None
        x += size * correction
    return x
