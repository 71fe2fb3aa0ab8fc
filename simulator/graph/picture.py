"""A picture of the graph: its largest edges, protocols as groups, from those who hold on the left to what is held.

Drawn in SVG without a library, so that the same graph is the same picture and nothing has to be installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np

from simulator.graph.edges import KINDS
from simulator.graph.exposure import ExposureGraph

MOST_EDGES = 100
COLOURS = {
    "wraps": "#8250df",
    "supplies": "#57606a",
    "pledges": "#0969da",
    "borrows": "#cf222e",
    "backs": "#1a7f37",
    "quotes": "#bf8700",
    "provides-liquidity": "#1b7c83",
}
_FILLS = {
    "account": "#ddf4ff", "reserve": "#ffffff", "market": "#eaeef2", "token": "#fff8c5", "pool": "#d1f0f1",
    "issuer": "#fbefff",
}  # fmt: skip
_COLUMN, _ROW, _TOP, _LEFT = 300, 26, 70, 20
_WIDTH, _ACCOUNT_WIDTH, _HEIGHT = 190, 310, 20
_SWEEPS = 8


@dataclass
class _Box:
    """A node's place: column, row, and the group it is drawn in."""

    node: int
    column: int
    group: str
    y: float = 0.0

    @property
    def x(self) -> float:
        return _LEFT + self.column * _COLUMN + (_ACCOUNT_WIDTH - _WIDTH) * (self.column > 0)

    @property
    def width(self) -> float:
        return _WIDTH if self.column else _ACCOUNT_WIDTH


