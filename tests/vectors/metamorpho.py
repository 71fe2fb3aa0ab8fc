"""Replay of recorded interactions with MetaMorpho vaults, and of liquidations in the markets they lend to.

The exact form must give every recorded integer and revert: the vault's and its markets' state and its views before and
after, what every user can withdraw, the amounts returned. Interest rates are recorded; how the mock that made them
follows utilisation is known here, so that they are checked as well. The balance that an amount is taken from is the
larger one of before and after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from eth_utils.crypto import keccak

from protocols.compiled import fast
from protocols.lending.morpho_blue.irm import FIXED_RATE, NO_INTEREST, SECONDS_PER_YEAR
from protocols.lending.morpho_blue.rules import OWN, incentive_factor, liquidate
from protocols.lending.morpho_blue.rules import REVERTS as MORPHO_REVERTS
from protocols.lending.morpho_blue.shares import WAD, wad_div_down
from protocols.lending.morpho_blue.state import Position
from protocols.tokens.metamorpho import rules
from protocols.tokens.metamorpho.rules import INSUFFICIENT_BALANCE, OK, V10, V11, Done
from protocols.tokens.metamorpho.state import Markets, Vault
from tests.vectors.morpho_blue import MARKET, SELECTORS, NotUnderstoodError, differences, expect
from tests.vectors.outcome import Document, Outcome, relative_error
from tests.vectors.watched import Watched, smallest_margin

Record = dict[str, Any]

VERSIONS = {"1.0": V10, "1.1": V11}
MODELS = {"none": NO_INTEREST, "const": FIXED_RATE, "util": FIXED_RATE}
LABELS = {"id", "world", "split", "loanToken_decimals", "chain"}
STATE = {"timestamp", "vault", "morpho_loanToken_balance", "markets", "users"}
VAULT = {
    *("totalSupply", "lastTotalAssets", "fee", "decimalsOffset", "feeRecipient_shares", "supplyQueue", "withdrawQueue"),
    *("totalAssets_view", "convertToAssets_1e18"),
}
FIXED = ("irm", "lltv", "enabled", "removableAt")
"""Of a market, what no recorded call changes."""
CALLS = {
    "liquidate": {"market", "seizedAssets", "price", "position"},
    "deposit": {"user", "assets"},
    "mint": {"user", "shares"},
    "withdraw": {"user", "assets"},
    "redeem": {"user", "shares"},
    "setFee": {"newFee"},
    "setCap": {"market", "newCap"},
}


@dataclass
class World:
    """A vault, its markets, and who holds its shares."""

    version: int
    now: int
    names: list[str]
    lltv_wad: list[int]
    vault: Vault
    markets: Markets
    supply_queue: list[int]
    withdraw_queue: list[int]
    cash: int
    fee_recipient: int
    morpho_fee_shares: list[int]
    users: dict[str, int]

    def copy(self) -> World:
        """The same world, to be changed without changing this one."""
        columns = Markets(*(list(column) for column in self.markets))
        return replace(self, markets=columns, morpho_fee_shares=list(self.morpho_fee_shares), users=dict(self.users))


def check(document: Document) -> Iterator[Outcome]:
    """One outcome for each case."""
    for case in document["cases"]:
        try:
            outcome = _check_case(case)
        except (NotUnderstoodError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            outcome = Outcome(str(case.get("id")), f"not understood: {type(error).__name__}: {error}")
        yield outcome


def _check_case(case: Record) -> Outcome:
    expect("case", case, {"vault_version", "before", "call", "result", *LABELS})
    before, call, recorded = case["before"], case["call"], case["result"]
    world = _read(case["vault_version"], before, int(case["loanToken_decimals"]))
    expect("call", call, {"action", "block_timestamp", *CALLS[call["action"]]})
    if int(call["block_timestamp"]) != world.now:
        raise NotUnderstoodError("the state is not that of the call's block")
    wrong = _state_differences("before", before, before, world)
    was = world.copy()
    reason, shown = _act(world, call)
    if recorded["reverted"]:
        wrong += _revert_differences(recorded, reason, was, call, shown)
    elif reason:
        wrong.append(f"reverts with {reason!r}, recorded no revert")
    else:
        apart = {"reverted", "after"}
        wrong += differences("result", {f: v for f, v in recorded.items() if f not in apart}, shown)
        wrong += _state_differences("after", recorded["after"], before, world)
    if wrong:
        return Outcome(case["id"], wrong[0])
    return Outcome(case["id"], "", *_check_fast(was, world, call, reason))


# --- from a record and to one -----------------------------------------------------------------------------------


def _read(version: str, state: Record, decimals: int) -> World:
    expect("state", state, STATE)
    vault, markets = state["vault"], state["markets"]
    expect("vault", vault, VAULT | ({"lostAssets"} if version == "1.1" else set()))
    names = sorted(markets)
    fields = {*FIXED, "market", "borrowRate", "cap", "vault_supplyShares", "morphoFeeRecipient_supplyShares"}
    for name in names:
        expect(f"market {name}", markets[name], fields)
        expect(f"market {name}", markets[name]["market"], {*MARKET, "fee"})
        if not markets[name]["enabled"] or int(markets[name]["removableAt"]):
            raise NotUnderstoodError(f"market {name} is about to be removed, or not enabled")
    offset = int(vault["decimalsOffset"])
    if offset != max(0, 18 - decimals):
        raise NotUnderstoodError(f"a decimals offset of {offset} for {decimals} decimals")

    def column(field: str) -> list[int]:
        return [int(markets[name][field]) for name in names]

    stored = {name: [int(markets[m]["market"][field]) for m in names] for field, name in MARKET.items()}
    return World(
        version=VERSIONS[version],
        now=int(state["timestamp"]),
        names=names,
        lltv_wad=column("lltv"),
        vault=Vault(
            total_supply=int(vault["totalSupply"]),
            last_total_assets=int(vault["lastTotalAssets"]),
            lost_assets=int(vault.get("lostAssets", 0)),
            fee_wad=int(vault["fee"]),
            virtual_shares=10**offset,
        ),
        markets=Markets(
            **stored,
            fee_wad=[int(markets[m]["market"]["fee"]) for m in names],
            irm=[MODELS[markets[m]["irm"]] for m in names],
            rate_wad=column("borrowRate"),
            vault_shares=column("vault_supplyShares"),
            cap=column("cap"),
        ),
        supply_queue=[names.index(m) for m in vault["supplyQueue"]],
        withdraw_queue=[names.index(m) for m in vault["withdrawQueue"]],
        cash=int(state["morpho_loanToken_balance"]),
        fee_recipient=int(vault["feeRecipient_shares"]),
        morpho_fee_shares=column("morphoFeeRecipient_supplyShares"),
        users={name: int(user["shares"]) for name, user in state["users"].items()},
    )


def _mock_rate(irm: str, world: World, m: int) -> int:
    """What a market's interest rate model would answer: IrmMock of morpho-blue, or a constant."""
    markets = world.markets
    if irm != "util":
        return int(markets.rate_wad[m])
    if not markets.supply_assets[m]:
        return 0
    return int(wad_div_down(markets.borrow_assets[m], markets.supply_assets[m])) // SECONDS_PER_YEAR


