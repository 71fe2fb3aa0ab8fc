"""A deck from a book and the parts of a scenario."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chain.errors import UnsupportedError
from protocols.lending.closing import ClosingTerms
from protocols.lending.growth import growth
from protocols.lending.interface import Exposures
from simulator.book import Book
from simulator.oracles.pricing import Follower, Oracle
from simulator.paths import venues
from simulator.paths.deck import (
    NONE,
    Accounts,
    BoolArray,
    Deck,
    Feeds,
    FloatArray,
    Groups,
    IntArray,
    Kinds,
    Markets,
    Reserves,
    Rules,
    Tokens,
)
from simulator.scenario import Scenario, find

_INTERVALS = 24
"""How often markets are asked along a path what interest makes of balances; in between it is compounded."""


class Entries(NamedTuple):
    """All markets' positions in one, reserves numbered through.

    Attributes
    ----------
    exposures
        Accounts in the order of markets and within a market of kinds.
    row, market, kind
        Shape (accounts,): which of the book's accounts it is, of which market and kind.
    reserves
        Shape (markets,): how many each has.
    """

    exposures: Exposures
    row: IntArray
    market: IntArray
    kind: IntArray
    reserves: IntArray


def build(
    book: Book,
    columns: IntArray,
    scenario: Scenario,
    *,
    published: Sequence[Sequence[int]] | None = None,
) -> Deck:
    """Make the deck.

    Parameters
    ----------
    book
        As at the start; it stays as it is.
    columns
        Which asset's price each token moves with, as `estimate.losses.columns_of` says.
    scenario
        Its steps, oracles, liquidators and venues; its prices are not used.
    published
        For each market, when each reserve's feed last answered, unix seconds; 0 where that is not known.

    Raises
    ------
    InputError
        If the scenario names a token or market that is not there.
    UnsupportedError
        If the scenario has what paths cannot.
    """
    _check(scenario)
    entries = _entries(book)
    exposures, first = entries.exposures, np.cumsum([0, *entries.reserves])
    token = np.concatenate([*book.market_tokens, np.empty(0, dtype=np.int64)])
    market = np.repeat(np.arange(len(book.markets)), entries.reserves)
    terms = [state.closing_terms() for state in book.markets]
    is_debt = np.bincount(exposures.reserve, weights=exposures.debt, minlength=len(token)) > 0.0
    pledged = np.where(exposures.threshold > 0.0, exposures.supplied, 0.0)
    is_collateral = np.bincount(exposures.reserve, weights=pledged, minlength=len(token)) > 0.0
    supply_growth, debt_growth = _growth(book, scenario)
    numeraire = [
        NONE if m.numeraire is None else int(t[m.numeraire])
        for m, t in zip(book.markets, book.market_tokens, strict=True)
    ]
    reserves = Reserves(
        market=market,
        token=token,
        numeraire=np.repeat(np.array(numeraire, dtype=np.int64), entries.reserves),
        oracle=np.array(
            [state.price_raw(r) / state.price_unit(r) for state in book.markets for r in range(len(state.tokens))]
        ),
        fee=np.concatenate([*(each.fee for each in terms), np.empty(0)]).astype(np.float64),
        supply_growth=supply_growth,
        debt_growth=debt_growth,
        is_collateral=is_collateral,
        is_debt=is_debt,
    )
    pairs = [pair for pair in venues.pairs(book) if columns[pair.first] >= 0 and columns[pair.second] >= 0]
    return Deck(
        accounts=_accounts(book, entries, token),
        kinds=_kinds(entries),
        reserves=reserves,
        markets=_markets(book, terms, scenario),
        feeds=_feeds(book, scenario, first, published),
        pools=venues.pools(book, pairs),
        ways=venues.ways(book, pairs, _traded(exposures, token)),
        rules=_rules(scenario),
        tokens=_tokens(book, columns, scenario, pledged, token[exposures.reserve]),
        groups=_groups([market.protocol for market in book.markets], is_debt, is_collateral),
    )


def _check(scenario: Scenario) -> None:
    """Raise UnsupportedError for what only the exact engine has."""
    oracles = scenario.oracles
    parts = {
        "oracles.faults": bool(oracles.faults),
        "oracles.auction": oracles.auction is not None,
        "oracles.sequencer": oracles.sequencer is not None,
        "venues.books": bool(scenario.venues.books),
    }
    if any(parts.values()):
        listed = ", ".join(name for name, given in parts.items() if given)
        raise UnsupportedError(
            f"scenario {scenario.name}: random paths have no {listed}; leave them out, or run single scenarios"
        )


def _entries(book: Book) -> Entries:
    found = [state.exposures() for state in book.markets]
    reserves = np.array([len(tokens) for tokens in book.market_tokens], dtype=np.int64)
    accounts = np.array([len(each.offsets) - 1 for each in found], dtype=np.int64)
    first, sizes = np.cumsum([0, *reserves]), [np.diff(each.offsets) for each in found]
    joined = {
        name: np.concatenate([*(getattr(each, name) for each in found), np.empty(0)])
        for name in ("supplied", "debt", "threshold", "ltv", "bonus")
    }
    own = [each.reserve + start for each, start in zip(found, first[:-1], strict=True)]
    whole = Exposures(
        offsets=np.cumsum(np.concatenate([[0], *sizes]), dtype=np.int64),
        reserve=np.concatenate([*own, np.empty(0, dtype=np.int64)]).astype(np.int64),
        **joined,
    )
    market, signature = np.repeat(np.arange(len(book.markets)), accounts), _signatures(whole, int(reserves.sum()))
    row = np.lexsort((signature, market))
    begins = np.diff(market[row], prepend=-1) | np.diff(signature[row], prepend=np.uint64(0)).astype(np.int64)
    return Entries(_in_order(whole, row), row, market[row], np.cumsum(begins != 0) - 1, reserves)


def _sides(exposures: Exposures) -> tuple[BoolArray, BoolArray]:
    """Which entries are collateral, and which are debts."""
    return (exposures.threshold > 0.0) & (exposures.supplied > 0.0), exposures.debt > 0.0


def _signatures(exposures: Exposures, reserves: int) -> npt.NDArray[np.uint64]:
    """A number for each account, the same for those that pledge and owe the same, 0 for those that owe nothing.

    Kinds that should have two numbers and have one, of which there is no chance worth the name, are one kind: the
    accounts of it are looked at more often than they need be.
    """
    names = np.random.default_rng(0).integers(1, 2**64, (2, reserves), dtype=np.uint64)
    held, owed = _sides(exposures)
    entries = np.where(held, names[0, exposures.reserve], 0) + np.where(owed, names[1, exposures.reserve], 0)
    # differences of a running sum, which wraps: sums account by account, also of those without entries
    ends = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(entries, dtype=np.uint64)])[exposures.offsets]
    owes = np.concatenate([[0], np.cumsum(owed)])[exposures.offsets]
    return np.where(np.diff(owes) > 0, np.diff(ends), np.uint64(0))


def _in_order(exposures: Exposures, row: IntArray) -> Exposures:
    """The accounts of some rows, in their order."""
    sizes = np.diff(exposures.offsets)[row]
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])
    entry = np.repeat(exposures.offsets[row] - offsets[:-1], sizes) + np.arange(offsets[-1])
    return Exposures(offsets, *(each[entry] for each in exposures[1:]))


def _kinds(entries: Entries) -> Kinds:
    """What the accounts of each kind have pledged and owe."""
    account = np.repeat(np.arange(len(entries.row)), np.diff(entries.exposures.offsets))
    size = int(entries.kind.max(initial=-1)) + 1

    def reserves(of: BoolArray) -> tuple[IntArray, IntArray]:
        count = int(entries.reserves.sum())
        found = np.unique(entries.kind[account[of]] * count + entries.exposures.reserve[of])
        return np.searchsorted(found, np.arange(size + 1) * count), found % max(count, 1)

    held, owed = _sides(entries.exposures)
    owes = np.bincount(account, weights=owed, minlength=len(entries.row)) > 0.0
    return Kinds(np.searchsorted(entries.kind, np.arange(size + 1)), *reserves(held & owes[account]), *reserves(owed))


def _accounts(book: Book, entries: Entries, token: IntArray) -> Accounts:
    each = entries.exposures
    counts = each.threshold > 0.0
    worth = np.where(counts, each.supplied * book.outside_usd[token[each.reserve]], 0.0)
    account = np.repeat(np.arange(len(each.offsets) - 1), np.diff(each.offsets))
    total = np.bincount(account, weights=worth, minlength=len(each.offsets) - 1)[account]
    return Accounts(
        row=entries.row,
        market=entries.market,
        offsets=each.offsets,
        reserve=each.reserve,
        supplied=each.supplied,
        debt=each.debt,
        threshold=each.threshold,
        bonus=np.where(counts, each.bonus, 1.0),
        recovers=np.where(counts, 1.0 / np.where(counts, each.bonus, 1.0), 0.0),
        pledged=np.divide(worth, total, out=np.zeros(len(worth)), where=total > 0.0),
    )


def _markets(book: Book, terms: Sequence[ClosingTerms], scenario: Scenario) -> Markets:
    parameters = np.zeros((len(terms), max((len(each.parameters) for each in terms), default=1)))
    for row, each in enumerate(terms):
        parameters[row, : len(each.parameters)] = each.parameters
    return Markets(
        code=np.array([each.code for each in terms], dtype=np.int64),
        parameters=parameters,
        no_slippage=np.array(
            [state.name in scenario.liquidators.no_slippage for state in book.markets], dtype=np.bool_
        ),
    )


def _feeds(book: Book, scenario: Scenario, first: IntArray, published: Sequence[Sequence[int]] | None) -> Feeds:
    found: list[tuple[int, Follower]] = []
    for row, state in enumerate(book.markets):
        for reserve in range(len(state.tokens)):
            if reserve != state.numeraire:
                answered = 0 if published is None else published[row][reserve]
                oracle = Oracle(book, scenario.oracles, row, reserve, answered)
                found += [(int(first[row]) + reserve, follower) for follower in oracle.followers()]

    def ints(values: Sequence[int]) -> IntArray:
        return np.array(values, dtype=np.int64)

    def floats(values: Sequence[float]) -> FloatArray:
        return np.array(values, dtype=np.float64)

    feeds = [follower.feed for _, follower in found]
    return Feeds(
        reserve=ints([reserve for reserve, _ in found]),
        base=ints([follower.of.base for _, follower in found]),
        quote=ints([NONE if follower.of.quote is None else follower.of.quote for _, follower in found]),
        power=floats([follower.power for _, follower in found]),
        deviation=floats([feed.rule.deviation for feed in feeds]),
        heartbeat_s=floats([feed.rule.heartbeat_s for feed in feeds]),
        lag=ints([ceil(feed.rule.delay_s / scenario.step_s - 1e-9) for feed in feeds]),
        answered_s=floats([feed.answered_at - book.timestamp for feed in feeds]),
        low=floats([feed.low / (feed.scale * feed.answered) for feed in feeds]),
        high=floats([feed.high / (feed.scale * feed.answered) for feed in feeds]),
    )


def _traded(exposures: Exposures, token: IntArray) -> list[tuple[int, int]]:
    """Collateral and debt token of every account, each pair once."""
    found: set[tuple[int, int]] = set()
    account = np.repeat(np.arange(len(exposures.offsets) - 1), np.diff(exposures.offsets))
    pledges = (exposures.threshold > 0.0) & (exposures.supplied > 0.0)
    tokens = int(token.max(initial=-1)) + 1
    held, owed = (
        np.unique(account[where] * tokens + token[exposures.reserve[where]])
        for where in (pledges, exposures.debt > 0.0)
    )
    for owed_token in np.unique(owed % tokens) if tokens else ():
        with_it = np.isin(held // tokens, owed[owed % tokens == owed_token] // tokens)
        found |= {(int(one), int(owed_token)) for one in np.unique(held[with_it] % tokens) if one != owed_token}
    return sorted(found)


def _rules(scenario: Scenario) -> Rules:
    of, pools = scenario.liquidators, scenario.venues
    half_life = pools.arbitrage_half_life_s

    def unless(limit: float | None) -> float:
        return inf if limit is None else float(limit)

    return Rules(
        step_s=scenario.step_s,
        gas_usd=of.gas_usd,
        congestion=of.congestion,
        flash_fee=of.flash_fee,
        minimum_profit_usd=of.minimum_profit_usd,
        capital_usd=unless(of.capital_usd),
        inventory_usd=unless(of.inventory_usd),
        turnover_s=of.turnover_s,
        haircut=of.outside_haircut,
        latency_s=of.latency_s,
        per_step=unless(of.per_step),
        in_pools=of.sell in ("pools", "best"),
        outside=of.sell in ("outside", "best"),
        impact=pools.impact,
        permanent=pools.permanent,
        arbitrage=1.0 - 0.5 ** (scenario.step_s / half_life) if half_life else 1.0,
        withdrawal=pools.withdrawal,
    )


def _tokens(book: Book, columns: IntArray, scenario: Scenario, pledged: FloatArray, token: IntArray) -> Tokens:
    names = [each.names for each in book.tokens]
    anchored: BoolArray = np.zeros(len(names), dtype=np.bool_)
    anchored[[find(each, names, "venues.anchored") for each in scenario.venues.anchored]] = True
    return Tokens(
        outside_usd=book.outside_usd.astype(np.float64),
        column=np.maximum(columns, 0),
        anchored=anchored,
        held=np.bincount(token, weights=pledged, minlength=len(names)).astype(np.float64),
    )


def several(protocols: Sequence[str]) -> list[str]:
    """The protocols that more than one market is of, in the order of their first; one for each market is given."""
    return [protocol for protocol in dict.fromkeys(protocols) if protocols.count(protocol) > 1]


def _groups(protocols: Sequence[str], is_debt: BoolArray, is_collateral: BoolArray) -> Groups:
    debt, collateral = (np.full(len(is_debt), NONE, dtype=np.int64) for _ in range(2))
    size = 1 + len(protocols)
    for group, counts in ((debt, is_debt), (collateral, is_collateral)):
        group[counts] = size + np.arange(int(counts.sum()))
        size += int(counts.sum())
    shared = several(protocols)
    protocol = [size + shared.index(name) if name in shared else NONE for name in protocols]
    return Groups(size + len(shared), debt, collateral, np.array(protocol, dtype=np.int64))


def _growth(book: Book, scenario: Scenario) -> tuple[FloatArray, FloatArray]:
    """What interest makes of supplies and of debts, shape (steps + 1, reserves) each."""
    steps = np.arange(scenario.steps + 1)
    asked = np.unique(np.linspace(0, scenario.steps, min(scenario.steps, _INTERVALS) + 1).astype(np.int64))
    times = [book.timestamp + round(step * scenario.step_s) for step in asked.tolist()]
    found = [growth(state, times) for state in book.markets]

    def between(factors: Sequence[FloatArray]) -> FloatArray:
        known = np.log(np.concatenate([*factors, np.empty((len(asked), 0))], axis=1))
        columns = [np.interp(steps, asked, known[:, reserve]) for reserve in range(known.shape[1])]
        return np.ascontiguousarray(np.exp(np.array(columns).reshape(-1, len(steps)).T))

    return between([each.supplied for each in found]), between([each.debt for each in found])
