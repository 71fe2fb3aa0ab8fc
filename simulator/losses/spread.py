"""How losses spread in a run: what markets have lost since the last step, their cushions, and the worth of claims."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from protocols.oracles.kind import Part
from simulator.book import Book, bad_debt_by_reserve
from simulator.losses.backing import Backing, Reserve
from simulator.losses.claims import NOTHING, Marks, Shock, claims_of
from simulator.losses.shocks import Contagion
from simulator.losses.waterfall import Waterfall
from simulator.scenario import find

FloatArray = npt.NDArray[np.float64]
Row = dict[str, Any]
WORTHLESS = 1e-9
"""What the market still gives for a claim that is worth nothing, over what it gave: prices stay above 0."""


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
        self._backing = Backing(book, self._claims, self._held)
        self._uncovered_usd = self._uncovered() if rules.unrealised else []
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
        if self._rules.unrealised:
            self._fear(elapsed_s)
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
            if min(most, least) < 1.0 - 1e-12:
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
        return self._backing.lost_of(reserve) / held if held else 0.0

    # --- what is lost -----------------------------------------------------------------------------------------------

    def _take_in(self, step: int, elapsed_s: float) -> None:
        """Pass what markets have written off since the last step through their cushions."""
        for row, market in enumerate(self._book.markets):
            now = list(market.deficits_raw())
            for reserve, (was, is_) in enumerate(zip(self._seen[row], now, strict=True)):
                if is_ > was:
                    self._bear(step, elapsed_s, (row, reserve), is_ - was)
            self._seen[row] = now

    def _fear(self, elapsed_s: float) -> None:
        """What full liquidations now could not recover beyond what they could not at the start, and cushions could not
        pay, is as good as lost to whoever buys a claim."""
        for row, (now, start) in enumerate(zip(self._uncovered(), self._uncovered_usd, strict=True)):
            for reserve, more_usd in enumerate((now - start).tolist()):
                token = int(self._book.market_tokens[row][reserve])
                left_usd = more_usd - self._waterfalls.get((row, reserve), Waterfall()).left_usd(elapsed_s)
                price = float(self._book.outside_usd[token])
                self._backing.fear((row, reserve), round(max(0.0, left_usd) / price * self._book.unit[token]))

    def _uncovered(self) -> list[FloatArray]:
        """Economic bad debt of every market's reserves, US dollars at outside prices."""
        prices, tokens = self._book.outside_usd, self._book.market_tokens
        pairs = zip(self._book.markets, tokens, strict=True)
        return [bad_debt_by_reserve(market.exposures(), prices[own]) for market, own in pairs]

    def _bear(self, step: int, elapsed_s: float, at: Reserve, amount_raw: int) -> None:
        market, token = self._book.markets[at[0]], int(self._book.market_tokens[at[0]][at[1]])
        loss_usd = self._book.usd(token, amount_raw)
        borne = self._waterfalls.setdefault(at, Waterfall()).bear(loss_usd, elapsed_s)
        left = 1.0 if borne.holders_usd == loss_usd else borne.holders_usd / loss_usd
        self._backing.take_loss(at, amount_raw if left == 1.0 else round(amount_raw * left))
        self.losses.append(
            {"step": step, "market": market.name, "token": self._book.tokens[token].address, "amount_raw": amount_raw}
            | borne._asdict()
        )

    def _shock_at(self, elapsed_s: float) -> Shock:
        """Everything that has hit claims so far."""
        size = len(self._book.tokens)
        kept, minted = np.ones(size), np.zeros(size)
        for token, write_down in self._written_down:
            kept[token] *= 1.0 - write_down.share if write_down.at_s <= elapsed_s else 1.0
        for token, mint in self._minted:
            minted[token] += mint.share if mint.at_s <= elapsed_s else 0.0
        claims = range(len(self._claims.token))
        self._backing.failed = [self._failed_share(issuer, elapsed_s) for issuer in self._claims.issuer]
        unit = np.where(self._claims.underlying == NOTHING, 1.0, self._book.unit[self._claims.underlying])
        lost = np.array([self._backing.lost_to(claim, feared=True) for claim in claims], dtype=np.float64) / unit
        return Shock(lost + np.array(self._backing.failed) * self._claims.backing, minted, kept)

    def _failed_share(self, issuer: str, elapsed_s: float) -> float:
        """What write-downs have taken of an issuer's backing so far."""
        left = 1.0
        for failed in self._failed:
            if failed.issuer == issuer and failed.at_s <= elapsed_s:
                left *= 1.0 - failed.share
        return 1.0 - left

    def _redeemed(self, part: Part) -> int:
        """What an exchange rate that an oracle reads answers now."""
        token = self._book.token_row.get(part.contract)
        if token is None or not self._rules.spreads:
            return part.answer_raw
        return self._backing.rate_raw(part, token, float(self._shock.minted[token]))


def reserve_of(book: Book, market: str, token: str, where: str) -> Reserve:
    """A market's row and a reserve's row in it; raises InputError where there is none."""
    rows = {each.name: row for row, each in enumerate(book.markets)}
    if market not in rows:
        raise InputError(f"{where}: the snapshot has no market {market}; it has {', '.join(rows)}")
    names: Sequence[frozenset[str]] = [book.tokens[int(t)].names for t in book.market_tokens[rows[market]]]
    return rows[market], find(token, names, f"{where}: market {market}")
