"""What a crash did: a Run, as tables on disk and as DataFrames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from chain.snapshot import Snapshot
from chain.tables import Column, Folder, Kind, Schema, Table, read_folder
from simulator.book import Book, Valuation, bad_debt_by_reserve, open_book, value
from simulator.losses.vaults import VAULT_LOSSES, vault_losses
from simulator.scenario import Scenario, scenario_from

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]
OUTSIDE = "US dollars at the outside price of its step"


def _schema(name: str, key: Sequence[str], columns: Sequence[tuple[str, Kind, str]]) -> Schema:
    return Schema(name, tuple(key), tuple(Column(*column) for column in columns))


_STEP: tuple[str, Kind, str] = ("step", "int64", "from 1")
_MARKET: tuple[str, Kind, str] = ("market", "text", "name of the market in the snapshot")
_ACCOUNT: tuple[str, Kind, str] = ("account", "text", "address; empty where the market sells what it holds")
_TOKEN: tuple[str, Kind, str] = ("token", "text", "address")
_MONEY: tuple[tuple[str, Kind, str], ...] = (
    ("collateral_usd", "float64", f"collateral that liquidators received, {OUTSIDE}"),
    ("repaid_usd", "float64", f"debt that liquidators repaid, {OUTSIDE}"),
    ("protocol_fee_usd", "float64", f"the protocol's share of the bonus, paid by the borrower, {OUTSIDE}"),
    (
        "slippage_usd",
        "float64",
        f"collateral_usd less what its sale brought, pool fees included, {OUTSIDE}; paid by the liquidator",
    ),
    ("flash_fee_usd", "float64", f"cost of borrowing the repayment, {OUTSIDE}; paid by the liquidator"),
    ("gas_usd", "float64", "gas, US dollars; paid by the liquidator"),
    (
        "auction_usd",
        "float64",
        "what the winner of an oracle's auction handed back, US dollars; paid by the liquidator",
    ),
    ("profit_usd", "float64", "what is left to the liquidator"),
)

STEPS = _schema(
    "steps",
    ["step"],
    [
        _STEP,
        ("timestamp", "int64", "unix seconds"),
        ("accounts_liquidatable", "int64", "accounts with a health factor below 1 before liquidators act"),
        ("accounts_liquidated", "int64", "accounts that were liquidated in the step"),
        ("liquidations", "int64", "number of liquidations"),
        *_MONEY,
        ("bad_debt_economic_usd", "float64", "what full liquidations now could not recover, at outside prices"),
        (
            "bad_debt_realised_usd",
            "float64",
            "what the protocols' own rules have written off since the start, at outside prices",
        ),
    ],
)
PRICES = _schema(
    "prices",
    ["step", "market", "token"],
    [
        _STEP,
        _MARKET,
        _TOKEN,
        ("outside_usd", "float64", "outside price of one whole token, US dollars"),
        ("oracle_raw", "uint256", "what the market believes, base units"),
        ("published", "bool", "whether the feed spoke in this step"),
    ],
)
LIQUIDATABLE = _schema(
    "liquidatable",
    ["step", "market", "account"],
    [
        _STEP,
        _MARKET,
        _ACCOUNT,
        ("health_raw", "int256", "the number by which the protocol decides, before liquidators act"),
        (
            "outcome",
            "text",
            "liquidated; or why nobody did: not noticed (yet), no offer (its rules, its cash or a freeze allow none), "
            "no profit, no block space",
        ),
    ],
)
LIQUIDATIONS = _schema(
    "liquidations",
    ["liquidation"],
    [
        ("liquidation", "int64", "number, from 0"),
        ("sequence", "int64", "place in the order of all liquidations and swaps"),
        _STEP,
        ("timestamp", "int64", "unix seconds"),
        _MARKET,
        _ACCOUNT,
        ("collateral", "text", "address of the token received"),
        ("debt", "text", "address of the token repaid"),
        ("health_raw", "int256", "the number by which the protocol decides, before"),
        ("generation", "int64", "0 if it takes no impact of earlier ones, n if it takes that of generation n - 1"),
        ("amount_raw", "uint256", "repayment offered, smallest units"),
        ("repaid_raw", "uint256", "repayment accepted, smallest units"),
        ("received_raw", "uint256", "collateral to the liquidator, smallest units"),
        ("fee_raw", "uint256", "collateral to the protocol, smallest units"),
        ("claim_raw", "uint256", "claims received and redeemed for it, smallest units; 0 where it was paid out itself"),
        ("proceeds_raw", "uint256", "what selling the collateral brought, smallest units of the debt token"),
        *_MONEY,
    ],
)
DEFICITS = _schema(
    "deficits",
    ["liquidation", "token"],
    [
        ("liquidation", "int64", "the liquidation that left it"),
        _MARKET,
        _ACCOUNT,
        _TOKEN,
        ("amount_raw", "uint256", "debt written off, smallest units"),
        ("amount_usd", "float64", f"the same, {OUTSIDE}"),
        ("borne_by", "text", "who loses it; empty where nobody does until governance acts"),
    ],
)
SWAPS = _schema(
    "swaps",
    ["sequence"],
    [
        ("sequence", "int64", "place in the order of all liquidations and swaps"),
        _STEP,
        ("liquidation", "int64", "whose collateral is sold; -1 for arbitrage"),
        ("venue", "text", "name of the pool: its address, or its key where one contract holds many"),
        ("protocol", "text", "of the pool"),
        ("token_in", "text", "address"),
        ("token_out", "text", "address"),
        ("amount_raw", "uint256", "amount offered, smallest units"),
        ("limit_raw", "uint256", "price limit given to the pool; 0 for none"),
        ("paid_raw", "uint256", "what went in, smallest units"),
        ("received_raw", "uint256", "what came out, smallest units"),
        ("fee_usd", "float64", f"the pool's fee, {OUTSIDE}"),
    ],
)
WITHDRAWALS = _schema(
    "withdrawals",
    ["sequence", "token"],
    [
        ("sequence", "int64", "place in the order of all liquidations, swaps and withdrawals"),
        _STEP,
        ("venue", "text", "address of the pool"),
        ("protocol", "text", "of the pool"),
        _TOKEN,
        ("amount_raw", "uint256", "what liquidity providers took out, smallest units"),
    ],
)
LIQUIDITY = _schema(
    "liquidity",
    ["step", "market", "token"],
    [
        _STEP,
        _MARKET,
        _TOKEN,
        ("cash_raw", "uint256", "what the reserve could pay out at the end of the step, smallest units"),
        ("lent_raw", "uint256", "what is lent out of it with interest, smallest units"),
    ],
)
VENUES = _schema(
    "venues",
    ["step", "venue", "token"],
    [
        _STEP,
        ("venue", "text", "address of the pool"),
        _TOKEN,
        ("price", "float64", "of one whole token in the pool's first, at the end of the step; 0 without one"),
        ("consumed", "float64", "share of what the pool could pay out of it that liquidators took in the step"),
    ],
)
LOSSES = _schema(
    "losses",
    ["step", "market", "token"],
    [
        ("step", "int64", "in which it counts; it was written off in the step before"),
        _MARKET,
        _TOKEN,
        ("amount_raw", "uint256", "debt written off, smallest units"),
        ("module_usd", "float64", "of it slashed from the safety module, US dollars at the outside price then"),
        ("surplus_usd", "float64", "of it paid by the protocol's surplus, in the same dollars"),
        ("insurance_usd", "float64", "of it paid by insurance, in the same dollars"),
        ("holders_usd", "float64", "what is left to those who hold claims, in the same dollars"),
    ],
)
MARKS = _schema(
    "marks",
    ["step", "token"],
    [
        _STEP,
        ("token", "text", "address; only tokens of which something is lost, or may be"),
        ("greatest", "float64", "worth over that at the start, for what issuers have lost: the greatest solution"),
        (
            "least",
            "float64",
            "the least solution, below it where claims go round in a circle; the run is on the greatest",
        ),
    ],
)
EXITS = _schema(
    "exits",
    ["step", "market", "token"],
    [
        _STEP,
        _MARKET,
        _TOKEN,
        ("demanded_raw", "uint256", "what suppliers asked for in the step, smallest units"),
        ("served_raw", "uint256", "what they were paid, smallest units"),
        ("waiting_raw", "uint256", "what they have asked for and still wait for, smallest units"),
        ("utilisation", "float64", "share of the reserve that is lent, after it"),
    ],
)
EXIT_TIMES = _schema(
    "exit_times",
    ["market", "token", "tenths"],
    [
        _MARKET,
        _TOKEN,
        ("tenths", "int64", "size of the supplier at the head of the line, tenths of all who may leave"),
        ("amount_raw", "uint256", "the same, smallest units"),
        ("seconds", "float64", "from the beginning of the run on suppliers to when it is out; infinite if it never is"),
    ],
)
ACCOUNTS = _schema(
    "accounts",
    ["market", "account"],
    [
        _MARKET,
        _ACCOUNT,
        ("health_factor_before", "float64", "in the snapshot, at oracle prices"),
        ("health_factor_after", "float64", "at the end, at oracle prices"),
        ("collateral_before_usd", "float64", "in the snapshot, at oracle prices"),
        ("collateral_after_usd", "float64", "at the end, at outside prices"),
        ("debt_before_usd", "float64", "in the snapshot, at oracle prices"),
        ("debt_after_usd", "float64", "at the end, at outside prices"),
        ("liquidations", "int64", "how often it was liquidated"),
        ("repaid_usd", "float64", "debt repaid by liquidators, US dollars at the outside prices of the steps"),
        ("bad_debt_economic_usd", "float64", "max(0, debt - collateral / bonus) at the end, at outside prices"),
        (
            "bad_debt_realised_usd",
            "float64",
            "written off by the protocol, US dollars at the outside prices of the steps",
        ),
    ],
)
RESERVES = _schema(
    "reserves",
    ["market", "token"],
    [
        _MARKET,
        _TOKEN,
        ("sold_raw", "uint256", "collateral of this token that liquidators received, smallest units"),
        ("repaid_raw", "uint256", "debt in this token that liquidators repaid, smallest units"),
        ("deficit_before_raw", "uint256", "deficit booked by the protocol in the snapshot, smallest units"),
        ("deficit_after_raw", "uint256", "deficit booked by the protocol at the end, smallest units"),
        ("bad_debt_realised_usd", "float64", "deficit booked during the run, at the outside price of the end"),
        (
            "bad_debt_economic_usd",
            "float64",
            "accounts' economic bad debt, by the shares of their debts, at outside prices",
        ),
    ],
)
TERMS = _schema(
    "terms",
    ["name"],
    [
        ("name", "text", "what is measured"),
        ("value", "float64", "of it; a term that the run leaves undefined is not there"),
        ("unit", "text", "of the value"),
        ("formula", "text", "how it is computed"),
        ("source", "text", "tables of the run that it is computed from, and who defined it"),
    ],
)
SENSITIVITY = _schema(
    "sensitivity",
    ["parameter", "end"],
    [
        ("parameter", "text", "of the scenario's venues; everything else is as in the run"),
        ("end", "text", "low or high: of what calibration leaves of it"),
        ("value", "float64", "of the parameter"),
        ("bad_debt_realised_usd", "float64", "written off by the protocols, at final outside prices"),
        ("bad_debt_economic_usd", "float64", "what full liquidations could not recover, at final outside prices"),
        ("collateral_usd", "float64", f"collateral that liquidators received and sold, {OUTSIDE}"),
        ("slippage_usd", "float64", f"collateral_usd less what its sale brought, {OUTSIDE}; paid by liquidators"),
    ],
)
_FACTS = (
    *("snapshot", "scenario", "scenario_digest", "seed", "versions", "notes"),
    *("markets", "feeds", "symbols", "decimals", "outside_usd"),
)
_RECORDED = (
    *(STEPS, PRICES, LIQUIDATABLE, LIQUIDATIONS, DEFICITS, SWAPS, WITHDRAWALS, LIQUIDITY, VENUES),
    *(LOSSES, MARKS, EXITS, EXIT_TIMES),
)
"""Tables whose rows the cascade writes itself."""
SCHEMAS = {s.name: s for s in (*_RECORDED, ACCOUNTS, RESERVES, VAULT_LOSSES, TERMS, SENSITIVITY)}


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes
    ----------
    facts
        The manifest: hashes of snapshot and scenario, the scenario itself, the seed, versions, notes.
    tables
        By name; what their columns mean and their units stand in `SCHEMAS`.
    """

    facts: dict[str, Any]
    tables: dict[str, Table]

    def write(self, path: Path) -> None:
        """Write to a new folder, whole or not at all; raises InputError where that cannot be."""
        Folder("run", self.facts, self.tables).write(path)

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario that was run."""
        return scenario_from(self.facts["scenario"], "the run's scenario")

    @property
    def notes(self) -> list[str]:
        """What a reader of the result must know."""
        return [str(note) for note in self.facts["notes"]]

    def frame(self, table: str) -> pd.DataFrame:
        """One table as a DataFrame."""
        return self.tables[table].frame()

    def total(self, column: str) -> float:
        """Sum of a column of the liquidations, US dollars."""
        return float(self.tables["liquidations"].floats(column).sum())

    @property
    def headline(self) -> dict[str, float]:
        """Bad debt at the end, and what was sold over the run at what loss, US dollars; as in `SENSITIVITY`."""
        steps = self.tables["steps"]
        ends = ("bad_debt_realised_usd", "bad_debt_economic_usd")
        return {n: float(steps.floats(n)[-1]) for n in ends} | {
            n: self.total(n) for n in ("collateral_usd", "slippage_usd")
        }


def read_run(path: Path) -> Run:
    """Read a run back, checked; raises InputError naming the file (and the row) that is not as it should be."""
    folder = read_folder(path, "run", SCHEMAS)
    for name in SCHEMAS:
        if name not in folder.tables:
            raise InputError(f"{path} has no table {name}")
    for fact in _FACTS:
        if fact not in folder.facts:
            raise InputError(f"{path}/manifest.json is not a run's manifest: it has no {fact}")
    return Run(dict(folder.facts), dict(folder.tables))


def simulate(
    snapshot: Snapshot,
    scenario: Scenario,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Run a scenario on a snapshot.

    Parameters
    ----------
    snapshot, scenario
        Where and what.
    workers
        Threads for the scan of the book; the result does not depend on it.
    progress
        Told how many steps are done, and how many there are.

    Raises
    ------
    InputError
        If the scenario names a token that the snapshot does not have, or a token has no price.
    UnsupportedError
        If the snapshot holds a market whose version has no rules.
    """
    from simulator.cascade import Cascade
    from simulator.measures import terms
    from simulator.scans.screen import workers as threads

    book = open_book(snapshot)
    if not (book.venues or scenario.venues.books) and scenario.liquidators.sell == "pools":
        raise InputError(
            "the snapshot has no pools in which collateral could be sold; let liquidators sell to an outside market "
            "(in a scenario liquidators.sell = 'outside' and its outside_haircut, in a stress --haircut)"
        )
    outside = {token.address: float(price) for token, price in zip(book.tokens, book.outside_usd, strict=True)}
    before = [value(market.exposures(), book.oracle_usd(row)) for row, market in enumerate(book.markets)]
    deficits = [list(market.deficits_raw()) for market in book.markets]
    basket = terms.basket_of(book)
    with threads(workers):
        record = Cascade(book, scenario, published(snapshot, book)).run(progress)
    tables = {schema.name: Table.from_rows(schema, getattr(record, schema.name)) for schema in _RECORDED}
    tables["accounts"] = Table.from_rows(ACCOUNTS, _account_rows(book, before, record.liquidations, record.deficits))
    tables["reserves"] = Table.from_rows(RESERVES, _reserve_rows(book, deficits, record.liquidations))
    tables["vault_losses"] = Table.from_rows(VAULT_LOSSES, vault_losses(snapshot, book, tables["reserves"]))
    tables["terms"] = Table.from_rows(TERMS, terms.measure(terms.Observed(tables, book, basket, scenario.step_s)))
    tables["sensitivity"] = Table.from_rows(SENSITIVITY, [])
    facts = {
        "snapshot": {
            "digest": snapshot.digest,
            "chain_id": snapshot.chain_id,
            "block": snapshot.block_number,
            "hash": snapshot.block_hash,
            "timestamp": snapshot.timestamp,
            "origin": snapshot.origin,
        },
        "scenario": scenario.model_dump(mode="json"),
        "scenario_digest": scenario.digest,
        "seed": scenario.seed,
        "versions": versions(),
        "notes": [*snapshot.notes, *_unverified(book), *_ambiguous(book, record.marks), *scenario.notes],
        "markets": [
            {"name": m.name, "protocol": m.protocol, "version": m.version, "addresses": dict(m.addresses)}
            for m in snapshot.markets
        ],
        "feeds": list(zip(*(snapshot.tables["oracles"].texts(n) for n in ("market", "token", "feed")), strict=True)),
        "symbols": {token.address: token.symbol for token in book.tokens},
        "outside_usd": outside,
        "decimals": {token.address: token.decimals for token in book.tokens},
    }
    return Run(facts, tables)


