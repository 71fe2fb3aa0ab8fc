"""The loop: time, outside prices, arbitrage, oracles, liquidations, sales, impact; step after step.

A step costs what it changes: one compiled pass finds the accounts near the edge, and only those meet exact rules.
Everything that happens is an integer, in an order that the real contracts can be put through again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from chain.errors import InputError
from protocols.amm.interface import Fill
from protocols.lending.interface import Offer
from simulator.book import Book, value
from simulator.liquidators.congestion import Congestion
from simulator.liquidators.plans import Inventory, Plan, best_plan, congested
from simulator.losses.freezes import Freezes
from simulator.losses.runs import Runs
from simulator.losses.spread import Spread
from simulator.market.impact import PriceImpact
from simulator.market.orderbook import order_books
from simulator.market.routes import Hop, Router
from simulator.measures import watching
from simulator.measures.generations import Generations
from simulator.oracles.pricing import Oracle
from simulator.scans import screen
from simulator.scenario import Liquidators, Scenario, find

Row = dict[str, Any]
MARKET = -1
"""In the place of an account: the market itself, selling what it holds."""


@dataclass
class Record:
    """What happened, as rows of the run's tables (see `simulator.run` for their meaning)."""

    steps: list[Row] = field(default_factory=list)
    prices: list[Row] = field(default_factory=list)
    liquidatable: list[Row] = field(default_factory=list)
    liquidations: list[Row] = field(default_factory=list)
    deficits: list[Row] = field(default_factory=list)
    swaps: list[Row] = field(default_factory=list)
    withdrawals: list[Row] = field(default_factory=list)
    liquidity: list[Row] = field(default_factory=list)
    venues: list[Row] = field(default_factory=list)
    losses: list[Row] = field(default_factory=list)
    marks: list[Row] = field(default_factory=list)
    exits: list[Row] = field(default_factory=list)
    exit_times: list[Row] = field(default_factory=list)


