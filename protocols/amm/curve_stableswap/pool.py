"""A StableSwap pool as a venue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, log

from chain.errors import InputError
from protocols.amm.arbitrage import sale_to
from protocols.amm.curve_stableswap import rules
from protocols.amm.curve_stableswap.invariant import Ramp, Terms, amplification, invariant, slope
from protocols.amm.interface import ONE_SHARE, Fill, Trade
from protocols.amm.revert import Revert

_NOTHING = Fill(0, 0)
_MAX_COINS = 8
_MOST = 2**128
"""More than there is of any token, and than the contracts can take."""


@dataclass(frozen=True)
class _Standing:
    """A pool at one moment, with what follows from its balances."""

    terms: Terms
    amp: int
    rates: tuple[int, ...]
    balances: tuple[int, ...]

    @cached_property
    def xp(self) -> list[int]:
        return rules.scaled(self.rates, self.balances)

    @cached_property
    def d(self) -> int:
        return invariant(self.terms, self.amp, self.xp)  # type: ignore[no-any-return]

    def price(self, sold: int, bought: int) -> float:
        try:
            above, below = slope(self.terms, self.amp, self.d, self.xp, sold, bought)
        except Revert:
            return 0.0
        return above * self.rates[sold] / (below * self.rates[bought])  # type: ignore[no-any-return]

    def fee(self, sold: int, bought: int) -> float:
        """Share of a small trade; the flat fee in an empty pool."""
        try:
            fee = rules.dynamic_fee(self.terms, self.terms.fee, self.xp[sold], self.xp[bought])
        except Revert:
            fee = self.terms.fee
        return fee / rules.ONE_FEE  # type: ignore[no-any-return]

    def exchange(self, sold: int, bought: int, amount: int, least: int = 0) -> rules.Exchange:
        return rules.trade(self.terms, self.amp, self.d, self.rates, self.xp, sold, bought, amount, least)

    def after(self, sold: int, bought: int, amount: int, exchanged: rules.Exchange) -> _Standing:
        balances = list(self.balances)
        balances[sold] += amount
        balances[bought] -= exchanged.received + exchanged.admin_fee
        return _Standing(self.terms, self.amp, self.rates, tuple(balances))


class StableSwapPool:
    """The exact state of one pool.

    Parameters
    ----------
    name
        Address of the pool.
    tokens
        Addresses of its coins, two to eight.
    terms
        Its kind and its fees.
    ramp
        Its A over time.
    rates
        Of each coin, as ``stored_rates`` of NG has them; 10 ** (36 - decimals) in pools of 3pool's kind. They stay as
        they are until :attr:`rates` is set.
    balances_raw
        Of each coin, without what is the admin's.
    admin_balances_raw
        Fees of each coin that the admin can withdraw.
    timestamp
        The moment of this state, unix seconds.
    caveat
        What of this pool is not held to recorded contract answers.

    Raises
    ------
    InputError
        If these do not make a pool.

    Examples
    --------
    >>> from protocols.amm.curve_stableswap.invariant import ng_terms
    >>> pool = StableSwapPool(
    ...     "0xpool", ("0xa", "0xb"), terms=ng_terms(4_000_000, 20_000_000_000), ramp=Ramp(20_000, 20_000, 0, 0),
    ...     rates=(10**18, 10**30), balances_raw=(1_000_000 * 10**18, 1_200_000 * 10**6), timestamp=0,
    ... )
    >>> pool.quote(0, 1, 10_000 * 10**18).received_raw
    10004707401
    """

    protocol = "curve_stableswap"

    def __init__(
        self,
        name: str,
        tokens: Sequence[str],
        *,
        terms: Terms,
        ramp: Ramp,
        rates: Sequence[int],
        balances_raw: Sequence[int],
        timestamp: int,
        admin_balances_raw: Sequence[int] | None = None,
        caveat: str = "",
    ) -> None:
        self.name, self.tokens, self.caveat = name, tuple(tokens), caveat
        self.terms, self.ramp, self.timestamp = terms, ramp, timestamp
        self.admin_balances_raw = list(admin_balances_raw or [0] * len(tokens))
        n = len(self.tokens)
        if not 2 <= n <= _MAX_COINS or {n} != {len(rates), len(balances_raw), len(self.admin_balances_raw)}:
            raise InputError(f"pool {name}: it has {n} coins and other numbers of rates or balances; read it again")
        if min(balances_raw) < 0 or min(rates) <= 0:
            raise InputError(f"pool {name}: a balance is negative or a rate is not positive; read it again")
        if not 0 <= terms.fee < rules.ONE_FEE or not 0 <= terms.admin_fee <= rules.ONE_FEE:
            raise InputError(f"pool {name}: fees of {terms.fee} and {terms.admin_fee} / 1e10 are not shares")
        if min(ramp.initial, ramp.future) < terms.a_precision:
            raise InputError(f"pool {name}: A is below one; check the units of {ramp.initial} and {ramp.future}")
        self._now = _Standing(terms, amplification(ramp, timestamp), tuple(rates), tuple(balances_raw))

    @property
    def amp(self) -> int:
        """A now, in the contract's units: ``A_precise`` of NG, ``A`` of 3pool's kind."""
        return self._now.amp

    @property
    def rates(self) -> tuple[int, ...]:
        """What each coin counts for; to be set when an oracle or a vault that the pool reads says something else."""
        return self._now.rates

    @rates.setter
    def rates(self, rates: Sequence[int]) -> None:
        if len(rates) != len(self.tokens) or min(rates) <= 0:
            raise InputError(f"pool {self.name}: {len(self.tokens)} positive rates are needed, not {list(rates)}")
        self._now = _Standing(self.terms, self._now.amp, tuple(rates), self._now.balances)

    def advance(self, timestamp: int) -> None:
        """Let A ramp until then."""
        self.timestamp = timestamp
        amp = amplification(self.ramp, timestamp)
        if amp != self._now.amp:
            self._now = _Standing(self.terms, amp, self._now.rates, self._now.balances)

    def price(self, sold: int, bought: int) -> float:
        """Marginal price of one smallest unit of `sold` in smallest units of `bought`, before fees; 0 without
        liquidity."""
        return self._now.price(sold, bought)

    def fee(self, sold: int, bought: int) -> float:
        """Share of a small trade that the pool keeps at the balances of now; NG charges more far from the peg."""
        return self._now.fee(sold, bought)

    def reserves_raw(self) -> tuple[int, ...]:
        """The pool's balances, without what is the admin's."""
        return self._now.balances

    def quote(self, sold: int, bought: int, amount_raw: int) -> Fill:
        """What a swap of `amount_raw` gives; nothing for nothing where :meth:`swap` would revert.

        This is what ``exchange`` pays, which the contract's own ``get_dy`` misses by up to a unit, and by more while
        A ramps (:func:`.rules.get_dy`).
        """
        if amount_raw <= 0:
            return _NOTHING
        try:
            return Fill(amount_raw, self._now.exchange(sold, bought, amount_raw).received)
        except Revert:
            return _NOTHING

    def swap(self, sold: int, bought: int, amount_raw: int, limit_raw: int = 0) -> Fill:
        """Pay in `amount_raw` for whatever it brings.

        Raises
        ------
        Revert
            Where the contract does; its reason is empty where arithmetic fails.
        InputError
            If a price limit is given: a pool knows none.
        """
        if limit_raw:
            raise InputError(f"pool {self.name}: StableSwap takes no price limit; leave limit_raw at 0")
        if amount_raw < 0:
            raise InputError(f"pool {self.name}: cannot pay in {amount_raw}; give a positive amount")
        return Fill(amount_raw, self.exchange(sold, bought, amount_raw, 0).received)

    def exchange(self, sold: int, bought: int, amount_raw: int, least_raw: int) -> rules.Exchange:
        """The contract's ``exchange(i, j, dx, min_dy)``; raises Revert as it does."""
        exchanged = self._now.exchange(sold, bought, amount_raw, least_raw)
        self._now = self._now.after(sold, bought, amount_raw, exchanged)
        self.admin_balances_raw[bought] += exchanged.admin_fee
        return exchanged

    def withdraw(self, share_wad: int) -> tuple[int, ...]:
        """The contract's ``remove_liquidity`` of this share of its tokens, 1e-18: balances in proportion, no fee."""
        now = self._now
        left = tuple(balance * share_wad // ONE_SHARE for balance in now.balances)
        kept = tuple(balance - amount for balance, amount in zip(now.balances, left, strict=True))
        self._now = _Standing(now.terms, now.amp, now.rates, kept)
        return left

    def trade_to(self, sold: int, bought: int, price: float) -> Trade | None:
        """The swap after which nobody would trade against an outside market at `price`.

        A seller of `sold` gets (1 - fee) of the marginal price, a buyer pays 1 / (1 - fee) of it, at the fee of the
        balances that the swap leaves. It ends at the nearer edge of that band, but for 1e-9 of the price or one unit
        of either token. Where the contract would refuse a swap so large, or could find no D after one on the way there,
        which befalls pools that are nearly out of a coin, it stops short of that.

        Parameters
        ----------
        sold, bought, price
            Outside price of one token in the other, smallest units.
        """
        if not (0 < price < inf and 1 / price < inf) or self._now.price(sold, bought) == 0:
            return None
        return self._bring_down(sold, bought, price) or self._bring_down(bought, sold, 1 / price)

    def _bring_down(self, sold: int, bought: int, price: float) -> Trade | None:
        """The sale that brings what a seller gets for one more unit down to an outside price."""

        def excess(amount: int) -> float:
            """Logarithm of what a seller gets for one more unit, after so many, over the outside price."""
            standing = self._now
            if amount:
                try:
                    standing = standing.after(sold, bought, amount, standing.exchange(sold, bought, amount))
                except Revert:
                    return -inf
            got = standing.price(sold, bought) * (1 - standing.fee(sold, bought))
            return log(got) - log(price) if got else -inf

        guess = self._now.d * rules.ONE // (self._now.rates[sold] * 1000)
        amount = sale_to(excess, guess, _MOST, int(1 / price))
        return Trade(sold, bought, amount) if amount else None
