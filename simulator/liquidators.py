"""What liquidators take: the offers that pay after slippage, fees and gas, best first, at the size that pays most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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
    auction_usd: float = 0.0


def congested(behaviour: Liquidators, factor: float) -> Liquidators:
    """What liquidators do when gas costs `factor` times what it costs at rest, and blocks hold as many times fewer
    liquidations: not one, where less than one would fit."""
    fit = None if behaviour.per_step is None else int(behaviour.per_step / factor)
    return behaviour.model_copy(update={"gas_usd": behaviour.gas_usd * factor, "per_step": fit})


def best_plan(
    book: Book,
    router: Router,
    behaviour: Liquidators,
    market: int,
    account: int,
    handed_back: Callable[[int, Offer], float] = lambda _market, _offer: 0.0,
) -> Plan | None:
    """The most profitable liquidation of an account now (-1: purchase from the market), or None where nothing pays.

    Collateral is turned into the debt asset, which is thereby bought; a repayment can be borrowed for a fee.
    `handed_back` says what share of an offer's profit an auction takes (market, offer).
    """
    state = book.markets[market]
    offers = state.offers(account) if account >= 0 else state.standing_offers()
    plans = [_best_size(book, router, behaviour, market, offer) for offer in offers if not offer.unpaid]
    best = max((plan for plan in plans if plan), key=lambda plan: plan.profit_usd, default=None)
    if best is None:
        return None
    # whoever bids hands back a part of a profit, never what would make a loss
    auction = handed_back(market, best.offer) * max(0.0, best.profit_usd)
    best = replace(best, profit_usd=best.profit_usd - auction, auction_usd=auction) if auction else best
    return best if best.profit_usd > behaviour.minimum_profit_usd else None


def _best_size(book: Book, router: Router, behaviour: Liquidators, market: int, offer: Offer) -> Plan | None:
    """The size of an offer that pays most, of those tried; None where none could be sold, or pay at all."""
    collateral, debt = (int(book.market_tokens[market][reserve]) for reserve in (offer.collateral, offer.debt))
    best: Plan | None = None
    for halving in range(HALVINGS + 1):
        amount = _affordable(book, behaviour, debt, offer) >> halving
        terms = book.markets[market].terms(offer, amount) if amount > 0 else None
        if terms is None or terms.refusal:
            continue
        sale: Sale | None = None
        if collateral == debt:
            proceeds = terms.received_raw
        elif behaviour.sell == "outside":
            value_usd = book.usd(collateral, terms.received_raw) * (1.0 - behaviour.outside_haircut)
            proceeds = int(value_usd / book.outside_usd[debt] * book.unit[debt])
        else:
            ceiling = router.ceiling(collateral, debt) * terms.received_raw
            if _profit_usd(book, behaviour, debt, terms, ceiling) <= behaviour.minimum_profit_usd:
                # without price impact a smaller part pays for the gas no better
                break
            sale = router.sale(collateral, debt, terms.received_raw)
            if sale.exhausted:
                continue
            proceeds = sale.received_raw
        plan = Plan(market, offer, amount, terms, sale, proceeds, _profit_usd(book, behaviour, debt, terms, proceeds))
        # pools pay ever less for more, so that profit is concave: where a half brings less, smaller brings less still
        if best is not None and plan.profit_usd <= best.profit_usd:
            break
        best = plan
    return best


def _affordable(book: Book, behaviour: Liquidators, debt: int, offer: Offer) -> int:
    if behaviour.capital_usd is None:
        return offer.most_raw
    return min(offer.most_raw, int(behaviour.capital_usd / book.outside_usd[debt] * book.unit[debt]))


def _profit_usd(book: Book, behaviour: Liquidators, debt: int, terms: Terms, proceeds_raw: float) -> float:
    cost = terms.repaid_raw * (1.0 + behaviour.flash_fee)
    return float((proceeds_raw - cost) / book.unit[debt] * book.outside_usd[debt] - behaviour.gas_usd)