class Cascade:
    """One crash run through a book.

    Parameters
    ----------
    book
        The state; it is changed by the run.
    scenario
        What happens to it.
    published_at
        For each market, when each reserve's feed last answered, unix seconds; 0 where unknown.

    Raises
    ------
    InputError
        If the scenario names a token that the book does not have.
    """

    def __init__(self, book: Book, scenario: Scenario, published_at: list[list[int]]) -> None:
        self.book = book
        self.scenario = scenario
        self.record = Record()
        book.venues += order_books(book, scenario.venues.books)
        self.router = Router(book.venues, book.token_row)
        names = [token.names for token in book.tokens]
        for where, tokens in (
            ("oracles.per_token", scenario.oracles.per_token),
            ("oracles.faults", [token for fault in scenario.oracles.faults for token in fault.tokens]),
            ("oracles.auction", scenario.oracles.auction.tokens if scenario.oracles.auction else []),
        ):
            for token in tokens:
                find(token, names, f"scenario {scenario.name}: {where}")
        self._at_rest = self._liquidators = _by_market(book, scenario)
        rules, where = scenario.contagion, f"scenario {scenario.name}"
        self._spread = Spread(book, rules, where)
        named = {find(token, names, f"{where}: prices") for path in scenario.prices for token in path.tokens}
        self._path = self._spread.carried(scenario.relative_prices(names), named) * book.outside_usd
        self._impact = PriceImpact(book, self.router.sides, scenario.venues, self._path, scenario.step_s)
        self._started = book.timestamp
        self._freezes = Freezes(book, rules, where)
        self._runs = Runs(book, rules, self._spread, self._freezes, scenario.step_s, where)
        self._oracles = [
            [self._oracle(row, reserve, published) for reserve, published in enumerate(published_at[row])]
            for row in range(len(book.markets))
        ]
        self._behaviour = scenario.liquidators
        self._congestion = Congestion(book, scenario.liquidators.congestion)
        self._inventory = Inventory(scenario.liquidators)
        self._known_offers: dict[tuple[int, int], list[Offer]] = {}
        self._liquidatable_since: dict[tuple[int, int], int] = {}
        self._generations = Generations(book, self._oracles)
        self._deficits_before = [list(market.deficits_raw()) for market in book.markets]
        self._sequence = 0

    def run(self, progress: Callable[[int, int], None] | None = None) -> Record:
        """Run every step; `progress` is told how many are done, and how many there are."""
        for step in range(1, self.scenario.steps + 1):
            self.book.timestamp = self._started + round(step * self.scenario.step_s)
            for market in self.book.markets:
                market.advance(self.book.timestamp)
            self._marks = self._spread.remark(step, self._elapsed_s)
            self._impact.set_outside(step, self._marks)
            self.router.advance(self.book.timestamp)
            congestion = self._congestion.watch(self.book.timestamp, self.book.outside_usd)
            self._behaviour = congested(self.scenario.liquidators, congestion)
            self._liquidators = [congested(behaviour, congestion) for behaviour in self._at_rest]
            self._inventory.sell(self.scenario.step_s)
            if not self._down:
                self._arbitrage(step)
                self._withdraw(step)
                self._runs.leave(step, self._elapsed_s)
            self._publish(step)
            self._liquidate(step)
            if progress:
                progress(step, self.scenario.steps)
        self.record.losses, self.record.marks = self._spread.losses, self._spread.marks
        self.record.exits, self.record.exit_times = self._runs.exits, self._runs.exit_times()
        return self.record

    def _oracle(self, row: int, reserve: int, published_at: float) -> Oracle | None:
        """The oracle of a reserve; None for the numeraire, which is always worth one of itself."""
        if reserve == self.book.markets[row].numeraire:
            return None
        return Oracle(self.book, self.scenario.oracles, row, reserve, published_at)

    @property
    def _elapsed_s(self) -> int:
        """Seconds since the start."""
        return self.book.timestamp - self._started

    @property
    def _down(self) -> bool:
        """Whether the chain makes no blocks now."""
        outage = self.scenario.oracles.sequencer
        return outage is not None and outage.down(self._elapsed_s)

    # --- the parts of a step ------------------------------------------------------------------------------------

    def _arbitrage(self, step: int) -> None:
        """Bring every pool toward the outside price."""
        for row, trade in self._impact.arbitrages():
            hop = Hop(row, trade.sold, trade.bought)
            fill = self.router.swap(hop, trade.amount_raw, trade.limit_raw)
            self._record_swap(step, hop, trade.amount_raw, trade.limit_raw, fill, liquidation=-1)

    def _withdraw(self, step: int) -> None:
        """Let liquidity providers leave whom the prices of this step drive away."""
        for row, amounts in self._impact.withdrawals():
            self.router.forget(row)
            venue = self.book.venues[row]
            self._sequence += 1
            for token, amount in zip(venue.tokens, amounts, strict=True):
                self.record.withdrawals.append(
                    {
                        "sequence": self._sequence,
                        "step": step,
                        "venue": venue.name,
                        "protocol": venue.protocol,
                        "token": token,
                        "amount_raw": amount,
                    }
                )

    def _publish(self, step: int) -> None:
        """Let every feed speak that has something to say."""
        if not self._down:
            self._generations.publish(self._path[step] * self._marks)
        for row, (market, tokens) in enumerate(zip(self.book.markets, self.book.market_tokens, strict=True)):
            for reserve, (token, oracle) in enumerate(zip(tokens, self._oracles[row], strict=True)):
                published = None if oracle is None or self._down else oracle.report(self.book.timestamp)
                if published is not None:
                    market.set_price(reserve, published)
                self.record.prices.append(
                    {
                        "step": step,
                        "market": market.name,
                        "token": self.book.tokens[token].address,
                        "outside_usd": float(self.book.outside_usd[token]),
                        "oracle_raw": market.price_raw(reserve),
                        "published": published is not None,
                    }
                )

    def _liquidate(self, step: int) -> None:
        """Let liquidators take what pays, the best first, until nothing does or the blocks are full."""
        self._known_offers.clear()
        found = self._find_liquidatable(step)
        move_outside = self._impact.watch()
        done, swapped = len(self.record.liquidations), len(self.record.swaps)
        self._generations.find(found)
        ready = self._allowed(self._noticed(found))
        unoffered = self._do_unpaid(step, ready, done)
        standing = [(row, MARKET) for row, market in enumerate(self.book.markets) if market.standing_offers()]
        waiting = [] if self._down else ready + standing
        while waiting:
            # what others do to the pools can make pay what did not
            seen = len(self.record.liquidations)
            waiting = self._take_best_first(step, waiting, done)
            if len(self.record.liquidations) == seen:
                break
        move_outside()
        self._generations.acted(self.record.liquidations[done:])
        self._record_outcomes(found, set(ready), unoffered, done)
        self._record_step(step, len(found), done)
        self.record.liquidity += watching.liquidity_rows(self.book, step)
        self.record.venues += watching.venue_rows(self.book, step, self.record.swaps[swapped:])

    def _allowed(self, found: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Those that may be liquidated now: none while the chain stands still, few in the grace that follows."""
        outage = self.scenario.oracles.sequencer
        if self._down:
            return []
        if outage is None or not outage.in_grace(self.book.timestamp - self._started):
            return found
        return [(row, account) for row, account in found if self.book.markets[row].is_open_in_grace(account)]

    def _find_liquidatable(self, step: int) -> list[tuple[int, int]]:
        """Every (market, account) that is liquidatable by the exact rules."""
        found = []
        for row, market in enumerate(self.book.markets):
            suspects = screen.suspects(market.exposures(), self.book.oracle_usd(row))
            for account in sorted({*suspects.tolist(), *market.open_accounts()}):
                if not market.is_liquidatable(account):
                    continue
                found.append((row, account))
                self.record.liquidatable.append(
                    {
                        "step": step,
                        "market": market.name,
                        "account": market.accounts[account],
                        "health_raw": market.health_raw(account),
                    }
                )
        return found

    def _noticed(self, found: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Those of the liquidatable accounts that have been so for as long as liquidators take to act."""
        now = self.book.timestamp
        self._liquidatable_since = {key: self._liquidatable_since.get(key, now) for key in found}
        latest = now - self._behaviour.latency_s
        return [key for key in found if self._liquidatable_since[key] <= latest]

    def _do_unpaid(self, step: int, accounts: list[tuple[int, int]], done: int) -> set[tuple[int, int]]:
        """Let keepers do what pays nobody (Comet's absorb); returns the accounts that there is no offer for."""
        unoffered = set()
        for row, account in accounts:
            offers = self._offers(row, account)
            if not offers:
                unoffered.add((row, account))
            for offer in offers:
                if offer.unpaid and not self._full(done):
                    terms = self.book.markets[row].terms(offer, 0)
                    if not terms.refusal:
                        self._execute(step, Plan(row, offer, 0, terms, None, 0, -self._behaviour.gas_usd))
        return unoffered

    def _take_best_first(self, step: int, accounts: list[tuple[int, int]], done: int) -> list[tuple[int, int]]:
        """Execute what pays, the best first, each account as often as it pays; returns those that did not pay."""
        queue: list[tuple[float, int, int]] = []
        waiting: list[tuple[int, int]] = []

        def ask(row: int, account: int) -> None:
            plan = self._plan(row, account)
            if plan is None:
                waiting.append((row, account))
            else:
                heapq.heappush(queue, (-plan.profit_usd, row, account))

        for row, account in accounts:
            ask(row, account)
        while queue and not self._full(done):
            _, row, account = heapq.heappop(queue)
            plan = self._plan(row, account)
            if plan is None:
                waiting.append((row, account))
            elif queue and -plan.profit_usd > queue[0][0]:
                # it pays less than when it was put there: another comes first
                heapq.heappush(queue, (-plan.profit_usd, row, account))
            else:
                self._execute(step, plan)
                ask(row, account)
        return [] if self._full(done) else waiting

    def _full(self, done: int) -> bool:
        limit = self._behaviour.per_step
        return limit is not None and len(self.record.liquidations) - done >= limit

    def _plan(self, market: int, account: int) -> Plan | None:
        own_usd = self._inventory.room_usd if self._limited(market) else inf
        behaviour = self._liquidators[market]
        offers = self._offers(market, account)
        return best_plan(self.book, self.router, behaviour, market, offers, own_usd, self._handed_back)

    def _limited(self, market: int) -> bool:
        """Whether liquidators of a market can hold only so much."""
        return self._liquidators[market].inventory_usd is not None

    def _offers(self, market: int, account: int) -> list[Offer]:
        """What may be done to an account now, but for what stands still; for `MARKET`, what the market sells."""
        known = self._known_offers.get((market, account))
        if known is None:
            state = self.book.markets[market]
            offers = state.standing_offers() if account == MARKET else state.offers(account)
            known = [offer for offer in offers if not self._closed(market, offer)]
            self._known_offers[market, account] = known
        return known

    def _closed(self, market: int, offer: Offer) -> bool:
        """Whether a freeze holds one side of an offer."""
        return any(self._freezes.holds(market, side, self._elapsed_s) for side in (offer.collateral, offer.debt))

    def _handed_back(self, market: int, offer: Offer) -> float:
        """Share of a liquidation's profit that goes to whoever auctions the right to act on its prices first."""
        auction = self.scenario.oracles.auction
        if auction is None or not auction.bidders:
            return 0.0
        for reserve in (offer.collateral, offer.debt):
            oracle = self._oracles[market][reserve]
            names = self.book.tokens[self.book.market_tokens[market][reserve]].names
            listed = any(token.lower() in names for token in auction.tokens)
            if listed or (oracle is not None and oracle.is_auctioned):
                return auction.share
        return 0.0

    def _execute(self, step: int, plan: Plan) -> None:
        book = self.book
        market = book.markets[plan.market]
        account = plan.offer.account
        address = market.accounts[account] if account != MARKET else ""
        health = market.health_raw(account) if account != MARKET else 0
        collateral = int(book.market_tokens[plan.market][plan.offer.collateral])
        debt = int(book.market_tokens[plan.market][plan.offer.debt])
        settlement = market.settle(plan.offer, plan.amount_raw)
        # whom else it concerns only the market knows: who owes the same, who waits for the same cash
        self._known_offers.clear()
        terms = settlement.terms
        if terms != plan.terms:
            raise AssertionError(f"{market.name}: settled on {terms} where the offer said {plan.terms}")
        number = len(self.record.liquidations)
        self._sequence += 1
        sequence = self._sequence
        if plan.sale is not None:
            for leg, fill in self.router.sell(plan.sale):
                self._record_swap(step, leg.hop, leg.amount_raw, 0, fill, liquidation=number)
        collateral_usd, repaid_usd = book.usd(collateral, terms.received_raw), book.usd(debt, terms.repaid_raw)
        proceeds_usd = book.usd(debt, plan.proceeds_raw)
        if plan.sale is None and self._limited(plan.market):
            self._inventory.buy(repaid_usd)
        self.record.liquidations.append(
            {
                "liquidation": number,
                "sequence": sequence,
                "step": step,
                "timestamp": book.timestamp,
                "market": market.name,
                "account": address,
                "collateral": book.tokens[collateral].address,
                "debt": book.tokens[debt].address,
                "health_raw": health,
                "generation": self._generations.of(plan.market, account),
                "amount_raw": plan.amount_raw,
                "repaid_raw": terms.repaid_raw,
                "received_raw": terms.received_raw,
                "fee_raw": terms.fee_raw,
                "claim_raw": terms.claim_raw,
                "proceeds_raw": plan.proceeds_raw,
                "collateral_usd": collateral_usd,
                "repaid_usd": repaid_usd,
                "protocol_fee_usd": book.usd(collateral, terms.fee_raw),
                "slippage_usd": collateral_usd - proceeds_usd,
                "flash_fee_usd": plan.flash_fee_usd,
                "gas_usd": self._behaviour.gas_usd,
                "auction_usd": plan.auction_usd,
                "profit_usd": proceeds_usd
                - repaid_usd
                - plan.flash_fee_usd
                - self._behaviour.gas_usd
                - plan.auction_usd,
            }
        )
        for reserve, amount in settlement.deficits_raw:
            token = int(book.market_tokens[plan.market][reserve])
            self.record.deficits.append(
                {
                    "liquidation": number,
                    "market": market.name,
                    "account": address,
                    "token": book.tokens[token].address,
                    "amount_raw": amount,
                    "amount_usd": book.usd(token, amount),
                    "borne_by": settlement.borne_by,
                }
            )

    # --- what is written down -----------------------------------------------------------------------------------

    def _record_swap(self, step: int, hop: Hop, amount_raw: int, limit_raw: int, fill: Fill, liquidation: int) -> None:
        venue = self.book.venues[hop.venue]
        self._sequence += 1
        self.record.swaps.append(
            {
                "sequence": self._sequence,
                "step": step,
                "liquidation": liquidation,
                "venue": venue.name,
                "protocol": venue.protocol,
                "token_in": venue.tokens[hop.sold],
                "token_out": venue.tokens[hop.bought],
                "amount_raw": amount_raw,
                "limit_raw": limit_raw,
                "paid_raw": fill.paid_raw,
                "received_raw": fill.received_raw,
                "fee_usd": self.book.usd(self.router.sides[hop.venue][hop.sold], fill.paid_raw)
                * venue.fee(hop.sold, hop.bought),
            }
        )

    def _record_outcomes(
        self, found: list[tuple[int, int]], ready: set[tuple[int, int]], unoffered: set[tuple[int, int]], done: int
    ) -> None:
        """Write down beside each account that could be liquidated in the step what came of it.

        Parameters
        ----------
        found
            The accounts, in the order of their rows.
        ready
            Those that liquidators have had time to notice.
        unoffered
            Those that there was no offer for before liquidators acted.
        done
            Number of liquidations before the step.
        """
        taken = {(row["market"], row["account"]) for row in self.record.liquidations[done:]}
        rows = self.record.liquidatable[len(self.record.liquidatable) - len(found) :]
        for (row, account), written in zip(found, rows, strict=True):
            if (written["market"], written["account"]) in taken:
                outcome = "liquidated"
            elif (row, account) not in ready:
                outcome = "not noticed"
            # an offer ends only with what others take of the cash, which markets may share
            elif (row, account) in unoffered or (taken and not self._offers(row, account)):
                outcome = "no offer"
            else:
                outcome = "no block space" if self._full(done) else "no profit"
            written["outcome"] = outcome

    def _record_step(self, step: int, liquidatable: int, done: int) -> None:
        new = self.record.liquidations[done:]
        economic = [
            float(value(market.exposures(), self.book.outside_usd[tokens]).bad_debt_usd.sum())
            for market, tokens in zip(self.book.markets, self.book.market_tokens, strict=True)
        ]
        realised = sum(
            self.book.usd(int(token), amount - was)
            for market, tokens, before in zip(
                self.book.markets, self.book.market_tokens, self._deficits_before, strict=True
            )
            for token, amount, was in zip(tokens, market.deficits_raw(), before, strict=True)
        )
        self.record.steps.append(
            {
                "step": step,
                "timestamp": self.book.timestamp,
                "accounts_liquidatable": liquidatable,
                "accounts_liquidated": len({(row["market"], row["account"]) for row in new}),
                "liquidations": len(new),
                **{name: float(sum(row[name] for row in new)) for name in _SUMMED},
                "bad_debt_economic_usd": float(sum(economic)),
                "bad_debt_realised_usd": float(realised),
            }
        )


_SUMMED = (
    *("collateral_usd", "repaid_usd", "protocol_fee_usd", "slippage_usd", "flash_fee_usd", "gas_usd", "auction_usd"),
    "profit_usd",
)


def _by_market(book: Book, scenario: Scenario) -> list[Liquidators]:
    """How liquidators of each market behave; raises InputError where the scenario names a market that is not there."""
    usual = scenario.liquidators
    known = [market.name for market in book.markets]
    for name in usual.no_slippage:
        if name not in known:
            where = f"scenario {scenario.name}: liquidators.no_slippage"
            raise InputError(f"{where}: the snapshot has no market {name}; it has {', '.join(known)}")
    whole = usual.model_copy(update={"sell": "outside", "outside_haircut": 0.0, "inventory_usd": None})
    return [whole if name in usual.no_slippage else usual for name in known]
