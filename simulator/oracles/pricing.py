"""What a market believes of a token, step by step: the tree of its price source, computed from its leaves.

A leaf that is a feed watches the outside price of what it says it quotes: ETH / USD in the price of wstETH follows
ETH, and wstETH's own market does not move it. Where what it quotes is no token of the book, it follows the outside
price of the token that is priced, or stays where another leaf follows that. Fixed prices stay, and so do exchange
rates, unless their issuer loses something (`simulator.losses`). Everything above the leaves is computed by the rules of
`protocols.oracles`, in integers.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf, log
from typing import NamedTuple

from protocols.oracles.chainlink import is_auctioned
from protocols.oracles.kind import Answer, Part
from protocols.oracles.kinds import BY_NAME
from protocols.oracles.rates import KINDS as RATES
from simulator.book import Book
from simulator.oracles.feeds import Feed, distorted, faults_for, rule_for
from simulator.scenario import OracleFault, OracleRule, Oracles

_PAIR = re.compile(r"([\w.+-]+)\s*/\s*([\w.+-]+)")
_RATES = {kind.name for kind in RATES}
_AT_ONCE = OracleRule(deviation=0.0, heartbeat_s=1e12, delay_s=0.0)
_OF_POOLS, _OF_RATES = "manipulated", "rate"


@dataclass(frozen=True)
class Watched:
    """What a leaf follows: the outside price of `base` in `quote`, rows of the book's tokens; None for US dollars.

    `own` marks a leaf that follows the token that is priced, because what it quotes is not in the book, or not known.
    """

    base: int
    quote: int | None
    own: bool

    def price(self, book: Book) -> float:
        """The outside price now."""
        return float(book.outside_usd[self.base] / (1.0 if self.quote is None else book.outside_usd[self.quote]))


def follows(book: Book, market: int, reserve: int, tree: Part) -> dict[int, Watched | None]:
    """What each watching leaf in the tree of a reserve's price follows, by the part's id; None for one that stays.

    A leaf follows the pair that it quotes, where both are in the book. Of the others one at most may follow the token
    that is priced, or its move would count twice: the first, unless a leaf above already follows a token other than
    the numeraire. The rest are taken for rates that stay.
    """
    leaves = [part for part in tree.walk() if BY_NAME[part.kind].watching]
    found: dict[int, Watched | None] = {id(part): watched(book, market, reserve, part) for part in leaves}
    numeraire = _numeraire(book, market)
    carried = any(of is not None and not of.own and of.base != numeraire for of in found.values())
    for part in leaves:
        of = found[id(part)]
        if of is not None and of.own:
            found[id(part)] = None if carried else of
            carried = True
    return found


def watched(book: Book, market: int, reserve: int, part: Part | None) -> Watched:
    """What a leaf alone follows in a reserve's price; None stands for a feed that was not looked into."""
    token, numeraire = int(book.market_tokens[market][reserve]), _numeraire(book, market)
    pair = _PAIR.fullmatch(part.description.strip()) if part is not None else None
    if pair is None:
        return Watched(token, numeraire, own=True)
    dollars = pair[2].upper() == "USD"
    base, quote = _token(book, pair[1], token), None if dollars else _token(book, pair[2], token)
    if not dollars and quote is None:
        return Watched(token, numeraire, own=True)
    return Watched(token, quote, own=True) if base is None else Watched(base, quote, own=False)


def _numeraire(book: Book, market: int) -> int | None:
    """The token that a market's prices are in, a row of the book's; None for US dollars."""
    reserve = book.markets[market].numeraire
    return None if reserve is None else int(book.market_tokens[market][reserve])


def _token(book: Book, symbol: str, preferred: int) -> int | None:
    """The token that a feed calls by a symbol, itself or wrapped; of several the one that is priced."""
    names = {symbol.lower(), "w" + symbol.lower()}
    rows = [row for row, token in enumerate(book.tokens) if token.symbol.lower() in names]
    return preferred if preferred in rows else min(rows, default=None)


class Follower(NamedTuple):
    """A feed, what it watches, and what the price moves by in logarithms when its answer falls by one, once whatever
    delays or averages it has caught up: 1 in a product, -1 under a fraction, 0 where a floor holds."""

    feed: Feed
    of: Watched
    power: float