def picture(graph: ExposureGraph, most: int = MOST_EDGES, *, standalone: bool = True) -> str:
    """SVG of the largest edges by dollars.

    Parameters
    ----------
    most
        How many edges.
    standalone
        Whether it is to be a file of its own; else it is a part of an HTML page.

    Returns
    -------
    Columns from left to right: accounts, reserves in boxes of their markets, tokens with claims before what they are
    claims on, and pools and issuers. Lines are as wide as the square root of their dollars; supplies that are
    pledged are drawn once, as pledges.
    """
    chosen = _chosen(graph, most)
    boxes = _layout(graph, chosen)
    height = _TOP + 40 + max((box.y for box in boxes.values()), default=0.0)
    width = _LEFT + max((box.x + box.width for box in boxes.values()), default=600.0)
    space = ' xmlns="http://www.w3.org/2000/svg"' if standalone else ""
    parts = [
        f'<svg{space} viewBox="0 0 {width:.0f} {height:.0f}" role="img" font-family="system-ui, sans-serif" '
        f'font-size="11" aria-label="the largest exposures of the snapshot">'
    ]
    if standalone:
        parts.append(f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>')
    parts += _legend(graph, chosen)
    parts += _groups(graph, boxes)
    parts += _lines(graph, chosen, boxes)
    parts += _nodes(graph, boxes)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _chosen(graph: ExposureGraph, most: int) -> list[int]:
    """The largest edges; a supply beside its own pledge would only cover it."""
    edges = graph.edges
    pledged = set(
        zip(*(c[edges.kind == KINDS.index("pledges")].tolist() for c in (edges.source, edges.target)), strict=True)
    )
    supplies, own = KINDS.index("supplies"), KINDS.index("backs")
    markets = {row for row, kind in enumerate(graph.nodes.kinds) if kind == "market"}
    ends = zip(edges.kind.tolist(), edges.source.tolist(), edges.target.tolist(), strict=True)
    drawn = np.array(
        [
            # a market is drawn as the box around its reserves
            not (kind == supplies and (source, target) in pledged) and not (kind == own and source in markets)
            for kind, source, target in ends
        ],
        dtype=np.bool_,
    )
    order = np.argsort(-edges.usd, kind="stable")
    return [int(edge) for edge in order[drawn[order]][:most]]


def _layout(graph: ExposureGraph, chosen: list[int]) -> dict[int, _Box]:
    edges, nodes = graph.edges, graph.nodes
    used = sorted({int(end) for edge in chosen for end in (edges.source[edge], edges.target[edge])})
    depth = graph.claims.depth
    deepest = max((int(depth[node]) for node in used if nodes.kinds[node] == "token"), default=0)

    def column(node: int) -> int:
        kind = nodes.kinds[node]
        if kind == "token":
            return 2 + deepest - int(depth[node])
        return {"account": 0, "reserve": 1, "market": 1}.get(kind, 3 + deepest)

    boxes = {
        node: _Box(node, column(node), nodes.groups[node] if nodes.kinds[node] == "reserve" else "") for node in used
    }
    near: dict[int, list[int]] = {node: [] for node in used}
    for edge in chosen:
        source, target = int(edges.source[edge]), int(edges.target[edge])
        near[source].append(target)
        near[target].append(source)
    columns: dict[int, list[_Box]] = {}
    for box in boxes.values():
        columns.setdefault(box.column, []).append(box)
    for members in columns.values():
        _stack(members)
    # each node toward the mean of its neighbours, groups kept together
    for _ in range(_SWEEPS):
        for number in sorted(columns):
            members = columns[number]
            pull = {box.node: sum(boxes[n].y for n in near[box.node]) / len(near[box.node]) for box in members}
            together: dict[str, list[float]] = {}
            for box in members:
                together.setdefault(box.group, []).append(pull[box.node])
            middle = {group: sum(values) / len(values) for group, values in together.items()}
            members.sort(
                key=lambda box: (
                    middle[box.group] if box.group else pull[box.node],
                    box.group,
                    pull[box.node],
                    box.node,
                )
            )
            _stack(members)
    tallest = max((box.y for box in boxes.values()), default=0.0)
    for members in columns.values():
        for box, down in [(box, (tallest - members[-1].y) / 2) for box in members]:
            box.y += down
    return boxes


def _stack(members: list[_Box]) -> None:
    """One below the other, with room between groups for their names."""
    y, group = float(_TOP), None
    for box in members:
        if box.group != group:
            y += 26.0
            group = box.group
        box.y = y
        y += _ROW


def _legend(graph: ExposureGraph, chosen: list[int]) -> list[str]:
    total = len(graph.edges)
    accounts = "accounts by holding pattern" if graph.accounts == "pattern" else "each account by itself"
    parts = [
        f'<text x="{_LEFT}" y="20" font-size="14">The {len(chosen)} largest of {total:,} exposures, US dollars; '
        f"{accounts}</text>"
    ]
    x = _LEFT
    for kind in dict.fromkeys(KINDS[int(graph.edges.kind[edge])] for edge in sorted(chosen)):
        parts.append(f'<line x1="{x}" y1="38" x2="{x + 24}" y2="38" stroke="{COLOURS[kind]}" stroke-width="4"/>')
        parts.append(f'<text x="{x + 30}" y="42">{kind}</text>')
        x += 60 + 7 * len(kind)
    return parts


def _groups(graph: ExposureGraph, boxes: dict[int, _Box]) -> list[str]:
    groups: dict[str, list[_Box]] = {}
    for box in boxes.values():
        if box.group:
            groups.setdefault(box.group, []).append(box)
    protocol = dict(zip(graph.markets, graph.protocols, strict=True))
    parts = []
    for name, members in groups.items():
        top, bottom = min(box.y for box in members), max(box.y for box in members)
        parts.append(
            f'<rect x="{members[0].x - 8:.0f}" y="{top - 20:.0f}" width="{_WIDTH + 16}" '
            f'height="{bottom - top + _HEIGHT + 26:.0f}" rx="6" fill="#eaeef2" stroke="#afb8c1"/>'
        )
        label = escape(f"{name} ({protocol[name]})")
        parts.append(f'<text x="{members[0].x - 2:.0f}" y="{top - 7:.0f}" font-weight="bold">{label}</text>')
    return parts


def _lines(graph: ExposureGraph, chosen: list[int], boxes: dict[int, _Box]) -> list[str]:
    edges = graph.edges
    most = max((float(edges.usd[edge]) for edge in chosen), default=1.0) or 1.0
    parts = []
    for edge in chosen:
        source, target = boxes[int(edges.source[edge])], boxes[int(edges.target[edge])]
        kind, usd = KINDS[int(edges.kind[edge])], float(edges.usd[edge])
        forward = source.column < target.column
        x1 = source.x + (source.width if forward else 0)
        x2 = target.x + (0 if forward or source.column == target.column else target.width)
        # what goes back bends below what goes forward
        y1, y2 = (box.y + _HEIGHT / 2 + (0 if forward else 4) for box in (source, target))
        bend = 90.0 if forward else -90.0
        parts.append(
            f'<path d="M{x1:.1f} {y1:.1f} C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}" '
            f'fill="none" stroke="{COLOURS[kind]}" stroke-opacity="0.5" '
            f'stroke-width="{1 + 9 * (usd / most) ** 0.5:.2f}"/>'
        )
    return parts


def _nodes(graph: ExposureGraph, boxes: dict[int, _Box]) -> list[str]:
    nodes, parts = graph.nodes, []
    for node, box in boxes.items():
        label = nodes.labels[node]
        if box.group:
            label = label.removeprefix(f"{box.group}/")
        # a letter is about six and a half wide
        most = int((box.width - 8) / 6.5)
        if len(label) > most:
            label = label[: most - 1] + "…"
        parts.append(
            f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{_HEIGHT}" rx="4" '
            f'fill="{_FILLS[nodes.kinds[node]]}" stroke="#57606a"/>'
        )
        parts.append(f'<text x="{box.x + 6:.0f}" y="{box.y + 14:.0f}">{escape(label)}</text>')
    return parts
