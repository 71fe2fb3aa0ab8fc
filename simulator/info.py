"""What is in a book: totals by reserve, and the accounts nearest to liquidation with the prices that liquidate them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from protocols.lending.interface import Exposures
from simulator.book import Book, Valuation, value

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]


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
        for account in np.argsort(valuation.health_factor, kind="stable")[:count]:
            facts = _facts(market.name, market.accounts[account], valuation, int(account))
            critical = critical_prices(exposures, valuation, prices, int(account))
            rows += [
                {
                    **facts,
                    "token": symbols[reserve],
                    "side": "falls to" if price < prices[reserve] else "rises to",
                    "liquidation_price_usd": price,
                    "move": price / prices[reserve] - 1.0,
                }
                for reserve, price in critical
            ] or [{**facts, "token": "", "side": "", "liquidation_price_usd": np.nan, "move": np.nan}]
    return pd.DataFrame(rows)


def critical_prices(
    exposures: Exposures, valuation: Valuation, prices_usd: FloatArray, account: int
) -> list[tuple[int, float]]:
    """For each reserve, the oracle price at which its move alone makes an account liquidatable.

    Collateral times threshold less debt is a straight line in one price p, ``slope * p + rest``; it meets zero at
    ``-rest / slope``. A reserve in which the account both supplies and owes counts with the difference.

    Returns
    -------
    (reserve, price in US dollars), without those that no positive price does it for.
    """
    margin = float(valuation.limit_usd[account] - valuation.debt_usd[account])
    slopes: dict[int, float] = {}
    for entry in range(int(exposures.offsets[account]), int(exposures.offsets[account + 1])):
        reserve = int(exposures.reserve[entry])
        slope = float(exposures.supplied[entry] * exposures.threshold[entry] - exposures.debt[entry])
        slopes[reserve] = slopes.get(reserve, 0.0) + slope
    critical = []
    for reserve, slope in sorted(slopes.items()):
        if slope == 0.0:
            continue
        price = float(prices_usd[reserve]) - margin / slope
        # below that it is what rounding left of zero
        if price > 1e-9 * float(prices_usd[reserve]):
            critical.append((reserve, price))
    return critical


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
