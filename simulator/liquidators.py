"""What liquidators take: the offers that pay after slippage, fees and gas, best first, at the size that pays most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from protocols.lending.interface import Offer, Terms
from simulator.book import Book
from simulator.routes import Route, Router
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
    route
        Where the collateral is sold; None where there is nothing to sell through pools.
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
    route: Route | None
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
    best: Plan | None = None
    state = book.markets[market]
    offers = state.offers(account) if account >= 0 else state.standing_offers()
    for offer in (o for o in offers if not o.unpaid):
        most = _affordable(book, behaviour, market, offer)
        own: Plan | None = None
        for halving in range(HALVINGS + 1):
            plan = _plan(book, router, behaviour, market, offer, most >> halving)
            if plan is None:
                continue
            # along one price curve profit is concave in the size: where a half brings less, smaller brings less still
            if own is not None and plan.profit_usd <= own.profit_usd:
                break
            own = plan
        if own is not None and (best is None or own.profit_usd > best.profit_usd):
            best = own
    if best is None:
        return None
    # whoever bids hands back a part of a profit, never what would make a loss
    auction = handed_back(market, best.offer) * max(0.0, best.profit_usd)
    best = replace(best, profit_usd=best.profit_usd - auction, auction_usd=auction) if auction else best
    return best if best.profit_usd > behaviour.minimum_profit_usd else None


def _affordable(book: Book, behaviour: Liquidators, market: int, offer: Offer) -> int:
    if behaviour.capital_usd is None:
        return offer.most_raw
    token = book.market_tokens[market][offer.debt]
    return min(offer.most_raw, int(behaviour.capital_usd / book.outside_usd[token] * book.unit[token]))


def _plan(
    book: Book, router: Router, behaviour: Liquidators, market: int, offer: Offer, amount_raw: int
) -> Plan | None:
    if amount_raw <= 0:
        return None
    terms = book.markets[market].terms(offer, amount_raw)
    if terms.refusal:
        return None
    collateral = int(book.market_tokens[market][offer.collateral])
    debt = int(book.market_tokens[market][offer.debt])
    route: Route | None = None
    if collateral == debt:
        proceeds = terms.received_raw
    elif behaviour.sell == "outside":
        value_usd = book.usd(collateral, terms.received_raw) * (1.0 - behaviour.outside_haircut)
        proceeds = int(value_usd / book.outside_usd[debt] * book.unit[debt])
    else:
        proceeds, route = router.best(collateral, debt, terms.received_raw)
        if route is None:
            return None
    cost = terms.repaid_raw * (1.0 + behaviour.flash_fee)
    profit = (proceeds - cost) / book.unit[debt] * book.outside_usd[debt] - behaviour.gas_usd
    return Plan(market, offer, amount_raw, terms, route, proceeds, float(profit))
