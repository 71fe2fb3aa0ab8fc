"""One book across every protocol: all markets, all venues, one list of tokens with one outside price each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from chain.snapshot import CLAIMS, Snapshot, read_snapshot
from chain.tables import Table
from protocols import registry
from protocols.amm.interface import Venue
from protocols.lending.interface import Exposures, LendingMarket
from protocols.oracles.kind import Part
from protocols.oracles.tables import load as load_trees
from protocols.tokens.stakes import Holding, Stake, holdings, stakes

ANCHORS = ("USDC", "USDT", "DAI")
"""Stablecoins taken for a dollar where no oracle of a snapshot prices in dollars, in this order."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Token:
    """A token as the snapshot knows it."""

    address: str
    symbol: str
    decimals: int

    @cached_property
    def names(self) -> frozenset[str]:
        """The names it goes by, in lower case."""
        return frozenset({self.address.lower(), self.symbol.lower()})


@dataclass
class Book:
    """The state that a cascade steps.

    Attributes
    ----------
    tokens
        Every token of the snapshot.
    markets, venues
        Exact states, one a deployment or pool.
    outside_usd
        Outside (market) price of one whole token of each of `tokens`, US dollars.
    timestamp
        Now, unix seconds.
    assumed
        Symbols of stablecoins that are taken for a dollar, because no oracle of the snapshot prices them in dollars.
    trees
        What the price of a token is made of, by market name and token address; empty where that was not looked into.
    claims
        What tokens are claims on, as the snapshot has it; None where it does not say.
    stakes, holdings
        What issuers that are no markets have in markets, and of other issuers.
    redeemed
        What an exchange rate in a price answers now; what it answered at the start, unless issuers have lost something.
    """

    tokens: list[Token]
    markets: list[LendingMarket]
    venues: list[Venue]
    outside_usd: FloatArray
    timestamp: int
    assumed: list[str]
    trees: Mapping[tuple[str, str], Part] = field(default_factory=dict)
    claims: Table | None = None
    stakes: Sequence[Stake] = ()
    holdings: Sequence[Holding] = ()
    redeemed: Callable[[Part], int] = lambda part: part.answer_raw

    @cached_property
    def token_row(self) -> dict[str, int]:
        """Row in `tokens` of each address."""
        return {token.address: row for row, token in enumerate(self.tokens)}

    @cached_property
    def unit(self) -> FloatArray:
        """Smallest units of one whole token, for each of `tokens`."""
        return np.array([10.0**token.decimals for token in self.tokens])

    @cached_property
    def market_tokens(self) -> list[IntArray]:
        """For each market, the rows in `tokens` of its reserves."""
        return [np.array([self.token_row[a] for a in market.tokens], dtype=np.int64) for market in self.markets]

    def numeraire_usd(self, market: int) -> float:
        """Outside price of what a market's prices are in, US dollars."""
        reserve = self.markets[market].numeraire
        return 1.0 if reserve is None else float(self.outside_usd[self.market_tokens[market][reserve]])

    def oracle_usd(self, market: int) -> FloatArray:
        """What a market believes one whole token of each of its reserves is worth, US dollars; where its prices are in
        another token, at that token's outside price."""
        state = self.markets[market]
        prices = [state.price_raw(reserve) / state.price_unit(reserve) for reserve in range(len(state.tokens))]
        return np.array(prices) * self.numeraire_usd(market)

    def usd(self, token: int, amount_raw: int) -> float:
        """Outside value of an amount in smallest units, US dollars."""
        return float(amount_raw / self.unit[token] * self.outside_usd[token])


