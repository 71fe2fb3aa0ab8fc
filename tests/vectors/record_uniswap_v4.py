"""Records what Uniswap v4's PoolManager answers: ``python -m tests.vectors.record_uniswap_v4`` writes its vector file.

Each world is one pool of random ranges on the local chain's node. The state before and after a swap is what Uniswap's
own StateLibrary reads.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi.abi import decode
from eth_utils.crypto import keccak

from fixtures.localchain.anvil import DETERMINISTIC, GENESIS, Node, RpcError, anvil
from fixtures.localchain.sender import GAS, Sender, calldata
from fixtures.localchain.toolchain import artifacts
from fixtures.localchain.uniswap_v4 import KEY, MODIFY, NOBODY, SWAP, Key, pool_id
from protocols.amm.uniswap_v3.ticks import MAX_SQRT_PRICE_X96, MAX_TICK, MIN_SQRT_PRICE_X96, sqrt_price_at_tick

FILE = Path(__file__).parent / "data" / "uniswap_v4.json.gz"
SEED = 44
CASES = 34
"""Of each world."""
LONGEST = 4
"""Swaps that follow each other before the chain goes back."""

# Fee of the liquidity providers, tick spacing, protocol fee where token 0 and where token 1 is paid in; middle tick,
# and least and most liquidity of a range as powers of ten.
WORLDS = (
    (3_000, 60, 0, 0, 0, 17, 23),
    (500, 10, 500, 500, -200_000, 14, 20),
    (100, 1, 0, 0, 40, 15, 22),
    (10_000, 200, 1_000, 0, 150_000, 16, 24),
    (0, 60, 0, 0, -3_000, 18, 22),
    (0, 10, 1_000, 1, 12_345, 12, 19),
    (1, 1, 1, 1_000, -276_000, 13, 19),
    (450, 9, 90, 0, 200_100, 18, 26),
    (2_900, 58, 500, 700, -100, 3, 6),
    (250_000, 2_000, 1, 1, 500_000, 18, 23),
    (50_000, 32_767, 0, 300, -600_000, 20, 25),
    (999_999, 60, 0, 0, 0, 18, 22),
    (1_000_000, 60, 0, 0, 900, 18, 22),
    (999_000, 60, 1_000, 999, -900, 18, 22),
    (3_000, 60, 250, 250, 0, 29, 33),
)
LIMITS = {True: MIN_SQRT_PRICE_X96 + 1, False: MAX_SQRT_PRICE_X96 - 1}
"""No limit, by direction."""
UNITS = {
    "lpFee": "slot0.lpFee: the key's static fee, hundredths of a basis point (3000 = 0.3 %); 1000000 = 100 %",
    "protocolFee": "slot0.protocolFee: low 12 bits where token 0 is paid in, high 12 bits where token 1 is; "
    "hundredths of a basis point of the amount paid in",
    "sqrtPriceX96": "sqrt(token1/token0) * 2^96 of raw wei",
    "tick": "slot0.tick",
    "liquidity": "active liquidity (uint128)",
    "feeGrowthGlobal0X128,feeGrowthGlobal1X128": "pool fee growth, Q128.128 mod 2^256",
    "protocolFeesAccrued0/1": "protocolFeesAccrued of the pool's currencies, which no other pool has, wei",
    "ticks": "every initialised tick in ascending order: tick, liquidityGross, liquidityNet (signed), "
    "feeGrowthOutside0X128/1X128",
    "call.zeroForOne": "true: token 0 in, token 1 out (price falls)",
    "call.amountSpecified": "<0 exact input, >0 exact output, token wei",
    "call.sqrtPriceLimitX96": "limit passed to PoolManager.swap",
    "result.amount0,amount1": "BalanceDelta as swap returns it, from the point of view of the caller (negative = owed)",
    "result.after": "state after; of ticks only those whose feeGrowthOutside changed",
    "result.error": "name of the custom error whose selector and arguments `data` holds",
    "chain": "k>0: executed after the preceding case(s) without going back",
}


@dataclass(frozen=True)
class World:
    """One pool on the node."""

    node: Node
    account: str
    manager: str
    view: str
    seeder: str
    key: Key
    ticks: Sequence[int]

    def state(self) -> dict[str, Any]:
        """All that a swap reads or changes."""
        which = (self.manager, pool_id(self.key))
        price, tick, protocol_fee, lp_fee = self._view("slot0", "uint160,int24,uint24,uint24", *which)
        (liquidity,) = self._view("liquidity", "uint128", *which)
        growth0, growth1 = self._view("feeGrowth", "uint256,uint256", *which)
        fees = [
            decode(["uint256"], self._call(self.manager, calldata("protocolFeesAccrued(address)", currency)))[0]
            for currency in self.key[:2]
        ]
        names = ("tick", "liquidityGross", "liquidityNet", "feeGrowthOutside0X128", "feeGrowthOutside1X128")
        ticks = [(t, *self._view("tick", "uint128,int128,uint256,uint256", *which, t)) for t in self.ticks]
        return {
            "lpFee": str(lp_fee),
            "tickSpacing": str(self.key[3]),
            "sqrtPriceX96": str(price),
            "tick": str(tick),
            "protocolFee": str(protocol_fee),
            "liquidity": str(liquidity),
            "feeGrowthGlobal0X128": str(growth0),
            "feeGrowthGlobal1X128": str(growth1),
            "protocolFeesAccrued0": str(fees[0]),
            "protocolFeesAccrued1": str(fees[1]),
            "ticks": [dict(zip(names, map(str, tick), strict=True)) for tick in ticks],
        }

    def held(self) -> tuple[int, int]:
        """What the PoolManager has of both tokens."""
        owner = calldata("balanceOf(address)", self.manager)
        zero, one = (decode(["uint256"], self._call(token, owner))[0] for token in self.key[:2])
        return zero, one

    def swap(self, call: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
        """Execute a swap; the result as the file has it."""
        arguments = (call["zeroForOne"], int(call["amountSpecified"]), int(call["sqrtPriceLimitX96"]))
        data = calldata("actV4(address,bytes)", self.manager, calldata(SWAP, self.key, arguments, b""))
        try:
            delta = int.from_bytes(self._call(self.seeder, data), "big", signed=True)
        except RpcError as error:
            return _revert(str(error))
        tx = {"from": self.account, "to": self.seeder, "data": "0x" + data.hex(), "gas": hex(GAS), "gasPrice": "0x0"}
        sent = self.node.call("eth_sendTransaction", tx)
        self.node.call("evm_mine")
        if self.node.call("eth_getTransactionReceipt", sent)["status"] != "0x1":
            raise RuntimeError(f"a swap that a call made reverted: {call}")
        after = self.state()
        changed = [now for was, now in zip(before["ticks"], after["ticks"], strict=True) if was != now]
        kept = {name: value for name, value in after.items() if name not in ("lpFee", "tickSpacing", "protocolFee")}
        kept["ticks_changed"] = changed
        del kept["ticks"]
        low = delta % 2**128
        amounts = {"amount0": str(delta >> 128), "amount1": str(low - (low >> 127 << 128))}
        return {"reverted": False, **amounts, "after": kept}

    def _view(self, name: str, returns: str, *arguments: Any) -> tuple[Any, ...]:
        types = "address,bytes32,int24" if len(arguments) > 2 else "address,bytes32"
        return decode(returns.split(","), self._call(self.view, calldata(f"{name}({types})", *arguments)))

    def _call(self, to: str, data: bytes) -> bytes:
        asked = {"from": self.account, "to": to, "data": "0x" + data.hex(), "gas": hex(GAS)}
        return bytes.fromhex(self.node.call("eth_call", asked, "latest")[2:])


def _revert(words: str) -> dict[str, Any]:
    found = re.search(r"'data': '(0x[0-9a-f]*)'", words)
    if found is None:
        raise RuntimeError(f"no revert data in: {words}")
    data = found[1]
    errors = {
        e["name"]: [i["type"] for i in e["inputs"]] for e in artifacts()["PoolManager"].abi if e["type"] == "error"
    }
    # of libraries, so not in the contract's own interface
    errors |= {"SafeCastOverflow": [], "InvalidFeeForExactOut": []}
    errors |= {"PriceLimitAlreadyExceeded": ["uint160", "uint160"], "PriceLimitOutOfBounds": ["uint160"]}
    selectors = {"0x" + keccak(text=f"{name}({','.join(types)})")[:4].hex(): name for name, types in errors.items()}
    return {"reverted": True, "selector": data[:10], "error": selectors[data[:10]], "data": data}


def make_world(admin: Sender, manager: str, view: str, number: int, dice: random.Random) -> World:
    """A fresh pair of tokens, and a pool of them with some ranges."""
    fee, spacing, protocol0, protocol1, middle, least, most = WORLDS[number]
    zero, one = sorted((admin.deploy("Token", "T", "T", 18) for _ in range(2)), key=lambda a: int(a, 16))
    seeder = admin.deploy("Seeder")
    key = (zero, one, fee, spacing, NOBODY)
    price = sqrt_price_at_tick(middle) + dice.randrange(max(sqrt_price_at_tick(middle) // 10**6, 1))
    admin.send(manager, f"initialize({KEY},uint160)", key, price)
    if protocol0 or protocol1:
        admin.send(manager, f"setProtocolFee({KEY},uint24)", key, protocol1 << 12 | protocol0)
    last, centre = MAX_TICK // spacing, middle // spacing
    ranges = {(-last, last)} if number % 3 == 2 else set()
    for _ in range(dice.randint(2, 9)):
        wide = max(min(int(10 ** dice.uniform(0, 2.6)), last // 2), 1)
        lower = max(min(centre + dice.randint(-2 * wide, wide), last - 1), -last)
        ranges.add((lower, min(lower + dice.randint(1, 2 * wide), last)))
    if number == len(WORLDS) - 1:
        ranges = {(-last, last), (centre - 50, centre + 70)}
    for lower, upper in sorted(ranges):
        liquidity = int(10 ** dice.uniform(least, most))
        data = calldata(MODIFY, key, (lower * spacing, upper * spacing, liquidity, bytes(32)), b"")
        admin.send(seeder, "actV4(address,bytes)", manager, data)
    admin.mine()
    ticks = sorted({edge * spacing for pair in ranges for edge in pair})
    return World(admin.node, admin.account, manager, view, seeder, key, ticks)


def make_call(state: dict[str, Any], held: tuple[int, int], dice: random.Random) -> tuple[str, dict[str, Any]]:
    """Some swap, and what it is meant to be."""
    down = dice.random() < 0.5
    amount_in, amount_out = (max(amount, 10**6) for amount in (held if down else held[::-1]))
    price, limit = int(state["sqrtPriceX96"]), LIMITS[down]
    kinds = {
        "dust": -dice.randint(1, 1_000),
        "small": -int(amount_in * 10 ** dice.uniform(-6, -3)) - 1,
        "mid": -int(amount_in * dice.uniform(0.01, 0.3)) - 1,
        "large": -int(amount_in * dice.uniform(0.5, 5)) - 1,
        "exhaust": -min(int(amount_in * 10 ** dice.uniform(2, 9)), 2**127 - 1),
        "everything": -dice.choice((2**127 - 1, 2**127, 2**200, 2**255)),
        "out dust": dice.randint(1, 1_000),
        "out mid": int(amount_out * 10 ** dice.uniform(-4, -0.5)) + 1,
        "out all": int(amount_out * dice.uniform(0.5, 3)) + 1,
        "nothing": 0,
    }
    weights = (2, 3, 6, 6, 4, 2, 1, 4, 2, 0.4)
    (label,) = dice.choices(list(kinds), weights)
    pick = dice.random()
    if pick < 0.25:
        near = int(price * (1 - dice.uniform(1e-7, 0.2)) if down else price * (1 + dice.uniform(1e-7, 0.2)))
        limit, label = min(max(near, LIMITS[True]), LIMITS[False]), f"{label}, limit"
    elif pick < 0.4:
        ahead = [t for t in (int(tick["tick"]) for tick in state["ticks"]) if (sqrt_price_at_tick(t) < price) == down]
        if ahead:
            limit, label = sqrt_price_at_tick(dice.choice(ahead)) + dice.choice((-1, 0, 0, 1)), f"{label}, tick"
    elif pick < 0.47:
        wrong = (price, price + (1 if down else -1), MIN_SQRT_PRICE_X96, MAX_SQRT_PRICE_X96, 0, 2**160 - 1)
        limit, label = dice.choice(wrong), f"{label}, wrong limit"
    return label, {
        "zeroForOne": down,
        "amountSpecified": str(kinds[label.split(",")[0]]),
        "sqrtPriceLimitX96": str(limit),
    }


def cases(world: World, number: int, dice: random.Random) -> Iterator[dict[str, Any]]:
    """The cases of one world."""
    start, chain = world.node.call("evm_snapshot"), 0
    before = world.state()
    for place in range(CASES):
        label, call = make_call(before, world.held(), dice)
        result = world.swap(call, before)
        name = f"v4-{number}"
        identity = {"id": f"{name}-{place:04}", "world": name, "chain": str(chain), "amount_label": label}
        yield {**identity, "before": before, "call": call, "result": result}
        chain += not result["reverted"]
        if chain > LONGEST or dice.random() < 0.4:
            world.node.call("evm_revert", start)
            start, chain = world.node.call("evm_snapshot"), 0
        before = world.state()


def record() -> dict[str, Any]:
    """The file's content."""
    found: list[dict[str, Any]] = []
    with anvil(*DETERMINISTIC, "--no-mining") as node:
        admin = Sender(node, node.call("eth_accounts")[0], GENESIS)
        manager, view = admin.deploy("PoolManager", admin.account), admin.deploy("StateView")
        admin.send(manager, "setProtocolFeeController(address)", admin.account)
        # before any case: going back would take the sender's count of transactions along
        worlds = [make_world(admin, manager, view, n, random.Random(f"{SEED} {n}")) for n in range(len(WORLDS))]
        for number, world in enumerate(worlds):
            found += cases(world, number, random.Random(f"{SEED} cases {number}"))
    return {
        "protocol": "uniswap_v4",
        "version": "1.0.2",
        "source": "npm @uniswap/v4-core@1.0.2 shipped artifact (PoolManager bytecode), read by its StateLibrary",
        "compiler": "as shipped in the npm artifact (solc 0.8.26, viaIR, evmVersion=cancun); anvil 1.7.1",
        "units": UNITS,
        "n_cases": len(found),
        "cases": found,
    }


if __name__ == "__main__":
    text = json.dumps(record(), separators=(",", ":"))
    FILE.write_bytes(gzip.compress(text.encode(), mtime=0))
