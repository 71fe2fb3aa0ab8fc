"""What liquidators take: the offers that pay after slippage, fees and gas, best first, at the size that pays most."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import inf

from protocols.lending.interface import Offer, Terms
from simulator.book import Book
from simulator.market.routes import Router, Sale
from simulator.scenario import Liquidators

HALVINGS = 6
"""Sizes tried for an offer: the largest, and its halves down to 1/64."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A liquidation that a liquidator would do now.

    Attributes
    ----------
    market
        Row of the market in the book.
    offer, amount_raw
        What is taken, and how much of it is repaid at most.
    terms
        What changes hands.
    sale
        How the collateral is sold, whole; None where there is nothing to sell through pools.
    proceeds_raw
        What the sale brings in debt tokens, smallest units; for sales to the outside market, at its haircut.
    profit_usd
        Proceeds less repayment, flash fee, gas and what an auction takes, at outside prices.
    flash_fee_usd
        What borrowing the repayment costs.
    auction_usd
        What is handed back to whoever auctions the right to act on a price first.
    """

    market: int
    offer: Offer
    amount_raw: int
    terms: Terms
    sale: Sale | None
    proceeds_raw: int
    profit_usd: float
    flash_fee_usd: float = 0.0
    auction_usd: float = 0.0


def congested(behaviour: Liquidators, factor: float) -> Liquidators:
    """What liquidators do when gas costs `factor` times what it costs at rest, and blocks hold as many times fewer
    liquidations: not one, where less than one would fit."""
    fit = None if behaviour.per_step is None else int(behaviour.per_step / factor)
    return behaviour.model_copy(update={"gas_usd": behaviour.gas_usd * factor, "per_step": fit})


class Inventory:
    """Collateral that liquidators bought with their own money and have not sold outside yet.

    It is sold at an even pace, a full one in the time that `Liquidators.turnover_s` gives it.

    Parameters
    ----------
    behaviour
        How much can be held, and how fast it is sold.
    """

    def __init__(self, behaviour: Liquidators) -> None:
        self._limit_usd = behaviour.inventory_usd
        self._turnover_s = behaviour.turnover_s
        self._held_usd = 0.0

    @property
    def room_usd(self) -> float:
        """What can still be bought, US dollars."""
        return inf if self._limit_usd is None else self._limit_usd - self._held_usd

    def sell(self, elapsed_s: float) -> None:
        """Let time pass, seconds."""
        if self._limit_usd is not None:
            share = elapsed_s / self._turnover_s if elapsed_s < self._turnover_s else 1.0
            self._held_usd = max(0.0, self._held_usd - share * self._limit_usd)

    def buy(self, amount_usd: float) -> None:
        """Hold so much more, US dollars paid for it."""
        self._held_usd += amount_usd


def best_plan(
    book: Book,
    router: Router,
    behaviour: Liquidators,
    market: int,
    offers: Iterable[Offer],
    own_usd: float = inf,
    handed_back: Callable[[int, Offer], float] = lambda _market, _offer: 0.0,
) -> Plan | None:
    """The most profitable of a market's offers, or None where nothing pays.

    Collateral is turned into the debt asset, which is thereby bought: in the pools at once, so that the repayment can
    be borrowed for a fee, or outside later, for which there are `own_usd` (see :class:`Inventory`).
    `handed_back` says what share of an offer's profit an auction takes (market, offer).
    """
    plans = [
        _best_size(book, router, behaviour, market, offer, own_usd if outside else None)
        for offer in offers
        if not offer.unpaid
        for outside in {"pools": (False,), "outside": (True,), "best": (False, True)}[behaviour.sell]
    ]
    best = max((plan for plan in plans if plan), key=lambda plan: plan.profit_usd, default=None)
    if best is None:
        return None
    # whoever bids hands back a part of a profit, never what would make a loss
    auction = handed_back(market, best.offer) * max(0.0, best.profit_usd)
    best = replace(best, profit_usd=best.profit_usd - auction, auction_usd=auction) if auction else best
    return best if best.profit_usd > behaviour.minimum_profit_usd else None


def _best_size(
    book: Book, router: Router, behaviour: Liquidators, market: int, offer: Offer, own_usd: float | None
) -> Plan | None:
    """The size of an offer that pays most, of those tried; None where none could be sold, or pay at all.

    With `own_usd`, US dollars, it is sold outside, without in the pools.
    """
    collateral, debt = (int(book.market_tokens[market][reserve]) for reserve in (offer.collateral, offer.debt))
    limits = [limit for limit in (behaviour.capital_usd, own_usd) if limit is not None and limit < inf]
    most = min([offer.most_raw, *(int(limit / book.outside_usd[debt] * book.unit[debt]) for limit in limits)])
    fee = behaviour.flash_fee if own_usd is None else 0.0
    best: Plan | None = None
    for halving in range(HALVINGS + 1):
        amount = most >> halving
        terms = book.markets[market].terms(offer, amount) if amount > 0 else None
        if terms is None or terms.refusal:
            continue
        cost = terms.repaid_raw * (1.0 + fee)
        sale: Sale | None = None
        if collateral == debt:
            proceeds = terms.received_raw
        elif own_usd is not None:
            value_usd = book.usd(collateral, terms.received_raw) * (1.0 - behaviour.outside_haircut)
            proceeds = int(value_usd / book.outside_usd[debt] * book.unit[debt])
        else:
            ceiling = router.ceiling(collateral, debt) * terms.received_raw
            if _usd(book, debt, ceiling - cost) - behaviour.gas_usd <= behaviour.minimum_profit_usd:
                # without price impact a smaller part pays for the gas no better
                break
            most_usd = _usd(book, debt, router.most(collateral, debt, terms.received_raw) - cost) - behaviour.gas_usd
            if most_usd <= behaviour.minimum_profit_usd:
                continue
            sale = router.sale(collateral, debt, terms.received_raw)
            if sale.exhausted:
                continue
            proceeds = sale.received_raw
        profit = _usd(book, debt, proceeds - cost) - behaviour.gas_usd
        plan = Plan(
            market,
            offer,
            amount,
            terms,
            sale,
            proceeds,
            profit,
            flash_fee_usd=_usd(book, debt, cost - terms.repaid_raw),
        )
        # pools pay ever less for more, so that profit is concave: where a half brings less, smaller brings less still
        if best is not None and plan.profit_usd <= best.profit_usd:
            break
        best = plan
    return best


def _usd(book: Book, token: int, amount_raw: float) -> float:
    return float(amount_raw / book.unit[token] * book.outside_usd[token])