def versions() -> dict[str, str]:
    """Versions of what runs are made with."""
    return {"unwind": version("unwind-defi"), "numpy": np.__version__}


def _unverified(book: Book) -> list[str]:
    """What no recorded contract answer confirms, of markets and of kinds of pools."""
    anchors = [f"{symbol} is taken for one US dollar: no oracle of the snapshot says so." for symbol in book.assumed]
    pools = {venue.protocol: venue.caveat for venue in book.venues if venue.caveat}
    return (
        [*anchors]
        + [f"pools of {protocol}: their rules are unverified: {caveat}" for protocol, caveat in pools.items()]
        + [
            f"{market.name}: the rules of {market.protocol} {market.version} are unverified: {market.caveat}"
            for market in book.markets
            if market.caveat
        ]
    )


def _ambiguous(book: Book, marks: list[dict[str, Any]]) -> list[str]:
    """Which claims have no one worth, because they go round in a circle."""
    addresses = {row["token"] for row in marks if row["greatest"] - row["least"] > 1e-9}
    symbols = ", ".join(sorted(token.symbol for token in book.tokens if token.address in addresses))
    if not symbols:
        return []
    return [f"claims go round in a circle, and could be worth less than the run takes (table marks): {symbols}"]


def published(snapshot: Snapshot, book: Book) -> list[list[int]]:
    """When each reserve's feed last answered."""
    oracles = snapshot.tables["oracles"]
    keys = zip(oracles.texts("market"), oracles.texts("token"), strict=True)
    times = dict(zip(keys, oracles.ints("published_at"), strict=True))
    return [[times.get((market.name, token), 0) for token in market.tokens] for market in book.markets]