class Oracle:
    """What one market's oracle answers for one token.

    Parameters
    ----------
    book
        Where outside prices stand; its timestamp is the start.
    oracles
        How feeds speak in the scenario, and what goes wrong.
    market, reserve
        Rows in the book and in the market.
    published_at
        When the feed last answered, unix seconds, where it has no tree.
    """

    def __init__(self, book: Book, oracles: Oracles, market: int, reserve: int, published_at: float) -> None:
        state = book.markets[market]
        self._started = book.timestamp
        self._unit = state.price_unit(reserve)
        self._first_raw = state.price_raw(reserve)
        token = book.tokens[int(book.market_tokens[market][reserve])]
        self.tree = book.trees.get((state.name, token.address))
        followed = {} if self.tree is None else follows(book, market, reserve, self.tree)
        plant = _Plant(book, oracles, followed, token.names, published_at or book.timestamp)
        if self.tree is None:
            leaf = Part("", "", "", 0, self._first_raw)
            self._source: _Source = plant.feed(leaf, self._unit, watched(book, market, reserve, None))
            self._answered = self._first_raw
        else:
            self._source = plant.source(self.tree)
            self._answered = self.tree.answer_raw
        self._faults = [] if plant.own_feed else [f for f in plant.own_faults if f.kind not in _PARTICULAR]
        self._late: deque[tuple[float, int]] = deque()
        self._leaves = plant.leaves

    def followers(self) -> list[Follower]:
        """The leaves that move, and how far the price goes with each; a leaf that it does not go with is left out."""
        if self.tree is None:
            return [Follower(leaf.feed, leaf.of, 1.0) for leaf in self._leaves.values()]
        powers = _powers(self.tree, self._started, 1.0)
        found = [Follower(leaf.feed, leaf.of, powers[part]) for part, leaf in self._leaves.items()]
        return [follower for follower in found if follower.power != 0.0]

    @property
    def is_auctioned(self) -> bool:
        """Whether reports of a feed in it go through an auction first."""
        return self.tree is not None and any(is_auctioned(part.parameters) for part in self.tree.walk())

    def report(self, now: int) -> int | None:
        """The price, in the market's base units, where the oracle answers something new; else None.

        A price that is computed when it is asked for is new at every step.
        """
        answer = self._source.answer(now)
        if not (self._source.spoke or self._faults):
            return None
        price = answer if self._first_raw == self._answered else answer * self._first_raw // self._answered
        if not self._faults:
            return price
        faults = [fault for fault in self._faults if fault.active(now - self._started)]
        if any(fault.kind == "stuck" for fault in faults):
            return None
        if any(fault.kind != "late" for fault in faults):
            price = round(distorted(price / self._unit, faults) * self._unit)
        self._late.append((now + sum(fault.value or 0.0 for fault in faults if fault.kind == "late"), price))
        due = None
        while self._late and self._late[0][0] <= now:
            due = self._late.popleft()[1]
        return due


_PARTICULAR = (_OF_POOLS, _OF_RATES)
"""Faults that act on leaves of one sort only, never on the finished price."""


# --- the tree as it runs ------------------------------------------------------------------------------------------


@dataclass
class _Source(ABC):
    """A part of the tree as it runs: its answer, and whether the last call made a new one."""

    answer_raw: int
    spoke: bool = False

    @abstractmethod
    def answer(self, now: int) -> int:
        """Its answer at a time, unix seconds."""


@dataclass
class _Leaf(_Source):
    """A leaf that watches the market."""

    feed: Feed = field(kw_only=True)
    unit: int = field(kw_only=True)
    of: Watched = field(kw_only=True)
    outside: Callable[[], float] = field(kw_only=True)

    def answer(self, now: int) -> int:
        published = self.feed.watch(now, self.outside())
        self.spoke = published is not None
        if published is not None:
            self.answer_raw = round(published * self.unit)
        return self.answer_raw


@dataclass
class _Still(_Source):
    """A leaf that no market moves: a fixed price, or an exchange rate, which faults and its issuer's losses move."""

    faults: Sequence[OracleFault] = ()
    started: int = 0
    redeemed: Callable[[], int] | None = None

    def answer(self, now: int) -> int:
        if self.redeemed is not None:
            before, self.answer_raw = self.answer_raw, self.redeemed()
            self.spoke = self.answer_raw != before
        factor = 1.0
        for fault in self.faults:
            factor *= (fault.value or 1.0) if fault.active(now - self.started) else 1.0
        return self.answer_raw if factor == 1.0 else round(self.answer_raw * factor)


@dataclass
class _Computed(_Source):
    """What is computed from others whenever it is asked."""

    rule: Answer = field(kw_only=True)
    children: Mapping[str, _Source] = field(kw_only=True)
    spoke: bool = True

    def answer(self, now: int) -> int:
        answers = {role: child.answer(now) for role, child in self.children.items()}
        # where a feed's answer rounds to nothing and is divided by, the contract reverts, and nobody learns a price
        with suppress(ZeroDivisionError):
            self.answer_raw = self.rule(answers, now)
        return self.answer_raw


