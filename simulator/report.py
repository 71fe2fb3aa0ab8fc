"""A run as one self-contained page: no script, no network."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from chain.errors import InputError
from simulator.run import Run
from simulator.summary import Line, headline, reserves, sensitivity, sensitivity_note, shocks, vaults

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1b1f24; }
  h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
  table { border-collapse: collapse; width: 100%; } th, td { padding: .3rem .6rem; border-bottom: 1px solid #d8dee4; }
  th { text-align: left; font-weight: 600; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
  .note { color: #57606a; } .warning { background: #fff8c5; padding: .6rem .9rem; border-left: 4px solid #d4a72c; }
  code { font-size: .85em; word-break: break-all; } svg { width: 100%; height: auto; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="note">Snapshot of chain {{ snapshot.chain_id }}, block {{ snapshot.block }}
  ({{ snapshot.origin }}, <code>{{ snapshot.digest }}</code>)</p>
{% for note in notes %}<p class="warning">{{ note }}</p>{% endfor %}
<h2>Outcome</h2>
<table>{% for line in lines %}
  <tr><th>{{ line.what }}</th><td class="number">{{ line.value | number }} {{ line.unit }}</td>
      <td class="note">{{ line.note }}</td></tr>{% endfor %}
</table>
<h2>Over time</h2>
<svg viewBox="0 0 900 260" role="img" aria-label="collateral sold and bad debt over the run">
{% for curve in curves %}
  <polyline fill="none" stroke="{{ curve.colour }}" stroke-width="2" points="{{ curve.points }}"/>
  <text x="10" y="{{ 18 + 18 * loop.index0 }}" fill="{{ curve.colour }}" font-size="13">{{ curve.name }}:
    up to {{ curve.most | number }} USD</text>
{% endfor %}
</svg>
<p class="note">From {{ first }} to {{ last }} UTC; each curve on a scale of its own.</p>
<h2>By reserve</h2>
<table>
  <tr><th>market</th><th>token</th><th>collateral sold (tokens)</th><th>debt repaid (tokens)</th>
      <th>bad debt, realised (USD)</th><th>bad debt, economic (USD)</th></tr>
  {% for row in reserves %}<tr><td>{{ row.market }}</td><td>{{ row.token }}</td>
    <td class="number">{{ row.collateral_sold | number }}</td><td class="number">{{ row.debt_repaid | number }}</td>
    <td class="number">{{ row.bad_debt_realised_usd | number }}</td>
    <td class="number">{{ row.bad_debt_economic_usd | number }}</td></tr>{% endfor %}
</table>
{% if vaults %}<h2>By vault</h2>
<p class="note">What curated vaults lost in each of their markets, and would lose besides if economic bad debt were
  written off; whole tokens; places in queues from 0, as in the snapshot.</p>
<table>
  <tr><th>vault</th><th>market</th><th>token</th><th>supplied</th><th>lost</th><th>at risk</th><th>reaches holders</th>
      <th>cap</th><th>supply queue</th><th>withdraw queue</th><th>timelock (hours)</th></tr>
  {% for row in vaults %}<tr><td>{{ row.vault }}</td><td>{{ row.into }}</td><td>{{ row.asset }}</td>
    <td class="number">{{ row.supplied | number }}</td><td class="number">{{ row.lost | number }}</td>
    <td class="number">{{ row.at_risk | number }}</td><td>{{ row.losses }}</td>
    <td class="number">{{ row.cap | number }}</td>
    <td class="number">{{ "" if row.supply_place is none else row.supply_place }}</td>
    <td class="number">{{ "" if row.withdraw_place is none else row.withdraw_place }}</td>
    <td class="number">{{ "" if row.timelock_hours is none else row.timelock_hours | number }}</td></tr>{% endfor %}
</table>{% endif %}
{% if sensitivity %}<h2>Sensitivity</h2>
<p class="note">The same with one parameter of price impact at an end of what calibration leaves of it; US dollars.
  {{ sensitivity_note }}</p>
<table>
  <tr><th>parameter</th><th>end</th><th>value</th><th>bad debt, realised</th><th>bad debt, economic</th>
      <th>collateral sold</th><th>slippage</th></tr>
  {% for row in sensitivity %}<tr><td>{{ row.parameter }}</td><td>{{ row.end }}</td>
    <td class="number">{{ "" if row.value is none else row.value | number }}</td>
    <td class="number">{{ row.bad_debt_realised_usd | number }}</td>
    <td class="number">{{ row.bad_debt_economic_usd | number }}</td>
    <td class="number">{{ row.collateral_usd | number }}</td>
    <td class="number">{{ row.slippage_usd | number }}</td></tr>{% endfor %}
</table>{% endif %}
<h2>Largest liquidations</h2>
<table>
  <tr><th>step</th><th>account</th><th>collateral</th><th>debt</th><th>repaid (USD)</th><th>slippage (USD)</th>
      <th>profit (USD)</th></tr>
  {% for row in largest %}<tr><td>{{ row.step }}</td><td><code>{{ row.account }}</code></td>
    <td>{{ symbols[row.collateral] }}</td><td>{{ symbols[row.debt] }}</td>
    <td class="number">{{ row.repaid_usd | number }}</td><td class="number">{{ row.slippage_usd | number }}</td>
    <td class="number">{{ row.profit_usd | number }}</td></tr>{% endfor %}
</table>
<h2>Measured terms</h2>
<table>
  <tr><th>term</th><th>value</th><th>unit</th><th>formula</th><th>from</th></tr>
  {% for row in terms %}<tr><td>{{ row.name }}</td><td class="number">{{ row.value | figure }}</td>
    <td>{{ row.unit }}</td><td class="note">{{ row.formula }}</td>
    <td class="note">{{ row.source }}</td></tr>{% endfor %}
</table>
{% if exposures %}<h2>Largest exposures before the run</h2>
{{ exposures }}{% endif %}
<p class="note">Dollars are at the outside (market) prices of their step; bad debt at those of the last. Scenario
  <code>{{ scenario_digest }}</code>, seed {{ seed }}, unwind {{ versions.unwind }}.</p>
</body>
</html>
"""