def _account_rows(
    book: Book, before: list[Valuation], liquidations: list[dict[str, Any]], deficits: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    count: dict[tuple[str, str], int] = {}
    repaid: dict[tuple[str, str], float] = {}
    realised: dict[tuple[str, str], float] = {}
    for row in liquidations:
        key = (row["market"], row["account"])
        count[key] = count.get(key, 0) + 1
        repaid[key] = repaid.get(key, 0.0) + row["repaid_usd"]
    for row in deficits:
        key = (row["market"], row["account"])
        realised[key] = realised.get(key, 0.0) + row["amount_usd"]
    rows = []
    for number, market in enumerate(book.markets):
        exposures = market.exposures()
        health = value(exposures, book.oracle_usd(number)).health_factor
        after = value(exposures, book.outside_usd[book.market_tokens[number]])
        start = before[number]
        start_health, economic = start.health_factor, after.bad_debt_usd
        for account, address in enumerate(market.accounts):
            key = (market.name, address)
            rows.append(
                {
                    "market": market.name,
                    "account": address,
                    "health_factor_before": float(start_health[account]),
                    "health_factor_after": float(health[account]),
                    "collateral_before_usd": float(start.collateral_usd[account]),
                    "collateral_after_usd": float(after.collateral_usd[account]),
                    "debt_before_usd": float(start.debt_usd[account]),
                    "debt_after_usd": float(after.debt_usd[account]),
                    "liquidations": count.get(key, 0),
                    "repaid_usd": repaid.get(key, 0.0),
                    "bad_debt_economic_usd": float(economic[account]),
                    "bad_debt_realised_usd": realised.get(key, 0.0),
                }
            )
    return rows


def _reserve_rows(book: Book, deficits: list[list[int]], liquidations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    sold: dict[tuple[str, str], int] = {}
    repaid: dict[tuple[str, str], int] = {}
    for row in liquidations:
        for amounts, token, amount in (
            (sold, row["collateral"], row["received_raw"]),
            (repaid, row["debt"], row["repaid_raw"]),
        ):
            key = (row["market"], token)
            amounts[key] = amounts.get(key, 0) + amount
    rows = []
    for number, market in enumerate(book.markets):
        tokens = book.market_tokens[number]
        economic = bad_debt_by_reserve(market.exposures(), book.outside_usd[tokens])
        for reserve, (token, was, now) in enumerate(zip(tokens, deficits[number], market.deficits_raw(), strict=True)):
            address = book.tokens[int(token)].address
            rows.append(
                {
                    "market": market.name,
                    "token": address,
                    "sold_raw": sold.get((market.name, address), 0),
                    "repaid_raw": repaid.get((market.name, address), 0),
                    "deficit_before_raw": was,
                    "deficit_after_raw": now,
                    "bad_debt_realised_usd": book.usd(int(token), now - was),
                    "bad_debt_economic_usd": float(economic[reserve]),
                }
            )
    return rows