@dataclass
class _Plant:
    """Makes the sources of one tree.

    `own_feed` is set when a feed is met that watches the token itself: faults of the token then act there, below the
    caps; otherwise they act on the finished price. `leaves` are those made, by the id of their part.
    """

    book: Book
    oracles: Oracles
    followed: Mapping[int, Watched | None]
    names: frozenset[str]
    published_at: float
    own_feed: bool = False
    leaves: dict[int, _Leaf] = field(default_factory=dict)

    @property
    def own_faults(self) -> list[OracleFault]:
        """What goes wrong with the feeds of the token that is priced."""
        return faults_for(self.oracles, self.names)

    def source(self, part: Part) -> _Source:
        """A part, with all below it."""
        kind = BY_NAME[part.kind]
        if kind.start is not None:
            children = {role: self.source(child) for role, child in part.children.items()}
            return _Computed(part.answer_raw, rule=kind.start(part, self.book.timestamp), children=children)
        if (of := self.followed.get(id(part))) is not None:
            return self.feed(part, part.unit, of) if kind.watching == "feed" else self.pool(part, of)
        if part.kind not in _RATES:
            return _Still(part.answer_raw)
        faults = [f for f in self.own_faults if f.kind == _OF_RATES]
        # a leaf that follows the token itself has the loss in what it follows
        carried = any(of is not None and of.own for of in self.followed.values())
        redeemed = None if carried else lambda: self.book.redeemed(part)
        return _Still(part.answer_raw, faults=faults, started=self.book.timestamp, redeemed=redeemed)

    def feed(self, part: Part, unit: int, of: Watched) -> _Leaf:
        """A leaf that speaks by deviation and heartbeat."""
        names = self.book.tokens[of.base].names
        self.own_feed |= names == self.names
        faults = [fault for fault in faults_for(self.oracles, names) if fault.kind not in _PARTICULAR]
        return self._leaf(part, unit, of, self._rule(part, names), faults)

    def pool(self, part: Part, of: Watched) -> _Leaf:
        """A leaf that is a pool's price, which arbitrage keeps at the market's."""
        faults = [
            fault for fault in faults_for(self.oracles, self.book.tokens[of.base].names) if fault.kind == _OF_POOLS
        ]
        return self._leaf(part, part.unit, of, _AT_ONCE, faults)

    def _leaf(self, part: Part, unit: int, of: Watched, rule: OracleRule, faults: Sequence[OracleFault]) -> _Leaf:
        outside = of.price(self.book)
        feed = Feed(
            rule,
            answered=outside,
            answered_at=part.published_at or self.published_at,
            scale=part.answer_raw / unit / outside,
            started=self.book.timestamp,
            faults=faults,
            low=float(part.parameters.get("low_raw", 0)) / unit,
            high=float(part.parameters.get("high_raw", inf)) / unit,
        )
        leaf = _Leaf(part.answer_raw, feed=feed, unit=unit, of=of, outside=lambda: of.price(self.book))
        self.leaves[id(part)] = leaf
        return leaf

    def _rule(self, part: Part, names: frozenset[str]) -> OracleRule:
        """The scenario's rule for the token that is priced, or for the one that is watched; what the scenario leaves
        open is as the feed's operator publishes it. An auction that nobody wins delays a report."""
        oracles, auction = self.oracles, self.oracles.auction
        rule = rule_for(oracles, self.names)
        rule = rule_for(oracles, names) if rule is oracles else rule
        told = {"deviation": rule.deviation, "heartbeat_s": rule.heartbeat_s, "delay_s": rule.delay_s}
        if "deviation_ppm" in part.parameters:
            published = {
                "deviation": part.number("deviation_ppm") / 1e6,
                "heartbeat_s": float(part.number("heartbeat_s")),
            }
            told |= {name: value for name, value in published.items() if name not in rule.model_fields_set}
        if auction is not None and not auction.bidders:
            listed = any(token.lower() in self.names for token in auction.tokens)
            if listed or is_auctioned(part.parameters):
                own = float(part.parameters.get("fallback_s", 0.0))
                told["delay_s"] += own if auction.fallback_s is None else auction.fallback_s
        return OracleRule(**told)


_NUDGE = 1e-3
_CAUGHT_UP_S = 365 * 86_400


def _powers(part: Part, started: int, power: float) -> dict[int, float]:
    """What the price moves by in logarithms with each leaf below a part, by the leaf's id, if it does so by `power`
    with the part."""
    kind = BY_NAME[part.kind]
    if kind.start is None:
        return {id(part): power}
    answers = {role: child.answer_raw for role, child in part.children.items()}
    # from a fresh start each time: what remembers answers has then nothing to remember but these
    before = kind.start(part, started)(answers, started + _CAUGHT_UP_S)
    found: dict[int, float] = {}
    for role, child in part.children.items():
        nudged = answers | {role: round(child.answer_raw * (1.0 - _NUDGE))}
        after = kind.start(part, started)(nudged, started + _CAUGHT_UP_S)
        moved = log(after / before) / log(nudged[role] / child.answer_raw) if after > 0 and before > 0 else 0.0
        # answers are whole numbers, and powers nearly always
        near = round(moved)
        found |= _powers(child, started, power * (near if abs(moved - near) < 0.01 else moved))
    return found
