"""Terms of the literature, measured of a run: one number each, with its unit and its formula.

A term that a run leaves undefined (the slippage of no sale, the fall of prices that rose) is absent, not 0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from chain.tables import Table
from simulator.book import Book

FloatArray = npt.NDArray[np.float64]
Row = dict[str, Any]
YEAR_S = 31_536_000.0
HOUR_S = 3600.0
FULL = 0.9999
"""Utilisation from which a reserve counts as lent out: rounding leaves dust in its cash."""


@dataclass(frozen=True)
class Basket:
    """What all accounts with debt held and owed at the start, whole tokens, shape (tokens,), and its outside prices."""

    collateral: FloatArray
    debt: FloatArray
    outside_usd: FloatArray


def basket_of(book: Book) -> Basket:
    """The basket of a book as it is now; supplies that do not count as collateral are left out."""
    size = len(book.tokens)
    collateral, debt = np.zeros(size), np.zeros(size)
    for market, tokens in zip(book.markets, book.market_tokens, strict=True):
        exposures = market.exposures()
        counted = np.where(exposures.threshold > 0, exposures.supplied, 0.0)
        rows = tokens[exposures.reserve]
        collateral += np.bincount(rows, weights=counted, minlength=size)
        debt += np.bincount(rows, weights=exposures.debt, minlength=size)
    return Basket(collateral, debt, book.outside_usd.copy())


class Observed:
    """A run's tables, and what terms share of them.

    Parameters
    ----------
    tables
        By name: what the cascade has recorded, and the accounts.
    book
        As the run has left it.
    basket
        As it was at the start.
    step_s
        Length of a step, seconds.
    """

    def __init__(self, tables: Mapping[str, Table], book: Book, basket: Basket, step_s: float) -> None:
        self.book = book
        self.basket = basket
        self.step_s = step_s
        self.tables = tables

    @cached_property
    def liquidations(self) -> list[Row]:
        """Liquidations of accounts, purchases from markets not among them."""
        return [row for row in self.tables["liquidations"].rows() if row["account"]]

    @cached_property
    def sales(self) -> list[tuple[float, float]]:
        """Of each sale of collateral, what it brought and what it was worth by the market's oracle, US dollars."""
        found = []
        for row in self.tables["liquidations"].rows():
            if row["received_raw"] and row["collateral"] != row["debt"]:
                place = self.book.token_row[row["collateral"]]
                price = self.oracle_usd[row["step"], row["market"], row["collateral"]]
                brought = row["collateral_usd"] - row["slippage_usd"]
                found.append((brought, float(row["received_raw"] / self.book.unit[place] * price)))
        return found

    @cached_property
    def outside_usd(self) -> FloatArray:
        """Outside prices, shape (steps + 1, tokens): at the start and in every step."""
        steps = len(self.tables["steps"])
        prices = np.repeat(self.basket.outside_usd[None], steps + 1, axis=0)
        for row in self.tables["prices"].rows():
            prices[row["step"], self.book.token_row[row["token"]]] = row["outside_usd"]
        return prices

    @cached_property
    def oracle_usd(self) -> dict[tuple[int, str, str], float]:
        """What a market believes of a token in a step, US dollars, at the outside price of what its prices are in."""
        units: dict[tuple[str, str], int] = {}
        numeraires: dict[str, int | None] = {}
        for market, tokens in zip(self.book.markets, self.book.market_tokens, strict=True):
            numeraires[market.name] = None if market.numeraire is None else int(tokens[market.numeraire])
            for reserve, token in enumerate(market.tokens):
                units[market.name, token] = market.price_unit(reserve)
        found = {}
        for row in self.tables["prices"].rows():
            where, numeraire = (row["market"], row["token"]), numeraires[row["market"]]
            worth = 1.0 if numeraire is None else float(self.outside_usd[row["step"], numeraire])
            found[row["step"], *where] = row["oracle_raw"] / units[where] * worth
        return found

    @cached_property
    def collateral_usd(self) -> FloatArray:
        """What the basket's collateral is worth at the start and in every step, US dollars."""
        return np.asarray(self.outside_usd @ self.basket.collateral)

    @cached_property
    def debt_usd(self) -> FloatArray:
        """What the basket's debt is worth at the start and in every step, US dollars."""
        return np.asarray(self.outside_usd @ self.basket.debt)

    @cached_property
    def fall(self) -> float | None:
        """How far the basket's collateral fell against its debt at most, a share; None if it did not."""
        held, owed = self.collateral_usd, self.debt_usd
        if not held[0] > 0.0 or not owed[0] > 0.0:
            return None
        fall = 1.0 - float((held / held[0] / (owed / owed[0])).min())
        return fall if fall > 1e-9 else None

    def column(self, table: str, name: str) -> FloatArray:
        """A column of floats."""
        return self.tables[table].floats(name)


