"""Nothing appears and nothing is lost: every token that leaves a place arrives at another, to the unit.

`tests.simulator.conftest` keeps a ledger beside every run of this folder's tests; here are runs long and mixed enough
for that to mean something, and proofs that the ledger would notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chain.snapshot import Snapshot
from chain.tables import Table
from protocols.amm.interface import Fill
from protocols.amm.uniswap_v2.pool import UniswapV2Pair
from protocols.amm.uniswap_v3.pool import UniswapV3Pool
from protocols.lending.aave_v3.market import AaveV3Market
from protocols.lending.compound_v3.market import CompoundV3Market
from protocols.lending.interface import Settlement
from simulator.book import open_book
from simulator.cascade import Cascade
from simulator.measures.attribution import FROM_DISCOUNT, slippage_paid
from simulator.run import LIQUIDATIONS, Run
from simulator.scans.screen import workers
from simulator.scenario import Scenario
from tests.protocols.compound_v3_markets import simple_comet
from tests.simulator.books import (
    ASSETS,
    ETH,
    POOLS,
    START,
    USD,
    Account,
    Played,
    make_scenario,
    make_snapshot,
    play,
    with_rates,
)
from tests.simulator.exchanges import one_of_each
from tests.simulator.ledger import ROUNDED, holdings
from tests.simulator.plain import FRICTIONLESS, compound_market, together

SYMBOLS = tuple(asset.symbol for asset in ASSETS)
ADDRESSES = tuple(asset.address for asset in ASSETS)
PRICES = {asset.symbol: asset.price_usd for asset in ASSETS}


def borrowers(count: int, seed: int, low: float, high: float) -> dict[str, Account]:
    """Accounts that owe between two shares of what they hold, of every pair of tokens and of very different sizes."""
    draw = np.random.default_rng(seed)
    accounts = {}
    for number in range(count):
        held, owed = draw.choice(SYMBOLS, 2, replace=False)
        usd = float(10 ** draw.uniform(3.5, 6.3))
        supplied = {str(held): usd / PRICES[held]}
        debt = {str(owed): usd * float(draw.uniform(low, high)) / PRICES[owed]}
        if draw.random() < 0.3:
            more = str(draw.choice(SYMBOLS))
            supplied[more] = supplied.get(more, 0.0) + 0.3 * usd / PRICES[more]
        if draw.random() < 0.3:
            more = str(draw.choice(SYMBOLS))
            debt[more] = debt.get(more, 0.0) + 0.15 * usd / PRICES[more]
        accounts[f"{seed}-{number:02}"] = Account(supplied, debt)
    return accounts


def walk(steps: int, seed: int, step: float, back: float = 0.003, jumps: float = 0.0) -> list[float]:
    """Factors of a price that wanders both ways, the wider the later, and comes back slowly; now and then it jumps."""
    draw = np.random.default_rng(seed)
    level, levels = 0.0, []
    for number, move in enumerate(draw.standard_normal(steps)):
        level += step * float(move) * (0.5 + number / steps) - back * level
        if draw.random() < 0.001:
            level += jumps * float(draw.choice((-1.0, 1.0)))
        levels.append(float(np.exp(level)))
    return levels


STEP_S = 1800.0
"""Half an hour, so that 10,000 steps are seven months of interest."""


def mixed(count: int) -> Snapshot:
    """An Aave v3 market and a Compound v2 market over the same four tokens, selling into the same six pools."""
    assets = with_rates(ASSETS, ETH=0.03, USD=0.09, DAI=0.07, BTC=0.013)
    aave = make_snapshot(borrowers(count, 1, 0.3, 0.72), POOLS, assets)
    factors = tuple(replace(asset, threshold=asset.threshold - 300) for asset in assets)
    settings: dict[str, float] = {"rate": 0.08, "seize_share": 0.028, "incentive": 1.08}
    return together(aave, compound_market(borrowers(count, 2, 0.3, 0.69), factors, **settings))


def everything_on(steps: int) -> Scenario:
    """Random prices of every token, and every friction, delay and feedback that a scenario can have."""
    moves = {
        "ETH": walk(steps, 3, 0.025, jumps=0.5),
        "BTC": walk(steps, 4, 0.02, jumps=0.4),
        "DAI": walk(steps, 5, 0.004, 0.02, jumps=0.1),
    }
    times = [STEP_S * step for step in range(steps + 1)]
    return make_scenario(
        prices=[{"tokens": [token], "seconds": times, "values": [1.0, *path]} for token, path in moves.items()],
        steps=steps,
        step_s=STEP_S,
        oracles={
            "deviation": 0.005,
            "heartbeat_s": 3 * STEP_S,
            "delay_s": STEP_S / 2,
            "per_token": {"BTC": {"deviation": 0.02, "delay_s": STEP_S}, "DAI": {"deviation": 0.003}},
            "faults": [
                {"tokens": ["ETH"], "kind": "stuck", "from_s": 300 * STEP_S, "until_s": 340 * STEP_S},
                {"tokens": ["BTC"], "kind": "late", "value": 5 * STEP_S, "until_s": 900 * STEP_S},
                {"tokens": ["DAI"], "kind": "factor", "value": 1.06, "from_s": 2000 * STEP_S, "until_s": 2003 * STEP_S},
                {
                    "tokens": ["ETH"],
                    "kind": "floor",
                    "value": 1500.0,
                    "from_s": 5000 * STEP_S,
                    "until_s": 5100 * STEP_S,
                },
                {"tokens": ["DAI"], "kind": "ceiling", "value": 1.01, "from_s": 7000 * STEP_S},
            ],
        },
        liquidators={
            "gas_usd": 7.0,
            "flash_fee": 0.0005,
            "minimum_profit_usd": 1.0,
            "capital_usd": 150_000.0,
            "per_step": 3,
            "congestion": 1.0,
            "latency_s": STEP_S / 2,
            "sell": "best",
            "outside_haircut": 0.02,
            "inventory_usd": 40_000.0,
            "turnover_s": 5 * STEP_S,
        },
        venues={
            "impact": 0.2,
            "permanent": 0.6,
            "arbitrage_half_life_s": STEP_S / 3,
            "withdrawal": 0.2,
            "anchored": ["USD"],
            "books": [
                {"token": "BTC", "quote": "USD", "law": "linear", "depth": 900.0, "volatility": 0.04},
                {"token": "ETH", "quote": "DAI", "law": "floored", "depth": 7000.0, "floor": 0.2, "half_spread": 0.001},
                {"token": "ETH", "quote": "BTC", "law": "square_root", "depth": 2e4, "volatility": 0.03},
            ],
        },
    )


@pytest.fixture(scope="module")
def long() -> Played:
    """Ten thousand steps; one thread, because waking others costs more than so small a book takes to scan."""
    with workers(1):
        return play(mixed(24), everything_on(10_000), one_of_each)


def test_ten_thousand_random_steps_with_everything_on_conserve_every_unit(long: Played) -> None:
    # the ledger beside the run has compared; this says that there was something to compare
    record = long.record
    assert len(record.steps) == 10_000
    for market in ("pool", "comptroller"):
        own = [row for row in record.liquidations if row["market"] == market]
        assert len(own) > 20
        assert {row["debt"] for row in own} == {row["collateral"] for row in own} == set(ADDRESSES)
    assert len({row["account"] for row in record.liquidations}) > 20
    assert len({row["step"] for row in record.liquidations}) > 50
    assert len(record.deficits) > 3
    assert {row["venue"] for row in record.swaps if row["liquidation"] >= 0} == {v.name for v in long.book.venues}
    assert sum(row["liquidation"] < 0 for row in record.swaps) > 10_000
    assert {row["liquidation"] for row in record.liquidations} - {row["liquidation"] for row in record.swaps}, "outside"


def test_over_ten_thousand_steps_nobodys_debt_falls_but_by_repayment_or_by_being_written_off(long: Played) -> None:
    acted = {(row["market"], row["account"]) for row in long.record.liquidations}
    quiet = 0
    for was, now in zip(long.before.markets, long.book.markets, strict=True):
        for account, name in enumerate(now.accounts):
            if (now.name, name) in acted:
                continue
            quiet += 1
            for before, after in zip(holdings(was, account), holdings(now, account), strict=True):
                assert after.owed >= before.owed
                assert after.supplied >= before.supplied
                # seven months at most at 11 % a year
                assert after.owed <= before.owed * 1.1 + 1
    assert quiet > 5


PLUNGE = {"ETH": [0.8, 0.55, 0.9, 1.3], "BTC": [0.9, 1.2, 0.7, 0.8], "DAI": [1.0, 1.02, 1.1, 1.0]}


@pytest.mark.parametrize("version", ["3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7"])
def test_every_version_conserves(version: str) -> None:
    snapshot = make_snapshot(borrowers(40, 8, 0.6, 0.77), assets=with_rates(ASSETS, ETH=0.3, USD=0.9), version=version)
    played = play(snapshot, make_scenario(PLUNGE, steps=6, step_s=STEP_S, venues={"impact": 0.3}))
    assert len(played.record.liquidations) >= 15
    assert (played.record.deficits != []) == (version >= "3.3")


def test_what_is_sold_outside_is_accounted_for() -> None:
    played = play(mixed(30), make_scenario(PLUNGE, steps=5, liquidators=FRICTIONLESS))
    assert len(played.record.liquidations) > 20
    assert {row["liquidation"] for row in played.record.swaps} == {-1}


def test_without_interest_what_accounts_lose_is_what_others_get() -> None:
    aave = make_snapshot(borrowers(40, 1, 0.6, 0.75), POOLS, version="3.6")
    snapshot = together(aave, compound_market(borrowers(40, 2, 0.6, 0.75), ASSETS, seize_share=0.028))
    played = play(snapshot, make_scenario(PLUNGE, steps=5))
    assert len(played.record.liquidations) > 30
    for was, now in zip(played.before.markets, played.book.markets, strict=True):
        rows = [row for row in played.record.liquidations if row["market"] == now.name]
        written_off = [row for row in played.record.deficits if row["market"] == now.name]
        for reserve, token in enumerate(now.tokens):
            owed = supplied = 0
            for account in range(len(now.accounts)):
                before, after = (holdings(market, account)[reserve] for market in (was, now))
                owed += before.owed - after.owed
                supplied += before.supplied - after.supplied
            repaid = sum(row["repaid_raw"] for row in rows if row["debt"] == token)
            deficit = sum(row["amount_raw"] for row in written_off if row["token"] == token)
            taken = sum(row["received_raw"] + row["fee_raw"] for row in rows if row["collateral"] == token)
            units = ROUNDED * (len(rows) + len(now.accounts))
            assert abs(owed - repaid - deficit) <= units
            assert abs(supplied - taken) <= units
            assert repaid > 0


def test_a_comet_absorbs_unpaid_and_sells_at_a_discount_into_the_pools_of_all() -> None:
    book = open_book(make_snapshot(borrowers(10, 1, 0.6, 0.75), POOLS))
    parts = simple_comet(100 * 10**18, 255_000 * 10**6)
    parts.reserves = parts.reserves._replace(price_raw=[USD.price_raw, ETH.price_raw])
    state = parts.configuration, parts.totals, parts.reserves, parts.positions
    comet = CompoundV3Market(
        "comet", "CometWithExtendedAssetList", ["borrower"], [USD.address, ETH.address], *state, START
    )
    book.markets.append(comet)
    record = Cascade(book, make_scenario({"ETH": 0.9}, steps=3), [[START] * 4, [START] * 2]).run()
    absorbed, *bought = (row for row in record.liquidations if row["market"] == "comet")
    assert (absorbed["account"], absorbed["repaid_raw"], absorbed["received_raw"]) == ("borrower", 0, 0)
    assert comet.collateral_reserves_raw(1) == 100 * 10**18 - sum(row["received_raw"] for row in bought)
    assert {row["account"] for row in bought} == {""}
    assert [row["outcome"] for row in record.liquidatable if row["market"] == "comet"] == ["liquidated"]
    # credited with 95 % of what it is worth, the account still owed more
    lost = sum(row["amount_usd"] for row in record.deficits if row["market"] == "comet")
    assert lost == pytest.approx(255_000 * USD.price_usd - 0.95 * 90 * ETH.price_usd, rel=1e-4)
    run = Run({}, {"liquidations": Table.from_rows(LIQUIDATIONS, record.liquidations)})
    paid = {row["paid_from"]: row["slippage_usd"] for row in slippage_paid(run) if row["market"] == "comet"}
    assert paid == {FROM_DISCOUNT: pytest.approx(sum(row["slippage_usd"] for row in bought), rel=1e-9)}
    assert paid[FROM_DISCOUNT] > 10.0


# --- the ledger would notice ----------------------------------------------------------------------------------------


def crash(progress: Callable[[Cascade], object] = lambda cascade: None) -> None:
    """A run in which markets, pools or the record may have been tampered with."""
    book = open_book(make_snapshot(borrowers(30, 1, 0.6, 0.75), POOLS))
    cascade = Cascade(book, make_scenario({"ETH": 0.5, "BTC": 0.7}, steps=1), [[START] * 4])

    def told(done: int, total: int) -> None:
        progress(cascade)

    cascade.run(told)
    if len(cascade.record.liquidations) < 5 or not cascade.record.deficits:
        raise ValueError("too little has happened for a test")


@contextmanager
def noticed() -> Iterator[None]:
    """The ledger, and nothing else, objects to what is done inside the block."""
    with pytest.raises(AssertionError) as objection:
        yield
    assert Path(objection.traceback[-1].path).name == "ledger.py"


def test_an_honest_run_passes() -> None:
    crash()


@pytest.mark.parametrize(("kind", "units"), [(UniswapV2Pair, 1), (UniswapV3Pool, 1_000)], ids=["v2", "v3"])
def test_a_pool_that_pays_more_than_it_loses_is_noticed(monkeypatch: pytest.MonkeyPatch, kind: Any, units: int) -> None:
    # a pair to the unit; a concentrated pool beyond what it rounds in each range
    def generous(honest: Callable[..., Fill]) -> Callable[..., Fill]:
        def pays(*arguments: Any) -> Fill:
            fill = honest(*arguments)
            return Fill(fill.paid_raw, fill.received_raw + units if fill.received_raw else 0)

        return pays

    # what it pays is what it promised
    for name in ("quote", "swap"):
        monkeypatch.setattr(kind, name, generous(getattr(kind, name)))
    with noticed():
        crash()


@pytest.mark.parametrize("part", ["liquidity_raw", "debt_scaled", "supply_scaled", "deficit_raw"])
@pytest.mark.parametrize("units", [-10, 10])
def test_a_market_that_loses_or_makes_a_few_units_is_noticed(
    monkeypatch: pytest.MonkeyPatch, part: str, units: int
) -> None:
    settle = AaveV3Market.settle

    def careless(market: AaveV3Market, offer: Any, amount_raw: int) -> Settlement:
        settlement = settle(market, offer, amount_raw)
        getattr(market._reserves, part)[offer.debt] += units
        return settlement

    monkeypatch.setattr(AaveV3Market, "settle", careless)
    with noticed():
        crash()


@pytest.mark.parametrize("part", ["supplied_scaled", "debt_scaled"])
def test_an_account_that_loses_a_few_units_is_noticed(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    settle = AaveV3Market.settle

    def careless(market: AaveV3Market, offer: Any, amount_raw: int) -> Settlement:
        settlement = settle(market, offer, amount_raw)
        getattr(market._positions, part)[market._positions.offsets[offer.account]] -= 10
        return settlement

    monkeypatch.setattr(AaveV3Market, "settle", careless)
    with noticed():
        crash()


def test_a_deficit_that_is_not_told_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    settle = AaveV3Market.settle
    monkeypatch.setattr(AaveV3Market, "settle", lambda *arguments: Settlement(settle(*arguments).terms))
    with noticed():
        crash()


def test_liquidity_that_leaves_and_is_not_told_is_noticed() -> None:
    book = open_book(make_snapshot(borrowers(30, 1, 0.6, 0.75), POOLS))
    cascade = Cascade(book, make_scenario({"ETH": 0.9}, steps=1, venues={"withdrawal": 0.5}), [[START] * 4])
    with noticed():
        cascade.run(lambda done, total: cascade.record.withdrawals[0].update(amount_raw=1))


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("liquidations", "repaid_raw"),
        ("liquidations", "proceeds_raw"),
        ("deficits", "amount_raw"),
        ("swaps", "paid_raw"),
        ("swaps", "received_raw"),
    ],
)
def test_a_record_that_differs_by_a_unit_is_noticed(table: str, column: str) -> None:
    def forge(cascade: Cascade) -> None:
        getattr(cascade.record, table)[0][column] += 1

    with noticed():
        crash(forge)


def test_a_swap_that_is_not_written_down_is_noticed() -> None:
    with noticed():
        crash(lambda cascade: cascade.record.swaps.pop())