def open_book(snapshot: Snapshot) -> Book:
    """The book of a snapshot.

    The outside price of a token is what its market's oracle says at the snapshot's block, the median where several
    markets price it. A price in another token (Aave v2: ETH, Morpho: the loan token) is taken at that token's price,
    and the other way round where only the first is known; where nothing leads to dollars, a stablecoin counts as one.
    A token that no oracle prices is worth what it is a claim on, at the claim's rate.

    Raises
    ------
    InputError
        If a token has no price.
    """
    rows = snapshot.tables["tokens"]
    columns = (rows.texts("token"), rows.texts("symbol"), rows.ints("decimals"))
    tokens = [Token(*row) for row in zip(*columns, strict=True)]
    prices, assumed = outside_prices(snapshot.tables["oracles"], tokens)
    if CLAIMS.name in snapshot.tables:
        prices = with_claims(prices, snapshot.tables[CLAIMS.name], tokens)
    for token in tokens:
        if token.address not in prices:
            raise InputError(f"no oracle of the snapshot prices {token.symbol} ({token.address})")
    return Book(
        tokens=tokens,
        markets=registry.markets(snapshot),
        venues=registry.venues(snapshot),
        outside_usd=np.array([prices[token.address] for token in tokens]),
        timestamp=snapshot.timestamp,
        assumed=assumed,
        trees=load_trees(snapshot),
        claims=snapshot.tables.get(CLAIMS.name),
        stakes=stakes(snapshot),
        holdings=holdings(snapshot),
    )


def read(path: Path) -> Snapshot:
    """A snapshot with the tables of every protocol known here; raises InputError as `chain.snapshot` does."""
    return read_snapshot(path, registry.schemas())


def opened(snapshot: Snapshot | Path | str) -> Snapshot:
    """A snapshot, read from its folder where a folder is given."""
    return snapshot if isinstance(snapshot, Snapshot) else read(Path(snapshot))


def outside_prices(oracles: Table, tokens: Sequence[Token]) -> tuple[dict[str, float], list[str]]:
    """Dollar prices that a snapshot's oracles imply.

    Returns
    -------
    By address, without the tokens that none leads to; and the symbols of stablecoins that had to be taken for a dollar.
    """
    names = ("token", "numeraire")
    rows = [
        (token, numeraire, price / unit)
        for token, numeraire, price, unit in zip(
            *(oracles.texts(name) for name in names), oracles.ints("price_raw"), oracles.ints("unit_raw"), strict=True
        )
        if price
    ]
    known, assumed = _spread({"": 1.0}, rows), []
    # an isolated market may lend what no oracle prices in dollars
    for symbol in ANCHORS:
        for token in tokens:
            if token.symbol == symbol and token.address not in known:
                known = _spread(known | {token.address: 1.0}, rows)
                assumed.append(symbol)
    return known, assumed


def with_claims(known: dict[str, float], claims: Table, tokens: Sequence[Token]) -> dict[str, float]:
    """The prices that are known, and those that follow by claims.

    A claim is worth the sum of what one whole token is worth at its rates; one on what lies off the chain has no price
    of its own. What only claims on it have a price for is worth what the dearest of them implies: a claim may be worth
    less than what is owed, and none is worth more.
    """
    unit = {token.address: 10.0**token.decimals for token in tokens}
    parts: dict[str, list[tuple[str, float]]] = {}
    columns = claims.texts("token"), claims.texts("underlying"), claims.ints("amount_raw")
    for token, underlying, amount in zip(*columns, strict=True):
        if token in unit:
            parts.setdefault(token, []).append((underlying, amount / unit.get(underlying, 1.0)))
    while True:
        found = {
            token: sum(rate * known[underlying] for underlying, rate in held)
            for token, held in parts.items()
            if token not in known and all(underlying and underlying in known for underlying, _ in held)
        }
        if not found:
            for token, ((underlying, rate), *others) in parts.items():
                if token in known and underlying not in known and rate and not others:
                    found[underlying] = max(found.get(underlying, 0.0), known[token] / rate)
        if not found:
            return known
        known = known | found


