"""cTokens of Compound v2 and its forks (Venus' vTokens), and Comet's base token.

A cToken is worth its exchange rate, as stored at the last accrual (CToken.redeemFresh: tokens times rate, rounded
down). Comet counts in the base token itself. Both keep a borrower's unpaid debt among the assets, or take it from
reserves that may be negative: holders meet a loss when they withdraw and the rest is gone.
"""

from __future__ import annotations

from chain.calls import Call
from protocols.arithmetic import Number, mul_div_down, rule
from protocols.tokens.kind import Claim, Found, Kind, Looking, Token, addresses, balance, failed, numbers


@rule
def redeemed(claims: Number, rate_wad: Number) -> Number:
    """CToken.redeemFresh: mul_ScalarTruncate(exchangeRate, redeemTokens)."""
    return mul_div_down(claims, rate_wad, 1_000_000_000_000_000_000)


def _look_at_a_c_token(token: Token) -> Looking:
    of = token.address
    answers = yield [
        *(Call(of, f"{name}()(uint256)") for name in ("getCash", "totalBorrows", "totalReserves")),
        Call(of, "underlying()(address)"),
    ]
    *amounts, underlying = answers
    if failed(amounts):
        return None
    cash, borrows, reserves = amounts
    # the market of the chain's own currency has no such function
    asset = token.native if failed([underlying]) else underlying
    worth = int(redeemed(token.unit_raw, token.told["rate"]))
    claim = Claim(asset, worth, max(0, cash + borrows - reserves))
    return Found(token.issuer(token.told["comptroller"]), (claim,)) if asset else None


def _look_at_comet(token: Token) -> Looking:
    base = token.told["base"]
    (cash,) = yield [balance(base, token.address)]
    if failed([cash]):
        return None
    claim = Claim(base, token.unit_raw, min(token.supply_raw, cash + token.told["borrowed"]))
    return Found(token.issuer(token.address), (claim,))


KINDS = (
    Kind(
        "compound_v2",
        "at withdrawal",
        numbers(rate="exchangeRateStored") | addresses(comptroller="comptroller"),
        _look_at_a_c_token,
    ),
    Kind(
        "compound_v3",
        "at withdrawal",
        addresses(base="baseToken") | numbers(borrowed="totalBorrow"),
        _look_at_comet,
    ),
)
