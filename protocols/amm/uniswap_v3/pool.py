"""A Uniswap v3 pool as a venue."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.amm.concentrated import ConcentratedPool
from protocols.amm.uniswap_v3 import rules

MAX_INT256 = 2**255 - 1
"""More than any pool can take: an exact-input swap of it stops only at its price limit."""


class UniswapV3Pool(ConcentratedPool):
    """The exact state of one pool; ticks and prices are those of :class:`ConcentratedPool`.

    Parameters
    ----------
    name
        Address of the pool.
    fee_pips, tick_spacing
        The pool's ``fee``, in hundredths of a basis point, and ``tickSpacing``.
    fee_protocol
        ``slot0.feeProtocol``: token 0 in the low four bits, token 1 in the high four.
    protocol_fees_raw
        ``protocolFees`` of token 0 and of token 1.

    Examples
    --------
    >>> pool = UniswapV3Pool(
    ...     "0xpool", ("0xa", "0xb"), fee_pips=600, tick_spacing=60, sqrt_price_x96=1 << 96, tick=0,
    ...     liquidity=2 * 10**18, ticks=[-60000, 60000], liquidity_net=[2 * 10**18, -2 * 10**18],
    ... )
    >>> pool.quote(1, 0, 10**18).received_raw
    666399946655997866
    """

    protocol = "uniswap_v3"
    most_raw = MAX_INT256

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
        super().__init__(
            name,
            tokens,
            tick_spacing=tick_spacing,
            sqrt_price_x96=sqrt_price_x96,
            tick=tick,
            liquidity=liquidity,
            ticks=ticks,
            liquidity_net=liquidity_net,
            fee_growth_global_x128=fee_growth_global_x128,
            fee_growth_outside_x128=fee_growth_outside_x128,
        )
        self.terms = rules.Terms(fee_pips, tick_spacing, fee_protocol % 16, fee_protocol >> 4)
        self.protocol_fees_raw = list(protocol_fees_raw)

    def fee_pips(self, sold: int) -> int:
        """The pool's ``fee``, whichever token is paid in; the protocol's part is part of it."""
        return self.terms.fee_pips

    def _quoted(self, sold: int, amount_raw: int, limit: int) -> rules.Swap:
        swapped: rules.Swap = rules.swap(self.terms, self.slot, self.ticks, None, sold == 0, amount_raw, limit)
        return swapped

    def _swapped(self, sold: int, amount_raw: int, limit: int) -> rules.Swap:
        return self.swap_specified(sold == 0, amount_raw, limit)

    def swap_specified(self, zero_for_one: bool, amount_specified: int, sqrt_price_limit_x96: int) -> rules.Swap:
        """UniswapV3Pool.swap with the contract's own arguments; :func:`.rules.swap` explains them.

        Raises
        ------
        Revert
            ``AS`` or ``SPL``, where the pool does.
        """
        swapped: rules.Swap = rules.swap(
            self.terms, self.slot, self.ticks, self.outside, zero_for_one, amount_specified, sqrt_price_limit_x96
        )
        self._now(swapped.state)
        token_in = 0 if zero_for_one else 1
        # uint128, left to overflow by the contract
        self.protocol_fees_raw[token_in] = (self.protocol_fees_raw[token_in] + swapped.protocol_fee) % 2**128
        return swapped
