"""Puts together what is known of an asset, and proposes parameters for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chain.errors import InputError
from chain.snapshot import Snapshot
from simulator.book import Token, open_book, opened
from simulator.estimate.models.draws import Independent
from simulator.estimate.models.model import FloatArray, PriceModel
from simulator.estimate.models.pegged import DOLLAR
from simulator.onboarding.depth import Depth
from simulator.onboarding.evidence import TAIL, Evidence, proposals
from simulator.onboarding.holders import holders
from simulator.oracles.feeds import rule_for
from simulator.scenario import Scenario, find, scenario_from

if TYPE_CHECKING:
    import pandas as pd

LOSSES = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15)
"""Of a sale, in the table of depth."""
MOST_LOSS = 0.3
"""Of the largest position's sale: no bonus in use pays for more."""


@dataclass(frozen=True)
class Onboarding:
    """The answer of :func:`onboard`.

    Attributes
    ----------
    facts
        What went in: JSON values.
    proposals
        A row for each parameter: its value, the rule, its source, and the figures that support it.
    depth
        What the pools take at what loss, whole tokens and dollars.
    """

    facts: Mapping[str, Any]
    proposals: Sequence[dict[str, Any]]
    depth: Sequence[dict[str, Any]]

    def frame(self) -> pd.DataFrame:
        """The proposals as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.proposals)


def onboard(
    snapshot: Snapshot | Path | str,
    token: str,
    debt: str,
    model: PriceModel,
    paths: int = 40_000,
    *,
    position_usd: float | None = None,
    protocol_fee: float = 0.1,
    seed: int = 0,
    follow: Mapping[str, str] | None = None,
    scenario: Scenario | None = None,
) -> Onboarding:
    """Propose LTV, threshold, bonus, caps and oracle settings for a token that is borrowed against.

    Parameters
    ----------
    snapshot
        A snapshot, or its folder: its pools say what sales bring, its accounts who pledges the token.
    token, debt
        Symbols or addresses: what is pledged, and what is owed against it.
    model, paths, seed
        Price paths, their number and seed. They are as long as a new loan shall stay healthy.
    position_usd
        The largest position to plan for; the largest that is pledged in the snapshot if absent.
    protocol_fee
        The protocol's share of the bonus.
    follow
        For a token that the model has no price of, the asset that it moves with, or ``USD``.
    scenario
        Its oracle delay and its liquidators' latency, gas and flash-loan fee are used; the defaults' if absent.

    Raises
    ------
    InputError
        If a token is unknown or has no price path, nobody pledges the token and no position is given, the pools cannot
        take the position, or paths are too few, or shorter than a liquidation is late.
    """
    book = open_book(opened(snapshot))
    names = [each.names for each in book.tokens]
    pledged, owed = find(token, names, "--token"), find(debt, names, "--debt")
    if pledged == owed:
        raise InputError(f"{token} is both pledged and owed; give another --debt")
    how = scenario or scenario_from({"name": "defaults", "step_s": model.step_s, "steps": model.steps}, "defaults")
    rule = rule_for(how.oracles, book.tokens[pledged].names)
    price, who = float(book.outside_usd[pledged]), holders(book, pledged)
    prices = model.prices(Independent(seed).uniforms(0, paths, model.dimension))
    collateral, money = (_path(book.tokens[row], model.assets, prices, follow or {}) for row in (pledged, owed))
    known = Evidence(
        token=book.tokens[pledged].symbol,
        debt=book.tokens[owed].symbol,
        price_usd=price,
        position=who.largest if position_usd is None else position_usd / price,
        who=who,
        sells=Depth(book, pledged, owed),
        buys=Depth(book, owed, pledged),
        ratio=collateral / money,
        step_s=model.step_s,
        delay_s=rule.delay_s,
        late_s=rule.delay_s + how.liquidators.latency_s,
        protocol_fee=protocol_fee,
        flash_fee=how.liquidators.flash_fee,
        gas_usd=how.liquidators.gas_usd,
    )
    _check(known)
    facts = {
        "token": known.token,
        "debt": known.debt,
        "price_usd": price,
        "position_usd": known.position_usd,
        "protocol_fee": protocol_fee,
        "model": type(model).__name__,
        "paths": paths,
        "seed": seed,
        "steps": model.steps,
        "step_s": model.step_s,
        "steps_until_liquidation": known.late,
    }
    return Onboarding(facts, proposals(known), [_depth(known, loss) for loss in LOSSES])


def _check(known: Evidence) -> None:
    if known.position <= 0.0:
        raise InputError(f"nobody pledges {known.token} in the snapshot; say with --position what to plan for")
    if not 0.0 <= known.protocol_fee < 1.0:
        raise InputError(f"the protocol's share of the bonus is from 0 to below 1, not {known.protocol_fee:g}")
    if known.late >= known.ratio.shape[1]:
        raise InputError(
            f"a liquidation is {known.late_s:g} s late, which is longer than paths; take a longer --horizon"
        )
    if not math.isfinite(known.tail.high):
        raise InputError(f"{len(known.ratio):,} paths are too few to know a fall at {TAIL:.1%}; take 40,000 or so")
    if known.loss > MOST_LOSS:
        raise InputError(
            f"selling {known.position:,.6g} {known.token} for {known.debt} at once in the snapshot's pools loses "
            f"{known.loss:.0%}; they take {known.sells.most(MOST_LOSS):,.6g} at {MOST_LOSS:.0%}: plan for a smaller "
            "--position, or take a snapshot with all pools"
        )


def _path(token: Token, assets: Sequence[str], prices: FloatArray, follow: Mapping[str, str]) -> FloatArray:
    """A token's price along each path, 1 at the start."""
    followed = [asset for name, asset in follow.items() if name.lower() in token.names]
    target = followed[0].lower() if followed else None
    if target == DOLLAR.lower():
        return np.ones(prices.shape[:2])
    for column, asset in enumerate(assets):
        if asset.lower() == target or (target is None and asset.lower() in token.names):
            return prices[:, :, column]
    known = ", ".join(assets)
    raise InputError(
        f"no price path for {token.symbol}; say what it moves with: {token.symbol}=ASSET for one of {known}, or "
        f"{token.symbol}={DOLLAR} for a price that stands still"
    )


def _depth(known: Evidence, loss: float) -> dict[str, Any]:
    sold, bought = known.sells.most(loss), known.buys.brings(known.buys.most(loss))
    return {
        "loss": loss,
        "sold": sold,
        "sold_usd": sold * known.price_usd,
        "bought": bought,
        "bought_usd": bought * known.price_usd,
    }
