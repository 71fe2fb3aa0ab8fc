"""Every kind of claim, in the order in which they are tried: what is known by address first, what has few functions of
its own last."""

from __future__ import annotations

from protocols.tokens import aave, compound, erc4626, leaves, liquidity, pendle, staked
from protocols.tokens.kind import Kind
from protocols.tokens.metamorpho import reader as metamorpho
from protocols.tokens.vault_v2 import reader as vault_v2

KINDS: tuple[Kind, ...] = (
    *leaves.KINDS,
    *aave.KINDS,
    *metamorpho.KINDS,
    *vault_v2.KINDS,
    *erc4626.KINDS,
    *compound.KINDS,
    *staked.KINDS,
    *pendle.KINDS,
    *liquidity.KINDS,
)
