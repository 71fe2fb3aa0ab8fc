"""StableSwap pools that tests make up."""

from __future__ import annotations

from hypothesis import strategies as st

from protocols.amm.curve_stableswap.invariant import Ramp, Terms, classic_terms, invariant, ng_terms
from protocols.amm.curve_stableswap.pool import StableSwapPool
from protocols.amm.curve_stableswap.rules import scaled

DECIMALS = (6, 8, 18)


def pool_of(
    *whole: float,
    decimals: tuple[int, ...] = (),
    terms: Terms | None = None,
    a: int = 200,
    worth: tuple[float, ...] = (),
    ramp: Ramp | None = None,
) -> StableSwapPool:
    """A pool that holds so many whole tokens of each coin; of NG with a fee of 0.04 %, doubled off the peg, if no terms
    are given."""
    n = len(whole)
    terms = terms or ng_terms(4_000_000, 20_000_000_000)
    decimals, worth = decimals or (18,) * n, worth or (1.0,) * n
    return StableSwapPool(
        "0xpool",
        [f"0xcoin{i}" for i in range(n)],
        terms=terms,
        ramp=ramp or Ramp(a * terms.a_precision, a * terms.a_precision, 0, 0),
        rates=[int(w * 10**6) * 10 ** (30 - d) for w, d in zip(worth, decimals, strict=True)],
        balances_raw=[int(amount * 10**3) * 10 ** (d - 3) for amount, d in zip(whole, decimals, strict=True)],
        timestamp=0,
    )


def d_of(pool: StableSwapPool) -> int:
    """The pool's D."""
    return invariant(pool.terms, pool.amp, scaled(pool.rates, pool.reserves_raw()))  # type: ignore[no-any-return]


@st.composite
def pools(draw: st.DrawFn, skew: float = 30.0) -> StableSwapPool:
    """Pools of both kinds: two to four coins of different decimals, of a thousand to a billion tokens each but for
    a factor of `skew`, A from 10 to 2,000, fees from nothing to 1 % and up to ten times that off the peg."""
    n = draw(st.integers(2, 4))
    size = 10 ** draw(st.floats(3, 9))
    whole = [size * draw(st.floats(1, skew)) for _ in range(n)]
    decimals = tuple(draw(st.sampled_from(DECIMALS)) for _ in range(n))
    fee = draw(st.sampled_from((0, 1_000_000, 4_000_000, 100_000_000)))
    a = draw(st.sampled_from((10, 100, 2_000)))
    if draw(st.booleans()):
        return pool_of(*whole, decimals=decimals, terms=classic_terms(fee, 5 * 10**9), a=a)
    multiplier = draw(st.sampled_from((0, 20_000_000_000, 100_000_000_000)))
    worth = tuple(draw(st.sampled_from((1.0, 1.15, 0.97))) for _ in range(n))
    return pool_of(*whole, decimals=decimals, terms=ng_terms(fee, multiplier), a=a, worth=worth)
