"""A tricrypto-ng pool as a venue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, log

from chain.errors import InputError
from protocols.amm.arbitrage import sale_to
from protocols.amm.curve_tricrypto import rules
from protocols.amm.curve_tricrypto.invariant import MAX_A, MAX_GAMMA, MIN_A, MIN_GAMMA, ONE, get_p
from protocols.amm.interface import ONE_SHARE, Fill, Trade
from protocols.amm.revert import Revert

_NOTHING = Fill(0, 0)
_COINS = 3
_LARGEST_SHARE = 100
"""The contract takes no balance of more than this times D."""


@dataclass(frozen=True)
class _Standing:
    """A pool at one moment, with what follows from its state."""

    terms: rules.Terms
    ramp: rules.Ramp
    state: rules.State
    now: int

    @cached_property
    def prices(self) -> tuple[float, ...]:
        """What one smallest unit of each coin is worth in 1e-18 of the first, to a small trade without fees; zeros
        without liquidity."""
        scale = self.state.price_scale
        try:
            d = rules.invariant(self.terms, self.ramp, self.state, self.now)
            x = rules.scaled(self.terms, scale, self.state.balances)
            second, third = get_p(x, d, *rules.a_gamma(self.ramp, self.now)) if all(x) else (0, 0)
        except Revert:
            second = third = 0
        first = ONE if second and third else 0
        worth = first, second * scale[0] / ONE, third * scale[1] / ONE
        return tuple(float(p * precision) for p, precision in zip(worth, self.terms.precisions, strict=True))

    @cached_property
    def fee(self) -> float:
        """Share of a small trade; the fee in balance of an empty pool."""
        x = rules.scaled(self.terms, self.state.price_scale, self.state.balances)
        share: float = (rules.fee(self.terms, x) if sum(x) else self.terms.mid_fee) / rules.ONE_FEE
        return share

    def price(self, sold: int, bought: int) -> float:
        below = self.prices[bought]
        return self.prices[sold] / below if below else 0.0

    def exchange(self, sold: int, bought: int, paid: int, least: int = 0) -> rules.Exchange:
        return rules.exchange(self.terms, self.ramp, self.state, self.now, sold, bought, paid, least)

    def after(self, state: rules.State) -> _Standing:
        return _Standing(self.terms, self.ramp, state, self.now)


class TricryptoPool:
    """The exact state of one pool.

    Parameters
    ----------
    name
        Address of the pool.
    tokens
        Addresses of its three coins.
    terms
        Precisions, fees, and how its price scale moves.
    ramp
        Its A and gamma over time.
    state
        What exchanges change.
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
    >>> from protocols.amm.curve_tricrypto.rules import Ramp, State, Terms
    >>> terms = Terms((10**12, 10**10, 1), 3_000_000, 30_000_000, 5 * 10**14, 2 * 10**12, 49 * 10**13, 866)
    >>> prices = (60_000 * 10**18, 3_000 * 10**18)
    >>> state = State(
    ...     (3_000_000 * 10**6, 50 * 10**8, 1_000 * 10**18), 9_000_000 * 10**18, prices, prices, prices, 0,
    ...     10**18, 10**18, 5_313_292_845_913_055_330_238,
    ... )
    >>> pool = TricryptoPool(
    ...     "0xpool", ("0xusd", "0xbtc", "0xeth"), terms=terms, state=state, timestamp=0,
    ...     ramp=Ramp(1_707_629, 11_809_167_828_997, 0, 1_707_629, 11_809_167_828_997, 0),
    ... )
    >>> pool.quote(2, 0, 10**18).received_raw
    2999023287
    """

    protocol = "curve_tricrypto"

    def __init__(
        self,
        name: str,
        tokens: Sequence[str],
        *,
        terms: rules.Terms,
        ramp: rules.Ramp,
        state: rules.State,
        timestamp: int,
        caveat: str = "",
    ) -> None:
        self.name, self.tokens, self.caveat = name, tuple(tokens), caveat
        if {len(self.tokens), len(terms.precisions), len(state.balances)} != {_COINS}:
            raise InputError(f"pool {name}: a tricrypto pool has three coins, balances and precisions; read it again")
        if min(state.balances) < 0 or min(state.price_scale) <= 0 or state.total_supply <= 0:
            raise InputError(
                f"pool {name}: a balance is negative, or a price or the supply not positive; read it again"
            )
        if not 0 <= terms.mid_fee <= terms.out_fee < rules.ONE_FEE:
            raise InputError(f"pool {name}: fees of {terms.mid_fee} to {terms.out_fee} / 1e10 are not shares in order")
        for ann, gamma in ((ramp.initial_a, ramp.initial_gamma), (ramp.future_a, ramp.future_gamma)):
            if not (MIN_A <= ann <= MAX_A and MIN_GAMMA <= gamma <= MAX_GAMMA):
                raise InputError(f"pool {name}: A of {ann} with gamma {gamma} is out of bounds; check their units")
        if terms.ma_time <= 0 or timestamp < state.last_timestamp:
            raise InputError(f"pool {name}: its moving average has no time constant, or is of later than {timestamp}")
        self._now = _Standing(terms, ramp, state, timestamp)

    @property
    def state(self) -> rules.State:
        """What exchanges change, as of the last one."""
        return self._now.state

    def advance(self, timestamp: int) -> None:
        """Let A and gamma ramp until then, and the moving average of the price approach the last one."""
        if timestamp != self._now.now:
            self._now = _Standing(self._now.terms, self._now.ramp, self._now.state, timestamp)

    def price(self, sold: int, bought: int) -> float:
        """Marginal price of one smallest unit of `sold` in smallest units of `bought`, before fees; 0 without
        liquidity."""
        return self._now.price(sold, bought)

    def fee(self, sold: int, bought: int) -> float:
        """Share of a small trade that the pool keeps at the balances of now; it charges more out of balance."""
        return self._now.fee

    def reserves_raw(self) -> tuple[int, ...]:
        """The pool's balances; the contract leaves at least 1 % of D in each."""
        return self._now.state.balances

    def quote(self, sold: int, bought: int, amount_raw: int) -> Fill:
        """What a swap of `amount_raw` gives; nothing for nothing where :meth:`swap` would revert."""
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
            Where the contract does; its reason is empty where arithmetic or an assertion without a text fails.
        InputError
            If a price limit is given: a pool knows none.
        """
        if limit_raw:
            raise InputError(f"pool {self.name}: tricrypto takes no price limit; leave limit_raw at 0")
        if amount_raw < 0:
            raise InputError(f"pool {self.name}: cannot pay in {amount_raw}; give a positive amount")
        exchanged = self._now.exchange(sold, bought, amount_raw)
        self._now = self._now.after(exchanged.state)
        return Fill(amount_raw, exchanged.received)

    def withdraw(self, share_wad: int) -> tuple[int, ...]:
        """The contract's ``remove_liquidity`` of this share of its tokens, 1e-18.

        Of what is burned one unit is paid nothing for; balances and D fall in proportion to the rest.
        """
        state = self._now.state
        burned = state.total_supply * share_wad // ONE_SHARE
        if burned == 0:
            return (0,) * _COINS
        paid = burned - 1 if burned < state.total_supply else burned
        left = tuple(balance * paid // state.total_supply for balance in state.balances)
        first, second, third = (balance - amount for balance, amount in zip(state.balances, left, strict=True))
        self._now = self._now.after(
            state._replace(
                balances=(first, second, third),
                d=state.d - state.d * paid // state.total_supply,
                total_supply=state.total_supply - burned,
            )
        )
        return left

    def trade_to(self, sold: int, bought: int, price: float) -> Trade | None:
        """The swap after which nobody would trade against an outside market at `price`.

        A seller of `sold` gets (1 - fee) of the marginal price, a buyer pays 1 / (1 - fee) of it, at the price scale
        and the fee that the swap leaves. It ends at the nearer edge of that band, but for 1e-9 of the price or what
        one unit of the token bought costs. Where the contract would refuse a swap so large, the largest it would not.

        Parameters
        ----------
        sold, bought, price
            Outside price of one token in the other, smallest units.
        """
        if not 0 < price < inf or self.price(sold, bought) == 0:
            return None
        return self._bring_down(sold, bought, price) or self._bring_down(bought, sold, 1 / price)

    def _bring_down(self, sold: int, bought: int, price: float) -> Trade | None:
        """The sale that brings what a seller gets for one more unit down to an outside price."""

        def excess(amount: int) -> float:
            standing = self._now
            if amount:
                try:
                    standing = standing.after(standing.exchange(sold, bought, amount).state)
                except Revert:
                    return -inf
            got = standing.price(sold, bought) * (1 - standing.fee)
            return log(got / price) if got else -inf

        held = self._now.state.balances[sold]
        amount = sale_to(excess, held // 100, _LARGEST_SHARE * held, int(1 / self.price(sold, bought)))
        return Trade(sold, bought, amount) if amount else None
