"""What a book loses on each path, by the simplest measure: economic bad debt, without liquidations.

It is what debts exceed what full liquidations could recover, if nobody had liquidated before; liquidators who act in
time make it less, and the prices that their sales move make it more, for which there is `simulator.paths`. Interest is
not accrued.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from protocols import compiled
from simulator.book import Book
from simulator.estimate.models.model import FloatArray
from simulator.estimate.models.pegged import DOLLAR
from simulator.estimate.outputs import SYSTEM, Output

IntArray = npt.NDArray[np.int64]
At = Literal["worst", "end"]


@dataclass(frozen=True)
class EconomicBadDebt:
    """Economic bad debt of a book, all markets together and each by itself.

    Attributes
    ----------
    outputs
        `SYSTEM`, then each market.
    at
        ``worst``: each output at the step at which it is largest, so that markets need not add up to the system;
        ``end``: at the last step.
    market, offsets, column, net_usd
        An account's debt less what a full liquidation recovers, as a sum over assets, account by account (CSR): dollars
        at the snapshot's prices, times what has become of the price of the asset of that column. Column 0 is the
        dollar. Accounts stand market by market; `market` has shape (accounts,).
    """

    outputs: tuple[Output, ...]
    at: At
    market: IntArray
    offsets: IntArray
    column: IntArray
    net_usd: FloatArray

    @classmethod
    def of(
        cls, book: Book, assets: Sequence[str], *, follow: Mapping[str, str] | None = None, at: At = "worst"
    ) -> EconomicBadDebt:
        """The losses of a book on paths of some assets' prices.

        Parameters
        ----------
        book
            Its outside prices are those at the start.
        assets
            Symbols or addresses of tokens, in the order of the paths' last axis.
        follow
            For tokens that are not among them, the asset whose price they move with, or ``USD`` where theirs stands
            still.
        at
            See above.

        Raises
        ------
        InputError
            If a token that somebody owes or pledges has no price on the paths, or `follow` names what is not there.
        """
        check_at(at)
        columns = columns_of(book, assets, follow or {})
        market, sizes, column, net = [], [], [], []
        for row, state in enumerate(book.markets):
            exposures, tokens = state.exposures(), book.market_tokens[row]
            prices = book.outside_usd[tokens][exposures.reserve]
            counted = np.where(exposures.threshold > 0, exposures.supplied * prices, 0.0)
            # an entry that is no collateral has no bonus
            worth = counted / np.where(counted > 0, exposures.bonus, 1.0)
            market.append(np.full(len(exposures.offsets) - 1, row, dtype=np.int64))
            sizes.append(np.diff(exposures.offsets))
            # what has no path is worth nothing here: nobody owes or pledges it
            column.append(np.maximum(columns[tokens][exposures.reserve], 0))
            net.append(exposures.debt * prices - worth)
        return cls(
            outputs=tuple(Output(name) for name in (SYSTEM, *(state.name for state in book.markets))),
            at=at,
            market=np.concatenate([*market, np.empty(0, dtype=np.int64)]),
            offsets=np.concatenate([[0], np.cumsum(np.concatenate([*sizes, np.empty(0, dtype=np.int64)]))]),
            column=np.concatenate([*column, np.empty(0, dtype=np.int64)]),
            net_usd=np.concatenate([*net, np.empty(0)]),
        )

    def __call__(self, prices: FloatArray) -> FloatArray:
        """Bad debt in US dollars, shape (paths, outputs).

        Parameters
        ----------
        prices
            Shape (paths, steps + 1, assets), relative to the start.
        """
        steps = prices if self.at == "worst" else prices[:, -1:]
        out = np.zeros((len(prices), len(self.outputs)))
        compiled.fast(_bad_debt, nogil=True)(
            np.ascontiguousarray(steps), self.market, self.offsets, self.column, self.net_usd, out
        )
        return out


def check_at(at: str) -> None:
    """Raise InputError unless bad debt can be taken there."""
    if at not in get_args(At):
        raise InputError(f"bad debt is taken at the {' or the '.join(get_args(At))} of a path, not {at}")


def columns_of(book: Book, assets: Sequence[str], follow: Mapping[str, str]) -> IntArray:
    """Which asset's price each token moves with.

    Parameters
    ----------
    book, assets, follow
        As `EconomicBadDebt.of` takes them.

    Returns
    -------
    Shape (tokens,): 0 for the dollar, 1 and on for the assets, -1 where nothing is known and nobody owes or pledges it.

    Raises
    ------
    InputError
        As `EconomicBadDebt.of` does.
    """
    own = {asset.lower(): place for place, asset in enumerate(assets, start=1)}
    known = {DOLLAR.lower(): 0} | own
    followed = {token.lower(): target for token, target in follow.items()}
    for token, target in follow.items():
        if target.lower() not in known:
            raise InputError(f"{token} is to follow {target}, which is none of {', '.join([*assets, DOLLAR])}")
        if not any(token.lower() in one.names for one in book.tokens):
            raise InputError(f"{token}, which is to follow {target}, is no token of the snapshot")
    out = np.full(len(book.tokens), -1, dtype=np.int64)
    for row, token_of_book in enumerate(book.tokens):
        for name in token_of_book.names:
            if name in followed:
                out[row] = known[followed[name].lower()]
                break
            if name in own:
                out[row] = own[name]
    _check_priced(book, out)
    return out


def _check_priced(book: Book, columns: IntArray) -> None:
    """Raise InputError if somebody owes or pledges a token without a column."""
    at_stake = np.zeros(len(book.tokens))
    for state, tokens in zip(book.markets, book.market_tokens, strict=True):
        exposures = state.exposures()
        pledged = np.where(exposures.threshold > 0, exposures.supplied, 0.0)
        amounts = np.bincount(exposures.reserve, weights=pledged + exposures.debt, minlength=len(tokens))
        np.add.at(at_stake, tokens, amounts * book.outside_usd[tokens])
    rows = sorted(np.flatnonzero((columns < 0) & (at_stake > 0)).tolist(), key=lambda row: -at_stake[row])
    if not rows:
        return
    listed = ", ".join(f"{book.tokens[row].symbol} ({at_stake[row] / at_stake.sum():.1%})" for row in rows)
    first = book.tokens[rows[0]].symbol
    raise InputError(
        f"no price path for {listed} of what is pledged and owed; give the series these columns, or say what each "
        f"moves with: {first}=ASSET for an asset of the series, {first}={DOLLAR} for a price that stands still"
    )


def _bad_debt(
    prices: FloatArray, market: IntArray, offsets: IntArray, column: IntArray, net: FloatArray, out: FloatArray
) -> None:
    paths, steps, assets = prices.shape
    relative, lowest, highest = np.ones(assets + 1), np.ones(assets + 1), np.ones(assets + 1)
    lost = np.empty(out.shape[1])
    suspects = np.empty(len(market), dtype=np.int64)
    for path in range(paths):
        for asset in range(assets):
            lowest[asset + 1] = prices[path, :, asset].min()
            highest[asset + 1] = prices[path, :, asset].max()
        # only accounts that would be short if all prices were at their worst for them at once
        count = 0
        for account in range(len(market)):
            short = 0.0
            for entry in range(offsets[account], offsets[account + 1]):
                extreme = highest if net[entry] > 0.0 else lowest
                short += net[entry] * extreme[column[entry]]
            # rounding is monotone, and terms are added up in the same order below, so that none is missed
            if short > 0.0:
                suspects[count] = account
                count += 1
        for step in range(steps):
            for asset in range(assets):
                relative[asset + 1] = prices[path, step, asset]
            lost[:] = 0.0
            for place in range(count):
                account = suspects[place]
                short = 0.0
                for entry in range(offsets[account], offsets[account + 1]):
                    short += net[entry] * relative[column[entry]]
                if short > 0.0:
                    lost[0] += short
                    lost[1 + market[account]] += short
            for output in range(len(lost)):
                out[path, output] = max(out[path, output], lost[output])
