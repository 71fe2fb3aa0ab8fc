"""What canonical bridges hold of a chain's tokens for the claims on them that they made on other chains.

A bridge's token on the other chain is a claim on what lies in its escrow here. The two supplies are one: what is in
escrow circulates there and not here. Bridges that burn on one side and mint on the other (Circle's CCTP, many OFTs)
hold nothing, and those that are not in the list are not seen.

Sources: the bridges' own documentation, and the escrows that L2BEAT lists for each rollup.
"""

from __future__ import annotations

from collections.abc import Iterable

from chain.calls import Call, CallFailed
from protocols.reading import Rows
from protocols.walking import Walk

ESCROWS = {
    1: {
        "0xa3a7b6f88361f48403514059f1f16c8e78d60eec": "Arbitrum One",  # L1ERC20Gateway
        "0xcee284f754e854890e311e3280b767f80797180d": "Arbitrum One",  # L1CustomGateway
        "0xa10c7ce4b876998858b1a9e12b10092229539400": "Arbitrum One",  # L1Escrow of DAI
        "0x0f25c1dc2a9922304f2eac71dca9b07e310e8e5a": "Arbitrum One",  # L1ERC20TokenGateway of wstETH
        "0x99c9fc46f92e8a1c0dec1b1747d010903e884be1": "OP Mainnet",  # L1StandardBridge
        "0x467194771dae2967aef3ecbedd3bf9a310c76c65": "OP Mainnet",  # L1Escrow of DAI
        "0x76943c0d61395d8f2edf9060e1533529cae05de6": "OP Mainnet",  # L1LidoTokensBridge
        "0x3154cf16ccdb4c6d922629664174b904d80f2c35": "Base",  # L1StandardBridge
        "0x9de443adc5a411e83f1878ef24c3f52c61571e72": "Base",  # L1ERC20TokenBridge of wstETH
        "0x40ec5b33f54e0e8a33a975908c5ba1c14e5bbbdf": "Polygon PoS",  # ERC20Predicate
    }
}
"""By chain: the chain that each escrow's claims are on."""


def walk_escrows(chain_id: int, tokens: Iterable[str]) -> Walk[Rows]:
    """Rows of the table ``escrows`` for some tokens: one balance for each token and escrow of the chain."""
    escrows = ESCROWS.get(chain_id, {})
    pairs = [(token, escrow) for token in sorted(set(tokens)) for escrow in escrows]
    if not pairs:
        return []
    answers = yield [Call(token, "balanceOf(address)(uint256)", (escrow,)) for token, escrow in pairs]
    return [
        {"token": token, "escrow": escrow, "bridged_to": escrows[escrow], "held_raw": held}
        for (token, escrow), held in zip(pairs, answers, strict=True)
        if not isinstance(held, CallFailed) and held
    ]
