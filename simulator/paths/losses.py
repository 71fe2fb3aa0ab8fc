"""What a book loses on each path when liquidators act: the engine as a function of paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chain.errors import InputError
from protocols import compiled
from simulator.book import Book
from simulator.estimate.losses import At, check_at, columns_of
from simulator.estimate.outputs import BAD_DEBT, SYSTEM, Output
from simulator.paths import kernel
from simulator.paths.build import build, several
from simulator.paths.deck import Deck, FloatArray
from simulator.scenario import Scenario

MEASURES = (BAD_DEBT, "liquidated volume", "liquidators' profit")
"""In the order of the kernel's. Volume is the collateral that liquidators received, at the outside price then."""


@dataclass(frozen=True)
class PathLosses:
    """Bad debt of a book, the collateral that liquidators received and their profit, path by path; US dollars.

    Bad debt is *economic*: what debts exceed what full liquidations could recover, at outside prices, of accounts as
    liquidators have left them. A debt whose collateral is all gone counts whole, whether or not its protocol writes it
    off. It is laid to debts by their shares in what the account owes, and to collateral by its shares in what the
    account had pledged at the start.

    Attributes
    ----------
    deck
        The book and its rules.
    outputs
        What the columns are, measure by measure: all markets, each market, each reserve that is owed, each that is
        pledged, each protocol with several markets.
    at
        ``worst``: each bad debt at the step at which it is largest, so that groups need not add up to all; ``end``: at
        the last step. Volume and profit are of the whole path.
    accounts
        Market and address of each account, in the order of the deck.
    """

    deck: Deck
    outputs: tuple[Output, ...]
    at: At
    accounts: tuple[tuple[str, str], ...]

    @classmethod
    def of(
        cls,
        book: Book,
        assets: Sequence[str],
        scenario: Scenario,
        *,
        follow: Mapping[str, str] | None = None,
        at: At = "worst",
        published: Sequence[Sequence[int]] | None = None,
    ) -> PathLosses:
        """The losses of a book on paths of some assets' prices.

        Parameters
        ----------
        book
            As at the start; it stays as it is.
        assets, follow, at
            As `estimate.losses.EconomicBadDebt.of` takes them.
        scenario
            Its steps, oracles, liquidators and venues count; prices come with the paths.
        published
            For each market, when each reserve's feed last answered, unix seconds; 0 where that is not known.

        Raises
        ------
        InputError
            If a token that somebody owes or pledges has no price on the paths, or `follow` or the scenario names what
            is not there, or liquidators could sell nowhere.
        UnsupportedError
            If the scenario has what random paths cannot.
        """
        check_at(at)
        if not book.venues and scenario.liquidators.sell == "pools":
            raise InputError(
                "the snapshot has no pools in which collateral could be sold; let liquidators sell to an outside "
                "market (--haircut), or take paths without liquidations (--without-liquidations)"
            )
        deck = build(book, columns_of(book, assets, follow or {}), scenario, published=published)
        names = [(market.name, account) for market in book.markets for account in market.accounts]
        accounts = tuple(names[row] for row in deck.accounts.row.tolist())
        return cls(deck, tuple(_outputs(book, deck)), at, accounts)

    def __call__(self, prices: FloatArray) -> FloatArray:
        """US dollars, shape (paths, outputs).

        Parameters
        ----------
        prices
            Shape (paths, steps + 1, assets), relative to the start.
        """
        out = np.empty((len(prices), len(self.outputs)))
        self._run(prices, out, np.empty((0, len(self.accounts))))
        return out

    def by_account(self, prices: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The same, and the bad debt of each account in the step that counts for all markets together, shape (paths,
        accounts): it adds up to the first output."""
        out, accounts = np.empty((len(prices), len(self.outputs))), np.zeros((len(prices), len(self.accounts)))
        self._run(prices, out, accounts)
        return out, accounts

    def _run(self, prices: FloatArray, out: FloatArray, accounts: FloatArray) -> None:
        steps = len(self.deck.reserves.supply_growth) - 1
        if prices.shape[1] != steps + 1:
            raise InputError(f"paths have {prices.shape[1] - 1} steps where the scenario has {steps}")
        compiled.fast(kernel.run, **kernel.OPTIONS)(
            np.ascontiguousarray(prices, dtype=np.float64), self.deck, self.at == "worst", out, accounts
        )


def _outputs(book: Book, deck: Deck) -> list[Output]:
    reserves = [
        f"{market.name}/{book.tokens[int(token)].symbol}"
        for market, tokens in zip(book.markets, book.market_tokens, strict=True)
        for token in tokens
    ]
    groups = [("all", SYSTEM), *(("market", market.name) for market in book.markets)]
    groups += [("debt", name) for name, owed in zip(reserves, deck.reserves.is_debt, strict=True) if owed]
    groups += [("collateral", name) for name, held in zip(reserves, deck.reserves.is_collateral, strict=True) if held]
    groups += [("protocol", f"all of {name}") for name in several([market.protocol for market in book.markets])]
    return [Output(name, measure, by) for measure in MEASURES for by, name in groups]
