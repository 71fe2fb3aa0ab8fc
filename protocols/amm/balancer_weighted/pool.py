"""A Balancer v2 weighted pool as a venue."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log

from chain.errors import InputError
from protocols.amm.arbitrage import sale_to
from protocols.amm.balancer_weighted import rules
from protocols.amm.interface import ONE_SHARE, Fill, Trade
from protocols.amm.revert import Revert
from protocols.arithmetic import max_uint112

_NOTHING = Fill(0, 0)
_MAX_DECIMALS = 18
_MAX_WEIGHT_ERROR = 10**3
"""How far from one the weights may add up to, 18 decimals: packed weights are rounded."""


class BalancerWeightedPool:
    """The exact state of one pool.

    Parameters
    ----------
    name
        Address of the pool.
    tokens
        Addresses of its tokens, in the Vault's order.
    decimals
        Of each token, 18 or fewer.
    balances_raw
        What the Vault holds of each for the pool, smallest units (uint112).
    weights_wad
        ``getNormalizedWeights``: of each token, together one.
    swap_fee_wad
        ``getSwapFeePercentage``.
    exact_powers
        False for pools from before 2022, which take exponents 1, 2 and 4 for powers like others.
    caveat
        What of this pool is not held to recorded contract answers.

    Raises
    ------
    InputError
        If these do not make a pool.

    Examples
    --------
    >>> pool = BalancerWeightedPool(
    ...     "0xpool", ("0xa", "0xb"), decimals=(18, 6), balances_raw=(400 * 10**18, 400_000 * 10**6),
    ...     weights_wad=(8 * 10**17, 2 * 10**17), swap_fee_wad=10**16,
    ... )
    >>> pool.quote(0, 1, 10**18).received_raw
    3935618264
    """

    protocol = "balancer_weighted"

    def __init__(
        self,
        name: str,
        tokens: Sequence[str],
        *,
        decimals: Sequence[int],
        balances_raw: Sequence[int],
        weights_wad: Sequence[int],
        swap_fee_wad: int,
        exact_powers: bool = True,
        caveat: str = "",
    ) -> None:
        self.name, self.tokens, self.caveat = name, tuple(tokens), caveat
        self.swap_fee_wad, self.exact_powers = swap_fee_wad, exact_powers
        n = len(self.tokens)
        if n < 2 or {n} != {len(decimals), len(balances_raw), len(weights_wad)}:
            raise InputError(f"pool {name}: it has {n} tokens and other numbers of balances or weights; read it again")
        if not all(0 <= d <= _MAX_DECIMALS for d in decimals):
            raise InputError(f"pool {name}: decimals {list(decimals)} are not all 18 or fewer, which Balancer requires")
        if not all(0 <= balance <= max_uint112() for balance in balances_raw):
            raise InputError(f"pool {name}: balances {list(balances_raw)} are not all uint112; read them again")
        if min(weights_wad) <= 0 or abs(sum(weights_wad) - rules.ONE) > _MAX_WEIGHT_ERROR:
            raise InputError(f"pool {name}: weights {list(weights_wad)} do not add up to 1e18; check their unit")
        if not 0 <= swap_fee_wad < rules.ONE:
            raise InputError(f"pool {name}: a swap fee of {swap_fee_wad} / 1e18 is no share")
        columns = zip(balances_raw, weights_wad, decimals, strict=True)
        self._sides = [rules.Token(balance, weight, 10 ** (_MAX_DECIMALS - d)) for balance, weight, d in columns]

    def advance(self, timestamp: int) -> None:
        """Nothing depends on time."""

    def price(self, sold: int, bought: int) -> float:
        """Marginal price of one unit of `sold` in units of `bought`, before the fee; 0 in an empty pool."""
        return _price(self._sides[sold], self._sides[bought])

    def fee(self, sold: int, bought: int) -> float:
        """The swap fee, a share of the amount paid in."""
        return self.swap_fee_wad / rules.ONE

    def reserves_raw(self) -> tuple[int, ...]:
        """The pool's balances; one swap takes out at most 30 % of one."""
        return tuple(side.balance for side in self._sides)

    def quote(self, sold: int, bought: int, amount_raw: int) -> Fill:
        """What a swap of `amount_raw` gives; nothing for nothing where :meth:`swap` would revert, as it does for more
        than 30 % of the balance."""
        if amount_raw <= 0:
            return _NOTHING
        try:
            return Fill(amount_raw, self._received(sold, bought, amount_raw))
        except Revert:
            return _NOTHING

    def swap(self, sold: int, bought: int, amount_raw: int, limit_raw: int = 0) -> Fill:
        """Pay in `amount_raw` for whatever it brings, as Vault.swap of kind GIVEN_IN.

        Raises
        ------
        Revert
            Where the Vault or the pool does.
        InputError
            If a price limit is given: a weighted pool knows none.
        """
        if limit_raw:
            raise InputError(f"pool {self.name}: a weighted pool takes no price limit; leave limit_raw at 0")
        if amount_raw < 0:
            raise InputError(f"pool {self.name}: cannot pay in {amount_raw}; give a positive amount")
        received = self._received(sold, bought, amount_raw)
        self._sides[sold], self._sides[bought] = self._after(sold, bought, amount_raw, received)
        return Fill(amount_raw, received)

    def withdraw(self, share_wad: int) -> tuple[int, ...]:
        """A proportional exit (WeightedMath._calcTokensOutGivenExactBptIn of all tokens) of this share, 1e-18."""
        left = tuple(side.balance * share_wad // ONE_SHARE for side in self._sides)
        self._sides = [s._replace(balance=s.balance - amount) for s, amount in zip(self._sides, left, strict=True)]
        return left

    def trade_to(self, sold: int, bought: int, price: float) -> Trade | None:
        """The swap after which nobody would trade against an outside market at `price`.

        A seller of `sold` gets (1 - fee) of the marginal price, a buyer pays 1 / (1 - fee) of it. The swap ends at
        the nearer edge of that band, but for 1e-9 of the price or one unit of the token paid in. Where that takes
        more than the pool allows in one swap, the largest swap that it allows.

        Parameters
        ----------
        sold, bought, price
            Outside price of one token in the other, smallest units.
        """
        if not 0 < price < inf or self.price(sold, bought) == 0:
            return None
        return self._bring_down(sold, bought, price) or self._bring_down(bought, sold, 1 / price)

    def _received(self, sold: int, bought: int, amount: int) -> int:
        if sold == bought and amount:
            raise Revert("BAL#509")
        received: int = rules.swap_given_in(
            self._sides[sold], self._sides[bought], self.swap_fee_wad, amount, self.exact_powers
        )
        return received

    def _after(self, sold: int, bought: int, amount: int, received: int) -> tuple[rules.Token, rules.Token]:
        one, other = self._sides[sold], self._sides[bought]
        return one._replace(balance=one.balance + amount), other._replace(balance=other.balance - received)

    def _bring_down(self, sold: int, bought: int, price: float) -> Trade | None:
        """The sale that brings what a seller gets for one more unit down to an outside price."""
        kept = 1 - self.fee(sold, bought)

        def excess(amount: int) -> float:
            try:
                received = self._received(sold, bought, amount) if amount else 0
            except Revert:
                return -inf
            got = kept * _price(*self._after(sold, bought, amount, received))
            return log(got / price) if got else -inf

        one, other = self._sides[sold], self._sides[bought]
        # without the fee: the price falls as (balance_in / (balance_in + amount)) ^ (1 + weight_in / weight_out)
        fall = (price / (kept * self.price(sold, bought))) ** (other.weight / (one.weight + other.weight))
        guess = int(one.balance * (1 / fall - 1)) if 0 < fall < 1 else 1
        most, step = rules.most_given_in(one, self.swap_fee_wad), int(self.price(bought, sold))
        amount = sale_to(excess, guess, most, step)
        return Trade(sold, bought, amount) if amount else None


def _price(sold: rules.Token, bought: rules.Token) -> float:
    below = sold.balance * bought.weight
    return bought.balance * sold.weight / below if below else 0.0
