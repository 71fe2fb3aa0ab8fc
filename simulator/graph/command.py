"""What the command `unwind graph` shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from simulator.graph import measures
from simulator.graph.clearing import clearing
from simulator.graph.exposure import Accounts, ExposureGraph
from simulator.graph.fire_sales import fire_sales
from simulator.graph.links import links
from simulator.graph.loops import loops
from simulator.graph.ranking import ranking
from simulator.graph.reach import downstream, upstream
from simulator.graph.write import FORMS, write_graph

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMS", "SHOWN", "drawn", "facts", "headline", "tables", "title", "write_graph"]

SHOWN = 20
"""Rows of a table that are printed; JSON has all."""

_TITLES = {
    "repledging": "re-pledging: what is locked of each base asset, through claims",
    "rehypothecation": "rehypothecation: pledged collateral that venues lend out",
    "loops": "loops: the same asset supplied and owed; days at lending rates, without what tokens earn themselves",
    "links": "links between markets",
    "ranking": "whose failure costs the claim holders of others most (DebtRank)",
    "clearing": "who is left unpaid if one pays nothing and all else clears (Eisenberg and Noe)",
    "fire_sales": "what others lose if one market sells a hundredth of its collateral at once",
    "maturities": "claims that fall due, and what they cost below what they are owed",
    "leverage": "leverage of accounts with debt",
    "concentration": "concentration",
    "upstream": "what it depends on",
    "downstream": "who is hit if it fails",
}


def drawn(folder: Path, accounts: str) -> ExposureGraph:
    """The graph of a snapshot's folder; raises InputError as :meth:`ExposureGraph.of` does."""
    return ExposureGraph.of(folder, cast(Accounts, accounts))


def tables(graph: ExposureGraph, up: str | None, down: str | None) -> dict[str, pd.DataFrame]:
    """What is asked about a node, by direction; every measure where nothing is asked."""
    if up or down:
        asked = {"upstream": (upstream, up), "downstream": (downstream, down)}
        return {name: reach(graph, node) for name, (reach, node) in asked.items() if node}
    return {
        "repledging": measures.repledging(graph),
        "rehypothecation": measures.rehypothecation(graph),
        "loops": loops(graph),
        "links": links(graph),
        "ranking": ranking(graph),
        "clearing": clearing(graph),
        "fire_sales": fire_sales(graph),
        "maturities": measures.maturities(graph),
        "leverage": measures.leverage(graph),
        "concentration": measures.concentration(graph),
    }


def facts(graph: ExposureGraph) -> dict[str, Any]:
    """What the graph is of, and how large."""
    return {
        "chain_id": graph.chain_id,
        "block": graph.block_number,
        "accounts": graph.accounts,
        "nodes": len(graph.nodes),
        "edges": len(graph.edges),
    }


def headline(graph: ExposureGraph) -> str:
    """The same in one line."""
    accounts = "accounts by holding pattern" if graph.accounts == "pattern" else "a node for each account"
    return f"chain {graph.chain_id}, block {graph.block_number}: {len(graph.nodes):,} nodes ({accounts}), " + (
        f"{len(graph.edges):,} edges"
    )


def title(name: str, table: pd.DataFrame) -> str:
    """The title of a table, and how many of its rows are shown."""
    rest = f" (the first {SHOWN} of {len(table):,})" if len(table) > SHOWN else ""
    return _TITLES[name] + rest
