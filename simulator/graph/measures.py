"""Measures of an exposure graph, as DataFrames; dollars are at outside prices.

Two senses of pledging twice are kept apart. *Re-pledging* is of claims: a token is deposited, and the claim on it is
deposited again (:func:`repledging`). *Rehypothecation* is of the collateral itself, by a venue that lends it out
(:func:`rehypothecation`).

What is *locked* is what lies behind claims, counted where it lies: what a reserve's suppliers own, what backs a claim
whose issuer is no market or pool of the snapshot, and what pools hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.graph.arrays import FloatArray, sums
from simulator.graph.claims import OFF_CHAIN
from simulator.graph.exposure import ExposureGraph
from simulator.graph.holdings import DAY_S
from simulator.graph.placements import placed

if TYPE_CHECKING:
    import pandas as pd


ALL = "all"
"""What the row of a total is called."""


def locked_usd(graph: ExposureGraph) -> FloatArray:
    """What is locked of each token itself, US dollars, shape (tokens,)."""
    size, reserves, claims, pools = len(graph.tokens), graph.reserves, graph.claims, graph.pools
    locked = sums(reserves.token, reserves.held, size)
    locked += sums(pools.token, pools.amount, size)
    lent = {(graph.markets[int(m)], int(t)) for m, t in zip(reserves.market, reserves.token, strict=True)}
    elsewhere = [
        underlying != OFF_CHAIN and issuer not in graph.pools.names and (issuer, underlying) not in lent
        for issuer, underlying in zip(claims.issuer, claims.underlying.tolist(), strict=True)
    ]
    own = np.flatnonzero(elsewhere)
    locked += sums(claims.underlying[own], claims.backing[own] - placed(claims, graph.placements)[own], size)
    return np.asarray(locked * graph.price_usd)


def pledged_usd(graph: ExposureGraph) -> FloatArray:
    """What accounts have pledged of each token itself, US dollars, shape (tokens,)."""
    token = graph.reserves.token[graph.holdings.reserve]
    return sums(token, graph.holdings.pledged, len(graph.tokens)) * graph.price_usd


def repledging(graph: ExposureGraph) -> pd.DataFrame:
    """How often each base asset is deposited, through every path of claims.

    Returns
    -------
    One row a base asset of which anything is locked, and one for all: token, primary_usd (locked as itself: total value
    redeemable, TVR), locked_usd (locked in any form, by the share of its worth that is a claim on this asset: total
    value locked, TVL), multiplier (TVL / TVR; 1 / (1 - q) where the share q of every claim is deposited again),
    pledged_usd (pledged as collateral in any form), depth (claims on the longest path up to what is locked), mean_depth
    (by value). The largest come first.

    Notes
    -----
    Luo, Feng, Xu and Tasca, "Piercing the Veil of TVL" (2024): TVL / TVR is DeFi's money multiplier.
    """
    import pandas as pd

    locked, pledged, claims = locked_usd(graph), pledged_usd(graph), graph.claims
    bases = claims.bases
    through = np.asarray(bases.T @ locked).ravel()
    pledged_through = np.asarray(bases.T @ pledged).ravel()
    deep = np.asarray(bases.T @ (locked * claims.depth)).ravel()
    is_base = np.asarray(claims.shares.sum(axis=1)).ravel() == 0.0
    own = bases.diagonal()
    primary = np.where(is_base, locked, locked * own)
    entries = bases.tocoo()
    reached = (locked[entries.row] > 0) & (entries.data > 0)
    depth = np.zeros(len(locked), dtype=np.int64)
    np.maximum.at(depth, entries.col[reached], claims.depth[entries.row[reached]])
    rows = [
        {
            "token": graph.tokens[base].symbol,
            "primary_usd": float(primary[base]),
            "locked_usd": float(through[base]),
            "multiplier": _ratio(through[base], primary[base]),
            "pledged_usd": float(pledged_through[base]),
            "depth": int(depth[base]),
            "mean_depth": _ratio(deep[base], through[base]),
        }
        for base in sorted(np.flatnonzero(through > 0).tolist(), key=lambda base: (-through[base], base))
    ]
    total = {
        "token": ALL,
        "primary_usd": float(primary.sum()),
        "locked_usd": float(locked.sum()),
        "multiplier": _ratio(locked.sum(), primary.sum()),
        "pledged_usd": float(pledged.sum()),
        "depth": int(depth.max(initial=0)),
        "mean_depth": _ratio(float(deep.sum()), float(locked.sum())),
    }
    return pd.DataFrame([*rows, total])


def rehypothecation(graph: ExposureGraph) -> pd.DataFrame:
    """How much collateral venues lend out.

    Returns
    -------
    One row a reserve in which anything is pledged, and one for all: market, token, pledged_usd, share (lent out of what
    suppliers own; 0 where the venue does not lend collateral, as Comet and Morpho do not), rehypothecated_usd (pledged
    times share), multiplier (owed to suppliers over what is there to pay them: 1 / (1 - share)).
    """
    import pandas as pd

    reserves, holdings = graph.reserves, graph.holdings
    pledged = sums(holdings.reserve, holdings.pledged, len(reserves.token))
    pledged *= graph.price_usd[reserves.token]
    lent = pledged * reserves.rehypothecated
    rows = [
        {
            "market": graph.markets[int(reserves.market[r])],
            "token": graph.tokens[int(reserves.token[r])].symbol,
            "pledged_usd": float(pledged[r]),
            "share": float(reserves.rehypothecated[r]),
            "rehypothecated_usd": float(lent[r]),
            "multiplier": _ratio(1.0, 1.0 - float(reserves.rehypothecated[r])),
        }
        for r in np.flatnonzero(pledged > 0)
    ]
    share = _ratio(float(lent.sum()), float(pledged.sum()))
    total = {
        "market": ALL,
        "token": ALL,
        "pledged_usd": float(pledged.sum()),
        "share": share,
        "rehypothecated_usd": float(lent.sum()),
        "multiplier": _ratio(1.0, 1.0 - share),
    }
    return pd.DataFrame([*rows, total])


def maturities(graph: ExposureGraph) -> pd.DataFrame:
    """Claims that fall due, such as principal tokens, the first due first.

    Returns
    -------
    token, underlying (symbols), issuer, due (UTC), days (until then; below 0 once it is over), supply and owed_usd (of
    all there are, at the underlying's outside price), discount (what a token costs below what it is owed, a share of
    that; at outside prices, which are the oracles' of the snapshot), yearly (the rate at which the discount is gone
    when it falls due, compounded continuously; NaN once it is due, or where a token costs nothing), pledged_usd
    (pledged by accounts, at what it costs).
    """
    import pandas as pd

    claims, price = graph.claims, graph.price_usd
    pledged, rows = pledged_usd(graph), []
    for entry in np.lexsort((claims.token, claims.due_at)).tolist():
        token, underlying, due_at = int(claims.token[entry]), int(claims.underlying[entry]), int(claims.due_at[entry])
        if not due_at or underlying == OFF_CHAIN:
            continue
        owed = float(claims.rate[entry] * price[underlying])
        days = (due_at - graph.timestamp) / DAY_S
        ratio = _ratio(float(price[token]), owed)
        rows.append(
            {
                "token": graph.tokens[token].symbol,
                "underlying": graph.tokens[underlying].symbol,
                "issuer": claims.issuer[entry],
                "due": np.datetime_as_string(np.datetime64(due_at, "s"), unit="m").replace("T", " "),
                "days": days,
                "supply": float(claims.supply[entry]),
                "owed_usd": float(claims.supply[entry]) * owed,
                "discount": 1.0 - ratio,
                "yearly": -np.log(ratio) * 365.0 / days if days > 0 and 0 < ratio < np.inf else np.nan,
                "pledged_usd": float(pledged[token]),
            }
        )
    columns = (
        "token",
        "underlying",
        "issuer",
        "due",
        "days",
        "supply",
        "owed_usd",
        "discount",
        "yearly",
        "pledged_usd",
    )
    return pd.DataFrame(rows, columns=list(columns))


def leverage(graph: ExposureGraph) -> pd.DataFrame:
    """Assets over equity of the accounts with debt, by market and for all.

    Returns
    -------
    market, assets_usd (supplied), debt_usd, equity_usd (assets less debt), leverage_gross (assets / equity),
    leverage_net (gross over the overall multiplier of :func:`repledging`: assets without what is locked twice, TVR in
    the numerator). Infinite where debt exceeds assets.
    """
    import pandas as pd

    holdings, reserves = graph.holdings, graph.reserves
    price, market = graph.price_usd[reserves.token[holdings.reserve]], reserves.market[holdings.reserve]
    size = len(graph.markets)
    assets = sums(market, holdings.supplied * price, size)
    debt = sums(market, holdings.debt * price, size)
    multiplier = max(float(repledging(graph)["multiplier"].iloc[-1]), 1.0)
    rows = []
    for name, a, d in [*zip(graph.markets, assets, debt, strict=True), (ALL, assets.sum(), debt.sum())]:
        equity = float(a - d)
        gross = float(a) / equity if equity > 0 else (np.inf if a > 0 or d > 0 else 0.0)
        facts: dict[str, Any] = {"market": name, "assets_usd": float(a), "debt_usd": float(d), "equity_usd": equity}
        rows.append(facts | {"leverage_gross": gross, "leverage_net": gross / multiplier})
    return pd.DataFrame(rows)


def concentration(graph: ExposureGraph) -> pd.DataFrame:
    """How few hold how much: Herfindahl–Hirschman indices, the sum of squared shares.

    Returns
    -------
    of (collateral or debt), over (accounts, tokens, base assets, markets), total_usd, hhi, effective (1 / hhi: as many
    equal parts would be as concentrated), largest (name), largest_share.
    """
    import pandas as pd

    holdings, reserves = graph.holdings, graph.reserves
    token = reserves.token[holdings.reserve]
    names = {
        "accounts": list(holdings.addresses),
        "tokens": [each.symbol for each in graph.tokens],
        "base assets": [each.symbol for each in graph.tokens],
        "markets": list(graph.markets),
    }
    rows = []
    for of, amounts in (("collateral", holdings.pledged), ("debt", holdings.debt)):
        usd = amounts * graph.price_usd[token]
        by_token = sums(token, usd, len(graph.tokens))
        parts = {
            "accounts": sums(holdings.account, usd, len(holdings.addresses)),
            "tokens": by_token,
            "base assets": np.asarray(graph.claims.bases.T @ by_token).ravel(),
            "markets": sums(reserves.market[holdings.reserve], usd, len(graph.markets)),
        }
        for over, values in parts.items():
            total = float(values.sum())
            if total <= 0:
                continue
            shares = values / total
            index, largest = float(np.sum(shares**2)), int(np.argmax(shares))
            rows.append(
                {
                    "of": of,
                    "over": over,
                    "total_usd": total,
                    "hhi": index,
                    "effective": 1.0 / index,
                    "largest": names[over][largest],
                    "largest_share": float(shares[largest]),
                }
            )
    return pd.DataFrame(rows, columns=["of", "over", "total_usd", "hhi", "effective", "largest", "largest_share"])


def _ratio(above: float, below: float) -> float:
    """Infinite over nothing, 0 for nothing over nothing."""
    if below > 0:
        return float(above / below)
    return np.inf if above > 0 else 0.0