def _spread(known: dict[str, float], rows: Sequence[tuple[str, str, float]]) -> dict[str, float]:
    """The prices that follow from those known, by the ratios of (token, numeraire) in `rows`."""
    while True:
        found: dict[str, list[float]] = {}
        for token, numeraire, ratio in rows:
            if numeraire in known and token not in known:
                found.setdefault(token, []).append(ratio * known[numeraire])
            elif token in known and numeraire not in known:
                found.setdefault(numeraire, []).append(known[token] / ratio)
        if not found:
            return known
        known = known | {token: float(np.median(values)) for token, values in found.items()}


# --- measures over exposures, the same for every protocol -------------------------------------------------------


@dataclass(frozen=True)
class Valuation:
    """One market's accounts in US dollars at given prices; arrays of shape (accounts,).

    Attributes
    ----------
    collateral_usd
        What counts as collateral.
    limit_usd
        Debt at which the account becomes liquidatable: collateral times liquidation threshold.
    capacity_usd
        Debt that may at most be taken: collateral times maximum LTV.
    debt_usd
        Debt with interest.
    recoverable_usd
        What a full liquidation would repay: collateral over liquidation bonus.
    """

    collateral_usd: FloatArray
    limit_usd: FloatArray
    capacity_usd: FloatArray
    debt_usd: FloatArray
    recoverable_usd: FloatArray

    @property
    def health_factor(self) -> FloatArray:
        """Infinite without debt."""
        return _ratio(self.limit_usd, self.debt_usd, np.inf)

    @property
    def current_ltv(self) -> FloatArray:
        """Debt over collateral; infinite for debt without collateral."""
        return _ratio(self.debt_usd, self.collateral_usd, np.where(self.debt_usd > 0, np.inf, 0.0))

    @property
    def maximum_ltv(self) -> FloatArray:
        """Debt that may at most be taken over collateral."""
        return _ratio(self.capacity_usd, self.collateral_usd, 0.0)

    @property
    def bad_debt_usd(self) -> FloatArray:
        """*Economic* bad debt: what a full liquidation now could not recover, max(0, debt - collateral / bonus)."""
        return np.maximum(0.0, self.debt_usd - self.recoverable_usd)


def value(exposures: Exposures, prices_usd: FloatArray) -> Valuation:
    """Value every account.

    Parameters
    ----------
    exposures
        A market's positions.
    prices_usd
        Shape (reserves,): the market's oracle prices for questions of health, outside prices for what sales fetch.
    """
    supplied = exposures.supplied * prices_usd[exposures.reserve]
    counted = np.where(exposures.threshold > 0, supplied, 0.0)
    return Valuation(
        collateral_usd=_by_account(exposures, counted),
        limit_usd=_by_account(exposures, supplied * exposures.threshold),
        capacity_usd=_by_account(exposures, supplied * exposures.ltv),
        debt_usd=_by_account(exposures, exposures.debt * prices_usd[exposures.reserve]),
        # an entry that is no collateral has no bonus
        recoverable_usd=_by_account(exposures, counted / np.where(counted > 0, exposures.bonus, 1.0)),
    )


def bad_debt_by_reserve(exposures: Exposures, prices_usd: FloatArray) -> FloatArray:
    """*Economic* bad debt of each reserve, US dollars, shape (reserves,): accounts' bad debts, by the shares of their
    debts. Parameters are those of :func:`value`."""
    valuation = value(exposures, prices_usd)
    share = _ratio(valuation.bad_debt_usd, valuation.debt_usd, 0.0)
    account = np.repeat(np.arange(len(share)), np.diff(exposures.offsets))
    owed = exposures.debt * prices_usd[exposures.reserve] * share[account]
    return np.bincount(exposures.reserve, weights=owed, minlength=len(prices_usd)).astype(np.float64)


def _by_account(exposures: Exposures, entries: FloatArray) -> FloatArray:
    """Sum of the entries of each account."""
    count = len(exposures.offsets) - 1
    account = np.repeat(np.arange(count), np.diff(exposures.offsets))
    return np.asarray(np.bincount(account, weights=entries, minlength=count), dtype=np.float64)


def _ratio(above: FloatArray, below: FloatArray, otherwise: float | FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(below > 0, above / below, otherwise))
