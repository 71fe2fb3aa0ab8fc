"""Reads a MetaMorpho vault: what a share is worth, its queues, caps and timelock, and what it has in each market.

Markets are those of both queues: what is in neither has nothing of the vault's. In 1.0 a loss is in the share price at
once; in 1.1 it is kept apart (``lostAssets``), and who withdraws last meets it.

Sources: MetaMorpho.sol, MetaMorphoV1_1.sol; Morpho.sol for positions and markets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chain.calls import Call
from protocols.lending.morpho_blue.reader import MARKET, PARAMETERS, POSITION
from protocols.lending.morpho_blue.shares import to_assets_down
from protocols.tokens.erc4626 import VAULT, converted, share_of
from protocols.tokens.kind import MOST_LISTED, Found, Kind, Looking, Token, addresses, failed, numbers, or_zero
from protocols.tokens.metamorpho.tables import ALLOCATIONS, VAULTS
from protocols.walking import Walk

_CONFIG = "config(bytes32)(uint184,bool,uint64)"
_PENDING = "pendingCap(bytes32)(uint192,uint64)"
_PER_MARKET = 5


def _look(token: Token) -> Looking:
    vault, told = token.address, token.told
    if max(told["to_supply"], told["to_withdraw"]) > MOST_LISTED:
        return None
    answers = yield [
        converted(token),
        *(Call(vault, f"{name}()(address)") for name in ("owner", "curator", "guardian")),
        Call(vault, "timelock()(uint256)"),
        Call(vault, "fee()(uint96)"),
        Call(vault, "lastTotalAssets()(uint256)"),
        Call(vault, "DECIMALS_OFFSET()(uint8)"),
        *(Call(vault, "supplyQueue(uint256)(bytes32)", (i,)) for i in range(told["to_supply"])),
        *(Call(vault, "withdrawQueue(uint256)(bytes32)", (i,)) for i in range(told["to_withdraw"])),
    ]
    if failed(answers):
        return None
    (worth, owner, curator, guardian, timelock, fee, last, offset), queued = answers[:8], answers[8:]
    supply, withdraw = queued[: told["to_supply"]], queued[told["to_supply"] :]
    allocations = yield from _allocations(token, supply, withdraw)
    if allocations is None:
        return None
    row = {
        "vault": vault,
        "version": "1.1" if "lost" in told else "1.0",
        "asset": told["asset"],
        "morpho": told["morpho"],
        "owner": owner,
        "curator": curator,
        "guardian": guardian,
        "timelock_s": timelock,
        "fee_wad": fee,
        "total_supply": token.supply_raw,
        "last_total_assets": last,
        "lost_assets": or_zero(told.get("lost", 0)),
        "virtual_shares": 10**offset,
    }
    share = share_of(token, worth)
    return Found(share.issuer, share.claims, rows={VAULTS: [row], ALLOCATIONS: allocations})


def _allocations(token: Token, supply: Sequence[bytes], withdraw: Sequence[bytes]) -> Walk[list[dict[str, Any]] | None]:
    """What the vault has in each market of its queues, in the order of the withdraw queue."""
    vault, morpho = token.address, token.told["morpho"]
    ids = list(dict.fromkeys([*withdraw, *supply]))
    answers = yield [
        call
        for one in ids
        for call in (
            Call(vault, _CONFIG, (one,)),
            Call(vault, _PENDING, (one,)),
            Call(morpho, POSITION, (one, vault)),
            Call(morpho, MARKET, (one,)),
            Call(morpho, f"idToMarketParams(bytes32){PARAMETERS}", (one,)),
        )
    ]
    if failed(answers):
        return None
    rows = []
    for number, one in enumerate(ids):
        config, pending, position, market, parameters = answers[_PER_MARKET * number :][:_PER_MARKET]
        identifier = "0x" + one.hex()
        rows.append(
            {
                "vault": vault,
                "id": identifier,
                "market": token.issuers.get(identifier, ""),
                "collateral_token": parameters[1],
                "supply_place": supply.index(one) if one in supply else -1,
                "withdraw_place": withdraw.index(one) if one in withdraw else -1,
                "cap_raw": config[0],
                "enabled": config[1],
                "removable_at": config[2],
                "pending_cap_raw": pending[0],
                "pending_at": pending[1],
                "supply_shares": position[0],
                "supplied_raw": int(to_assets_down(position[0], market[0], market[1])),
                "market_supply_assets": market[0],
                "market_supply_shares": market[1],
                "last_update": market[4],
            }
        )
    return rows


_GETTERS = (
    VAULT | addresses(morpho="MORPHO") | numbers(to_supply="supplyQueueLength", to_withdraw="withdrawQueueLength")
)
KINDS = (
    Kind("metamorpho", "at withdrawal", _GETTERS | numbers(lost="lostAssets"), _look),
    Kind("metamorpho", "at once", _GETTERS, _look),
)