def _state_differences(where: str, recorded: Record, before: Record, world: World) -> list[str]:
    expect(where, recorded, STATE)
    vault, markets, queue = world.vault, world.markets, world.withdraw_queue
    real = rules.real_assets(markets, queue, world.now)
    shown: Record = {
        "totalSupply": vault.total_supply,
        "lastTotalAssets": vault.last_total_assets,
        "fee": vault.fee_wad,
        "decimalsOffset": before["vault"]["decimalsOffset"],
        "feeRecipient_shares": world.fee_recipient,
        "totalAssets_view": rules.worth(world.version, vault, real).total_assets,
        "convertToAssets_1e18": rules.convert_to_assets(world.version, vault, real, WAD),
    }
    if world.version >= V11:
        shown["lostAssets"] = vault.lost_assets
    queues = ("supplyQueue", "withdrawQueue")
    wrong = [f"{where}.vault.{q} is not that of before" for q in queues if recorded["vault"][q] != before["vault"][q]]
    numbers = {field: value for field, value in recorded["vault"].items() if field not in queues}
    wrong += differences(f"{where}.vault", numbers, {field: int(value) for field, value in shown.items()})
    outside = {field: int(recorded[field]) for field in ("timestamp", "morpho_loanToken_balance")}
    wrong += differences(where, outside, {"timestamp": world.now, "morpho_loanToken_balance": world.cash})
    if set(recorded["markets"]) != set(world.names) or set(recorded["users"]) != set(world.users):
        raise NotUnderstoodError(f"{where} has other markets or users")
    for m, name in enumerate(world.names):
        wrong += _market_differences(f"{where}.{name}", recorded["markets"][name], before["markets"][name], world, m)
    for name, owned in world.users.items():
        most = rules.max_withdraw(world.version, vault, markets, queue, world.cash, owned, world.now)
        wrong += differences(f"{where}.{name}", recorded["users"][name], {"shares": owned, "maxWithdraw": most})
    return wrong


