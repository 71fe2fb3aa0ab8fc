"""The local chain is what tests take it for, and the product's own contracts do on it what they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chain import calls as calls_module
from chain import contracts
from chain.calls import Call
from fixtures.localchain import SEED, LocalChain, fork, local_chain, undone
from fixtures.localchain.anvil import Node, RpcError
from fixtures.localchain.market import EMODES, RESERVES
from fixtures.localchain.population import plan_accounts
from fixtures.localchain.product import FOLDER, compile_product, runtime_json
from fixtures.localchain.sender import calldata

pytestmark = pytest.mark.localchain

ELSEWHERE = "0x" + "ab" * 20
"""An address where nothing is deployed."""
RAY = 10**27
MIN_SQRT_PRICE, MAX_SQRT_PRICE = 4_295_128_739, 1461446703485210103287273052203988822378723970342
"""TickMath.MIN_SQRT_RATIO and MAX_SQRT_RATIO."""
RESERVE_FIGURES = f"({'uint256,' * 11}uint40)"
USER_FIGURES = f"({'uint256,' * 8}bool)"


def view(node: Node, to: str, signature: str, returns: str, *arguments: Any) -> tuple[Any, ...]:
    """Call a view at the latest block."""
    answer = node.call("eth_call", {"to": to, "data": _hex(calldata(signature, *arguments))}, "latest")
    result: tuple[Any, ...] = decode([returns], bytes.fromhex(answer[2:]))[0]
    return result


def account_data(node: Node, chain: LocalChain) -> dict[str, tuple[int, ...]]:
    """Pool.getUserAccountData of every account."""
    calls = [
        (
            "eth_call",
            [{"to": chain.market.pool, "data": _hex(calldata("getUserAccountData(address)", a))}, "latest"],
        )
        for a in chain.accounts
    ]
    answers = node.batch(calls)
    return {a: decode(["uint256"] * 6, bytes.fromhex(x[2:])) for a, x in zip(chain.accounts, answers, strict=True)}


def transact(node: Node, sender: str, to: str, data: bytes) -> dict[str, Any]:
    """Send a transaction and mine it."""
    tx = {"from": sender, "to": to, "data": _hex(data), "gas": hex(30_000_000), "gasPrice": "0x0"}
    sent = node.call("eth_sendTransaction", tx)
    node.call("evm_mine")
    receipt: dict[str, Any] = node.call("eth_getTransactionReceipt", sent)
    return receipt


def publish(node: Node, chain: LocalChain, symbol: str, price_raw: int) -> None:
    """Set an oracle price."""
    receipt = transact(node, chain.admin, chain.reserves[symbol].feed, calldata("publish(int256)", price_raw))
    assert receipt["status"] == "0x1"


def balance(node: Node, token: str, owner: str) -> int:
    answer = node.call("eth_call", {"to": token, "data": _hex(calldata("balanceOf(address)", owner))}, "latest")
    return int(answer, 16)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


# --- the market ---------------------------------------------------------------------------------------------------


def test_reserves_have_six_different_decimals(chain: LocalChain) -> None:
    decimals = {view(chain.node, r.address, "decimals()", "(uint256)")[0] for r in chain.reserves.values()}
    assert decimals == {6, 8, 9, 10, 18, 24}


def test_no_two_reserves_share_an_index_a_price_or_a_time(chain: LocalChain) -> None:
    figures = [
        view(chain.node, chain.market.data_provider, "getReserveData(address)", RESERVE_FIGURES, r.address)
        for r in chain.reserves.values()
    ]
    indices = [index for f in figures for index in (f[9], f[10])]
    assert min(indices) > RAY
    assert len(set(indices)) == 2 * len(RESERVES)
    prices = {
        view(chain.node, chain.market.oracle, "getAssetPrice(address)", "(uint256)", r.address)
        for r in chain.reserves.values()
    }
    times = {f[11] for f in figures}
    assert len(prices) == len(times) == len(RESERVES)
    assert max(times) < chain.timestamp


def test_caps_and_the_debt_ceiling_are_in_use(chain: LocalChain) -> None:
    provider = chain.market.data_provider
    for symbol, r in chain.reserves.items():
        borrow_cap, supply_cap = view(chain.node, provider, "getReserveCaps(address)", "(uint256,uint256)", r.address)
        unit = 10 ** RESERVES[symbol].decimals
        for cap, token in ((supply_cap, r.a_token), (borrow_cap, r.debt_token)):
            (used,) = view(chain.node, token, "totalSupply()", "(uint256)")
            assert 0.6 < used / (cap * unit) <= 1, symbol
    ceilings = {
        symbol
        for symbol, r in chain.reserves.items()
        if view(chain.node, provider, "getDebtCeiling(address)", "(uint256)", r.address)[0]
    }
    assert ceilings == {"DOT"}


def test_one_reserve_is_collateral_in_an_emode_only(chain: LocalChain) -> None:
    (threshold,) = view(
        chain.node,
        chain.market.pool,
        "getConfiguration(address)",
        "(uint256)",
        chain.reserves["USDT"].address,
    )
    (bitmap,) = view(chain.node, chain.market.pool, "getEModeCategoryCollateralBitmap(uint8)", "(uint128)", 2)
    assert threshold >> 16 & 0xFFFF == 0
    assert bitmap >> list(RESERVES).index("USDT") & 1


# --- the accounts -------------------------------------------------------------------------------------------------


def test_accounts_reach_from_safe_to_nearly_liquidatable(chain: LocalChain) -> None:
    data = account_data(chain.node, chain)
    health = [d[5] / 10**18 for d in data.values() if d[1]]
    assert len(chain.accounts) == 300
    assert len(health) > 250
    assert 1.01 < min(health) < 1.03
    assert 2 < max(health) < 3
    assert sum(h < 1.15 for h in health) > 120
    debts_usd = [d[1] / 10**8 for d in data.values() if d[1]]
    assert min(debts_usd) < 1_000
    assert max(debts_usd) > 1_000_000
    assert sum(usd < 2_000 for usd in debts_usd) > 30


def test_accounts_are_of_every_kind_that_aave_treats_apart(chain: LocalChain) -> None:
    in_emode = {view(chain.node, chain.market.pool, "getUserEMode(address)", "(uint256)", a)[0] for a in chain.accounts}
    assert in_emode == {0, *EMODES}

    held = {
        account: {
            symbol: view(
                chain.node,
                chain.market.data_provider,
                "getUserReserveData(address,address)",
                USER_FIGURES,
                r.address,
                account,
            )
            for symbol, r in chain.reserves.items()
        }
        for account in chain.accounts
    }
    supplied = {a: {s for s, f in by.items() if f[0]} for a, by in held.items()}
    owed = {a: {s for s, f in by.items() if f[2]} for a, by in held.items()}
    enabled = {a: {s for s, f in by.items() if f[8]} for a, by in held.items()}
    assert sum(enabled[a] == {"DOT"} and bool(owed[a]) for a in held) >= 10
    assert sum(bool(supplied[a] - enabled[a]) and bool(owed[a]) for a in held) >= 5
    assert sum(len(enabled[a]) > 1 and len(owed[a]) > 1 for a in held) >= 10
    assert sum(enabled[a] == {"wstETH"} and owed[a] == {"WETH"} for a in held) >= 10
    assert sum("USDT" in enabled[a] for a in held) >= 1
    assert sum(not owed[a] for a in held) >= 20


def test_borrow_events_name_every_debtor_and_some_who_repaid(chain: LocalChain) -> None:
    topic = _hex(keccak(text="Borrow(address,address,address,uint256,uint8,uint256,uint16)"))
    logs = chain.node.call(
        "eth_getLogs",
        {"address": chain.market.pool, "topics": [topic], "fromBlock": "0x0", "toBlock": hex(chain.block)},
    )
    borrowers = {to_checksum_address(log["topics"][2][-40:]) for log in logs}
    debtors = {a for a, d in account_data(chain.node, chain).items() if d[1]}
    repaid = [p for p in plan_accounts(298, SEED) if p.kind == "repaid"]
    assert debtors < borrowers < set(chain.accounts)
    assert len(borrowers - debtors) == len(repaid) >= 10


def test_a_fall_of_weth_by_40_percent_endangers_a_hundred_accounts(chain: LocalChain) -> None:
    price = RESERVES["WETH"].price_raw
    endangered = []
    with undone(chain.node):
        for percent in (90, 80, 70, 60):
            publish(chain.node, chain, "WETH", price * percent // 100)
            data = account_data(chain.node, chain).values()
            endangered.append(sum(d[5] < 10**18 for d in data))
        underwater = sum(d[0] < d[1] for d in data)
    assert endangered == sorted(endangered)
    assert endangered[0] > 30
    assert endangered[-1] >= 100
    assert underwater > 3


# --- the exchanges ------------------------------------------------------------------------------------------------


def test_pools_are_priced_like_the_oracles(chain: LocalChain) -> None:
    for x, pool in chain.pools.items():
        zero, one = sorted((x.base, x.quote), key=lambda s: int(chain.reserves[s].address, 16))
        if x.fee:
            root = view(chain.node, pool, "slot0()", "(uint160,int24)")[0]
            ratio = (root / 2**96) ** 2
        else:
            reserve0, reserve1, _ = view(chain.node, pool, "getReserves()", "(uint112,uint112,uint32)")
            ratio = reserve1 / reserve0
        price = ratio * 10 ** (RESERVES[zero].decimals - RESERVES[one].decimals)
        assert price == pytest.approx(RESERVES[zero].price / RESERVES[one].price, rel=2e-3), x


def test_v3_pools_hold_several_ranges_around_the_price(chain: LocalChain) -> None:
    for x, pool in chain.pools.items():
        if not x.fee:
            continue
        spacing = view(chain.node, pool, "tickSpacing()", "(int24)")[0]
        tick = view(chain.node, pool, "slot0()", "(uint160,int24)")[1]
        ticks = []
        for word in range((tick // spacing >> 8) - 2, (tick // spacing >> 8) + 3):
            (bits,) = view(chain.node, pool, "tickBitmap(int16)", "(uint256)", word)
            ticks += [(word * 256 + bit) * spacing for bit in range(256) if bits >> bit & 1]
        assert sum(t <= tick for t in ticks) >= 3, x
        assert sum(t > tick for t in ticks) >= 2, x


# --- the node -----------------------------------------------------------------------------------------------------


def test_the_same_seed_builds_the_same_blocks() -> None:
    hashes = []
    for seed in (1, 1, 2):
        with local_chain(accounts=24, seed=seed) as built:
            hashes.append(built.block_hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_what_is_undone_and_what_is_done_to_a_fork_leave_the_chain_alone(chain: LocalChain) -> None:
    with undone(chain.node):
        publish(chain.node, chain, "WETH", 1)
    with fork(chain) as forked:
        publish(forked, chain, "WETH", 1)
        assert view(forked, chain.reserves["WETH"].feed, "latestAnswer()", "(int256)") == (1,)
    latest = chain.node.call("eth_getBlockByNumber", "latest", False)
    assert latest["hash"] == chain.block_hash
    assert view(chain.node, chain.reserves["WETH"].feed, "latestAnswer()", "(int256)") == (RESERVES["WETH"].price_raw,)


# --- the product's own contracts ----------------------------------------------------------------------------------


def test_committed_bytecode_is_what_the_source_compiles_to() -> None:
    assert (FOLDER / "runtime.json").read_text() == runtime_json()


def test_signatures_are_those_of_the_compiled_contracts() -> None:
    compiled = {f["name"]: f for a in compile_product().values() for f in a.abi if f["type"] == "function"}

    def types(fields: list[dict[str, Any]]) -> str:
        kinds = (f["type"].replace("tuple", types(f["components"])) if "components" in f else f["type"] for f in fields)
        return f"({','.join(kinds)})"

    for signature in (contracts.TRY_AGGREGATE, contracts.EXECUTE):
        name = signature.partition("(")[0]
        assert signature == name + types(compiled[name]["inputs"]) + types(compiled[name]["outputs"])


def _aggregate(node: Node, require_success: bool, calls: list[tuple[str, bytes]]) -> list[tuple[bool, bytes]]:
    call = Call(ELSEWHERE, contracts.TRY_AGGREGATE, (require_success, calls))
    override = {ELSEWHERE: {"code": _hex(contracts.runtime("Aggregator"))}}
    answer = node.call("eth_call", {"to": ELSEWHERE, "data": _hex(calls_module.encode(call))}, "latest", override)
    return list(calls_module.decode(call, bytes.fromhex(answer[2:])))


def test_an_injected_aggregator_answers_as_direct_calls_do(chain: LocalChain) -> None:
    asked = [calldata("getUserAccountData(address)", a) for a in chain.accounts]
    results = _aggregate(chain.node, True, [(chain.market.pool, data) for data in asked])
    assert [decode(["uint256"] * 6, data) for _, data in results] == list(account_data(chain.node, chain).values())
    assert all(success for success, _ in results)


def test_an_injected_aggregator_reports_a_failing_call_and_goes_on(chain: LocalChain) -> None:
    feed = chain.reserves["WETH"].feed
    good = (feed, calldata("latestAnswer()"))
    failing = (feed, calldata("getRoundData(uint80)", 10**6))
    writing = (chain.reserves["WETH"].address, calldata("mint(address,uint256)", ELSEWHERE, 1))
    price = encode(["int256"], [RESERVES["WETH"].price_raw])
    results = _aggregate(chain.node, False, [good, failing, writing, good])
    assert [success for success, _ in results] == [True, False, False, True]
    assert results[0][1] == results[3][1] == price
    assert b"No data present" in results[1][1]
    with pytest.raises(RpcError, match="Aggregator: call failed"):
        _aggregate(chain.node, True, [good, failing])


@pytest.fixture(scope="module")
def forked(chain: LocalChain) -> Iterator[Node]:
    """A fork with an Executor at ELSEWHERE that owns a great deal of every token."""
    with fork(chain) as node:
        node.call("anvil_setCode", ELSEWHERE, _hex(contracts.runtime("Executor")))
        for symbol, r in chain.reserves.items():
            rich = 10 ** (RESERVES[symbol].decimals + 7)
            transact(node, chain.admin, r.address, calldata("mint(address,uint256)", ELSEWHERE, rich))
        yield node


def _execute(node: Node, chain: LocalChain, call: Call) -> Any:
    """What a call by the executor would return now; then it is executed."""
    wrapped = Call(ELSEWHERE, contracts.EXECUTE, (call.target, calls_module.encode(call)))
    data = calls_module.encode(wrapped)
    answer = node.call("eth_call", {"from": chain.admin, "to": ELSEWHERE, "data": _hex(data)}, "latest")
    receipt = transact(node, chain.admin, ELSEWHERE, data)
    assert receipt["status"] == "0x1"
    return calls_module.decode(call, calls_module.decode(wrapped, bytes.fromhex(answer[2:])))


@pytest.mark.parametrize("zero_for_one", [True, False])
@pytest.mark.parametrize("exact_in", [True, False])
def test_an_executed_v3_swap_moves_what_the_pool_quotes(
    chain: LocalChain, forked: Node, zero_for_one: bool, exact_in: bool
) -> None:
    for x, pool in chain.pools.items():
        if not x.fee:
            continue
        tokens = sorted((chain.reserves[x.base].address, chain.reserves[x.quote].address), key=str.lower)
        pay, receive = tokens if zero_for_one else tokens[::-1]
        amount = balance(forked, pay if exact_in else receive, pool) // 5
        limit = MIN_SQRT_PRICE + 1 if zero_for_one else MAX_SQRT_PRICE - 1
        paid_before, got_before = balance(forked, pay, ELSEWHERE), balance(forked, receive, chain.admin)
        signature = "swap(address,bool,int256,uint160,bytes)(int256,int256)"
        arguments = (chain.admin, zero_for_one, amount if exact_in else -amount, limit, b"")
        amounts = _execute(forked, chain, Call(pool, signature, arguments))
        paid, got = amounts if zero_for_one else amounts[::-1]
        assert (paid if exact_in else -got) == amount
        assert paid_before - balance(forked, pay, ELSEWHERE) == paid
        assert balance(forked, receive, chain.admin) - got_before == -got


def test_an_executed_v2_swap_takes_the_most_the_pair_allows(chain: LocalChain, forked: Node) -> None:
    for x, pair in chain.pools.items():
        if x.fee:
            continue
        reserve0, reserve1, _ = view(forked, pair, "getReserves()", "(uint112,uint112,uint32)")
        pay, receive = sorted((chain.reserves[x.base].address, chain.reserves[x.quote].address), key=str.lower)
        amount = reserve0 // 9
        most = amount * 997 * reserve1 // (reserve0 * 1000 + amount * 997)
        swap = "swap(uint256,uint256,address,bytes)()"
        _execute(forked, chain, Call(pay, "transfer(address,uint256)()", (pair, amount)))
        with pytest.raises(RpcError, match="K"):
            _execute(forked, chain, Call(pair, swap, (0, most + 1, ELSEWHERE, b"")))
        before = balance(forked, receive, ELSEWHERE)
        _execute(forked, chain, Call(pair, swap, (0, most, ELSEWHERE, b"")))
        assert balance(forked, receive, ELSEWHERE) - before == most


def test_the_executor_liquidates_with_tokens_that_return_nothing(chain: LocalChain, forked: Node) -> None:
    weth, usdt = chain.reserves["WETH"], chain.reserves["USDT"]
    with undone(forked):
        publish(forked, chain, "WETH", RESERVES["WETH"].price_raw * 8 // 10)
        unhealthy = [a for a, d in account_data(forked, chain).items() if d[5] < 10**18]
        targets = [a for a in unhealthy if balance(forked, usdt.debt_token, a) and balance(forked, weth.a_token, a)]
        assert len(targets) >= 2
        approve = "approve(address,uint256)()"
        _execute(forked, chain, Call(usdt.address, approve, (chain.market.pool, 2**256 - 1)))
        for target in targets[:2]:
            owed, held = balance(forked, usdt.debt_token, target), balance(forked, weth.address, ELSEWHERE)
            signature = "liquidationCall(address,address,address,uint256,bool)()"
            arguments = (weth.address, usdt.address, target, 2**256 - 1, False)
            _execute(forked, chain, Call(chain.market.pool, signature, arguments))
            assert balance(forked, usdt.debt_token, target) < owed
            assert balance(forked, weth.address, ELSEWHERE) > held
