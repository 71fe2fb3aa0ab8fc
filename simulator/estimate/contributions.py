"""What drives the tail: expected shortfall as a sum over markets, collaterals, assets and accounts.

The part of one of them is the mean of its own loss on the paths on which the whole loses most: E[L_i | L beyond VaR]
(Euler allocation: Tasche 1999, *Risk contributions and performance measurement*; for expected shortfall Kalkbrener
2005, *Mathematical Finance* 15). Those paths are drawn and run again, account by account.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chain.errors import InputError
from simulator.estimate.drawn import Drawn
from simulator.estimate.models.model import FloatArray, IntArray
from simulator.estimate.statistics import Sample, expected_shortfall
from simulator.paths.losses import PathLosses

TOP = 20
"""Accounts that are named; the others are one row."""
UNPLEDGED = "no collateral at the start"
_TOGETHER = 64
"""Paths that are run at once."""
_ROUNDED = 1e-6


def contributions(sample: Sample, drawn: Drawn, level: float, top: int = TOP) -> list[dict[str, Any]]:
    """Parts of the expected shortfall of all markets together.

    Parameters
    ----------
    sample
        Their bad debt, path by path.
    drawn
        Where the paths came from.
    level
        Of the expected shortfall, such as 0.99.
    top
        How many accounts are named.

    Returns
    -------
    Rows by market, collateral (reserve, by its share of what an account had pledged at the start), asset (whose price
    that collateral follows) and account, the largest first: ``by``, ``of``, ``value`` (US dollars) and ``share``. Those
    of one ``by`` add up to the expected shortfall.

    Raises
    ------
    InputError
        If nobody liquidates on the paths, or the level is none.
    """
    if not isinstance(drawn.losses, PathLosses):
        raise InputError("contributions are told of paths with liquidations; leave out --without-liquidations")
    if not 0.0 < level < 1.0:
        raise InputError(f"the level of an expected shortfall lies between 0 and 1, not at {level}")
    rows, weights = _tail(sample, level)
    accounts = np.zeros(len(drawn.losses.accounts))
    for start in range(0, len(rows), _TOGETHER):
        some = rows[start : start + _TOGETHER]
        _, lost = drawn.losses.by_account(np.concatenate([drawn.source.paths(int(row), 1)[0] for row in some]))
        accounts += weights[start : start + _TOGETHER] @ lost
    whole = expected_shortfall(sample, level).value
    parts = _parts(drawn.losses, drawn.source.model.assets, accounts, top)
    for by, own in parts.items():
        if abs(sum(own.values()) - whole) > _ROUNDED * max(whole, 1.0):
            raise AssertionError(f"contributions by {by} add up to {sum(own.values())} where the whole is {whole}")
    return [
        {"by": by, "of": of, "value": value, "share": value / whole if whole else 0.0}
        for by, own in parts.items()
        for of, value in own.items()
    ]


def _tail(sample: Sample, level: float) -> tuple[IntArray, FloatArray]:
    """The paths beyond the value at risk, and what each counts for in the expected shortfall; of those at it, as much
    as is wanting to the probability."""
    tail = 1.0 - level
    edge = sample.edge(tail)
    counts = np.where(sample.losses > edge, sample.weights / len(sample.losses), 0.0)
    at_edge = np.where(sample.losses == edge, sample.weights, 0.0)
    counts += (tail - counts.sum()) * at_edge / at_edge.sum()
    rows = np.flatnonzero((counts != 0.0) & (sample.losses > 0.0))
    return rows, counts[rows] / tail


def _parts(
    losses: PathLosses, assets: tuple[str, ...], accounts: FloatArray, top: int
) -> Mapping[str, Mapping[str, float]]:
    """What accounts lose, by market, collateral, asset and account, the largest first."""
    deck = losses.deck
    names = {row: output.of for row, output in enumerate(losses.outputs[: deck.groups.size])}
    account = np.repeat(np.arange(len(accounts)), np.diff(deck.accounts.offsets))
    by_entry = accounts[account] * deck.accounts.pledged
    unpledged = float(accounts.sum() - by_entry.sum())
    reserve = deck.accounts.reserve
    groups = np.bincount(
        deck.groups.collateral[reserve][by_entry > 0.0], by_entry[by_entry > 0.0], minlength=deck.groups.size
    )
    columns = np.bincount(deck.tokens.column[deck.reserves.token[reserve]], by_entry, minlength=len(assets) + 1)
    markets = np.bincount(deck.accounts.market, accounts, minlength=len(deck.markets.code))
    largest = np.argsort(-accounts, kind="stable")
    named = {"/".join(losses.accounts[row]): float(accounts[row]) for row in largest[:top]}
    rest = {UNPLEDGED: unpledged} if unpledged > _ROUNDED * accounts.sum() else {}
    found = {
        "market": {names[1 + row]: float(value) for row, value in enumerate(markets)},
        "collateral": {names[row]: float(value) for row, value in enumerate(groups) if row in names} | rest,
        "asset": dict(zip(("USD", *assets), columns.tolist(), strict=True)) | rest,
        "account": named | {"all others": float(accounts[largest[top:]].sum())},
    }
    return {
        by: {of: own[of] for of in sorted(own, key=lambda of: -own[of]) if own[of] > 0.0} for by, own in found.items()
    }
