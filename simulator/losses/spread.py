"""How losses spread in a run: what markets have lost since the last step, their cushions, and the worth of claims."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from protocols.oracles.kind import Part
from protocols.tokens.shares import assets_down
from protocols.tokens.stakes import Stake
from simulator.book import Book
from simulator.losses.claims import AT_ONCE, NOTHING, Marks, Shock, claims_of
from simulator.losses.shocks import Contagion
from simulator.losses.waterfall import Waterfall
from simulator.scenario import find

FloatArray = npt.NDArray[np.float64]
Row = dict[str, Any]
Reserve = tuple[int, int]
"""A market's row in the book, and a reserve's row in the market."""

WORTHLESS = 1e-9
"""What the market still gives for a claim that is worth nothing, over what it gave: prices stay above 0."""

VIRTUAL_SHARES = tuple(10**power for power in range(19))
"""What vaults add to their supply when they convert; which of these one adds is told by its rate at the start."""


class Spread:
    """Losses of a run, and what claims are worth after them.

    Parameters
    ----------
    book
        What is run; its `redeemed` is set here, so that rates which oracles read follow the losses.
    rules
        What the scenario says.
    where
        Its name, for errors.

    Raises
    ------
    InputError
        If the scenario names a token, a market or an issuer that the snapshot does not have.
    """

    def __init__(self, book: Book, rules: Contagion, where: str) -> None:
        self._book, self._rules = book, rules
        self._claims = claims_of(book.claims, book.tokens, book.outside_usd)
        names = [token.names for token in book.tokens]
        self._written_down = [
            (find(w.token, names, f"{where}: contagion.write_downs"), w) for w in rules.write_downs if w.token
        ]
        self._minted = [(find(mint.token, names, f"{where}: contagion.mints"), mint) for mint in rules.mints]
        self._failed = [w for w in rules.write_downs if w.issuer]
        for failed in self._failed:
            if failed.issuer not in self._claims.issuer:
                known = ", ".join(sorted(set(self._claims.issuer))) or "none"
                raise InputError(
                    f"{where}: contagion.write_downs: {failed.issuer} owes no claim of the book; issuers are {known}"
                )
        self._waterfalls = {
            reserve_of(book, cushion.market, cushion.token, f"{where}: contagion.cushions"): Waterfall.of(cushion)
            for cushion in rules.cushions
        }
        self._seen = [list(market.deficits_raw()) for market in book.markets]
        self._held = [[cash + lent for cash, lent in market.cash_and_loans_raw()] for market in book.markets]
        self._market_names = {market.name for market in book.markets}
        self._lost_raw: dict[Reserve, int] = {}
        self._failed_by_now: list[float] = []
        self._behind = self._backers()
        rows = {market.name: row for row, market in enumerate(book.markets)}
        self._stakes: dict[str, list[tuple[Reserve, Stake]]] = {}
        for stake in book.stakes:
            if (row := rows.get(stake.market)) is not None:
                # Morpho's markets lend what they count in
                reserve = book.markets[row].numeraire or 0
                self._stakes.setdefault(stake.issuer, []).append(((row, reserve), stake))
        self._at_once_by: dict[str, list[int]] = {}
        for claim, (issuer, rule) in enumerate(zip(self._claims.issuer, self._claims.losses, strict=True)):
            if rule == AT_ONCE:
                self._at_once_by.setdefault(issuer, []).append(claim)
        self._shock = self._shock_at(-1.0)
        self._marks = Marks(np.ones(len(book.tokens)), np.ones(len(book.tokens)))
        self.losses: list[Row] = []
        self.marks: list[Row] = []
        book.redeemed = self._redeemed

    def carried(self, relative: FloatArray, named: Collection[int]) -> FloatArray:
        """What :meth:`simulator.losses.claims.Claims.carried` makes of prices."""
        return self._claims.carried(relative, named)

    def remark(self, step: int, elapsed_s: float) -> FloatArray:
        """Take in what was lost since the last step, and mark every claim.

        Returns
        -------
        Shape (tokens,): what each token's outside price is multiplied by; of several solutions the greatest.
        """
        self._take_in(step, elapsed_s)
        before, self._shock = self._shock, self._shock_at(elapsed_s)
        if step > 1 and self._shock == before:
            pass
        elif len(self._claims.token) and self._rules.spreads:
            self._marks = self._claims.marks(self._shock)
            if self._shock.is_none:
                # nothing is lost: whatever rounding makes of shares that should sum to one
                self._marks = Marks(np.ones(len(self._book.tokens)), self._marks.least)
        else:
            self._marks = Marks(self._shock.kept, self._shock.kept)
        for token, (most, least) in enumerate(zip(self._marks.greatest, self._marks.least, strict=True)):
            if most < 1.0 or least < 1.0 - 1e-12:
                self.marks.append(
                    {
                        "step": step,
                        "token": self._book.tokens[token].address,
                        "greatest": float(most),
                        "least": float(min(most, least)),
                    }
                )
        return np.maximum(WORTHLESS, self._marks.greatest)

    def lost_share(self, reserve: Reserve) -> float:
        """What suppliers of a reserve have lost after all cushions, over what stood behind them at the start."""
        held = self._held[reserve[0]][reserve[1]]
        return self._lost_raw.get(reserve, 0) / held if held else 0.0

    # --- what is lost -----------------------------------------------------------------------------------------------

    def _take_in(self, step: int, elapsed_s: float) -> None:
        """Pass what markets have written off since the last step through their cushions."""
        for row, market in enumerate(self._book.markets):
            now = list(market.deficits_raw())
            for reserve, (was, is_) in enumerate(zip(self._seen[row], now, strict=True)):
                if is_ > was:
                    self._bear(step, elapsed_s, (row, reserve), is_ - was)
            self._seen[row] = now

    def _bear(self, step: int, elapsed_s: float, at: Reserve, amount_raw: int) -> None:
        market, token = self._book.markets[at[0]], int(self._book.market_tokens[at[0]][at[1]])
        loss_usd = self._book.usd(token, amount_raw)
        borne = self._waterfalls.setdefault(at, Waterfall()).bear(loss_usd, elapsed_s)
        left = 1.0 if borne.holders_usd == loss_usd else borne.holders_usd / loss_usd
        self._lost_raw[at] = self._lost_raw.get(at, 0) + (amount_raw if left == 1.0 else round(amount_raw * left))
        self.losses.append(
            {"step": step, "market": market.name, "token": self._book.tokens[token].address, "amount_raw": amount_raw}
            | borne._asdict()
        )

    def _backers(self) -> list[tuple[Reserve, int] | None]:
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
        return [None if at is None else (at, max(1, claimed[at], self._held[at[0]][at[1]])) for at in found]

    def _shock_at(self, elapsed_s: float) -> Shock:
        """Everything that has hit claims so far."""
        size = len(self._book.tokens)
        kept, minted = np.ones(size), np.zeros(size)
        for token, write_down in self._written_down:
            kept[token] *= 1.0 - write_down.share if write_down.at_s <= elapsed_s else 1.0
        for token, mint in self._minted:
            minted[token] += mint.share if mint.at_s <= elapsed_s else 0.0
        claims = range(len(self._claims.token))
        self._failed_by_now = [self._failed_share(issuer, elapsed_s) for issuer in self._claims.issuer]
        unit = np.where(self._claims.underlying == NOTHING, 1.0, self._book.unit[self._claims.underlying])
        lost = np.array([self._lost_to(claim) for claim in claims], dtype=np.float64) / unit
        return Shock(lost + np.array(self._failed_by_now) * self._claims.backing, minted, kept)

    def _failed_share(self, issuer: str, elapsed_s: float) -> float:
        """What write-downs have taken of an issuer's backing so far."""
        left = 1.0
        for failed in self._failed:
            if failed.issuer == issuer and failed.at_s <= elapsed_s:
                left *= 1.0 - failed.share
        return 1.0 - left

    def _lost_to(self, claim: int) -> int:
        """What markets have lost of a claim's backing, smallest units of the underlying, rounded up: its part of its
        issuer's own loss, or what its issuer has in markets and of others loses there."""
        issuer, underlying = self._claims.issuer[claim], int(self._claims.underlying[claim])
        lost = 0
        if (behind := self._behind[claim]) is not None:
            at, whole = behind
            lost = -(-self._lost_raw.get(at, 0) * int(self._claims.backing_raw[claim]) // whole)
        for (row, reserve), stake in self._stakes.get(issuer, ()):
            if self._book.market_tokens[row][reserve] == underlying:
                lost += stake.lost(self._lost_raw.get((row, reserve), 0))
        for holding in self._book.holdings:
            if holding.issuer == issuer:
                lost += sum(
                    -(-self._gone_raw(inner) * holding.claimed_raw // self._claims.backing_raw[inner])
                    for inner in self._at_once_by.get(holding.of, ())
                    if self._claims.underlying[inner] == underlying and self._claims.backing_raw[inner]
                )
        return lost

    def _gone_raw(self, claim: int) -> int:
        """What is lost of a claim's backing, write-downs of its issuer included, smallest units of the underlying."""
        return self._lost_to(claim) + round(self._failed_by_now[claim] * self._claims.backing_raw[claim])

    # --- what contracts say of it -----------------------------------------------------------------------------------

    def _redeemed(self, part: Part) -> int:
        """What an exchange rate that an oracle reads answers now.

        Only the rate of a token whose issuer's losses count at once moves. A vault's is converted as it converts
        (`protocols.tokens.shares`), where that gave its rate at the start; others fall in proportion, rounded down.
        The rate of a token that is several claims moves only where all are on one asset, idle or in positions.
        """
        token = self._book.token_row.get(part.contract)
        rows = [] if token is None or not self._rules.spreads else self._claims.rows_of(token).tolist()
        if token is None or not rows or any(self._claims.losses[row] != AT_ONCE for row in rows):
            return part.answer_raw
        if len({self._asset(row) for row in rows}) > 1:
            return part.answer_raw
        supply, backing = self._claims.supply_raw[rows[0]], sum(self._claims.backing_raw[row] for row in rows)
        left = max(0, backing - sum(self._missing(row) for row in rows))
        minted = round(self._shock.minted[token] * supply)
        if not supply or not backing or (left == backing and not minted):
            return part.answer_raw
        if "sample_raw" in part.parameters:
            sample = part.number("sample_raw")
            for virtual in VIRTUAL_SHARES:
                if assets_down(sample, supply, backing, virtual) == part.answer_raw:
                    return int(assets_down(sample, supply + minted, left, virtual))
        return int(part.answer_raw * left * supply // (backing * (supply + minted)))

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


def reserve_of(book: Book, market: str, token: str, where: str) -> Reserve:
    """A market's row and a reserve's row in it; raises InputError where there is none."""
    rows = {each.name: row for row, each in enumerate(book.markets)}
    if market not in rows:
        raise InputError(f"{where}: the snapshot has no market {market}; it has {', '.join(rows)}")
    names: Sequence[frozenset[str]] = [book.tokens[int(t)].names for t in book.market_tokens[rows[market]]]
    return rows[market], find(token, names, f"{where}: market {market}")
