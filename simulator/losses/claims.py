"""What claims are worth, over what they were worth at the start, once issuers have lost something.

A row of the table ``claims`` says that the supply of a token is owed something by an issuer, who has a backing for it.
With m the worth of one unit of the underlying, L what the issuer has lost of it and s the share of units minted without
backing, holders get

    x = clip((backing m - L) / (owed (1 + s)), 0, 1),  owed the face value, or the backing where that is less,

so that backing beyond what is owed is lost first, and what was missing at the start is not missed again. Where the
issuer's losses never reach holders, m is 1 and L is 0. A token that is several claims is worth their sum, weighted by
what each is worth at the start, times what a write-down of the token leaves.

Claims on claims make this a monotone system, whose solutions have a greatest and a least
(`simulator.contagion.fixed_points`); they differ where claims go round in a circle with nothing else behind it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from chain.snapshot import CLAIMS
from chain.tables import Table
from simulator.book import Token

if TYPE_CHECKING:
    from scipy import sparse

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

AT_ONCE, AT_WITHDRAWAL, NEVER = "at once", "at withdrawal", "never"
NOTHING = -1
"""The underlying of a claim on what lies off the chain."""


@dataclass(frozen=True, eq=False)
class Shock:
    """What has hit claims so far.

    Attributes
    ----------
    lost
        Shape (claims,): what each claim's issuer has lost of its backing, whole underlying.
    minted
        Shape (tokens,): units made without backing over those that there were.
    kept
        Shape (tokens,): what write-downs of a token itself have left of its worth.
    """

    lost: FloatArray
    minted: FloatArray
    kept: FloatArray

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shock) and all(
            np.array_equal(mine, theirs)
            for mine, theirs in zip(
                (self.lost, self.minted, self.kept), (other.lost, other.minted, other.kept), strict=True
            )
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def is_none(self) -> bool:
        """Whether nothing has."""
        return not self.lost.any() and not self.minted.any() and bool((self.kept == 1.0).all())


@dataclass(frozen=True)
class Marks:
    """Worth of one unit of each token over its worth at the start; shape (tokens,) each, between 0 and 1."""

    greatest: FloatArray
    least: FloatArray


@dataclass(frozen=True)
class Claims:
    """The claims of a snapshot as arrays, one entry a row of the table.

    Attributes
    ----------
    tokens
        Number of tokens of the book.
    token, underlying
        Rows of tokens; `underlying` is :data:`NOTHING` off the chain.
    backing, owed
        What stands behind the claim and what is owed, whole underlying; one of each where the table has no amounts.
    share
        Of the token's worth at the start that the claim is.
    issuer, losses
        As in the table.
    supply_raw, backing_raw
        As in the table.
    """

    tokens: int
    token: IntArray
    underlying: IntArray
    backing: FloatArray
    owed: FloatArray
    share: FloatArray
    issuer: Sequence[str]
    losses: Sequence[str]
    supply_raw: Sequence[int]
    backing_raw: Sequence[int]

    def rows_of(self, token: int) -> IntArray:
        """The claims that a token is."""
        return np.flatnonzero(self.token == token)

    def carried(self, relative: FloatArray, named: Collection[int]) -> FloatArray:
        """Prices over those at the start, with claims following what they are claims on.

        Parameters
        ----------
        relative
            Shape (steps + 1, tokens).
        named
            Tokens that have a path of their own, which they keep.
        """
        follows = ~np.isin(self.token, list(named))
        token, underlying, share = self.token[follows], self.underlying[follows], self.share[follows]
        moved = relative.copy()
        # claims on claims, as far as they go; in a circle nothing moves but what comes into it
        for _ in range(len(set(token.tolist()))):
            more = np.where(underlying == NOTHING, 0.0, moved[:, underlying] - 1.0) * share
            last, moved = moved, relative.copy()
            np.add.at(moved.T, token, more.T)
            if np.array_equal(moved, last):
                break
        return moved

    def marks(self, shock: Shock) -> Marks:
        """What every token is worth after a shock."""
        from simulator.contagion.fixed_points import greatest, least

        system = self._system(shock)
        none, all_ = np.zeros(len(self.token)), np.ones(len(self.token))
        return Marks(*(self._worth(shock, solution(*system, none, all_)) for solution in (greatest, least)))

    def _worth(self, shock: Shock, paid: FloatArray) -> FloatArray:
        """Shape (tokens,): worth of each token when its claims are paid these shares of what is owed."""
        short = np.bincount(self.token, weights=self.share * (1.0 - paid), minlength=self.tokens)
        return np.asarray(shock.kept * np.maximum(0.0, 1.0 - short))

    def _system(self, shock: Shock) -> tuple[sparse.csr_array, FloatArray]:
        """Shapes (claims, claims) and (claims,): what each claim is paid of what is owed, not bounded, is the second
        and the first times what all are paid."""
        from scipy import sparse

        count = len(self.token)
        spared = np.array([rule == NEVER for rule in self.losses], dtype=np.bool_)
        owed = self.owed * (1.0 + shock.minted[self.token])
        # whose worth does not follow from claims
        fixed = spared | (self.underlying == NOTHING) | ~np.isin(self.underlying, self.token)
        kept = np.where(spared | (self.underlying == NOTHING), 1.0, shock.kept[self.underlying])
        offset = (np.where(fixed, self.backing * kept, 0.0) - np.where(spared, 0.0, shock.lost)) / owed
        # what the worth of a token is to a claim, and what a claim is to the worth of its token
        moved = np.flatnonzero(~fixed)
        upward = (self.backing[moved] * kept[moved] / owed[moved], (moved, self.underlying[moved]))
        downward = (self.share, (self.token, np.arange(count)))
        return sparse.csr_array(
            sparse.csr_array(upward, shape=(count, self.tokens))
            @ sparse.csr_array(downward, shape=(self.tokens, count))
        ), np.asarray(offset)


def claims_of(table: Table | None, tokens: Sequence[Token], price_usd: FloatArray) -> Claims:
    """The claims of a snapshot's table; none where there is no table.

    Parameters
    ----------
    table
        ``claims``.
    tokens, price_usd
        Of the book, with outside prices at the start.

    Raises
    ------
    InputError
        If a row is about a token that the snapshot does not have, or its losses come by no known rule.
    """
    if table is None:
        nothing, none = np.zeros(0), np.zeros(0, dtype=np.int64)
        return Claims(len(tokens), none, none, nothing, nothing, nothing, (), (), (), ())
    place = {token.address: row for row, token in enumerate(tokens)} | {"": NOTHING}
    names = table.texts("token"), table.texts("underlying")
    for row, pair in enumerate(zip(*names, strict=True)):
        if missing := [address for address in pair if address not in place]:
            raise InputError(
                f"table {CLAIMS.name}, row {row}: {missing[0]} is not in table tokens; read it with its claim"
            )
    losses = table.texts("losses")
    for row, rule in enumerate(losses):
        if rule not in (AT_ONCE, AT_WITHDRAWAL, NEVER):
            raise InputError(
                f"table {CLAIMS.name}, row {row}: losses is {rule!r}, not {AT_ONCE!r}, {AT_WITHDRAWAL!r} or {NEVER!r}"
            )
    token, underlying = (np.array([place[address] for address in column], dtype=np.int64) for column in names)
    unit = np.array([10.0**each.decimals for each in tokens] + [1.0])
    backing = table.floats("backing_raw") / unit[underlying]
    rate = table.floats("amount_raw") / unit[underlying]
    face = rate * table.floats("supply_raw") / unit[token]
    owed = np.where(face > 0.0, np.minimum(face, backing), backing)
    known = (underlying != NOTHING) & (backing > 0.0)
    return Claims(
        len(tokens),
        token,
        underlying,
        np.where(known, backing, 1.0),
        np.where(known, owed, 1.0),
        _shares(token, underlying, rate, price_usd),
        table.texts("issuer"),
        losses,
        table.ints("supply_raw"),
        table.ints("backing_raw"),
    )


def _shares(token: IntArray, underlying: IntArray, rate: FloatArray, price_usd: FloatArray) -> FloatArray:
    """The share of its token's worth that each claim is: by value at its rate; what lies off the chain is the rest of
    the token's price, in equal parts where it is several things."""
    here = underlying != NOTHING
    worth = np.where(here, rate * price_usd[underlying], 0.0)
    size = len(price_usd)
    on_chain = np.bincount(token, weights=worth, minlength=size)
    away = np.bincount(token, weights=np.where(here, 0.0, 1.0), minlength=size)
    rest = np.maximum(0.0, price_usd - on_chain)
    worth = np.where(here, worth, rest[token] / np.maximum(1.0, away[token]))
    whole = np.bincount(token, weights=worth, minlength=size)
    count = np.bincount(token, minlength=size)
    return np.asarray(np.divide(worth, whole[token], out=1.0 / count[token], where=whole[token] > 0.0))
