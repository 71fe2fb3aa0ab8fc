"""Staked ether: stETH and wstETH, rETH, cbETH and wbETH, eETH and weETH, rsETH.

stETH and eETH are owed one for one and their balances change with the stake; wstETH and weETH are shares of them. A
slashing is in the balance or rate when it is reported: Lido's and ether.fi's oracles, Rocket Pool's network balances
(after what the node operator put up), Coinbase's and Binance's own rate, Kelp's when somebody updates it. What rsETH is
a claim on is several staked tokens; it is told and taken here as ether.

Sources: StETH.getPooledEthByShares, WstETH.stEthPerToken; RocketTokenRETH.getEthValue; StakedTokenV1.exchangeRate;
WeETH.getRate, LiquidityPool.getTotalPooledEther; LRTOracle.rsETHPrice, under keccak256("LRT_ORACLE") in LRTConfig.
"""

from __future__ import annotations

from chain.calls import Call
from protocols.arithmetic import Number, mul_div_down, rule
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
)


@rule
def at_rate(amount: Number, rate_wad: Number) -> Number:
    """An amount at a rate that is told for one whole token of 18 decimals, rounded down."""
    return mul_div_down(amount, rate_wad, 1_000_000_000_000_000_000)


def _ether(token: Token, worth: int, backing: int) -> Found | None:
    return Found(token.address, (Claim(token.native, worth, backing),)) if token.native else None


def _look_at_steth(token: Token) -> Looking:
    yield from ()
    return _ether(token, token.unit_raw, token.told["pooled"])


def _look_at_eeth(token: Token) -> Looking:
    (pooled,) = yield [Call(token.told["pool"], "getTotalPooledEther()(uint256)")]
    return None if failed([pooled]) else _ether(token, token.unit_raw, pooled)


def _look_at_a_wrapper(token: Token) -> Looking:
    wrapped = token.told["wrapped"]
    (held,) = yield [balance(wrapped, token.address)]
    if failed([held]):
        return None
    return Found(token.address, (Claim(wrapped, int(at_rate(token.unit_raw, token.told["rate"])), held),))


def _look_at_reth(token: Token) -> Looking:
    (backing,) = yield [Call(token.address, "getEthValue(uint256)(uint256)", (token.supply_raw,))]
    return None if failed([backing]) else _ether(token, int(at_rate(token.unit_raw, token.told["rate"])), backing)


def _look_at_an_exchanges(token: Token) -> Looking:
    yield from ()
    rate = token.told["rate"]
    return _ether(token, int(at_rate(token.unit_raw, rate)), int(at_rate(token.supply_raw, rate)))


# keccak256("LRT_ORACLE")
_LRT_ORACLE = bytes.fromhex("0900d19e2faab4e79535bcc1cfdb63996d43c8e38d9a260cf2b01e820b5f84d4")


def _look_at_rseth(token: Token) -> Looking:
    (oracle,) = yield [Call(token.told["config"], "getContract(bytes32)(address)", (_LRT_ORACLE,))]
    if failed([oracle]):
        return None
    (rate,) = yield [Call(oracle, "rsETHPrice()(uint256)")]
    if failed([rate]):
        return None
    return _ether(token, *(int(at_rate(amount, rate)) for amount in (token.unit_raw, token.supply_raw)))


_OF_EXCHANGES = {
    1: frozenset({"0xbe9895146f7af43049ca1c1ae358b0541ea49704", "0xa2e3356610840701bdf5611a53974510ae27e2e1"})
}
"""cbETH and wbETH on Ethereum: others have an ``exchangeRate`` too."""

KINDS = (
    Kind("lido", "at once", addresses(wrapped="stETH") | numbers(rate="stEthPerToken"), _look_at_a_wrapper),
    Kind(
        "lido",
        "at once",
        numbers(pooled="getTotalPooledEther", shares="getTotalShares"),
        _look_at_steth,
    ),
    Kind("etherfi", "at once", addresses(wrapped="eETH") | numbers(rate="getRate"), _look_at_a_wrapper),
    Kind(
        "etherfi",
        "at once",
        addresses(pool="liquidityPool") | numbers(shares="totalShares"),
        _look_at_eeth,
    ),
    Kind(
        "rocket_pool",
        "at once",
        numbers(rate="getExchangeRate", collateral="getTotalCollateral"),
        _look_at_reth,
    ),
    Kind("kelp", "at once", addresses(config="lrtConfig"), _look_at_rseth),
    Kind(
        "exchange_staked",
        "at once",
        numbers(rate="exchangeRate"),
        _look_at_an_exchanges,
        at=_OF_EXCHANGES,
    ),
)
