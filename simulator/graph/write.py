"""The graph in files that other tools read; the same graph gives the same bytes."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chain.errors import InputError
from simulator.graph.exposure import ExposureGraph
from simulator.graph.picture import picture
from simulator.graph.raster import png


def write_graph(graph: ExposureGraph, path: Path) -> None:
    """Write a graph in the form that the file's name ends with: graphml, gexf, json (node-link), or svg or png, a
    picture of its hundred largest edges.

    Raises
    ------
    InputError
        If the name ends otherwise, the file cannot be written, or what renders a png is not installed.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMS:
        known = ", ".join(f".{name}" for name in FORMS)
        raise InputError(f"{path}: a graph is written as {known}; let the file's name end so")
    content = FORMS[form](graph)
    draft = path.with_name(f".{path.name}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise InputError(f"cannot write {path}: {error.strerror}") from None


def _graphml(graph: ExposureGraph) -> bytes:
    from networkx.readwrite.graphml import write_graphml_xml

    file = io.BytesIO()
    # the writer that needs no other library, so that bytes do not depend on what is installed
    write_graphml_xml(graph.network, file)
    return file.getvalue()


def _gexf(graph: ExposureGraph) -> bytes:
    from networkx.readwrite.gexf import GEXFWriter

    writer = GEXFWriter(encoding="utf-8", prettyprint=True, version="1.2draft")
    # the day of writing is no fact of the graph
    del writer.xml.find("meta").attrib["lastmodifieddate"]
    writer.add_graph(_numbered(graph))
    return str(writer).encode("utf-8")


def _numbered(graph: ExposureGraph) -> Any:
    """The network as GEXF wants it: every edge has an id of its own in the whole graph; its kind, a name that the
    format keeps for itself, is called relation."""
    import networkx as nx

    network = graph.network
    named = nx.MultiDiGraph(**network.graph)
    named.add_nodes_from(network.nodes(data=True))
    for number, (source, target, facts) in enumerate(network.edges(data=True)):
        relation = {"relation" if name == "kind" else name: value for name, value in facts.items()}
        named.add_edge(source, target, number, id=str(number), weight=facts["usd"], **relation)
    return named


def _json(graph: ExposureGraph) -> bytes:
    import networkx as nx

    return (json.dumps(nx.node_link_data(graph.network, edges="edges"), indent=1) + "\n").encode("utf-8")


def _svg(graph: ExposureGraph) -> bytes:
    return picture(graph, standalone=True).encode("utf-8")


def _png(graph: ExposureGraph) -> bytes:
    return png(picture(graph, standalone=True))


FORMS: dict[str, Callable[[ExposureGraph], bytes]] = {
    "graphml": _graphml,
    "gexf": _gexf,
    "json": _json,
    "svg": _svg,
    "png": _png,
}
"""How a graph is written, by the end of the file's name."""
