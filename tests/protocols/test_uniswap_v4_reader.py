"""What the reader brings from a real PoolManager is what Uniswap's own library reads, and quotes are what swaps do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import pytest

from chain.calls import Call, read
from chain.deployments import Deployment
from chain.fork import Fork, Reverted
from chain.node import Block, Node
from chain.snapshot import Snapshot
from chain.tables import Table
from fixtures.localchain.anvil import CHAIN_ID, DETERMINISTIC, GENESIS, anvil
from fixtures.localchain.market import RESERVES
from fixtures.localchain.sender import Sender
from fixtures.localchain.uniswap_v4 import (
    DYNAMIC_FEE,
    NATIVE,
    NOBODY,
    WRAPPED,
    Key,
    Pool,
    UniswapV4,
    deploy_uniswap_v4,
    pool_id,
)
from protocols.amm.revert import Revert
from protocols.amm.uniswap_v4.key import read_key
from protocols.amm.uniswap_v4.onfork import OnFork
from protocols.amm.uniswap_v4.pool import UniswapV4Pool
from protocols.amm.uniswap_v4.reader import read_deployment
from protocols.amm.uniswap_v4.tables import POOLS, TICKS, load
from protocols.reading import Reading

pytestmark = pytest.mark.localchain
SLOT0 = "slot0(address,bytes32)(uint160,int24,uint24,uint24)"
TICK = "tick(address,bytes32,int24)(uint128,int128,uint256,uint256)"


@dataclass(frozen=True)
class Here:
    """A chain with Uniswap v4 alone, and what the reader says of it."""

    exchange: UniswapV4
    tokens: dict[str, str]
    node: Node
    block: Block
    deployment: Deployment

    def reading(self, symbols: set[str]) -> Reading:
        tokens = [self.tokens[symbol].lower() for symbol in symbols]
        return read_deployment(self.node, self.block, self.deployment, tokens, lambda _: lambda done, total: None)

    def pools(self) -> dict[str, UniswapV4Pool]:
        tables = {schema.name: Table.from_rows(schema, list(rows)) for schema, rows in self.everything.rows.items()}
        facts = (self.block.chain_id, self.block.number, self.block.hash, self.block.timestamp)
        return {pool.name: pool for pool in load(Snapshot(*facts, "node", (), {}, tables))}

    @property
    def everything(self) -> Reading:
        return self.reading(set(RESERVES))

    def fork(self) -> Fork:
        block = self.block
        return Fork(
            self.node.url,
            block_hash=block.hash,
            number=block.number,
            timestamp=block.timestamp,
            chain_id=block.chain_id,
        )


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    with anvil(*DETERMINISTIC, "--no-mining") as node:
        admin = Sender(node, node.call("eth_accounts")[0], GENESIS)
        tokens = {
            r.symbol: admin.deploy("SilentToken" if r.silent else "Token", r.name, r.symbol, r.decimals)
            for r in RESERVES.values()
        }
        exchange = deploy_uniswap_v4(admin, tokens, 40_000_000.0)
        addresses = {"manager": exchange.manager.lower(), "wrapped_native": exchange.wrapped_native.lower()}
        deployment = Deployment(CHAIN_ID, "uniswap-v4", "amm", "uniswap_v4", "", addresses, 0, "")
        with Node(node.url, cache_dir=None) as reader:
            yield Here(exchange, tokens, reader, reader.pin("latest"), deployment)


def modelled(pool: Pool) -> bool:
    return pool.hooks == NOBODY and bool(pool.depth) and {pool.base, pool.quote} != {NATIVE, WRAPPED}


def name_of(here: Here, key: Key) -> str:
    zero, one, fee, spacing, _ = key
    return f"{here.exchange.manager}/{zero}/{one}/{fee}/{spacing}".lower()


def test_the_pools_found_are_those_without_hooks_that_have_liquidity(here: Here) -> None:
    rows = {row["pool"]: row for row in here.everything.rows[POOLS]}
    expected = {name_of(here, key): key for pool, key in here.exchange.keys.items() if modelled(pool)}
    assert rows.keys() == expected.keys()
    for name, key in expected.items():
        assert rows[name]["pool_id"] == "0x" + pool_id(key).hex()
        assert read_key(name).pool_id == pool_id(key)
        currencies = [here.exchange.wrapped_native if currency == NOBODY else currency for currency in key[:2]]
        assert [rows[name]["token0"], rows[name]["token1"]] == [address.lower() for address in currencies]


def test_price_fees_and_liquidity_are_what_the_contract_s_own_library_reads(here: Here) -> None:
    manager, view = here.exchange.manager, here.exchange.view
    for row in here.everything.rows[POOLS]:
        which = (manager, bytes.fromhex(row["pool_id"][2:]))
        calls = [Call(view, SLOT0, which), Call(view, "liquidity(address,bytes32)(uint128)", which)]
        slot0, liquidity = read(here.node, here.block, calls)
        assert (row["sqrt_price_x96"], row["tick"], row["protocol_fee"], row["lp_fee_pips"]) == slot0
        assert row["liquidity"] == liquidity > 0
    assert {row["protocol_fee"] for row in here.everything.rows[POOLS]} == {
        pool.protocol_fee for pool in here.exchange.keys if modelled(pool)
    }


def test_ticks_are_every_one_that_the_contract_has_and_carry_its_liquidity(here: Here) -> None:
    manager, view = here.exchange.manager, here.exchange.view
    reading = here.everything
    for row in reading.rows[POOLS]:
        which = (manager, bytes.fromhex(row["pool_id"][2:]))
        own = {tick["tick"]: tick["liquidity_net"] for tick in reading.rows[TICKS] if tick["pool"] == row["pool"]}
        assert len(own) == 10, "five ranges"
        answers = read(here.node, here.block, [Call(view, TICK, (*which, tick)) for tick in own])
        assert list(own.values()) == [answer[1] for answer in answers]
        assert sum(own.values()) == 0
        last = 887_272 // row["tick_spacing"]
        words = range(-last - 1 >> 8, (last >> 8) + 1)
        bitmap = "bitmap(address,bytes32,int16)(uint256)"
        found = read(here.node, here.block, [Call(view, bitmap, (*which, word)) for word in words], bundle=1000)
        assert sum(word.bit_count() for word in found) == len(own)


def test_what_is_left_out_or_taken_for_something_else_is_noted(here: Here) -> None:
    hooked = ["0x" + pool_id(key).hex() for pool, key in here.exchange.keys.items() if pool.hooks != NOBODY]
    assert len(hooked) == 2
    assert any(pool.fee == DYNAMIC_FEE for pool in here.exchange.keys)
    wrapped = here.exchange.wrapped_native.lower()
    assert here.everything.notes == [
        "uniswap-v4: pools with hooks are not modelled and left out (2, 1 of them with a dynamic fee): "
        f"{', '.join(hooked)}.",
        "uniswap-v4: pools between the chain's own currency and what wraps it are left out (1).",
        "uniswap-v4: pools without liquidity at their price are left out (1).",
        f"uniswap-v4: pools of the chain's own currency are taken for pools of {wrapped}, which wraps it (1).",
    ]


def test_pools_between_other_tokens_are_not_looked_at(here: Here) -> None:
    reading = here.reading({"USDC", "USDT", "WBTC"})
    currencies = {frozenset(read_key(row["pool"])[1:3]) for row in reading.rows[POOLS]}
    tokens = {symbol: address.lower() for symbol, address in here.tokens.items()}
    assert currencies == {
        frozenset((tokens["USDC"], tokens["USDT"])),
        frozenset((tokens["WBTC"], tokens["USDT"])),
    }
    assert reading.notes == []
    assert here.reading({"USDC"}).rows == {POOLS: [], TICKS: []}


@pytest.mark.parametrize("part", [2**80, 10**4, 300, 9, 1])
def test_swaps_do_what_was_quoted_one_after_the_other(here: Here, part: int) -> None:
    contract = OnFork(here.fork())
    for pool, side in product(here.pools().values(), (0, 1)):
        before = pool.slot
        amount = max(pool.reserves_raw()[side] // part, 1)
        quoted = pool.quote(side, 1 - side, amount)
        assert quoted == pool.swap(side, 1 - side, amount)
        row = row_of(pool, side, amount, 0, quoted.paid_raw)
        assert contract.swap(row) == (quoted.paid_raw, quoted.received_raw)
        assert quoted.received_raw > 0 or amount < 10**6
        assert pool.slot != before


@pytest.mark.parametrize("ratio", [0.2, 0.97, 1.04, 7.0])
def test_arbitrage_moves_the_contract_to_the_price_that_it_moves_the_pool_to(here: Here, ratio: float) -> None:
    fork = here.fork()
    contract = OnFork(fork)
    for pool in here.pools().values():
        trade = pool.trade_to(0, 1, pool.price(0, 1) * ratio)
        assert trade is not None
        fill = pool.swap(trade.sold, trade.bought, trade.amount_raw, trade.limit_raw)
        row = row_of(pool, trade.sold, trade.amount_raw, trade.limit_raw, fill.paid_raw)
        assert contract.swap(row) == (fill.paid_raw, fill.received_raw)
        price, tick, *_ = fork.read(
            Call(here.exchange.view, SLOT0, (read_key(pool.name)[0], read_key(pool.name).pool_id))
        )
        assert (price, tick) == (pool.slot.sqrt_price_x96, pool.slot.tick)


def test_the_contract_refuses_what_the_pool_refuses(here: Here) -> None:
    contract = OnFork(here.fork())
    for pool in here.pools().values():
        behind = pool.slot.sqrt_price_x96 + 1
        with pytest.raises(Revert, match="PriceLimitAlreadyExceeded"):
            pool.swap(0, 1, 10**6, behind)
        with pytest.raises(Reverted, match="7c9c6e8f"):
            contract.swap(row_of(pool, 0, 10**6, behind, 10**6))


def test_a_deployment_of_another_manager_has_pools_of_its_own(here: Here) -> None:
    elsewhere = replace(here.deployment, addresses=here.deployment.addresses | {"manager": "0x" + "ab" * 20})
    assert replace(here, deployment=elsewhere).everything.rows == {POOLS: [], TICKS: []}


def row_of(pool: UniswapV4Pool, side: int, amount: int, limit: int, paid: int) -> dict[str, object]:
    """The row of a run's swaps."""
    facts = {"venue": pool.name, "token_in": pool.tokens[side], "token_out": pool.tokens[1 - side]}
    return {**facts, "amount_raw": amount, "limit_raw": limit, "paid_raw": paid}
