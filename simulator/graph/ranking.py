"""Whose failure does most harm to the claim holders of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.graph.exposure import ExposureGraph
from simulator.graph.matrix import exposure_matrix

if TYPE_CHECKING:
    import pandas as pd


def ranking(graph: ExposureGraph) -> pd.DataFrame:
    """DebtRank of every institution: what others lose if its claims are worth nothing.

    Returns
    -------
    One row a market or issuer of claims, the most harmful first: `name`, `equity_usd` (what its claim holders own),
    `lost_once_usd` and `lost_usd` (what the claim holders of all others lose in the forms of 2012, in which distress
    goes on once, and of 2015; see `simulator.contagion.debtrank`), US dollars at outside prices.
    """
    import pandas as pd

    from simulator.contagion import debtrank

    matrix = exposure_matrix(graph, "issuer")
    equity = matrix.equity_usd
    forms = [
        debtrank.ranking(matrix.exposures_usd, equity, equity, differential=differential) * equity.sum()
        for differential in (False, True)
    ]
    table = pd.DataFrame({"name": matrix.labels, "equity_usd": equity, "lost_once_usd": forms[0], "lost_usd": forms[1]})
    return table.sort_values(["lost_usd", "name"], ascending=[False, True], ignore_index=True)
