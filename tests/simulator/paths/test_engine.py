"""The compiled engine is held to the exact one, run on the same path, and to what can be said without either."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from chain.snapshot import Snapshot
from protocols import compiled
from simulator.book import Book, open_book, read
from simulator.estimate.losses import EconomicBadDebt
from simulator.estimate.models.model import FloatArray
from simulator.estimate.run import distribution
from simulator.estimate.sampling import Experiment
from simulator.paths import kernel
from simulator.paths.losses import PathLosses
from simulator.run import published, simulate
from simulator.scenario import Scenario, load_scenario
from tests.simulator import plain
from tests.simulator.books import ASSETS as PRICED
from tests.simulator.books import Account, make_scenario, make_snapshot, with_rates
from tests.simulator.estimate import models

SHIPPED = Path("fixtures/snapshots/2024-08-05")


@dataclass(frozen=True)
class Outcome:
    """US dollars: bad debt at the end, what liquidators received, and what they earned."""

    bad_debt: float
    volume: float
    profit: float


def engine(book: Book, scenario: Scenario, snapshot: Snapshot | None = None, at: str = "end") -> PathLosses:
    when = None if snapshot is None else published(snapshot, book)
    return PathLosses.of(book, [token.address for token in book.tokens], scenario, at=at, published=when)  # type: ignore[arg-type]


def path_of(book: Book, scenario: Scenario) -> FloatArray:
    return scenario.relative_prices([token.names for token in book.tokens])[None]


def fast(snapshot: Snapshot, scenario: Scenario) -> Outcome:
    book = open_book(snapshot)
    losses = engine(book, scenario, snapshot)
    found = dict(zip(losses.outputs, losses(path_of(book, scenario))[0].tolist(), strict=True))
    return Outcome(
        found["all markets"], found["liquidated volume: all markets"], found["liquidators' profit: all markets"]
    )


def exact(snapshot: Snapshot, scenario: Scenario) -> Outcome:
    run = simulate(snapshot, scenario)
    ends = run.headline
    # a debt whose collateral is gone counts in both, whether or not its protocol has written it off
    bad_debt = ends["bad_debt_realised_usd"] + ends["bad_debt_economic_usd"]
    return Outcome(bad_debt, run.total("collateral_usd"), run.total("profit_usd"))


def agree(snapshot: Snapshot, scenario: Scenario, share: float) -> Outcome:
    """Both engines' outcomes are within a share of the volume; returns the exact one's."""
    found, wanted = fast(snapshot, scenario), exact(snapshot, scenario)
    assert wanted.volume > 0.0
    assert found.volume == pytest.approx(wanted.volume, rel=share)
    assert found.profit == pytest.approx(wanted.profit, rel=share, abs=share * 0.01 * wanted.volume)
    assert found.bad_debt == pytest.approx(wanted.bad_debt, rel=share, abs=share * 0.01 * wanted.volume)
    return wanted


def near_the_edge(count: int, seed: int = 5) -> dict[str, tuple[float, float]]:
    draw = np.random.default_rng(seed)
    held = np.exp(draw.normal(9.0, 1.5, count))
    owed = held * draw.uniform(0.5, 0.79, count)
    return {f"a{n}": (float(held[n]), float(owed[n])) for n in range(count)}


def mixed(count: int, seed: int = 6) -> dict[str, Account]:
    draw = np.random.default_rng(seed)
    found = {}
    for n in range(count):
        worth, share = float(np.exp(draw.normal(11.5, 1.2))), draw.uniform(0.55, 0.75)
        eth, usd = worth * draw.uniform(0.3, 1.0), worth * share
        btc, dai = worth - eth, usd * draw.uniform(0.0, 0.5)
        found[f"a{n:03}"] = Account(
            {"ETH": eth / 2904.37, "BTC": btc / 60777.11}, {"USD": (usd - dai) / 0.99993, "DAI": dai / 1.00012}
        )
    return found


FALL = [*(1.0 - 0.02 * n for n in range(1, 16)), 0.45]


# --- against the exact engine ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.2", "3.6"])
def test_without_slippage_it_is_the_exact_engine_but_for_roundings(version: str) -> None:
    snapshot = plain.aave(near_the_edge(40), version=version)
    scenario = make_scenario({"COL": FALL}, steps=20, liquidators=plain.FRICTIONLESS)
    wanted = agree(snapshot, scenario, 1e-6)
    assert wanted.bad_debt > 0.0


def test_compound_v2_without_slippage_is_the_exact_engine_but_for_roundings() -> None:
    snapshot = plain.compound_v2(near_the_edge(40), factor=0.8, seize_share=0.03)
    agree(snapshot, make_scenario({"COL": FALL}, steps=20, liquidators=plain.FRICTIONLESS), 1e-6)


def test_gas_haircut_late_liquidators_and_few_places_in_blocks_count_as_in_the_exact_engine() -> None:
    snapshot = plain.aave(near_the_edge(40))
    behaviour = {
        "sell": "outside", "outside_haircut": 0.01, "gas_usd": 25.0, "latency_s": 60.0, "per_step": 3,
        "capital_usd": 20_000.0, "inventory_usd": 60_000.0, "turnover_s": 300.0, "congestion": 1.0,
    }  # fmt: skip
    agree(snapshot, make_scenario({"COL": FALL}, steps=20, liquidators=behaviour), 1e-6)


def test_feeds_that_speak_by_deviation_heartbeat_and_late_are_those_of_the_exact_engine() -> None:
    snapshot = plain.aave(near_the_edge(40))
    wander = np.exp(np.cumsum(np.random.default_rng(1).normal(-0.004, 0.01, 60))).tolist()
    for rule in ({"deviation": 0.03, "heartbeat_s": 600.0}, {"deviation": 0.01, "delay_s": 150.0}):
        scenario = make_scenario({"COL": wander}, steps=60, oracles=rule, liquidators=plain.FRICTIONLESS)
        agree(snapshot, scenario, 1e-6)


def test_interest_makes_debts_grow_as_in_the_exact_engine() -> None:
    assets = with_rates(PRICED, USD=0.9, ETH=0.3)
    # debts grow by a third of a percent a day until, after some weeks, they are beyond the limit
    snapshot = make_snapshot({"a": Account({"ETH": 1_000.0}, {"USD": 0.78 * 2_904_370.0})}, (), assets)
    scenario = make_scenario({"ETH": 1.0}, steps=60, step_s=86_400.0, liquidators=plain.FRICTIONLESS)
    wanted = agree(snapshot, scenario, 1e-6)
    assert wanted.volume > 1e6


def test_sales_through_pools_bring_what_the_exact_engine_gets_and_move_prices_as_far() -> None:
    snapshot = make_snapshot(mixed(60))
    scenario = make_scenario(
        {"ETH": FALL, "BTC": [1.0 - 0.015 * n for n in range(1, 16)]},
        steps=20,
        liquidators={"gas_usd": 20.0, "flash_fee": 0.0005},
        venues={"impact": 0.3, "permanent": 0.6, "arbitrage_half_life_s": 17.0, "anchored": ["USD", "DAI"]},
    )
    agree(snapshot, scenario, 0.02)


def test_the_shipped_crash_is_that_of_the_exact_engine() -> None:
    agree(read(SHIPPED), load_scenario("2024-08-05"), 0.02)


# --- by itself ------------------------------------------------------------------------------------------------------


def wandering(paths: int, steps: int, assets: int, seed: int = 2) -> FloatArray:
    moves = np.random.default_rng(seed).normal(-0.01, 0.04, (paths, steps + 1, assets))
    moves[:, 0] = 0.0
    return np.exp(np.cumsum(moves, axis=1))


@pytest.mark.parametrize("at", ["worst", "end"])
def test_without_liquidators_and_interest_it_is_the_plain_economic_bad_debt(at: str) -> None:
    book = open_book(plain.together(plain.aave(near_the_edge(30)), plain.compound_v2(near_the_edge(30, 8))))
    scenario = make_scenario(steps=30, liquidators=plain.NOBODY)
    assets = [token.address for token in book.tokens]
    prices = wandering(50, 30, len(assets))
    losses = engine(book, scenario, at=at)
    found, wanted = losses(prices), EconomicBadDebt.of(book, assets, at=at)(prices)  # type: ignore[arg-type]
    assert (wanted > 0.0).any(axis=0).all()
    assert found[:, : wanted.shape[1]] == pytest.approx(wanted, rel=1e-9, abs=1e-6)
    assert not found[:, losses.outputs.index("liquidated volume: all markets") :].any()


def test_groups_add_up_to_the_whole_and_accounts_to_the_bad_debt() -> None:
    book = open_book(plain.together(plain.aave(near_the_edge(30)), plain.compound_v2(near_the_edge(30, 8))))
    losses = engine(book, make_scenario(steps=30, liquidators=plain.FRICTIONLESS))
    found, accounts = losses.by_account(wandering(50, 30, 2))
    whole = found.reshape(50, 3, -1)
    assert (whole[:, :, 0] > 0.0).any(axis=0).all()
    for by in ("market", "debt", "collateral"):
        members = [n for n, output in enumerate(losses.outputs[: whole.shape[2]]) if output.by == by]
        assert whole[:, :, members].sum(axis=2) == pytest.approx(whole[:, :, 0], rel=1e-9, abs=1e-6)
    assert accounts.sum(axis=1) == pytest.approx(found[:, 0], rel=1e-9)


def test_markets_of_one_protocol_add_up_to_it() -> None:
    first = plain.aave(near_the_edge(30))
    book = open_book(plain.together(first, plain.compound_v2(near_the_edge(30, 8))))
    book.markets.append(open_book(plain.aave(near_the_edge(20, 9), version="3.2")).markets[0])
    for behaviour, measures in ((plain.NOBODY, [0]), (plain.FRICTIONLESS, [1, 2])):
        losses = engine(book, make_scenario(steps=30, liquidators=behaviour), at="end")
        found = losses(wandering(50, 30, 2)).reshape(50, 3, -1)[:, measures]
        groups = losses.outputs[: found.shape[2]]
        assert [output.of for output in groups if output.by == "protocol"] == ["all of aave_v3"] == [groups[-1].of]
        assert (found[:, :, -1] > 0.0).any(axis=0).all()
        assert found[:, :, -1] == pytest.approx(found[:, :, 1] + found[:, :, 3], rel=1e-9, abs=1e-6)


def with_pools() -> tuple[PathLosses, FloatArray]:
    book = open_book(make_snapshot(mixed(25)))
    scenario = make_scenario(
        steps=12, liquidators={"gas_usd": 5.0}, oracles={"deviation": 0.01, "delay_s": 60.0},
        venues={"impact": 0.3, "anchored": ["USD"], "withdrawal": 0.5},
    )  # fmt: skip
    return engine(book, scenario, at="worst"), wandering(6, 12, len(book.tokens))


def test_interpreted_it_gives_what_it_gives_compiled() -> None:
    losses, prices = with_pools()
    found, accounts = losses.by_account(prices)
    assert (found[:, losses.outputs.index("liquidated volume: all markets")] > 0.0).sum() > 3
    slow, by_account = np.empty_like(found), np.zeros_like(accounts)
    kernel.run(prices, losses.deck, True, slow, by_account)
    # where two ways pay alike, the last bit says which goes first, and that is worth some billionths
    assert slow == pytest.approx(found, rel=1e-7, abs=1e-6)
    assert by_account == pytest.approx(accounts, rel=1e-7, abs=1e-6)


def test_a_path_does_not_depend_on_those_before_it() -> None:
    losses, prices = with_pools()
    assert losses(prices)[3:].tobytes() == losses(prices[3:]).tobytes()


def test_any_number_of_workers_gives_the_same_to_the_bit() -> None:
    model = models.student()
    snapshot = make_snapshot(mixed(25))
    follow = {"ETH": "WETH", "BTC": "WBTC", "USD": "USD", "DAI": "USD"}
    scenario = make_scenario(steps=model.steps, step_s=model.step_s)
    losses = PathLosses.of(open_book(snapshot), model.assets, scenario, follow=follow)
    asked = Experiment(model, 512, seed=1)
    runs = [distribution(asked, losses, losses.outputs, workers=count) for count in (1, 2)]
    assert runs[0].losses_usd.any()
    assert runs[0].losses_usd.tobytes() == runs[1].losses_usd.tobytes()


def test_liquidators_who_act_leave_no_more_bad_debt_than_without_them_where_sales_move_nothing() -> None:
    book = open_book(plain.aave(near_the_edge(40)))
    prices = wandering(50, 30, 2)
    prices[:, :, 1] = 1.0
    acting = engine(book, make_scenario(steps=30, liquidators=plain.FRICTIONLESS))(prices)[:, 0]
    nobody = engine(book, make_scenario(steps=30, liquidators=plain.NOBODY))(prices)[:, 0]
    assert (acting <= nobody + 1e-6).all()
    assert acting.sum() < nobody.sum()


def test_one_form_is_compiled_for_all_books() -> None:
    """Each more would cost half a minute."""
    losses, prices = with_pools()
    losses(prices)
    engine(open_book(plain.aave({"a": (2.0, 1.0)})), make_scenario(steps=1, liquidators=plain.NOBODY))(
        np.ones((1, 2, 2))
    )
    assert len(compiled.fast(kernel.run, **kernel.OPTIONS).signatures) == 1  # type: ignore[attr-defined]
