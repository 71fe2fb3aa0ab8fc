"""A pool of every other kind over the tokens of `tests.simulator.books`, at their oracle prices."""

from __future__ import annotations

from math import isqrt

from protocols.amm.balancer_weighted.pool import BalancerWeightedPool
from protocols.amm.curve_stableswap import invariant as stable
from protocols.amm.curve_stableswap.pool import StableSwapPool
from protocols.amm.curve_tricrypto import rules as tricrypto
from protocols.amm.curve_tricrypto.invariant import get_p, newton_d
from protocols.amm.curve_tricrypto.pool import TricryptoPool
from protocols.amm.interface import Venue
from protocols.amm.uniswap_v3.ticks import sqrt_price_at_tick
from protocols.amm.uniswap_v4.pool import UniswapV4Pool
from tests.simulator.books import BTC, DAI, ETH, START, USD, Asset, tick_at

WAD = 10**18


def whole_lot(asset: Asset, usd: float) -> int:
    """Smallest units of an asset that are worth so much."""
    return round(usd / asset.price_usd * asset.unit)


def stableswap(usd: float = 9.0e6) -> StableSwapPool:
    """Two dollars, A = 200, a fee of 0.04 % that doubles off the peg."""
    terms = stable.ng_terms(4_000_000, 20_000_000_000)
    coins = (USD, DAI)
    return StableSwapPool(
        "0xstable",
        [coin.address for coin in coins],
        terms=terms,
        ramp=stable.Ramp(200 * terms.a_precision, 200 * terms.a_precision, 0, 0),
        rates=[10 ** (36 - coin.decimals) for coin in coins],
        balances_raw=[whole_lot(coin, usd) for coin in coins],
        timestamp=START,
    )


def three_crypto(usd: float = 6.0e6) -> TricryptoPool:
    """Dollars, bitcoin and ether."""
    coins = (USD, BTC, ETH)
    scales = (10 ** (18 - USD.decimals), 10 ** (18 - BTC.decimals), 10 ** (18 - ETH.decimals))
    terms = tricrypto.Terms(scales, 3_000_000, 30_000_000, 5 * 10**14, 2 * 10**12, 49 * 10**13, 866)
    ramp = tricrypto.Ramp(1_707_629, 11_809_167_828_997, 0, 1_707_629, 11_809_167_828_997, 0)
    prices = (BTC.price_raw * WAD // USD.price_raw, ETH.price_raw * WAD // USD.price_raw)
    balances = (whole_lot(USD, usd), whole_lot(BTC, usd), whole_lot(ETH, usd))
    ann, gamma = tricrypto.a_gamma(ramp, START)
    x = tricrypto.scaled(terms, prices, balances)
    d = newton_d(ann, gamma, x, 0)
    at = get_p(x, d, ann, gamma)
    last = (at[0] * prices[0] // WAD, at[1] * prices[1] // WAD)
    supply = tricrypto.get_xcp(d, prices)
    state = tricrypto.State(balances, d, prices, prices, last, START, WAD, WAD, supply)
    tokens = [coin.address for coin in coins]
    return TricryptoPool("0xcrypto", tokens, terms=terms, ramp=ramp, state=state, timestamp=START)


def weighted(usd: float = 4.0e6) -> BalancerWeightedPool:
    """80 % bitcoin, 20 % ether."""
    return BalancerWeightedPool(
        "0xweighted",
        [BTC.address, ETH.address],
        decimals=(BTC.decimals, ETH.decimals),
        balances_raw=(whole_lot(BTC, 4 * usd), whole_lot(ETH, usd)),
        weights_wad=(8 * 10**17, 2 * 10**17),
        swap_fee_wad=3 * 10**15,
    )


def v4(usd: float = 8.0e6) -> UniswapV4Pool:
    """Dollars and ether in one wide range, with a protocol fee of 0.1 % either way."""
    first, second = sorted((USD, ETH), key=lambda asset: asset.address)
    sqrt_price = isqrt((first.price_raw * second.unit << 192) // (second.price_raw * first.unit))
    tick = tick_at(sqrt_price)
    lower, upper = (tick - 20_000) // 60 * 60, (tick + 20_000) // 60 * 60 + 60
    liquidity = (whole_lot(second, usd) << 96) // (sqrt_price - sqrt_price_at_tick(lower))
    return UniswapV4Pool(
        "0xv4",
        (first.address, second.address),
        lp_fee_pips=3000,
        tick_spacing=60,
        sqrt_price_x96=sqrt_price,
        tick=tick,
        liquidity=liquidity,
        ticks=[lower, upper],
        liquidity_net=[liquidity, -liquidity],
        protocol_fee=1000 << 12 | 1000,
    )


def one_of_each() -> list[Venue]:
    """A pool of each of these kinds."""
    return [stableswap(), three_crypto(), weighted(), v4()]
