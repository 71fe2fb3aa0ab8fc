"""A Pendle market as a venue between a principal token (PT) and the token that its yield is of.

The contract trades PT for SY, a wrapper that nobody borrows and that no other pool holds. A seller of PT wants what
other pools know, so the venue's second token is the token inside: the reader takes only markets whose SY is given and
taken back for it one for one, and to the venue both are the same.

The contract knows no purchase of PT for a given amount of SY: it is told how many PT, and asks for the SY. A purchase
here is of as many PT as the amount pays for, found by bisection; what would not buy one PT more stays in the market,
as with the router of Pendle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, inf, log

from chain.errors import InputError
from protocols.amm.arbitrage import sale_to
from protocols.amm.interface import Fill, Trade
from protocols.amm.pendle import rules
from protocols.amm.pendle.rules import ONE
from protocols.amm.revert import Revert

PT, TOKEN = 0, 1
"""Rows of the market's two tokens."""

_NOTHING = Fill(0, 0)
_TRADE = {PT: rules.sell_pt, TOKEN: rules.buy_pt}
"""What trades PT by an amount of PT, by the token that is sold."""


class PendleMarket:
    """The exact state of one market.

    Parameters
    ----------
    name
        Address of the market.
    tokens
        Addresses of its PT, and of the token that its SY stands for one for one.
    terms, state
        As ``readState`` has them, and the index of the yield token, which stays as it was.
    timestamp
        Now, unix seconds.

    Raises
    ------
    InputError
        If these do not make a market.

    Examples
    --------
    >>> market = PendleMarket(
    ...     "0xmarket", ("0xpt", "0xtoken"),
    ...     terms=rules.Terms(40 * 10**18, 1_707_776_000, 10**15, 80, 11 * 10**17, asks_for_fee=True),
    ...     state=rules.State(10**24, 2 * 10**24, 5 * 10**16), timestamp=1_700_000_000,
    ... )
    >>> market.quote(0, 1, 10**21).received_raw
    897722412160508456061
    """

    protocol = "pendle"
    caveat = ""

    def __init__(
        self, name: str, tokens: Sequence[str], *, terms: rules.Terms, state: rules.State, timestamp: int
    ) -> None:
        self.name, self.tokens = name, tuple(tokens)
        if len(self.tokens) != 2:
            raise InputError(f"market {name}: it has {len(self.tokens)} tokens instead of a PT and what it stands for")
        if not all(0 <= amount < 2**127 for amount in state[:2]) or not 0 <= state.last_ln_implied_rate < 2**96:
            raise InputError(f"market {name}: no market is in the state {list(state)}; read it again")
        if terms.scalar_root <= 0 or terms.py_index <= 0:
            raise InputError(f"market {name}: scalar root {terms.scalar_root} or index {terms.py_index} is not above 0")
        if not 0 <= terms.reserve_fee_percent <= 100 or not 0 <= terms.ln_fee_rate_root <= rules.MAX_LN_FEE_RATE_ROOT:
            raise InputError(
                f"market {name}: {terms.ln_fee_rate_root} / 1e18, of which the treasury gets "
                f"{terms.reserve_fee_percent} %, is no fee; check their units"
            )
        self.terms, self.state, self.now = terms, state, timestamp

    def advance(self, timestamp: int) -> None:
        """Let the expiry come nearer: at the implied rate, which stays, a PT is worth more. From the expiry on nothing
        is traded."""
        self.now = timestamp

    def price(self, sold: int, bought: int) -> float:
        """Marginal price of one unit of `sold` in units of `bought`, before the fee; 0 in a market that has expired, or
        is empty."""
        price = self._pt_price(self.state)
        return price if sold == PT or price == 0 else 1 / price

    def fee(self, sold: int, bought: int) -> float:
        """Share of a small trade that the market keeps now, either way; none where there is no trade."""
        left = self.terms.expiry - self.now
        return 1 - ONE / rules.exchange_rate_of(self.terms.ln_fee_rate_root, left) if left > 0 else 0.0

    def reserves_raw(self) -> tuple[int, int]:
        """The PT and the SY that the market holds."""
        return self.state.total_pt, self.state.total_sy

    def quote(self, sold: int, bought: int, amount_raw: int) -> Fill:
        """What a swap of `amount_raw` gives; nothing for nothing where :meth:`swap` would revert."""
        if amount_raw <= 0:
            return _NOTHING
        try:
            return self._swapped(sold, amount_raw)[0]
        except Revert:
            return _NOTHING

    def swap(self, sold: int, bought: int, amount_raw: int, limit_raw: int = 0) -> Fill:
        """Pay in `amount_raw` for whatever it brings: swapExactPtForSy, or swapSyForExactPt of as many PT as it buys.

        Raises
        ------
        Revert
            Where the contract does, with the name of its error; ``MarketExpired`` from the expiry on. An amount that
            pays for more PT than the market gives is refused as the first PT too many would be.
        InputError
            If a price limit is given: a market knows none.
        """
        if limit_raw:
            raise InputError(f"market {self.name}: Pendle takes no price limit; leave limit_raw at 0")
        if amount_raw < 0:
            raise InputError(f"market {self.name}: cannot pay in {amount_raw}; give a positive amount")
        fill, self.state = self._swapped(sold, amount_raw)
        return fill

    def trade_to(self, sold: int, bought: int, price: float) -> Trade | None:
        """The swap after which nobody would trade against an outside market at `price`.

        A seller gets (1 - fee) of the marginal price that the swap leaves, a buyer pays 1 / (1 - fee) of it. The swap
        ends at the nearer edge of that band, but for 1e-9 of the price, or where the market takes no more. None where
        the market would refuse so small a swap.

        Parameters
        ----------
        sold, bought, price
            Outside price of one token in the other, smallest units.
        """
        if not 0 < price < inf or self.price(sold, bought) == 0:
            return None
        outside = price if sold == PT else 1 / price
        trade = self._trade_at(PT, outside / (1 - self.fee(PT, TOKEN)))
        trade = trade or self._trade_at(TOKEN, outside * (1 - self.fee(TOKEN, PT)))
        return trade if trade and self.quote(trade.sold, trade.bought, trade.amount_raw).received_raw else None

    def _pt_price(self, state: rules.State) -> float:
        """Marginal price of a PT in SY, both smallest units."""
        left = self.terms.expiry - self.now
        if left <= 0 or state.total_pt == 0 or state.total_sy == 0:
            return 0.0
        try:
            rate: int = rules.exchange_rate_of(state.last_ln_implied_rate, left)
        except Revert:  # a rate of which the contract takes no exponential: nothing can be traded
            return 0.0
        return float(ONE * ONE / (rate * self.terms.py_index))

    def _swapped(self, sold: int, amount: int) -> tuple[Fill, rules.State]:
        """What a swap brings, and the state that it leaves."""
        if sold == PT:
            trade: rules.Trade = rules.sell_pt(self.terms, self.state, self.now, amount)
            return Fill(amount, trade.sy), trade.state
        pt = self._affordable(amount)
        return Fill(amount, pt), rules.buy_pt(self.terms, self.state, self.now, pt).state

    def _affordable(self, sy: int) -> int:
        """How many PT some SY buy: one more would cost more; raises Revert if the market would refuse one more."""
        terms = self.terms._replace(asks_for_fee=False)  # which a small purchase fails, and a larger one not

        def cost(pt: int) -> int:
            cost: int = rules.buy_pt(terms, self.state, self.now, pt).sy
            return cost

        rules.prepare(terms, self.state, self.now)
        low, high = 0, int(self.state.total_pt)
        while high - low > 1:
            middle = (low + high) // 2
            try:
                low, high = (middle, high) if cost(middle) <= sy else (low, middle)
            except Revert:
                high = middle
        cost(high)
        return low

    def _trade_at(self, sold: int, price: float) -> Trade | None:
        """The sale or purchase of PT that brings their marginal price down, or up, to another; None if it is there, or
        beyond."""
        terms = self.terms._replace(asks_for_fee=False)
        try:
            ready = rules.prepare(terms, self.state, self.now)
        except Revert:
            return None
        trade: Callable[..., rules.Trade] = _TRADE[sold]
        falls = 1 if sold == PT else -1

        def excess(pt: int) -> float:
            try:
                after = trade(terms, self.state, self.now, pt).state if pt else self.state
            except Revert:
                return -inf
            left = self._pt_price(after)
            return falls * log(left / price) if left else -inf

        total = self.state.total_pt + ready.total_asset
        # the share of PT at which the curve is at that price, were the total to stay
        logit = (ONE * ONE / (price * self.terms.py_index) - ready.rate_anchor) * ready.rate_scalar / ONE / ONE
        share = 1 / (1 + exp(min(max(-logit, -500.0), 500.0)))
        guess = falls * (int(total * share) - self.state.total_pt)
        most = total * rules.MAX_PROPORTION // ONE - self.state.total_pt if sold == PT else self.state.total_pt - 1
        pt = sale_to(excess, guess, most, int(1 / price) if sold == PT else 1)
        if pt == 0 or sold == PT:
            return Trade(PT, TOKEN, pt) if pt else None
        return Trade(TOKEN, PT, rules.buy_pt(terms, self.state, self.now, pt).sy)