def _market_differences(where: str, recorded: Record, before: Record, world: World, m: int) -> list[str]:
    markets = world.markets
    expect(where, recorded, set(before))
    wrong = [f"{where}.{field} is not that of before" for field in FIXED if recorded[field] != before[field]]
    stored = {field: getattr(markets, name)[m] for field, name in MARKET.items()} | {"fee": markets.fee_wad[m]}
    wrong += differences(f"{where}.market", recorded["market"], stored)
    shown = {
        "borrowRate": _mock_rate(recorded["irm"], world, m),
        "cap": markets.cap[m],
        "vault_supplyShares": markets.vault_shares[m],
        "morphoFeeRecipient_supplyShares": world.morpho_fee_shares[m],
    }
    return wrong + differences(where, {field: recorded[field] for field in shown}, shown)


def _revert_differences(recorded: Record, reason: str, was: World, call: Record, shown: dict[str, int]) -> list[str]:
    expect("result", recorded, {"reverted", "selector", "error"} | ({"data"} if "data" in recorded else set()))
    if reason != recorded["error"]:
        return [f"reverts with {reason!r}, recorded {recorded['error']!r}"]
    if _selector(reason) != recorded["selector"]:
        return [f"the selector of {reason!r} is {recorded['selector']}"]
    if reason == rules.REVERTS[INSUFFICIENT_BALANCE]:
        data = bytes.fromhex(recorded["data"].removeprefix("0x"))
        said = [int.from_bytes(data[i : i + 32], "big") for i in (36, 68)]
        if said != [was.users[call["user"]], shown["shares"]]:
            return [f"the error says balance and need are {said}"]
    return []


def _selector(reason: str) -> str:
    """Of an error with its types, of a panic, or of Error(string)."""
    if reason.startswith("Panic"):
        return SELECTORS["Panic"]
    return "0x" + keccak(text=reason)[:4].hex() if reason.endswith(")") else SELECTORS["text"]


# --- the call ---------------------------------------------------------------------------------------------------


def _act(world: World, call: Record) -> tuple[str, dict[str, int]]:
    """Change the world as the call does; why it reverts, and what is returned."""
    action = call["action"]
    if action == "liquidate":
        return _liquidate(world, call)
    if action == "setCap":
        m, cap = world.names.index(call["market"]), int(call["newCap"])
        if cap == world.markets.cap[m]:
            return "AlreadySet()", {}
        # A higher cap only waits for its timelock.
        world.markets.cap[m] = min(cap, world.markets.cap[m])
        return "", {}
    fees_before = _morpho_fees(world)
    done = _on_vault(world.version, world.vault, world.markets, world, call, int)
    reason = rules.REVERTS[done.error]
    if not reason:
        world.vault = done.vault
        world.fee_recipient += done.fee_shares
        world.morpho_fee_shares = [
            had + now - before
            for had, now, before in zip(world.morpho_fee_shares, _morpho_fees(world), fees_before, strict=True)
        ]
        if action in ("deposit", "mint"):
            world.users[call["user"]] += done.shares
            world.cash += done.assets
        elif action in ("withdraw", "redeem"):
            world.users[call["user"]] -= done.shares
            world.cash -= done.assets
    if action == "setFee":
        return reason, {}
    returned = done.shares if action in ("deposit", "withdraw") else done.assets
    return reason, {"returned": returned} if not reason else {"shares": done.shares}


def _morpho_fees(world: World) -> list[int]:
    """Supply shares of each market that are not the vault's: they grow by the fee recipient's only."""
    return [total - own for total, own in zip(world.markets.supply_shares, world.markets.vault_shares, strict=True)]