# --- cascades ---------------------------------------------------------------------------------------------------


def _generations(run: Observed) -> float | None:
    return 1.0 + max(row["generation"] for row in run.liquidations) if run.liquidations else None


def _size(run: Observed) -> float:
    return float(len({(row["market"], row["account"]) for row in run.liquidations}))


def _branching_ratio(run: Observed) -> float | None:
    rows = run.liquidations
    return sum(row["generation"] > 0 for row in rows) / len(rows) if rows else None


# --- sales ------------------------------------------------------------------------------------------------------


def _slippage(run: Observed) -> float | None:
    worth = sum(worth for _, worth in run.sales)
    return 1.0 - sum(brought for brought, _ in run.sales) / worth if worth > 0.0 else None


def _worst_slippage(run: Observed) -> float | None:
    return max((1.0 - brought / worth for brought, worth in run.sales if worth > 0.0), default=None)


def _exhaustion(run: Observed) -> float | None:
    consumed = run.column("venues", "consumed")
    return float(consumed.max()) if consumed.any() else None


def _dispersion(run: Observed) -> float | None:
    """By pairs of tokens that two pools or more have."""
    prices: dict[tuple[int, str], dict[str, float]] = defaultdict(dict)
    for row in run.tables["venues"].rows():
        if row["price"] > 0.0:
            prices[row["step"], row["venue"]][row["token"]] = row["price"]
    rates: dict[tuple[int, str, str], list[float]] = defaultdict(list)
    for (step, _), tokens in prices.items():
        for sold, bought in combinations(sorted(tokens), 2):
            rates[step, sold, bought].append(tokens[sold] / tokens[bought])
    spreads = [
        float(np.abs(np.array(found) / np.median(found) - 1.0).max()) for found in rates.values() if len(found) > 1
    ]
    return max(spreads, default=None)


def _unfilled(run: Observed) -> float | None:
    outcomes = run.tables["liquidatable"].texts("outcome")
    return sum(outcome != "liquidated" for outcome in outcomes) / len(outcomes) if outcomes else None


def _oracle_gap(run: Observed) -> float | None:
    rows = run.tables["prices"].rows()
    gaps = [abs(run.oracle_usd[row["step"], row["market"], row["token"]] / row["outside_usd"] - 1.0) for row in rows]
    return max(gaps, default=None)


# --- liquidity --------------------------------------------------------------------------------------------------


def _utilisation(run: Observed) -> float | None:
    return max((used for _, used in _utilisations(run)), default=None)


def _full_time(run: Observed) -> float | None:
    times: dict[tuple[str, str], float] = {}
    for reserve, used in _utilisations(run):
        times[reserve] = times.get(reserve, 0.0) + (run.step_s if used >= FULL else 0.0)
    return max(times.values(), default=None)


def _utilisations(run: Observed) -> list[tuple[tuple[str, str], float]]:
    return [
        ((row["market"], row["token"]), row["lent_raw"] / (row["cash_raw"] + row["lent_raw"]))
        for row in run.tables["liquidity"].rows()
    ]


# --- leverage ---------------------------------------------------------------------------------------------------


def _systemic_leverage(when: str) -> Callable[[Observed], float | None]:
    def measured(run: Observed) -> float | None:
        assets = float(run.column("accounts", f"collateral_{when}_usd").sum())
        equity = assets - float(run.column("accounts", f"debt_{when}_usd").sum())
        return assets / equity if equity > 0.0 else None

    return measured


