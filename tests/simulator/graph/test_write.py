"""Files that other tools read, the same for the same snapshot, and a picture in which no text becomes markup."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import pytest

from chain.errors import InputError
from chain.snapshot import TOKENS
from chain.tables import Table
from simulator.graph.exposure import ExposureGraph
from simulator.graph.picture import picture
from simulator.graph.raster import png
from simulator.graph.write import FORMS, write_graph
from tests.simulator.books import Account, make_snapshot
from tests.simulator.command import ROOT
from tests.simulator.graph.test_reach import STACK
from tests.simulator.graph.toys import snapshot_of

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def graph() -> ExposureGraph:
    return ExposureGraph.of(snapshot_of(STACK))


def written(graph: ExposureGraph, path: Path) -> Any:
    write_graph(graph, path)
    if path.suffix == ".graphml":
        return nx.read_graphml(path, force_multigraph=True)
    if path.suffix == ".gexf":
        return nx.read_gexf(path)
    return nx.node_link_graph(json.loads(path.read_text("utf-8")), edges="edges")


@pytest.mark.parametrize("form", ["graphml", "gexf", "json"])
def test_what_is_written_is_read_back_by_networkx(graph: ExposureGraph, form: str, tmp_path: Path) -> None:
    read = written(graph, tmp_path / f"graph.{form}")
    assert list(read.nodes) == graph.nodes.ids
    assert [read.nodes[node]["label"] for node in read] == graph.nodes.labels
    kind = "relation" if form == "gexf" else "kind"
    wanted = [
        (s, t, f["kind"], f["token"], f["amount"], f["usd"], f["rows"]) for s, t, f in graph.network.edges(data=True)
    ]
    got = [(s, t, *(f[name] for name in (kind, "token", "amount", "usd", "rows"))) for s, t, f in read.edges(data=True)]
    assert sorted(got) == sorted(wanted)


def test_the_same_snapshot_gives_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    snapshot_of(STACK).write(tmp_path / "book")
    code = (
        "import sys; from pathlib import Path; from simulator.graph.exposure import ExposureGraph; "
        "from simulator.graph.write import write_graph; graph = ExposureGraph.of('book', 'pattern'); "
        f"[write_graph(graph, Path(sys.argv[1]) / f'graph.{{form}}') for form in {list(FORMS)}]"
    )
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PATH": ""}
        subprocess.run([sys.executable, "-c", code, seed], cwd=tmp_path, env=environment, check=True)
    for form in FORMS:
        first, second = (tmp_path / seed / f"graph.{form}" for seed in ("1", "2"))
        assert first.read_bytes() == second.read_bytes()
        # nor does the day matter, of which networkx makes a note
        assert b"lastmodified" not in first.read_bytes()


def test_the_picture_is_the_largest_edges_in_groups_of_their_markets(graph: ExposureGraph, tmp_path: Path) -> None:
    write_graph(graph, tmp_path / "graph.svg")
    drawn = ElementTree.parse(tmp_path / "graph.svg").getroot()
    texts = ["".join(text.itertext()) for text in drawn.iter(f"{SVG}text")]
    assert {"lend-eth (morpho_blue)", "top (morpho_blue)", "ann", "ETH", "share"} <= set(texts)
    assert 0 < len(list(drawn.iter(f"{SVG}path"))) <= 100
    few = ElementTree.fromstring(picture(graph, 3))
    assert len(list(few.iter(f"{SVG}path"))) == 3


def test_every_box_of_the_picture_is_inside_it_and_none_covers_another(graph: ExposureGraph) -> None:
    drawn = ElementTree.fromstring(picture(graph))
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    boxes = [
        tuple(float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        for box in drawn.iter(f"{SVG}rect")
        if box.attrib.get("rx") == "4"
    ]
    assert len(boxes) > 8
    for number, (x, y, w, h) in enumerate(boxes):
        assert 0 <= x <= width - w
        assert 0 <= y <= height - h
        for a, b, c, d in boxes[:number]:
            assert x + w <= a or a + c <= x or y + h <= b or b + d <= y


def test_no_text_of_a_snapshot_becomes_markup() -> None:
    snapshot = make_snapshot({"<b>&": Account({"ETH": 9.0}, {"USD": 7_000.0})})
    rows = [row | {"symbol": f"<script>{row['symbol']}&"} for row in snapshot.tables[TOKENS.name].rows()]
    hostile = replace(snapshot, tables={**snapshot.tables, TOKENS.name: Table.from_rows(TOKENS, rows)})
    text = picture(ExposureGraph.of(hostile))
    assert "<script" not in text
    texts = {"".join(each.itertext()) for each in ElementTree.fromstring(text).iter(f"{SVG}text")}
    assert {"<b>&", "<script>ETH&"} <= texts


def pixels(content: bytes) -> tuple[int, int, set[bytes]]:
    """Width and height of a PNG of eight-bit red, green, blue and alpha, and the different quadruples of bytes in it,
    as its rows are filtered: enough to tell a drawing from a blank."""
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height, depth, colour = struct.unpack(">IIBB", content[16:26])
    assert (depth, colour) == (8, 6)
    data, at = b"", 8
    while at < len(content):
        size, name = struct.unpack(">I4s", content[at : at + 8])
        data += content[at + 8 : at + 8 + size] if name == b"IDAT" else b""
        at += 12 + size
    raw = zlib.decompress(data)
    rows = [raw[row * (4 * width + 1) : (row + 1) * (4 * width + 1)] for row in range(height)]
    return width, height, {row[n : n + 4] for row in rows for n in range(1, len(row), 4)}


def test_a_png_is_the_drawing_twice_as_large_and_no_blank(graph: ExposureGraph, tmp_path: Path) -> None:
    write_graph(graph, tmp_path / "graph.png")
    drawing = picture(graph)
    _, _, width, height = map(float, ElementTree.fromstring(drawing).attrib["viewBox"].split())
    content = (tmp_path / "graph.png").read_bytes()
    found = pixels(content)
    assert found[:2] == (2 * width, 2 * height)
    # lines shine through each other, and letters have soft edges
    assert len(found[2]) > 100
    without = re.sub(r"<text.*?</text>", "", drawing)
    assert png(without) != content, "text is drawn"
    blank = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"/>'
    assert pixels(png(blank)) == (2 * width, 2 * height, {bytes(4)})


@pytest.mark.parametrize("missing", ["resvg_py", "font_roboto"])
def test_without_what_renders_it_a_png_is_refused_and_it_is_said_what_to_install(
    graph: ExposureGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None) if missing == "resvg_py" else monkeypatch.setattr(
        "simulator.graph.raster.find_spec", lambda _: None
    )
    with pytest.raises(InputError, match=r"pip install 'unwind-defi\[png\]', or write \.svg"):
        write_graph(graph, tmp_path / "graph.png")
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_without_positions_is_an_empty_picture() -> None:
    drawn = picture(ExposureGraph.of(make_snapshot({}, pools=(), lent_usd=0.0)))
    assert list(ElementTree.fromstring(drawn).iter(f"{SVG}path")) == []


def test_another_form_is_refused_and_nothing_is_left_behind(graph: ExposureGraph, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a graph is written as \.graphml, \.gexf, \.json, \.svg, \.png"):
        write_graph(graph, tmp_path / "graph.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_graph(graph, tmp_path / "file" / "graph.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