def _on_vault(
    version: int, vault: Vault, markets: Markets, world: World, call: Record, number: Any, compiled: bool = False
) -> Done:
    """One call to the vault, in the number system that `number` converts to."""

    def run(function: Any) -> Any:
        return fast(function) if compiled else function

    queues: list[Any] = [world.supply_queue, world.withdraw_queue]
    if compiled:
        queues = [np.array(queue, dtype=np.int64) for queue in queues]
    now = number(world.now)
    assets, shares = number(int(call.get("assets", 0))), number(int(call.get("shares", 0)))
    if call["action"] in ("deposit", "mint"):
        result = run(rules.deposit)(version, vault, markets, *queues, assets, shares, now)
    elif call["action"] in ("withdraw", "redeem"):
        owned = number(world.users[call["user"]])
        result = run(rules.withdraw)(version, vault, markets, queues[1], number(world.cash), owned, assets, shares, now)
    else:
        result = run(rules.set_fee)(version, vault, markets, queues[1], number(int(call["newFee"])), now)
    done: Done = result
    return done


def _liquidate(world: World, call: Record) -> tuple[str, dict[str, int]]:
    expect("position", call["position"], {"borrowShares", "collateral"})
    markets, m = world.markets, world.names.index(call["market"])
    position = Position(int(call["position"]["borrowShares"]), int(call["position"]["collateral"]))
    shares_before = markets.supply_shares[m]
    rules.bring(markets, m, world.now)
    lltv = world.lltv_wad[m]
    terms = int(call["price"]), lltv, incentive_factor(lltv, OWN), int(call["seizedAssets"]), 0
    done = liquidate(rules.totals_of(markets, m), position, *terms)
    reason = MORPHO_REVERTS[done.error]
    if not reason:
        rules.put(markets, m, done.totals)
        world.morpho_fee_shares[m] += markets.supply_shares[m] - shares_before
        world.cash += done.repaid_assets
    return reason, {
        "repaidAssets": done.repaid_assets,
        "repaidShares": done.repaid_shares,
        "seizedAssets": done.seized,
        "badDebtAssets": done.bad_debt_assets,
        "badDebtShares": done.bad_debt_shares,
    }


# --- the fast form ----------------------------------------------------------------------------------------------


def _floats(world: World) -> tuple[Vault, Markets]:
    def column(name: str, values: list[int]) -> Any:
        return np.array(values, dtype=np.int64) if name == "irm" else np.array([float(v) for v in values])

    markets = Markets(**{name: column(name, values) for name, values in world.markets._asdict().items()})
    return Vault(*map(float, world.vault)), markets


def _check_fast(was: World, world: World, call: Record, reason: str) -> tuple[float, float | None]:
    """Error of the fast form in the vault's views before, and in what the call makes of the vault and its markets."""
    vault, markets = _floats(was)
    queue = np.array(was.withdraw_queue, dtype=np.int64)
    numbers = float(was.cash), float(max(was.users.values())), float(was.now)
    exact_most = rules.max_withdraw(
        was.version, was.vault, was.markets, was.withdraw_queue, was.cash, max(was.users.values()), was.now
    )
    most = fast(rules.max_withdraw)(was.version, vault, markets, queue, *numbers)
    pairs = [(most, exact_most, was.vault.last_total_assets)]
    if call["action"] in ("deposit", "mint", "withdraw", "redeem", "setFee"):
        done = _on_vault(was.version, vault, markets, was, call, float, compiled=True)
        touched = list(markets.last_update) == [float(time) for time in world.markets.last_update]
        if rules.REVERTS[done.error] != reason or not (reason or touched):
            return 0.0, _margin(was, call)
        if done.error == OK:
            # losses are what is missing from the total
            scales = map(max, was.vault, world.vault._replace(lost_assets=was.vault.last_total_assets))
            pairs += zip(done.vault, world.vault, scales, strict=True)
            for found, exact, before in zip(markets, world.markets, was.markets, strict=True):
                pairs += zip(found, exact, before, strict=True)
    return max(relative_error(float(one), other, scale) for one, other, scale in pairs), None


def _margin(was: World, call: Record) -> float:
    world = was.copy()
    vault = Vault(*map(Watched, world.vault))
    columns = {
        name: list(map(Watched, values)) if name != "irm" else values
        for name, values in world.markets._asdict().items()
    }
    return smallest_margin(
        lambda: _on_vault(was.version, vault, Markets(**columns), world, call, Watched), roundings=True
    )
