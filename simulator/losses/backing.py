"""Who has what in markets, and what is missing of a claim's backing, in the integers of contracts."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

import numpy as np

from protocols.oracles.kind import Part
from protocols.tokens.losses import Terms, rate_after_loss
from protocols.tokens.stakes import Stake
from simulator.book import Book
from simulator.losses.claims import AT_ONCE, NOTHING, Claims

Reserve = tuple[int, int]
"""A market's row in the book, and a reserve's row in the market."""


class Backing:
    """What stands behind claims, less what was lost of it.

    Parameters
    ----------
    book, claims
        What is run, and its claims.
    held
        Of each market's reserves, what suppliers had in them at the start, smallest units.

    Attributes
    ----------
    failed
        What write-downs have taken of each claim's backing so far, as a share.
    """

    def __init__(self, book: Book, claims: Claims, held: Sequence[Sequence[int]]) -> None:
        self._book, self._claims = book, claims
        self.failed = [0.0] * len(claims.token)
        self._market_names = {market.name for market in book.markets}
        self._lost_raw: dict[Reserve, int] = {}
        self._feared_raw: dict[Reserve, int] = {}
        self._behind = self._backers(held)
        rows = {market.name: row for row, market in enumerate(book.markets)}
        self._stakes: dict[str, list[tuple[Reserve, Stake]]] = {}
        for stake in book.stakes:
            if (row := rows.get(stake.market)) is not None:
                # Morpho's markets lend what they count in
                reserve = book.markets[row].numeraire or 0
                self._stakes.setdefault(stake.issuer, []).append(((row, reserve), stake))
        self._at_once_by: dict[str, list[int]] = {}
        for claim, (issuer, rule) in enumerate(zip(claims.issuer, claims.losses, strict=True)):
            if rule == AT_ONCE:
                self._at_once_by.setdefault(issuer, []).append(claim)

    def take_loss(self, at: Reserve, amount_raw: int) -> None:
        """Suppliers of a reserve lose an amount, smallest units."""
        self._lost_raw[at] = self.lost_of(at) + amount_raw

    def fear(self, at: Reserve, amount_raw: int) -> None:
        """Suppliers of a reserve will lose so much more once it is written off, smallest units; no contract knows."""
        self._feared_raw[at] = amount_raw

    def lost_of(self, at: Reserve, *, feared: bool = False) -> int:
        """What suppliers of a reserve have lost so far, and if `feared` are to lose, smallest units."""
        return self._lost_raw.get(at, 0) + (self._feared_raw.get(at, 0) if feared else 0)

    def _backers(self, held: Sequence[Sequence[int]]) -> list[tuple[Reserve, int] | None]:
        """For each claim the reserve that it is a part of, and all that suppliers of the reserve have, smallest units;
        None where its issuer is no market."""
        rows = {market.name: row for row, market in enumerate(self._book.markets)}
        found: list[Reserve | None] = []
        claimed: dict[Reserve, int] = {}
        columns = self._claims.issuer, self._claims.underlying.tolist(), self._claims.backing_raw
        for issuer, underlying, backing in zip(*columns, strict=True):
            row = rows.get(issuer)
            places = [] if row is None else np.flatnonzero(self._book.market_tokens[row] == underlying).tolist()
            at = (row, places[0]) if row is not None and places else None
            found.append(at)
            if at is not None:
                claimed[at] = claimed.get(at, 0) + backing
        return [None if at is None else (at, max(1, claimed[at], held[at[0]][at[1]])) for at in found]

    def lost_to(self, claim: int, *, feared: bool = False) -> int:
        """What markets have lost of a claim's backing, and if `feared` are to lose, smallest units of the underlying,
        rounded up: its part of its issuer's own loss, or what its issuer has in markets and of others loses there."""
        issuer, underlying = self._claims.issuer[claim], int(self._claims.underlying[claim])
        lost = 0
        if (behind := self._behind[claim]) is not None:
            at, whole = behind
            lost = -(-self.lost_of(at, feared=feared) * int(self._claims.backing_raw[claim]) // whole)
        for (row, reserve), stake in self._stakes.get(issuer, ()):
            if self._book.market_tokens[row][reserve] == underlying:
                lost += stake.lost(self.lost_of((row, reserve), feared=feared))
        for holding in self._book.holdings:
            if holding.issuer == issuer:
                lost += sum(
                    holding.lost(self._gone_raw(inner, feared=feared), self._claims.backing_raw[inner])
                    for inner in self._at_once_by.get(holding.of, ())
                    if self._claims.underlying[inner] == underlying
                )
        return lost

    def _gone_raw(self, claim: int, *, feared: bool = False) -> int:
        """What is lost of a claim's backing, write-downs of its issuer included, smallest units of the underlying,
        rounded up."""
        return self.lost_to(claim, feared=feared) + ceil(Fraction(self.failed[claim]) * self._claims.backing_raw[claim])

    # --- what contracts say of it -----------------------------------------------------------------------------------

    def rate_raw(self, part: Part, token: int, minted: float) -> int:
        """What an exchange rate that an oracle reads answers now of a token, of which `minted` times as many units as
        there were have come to be without backing.

        Only the rate of a token whose issuer's losses count at once moves, by `rate_after_loss`. The rate of a token
        that is several claims moves only where all are on one asset, idle or in positions.
        """
        rows = self._claims.rows_of(token).tolist()
        if not rows or any(self._claims.losses[row] != AT_ONCE for row in rows):
            return part.answer_raw
        assets = {self._asset(row) for row in rows}
        if len(assets) > 1 or NOTHING in assets:
            return part.answer_raw
        supply, unit = self._claims.supply_raw[rows[0]], self._unit_raw(token)
        backing = sum(self._claims.backing_raw[row] for row in rows)
        return rate_after_loss(
            Terms(AT_ONCE, part.answer_raw, supply, backing, unit, self._unit_raw(assets.pop())),
            sum(self._missing(row) for row in rows),
            minted_raw=round(minted * supply),
            sample_raw=part.number("sample_raw") if "sample_raw" in part.parameters else None,
        )

    def _unit_raw(self, token: int) -> int:
        return int(10 ** self._book.tokens[token].decimals)

    def _missing(self, claim: int) -> int:
        """What is missing of a claim's backing as its contract counts it, smallest units, rounded up: a position in a
        market counts as what can be had for it, any other token by its number."""
        gone, backing = self._gone_raw(claim), self._claims.backing_raw[claim]
        if self._is_position(claim):
            inner = self._claims.rows_of(int(self._claims.underlying[claim])).tolist()
            whole = sum(self._claims.backing_raw[row] for row in inner)
            counted = [row for row in inner if self._claims.losses[row] == AT_ONCE]
            gone += -(-sum(self._gone_raw(row) for row in counted) * backing // whole) if whole else 0
        return min(gone, backing)

    def _asset(self, claim: int) -> int:
        """What a claim's contract counts in: the underlying, or what a position is in."""
        underlying = int(self._claims.underlying[claim])
        if not self._is_position(claim):
            return underlying
        inner = self._claims.rows_of(underlying).tolist()
        return int(self._claims.underlying[inner[0]]) if inner else underlying

    def _is_position(self, claim: int) -> bool:
        """Whether a claim is on a supply that has no token (Morpho's): the table has it by its market's name."""
        underlying = int(self._claims.underlying[claim])
        return underlying != NOTHING and self._book.tokens[underlying].address in self._market_names
