"""Replay of recorded interactions with a Morpho Vault v2 over one adapter.

The exact form must give every recorded integer and revert: the vault's state, its caps and its views before and after.
The balance that an amount is taken from is the larger one of before and after; shares and allocations are taken from
what the vault has in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from eth_utils.crypto import keccak

from protocols.compiled import fast
from protocols.lending.morpho_blue.shares import WAD
from protocols.tokens.vault_v2 import rules
from protocols.tokens.vault_v2.rules import OK, Done
from protocols.tokens.vault_v2.state import Caps, Vault
from tests.vectors.morpho_blue import SELECTORS, NotUnderstoodError, differences, expect
from tests.vectors.outcome import Document, Outcome, relative_error
from tests.vectors.watched import Watched, smallest_margin

Record = dict[str, Any]

VERSIONS = ("2.0",)
STORED = {
    "totalSupply": "total_supply",
    "_totalAssets": "total_assets",
    "lastUpdate": "last_update",
    "maxRate": "max_rate_wad",
    "performanceFee": "performance_fee_wad",
    "managementFee": "management_fee_wad",
    "virtualShares": "virtual_shares",
    "idle": "idle",
}
CAPS = {"absoluteCap": "absolute", "relativeCap": "relative_wad", "allocation": "allocation"}
HOLDERS = ("user_shares", "performanceFeeRecipient_shares", "managementFeeRecipient_shares")
STATE = {
    *STORED,
    *HOLDERS,
    *("timestamp", "adapter_realAssets", "liquidityAdapter_set", "caps", "totalAssets_view", "convertToAssets_1e18"),
}
SHARES_OF = {"deposit": False, "withdraw": False, "mint": True, "redeem": True}
"""Calls of a user, and whether their amount is in shares."""


@dataclass
class World:
    """A vault, its adapter and its holders."""

    now: int
    vault: Vault
    caps: Caps
    claimed: int
    liquid: bool
    holders: list[int]


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for case in document["cases"]:
        try:
            if document.get("version") not in VERSIONS:
                raise NotUnderstoodError(f"version {document.get('version')}")
            outcome = _check_case(case)
        except (NotUnderstoodError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            outcome = Outcome(str(case.get("id")), f"not understood: {type(error).__name__}: {error}")
        yield outcome


def _check_case(case: Record) -> Outcome:
    expect("case", case, {"id", "world", "assetDecimals", "before", "call", "result"})
    before, call, recorded = case["before"], case["call"], case["result"]
    expect("call", call, {"action", "amount", "block_timestamp"})
    was, world = _read(before), _read(before)
    if int(call["block_timestamp"]) != was.now or was.vault.virtual_shares != 10 ** (18 - int(case["assetDecimals"])):
        raise NotUnderstoodError("the state is not that of the call's block, or of such an asset")
    wrong = _differences("before", before, was)
    done = _act(world.vault, world.caps, world, call, int)
    reason = rules.REVERTS[done.error]
    if recorded["reverted"]:
        expect("result", recorded, {"reverted", "selector", "error"})
        selector = SELECTORS["Panic"] if reason.startswith("Panic") else "0x" + keccak(text=reason)[:4].hex()
        if (reason, selector) != (recorded["error"], recorded["selector"]):
            wrong.append(f"reverts with {reason!r}, recorded {recorded['error']!r}")
    elif reason:
        wrong.append(f"reverts with {reason!r}, recorded no revert")
    else:
        user = call["action"] in SHARES_OF
        expect("result", recorded, {"reverted", "after", *(["returned"] if user else [])})
        if user:
            returned = done.assets if SHARES_OF[call["action"]] else done.shares
            wrong += differences("result", {"returned": recorded["returned"]}, {"returned": returned})
        _take_over(world, call, done)
        wrong += _differences("after", recorded["after"], world)
    if wrong:
        return Outcome(case["id"], wrong[0])
    return Outcome(case["id"], "", *_check_fast(was, world, call, done))


def _read(state: Record) -> World:
    expect("state", state, STATE)
    for cap in state["caps"]:
        expect("cap", cap, set(CAPS))
    return World(
        now=int(state["timestamp"]),
        vault=Vault(*(int(state[field]) for field in STORED)),
        caps=Caps(*([int(cap[field]) for cap in state["caps"]] for field in CAPS)),
        claimed=int(state["adapter_realAssets"]),
        liquid=state["liquidityAdapter_set"],
        holders=[int(state[name]) for name in HOLDERS],
    )


def _differences(where: str, recorded: Record, world: World) -> list[str]:
    expect(where, recorded, STATE)
    shown = {field: getattr(world.vault, name) for field, name in STORED.items()}
    shown |= dict(zip(HOLDERS, world.holders, strict=True)) | {
        "timestamp": world.now,
        "adapter_realAssets": world.claimed,
        "liquidityAdapter_set": world.liquid,
        "totalAssets_view": rules.worth(world.vault, world.claimed, world.now).total_assets,
        "convertToAssets_1e18": rules.convert_to_assets(world.vault, world.claimed, WAD, world.now),
    }
    wrong = differences(where, {field: value for field, value in recorded.items() if field != "caps"}, shown)
    for i, cap in enumerate(recorded["caps"]):
        wrong += differences(f"{where}.caps", cap, {field: getattr(world.caps, n)[i] for field, n in CAPS.items()})
    return wrong


def _act(vault: Vault, caps: Caps, world: World, call: Record, number: Any, compiled: bool = False) -> Done:
    """The call, in the number system that `number` converts to; it changes `caps`."""

    def run(function: Any, *arguments: Any) -> Done:
        result: Done = (fast(function) if compiled else function)(*arguments)
        return result

    action, amount, nothing = call["action"], number(int(call["amount"])), number(0)
    claimed, now = number(world.claimed), number(world.now)
    if action in SHARES_OF:
        pair = (nothing, amount) if SHARES_OF[action] else (amount, nothing)
        if action in ("deposit", "mint"):
            return run(rules.deposit, vault, caps, world.liquid, claimed, *pair, now)
        return run(rules.withdraw, vault, caps, world.liquid, claimed, number(world.holders[0]), *pair, now)
    if action == "allocate":
        return run(rules.allocate, vault, caps, claimed, amount, now)
    if action == "deallocate":
        return run(rules.deallocate, vault, caps, claimed, amount)
    if action != "accrueInterest":
        raise NotUnderstoodError(f"action {action}")
    found = (fast(rules.worth) if compiled else rules.worth)(vault, claimed, now)
    after = (fast(rules.brought) if compiled else rules.brought)(vault, found, now)
    return Done(OK, after, claimed, nothing, nothing, found.performance_shares, found.management_shares)


def _take_over(world: World, call: Record, done: Done) -> None:
    world.vault, world.claimed = done.vault, done.claimed
    moved = {"deposit": done.shares, "mint": done.shares}.get(call["action"], -done.shares)
    for i, more in enumerate((moved, done.performance_shares, done.management_shares)):
        world.holders[i] += more


def _check_fast(was: World, world: World, call: Record, exact: Done) -> tuple[float, float | None]:
    caps = Caps(*(np.array([float(value) for value in column]) for column in was.caps))
    found = _act(Vault(*map(float, was.vault)), caps, was, call, float, compiled=True)
    called_back = list(caps.allocation) != [float(allocation) for allocation in was.caps.allocation]
    if (found.error, called_back) != (exact.error, world.caps.allocation != was.caps.allocation):
        watched = Caps(*(list(map(Watched, column)) for column in was.caps))
        vault = Vault(*map(Watched, was.vault))
        return 0.0, smallest_margin(lambda: _act(vault, watched, was, call, Watched), roundings=True)
    if exact.error != OK:
        return 0.0, None
    assets = max(was.vault.total_assets, exact.vault.total_assets)
    shares = max(was.vault.total_supply, exact.vault.total_supply)
    pairs = [
        *zip(found.vault, exact.vault, map(max, was.vault, exact.vault), strict=True),
        (found.claimed, exact.claimed, assets),
        (found.assets, exact.assets, assets),
        (found.shares, exact.shares, shares),
        (found.performance_shares, exact.performance_shares, shares),
        (found.management_shares, exact.management_shares, shares),
        *((one, other, assets) for one, other in zip(caps.allocation, world.caps.allocation, strict=True)),
    ]
    return max(relative_error(float(one), other, scale) for one, other, scale in pairs), None
