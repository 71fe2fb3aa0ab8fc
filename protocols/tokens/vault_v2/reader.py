"""Reads a Morpho Vault v2: what a share is worth, who runs it, and what lies behind which adapter under which cap.

Sources: VaultV2.sol (an adapter's own cap is under ``keccak256(abi.encode("this", adapter))``), MorphoVaultV1Adapter.
"""

from __future__ import annotations

from chain.calls import Call
from protocols.tokens.erc4626 import VAULT, converted, share_of
from protocols.tokens.kind import MOST_LISTED, Found, Kind, Looking, Token, addresses, balance, failed, numbers
from protocols.tokens.vault_v2.tables import ALLOCATIONS, VAULTS

_PER_ADAPTER = 5


def adapter_id(adapter: str) -> bytes:
    """Under what an adapter's own cap stands."""
    from eth_abi.abi import encode
    from eth_utils.crypto import keccak

    return keccak(encode(["string", "address"], ["this", adapter]))


def _look(token: Token) -> Looking:
    vault, told = token.address, token.told
    if told["adapters"] > MOST_LISTED:
        return None
    answers = yield [
        converted(token),
        balance(told["asset"], vault),
        *(Call(vault, f"{name}()(address)") for name in ("owner", "curator", "liquidityAdapter")),
        *(Call(vault, f"{name}()(uint96)") for name in ("performanceFee", "managementFee")),
        Call(vault, "virtualShares()(uint256)"),
        Call(vault, "_totalAssets()(uint128)"),
        Call(vault, "lastUpdate()(uint64)"),
        *(Call(vault, "adapters(uint256)(address)", (i,)) for i in range(told["adapters"])),
    ]
    if failed(answers):
        return None
    worth, idle, owner, curator, liquid, performance, management, virtual, stored, updated, *adapters = answers
    answers = yield [
        call
        for adapter in adapters
        for call in (
            Call(adapter, "realAssets()(uint256)"),
            Call(vault, "allocation(bytes32)(uint256)", (adapter_id(adapter),)),
            Call(vault, "absoluteCap(bytes32)(uint256)", (adapter_id(adapter),)),
            Call(vault, "relativeCap(bytes32)(uint256)", (adapter_id(adapter),)),
            Call(adapter, "morphoVaultV1()(address)"),
        )
    ]
    allocations = []
    for number, adapter in enumerate(adapters):
        *figures, target = answers[_PER_ADAPTER * number :][:_PER_ADAPTER]
        if failed(figures):
            return None
        names = ("claimed_raw", "allocated_raw", "cap_raw", "relative_cap_wad")
        allocations.append(
            {"vault": vault, "adapter": adapter, "target": "" if failed([target]) else target}
            | dict(zip(names, figures, strict=True))
        )
    row = {
        "vault": vault,
        "asset": told["asset"],
        "owner": owner,
        "curator": curator,
        "liquidity_adapter": liquid,
        "total_supply": token.supply_raw,
        "total_assets": stored,
        "last_update": updated,
        "idle_raw": idle,
        "max_rate_wad": told["max_rate"],
        "performance_fee_wad": performance,
        "management_fee_wad": management,
        "virtual_shares": virtual,
    }
    share = share_of(token, worth)
    return Found(share.issuer, share.claims, rows={VAULTS: [row], ALLOCATIONS: allocations})


KINDS = (
    Kind(
        "vault_v2",
        "at once",
        VAULT
        | numbers(adapters="adaptersLength")
        | {"max_rate": "maxRate()(uint64)"}
        | addresses(registry="adapterRegistry"),
        _look,
    ),
)
