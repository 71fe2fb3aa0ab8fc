"""What every venue brings to the engine: a quote that changes nothing, and a swap that does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

ONE_SHARE = 10**18
"""All of it, for :meth:`Withdrawable.withdraw`."""


@dataclass(frozen=True, slots=True)
class Fill:
    """What a swap does.

    Attributes
    ----------
    paid_raw
        What went into the pool, smallest units; less than asked for when the pool ran out of liquidity.
    received_raw
        What came out, smallest units.
    """

    paid_raw: int
    received_raw: int


@dataclass(frozen=True, slots=True)
class Trade:
    """A swap of the amount that moves a pool to a wanted price; `sold` goes in, `bought` comes out.

    `limit_raw` is the price limit handed to the pool where it takes one (Uniswap v3: sqrtPriceLimitX96), else 0.
    """

    sold: int
    bought: int
    amount_raw: int
    limit_raw: int = 0


class Venue(Protocol):
    """One pool's exact state, stepped by the engine. Tokens are rows of `tokens`."""

    @property
    def name(self) -> str:
        """Address of the pool; where one contract holds many, with what tells it apart there."""

    @property
    def protocol(self) -> str:
        """Folder of the protocol, e.g. ``uniswap_v3``."""

    @property
    def tokens(self) -> Sequence[str]:
        """Addresses of the pool's tokens, in the pool's order."""

    @property
    def caveat(self) -> str:
        """Empty where the rules of this pool agree with recorded contract answers; else what is unverified."""

    def advance(self, timestamp: int) -> None:
        """Let time pass, unix seconds: what depends on it (a ramping parameter) is as of then."""

    def price(self, sold: int, bought: int) -> float:
        """Marginal price of one smallest unit of `sold` in smallest units of `bought`, before fees; 0 without one."""

    def fee(self, sold: int, bought: int) -> float:
        """Share of a small trade that the pool keeps now."""

    def reserves_raw(self) -> Sequence[int]:
        """What the pool could pay out at most of each token, smallest units."""

    def quote(self, sold: int, bought: int, amount_raw: int) -> Fill:
        """What a swap would do, state unchanged; nothing for nothing where the contract would revert."""

    def swap(self, sold: int, bought: int, amount_raw: int, limit_raw: int = 0) -> Fill:
        """Swap, and change the pool's state as its contract does; raises Revert where the contract does."""

    def trade_to(self, sold: int, bought: int, price: float) -> Trade | None:
        """The arbitrage that brings the marginal price of `sold` in `bought` (smallest units) to within the fee of
        `price`, to the nearer edge; None when it is there already, so that nobody would trade."""


@runtime_checkable
class Withdrawable(Protocol):
    """A venue whose liquidity providers can be made to leave by a model; others keep what they have."""

    def withdraw(self, share_wad: int) -> Sequence[int]:
        """Let every provider take out this share of what it has, in proportion, 1e-18; the price stays.

        Returns
        -------
        What left of each token, smallest units, rounded in favour of those who stay.
        """


@runtime_checkable
class Ranged(Protocol):
    """A venue that can say what it pays for any amount: in ranges, in each of which x y = k for some reserves."""

    def ranges(self, sold: int, bought: int) -> tuple[FloatArray, FloatArray]:
        """What one unit more brings, amount after amount.

        Returns
        -------
        Amounts paid in, shape (points,), from 0 to the most that the pool takes, smallest units, and there
        1 / sqrt(what the next unit brings), which between two of them is linear in the amount. Where there is no
        liquidity an amount stands twice.
        """
