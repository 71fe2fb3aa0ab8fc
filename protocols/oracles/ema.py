"""crvUSD's prices: an exponential average of pools' prices, and the limiter of the AMM that reads it.

``ema_price`` of curve-stablecoin's ``CryptoWithStablePrice`` and its kin; ``limit_p_o`` of its ``AMM``.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from typing import Any

from protocols.arithmetic import Number, mul_div_down, primitive, rule
from protocols.oracles.kind import Answer, Child, Kind, Part, addresses, numbers
from protocols.oracles.twap import SPOT

WAD = 10**18
LIMIT_WAD = 125 * 10**16
"""MAX_P_O_CHG: the most by which the AMM's price changes at once."""
LIMIT_S = 120
"""PREV_P_O_DELAY: how long after a change the limit holds."""

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
    x = _over(power << 96, WAD)
    k = (_over(x << 96, _LN2_X96) + (1 << 95)) >> 96
    x -= k * _LN2_X96
    y = x + 1346386616545796478920950773328
    y = (y * x >> 96) + 57155421227552351082224309758442
    p = y + x - 94201549194550492254356042504812
    p = (p * y >> 96) + 28719021644029726153956944680412240
    p = p * x + (4385272521454847904659076985693276 << 96)
    q = x - 2855989394907223263936484059900
    q = (q * x >> 96) + 50020603652535783019961831881945
    q = (q * x >> 96) - 533845033583426703283633433725380
    q = (q * x >> 96) + 3604857256930695427073651918091429
    q = (q * x >> 96) - 14423608567350463180887372962807573
    q = (q * x >> 96) + 26449188498355588339934803723976023
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


def _start_ema(part: Part, _started: int) -> Answer:
    period = part.number("period_s")
    last, last_at = part.number("last_raw"), part.number("last_at")

    def answer(children: Mapping[str, int], now: int) -> int:
        nonlocal last, last_at
        if now > last_at:
            last, last_at = int(ema(children["raw"], last, now - last_at, period)), now
        return last

    return answer


def _start_limiter(part: Part, started: int) -> Answer:
    last, last_at = part.answer_raw, started

    def answer(children: Mapping[str, int], now: int) -> int:
        nonlocal last, last_at
        if now > last_at:
            last, last_at = int(limited(children["source"], last, now - last_at)), now
        return last

    return answer


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
