"""Shares of exchanges' pools: Uniswap v2 pairs, Curve's pool tokens, Balancer v2's.

A share is worth its part of each token that the pool holds: UniswapV2Pair.burn, remove_liquidity of Curve's pools,
BasePoolMath.computeProportionalAmountsOut of Balancer. What a pool loses, its shares lose at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

from chain.calls import Call, CallFailed
from protocols.arithmetic import Number, mul_div_down, rule
from protocols.asking import NOBODY
from protocols.tokens.kind import (
    Claim,
    Found,
    Kind,
    Looking,
    Token,
    addresses,
    balance,
    failed,
    numbers,
    or_zero,
    proportional,
)

_MOST_COINS = 8
_CURRENCY = "0x" + "ee" * 20
"""What Curve calls the chain's own currency."""


@rule
def balancer_share(shares: Number, supply: Number, backing: Number, _virtual: Number) -> Number:
    """BasePoolMath.computeProportionalAmountsOut: the part of the supply is cut to 18 digits first."""
    wad = 1_000_000_000_000_000_000
    return mul_div_down(backing, mul_div_down(shares, wad, supply), wad)


def fee_liquidity(supply: int, balances: Sequence[int], last_product: int) -> int:
    """UniswapV2Pair._mintFee: shares that are due to the protocol, where its fee is on: a sixth of the growth of
    sqrt(x y) since liquidity last changed."""
    root, last = isqrt(balances[0] * balances[1]), isqrt(last_product)
    return supply * (root - last) // (5 * root + last) if last and root > last else 0


def _parts(token: Token, issuer: str, supply: int, held: Sequence[tuple[str, int]]) -> Found | None:
    """A pool's share as a claim on each token that the pool holds."""
    if not supply or not held:
        return None
    claims = [Claim(coin, int(proportional(token.unit_raw, supply, amount, 0)), amount) for coin, amount in held]
    return Found(issuer, claims, supply)


def _look_at_a_pair(token: Token) -> Looking:
    coins = [token.told["token0"], token.told["token1"]]
    factory = token.told["factory"]
    *balances, fee_to = yield [*(balance(coin, token.address) for coin in coins), Call(factory, "feeTo()(address)")]
    if failed(balances):
        return None
    charged = not failed([fee_to]) and fee_to != NOBODY
    due = fee_liquidity(token.supply_raw, balances, token.told["last"]) if charged else 0
    return _parts(token, token.address, token.supply_raw + due, list(zip(coins, balances, strict=True)))


def _curve(pool: str, token: Token) -> Looking:
    numbered = range(_MOST_COINS)
    answers = yield [
        *(Call(pool, "coins(uint256)(address)", (i,)) for i in numbered),
        *(Call(pool, "balances(uint256)(uint256)", (i,)) for i in numbered),
    ]
    held: dict[str, int] = {}
    for coin, amount in zip(answers[:_MOST_COINS], answers[_MOST_COINS:], strict=True):
        if failed([coin, amount]) or coin == NOBODY:
            break
        # a pool may hold the chain's own currency and what wraps it
        listed = token.native if coin == _CURRENCY else coin
        held[listed] = held.get(listed, 0) + int(amount)
    return None if "" in held else _parts(token, pool, token.supply_raw, list(held.items()))


def _look_at_a_curve_pool(token: Token) -> Looking:
    return (yield from _curve(token.address, token))


def _look_at_a_curve_token(token: Token) -> Looking:
    return (yield from _curve(token.told["pool"], token))


def _look_at_a_balancer_pool(token: Token) -> Looking:
    signature = "getPoolTokens(bytes32)(address[],uint256[],uint256)"
    listed, actual = yield [
        Call(token.told["vault"], signature, (token.told["id"],)),
        Call(token.address, "getActualSupply()(uint256)"),
    ]
    if isinstance(listed, CallFailed):
        return None
    # a composable pool holds its own token, most of which nobody has
    held = [(coin, amount) for coin, amount in zip(listed[0], listed[1], strict=True) if coin != token.address]
    supply = or_zero(actual) or token.supply_raw
    if not supply or not held:
        return None
    claims = [Claim(coin, int(balancer_share(token.unit_raw, supply, amount, 0)), amount) for coin, amount in held]
    return Found(token.address, claims, supply)


KINDS = (
    Kind(
        "uniswap_v2",
        "at once",
        addresses(token0="token0", token1="token1", factory="factory") | numbers(last="kLast"),
        _look_at_a_pair,
    ),
    Kind(
        "balancer_v2",
        "at once",
        {"id": "getPoolId()(bytes32)"} | addresses(vault="getVault"),
        _look_at_a_balancer_pool,
    ),
    Kind(
        "curve",
        "at once",
        numbers(coins="N_COINS", price="get_virtual_price"),
        _look_at_a_curve_pool,
    ),
    Kind("curve", "at once", addresses(pool="minter"), _look_at_a_curve_token),
)
