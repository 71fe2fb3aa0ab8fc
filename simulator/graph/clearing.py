"""Whose failure leaves whom unpaid, once all debts are cleared: buffers first, then defaults, round by round."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chain.errors import InputError
from simulator.graph.debts import DebtNetwork, debt_network
from simulator.graph.exposure import ExposureGraph

if TYPE_CHECKING:
    import pandas as pd

    from simulator.contagion.clearing import Clearing

NOBODY = "nobody"
"""The row of what does not clear as it is."""


def cleared(
    network: DebtNetwork, failed: str = NOBODY, share: float = 1.0, *, alpha: float = 1.0, beta: float = 1.0
) -> Clearing:
    """Clearing vectors of a network in which one institution loses assets; see `simulator.contagion.clearing.clear`.

    Parameters
    ----------
    network
        Of :func:`simulator.graph.debts.debt_network`.
    failed
        Name of the institution.
    share
        What it loses of all that it has if the others pay in full, from 0 to 1.
    alpha, beta
        What is left of the assets of who defaults, and of what others pay it.

    Raises
    ------
    InputError
        If there is no such institution, or a share is not from 0 to 1.
    """
    from simulator.contagion.clearing import clear
    from simulator.contagion.matrices import fraction

    senior = np.zeros(len(network.assets_usd))
    if failed != NOBODY:
        if failed not in network.names:
            known = ", ".join(network.names[:8]) or "none"
            raise InputError(f"no market or issuer of claims is called {failed}; there are {known}")
        row = network.names.index(failed)
        # what is lost goes to others than those who hold its claims
        whole = float(network.assets_usd[row] + network.liabilities_usd[:, [row]].sum())
        senior[row] = fraction("the share that is lost", share) * whole
    return clear(network.liabilities_usd, network.assets_usd, senior, alpha=alpha, beta=beta)


def clearing(graph: ExposureGraph, share: float = 1.0, *, alpha: float = 1.0, beta: float = 1.0) -> pd.DataFrame:
    """What those who hold claims on others lose if an institution loses its assets, each in its turn.

    Parameters
    ----------
    share, alpha, beta
        As in :func:`cleared`; all of its assets, and no costs of bankruptcy, if not given.

    Returns
    -------
    One row for nobody's failure, then one an institution, the most harmful first: failed, owed_usd (to those who hold
    its claims), lost_usd (by those who hold claims on others, under the greatest clearing vector), most_lost_usd (the
    same under the least, where the two differ; else NaN), defaults (of other institutions), positions (accounts in
    a market that cannot pay), rounds (in which defaults spread; 1 if none follows from another).

    Notes
    -----
    Eisenberg and Noe (2001), Rogers and Veraart (2013). Debts of positions are without recourse; what a market lends
    keeps its worth.
    """
    import pandas as pd

    network = debt_network(graph)
    size, owed = len(network.names), network.owed_usd
    rows = []
    for failed in (NOBODY, *network.names):
        found = cleared(network, failed, share, alpha=alpha, beta=beta)
        others = np.array([name != failed for name in network.names], dtype=np.bool_)
        lost = [float((owed - vector.payments[:size])[others].sum()) for vector in (found.greatest, found.least)]
        defaults = found.greatest.defaults
        rows.append(
            {
                "failed": failed,
                "owed_usd": 0.0 if failed == NOBODY else float(owed[network.names.index(failed)]),
                "lost_usd": lost[0],
                "most_lost_usd": np.nan if found.unique else lost[1],
                "defaults": int(defaults[:size][others].sum()),
                "positions": int(defaults[size:].sum()),
                "rounds": found.depth,
            }
        )
    table = pd.DataFrame(rows)
    rest = table.iloc[1:].sort_values(["lost_usd", "failed"], ascending=[False, True])
    return pd.concat([table.iloc[:1], rest], ignore_index=True)
