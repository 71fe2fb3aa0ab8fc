"""Reads StableSwap pools at a pinned block: balances, rates, fees, and A with its ramp.

Pools are those that the deployment lists, and those that the NG factory (``find_pool_for_coins``) has for the tokens
that are wanted. Every pool is asked what it promises for a hundredth of each of its coins (``get_dy``), and is taken
only if the rules say the same to the unit.

Rates that a pool reads from an oracle or a vault stay in the snapshot as they were at the block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations
from typing import Any

from chain.calls import Call, CallFailed, read
from chain.deployments import Deployment
from chain.errors import UnsupportedError
from chain.node import Block, Node, Progress
from protocols.amm.curve_stableswap import rules
from protocols.amm.curve_stableswap.tables import CLASSIC, COINS, NG, POOLS, make_pool
from protocols.amm.revert import Revert
from protocols.reading import Reading, Rows

FACTORY = "factory"
"""Role of the NG factory in a deployment. Every other address there is a pool, and its role the pool's name."""

_MAX_COINS = 8
_NOBODY = "0x" + "0" * 40
_FACTS = (
    "version()(string)",
    "A_precise()(uint256)",
    "stored_rates()(uint256[])",
    "offpeg_fee_multiplier()(uint256)",
    "BASE_POOL()(address)",
    "base_pool()(address)",
    "fee()(uint256)",
    "admin_fee()(uint256)",
    "initial_A()(uint256)",
    "future_A()(uint256)",
    "initial_A_time()(uint256)",
    "future_A_time()(uint256)",
)

Facts = dict[str, Any]
"""What a pool answers, by the name of the view; without the views that it lacks."""


def read_deployment(
    node: Node, block: Block, deployment: Deployment, tokens: Sequence[str], progress: Callable[[str], Progress]
) -> Reading:
    """The pools that hold some of each of their coins, all of which are wanted.

    Raises
    ------
    UnsupportedError
        If a pool that the deployment lists is of another kind, or does not promise what the rules say.
    """
    listed = {address for role, address in deployment.addresses.items() if role != FACTORY}
    made = _made(node, block, deployment.addresses.get(FACTORY), tokens, progress)
    pools = sorted(listed | made)
    rows: Rows = []
    coins: Rows = []
    notes: list[str] = []

    def leave_out(pool: str, reason: str) -> None:
        if pool in listed:
            raise UnsupportedError(f"Curve pool {pool} of {deployment.name} {reason}; take it out of the deployment")
        notes.append(f"Curve pool {pool} is left out: it {reason}")

    for pool, facts in zip(pools, _facts(node, block, pools), strict=True):
        kind = _kind(facts)
        if kind is None:
            leave_out(pool, "is neither a plain pool of the NG factory nor of 3pool's kind")
        elif strangers := [coin for coin in facts["coins"] if coin not in tokens]:
            notes.append(f"Curve pool {pool} is left out: no lending market lists its coin {strangers[0]}")
        elif all(facts["balances"]):
            rows.append(_pool_row(pool, kind, facts))
            coins += _coin_rows(pool, kind, facts)

    for pool, promise in _broken_promises(node, block, rows, coins):
        leave_out(pool, f"promises {promise}, which the rules do not say")
        rows = [row for row in rows if row["pool"] != pool]
        coins = [coin for coin in coins if coin["pool"] != pool]
    return Reading((), {POOLS: rows, COINS: coins}, notes)


def _made(
    node: Node, block: Block, factory: str | None, tokens: Sequence[str], progress: Callable[[str], Progress]
) -> set[str]:
    """Every pool that the factory has for two of the tokens; for one pair it may have many."""
    if factory is None:
        return set()
    found: set[str] = set()
    pairs, number = list(combinations(sorted(tokens), 2)), 0
    tell = progress("looking for pools")
    while pairs:
        calls = [Call(factory, "find_pool_for_coins(address,address,uint256)(address)", (*p, number)) for p in pairs]
        answers = read(node, block, calls, progress=tell)
        pairs = [pair for pair, pool in zip(pairs, answers, strict=True) if pool != _NOBODY]
        found.update(pool for pool in answers if pool != _NOBODY)
        number += 1
    return found


