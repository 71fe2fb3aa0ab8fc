"""A Uniswap v2 pair as a venue."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, sqrt

import numpy as np

from chain.errors import InputError
from protocols.amm.interface import ONE_SHARE, Fill, FloatArray, Trade
from protocols.amm.revert import Revert
from protocols.amm.uniswap_v2 import rules
from protocols.arithmetic import max_uint112

_NOTHING = Fill(0, 0)
_MAX_UINT112 = max_uint112()


class UniswapV2Pair:
    """The exact state of one pair.

    Parameters
    ----------
    name
        Address of the pair.
    tokens
        Addresses of token 0 and token 1.
    reserve0_raw, reserve1_raw
        Reserves, smallest units (uint112).

    Raises
    ------
    InputError
        If a reserve is not a uint112.

    Examples
    --------
    >>> pair = UniswapV2Pair("0xpair", ("0xa", "0xb"), 5 * 10**18, 10 * 10**18)
    >>> pair.quote(0, 1, 10**18).received_raw
    1662497915624478906
    """

    protocol = "uniswap_v2"
    caveat = ""

    def __init__(self, name: str, tokens: Sequence[str], reserve0_raw: int, reserve1_raw: int) -> None:
        if not (0 <= reserve0_raw <= _MAX_UINT112 and 0 <= reserve1_raw <= _MAX_UINT112):
            raise InputError(
                f"pair {name}: reserves {reserve0_raw} and {reserve1_raw} are not both uint112; read them again"
            )
        self.name = name
        self.tokens = tuple(tokens)
        self._reserves = [reserve0_raw, reserve1_raw]

    def state(self) -> dict[str, int]:
        """What ``getReserves`` shows, by the contract's names."""
        return {"reserve0": self._reserves[0], "reserve1": self._reserves[1]}

    def advance(self, timestamp: int) -> None:
        """Nothing depends on time."""

    def price(self, sold: int, bought: int) -> float:
        """Marginal price of one unit of `sold` in the other token, before the fee; 0 in an empty pair."""
        reserve_in = self._reserves[sold]
        return self._reserves[bought] / reserve_in if reserve_in else 0.0

    def fee(self, sold: int, bought: int) -> float:
        """0.3 % of the amount paid in."""
        return 0.003

    def reserves_raw(self) -> tuple[int, int]:
        """The pair's reserves."""
        return self._reserves[0], self._reserves[1]

    def ranges(self, sold: int, bought: int) -> tuple[FloatArray, FloatArray]:
        """One range up to what a uint112 holds, as :class:`protocols.amm.interface.Ranged` has it.

        With reserves X and Y and k = 0.997, x brings k x Y / (X + k x), and the next unit k X Y / (X + k x) ** 2.
        """
        x, y = (float(reserve) for reserve in (self._reserves[sold], self._reserves[bought]))
        if x == 0.0 or y == 0.0:
            return np.zeros(1), np.ones(1)
        paid = np.array([0.0, _MAX_UINT112 - x])
        return paid, (x + 0.997 * paid) / sqrt(0.997 * x * y)

    def quote(self, sold: int, bought: int, amount_raw: int) -> Fill:
        """What a swap of `amount_raw` gives; nothing for nothing where :meth:`swap` would revert."""
        reserve_in = self._reserves[sold]
        if amount_raw <= 0 or reserve_in == 0 or reserve_in + amount_raw > _MAX_UINT112:
            return _NOTHING
        received = rules.amount_out(amount_raw, reserve_in, self._reserves[bought])
        return Fill(amount_raw, received) if received else _NOTHING

    def swap(self, sold: int, bought: int, amount_raw: int, limit_raw: int = 0) -> Fill:
        """Pay `amount_raw` in and take the most that the pair allows, as the router does.

        Raises
        ------
        Revert
            Where the router or the pair does.
        InputError
            If a price limit is given: a pair knows none.
        """
        if limit_raw:
            raise InputError(f"pair {self.name}: Uniswap v2 takes no price limit; leave limit_raw at 0")
        reserve0, reserve1 = self._reserves
        reserve_in, reserve_out = self._reserves[sold], self._reserves[bought]
        if amount_raw <= 0:
            raise Revert("UniswapV2Library: INSUFFICIENT_INPUT_AMOUNT")
        if reserve_in == 0 or reserve_out == 0:
            raise Revert("UniswapV2Library: INSUFFICIENT_LIQUIDITY")
        received = rules.amount_out(amount_raw, reserve_in, reserve_out)
        if sold == 0:
            swapped = rules.swap(reserve0, reserve1, reserve0 + amount_raw, reserve1, 0, received)
        else:
            swapped = rules.swap(reserve0, reserve1, reserve0, reserve1 + amount_raw, received, 0)
        self._reserves = [swapped.reserve0, swapped.reserve1]
        return Fill(amount_raw, received)

    def withdraw(self, share_wad: int) -> tuple[int, int]:
        """UniswapV2Pair.burn of this share of the pair's tokens, 1e-18; without the protocol's mint before it."""
        left0, left1 = (reserve * share_wad // ONE_SHARE for reserve in self._reserves)
        self._reserves = [self._reserves[0] - left0, self._reserves[1] - left1]
        return left0, left1

    def trade_to(self, sold: int, bought: int, price: float) -> Trade | None:
        """The smallest swap after which nobody would trade against an outside market at `price`.

        A seller of token 0 gets 0.997 of the marginal price, a buyer pays 1 / 0.997 of it: they profit while the pair
        stands above price / 0.997 or below price * 0.997. The swap ends at the nearer of the two, or past it by less
        than one unit of the token paid in.

        Parameters
        ----------
        sold, bought, price
            Outside price of one token in the other, smallest units.
        """
        reserve0, reserve1 = self._reserves
        above, below = price.as_integer_ratio()
        if sold == 1:
            above, below = below, above
        if above <= 0 or reserve0 == 0 or reserve1 == 0:
            return None
        if reserve1 * 997 * below > above * 1000 * reserve0:
            return self._lower(0, above * 1000, below * 997)
        if reserve0 * 997 * above > below * 1000 * reserve1:
            return self._lower(1, below * 1000, above * 997)
        return None

    def _lower(self, sold: int, above: int, below: int) -> Trade | None:
        """The smallest payment of `sold` after which its marginal price is at most above / below.

        With reserves x and y, k = 0.997 and T the wanted price, the payment a solves
        x y / (x + k a) = T (x + a), a quadratic. The pair pays out whole units, so y falls a little less than the
        formula's, and the payment may have to be larger than the root: a search upward from there finds it.
        """
        bought = 1 - sold
        x, y = self._reserves[sold], self._reserves[bought]
        root = isqrt(9 * x * x + 4 * 997 * 1000 * (x * y * below // above))
        low = max((root - 1997 * x) // (2 * 997) - 1, 0)  # short of the root, so still too dear
        most = _MAX_UINT112 - x

        def low_enough(amount: int) -> bool:
            left = y - rules.amount_out(amount, x, y)
            return left * below <= above * (x + amount)  # type: ignore[no-any-return]

        step = 1
        high = low + step
        while high < most and not low_enough(high):
            low, step = high, 2 * step
            high += step
        high = min(high, most)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if low_enough(middle) else (middle, high)
        return Trade(sold, bought, high) if self.quote(sold, bought, high).received_raw else None
