"""What is in a book: totals by reserve, and the accounts nearest to liquidation with the prices that liquidate them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from protocols.lending.interface import Exposures
from simulator.book import Book, Valuation, value
from simulator.scans.critical import critical_prices

if TYPE_CHECKING:
    import pandas as pd

IntArray = npt.NDArray[np.int64]


def totals(book: Book) -> pd.DataFrame:
    """What the accounts with debt supply and owe, by market and reserve, at oracle prices.

    Returns
    -------
    Columns market, token, oracle_usd, supplied (whole tokens, of accounts with debt), collateral_usd (the part that
    counts), debt (whole tokens), debt_usd.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for number, market in enumerate(book.markets):
        exposures, prices = market.exposures(), book.oracle_usd(number)
        counted = np.where(exposures.threshold > 0, exposures.supplied, 0.0)
        size = len(market.tokens)
        supplied = np.bincount(exposures.reserve, weights=exposures.supplied, minlength=size)
        collateral = np.bincount(exposures.reserve, weights=counted, minlength=size) * prices
        debt = np.bincount(exposures.reserve, weights=exposures.debt, minlength=size)
        for reserve, token in enumerate(book.market_tokens[number]):
            rows.append(
                {
                    "market": market.name,
                    "token": book.tokens[int(token)].symbol,
                    "oracle_usd": float(prices[reserve]),
                    "supplied": float(supplied[reserve]),
                    "collateral_usd": float(collateral[reserve]),
                    "debt": float(debt[reserve]),
                    "debt_usd": float(debt[reserve] * prices[reserve]),
                }
            )
    return pd.DataFrame(rows)


def riskiest(book: Book, count: int) -> pd.DataFrame:
    """The accounts with the lowest health factors, at oracle prices.

    Parameters
    ----------
    count
        How many of each market.

    Returns
    -------
    One row for each account and each token that can liquidate it alone: market, account, health_factor, current_ltv,
    maximum_ltv, collateral_usd, debt_usd, token, side ("falls to" for collateral, "rises to" for debt),
    liquidation_price_usd, move (relative to the oracle price). An account that no single price can liquidate has
    one row with an empty token.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for number, market in enumerate(book.markets):
        exposures, prices = market.exposures(), book.oracle_usd(number)
        valuation = value(exposures, prices)
        symbols = [book.tokens[int(token)].symbol for token in book.market_tokens[number]]
        shown = np.argsort(valuation.health_factor, kind="stable")[:count]
        for account, critical in zip(shown, critical_prices(_only(exposures, shown), prices), strict=True):
            facts = _facts(market.name, market.accounts[account], valuation, int(account))
            rows += [
                {
                    **facts,
                    "token": symbols[reserve],
                    "side": "falls to" if critical[reserve] < prices[reserve] else "rises to",
                    "liquidation_price_usd": float(critical[reserve]),
                    "move": float(critical[reserve] / prices[reserve] - 1.0),
                }
                for reserve in np.flatnonzero(np.isfinite(critical))
            ] or [{**facts, "token": "", "side": "", "liquidation_price_usd": np.nan, "move": np.nan}]
    return pd.DataFrame(rows)


def _only(exposures: Exposures, accounts: IntArray) -> Exposures:
    """The positions of some accounts, in their order."""
    entries = [np.arange(exposures.offsets[account], exposures.offsets[account + 1]) for account in accounts]
    offsets = np.cumsum([0, *map(len, entries)], dtype=np.int64)
    kept = np.concatenate([*entries, np.empty(0, dtype=np.int64)]).astype(np.int64)
    return Exposures(
        offsets,
        exposures.reserve[kept],
        exposures.supplied[kept],
        exposures.debt[kept],
        exposures.threshold[kept],
        exposures.ltv[kept],
        exposures.bonus[kept],
    )


def _facts(market: str, account: str, valuation: Valuation, row: int) -> dict[str, Any]:
    return {
        "market": market,
        "account": account,
        "health_factor": float(valuation.health_factor[row]),
        "current_ltv": float(valuation.current_ltv[row]),
        "maximum_ltv": float(valuation.maximum_ltv[row]),
        "collateral_usd": float(valuation.collateral_usd[row]),
        "debt_usd": float(valuation.debt_usd[row]),
    }
