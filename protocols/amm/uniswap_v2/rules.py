"""The rules of a Uniswap v2 pair: UniswapV2Pair.swap and what follows from it.

The pair does not compute what it pays. The caller names the amounts out, and the pair checks afterwards that the
product of the balances, less 0.3 % of what came in, has not fallen.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.amm.revert import Revert
from protocols.arithmetic import Number, floored, max_uint112, max_uint256, mul_div_down, rule, wrap_uint256


class Swap(NamedTuple):
    """What UniswapV2Pair.swap found to be paid in, and the reserves it leaves; smallest units."""

    amount0_in: Number
    amount1_in: Number
    reserve0: Number
    reserve1: Number


@rule
def amount_out(amount_in: Number, reserve_in: Number, reserve_out: Number) -> Number:
    """The most that a pair pays for `amount_in`: UniswapV2Library.getAmountOut.

    One unit more would fail the check of the product in :func:`swap`.
    """
    kept = amount_in * 997
    return floored(mul_div_down(kept, reserve_out, reserve_in * 1000 + kept))


@rule
def swap(
    reserve0: Number,
    reserve1: Number,
    balance0: Number,
    balance1: Number,
    amount0_out: Number,
    amount1_out: Number,
) -> Swap:
    """UniswapV2Pair.swap.

    Parameters
    ----------
    reserve0, reserve1
        The reserves as last written.
    balance0, balance1
        What the pair holds when it is called: reserves, donations and the caller's payment.
    amount0_out, amount1_out
        What the caller asks for.

    Raises
    ------
    Revert
        With the contract's reason. The product is checked before the new reserves are found too large.
    """
    if not (amount0_out > 0 or amount1_out > 0):
        raise Revert("UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT")
    if not (amount0_out < reserve0 and amount1_out < reserve1):
        raise Revert("UniswapV2: INSUFFICIENT_LIQUIDITY")
    if balance0 < amount0_out or balance1 < amount1_out:
        raise Revert("UniswapV2: TRANSFER_FAILED")
    after0 = balance0 - amount0_out
    after1 = balance1 - amount1_out
    amount0_in = max(after0 - (reserve0 - amount0_out), 0)
    amount1_in = max(after1 - (reserve1 - amount1_out), 0)
    if not (amount0_in > 0 or amount1_in > 0):
        raise Revert("UniswapV2: INSUFFICIENT_INPUT_AMOUNT")
    if after0 * 1000 > max_uint256() or after1 * 1000 > max_uint256():
        raise Revert("ds-math-mul-overflow")
    product = (after0 * 1000 - amount0_in * 3) * (after1 * 1000 - amount1_in * 3)
    if product > max_uint256():
        raise Revert("ds-math-mul-overflow")
    if not product >= reserve0 * reserve1 * 1_000_000:
        raise Revert("UniswapV2: K")
    if after0 > max_uint112() or after1 > max_uint112():
        raise Revert("UniswapV2: OVERFLOW")
    return Swap(amount0_in, amount1_in, after0, after1)


def price_cumulative(cumulative_raw: int, reserve: int, reserve_other: int, last: int, now: int) -> int:
    """Price accumulator of the token with `reserve`, in the other: UniswapV2Pair._update. Exact form only.

    Parameters
    ----------
    cumulative_raw
        UQ112x112 times seconds, modulo 2**256.
    reserve, reserve_other
        The reserves that held since the last update.
    last, now
        Times of the last and of this update, seconds modulo 2**32.
    """
    elapsed = (now - last) % 2**32
    if elapsed == 0 or reserve == 0 or reserve_other == 0:
        return cumulative_raw
    return int(wrap_uint256(cumulative_raw + (reserve_other << 112) // reserve * elapsed))
