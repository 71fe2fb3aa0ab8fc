"""What is known of an asset, and the proposal that follows, each figure with its rule and what supports it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from simulator.estimate.models.model import FloatArray
from simulator.estimate.statistics import Estimate
from simulator.onboarding import rules
from simulator.onboarding.depth import Depth
from simulator.onboarding.falls import Loans, deepest, fall_within, loans, noise
from simulator.onboarding.holders import Holders

TAIL, ORDINARY = 0.999, 0.95
"""Levels of the falls that a late liquidation and a new loan must bear."""


@dataclass(frozen=True)
class Evidence:
    """What the rules need.

    Attributes
    ----------
    token, debt
        Symbols of what is pledged and what is owed.
    price_usd
        Of one whole token.
    position
        The largest to plan for, whole tokens.
    who
        Pledges the token now.
    sells, buys
        Sales of the token for the debt's, and the other way round.
    ratio
        Shape (paths, steps + 1): price of the token in the debt's, 1 at the start.
    step_s
        Length of a step, seconds.
    delay_s, late_s
        Delay of the oracle, and with the latency of liquidators; seconds.
    protocol_fee, flash_fee, gas_usd
        What takes away from a liquidator's bonus: a share of it, a share of the repayment, and dollars.
    """

    token: str
    debt: str
    price_usd: float
    position: float
    who: Holders
    sells: Depth
    buys: Depth
    ratio: FloatArray
    step_s: float
    delay_s: float
    late_s: float
    protocol_fee: float
    flash_fee: float
    gas_usd: float

    @property
    def late(self) -> int:
        """Steps from a healthy loan to its liquidation, in which all lateness lies: 1 at least."""
        return max(1, math.ceil(self.late_s / self.step_s - 1e-9))

    @property
    def position_usd(self) -> float:
        """The largest position to plan for."""
        return self.position * self.price_usd

    # --- what the rules make of it ------------------------------------------------------------------------------

    @cached_property
    def loss(self) -> float:
        """Of selling the largest position at once."""
        return self.sells.loss(self.position)

    @cached_property
    def bonus(self) -> float:
        """Share above the repayment."""
        gas = self.gas_usd / self.position_usd
        return rules.up(rules.bonus(self.loss, self.protocol_fee, self.flash_fee, gas))

    @cached_property
    def deviation(self) -> float:
        """Of the feed: a multiple of 0.1 %."""
        return math.ceil(noise(self.ratio, self.late) * 1000.0) / 1000.0

    @cached_property
    def tail(self) -> Estimate:
        """The fall until liquidation."""
        return fall_within(self.ratio, self.late, TAIL)

    @cached_property
    def ordinary(self) -> Estimate:
        """The fall that a new loan has to bear."""
        return deepest(self.ratio, ORDINARY)

    @cached_property
    def threshold(self) -> float:
        """Liquidation threshold, share."""
        return rules.down(rules.threshold(self.tail.high, self.deviation, self.bonus))

    @cached_property
    def ltv(self) -> float:
        """Maximum LTV, share."""
        return rules.down(rules.ltv(self.threshold, self.ordinary.high))

    @cached_property
    def run(self) -> Loans:
        """What the proposal would have made of loans on the paths."""
        return loans(self.ratio, self.ltv, self.threshold, self.bonus, self.late)

    @cached_property
    def pays(self) -> float:
        """The largest loss of a sale at which the bonus still pays."""
        return rules.loss_that_pays(self.bonus, self.protocol_fee, self.flash_fee)

    @cached_property
    def sold(self) -> float:
        """What can be sold at that loss, whole tokens."""
        return self.sells.most(self.pays)

    @cached_property
    def bought(self) -> float:
        """What can be bought at that loss, whole tokens."""
        return self.buys.brings(self.buys.most(self.pays))


def proposals(known: Evidence) -> list[dict[str, Any]]:
    """A row for each parameter: value, rule, support, source, and the figures of the support."""
    return [
        _ltv(known),
        _threshold(known),
        _bonus(known),
        *_caps(known),
        *_oracle(known),
    ]


def _row(parameter: str, value: float, rule: str, source: str, support: str, **figures: float) -> dict[str, Any]:
    return {
        "parameter": parameter,
        "value": value,
        "rule": rule,
        "source": source,
        "support": support,
        "figures": figures,
    }


def _between(one: Estimate) -> str:
    return f"{one.value:.2%} ({one.low:.2%} to {one.high:.2%})"


def _ltv(known: Evidence) -> dict[str, Any]:
    fall, run = known.ordinary, known.run
    hours = (known.ratio.shape[1] - 1) * known.step_s / 3600.0
    return _row(
        "ltv",
        known.ltv,
        f"threshold x (1 - fall within {hours:g} h at {ORDINARY:.0%}, upper end), rounded down",
        "a loan at the maximum LTV bears the fall without being liquidated",
        f"fall {_between(fall)}; run: {run.liquidated:,} of {run.of:,} loans at the maximum LTV are liquidated, "
        f"{_between(run.chance)}",
        fall=fall.value,
        fall_high=fall.high,
        liquidated=run.chance.value,
    )


def _threshold(known: Evidence) -> dict[str, Any]:
    fall, run = known.tail, known.run
    return _row(
        "liquidation_threshold",
        known.threshold,
        "(1 - fall until liquidation, upper end) x (1 - deviation) / (1 + bonus), rounded down",
        "when it is liquidated a loan is below the toxic frontier 1 / (1 + bonus): Warmuz, Chaudhary and Pinna 2022",
        f"fall {_between(fall)} at {TAIL:.1%} within {known.late} steps of {known.step_s:g} s, in which lateness of "
        f"{known.late_s:g} s lies; run: {run.lost:,} of {run.of:,} loans leave bad debt, {_between(run.chance_lost)}",
        fall=fall.value,
        fall_high=fall.high,
        lost=run.chance_lost.value,
    )


def _bonus(known: Evidence) -> dict[str, Any]:
    return _row(
        "liquidation_bonus",
        1.0 + known.bonus,
        "1 + ((1 + flash fee + gas) / (1 - loss of the sale) - 1) / (1 - protocol fee), rounded up",
        "a liquidator acts where it pays; the protocol's fee is of the bonus (Aave v3, LiquidationLogic)",
        f"selling {known.position:,.6g} {known.token} ({known.position_usd:,.0f} USD) for {known.debt} in "
        f"today's pools loses {known.loss:.2%}; protocol fee {known.protocol_fee:.0%}, flash loan "
        f"{known.flash_fee:.2%}, gas {known.gas_usd:g} USD",
        loss=known.loss,
        position_usd=known.position_usd,
    )


def _caps(known: Evidence) -> list[dict[str, Any]]:
    who = known.who
    return [
        _row(
            "supply_cap",
            math.floor(known.sold),
            "what can be sold at once within the bonus, whole tokens",
            "in the worst case all of it is liquidated together",
            f"{known.sold * known.price_usd:,.0f} USD at a loss of {known.pays:.2%}; {who.accounts:,} accounts pledge "
            f"{who.pledged:,.6g} {known.token} now, the largest {who.largest:,.6g}; concentration "
            f"{who.concentration:.3f}",
            loss=known.pays,
            pledged=who.pledged,
            largest=who.largest,
            concentration=who.concentration,
        ),
        _row(
            "borrow_cap",
            math.floor(known.bought),
            "what can be bought at once within the bonus, whole tokens",
            "liquidators have to buy what is owed",
            f"{known.bought * known.price_usd:,.0f} USD for {known.debt} at a loss of {known.pays:.2%}",
            loss=known.pays,
        ),
    ]


def _oracle(known: Evidence) -> list[dict[str, Any]]:
    moves, twice = noise(known.ratio, known.late), 2 * known.late
    later = "not known: paths are too short for it"
    if twice < known.ratio.shape[1]:
        fall = fall_within(known.ratio, twice, TAIL).high
        later = f"threshold {rules.down(rules.threshold(fall, known.deviation, known.bonus)):.3g}"
    return [
        _row(
            "oracle_deviation",
            known.deviation,
            "standard deviation of the price until liquidation, rounded up to 0.1 %",
            "a finer trigger than the price moves anyway gains nothing",
            f"{moves:.3%}",
            moves=moves,
        ),
        _row(
            "oracle_delay_s",
            known.delay_s,
            "as assumed; its price is what twice the lateness would cost",
            "the rule of the threshold",
            f"with twice as many steps until liquidation: {later}",
            lateness_s=known.late_s,
        ),
    ]
