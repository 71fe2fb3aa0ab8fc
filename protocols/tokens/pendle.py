"""Principal tokens of Pendle v2: at maturity one is owed one unit of the asset that its SY is worth in.

PendleYieldToken.redeemPY gives SY for principal at the index, which never falls: where SY is worth less than it was,
a principal token is worth less than one unit of the asset, at once. What it costs below that before maturity is in its
market price, not in the claim; the claim says when it falls due.
"""

from __future__ import annotations

from chain.calls import Call
from protocols.arithmetic import Number, mul_div_down, rule
from protocols.tokens.kind import Claim, Found, Kind, Looking, Token, addresses, failed, numbers


@rule
def principal_worth(principal: Number, index_wad: Number, rate_wad: Number) -> Number:
    """SYUtils.assetToSy at the index, and syToAsset at the rate; both rounded down."""
    wad = 1_000_000_000_000_000_000
    return mul_div_down(mul_div_down(principal, wad, index_wad), rate_wad, wad)


def _look(token: Token) -> Looking:
    sy, yt = token.told["sy"], token.told["yt"]
    answers = yield [
        Call(sy, "assetInfo()(uint8,address,uint8)"),
        Call(sy, "exchangeRate()(uint256)"),
        Call(yt, "pyIndexStored()(uint256)"),
    ]
    if failed(answers):
        return None
    (_, asset, _), rate, stored = answers
    index = max(rate, stored)
    if not index:
        return None
    worth, backing = (int(principal_worth(amount, index, rate)) for amount in (token.unit_raw, token.supply_raw))
    return Found(yt, (Claim(asset, worth, backing, due_at=token.told["expiry"]),))


KINDS = (Kind("pendle", "at once", addresses(sy="SY", yt="YT") | numbers(expiry="expiry"), _look),)
