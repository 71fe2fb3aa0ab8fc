"""crvUSD's prices: an exponential average of pools' prices, and the limiter of the AMM that reads it.

``ema_price`` of curve-stablecoin's ``CryptoWithStablePrice`` and its kin; ``limit_p_o`` of its ``AMM``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from typing import Any

from protocols.arithmetic import Number, mul_div_down, primitive, rule
from protocols.oracles.kind import Answer, Child, Kind, Part, addresses, numbers
from protocols.oracles.twap import SPOT

_WAD = 10**18
_ONE_X96 = 1 << 96
_LN2_X96 = 54916777467707473351141471128


def _over(a: int, b: int) -> int:
    """Division that rounds toward zero, as the EVM's."""
    return a // b if (a < 0) == (b < 0) else -(-a // b)


@primitive(lambda left_wad: exp(-left_wad / 1e18) * 1e18)
def decay(left_wad: Number) -> Number:
    """e**-x in wad for x >= 0 in wad: the rational approximation of ``exp`` in the oracle contracts (Solmate's)."""
    power = -left_wad
    if power <= -41446531673892821376:
        return 0
    x = _over(power * _ONE_X96, _WAD)
    k = _over(_over(x * _ONE_X96, _LN2_X96) + (1 << 95), _ONE_X96)
    x -= k * _LN2_X96
    y = x + 1346386616545796478920950773328
    y = _over(y * x, _ONE_X96) + 57155421227552351082224309758442
    p = y + x - 94201549194550492254356042504812
    p = _over(p * y, _ONE_X96) + 28719021644029726153956944680412240
    p = p * x + (4385272521454847904659076985693276 << 96)
    q = x - 2855989394907223263936484059900
    q = _over(q * x, _ONE_X96) + 50020603652535783019961831881945
    q = _over(q * x, _ONE_X96) - 533845033583426703283633433725380
    q = _over(q * x, _ONE_X96) + 3604857256930695427073651918091429
    q = _over(q * x, _ONE_X96) - 14423608567350463180887372962807573
    q = _over(q * x, _ONE_X96) + 26449188498355588339934803723976023
    return _over(p, q) * 3822833074963236453042738258902158003155416615667 >> (195 - k)


@rule
def ema(price: Number, last: Number, since_s: Number, period_s: Number) -> Number:
    """ema_price: the average goes to the price, by e**-1 of what was left in every period."""
    kept = decay(mul_div_down(since_s, 1000000000000000000, period_s))
    return mul_div_down(price * (1000000000000000000 - kept) + last * kept, 1, 1000000000000000000)


@rule
def limited(price: Number, last: Number, since_s: Number) -> Number:
    """AMM.limit_p_o: within two minutes of the last change, at most 1.25 times it, at least 1/1.25 of it."""
    if since_s >= 120:
        return price
    if price > last:
        return min(price, mul_div_down(last, 1250000000000000000, 1000000000000000000))
    return max(price, mul_div_down(last, 1000000000000000000, 1250000000000000000))


@dataclass
class _Average:
    """An average from the start of a run on."""

    last: int
    last_at: int
    period: int
    started: int

    def __call__(self, children: Mapping[str, int], now: int) -> int:
        since = now - self.last_at
        average = int(ema(children["raw"], self.last, since, self.period)) if since > 0 else self.last
        if now > self.started:
            self.last, self.last_at = average, now
        return average


def _start_ema(part: Part, started: int) -> Answer:
    return _Average(part.number("last_raw"), part.number("last_at"), part.number("period_s"), started)


@dataclass
class _Limiter:
    """A limiter from the start of a run on."""

    last: int
    last_at: int

    def __call__(self, children: Mapping[str, int], now: int) -> int:
        if now > self.last_at:
            self.last, self.last_at = int(limited(children["source"], self.last, now - self.last_at)), now
        return self.last


def _start_limiter(part: Part, started: int) -> Answer:
    return _Limiter(part.answer_raw, started)


def _raw(address: str, found: Mapping[str, Any]) -> dict[str, Child]:
    return {"raw": Child(address, SPOT.name, {"answer": found["raw_price"], "decimals": 18})}


def _finish(found: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in found.items() if name != "raw_price"}, "decimals": 18}


EMA = Kind(
    "crvUSD EMA",
    "an exponential average of the prices of pools",
    "late by its period, in a fall and in its recovery; thin pools held away from the market move it",
    getters=numbers(
        {
            "answer": "price",
            "raw_price": "raw_price",
            "period_s": "ma_exp_time",
            "last_raw": "last_price",
            "last_at": "last_timestamp",
        }
    ),
    children=_raw,
    finish=_finish,
    start=_start_ema,
)
LIMITER = Kind(
    "crvUSD limiter",
    "its oracle's price, moving by at most a quarter within two minutes",
    "late in a fall of more than a fifth in two minutes",
    getters=numbers({"answer": "price_oracle"}),
    sources=addresses({"source": "price_oracle_contract"}),
    finish=_finish,
    start=_start_limiter,
)
KINDS = (EMA, LIMITER)
