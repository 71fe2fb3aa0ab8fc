"""A pool of liquidity concentrated between ticks as a venue: what Uniswap v3 and v4 have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from math import isqrt
from typing import ClassVar

import numpy as np

from chain.errors import InputError
from protocols.amm.interface import ONE_SHARE, Fill, FloatArray, Trade
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

_NOTHING = Fill(0, 0)


class ConcentratedPool(ABC):
    """The exact state of one pool: price, ticks and fee growth. A version's fees and its swap are its own.

    Parameters
    ----------
    name
        The pool's name.
    tokens
        Addresses of token 0 and token 1.
    tick_spacing
        Distance of usable ticks.
    sqrt_price_x96, tick, liquidity
        As in ``slot0`` and ``liquidity``.
    ticks, liquidity_net
        Every initialised tick in ascending order, and its ``liquidityNet``.
    fee_growth_global_x128
        ``feeGrowthGlobal`` of token 0 and of token 1.
    fee_growth_outside_x128
        ``feeGrowthOutside`` of every tick, of token 0 and of token 1; zeros if not given.

    Raises
    ------
    InputError
        If ticks, liquidity, tick and price do not fit each other, as when they were not read in the same block.
    """

    most_raw: ClassVar[int]
    """Largest amount to pay in that the contract takes; more than any pool can use."""
    caveat = ""

    def __init__(
        self,
        name: str,
        tokens: Sequence[str],
        *,
        tick_spacing: int,
        sqrt_price_x96: int,
        tick: int,
        liquidity: int,
        ticks: Sequence[int],
        liquidity_net: Sequence[int],
        fee_growth_global_x128: tuple[int, int],
        fee_growth_outside_x128: tuple[Sequence[int], Sequence[int]] | None,
    ) -> None:
        self.name = name
        self.tokens = tuple(tokens)
        outside0, outside1 = fee_growth_outside_x128 or ([0] * len(ticks), [0] * len(ticks))
        self.outside = rules.Outside(list(outside0), list(outside1))
        self._check_ticks(tick_spacing, ticks, liquidity_net)
        self.ticks: Ticks = make_ticks(ticks, liquidity_net)
        self.slot = rules.State(sqrt_price_x96, tick, bisect_right(ticks, tick), *fee_growth_global_x128)
        self._reserves: tuple[int, int] | None = None
        self._check_state(liquidity)

    def _check_ticks(self, spacing: int, ticks: Sequence[int], liquidity_net: Sequence[int]) -> None:
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

    @abstractmethod
    def fee_pips(self, sold: int) -> int:
        """The fee on what is paid in of a token, hundredths of a basis point."""

    @abstractmethod
    def _quoted(self, sold: int, amount_raw: int, limit: int) -> rules.Swap:
        """Pay in at most an amount down or up to a sqrtPriceX96, state unchanged; raises Revert."""

    @abstractmethod
    def _swapped(self, sold: int, amount_raw: int, limit: int) -> rules.Swap:
        """The same, and the pool's state is then that after the swap."""

    @property
    def fee_growth_global_x128(self) -> tuple[int, int]:
        """``feeGrowthGlobal`` of token 0 and token 1."""
        return self.slot.fee_growth0_x128, self.slot.fee_growth1_x128

    def state(self) -> dict[str, int]:
        """What ``slot0`` and ``liquidity`` show, by the contract's names."""
        price, tick, below, *_ = self.slot
        return {"sqrtPriceX96": price, "tick": tick, "liquidity": self.ticks.liquidity[below]}

    def advance(self, timestamp: int) -> None:  # noqa: B027
        """Nothing depends on time."""

    def price(self, sold: int, bought: int) -> float:
        """Marginal price of one unit of `sold` in the other token, before the fee."""
        price: float = (self.slot.sqrt_price_x96 / 2**96) ** 2
        return price if sold == 0 else 1 / price

    def fee(self, sold: int, bought: int) -> float:
        """The pool's fee as a share of the amount paid in."""
        return self.fee_pips(sold) / rules.ONE_PIPS

    def reserves_raw(self) -> tuple[int, int]:
        """What a swap could take out of each token at most: the worth of all liquidity, without uncollected fees."""
        if self._reserves is None:
            self._reserves = rules.reserves(self.slot, self.ticks)
        return self._reserves

    def ranges(self, sold: int, bought: int) -> tuple[FloatArray, FloatArray]:
        """The amounts that lead from tick to tick, as :class:`protocols.amm.interface.Ranged` has them; none where the
        fee takes all.

        With t = 1 / sqrt(price) where token 0 is sold and sqrt(price) where token 1 is, a range of liquidity L takes
        L (t' - t) / (1 - fee), and the next unit brings (1 - fee) / t ** 2 (whitepaper of v3, 6.13 to 6.16).
        """
        kept = 1.0 - self.fee(sold, bought)
        if kept == 0.0:
            return np.zeros(1), np.ones(1)
        now, below = self.slot.sqrt_price_x96 / 2**96, self.slot.ticks_below
        if sold == 0:
            along = 1.0 / np.append(now, self._roots[:below][::-1])
            liquidity = self._liquidity[1 : below + 1][::-1]
        else:
            along, liquidity = np.append(now, self._roots[below:]), self._liquidity[below:-1]
        paid = np.zeros(len(along))
        np.cumsum(liquidity * np.diff(along) / kept, out=paid[1:])
        return paid, along / np.sqrt(kept)

    @cached_property
    def _roots(self) -> FloatArray:
        return np.array([root / 2**96 for root in self.ticks.sqrt_price_x96], np.float64)

    @cached_property
    def _liquidity(self) -> FloatArray:
        return np.array([float(liquidity) for liquidity in self.ticks.liquidity], np.float64)

    def quote(self, sold: int, bought: int, amount_raw: int) -> Fill:
        """What a swap of `amount_raw` does without a price limit; nothing for nothing where it would revert."""
        if amount_raw <= 0:
            return _NOTHING
        try:
            swapped = self._quoted(sold, amount_raw, _limit(sold))
        except Revert:
            return _NOTHING
        return Fill(swapped.paid, swapped.received)

    def swap(self, sold: int, bought: int, amount_raw: int, limit_raw: int = 0) -> Fill:
        """Pay in at most `amount_raw`, down or up to sqrtPriceLimitX96 `limit_raw`; 0 for no limit.

        Raises
        ------
        Revert
            Where the contract does.
        InputError
            If the amount is negative.
        """
        if amount_raw < 0:
            raise InputError(f"pool {self.name}: cannot pay in {amount_raw}; give a positive amount")
        swapped = self._swapped(sold, amount_raw, limit_raw or _limit(sold))
        return Fill(swapped.paid, swapped.received)

    def _now(self, state: rules.State) -> None:
        """What the pool is after a swap."""
        self.slot = state
        self._reserves = None

    def withdraw(self, share_wad: int) -> tuple[int, int]:
        """The removal of this share of every position, 1e-18, and collection of what that frees.

        Positions are not known, only their sums: liquidity is cut range by range, not position by position.
        """
        before = self.reserves_raw()
        cut = [liquidity - liquidity * share_wad // ONE_SHARE for liquidity in self.ticks.liquidity]
        self.ticks = self.ticks._replace(liquidity=cut)
        self._reserves = None
        self.__dict__.pop("_liquidity", None)
        left0, left1 = (
            min(was * share_wad // ONE_SHARE, was - now) for was, now in zip(before, self.reserves_raw(), strict=True)
        )
        return left0, left1

    def trade_to(self, sold: int, bought: int, price: float) -> Trade | None:
        """The swap after which nobody would trade against an outside market at `price`.

        A seller gets (1 - fee) of the marginal price, a buyer pays 1 / (1 - fee) of it. The swap ends at the nearer
        edge of that band, to the last bit of sqrtPriceX96; its amount is without bound and its limit does the work.

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
        lowest, highest = MIN_SQRT_PRICE_X96, MAX_SQRT_PRICE_X96
        if kept := rules.ONE_PIPS - self.fee_pips(0):
            highest = isqrt((above * rules.ONE_PIPS << 192) // (below * kept))
        if kept := rules.ONE_PIPS - self.fee_pips(1):
            # where there is no fee, there may be no price in the band but for this bound
            lowest = min(isqrt(((above * kept << 192) - 1) // (below * rules.ONE_PIPS)) + 1, highest)
        if self.slot.sqrt_price_x96 > max(highest, _limit(0)):
            return Trade(0, 1, self.most_raw, max(highest, _limit(0)))
        if self.slot.sqrt_price_x96 < min(lowest, _limit(1)):
            return Trade(1, 0, self.most_raw, min(lowest, _limit(1)))
        return None


def _limit(token_in: int) -> int:
    """The sqrtPriceLimitX96 that stands for no limit."""
    return MIN_SQRT_PRICE_X96 + 1 if token_in == 0 else MAX_SQRT_PRICE_X96 - 1
