"""A Uniswap v4 pool without hooks as a venue."""

from __future__ import annotations

from collections.abc import Sequence

from chain.errors import InputError
from protocols.amm.concentrated import ConcentratedPool
from protocols.amm.uniswap_v3.rules import ONE_PIPS, Outside, Swap
from protocols.amm.uniswap_v4 import rules
from protocols.arithmetic import max_int128

MAX_PROTOCOL_FEE_PIPS = 1000
"""ProtocolFeeLibrary.MAX_PROTOCOL_FEE."""


class UniswapV4Pool(ConcentratedPool):
    """The exact state of one pool; ticks and prices are those of :class:`ConcentratedPool`.

    Parameters
    ----------
    name
        The pool's key, as :attr:`.key.PoolKey.name` has it.
    tokens
        Addresses of token 0 and token 1; of the token that wraps it for the chain's own currency.
    lp_fee_pips, tick_spacing
        ``slot0.lpFee``, in hundredths of a basis point, and the key's ``tickSpacing``.
    protocol_fee
        ``slot0.protocolFee``: where token 0 is paid in in the low twelve bits, where token 1 is in the high twelve.
    protocol_fees_raw
        ``protocolFeesAccrued`` of token 0 and of token 1. The PoolManager keeps it for all its pools together; here
        is what this pool adds.

    Raises
    ------
    InputError
        If a fee is none that the PoolManager allows: a fee that hooks set (0x800000) is not modelled.

    Examples
    --------
    >>> pool = UniswapV4Pool(
    ...     "key", ("0xa", "0xb"), lp_fee_pips=600, tick_spacing=60, sqrt_price_x96=1 << 96, tick=0,
    ...     liquidity=2 * 10**18, ticks=[-60000, 60000], liquidity_net=[2 * 10**18, -2 * 10**18],
    ... )
    >>> pool.quote(1, 0, 10**18).received_raw
    666399946655997866
    """

    protocol = "uniswap_v4"
    most_raw = max_int128()

    def __init__(
        self,
        name: str,
        tokens: Sequence[str],
        *,
        lp_fee_pips: int,
        tick_spacing: int,
        sqrt_price_x96: int,
        tick: int,
        liquidity: int,
        ticks: Sequence[int],
        liquidity_net: Sequence[int],
        protocol_fee: int = 0,
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
        protocol_fees = protocol_fee & 0xFFF, protocol_fee >> 12
        if not 0 <= lp_fee_pips <= ONE_PIPS:
            raise InputError(f"pool {name}: a fee of {lp_fee_pips} is over 100 %, or set by hooks; leave the pool out")
        if not all(0 <= fee <= MAX_PROTOCOL_FEE_PIPS for fee in protocol_fees):
            raise InputError(f"pool {name}: protocolFee {protocol_fee} is over 0.1 % in a direction; read slot0 again")
        self.terms = rules.Terms(lp_fee_pips, tick_spacing, *protocol_fees)
        self.protocol_fees_raw = list(protocol_fees_raw)

    def fee_pips(self, sold: int) -> int:
        """The liquidity providers' fee and the protocol's together."""
        terms = self.terms
        fee: int = rules.swap_fee(terms.protocol_fee1_pips if sold else terms.protocol_fee0_pips, terms.lp_fee_pips)
        return fee

    def _quoted(self, sold: int, amount_raw: int, limit: int) -> Swap:
        swapped: Swap = rules.swap(self.terms, self.slot, self.ticks, None, sold == 0, -amount_raw, limit)
        return swapped

    def _swapped(self, sold: int, amount_raw: int, limit: int) -> Swap:
        return self.swap_specified(sold == 0, -amount_raw, limit)

    def swap_specified(self, zero_for_one: bool, amount_specified: int, sqrt_price_limit_x96: int) -> Swap:
        """PoolManager.swap with the contract's own arguments; :func:`.rules.swap` explains them.

        Raises
        ------
        Revert
            Where the contract does; the message is the name of its error.
        """
        outside = Outside(*map(list, self.outside))
        swapped: Swap = rules.swap(
            self.terms, self.slot, self.ticks, outside, zero_for_one, amount_specified, sqrt_price_limit_x96
        )
        self.outside = outside
        self._now(swapped.state)
        self.protocol_fees_raw[0 if zero_for_one else 1] += swapped.protocol_fee
        return swapped