def _facts(node: Node, block: Block, pools: Sequence[str]) -> list[Facts]:
    """What each pool says of itself and of its coins."""
    each = range(_MAX_COINS)

    def answered(calls: list[Call], per_pool: int) -> list[list[Any]]:
        answers = read(node, block, calls, require=False)
        return [answers[i : i + per_pool] for i in range(0, len(answers), per_pool)]

    plain = answered([Call(pool, signature) for pool in pools for signature in _FACTS], len(_FACTS))
    coins, balances, admin_balances = (
        answered([Call(pool, f"{view}(uint256)({type_})", (i,)) for pool in pools for i in each], _MAX_COINS)
        for view, type_ in (("coins", "address"), ("balances", "uint256"), ("admin_balances", "uint256"))
    )
    found: list[Facts] = []
    for answers, *lists in zip(plain, coins, balances, admin_balances, strict=True):
        facts = {
            signature.partition("(")[0]: answer
            for signature, answer in zip(_FACTS, answers, strict=True)
            if not isinstance(answer, CallFailed)
        }
        for name, values in zip(("coins", "balances", "admin_balances"), lists, strict=True):
            facts[name] = [value for value in values if not isinstance(value, CallFailed)]
        found.append(facts)
    tokens = sorted({coin for facts in found for coin in facts["coins"]})
    calls = [Call(token, "decimals()(uint8)") for token in tokens]
    decimals = dict(zip(tokens, read(node, block, calls, require=False), strict=True))
    for facts in found:
        facts["decimals"] = [decimals[coin] for coin in facts["coins"]]
    return found


def _kind(facts: Facts) -> str | None:
    """Which contract answers so; None if it is another."""
    common = {"fee", "admin_fee", "initial_A", "future_A", "initial_A_time", "future_A_time"}
    if not common <= facts.keys() or facts.keys() & {"BASE_POOL", "base_pool"}:
        return None
    if not 2 <= len(facts["coins"]) == len(facts["balances"]) == len(facts["admin_balances"]):
        return None
    views_of_ng = {"version", "A_precise", "stored_rates", "offpeg_fee_multiplier"}
    if views_of_ng <= facts.keys():
        return NG if len(facts["stored_rates"]) == len(facts["coins"]) else None
    known_decimals = not any(isinstance(decimals, CallFailed) for decimals in facts["decimals"])
    return CLASSIC if known_decimals and not views_of_ng & facts.keys() else None


def _pool_row(pool: str, kind: str, facts: Facts) -> dict[str, Any]:
    return {
        "pool": pool,
        "kind": kind,
        "version": facts.get("version", ""),
        "fee": facts["fee"],
        "offpeg_fee_multiplier": facts.get("offpeg_fee_multiplier", 0),
        "admin_fee": facts["admin_fee"],
        "initial_a": facts["initial_A"],
        "future_a": facts["future_A"],
        "initial_a_time": facts["initial_A_time"],
        "future_a_time": facts["future_A_time"],
    }


def _coin_rows(pool: str, kind: str, facts: Facts) -> Rows:
    rates = facts["stored_rates"] if kind == NG else [10 ** (36 - decimals) for decimals in facts["decimals"]]
    return [
        {
            "pool": pool,
            "coin": number,
            "token": token,
            "rate": rates[number],
            "balance_raw": facts["balances"][number],
            "admin_balance_raw": facts["admin_balances"][number],
        }
        for number, token in enumerate(facts["coins"])
    ]


def _broken_promises(node: Node, block: Block, rows: Rows, coins: Rows) -> list[tuple[str, str]]:
    """Pools whose ``get_dy`` for a hundredth of a coin is not what the rules say, each with one such answer."""
    pools = [make_pool(row, [c for c in coins if c["pool"] == row["pool"]], block.timestamp) for row in rows]
    asked = [
        (pool, i, j, pool.reserves_raw()[i] // 100 + 1)
        for pool in pools
        for i, j in permutations(range(len(pool.tokens)), 2)
    ]
    calls = [Call(pool.name, "get_dy(int128,int128,uint256)(uint256)", (i, j, dx)) for pool, i, j, dx in asked]
    broken: dict[str, str] = {}
    for (pool, i, j, dx), promised in zip(asked, read(node, block, calls, require=False), strict=True):
        try:
            ours = rules.get_dy(pool.terms, pool.amp, pool.rates, pool.reserves_raw(), i, j, dx)
        except Revert:
            ours = None
        if ours != (None if isinstance(promised, CallFailed) else promised):
            broken.setdefault(pool.name, f"{promised} of coin {j} for {dx} of coin {i}")
    return list(broken.items())
