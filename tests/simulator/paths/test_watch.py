"""Nobody who owes too much is overlooked, however prices and balances move."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.book import open_book
from simulator.estimate.models.model import FloatArray
from simulator.paths.build import build
from simulator.paths.deck import Deck
from simulator.paths.watch import BAND, Watch, alter, keep, restart, unaltered, unwatched, watch
from tests.simulator.books import Account, make_scenario, make_snapshot
from tests.simulator.paths.test_engine import mixed


def made() -> Deck:
    others = {
        "owes nothing": Account({"ETH": 3.0}, {}),
        "ether alone": Account({"ETH": 1.0}, {"USD": 1_900.0}),
        "owes ether": Account({"DAI": 30_000.0}, {"ETH": 7.0}),
    }
    book = open_book(make_snapshot(mixed(40) | others))
    return build(book, np.arange(1, len(book.tokens) + 1), make_scenario(steps=1))


class Walk:
    """Prices of reserves that wander, and what is seen of the accounts on the way."""

    def __init__(self, deck: Deck, seed: int) -> None:
        self.deck = deck
        self.draw = np.random.default_rng(seed)
        self.altered = unaltered(len(deck.accounts.market))
        self.supplied, self.debt = deck.accounts.supplied.copy(), deck.accounts.debt.copy()
        # dollars, which most owe, being cheaper than they were
        self.pledge = deck.reserves.oracle * np.where(deck.reserves.oracle > 2.0, 1.2, 0.9)
        self.owe = self.pledge * 1.001

    def step(self, seen: Watch) -> None:
        self.pledge *= np.exp(self.draw.normal(-0.002, 0.01, len(self.pledge)))
        self.owe = self.owe * 1.00001 * np.exp(self.draw.normal(0.0, 0.01, len(self.owe)))
        self.look(seen)

    def look(self, seen: Watch) -> None:
        accounts = self.deck.accounts
        watch(
            self.deck.kinds,
            accounts,
            seen,
            self.altered,
            accounts.threshold,
            self.supplied,
            self.debt,
            self.pledge,
            self.owe,
        )

    def weighed(self) -> tuple[FloatArray, FloatArray]:
        """Weighted collateral and debt of every account, by hand."""
        accounts = self.deck.accounts
        account = np.repeat(np.arange(len(accounts.market)), np.diff(accounts.offsets))
        worth, owed = (
            np.bincount(account, weights=each[accounts.reserve] * amounts, minlength=len(accounts.market))
            for each, amounts in ((self.pledge, self.supplied * accounts.threshold), (self.owe, self.debt))
        )
        return worth, owed

    def found(self, seen: Watch) -> dict[int, tuple[float, float]]:
        due = seen.due[: seen.dues[0]].tolist()
        assert len(set(due)) == len(due)
        return {row: (float(seen.worth[n]), float(seen.owed[n])) for n, row in enumerate(due)}


@pytest.mark.parametrize("seed", range(5))
def test_everybody_who_owes_more_is_among_those_weighed_and_is_weighed_right(seed: int) -> None:
    deck = made()
    walk, seen = Walk(deck, seed), unwatched(len(deck.accounts.market), deck.kinds)
    fewest, below = len(deck.accounts.market), 0
    for _ in range(120):
        walk.step(seen)
        worth, owed = walk.weighed()
        found = walk.found(seen)
        assert set(np.flatnonzero(owed > worth).tolist()) <= set(found)
        for row, weighed in found.items():
            assert weighed == pytest.approx((worth[row], owed[row]), rel=1e-12)
        fewest, below = min(fewest, len(found)), below + int((owed > worth).sum())
        # somebody's balances change
        row = int(walk.draw.integers(len(deck.accounts.market)))
        entries = slice(deck.accounts.offsets[row], deck.accounts.offsets[row + 1])
        walk.supplied[entries] *= walk.draw.uniform(0.9, 1.1)
        alter(walk.altered, row)
    assert below > 0
    assert fewest < len(deck.accounts.market) / 2


def test_what_was_noted_at_the_start_comes_back() -> None:
    deck = made()
    walk, seen = Walk(deck, 7), unwatched(len(deck.accounts.market), deck.kinds)
    start, owed = walk.pledge.copy(), walk.owe.copy()
    walk.look(seen)
    keep(deck.kinds, seen)
    walk.look(seen)
    first = walk.found(seen)
    for _ in range(200):
        walk.step(seen)
    assert seen.differs.any()
    restart(deck.kinds, seen)
    for now, then in zip(seen.now, seen.start, strict=True):
        assert now.tobytes() == then.tobytes()
    walk.pledge, walk.owe = start, owed
    walk.look(seen)
    assert walk.found(seen) == first


def test_accounts_of_a_kind_pledge_and_owe_the_same_and_those_far_from_the_edge_are_not_weighed() -> None:
    deck = made()
    accounts, kinds = deck.accounts, deck.kinds
    assert sorted(accounts.row.tolist()) == list(range(len(accounts.market)))
    for row in range(len(accounts.market)):
        entries = slice(accounts.offsets[row], accounts.offsets[row + 1])
        kind, reserve = int(np.searchsorted(kinds.accounts, row, side="right")) - 1, accounts.reserve[entries]
        assert kinds.accounts[kind] <= row < kinds.accounts[kind + 1]
        held = reserve[(accounts.supplied[entries] > 0.0) & (accounts.threshold[entries] > 0.0)]
        owed = reserve[accounts.debt[entries] > 0.0]
        held = held if len(owed) else held[:0]
        assert sorted(held.tolist()) == kinds.held[kinds.held_from[kind] : kinds.held_from[kind + 1]].tolist()
        assert sorted(owed.tolist()) == kinds.owed[kinds.owed_from[kind] : kinds.owed_from[kind + 1]].tolist()
    walk, seen = Walk(deck, 1), unwatched(len(accounts.market), kinds)
    walk.look(seen)
    walk.pledge = walk.pledge * (1.0 + BAND) / 2.0
    walk.look(seen)
    worth, owed = walk.weighed()
    assert all(owed[row] > BAND * worth[row] for row in walk.found(seen))