def write_report(run: Run, path: Path, snapshot: Path | None = None) -> None:
    """Write the page of a run.

    Parameters
    ----------
    snapshot
        Folder of the run's snapshot, whose largest exposures are then drawn on the page.

    Raises
    ------
    InputError
        If it cannot be written there, or the snapshot is not the run's.
    """
    exposures = _exposures(run, snapshot) if snapshot is not None else ""
    draft = path.with_name(f".{path.name}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(render(run, exposures), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise InputError(f"cannot write {path}: {error.strerror}") from None


def render(run: Run, exposures: str = "") -> str:
    """The page of a run, as HTML; `exposures` is a picture of its snapshot's graph (SVG), if there is to be one."""
    from jinja2 import Environment
    from markupsafe import Markup

    environment = Environment(autoescape=True)
    environment.filters["number"] = lambda value: f"{value:,.2f}".removesuffix(".00")
    environment.filters["figure"] = lambda value: f"{value:,.2f}" if abs(value) >= 1000 else f"{value:,.4g}"
    lines: list[Line] = [*shocks(run), *headline(run)]
    largest = sorted(run.tables["liquidations"].rows(), key=lambda row: (-row["repaid_usd"], row["liquidation"]))[:20]
    return environment.from_string(_PAGE).render(
        title=run.scenario.title or run.scenario.name,
        notes=run.notes,
        lines=lines,
        reserves=reserves(run),
        vaults=vaults(run),
        sensitivity=sensitivity(run),
        sensitivity_note=sensitivity_note(run),
        curves=_curves(run),
        first=_time(run, 0),
        last=_time(run, -1),
        largest=largest,
        terms=run.tables["terms"].rows(),
        exposures=Markup(exposures),  # our own drawing, in which every text is escaped
        **{k: run.facts[k] for k in ("snapshot", "symbols", "scenario_digest", "seed", "versions")},
    )


def _exposures(run: Run, folder: Path) -> str:
    from simulator.book import read
    from simulator.graph.exposure import ExposureGraph
    from simulator.graph.picture import picture

    snapshot = read(folder)
    if snapshot.digest != run.facts["snapshot"]["digest"]:
        raise InputError(f"{folder} is another snapshot than the run's, {run.facts['snapshot']['digest']}")
    return picture(ExposureGraph.of(snapshot, "pattern"), standalone=False)


def _time(run: Run, row: int) -> str:
    timestamp = run.tables["steps"].ints("timestamp")[row]
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M")


def _curves(run: Run) -> list[dict[str, Any]]:
    steps = run.tables["steps"]
    curves = []
    for name, colour, values in (
        ("collateral sold, cumulative", "#0969da", np.cumsum(steps.floats("collateral_usd"))),
        ("bad debt, economic", "#cf222e", steps.floats("bad_debt_economic_usd")),
        ("bad debt, realised", "#8250df", steps.floats("bad_debt_realised_usd")),
    ):
        most = float(values.max(initial=0.0))
        x = np.linspace(10, 890, len(values))
        y = 250 - 180 * values / (most or 1.0)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        curves.append({"name": name, "colour": colour, "most": most, "points": points})
    return curves
