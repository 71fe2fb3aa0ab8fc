"""Aave v4."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import ceil
from typing import Any

from protocols.lending.aave_v4 import hub
from protocols.lending.aave_v4.account import debt_ray
from protocols.lending.aave_v4.market import AaveV4Market, Hubs
from protocols.lending.aave_v4.versions import V0511
from protocols.lending.interface import Offer, Terms
from tests.protocols import aave_v4_spokes
from tests.protocols.lending_books.book import RAY, WAD, Accrual, Amounts, Book, entries_of, less, linear, parts


class AaveV4Book(Book):
    """Supply shares are burnt for what is paid out, and the fee's go to the fee receiver; what nothing is left for is
    a deficit, which lenders go on counting as theirs."""

    writes_off = True
    fixed_spread = False

    def __init__(self, seed: int, seconds: int = 0, flush: bool = False) -> None:
        spoke = aave_v4_spokes.random_spoke(seed)
        accounts = [f"account {number}" for number in range(len(spoke.positions.risk_premium_bps))]
        tokens = [f"token {number}" for number in range(len(spoke.reserves.asset))]
        parts = spoke.reserves, spoke.configs, spoke.terms, spoke.positions
        self.configs = spoke.configs
        self.market = AaveV4Market("spoke", V0511, accounts, tokens, Hubs(spoke.assets, aave_v4_spokes.NOW), *parts)
        self.now = aave_v4_spokes.NOW + seconds
        self.market.advance(self.now)

    def held(self) -> list[Any]:
        return list(self.market.state()[0].liquidity_raw)

    def _worth(self, shares: Any, r: int) -> Any:
        assets, _, _ = self.market.state()
        return hub.to_assets_down(shares, hub.total_added(assets, r, self.now), assets.added_shares[r])

    def kept(self) -> list[Any]:
        return [self._worth(shares, r) for r, shares in enumerate(self.market.state()[0].fee_receiver_shares)]

    def written_off(self) -> list[Any]:
        return list(self.market.deficits_raw())

    def supplies(self, account: int) -> Amounts:
        _, _, positions = self.market.state()
        return {
            (r := positions.reserve[entry]): self._worth(positions.supplied_shares[entry], r)
            for entry in entries_of(positions, account)
        }

    def debts(self, account: int) -> Amounts:
        assets, reserves, positions = self.market.state()
        return {
            positions.reserve[entry]: hub.from_ray_up(debt_ray(assets, reserves, positions, entry, self.now))
            for entry in entries_of(positions, account)
        }

    def records(self) -> list[Any]:
        assets, reserves, positions = self.market.state()
        size = len(self.market.tokens)
        found = less(assets.added_shares, reserves.added_shares, assets.fee_receiver_shares)
        found += less(assets.deficit_ray, reserves.deficit_ray)
        for name in ("drawn_shares", "premium_shares", "premium_offset_ray"):
            spoke = getattr(reserves, name)
            found += less(getattr(assets, name), spoke)
            found += less(spoke, parts(getattr(positions, name), positions.reserve, size))
        return found

    def claims(self) -> list[Any]:
        assets, _, _ = self.market.state()
        return [
            Fraction(hub.total_added(assets, r, self.now) + hub.VIRTUAL, assets.added_shares[r] + hub.VIRTUAL)
            for r in range(len(self.market.tokens))
        ]

    def coarseness(self) -> list[int]:
        """A share, which may be worth many units."""
        return [max(ceil(worth), 1) for worth in self.claims()]

    def unit(self, reserve: int) -> int:
        return int(self.market.state()[1].unit[reserve])

    def grain(self, offer: Offer, terms: Terms) -> Fraction:
        """A share of the collateral's, which may be worth many units."""
        return Fraction(3 * self.coarseness()[offer.collateral])

    def is_healthy(self, account: int) -> bool:
        return bool(self.market.health_raw(account) >= WAD)

    @classmethod
    def accruals(cls, seed: int, first: int, second: int) -> Iterable[Accrual]:
        once, twice = (aave_v4_spokes.random_spoke(seed).assets for _ in range(2))
        for a in range(len(once.last_update)):
            start, rate, fees = once.last_update[a], once.drawn_rate_ray[a], once.realized_fees_raw[a]
            hub.accrue(once, a, start + first + second)
            for now in (start + first, start + first + second):
                hub.accrue(twice, a, now)
            yield linear("debt", once.drawn_index_ray[a], twice.drawn_index_ray[a], rate, first, second)
            # A fee is taken of all that is owed more, rounded down each time.
            more = hub.owed_ray(twice, a, twice.drawn_index_ray[a]) - hub.owed_ray(once, a, once.drawn_index_ray[a])
            earned, more_often = (assets.realized_fees_raw[a] - fees for assets in (once, twice))
            yield Accrual("fees", earned, more_often, -3, max(more, 0) // RAY + 3)
