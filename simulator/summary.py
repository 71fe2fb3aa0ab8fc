"""The few numbers that a run is about, each with its unit; printed, written as JSON, and put at the top of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.market.impact import RANGES
from simulator.run import Run


@dataclass(frozen=True)
class Line:
    """One line of a summary."""

    what: str
    value: float
    unit: str
    note: str = ""


def headline(run: Run) -> list[Line]:
    """The outcome of a run; dollars at the outside prices of the steps unless a note says otherwise."""
    steps, accounts = run.tables["steps"], run.tables["accounts"]
    swaps = run.tables["swaps"]
    sold = np.array(swaps.ints("liquidation")) >= 0
    liquidated = int((np.array(accounts.ints("liquidations")) > 0).sum())
    return [
        Line("accounts with debt", len(accounts), "accounts"),
        Line("accounts liquidated", liquidated, "accounts"),
        Line("liquidations", len(run.tables["liquidations"]), "liquidations"),
        Line("debt repaid", run.total("repaid_usd"), "USD"),
        Line("collateral to liquidators", run.total("collateral_usd"), "USD", "what they sold"),
        Line("protocol fees", run.total("protocol_fee_usd"), "USD", "out of the bonus, paid by borrowers"),
        Line("slippage", run.total("slippage_usd"), "USD", "pool fees included; paid by liquidators out of the bonus"),
        Line("of it pool fees", float(swaps.floats("fee_usd")[sold].sum()), "USD", "to liquidity providers"),
        Line("flash loan fees", run.total("flash_fee_usd"), "USD", "paid by liquidators"),
        Line("gas", run.total("gas_usd"), "USD", "paid by liquidators"),
        *([Line("auctions", run.total("auction_usd"), "USD", "handed back by liquidators")] if _auctioned(run) else []),
        Line("liquidators' profit", run.total("profit_usd"), "USD"),
        Line(
            "bad debt, realised",
            _last(steps.floats("bad_debt_realised_usd")),
            "USD",
            "written off by the protocol's rule, at final prices",
        ),
        Line(
            "bad debt, economic",
            _last(steps.floats("bad_debt_economic_usd")),
            "USD",
            "what full liquidations could not recover, at final prices",
        ),
        *_contagion(run),
    ]


def shocks(run: Run) -> list[Line]:
    """The deepest and the last outside price of each token that moved, over its first."""
    prices = run.tables["prices"]
    by_token: dict[str, list[float]] = {}
    for token, price in zip(prices.texts("token"), prices.floats("outside_usd"), strict=True):
        by_token.setdefault(token, []).append(price)
    start = run.facts["outside_usd"]
    lines = []
    for token, path in sorted(by_token.items(), key=lambda item: run.facts["symbols"][item[0]]):
        relative = np.array(path) / start[token]
        extreme = float(relative[np.argmax(np.abs(relative - 1.0))])
        if abs(extreme - 1.0) >= 0.0005:
            note = f"from {start[token]:,.2f} USD; {100 * (relative[-1] - 1):+.1f} % at the end"
            lines.append(Line(f"{run.facts['symbols'][token]} at its extreme", 100 * (extreme - 1.0), "%", note))
    return lines


def reserves(run: Run) -> list[dict[str, Any]]:
    """Collateral sold, debt repaid and bad debt of each reserve that was touched; amounts in whole tokens."""
    rows = []
    for row in run.tables["reserves"].rows():
        unit = 10 ** run.facts["decimals"][row["token"]]
        if not any(row[name] for name in ("sold_raw", "repaid_raw", "bad_debt_realised_usd", "bad_debt_economic_usd")):
            continue
        rows.append(
            {
                "market": row["market"],
                "token": run.facts["symbols"][row["token"]],
                "collateral_sold": row["sold_raw"] / unit,
                "debt_repaid": row["repaid_raw"] / unit,
                "bad_debt_realised_usd": row["bad_debt_realised_usd"],
                "bad_debt_economic_usd": row["bad_debt_economic_usd"],
            }
        )
    return rows


def vaults(run: Run) -> list[dict[str, Any]]:
    """Where curated vaults lost something or may, the largest losses first; amounts in whole tokens, timelocks in
    hours, places in queues from 0, and what there is nothing of (no limit that was read, no place) is None."""
    symbols, found = run.facts["symbols"], []
    for row in run.tables["vault_losses"].rows():
        if not row["lost_raw"] and not row["at_risk_raw"]:
            continue
        unit = 10 ** run.facts["decimals"][row["asset"]]
        amounts = {name: row[f"{name}_raw"] / unit for name in ("supplied", "lost", "at_risk", "cap", "pending_cap")}
        places = {name: None if row[name] < 0 else row[name] for name in ("supply_place", "withdraw_place")}
        names = {name: symbols.get(row[name], row[name]) for name in ("vault", "into", "asset")}
        hours = None if row["timelock_s"] < 0 else row["timelock_s"] / 3600
        found.append(names | {"losses": row["losses"]} | amounts | places | {"timelock_hours": hours})
    return sorted(found, key=lambda row: (-row["lost"], -row["at_risk"], row["vault"], row["into"]))


def sensitivity(run: Run) -> list[dict[str, Any]]:
    """The run's headline and, below it, that at either end of each parameter's range; US dollars. Empty if skipped."""
    rows = run.tables["sensitivity"].rows()
    if not rows:
        return []
    return [{"parameter": "as run", "end": "", "value": None} | run.headline, *rows]


def sensitivity_note(run: Run) -> str:
    """What is not varied, and why; empty where everything is, or the sensitivity was skipped."""
    shown = {row["parameter"] for row in run.tables["sensitivity"].rows()}
    missing = [name for name in RANGES if name not in shown]
    if not shown or not missing:
        return ""
    return f"{' and '.join(missing)} are not varied: an impact of 0 says that price paths have the selling in them"


def as_json(run: Run) -> dict[str, Any]:
    """Everything above as JSON values, with the notes."""
    lines = [*shocks(run), *headline(run)]
    return {
        "scenario": run.scenario.name,
        "snapshot": run.facts["snapshot"],
        "notes": run.notes,
        "summary": [{"what": x.what, "value": x.value, "unit": x.unit, "note": x.note} for x in lines],
        "reserves": reserves(run),
        "vaults": vaults(run),
        "terms": run.tables["terms"].rows(),
        "sensitivity": sensitivity(run),
        "sensitivity_note": sensitivity_note(run),
    }


def _contagion(run: Run) -> list[Line]:
    """What losses did beyond the markets that made them; nothing where they did nothing."""
    losses, marks = run.tables["losses"], run.tables["marks"]
    cushions = sum(float(losses.floats(f"{layer}_usd").sum()) for layer in ("module", "surplus", "insurance"))
    lowest = float(marks.floats("greatest").min(initial=1.0))
    lines = []
    if cushions:
        lines.append(Line("paid by cushions", cushions, "USD", "of what was written off, before holders lose anything"))
    if lowest < 1.0:
        note = f"the lowest is worth {lowest:.3f} of what it was for what issuers lost"
        lines.append(Line("claims that lost", len(set(marks.texts("token"))), "tokens", note))
    if exits := run.tables["exits"].rows():
        last = [row for row in exits if row["step"] == exits[-1]["step"]]
        waiting = sum(row["waiting_raw"] > 0 for row in last)
        lines.append(Line("reserves that suppliers wait for", waiting, "reserves", f"of {len(last)} that they left"))
    return lines


def _auctioned(run: Run) -> bool:
    return run.scenario.oracles.auction is not None


def _last(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    return float(values[-1]) if len(values) else 0.0
