"""A Uniswap v3 pool as a venue."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import isqrt

from chain.errors import InputError
from protocols.amm.interface import ONE_SHARE, Fill, Trade
from protocols.amm.revert import Revert
from protocols.amm.uniswap_v3 import rules
from protocols.amm.uniswap_v3.ticks import (
    MAX_SQRT_PRICE_X96,
    MAX_TICK,
    MIN_SQRT_PRICE_X96,
    MIN_TICK,
    Ticks,
    make_ticks,
    sqrt_price_at_tick,
)

MAX_INT256 = 2**255 - 1
"""More than any pool can take: an exact-input swap of it stops only at its price limit."""

_NOTHING = Fill(0, 0)


class UniswapV3Pool:
    """The exact state of one pool.

    Parameters
    ----------
    name
        Address of the pool.
    tokens
        Addresses of token 0 and token 1.
    fee_pips, tick_spacing
        The pool's ``fee``, in hundredths of a basis point, and ``tickSpacing``.
    sqrt_price_x96, tick, liquidity
        As in ``slot0`` and ``liquidity``.
    ticks, liquidity_net
        Every initialised tick in ascending order, and its ``liquidityNet``.
    fee_protocol
        ``slot0.feeProtocol``: token 0 in the low four bits, token 1 in the high four.
    fee_growth_global_x128, protocol_fees_raw
        Both counters of the pool, of token 0 and of token 1.
    fee_growth_outside_x128
        ``feeGrowthOutside`` of every tick, of token 0 and of token 1; zeros if not given.

    Raises
    ------
    InputError
        If ticks, liquidity, tick and price do not fit each other, as when they were not read in the same block.

    Examples
    --------
    >>> pool = UniswapV3Pool(
    ...     "0xpool", ("0xa", "0xb"), fee_pips=600, tick_spacing=60, sqrt_price_x96=1 << 96, tick=0,
    ...     liquidity=2 * 10**18, ticks=[-60000, 60000], liquidity_net=[2 * 10**18, -2 * 10**18],
    ... )
    >>> pool.quote(1, 10**18).received_raw
    666399946655997866
    """

    protocol = "uniswap_v3"
    caveat = ""

    def __init__(
        self,
        name: str,
        tokens: Sequence[str],
        *,
        fee_pips: int,
        tick_spacing: int,
        sqrt_price_x96: int,
        tick: int,
        liquidity: int,
        ticks: Sequence[int],
        liquidity_net: Sequence[int],
        fee_protocol: int = 0,
        fee_growth_global_x128: tuple[int, int] = (0, 0),
        protocol_fees_raw: tuple[int, int] = (0, 0),
        fee_growth_outside_x128: tuple[Sequence[int], Sequence[int]] | None = None,
    ) -> None:
        self.name = name
        self.tokens = tuple(tokens)
        self.terms = rules.Terms(fee_pips, tick_spacing, fee_protocol % 16, fee_protocol >> 4)
        self.protocol_fees_raw = list(protocol_fees_raw)
        outside0, outside1 = fee_growth_outside_x128 or ([0] * len(ticks), [0] * len(ticks))
        self.outside = rules.Outside(list(outside0), list(outside1))
        self._check_ticks(ticks, liquidity_net)
        self.ticks: Ticks = make_ticks(ticks, liquidity_net)
        self.slot = rules.State(sqrt_price_x96, tick, bisect_right(ticks, tick), *fee_growth_global_x128)
        self._reserves: tuple[int, int] | None = None
        self._check_state(liquidity)

    def _check_ticks(self, ticks: Sequence[int], liquidity_net: Sequence[int]) -> None:
        spacing = self.terms.tick_spacing
        lengths = {len(ticks), len(liquidity_net), *map(len, self.outside)}
        if len(lengths) > 1:
            raise InputError(f"pool {self.name}: the arrays of ticks have different lengths; read them again")
        if any(low >= high for low, high in pairwise(ticks)):
            raise InputError(f"pool {self.name}: ticks are not in ascending order; sort them by tick")
        for tick in ticks:
            if tick % spacing or not MIN_TICK <= tick <= MAX_TICK:
                raise InputError(
                    f"pool {self.name}: tick {tick} is no multiple of the spacing {spacing} within "
                    f"±{MAX_TICK}; check tickSpacing"
                )

    def _check_state(self, liquidity: int) -> None:
        price, tick, below, *_ = self.slot
        if not MIN_SQRT_PRICE_X96 <= price < MAX_SQRT_PRICE_X96:
            raise InputError(f"pool {self.name}: sqrtPriceX96 {price} is out of bounds; the pool is not initialised")
        # A fall that ends on a tick leaves the price at that tick and the tick one lower.
        if not sqrt_price_at_tick(tick) <= price <= sqrt_price_at_tick(tick + 1):
            raise InputError(f"pool {self.name}: sqrtPriceX96 {price} is not at tick {tick}; read slot0 in one call")
        if min(self.ticks.liquidity) < 0 or self.ticks.liquidity[-1] != 0:
            raise InputError(
                f"pool {self.name}: liquidityNet over all ticks ends at {self.ticks.liquidity[-1]}, not at 0, or falls "
                "below it; a tick is missing"
            )
        if self.ticks.liquidity[below] != liquidity:
            raise InputError(
                f"pool {self.name}: liquidity is {liquidity}, but liquidityNet up to tick {tick} adds up to "
                f"{self.ticks.liquidity[below]}; read ticks and liquidity in the same block"
            )

    @property
    def fee_growth_global_x128(self) -> tuple[int, int]:
        """``feeGrowthGlobal`` of token 0 and token 1."""
        return self.slot.fee_growth0_x128, self.slot.fee_growth1_x128

    def state(self) -> dict[str, int]:
        """What ``slot0`` and ``liquidity`` show, by the contract's names."""
        price, tick, below, *_ = self.slot
        return {"sqrtPriceX96": price, "tick": tick, "liquidity": self.ticks.liquidity[below]}

    def advance(self, timestamp: int) -> None:
        """Nothing depends on time."""

    def price(self, sold: int, bought: int) -> float:
        """Marginal price of one unit of `sold` in the other token, before the fee."""
        price: float = (self.slot.sqrt_price_x96 / 2**96) ** 2
        return price if sold == 0 else 1 / price

    def fee(self, sold: int, bought: int) -> float:
        """The pool's fee as a share of the amount paid in."""
        return self.terms.fee_pips / rules.ONE_PIPS

    def reserves_raw(self) -> tuple[int, int]:
        """What a swap could take out of each token at most: the worth of all liquidity, without uncollected fees."""
        if self._reserves is None:
            self._reserves = rules.reserves(self.slot, self.ticks)
        return self._reserves

    def quote(self, sold: int, bought: int, amount_raw: int) -> Fill:
        """What a swap of `amount_raw` does without a price limit; nothing for nothing where it would revert."""
        if amount_raw <= 0:
            return _NOTHING
        try:
            swapped = rules.swap(self.terms, self.slot, self.ticks, None, sold == 0, amount_raw, _limit(sold))
        except Revert:
            return _NOTHING
        return Fill(swapped.paid, swapped.received)

    def swap(self, sold: int, bought: int, amount_raw: int, limit_raw: int = 0) -> Fill:
        """Pay in at most `amount_raw`, down or up to sqrtPriceLimitX96 `limit_raw`; 0 for no limit.

        Raises
        ------
        Revert
            ``AS`` or ``SPL``, where the pool does.
        InputError
            If the amount is negative, which to the contract means an amount to receive: see :meth:`swap_specified`.
        """
        if amount_raw < 0:
            raise InputError(f"pool {self.name}: cannot pay in {amount_raw}; give a positive amount")
        swapped = self.swap_specified(sold == 0, amount_raw, limit_raw or _limit(sold))
        return Fill(swapped.paid, swapped.received)

    def swap_specified(self, zero_for_one: bool, amount_specified: int, sqrt_price_limit_x96: int) -> rules.Swap:
        """UniswapV3Pool.swap with the contract's own arguments; :func:`.rules.swap` explains them."""
        swapped: rules.Swap = rules.swap(
            self.terms, self.slot, self.ticks, self.outside, zero_for_one, amount_specified, sqrt_price_limit_x96
        )
        self.slot = swapped.state
        self._reserves = None
        token_in = 0 if zero_for_one else 1
        # uint128, left to overflow by the contract
        self.protocol_fees_raw[token_in] = (self.protocol_fees_raw[token_in] + swapped.protocol_fee) % 2**128
        return swapped

    def withdraw(self, share_wad: int) -> tuple[int, int]:
        """UniswapV3Pool.burn of this share of every position, 1e-18, and collection of what that frees.

        Positions are not known, only their sums: liquidity is cut range by range, not position by position.
        """
        before = self.reserves_raw()
        cut = [liquidity - liquidity * share_wad // ONE_SHARE for liquidity in self.ticks.liquidity]
        self.ticks = self.ticks._replace(liquidity=cut)
        self._reserves = None
        left0, left1 = (
            min(was * share_wad // ONE_SHARE, was - now) for was, now in zip(before, self.reserves_raw(), strict=True)
        )
        return left0, left1

    def trade_to(self, sold: int, bought: int, price: float) -> Trade | None:
        """The swap after which nobody would trade against an outside market at `price`.

        A seller of token 0 gets (1 - fee) of the marginal price, a buyer pays 1 / (1 - fee) of it. The swap ends at
        the nearer edge of that band, to the last bit of sqrtPriceX96; its amount is without bound and its limit
        does the work.

        Parameters
        ----------
        sold, bought, price
            Outside price of one token in the other, smallest units.
        """
        above, below = price.as_integer_ratio()
        if sold == 1:
            above, below = below, above
        if above <= 0:
            return None
        kept = rules.ONE_PIPS - self.terms.fee_pips
        highest = isqrt((above * rules.ONE_PIPS << 192) // (below * kept))
        lowest = isqrt(((above * kept << 192) - 1) // (below * rules.ONE_PIPS)) + 1
        lowest, highest = (min(max(edge, _limit(0)), _limit(1)) for edge in (lowest, highest))
        if self.slot.sqrt_price_x96 > highest:
            return Trade(0, 1, MAX_INT256, highest)
        if self.slot.sqrt_price_x96 < lowest:
            return Trade(1, 0, MAX_INT256, lowest)
        return None


def _limit(token_in: int) -> int:
    """The sqrtPriceLimitX96 that stands for no limit."""
    return MIN_SQRT_PRICE_X96 + 1 if token_in == 0 else MAX_SQRT_PRICE_X96 - 1
