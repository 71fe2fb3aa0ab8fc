"""Shares of ERC-4626 vaults: sUSDe, sDAI, sUSDS, Euler's, Yearn's and whatever else answers as the standard says.

What a share is worth is asked for (``convertToAssets``), and what is behind all of them (``totalAssets``). A loss is in
the next answer, but where a vault keeps it apart as ``lostAssets`` (Euler Earn, as MetaMorpho 1.1).
"""

from __future__ import annotations

from chain.calls import Call
from protocols.tokens.kind import Claim, Found, Kind, Looking, Token, addresses, failed, numbers

VAULT = addresses(asset="asset") | numbers(assets="totalAssets")
"""What every vault answers."""


def converted(token: Token) -> Call:
    """What one whole share is worth."""
    return Call(token.address, "convertToAssets(uint256)(uint256)", (token.unit_raw,))


def share_of(token: Token, worth: int) -> Found:
    """The claim of a vault's share."""
    return Found(token.address, (Claim(token.told["asset"], worth, token.told["assets"]),))


def _look(token: Token) -> Looking:
    (worth,) = yield [converted(token)]
    return None if failed([worth]) else share_of(token, worth)


KINDS = (
    Kind("euler_earn", "at withdrawal", VAULT | numbers(lost="lostAssets", queue="withdrawQueueLength"), _look),
    Kind("erc4626", "at once", VAULT, _look),
)