def _leverages(run: Observed, when: str) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Collateral over equity of every account, and which accounts have both debt and equity."""
    assets, debt = (run.column("accounts", f"{name}_{when}_usd") for name in ("collateral", "debt"))
    sound = (debt > 0.0) & (assets > debt)
    return np.divide(assets, assets - debt, out=np.ones(len(assets)), where=sound), sound


def _multiplier(when: str) -> Callable[[Observed], float | None]:
    def measured(run: Observed) -> float | None:
        leverages, sound = _leverages(run, when)
        return float(np.median(leverages[sound])) if sound.any() else None

    return measured


def _sensitivity(run: Observed) -> float | None:
    leverages, sound = _leverages(run, "before")
    debt = run.column("accounts", "debt_before_usd")[sound]
    if not len(debt):
        return None
    share, x = run.column("accounts", "repaid_usd")[sound] / debt, np.log(leverages[sound])
    x = x - np.average(x, weights=debt)
    variance = float(np.average(x * x, weights=debt))
    return float(np.average(x * share, weights=debt)) / variance if variance > 1e-12 else None


def _deleveraging(removed: Callable[[Observed], float | None]) -> Callable[[Observed], float | None]:
    def measured(run: Observed) -> float | None:
        debt = removed(run)
        return debt / (100.0 * run.fall) if run.fall and debt is not None else None

    return measured


def _repaid(run: Observed) -> float | None:
    return float(sum(row["repaid_usd"] for row in run.liquidations)) if run.liquidations else None


def _absorbed(run: Observed) -> float | None:
    taken_over = {
        (row["market"], row["account"]) for row in run.liquidations if not row["repaid_raw"] and not row["received_raw"]
    }
    left = (
        max(0.0, row["debt_before_usd"] - row["debt_after_usd"] - row["bad_debt_realised_usd"])
        for row in run.tables["accounts"].rows()
        if (row["market"], row["account"]) in taken_over
    )
    return float(sum(left)) if taken_over else None


def _written_off(run: Observed) -> float | None:
    return float(run.column("deficits", "amount_usd").sum()) if len(run.tables["deficits"]) else None


# --- prices -----------------------------------------------------------------------------------------------------


def _volatility(run: Observed) -> float | None:
    hour = max(1, round(HOUR_S / run.step_s))
    stride = hour if len(run.collateral_usd) > 2 * hour else 1
    worth = run.collateral_usd[::stride]
    if len(worth) < 3 or not worth.min() > 0.0:
        return None
    return float(np.sqrt(YEAR_S / (stride * run.step_s)) * np.diff(np.log(worth)).std(ddof=1))


def _drawdown(run: Observed) -> float | None:
    worth = run.collateral_usd
    return 1.0 - float((worth / np.maximum.accumulate(worth)).min()) if worth[0] > 0.0 else None


# --- bad debt ---------------------------------------------------------------------------------------------------


def _bad_debt(measure: str) -> Callable[[Observed], float]:
    def measured(run: Observed) -> float:
        return float(run.column("steps", f"bad_debt_{measure}_usd")[-1])

    return measured


def _bad_debt_ratio(run: Observed) -> float | None:
    owed = float(run.debt_usd[0])
    both = _bad_debt("economic")(run) + _bad_debt("realised")(run)
    return both / owed if owed > 0.0 else None


# --- all of them ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """A term: what it is called, in what unit, by what formula, from which tables and after whom."""

    name: str
    unit: str
    formula: str
    source: str
    measure: Callable[[Observed], float | None]


TERMS: Sequence[Term] = (
    Term("cascade generations", "generations", "1 + highest generation of a liquidation", "liquidations", _generations),
    Term("cascade size", "accounts", "accounts that were liquidated", "liquidations", _size),
    Term(
        "branching ratio",
        "liquidations per liquidation",
        "liquidations of generation 1 or higher / all liquidations",
        "liquidations; mean number of further liquidations per liquidation, Garcia Seuma 2026, arXiv 2608.03616",
        _branching_ratio,
    ),
    Term(
        "liquidation slippage",
        "share",
        "1 - proceeds / (amount sold * oracle price), sums over all sales",
        "liquidations, prices",
        _slippage,
    ),
    Term(
        "liquidation slippage, worst",
        "share",
        "max over sales of 1 - proceeds / (amount sold * oracle price)",
        "liquidations, prices",
        _worst_slippage,
    ),
    Term(
        "AMM exhaustion",
        "share",
        "max over steps, pools and tokens of what liquidators took out / what the pool could have paid out",
        "venues",
        _exhaustion,
    ),
    Term(
        "highest utilisation",
        "share",
        "max over steps and reserves of loans / (cash + loans)",
        "liquidity",
        _utilisation,
    ),
    Term(
        "time at 100 % utilisation",
        "seconds",
        f"max over reserves of the time with loans / (cash + loans) >= {FULL}",
        "liquidity",
        _full_time,
    ),
    Term(
        "systemic leverage ratio, start",
        "assets over equity",
        "sum of collateral / (sum of collateral - sum of debt), at oracle prices",
        "accounts",
        _systemic_leverage("before"),
    ),
    Term(
        "systemic leverage ratio, end",
        "assets over equity",
        "sum of collateral / (sum of collateral - sum of debt), at outside prices",
        "accounts",
        _systemic_leverage("after"),
    ),
    Term(
        "leverage multiplier, start",
        "assets over equity",
        "median over accounts with debt and equity of collateral / (collateral - debt) = 1 / (1 - LTV)",
        "accounts",
        _multiplier("before"),
    ),
    Term(
        "leverage multiplier, end",
        "assets over equity",
        "median over accounts with debt and equity of collateral / (collateral - debt) = 1 / (1 - LTV)",
        "accounts",
        _multiplier("after"),
    ),
    Term(
        "leverage sensitivity",
        "share of debt repaid per unit of ln(leverage)",
        "slope of (debt repaid by liquidators / debt) on ln(collateral / (collateral - debt)), at the start, over "
        "accounts weighted by their debt",
        "accounts",
        _sensitivity,
    ),
    Term(
        "deleveraging by liquidation",
        "USD per 1 % fall",
        "debt repaid by liquidators / (100 * largest fall of all collateral's worth against all debt's)",
        "liquidations, prices",
        _deleveraging(_repaid),
    ),
    Term(
        "deleveraging by absorption",
        "USD per 1 % fall",
        "debt of absorbed accounts at the start less at the end, without what was written off / (100 * largest fall)",
        "accounts, liquidations, prices",
        _deleveraging(_absorbed),
    ),
    Term(
        "deleveraging by write-off",
        "USD per 1 % fall",
        "debt written off / (100 * largest fall)",
        "deficits, prices",
        _deleveraging(_written_off),
    ),
    Term(
        "venue dispersion",
        "share",
        "max over steps and pairs of tokens of |price in a pool / median over pools - 1|",
        "venues",
        _dispersion,
    ),
    Term(
        "unfilled share",
        "share",
        "liquidatable accounts that nobody took / all, counted in every step",
        "liquidatable",
        _unfilled,
    ),
    Term(
        "oracle gap",
        "share",
        "max over steps, markets and tokens of |oracle price / outside price - 1|",
        "prices",
        _oracle_gap,
    ),
    Term(
        "realised volatility",
        "share a year",
        "sqrt(year / interval) * standard deviation of log returns of all collateral at the start, hourly; in runs of "
        "less than two hours, and with longer steps, by steps",
        "prices",
        _volatility,
    ),
    Term(
        "largest drawdown",
        "share",
        "max over steps of 1 - worth of all collateral at the start / its highest worth before",
        "prices",
        _drawdown,
    ),
    Term(
        "systemic bad debt, economic",
        "USD",
        "sum over accounts of max(0, debt - collateral / bonus) at the end, at outside prices",
        "steps",
        _bad_debt("economic"),
    ),
    Term(
        "systemic bad debt, realised",
        "USD",
        "debt that the protocols' own rules have written off, at outside prices of the end",
        "steps",
        _bad_debt("realised"),
    ),
    Term(
        "systemic bad debt ratio",
        "share",
        "(economic + realised) / debt at the start, at outside prices",
        "steps, prices",
        _bad_debt_ratio,
    ),
)


def measure(run: Observed) -> list[Row]:
    """Rows of the run's table `terms`: those that the run defines, in the order of `TERMS`."""
    rows = []
    for term in TERMS:
        value = term.measure(run)
        if value is not None:
            rows.append(
                {
                    "name": term.name,
                    "value": float(value),
                    "unit": term.unit,
                    "formula": term.formula,
                    "source": term.source,
                }
            )
    return rows
